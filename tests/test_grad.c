/* test_grad.c - gradients as tensors: which inputs they reach, what they leave
 * alone, and derivatives of derivatives. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

/* d y / d x of a scalar y. */
static cg_tensor *d(cg_tensor *y, cg_tensor *x, int options) {
  cg_tensor *g = NULL;
  cg_grad(tape, &y, 1, NULL, &x, 1, &g, options);
  return g;
}

/* ---- which inputs ---- */

START_TEST(leaves_are_left_alone) {
  cg_tensor *w = scalar_leaf(0.7), *v = scalar_leaf(2);
  cg_tensor *y = cg_mul(tape, cg_square(tape, w), v);
  NEAR_ALL(d(y, w, 0), 1e-15, 2.8);
  NEAR_ALL(d(y, w, 0), 1e-15, 2.8);
  ck_assert_ptr_null(cg_tensor_grad(w));
  ck_assert_ptr_null(cg_tensor_grad(v));
  fine(tape);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

START_TEST(intermediate_inputs) {
  cg_tensor *w = scalar_leaf(0.7);
  cg_tensor *a = cg_exp(tape, w), *b = cg_square(tape, a);
  cg_tensor *y = cg_mul(tape, b, a), *in[] = {a, w, b, y, a}, *g[5];
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 5, g, 0), CG_OK);
  double e = exp(0.7);
  near(cg_tensor_item(g[0]), 3 * e * e, 1e-14);
  near(cg_tensor_item(g[1]), 3 * e * e * e, 1e-14);
  near(cg_tensor_item(g[2]), e, 1e-14);
  near(cg_tensor_item(g[3]), 1, 0);
  near(cg_tensor_item(g[4]), 3 * e * e, 1e-14);
  cg_leaf_free(w);
}
END_TEST

START_TEST(unused_inputs) {
  cg_tensor *w = scalar_leaf(0.7), *never = scalar_leaf(1);
  cg_tensor *y = cg_exp(tape, w), *side = cg_log(tape, w);
  cg_tensor *in[] = {never, w, side}, *g[3];
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 3, g, CG_ALLOW_UNUSED),
                   CG_OK);
  ck_assert_ptr_null(g[0]);
  near(cg_tensor_item(g[1]), exp(0.7), 1e-15);
  ck_assert_ptr_null(g[2]);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 3, g, 0), CG_ERR_STATE);
  for (int i = 0; i < 3; i++) ck_assert_ptr_null(g[i]);
  failed(tape, CG_ERR_STATE, "grad", "input 0");
  near(cg_tensor_item(d(y, w, 0)), exp(0.7), 1e-15); /* no trace is left */
  cg_leaf_free(w);
  cg_leaf_free(never);
}
END_TEST

START_TEST(bad_arguments_are_refused) {
  cg_tensor *w = scalar_leaf(0.7), *fixed = scalar_leaf(1), *g = w;
  cg_leaf_set_requires_grad(fixed, false);
  cg_tensor *y = cg_mul(tape, w, fixed), *no = NULL;
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &fixed, 1, &g, 0), CG_ERR_STATE);
  ck_assert_ptr_null(g);
  failed(tape, CG_ERR_STATE, "grad", "does not require");
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &no, 1, &g, 0), CG_ERR_ARG);
  g = w;
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &w, 1, &g, 0), CG_ERR_ARG);
  ck_assert_ptr_null(g); /* of a tape that has failed, too */
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &no, 1, NULL, &w, 1, &g, 0), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, NULL, 1, &g, 0), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &w, 0, &g, 0), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &y, 0, NULL, &w, 1, &g, 0), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &w, 1, NULL, 0), CG_ERR_ARG);
  cg_leaf_free(w);
  cg_leaf_free(fixed);
}
END_TEST

/* The result must not follow a seed that is overwritten later. */
START_TEST(results_do_not_share_a_seeds_memory) {
  cg_tensor *w = scalar_leaf(0.7), *seed = scalar_leaf(2.5), *g;
  cg_tensor *y = cg_add_scalar(tape, w, 1);
  ck_assert_int_eq(cg_grad(tape, &y, 1, &seed, &w, 1, &g, 0), CG_OK);
  cg_leaf_fill(seed, -8);
  near(cg_tensor_item(g), 2.5, 0);
  cg_leaf_free(w);
  cg_leaf_free(seed);
}
END_TEST

/* A leaf modified between two uses has two values; both uses count. */
START_TEST(both_versions_of_a_leaf_count) {
  cg_tensor *w = scalar_leaf(2);
  cg_tensor *a = cg_exp(tape, w);
  cg_leaf_fill(w, 3);
  cg_tensor *y = cg_add(tape, a, cg_exp(tape, w));
  near(cg_tensor_item(d(y, w, 0)), exp(2) + exp(3), 1e-15);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(w)), exp(2) + exp(3), 1e-15);
  cg_leaf_free(w);
}
END_TEST

/* ---- higher orders ---- */

START_TEST(four_derivatives_of_tanh) {
  const double x = 0.37, t = tanh(0.37), u = 1 - t * t;
  const double want[] = {u, -2 * t * u, u * (6 * t * t - 2),
                         8 * t * u * (2 - 3 * t * t)};
  cg_tensor *w = scalar_leaf(x), *y = cg_tanh(tape, w);
  for (int order = 0; order < 4; order++) {
    y = d(y, w, CG_CREATE_GRAPH);
    NEAR_ALL(y, 1e-14, want[order]);
  }
  fine(tape);
  ck_assert_ptr_null(cg_tensor_grad(w));
  cg_leaf_free(w);
}
END_TEST

typedef struct law {
  cg_tensor *(*f)(cg_tape *, cg_tensor *);
  double at, d1, d2, d3;
} law;

START_TEST(three_derivatives_of_functions) {
  const double s = 1 / (1 + exp(-0.8)), r = s * (1 - s);
  const law laws[] = {
      {cg_exp, 0.8, exp(0.8), exp(0.8), exp(0.8)},
      {cg_log, 0.8, 1.25, -1.5625, 2 * 1.953125},
      {cg_sqrt, 0.64, 0.625, -0.25 / 0.512, 0.375 / 0.32768},
      {cg_square, -1.7, -3.4, 2, 0},
      {cg_neg, 1.3, -1, NAN, NAN},
      {cg_sigmoid, 0.8, r, r * (1 - 2 * s), r * (1 - 6 * r)},
      {cg_relu, 0.8, 1, 0, NAN},
      {cg_relu, -0.8, 0, 0, NAN},
  };
  const law *l = &laws[_i];
  cg_tensor *w = scalar_leaf(l->at);
  cg_tensor *y1 = d(l->f(tape, w), w, CG_CREATE_GRAPH);
  NEAR_ALL(y1, 1e-14, l->d1);
  if (!isnan(l->d2)) {
    cg_tensor *y2 = d(y1, w, CG_CREATE_GRAPH);
    NEAR_ALL(y2, 1e-13, l->d2);
    if (!isnan(l->d3) && cg_tensor_requires_grad(y2))
      NEAR_ALL(d(y2, w, 0), 1e-13, l->d3);
  }
  cg_leaf_free(w);
}
END_TEST

/* y = (a^b) / b and its mixed derivatives, by hand. */
START_TEST(mixed_derivatives_of_pow_and_div) {
  const double a = 1.9, b = 0.7, p = pow(a, b), l = log(a);
  cg_tensor *A = scalar_leaf(a), *B = scalar_leaf(b);
  cg_tensor *y = cg_div(tape, cg_pow(tape, A, B), B);
  cg_tensor *ya = d(y, A, CG_CREATE_GRAPH), *yb = d(y, B, CG_CREATE_GRAPH);
  NEAR_ALL(ya, 1e-14, p / a);
  NEAR_ALL(yb, 1e-14, p * l / b - p / (b * b));
  NEAR_ALL(d(ya, A, 0), 1e-14, (b - 1) * p / (a * a));
  NEAR_ALL(d(ya, B, 0), 1e-14, p * l / a);
  NEAR_ALL(d(yb, A, 0), 1e-14, p * l / a);
  NEAR_ALL(d(yb, B, 0), 1e-13,
           p * l * l / b - 2 * p * l / (b * b) + 2 * p / (b * b * b));
  cg_leaf_free(A);
  cg_leaf_free(B);
}
END_TEST

/* f = sum_k c_k x_k^3 through parts of x: its Hessian is diag(6 c x), its third
 * derivative along v then 6 c v. Parts overlap, and run along both axes. */
START_TEST(second_and_third_order_through_parts) {
  double v[12], count[12] = {0}, want1[12], want2[12], want3[12];
  for (int k = 0; k < 12; k++) v[k] = 0.3 * k - 1.45;
  cg_tensor *x = leaf_of(v, CG_DIMS(3, 4));
  cg_tensor *row = cg_select(tape, x, 0, 1), *col = cg_select(tape, x, 1, -1);
  cg_tensor *block = cg_narrow(tape, x, 1, 1, 2);
  cg_tensor *block2 = cg_narrow(tape, x, 1, 2, 2);
  cg_tensor *part[] = {row, col, block, block2, x, row};
  cg_tensor *f = NULL;
  for (int i = 0; i < N_OF(part); i++) {
    cg_tensor *q = cg_square(tape, part[i]);
    cg_tensor *s = cg_sum_all(tape, cg_mul(tape, q, part[i]));
    f = f ? cg_add(tape, f, s) : s;
  }
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 4; c++) {
      int k = 4 * r + c;
      count[k] = 2 * (r == 1) + (c == 3) + (c == 1 || c == 2) + (c >= 2) + 1;
      want1[k] = 3 * count[k] * v[k] * v[k];
      want2[k] = 6 * count[k] * v[k];
      want3[k] = 6 * count[k];
    }
  cg_tensor *g = d(f, x, CG_CREATE_GRAPH);
  near_all(g, want1, 12, 1e-14);
  cg_tensor *g2 = d(cg_sum_all(tape, g), x, CG_CREATE_GRAPH);
  near_all(g2, want2, 12, 1e-14);
  near_all(d(cg_sum_all(tape, g2), x, 0), want3, 12, 1e-14);
  ck_assert_int_eq(cg_backward(tape, f), CG_OK);
  near_all(cg_tensor_grad(x), want1, 12, 1e-14);
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, g)), CG_OK);
  for (int k = 0; k < 12; k++) want1[k] += want2[k];
  near_all(cg_tensor_grad(x), want1, 12, 1e-14);
  cg_leaf_free(x);
}
END_TEST

/* f = sum (x_i b_j)^2 by broadcasting: d2f/db_j db_j = 2 sum x^2,
 * d2f/dx_i db_j = 4 x_i b_j. */
START_TEST(second_order_through_broadcasting) {
  const double xs[] = {1.3, -0.4}, bs[] = {0.9, 2.1, -1.2};
  cg_tensor *x = leaf_of(xs, CG_DIMS(2, 1)), *b = leaf_of(bs, CG_DIMS(3));
  cg_tensor *f = cg_sum_all(tape, cg_square(tape, cg_mul(tape, x, b)));
  cg_tensor *gb = d(f, b, CG_CREATE_GRAPH);
  const double x2 = 1.3 * 1.3 + 0.4 * 0.4;
  NEAR_ALL(gb, 1e-14, 1.8 * x2, 4.2 * x2, -2.4 * x2);
  cg_tensor *s = cg_sum_all(tape, gb), *in[] = {b, x}, *gg[2];
  ck_assert_int_eq(cg_grad(tape, &s, 1, NULL, in, 2, gg, 0), CG_OK);
  NEAR_ALL(gg[0], 1e-14, 2 * x2, 2 * x2, 2 * x2);
  const double sb = 0.9 + 2.1 - 1.2;
  NEAR_ALL(gg[1], 1e-14, 4 * 1.3 * sb, 4 * -0.4 * sb);
  has_shape(gg[1], CG_DIMS(2, 1));
  cg_leaf_free(x);
  cg_leaf_free(b);
}
END_TEST

/* f = sum (A B)^2: the Hessian-vector product along V in A is 2 V B B^T. */
START_TEST(hessian_vector_product_of_a_matrix_product) {
  const double a[] = {1.2, -0.7, 0.4, 2.2}, b[] = {0.3, 1.1, -0.9, 0.8};
  const double v[] = {-0.6, 0.2, 1.7, 0.5};
  for (int t = 0; t < 4; t++) {
    bool ta = t & 1, tb = t & 2;
    cg_tensor *A = leaf_of(a, CG_DIMS(2, 2)), *B = leaf_of(b, CG_DIMS(2, 2));
    cg_tensor *V = cg_input(tape, CG_F64, CG_DIMS(2, 2), v);
    cg_tensor *f = cg_sum_all(
        tape, cg_square(tape, cg_matmul_t(tape, A, B, ta, tb)));
    cg_tensor *g = d(f, A, CG_CREATE_GRAPH);
    cg_tensor *h = d(cg_sum_all(tape, cg_mul(tape, g, V)), A, 0);
    double C[2][2] = {{0}}; /* op(B) op(B)^T, which is symmetric */
    for (int i = 0; i < 2; i++)
      for (int j = 0; j < 2; j++)
        for (int k = 0; k < 2; k++)
          C[i][j] += tb ? b[2 * k + i] * b[2 * k + j]
                        : b[2 * i + k] * b[2 * j + k];
    for (int i = 0; i < 2; i++)
      for (int j = 0; j < 2; j++) {
        double want = 0;
        for (int k = 0; k < 2; k++)
          want += ta ? 2 * C[i][k] * v[2 * k + j] : 2 * v[2 * i + k] * C[k][j];
        near(cg_tensor_get(h, 2 * i + j), want, 1e-14);
      }
    cg_leaf_free(A);
    cg_leaf_free(B);
  }
}
END_TEST

/* A rule of a user's own that gives nonsense is an error, not a crash. */
static int nonsense;

static void bad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v);
  switch (nonsense) {
    case 0: cg_vjp_give(v, 0, cg_full(t, CG_F64, CG_DIMS(4), 1)); break;
    case 1: cg_vjp_give(v, 0, cg_cast(t, gy, CG_F32)); break;
    case 2: cg_vjp_give_narrow(v, 0, gy, 0, 1); break;
    case 3: cg_vjp_give_narrow(v, 0, gy, 0, -1); break;
    case 4: cg_vjp_give_narrow(v, 0, gy, 2, 0); break;
    case 5: cg_vjp_give_narrow(v, 0, cg_cast(t, gy, CG_F32), 0, 0); break;
    case 6: cg_vjp_give_narrow(v, 0, gy, 0, INT64_MAX); break;
    case 7: cg_vjp_give_select(v, 0, gy, 0, 1); break;
    case 8: cg_vjp_give_select(v, 0, cg_select(t, gy, 0, 1), 0, 3); break;
    case 9: cg_vjp_give_select(v, 0, cg_select(t, gy, 0, 1), 0, -1); break;
    case 10: cg_vjp_give_select(v, 0, cg_select(t, gy, 0, 1), 2, 0); break;
    case 11: {
      cg_tensor *m = cg_full(t, CG_F32, CG_DIMS(3, 3), 1);
      cg_vjp_give_matmul(v, 0, m, m, false, false);
      break;
    }
    default: {
      cg_tensor *m = cg_full(t, CG_F64, CG_DIMS(3, 2), 1);
      cg_vjp_give_matmul(v, 0, m, m, false, true);
    }
  }
}

START_TEST(nonsense_of_a_rule_is_refused) {
  static const cg_op bad = {.name = "bad", .min_in = 1, .max_in = 1,
                            .infer = identity_infer,
                            .forward = identity_forward,
                            .vjp = bad_vjp};
  const double v[9] = {2.385, 1, -4};
  for (nonsense = 0; nonsense < 13; nonsense++) {
    cg_tensor *w = leaf_of(v, CG_DIMS(3, 3));
    cg_tensor *y = cg_sum_all(tape, cg_record(tape, &bad, &w, 1, NULL));
    bool right = nonsense == 12;
    for (int how = 0; how < 3; how++) {
      cg_tensor *g;
      cg_status s = how == 2 ? cg_backward(tape, y)
                             : cg_grad(tape, &y, 1, NULL, &w, 1, &g,
                                       how ? CG_CREATE_GRAPH : 0);
      ck_assert_int_eq(s, right ? CG_OK : CG_ERR_SHAPE);
      if (!right) failed(tape, CG_ERR_SHAPE, "bad", "operand 0");
    }
    if (right) near(cg_tensor_get(cg_tensor_grad(w), 5), 2, 0);
    cg_leaf_free(w);
  }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, leaves_are_left_alone);
  tcase_add_test(tc, intermediate_inputs);
  tcase_add_test(tc, unused_inputs);
  tcase_add_test(tc, bad_arguments_are_refused);
  tcase_add_test(tc, results_do_not_share_a_seeds_memory);
  tcase_add_test(tc, both_versions_of_a_leaf_count);
  tcase_add_test(tc, four_derivatives_of_tanh);
  tcase_add_loop_test(tc, three_derivatives_of_functions, 0, 8);
  tcase_add_test(tc, mixed_derivatives_of_pow_and_div);
  tcase_add_test(tc, second_and_third_order_through_parts);
  tcase_add_test(tc, second_order_through_broadcasting);
  tcase_add_test(tc, hessian_vector_product_of_a_matrix_product);
  tcase_add_test(tc, nonsense_of_a_rule_is_refused);
  return run_case("grad", tc);
}
