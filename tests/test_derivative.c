/* test_derivative.c - products with Jacobians and Hessians, and the matrices:
 * against closed forms and against each other. */
#include "derivative_test.h"

/* A random constant shaped like x. */
static cg_tensor *like(uint64_t seed, const cg_tensor *x) {
  cg_tensor *r =
      random_leaf(seed, cg_tensor_rank(x), cg_tensor_shape(x));
  cg_tensor *y = cg_input(tape, CG_F64, cg_tensor_rank(x), cg_tensor_shape(x),
                          cg_tensor_data(r));
  cg_leaf_free(r);
  return y;
}

static double dot(const cg_tensor *a, const cg_tensor *b) {
  ck_assert_ptr_nonnull(a);
  ck_assert_ptr_nonnull(b);
  ck_assert_int_eq(cg_tensor_numel(a), cg_tensor_numel(b));
  double sum = 0;
  for (int64_t i = 0; i < cg_tensor_numel(a); i++)
    sum += cg_tensor_get(a, i) * cg_tensor_get(b, i);
  return sum;
}

/* ---- closed forms ---- */

START_TEST(quadratic_form) {
  cg_tensor *x = random_leaf(1, CG_DIMS(3)), *H, *hv;
  cg_tensor *y = quadratic(x);
  ck_assert_int_eq(cg_hessian(tape, y, x, &H, 0), CG_OK);
  has_shape(H, CG_DIMS(3, 3));
  near_all(H, S, 9, 1e-15);
  const double v[] = {0.93, -1.27, 0.44};
  cg_tensor *direction = cg_input(tape, CG_F64, CG_DIMS(3), v);
  ck_assert_int_eq(cg_hvp(tape, y, &x, &direction, 1, &hv, 0), CG_OK);
  has_shape(hv, CG_DIMS(3));
  for (int i = 0; i < 3; i++)
    near(cg_tensor_get(hv, i),
         S[3 * i] * v[0] + S[3 * i + 1] * v[1] + S[3 * i + 2] * v[2], 1e-15);
  ck_assert_ptr_null(cg_tensor_grad(x));
  cg_leaf_free(x);
}
END_TEST

/* dp_i/dx_j = p_i (1[i = j] - p_j). */
START_TEST(softmax_jacobian) {
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    cg_tensor *x = random_leaf(2, CG_DIMS(4)), *J;
    cg_tensor *p = cg_softmax(tape, x, 0);
    ck_assert_int_eq(cg_jacobian(tape, p, x, &J, options), CG_OK);
    has_shape(J, CG_DIMS(4, 4));
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++)
        near(cg_tensor_get(J, 4 * i + j),
             cg_tensor_get(p, i) * ((i == j) - cg_tensor_get(p, j)), 1e-15);
    ck_assert_int_eq(cg_tensor_requires_grad(J), options == CG_CREATE_GRAPH);
    cg_leaf_free(x);
    cg_tape_reset(tape);
  }
}
END_TEST

/* y = (W x) has dy_i/dW_jk = 1[i = j] x_k: rank 1 + 2. */
START_TEST(shapes_of_a_jacobian) {
  cg_tensor *W = random_leaf(3, CG_DIMS(2, 3)), *x = random_leaf(4, CG_DIMS(3));
  cg_tensor *y = cg_sum(tape, cg_mul(tape, W, x), (int[]){1}, 1, false), *J;
  ck_assert_int_eq(cg_jacobian(tape, y, W, &J, 0), CG_OK);
  has_shape(J, CG_DIMS(2, 2, 3));
  for (int i = 0; i < 12; i++)
    near(cg_tensor_get(J, i), i / 6 == i / 3 % 2 ? cg_tensor_get(x, i % 3) : 0,
         0);
  cg_tensor *scalar = cg_sum_all(tape, y), *H;
  ck_assert_int_eq(cg_jacobian(tape, scalar, x, &J, 0), CG_OK);
  has_shape(J, CG_DIMS(3));
  near(cg_tensor_get(J, 1), cg_tensor_get(W, 1) + cg_tensor_get(W, 4), 1e-15);
  ck_assert_int_eq(cg_hessian(tape, scalar, W, &H, 0), CG_OK); /* linear */
  has_shape(H, CG_DIMS(2, 3, 2, 3));
  for (int i = 0; i < 36; i++) near(cg_tensor_get(H, i), 0, 0);
  ck_assert_int_eq(cg_hessian(tape, scalar, W, &H, CG_CREATE_GRAPH), CG_OK);
  has_shape(H, CG_DIMS(2, 3, 2, 3));
  cg_leaf_free(W);
  cg_leaf_free(x);
}
END_TEST

START_TEST(empty_tensors) {
  cg_tensor *x = leaf_of(NULL, CG_DIMS(0, 2)), *J, *jv, *hv;
  cg_tensor *y = cg_exp(tape, x), *v = cg_full(tape, CG_F64, CG_DIMS(0, 2), 0);
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_jacobian(tape, y, x, &J, options), CG_OK);
    has_shape(J, CG_DIMS(0, 2, 0, 2));
    cg_tensor *s = cg_sum_all(tape, y);
    ck_assert_int_eq(cg_jacobian(tape, s, x, &J, options), CG_OK);
    has_shape(J, CG_DIMS(0, 2));
    ck_assert_int_eq(cg_jvp(tape, &y, 1, &x, &v, 1, &jv, options), CG_OK);
    has_shape(jv, CG_DIMS(0, 2));
    ck_assert_int_eq(cg_hvp(tape, s, &x, &v, 1, &hv, options), CG_OK);
    has_shape(hv, CG_DIMS(0, 2));
  }
  cg_leaf_free(x);
}
END_TEST

/* ---- the identity <u, J v> = <J' u, v> ---- */

enum { N_IN = 3 };

typedef cg_tensor *(*graph)(cg_tensor *const *in);

/* Broadcasting, division and powers. */
static cg_tensor *arithmetic(cg_tensor *const *in) {
  cg_tensor *p = cg_exp(tape, cg_mul(tape, in[0], in[1]));
  return cg_div(tape, cg_pow(tape, p, in[0]), cg_add_scalar(tape, p, 1.7));
}

/* Products of matrices, views and a normalisation. */
static cg_tensor *products(cg_tensor *const *in) {
  cg_tensor *m = cg_addmm(tape, in[1], in[0], in[2], false, true);
  m = cg_tanh(tape, cg_transpose(tape, m, 0, 1));
  cg_tensor *parts[] = {cg_narrow(tape, m, 1, 1, 2), m,
                        cg_narrow(tape, m, 1, 0, 1)};
  return cg_log_softmax(tape, cg_concat(tape, parts, 3, 1), -1);
}

/* Picking by index, expansion and losses. */
static cg_tensor *indices(cg_tensor *const *in) {
  cg_tensor *rows = cg_input(tape, CG_I64, CG_DIMS(5),
                             (int64_t[]){2, 0, 2, 3, 1});
  cg_tensor *columns =
      cg_input(tape, CG_I64, CG_DIMS(5, 2),
               (int64_t[]){0, 2, 1, 1, 2, 0, 0, 0, 1, 2});
  cg_tensor *e = cg_embedding(tape, in[0], rows);
  e = cg_mul(tape, e, cg_expand(tape, in[1], CG_DIMS(5, 3)));
  cg_tensor *picked = cg_gather(tape, cg_sigmoid(tape, e), 1, columns);
  cg_tensor *classes = cg_input(tape, CG_I64, CG_DIMS(5),
                                (int64_t[]){1, 0, 0, 1, 1});
  return cg_cross_entropy(tape, picked, classes);
}

/* A recurrent net: h <- tanh(x_t + h W), states stacked. */
static cg_tensor *rnn(cg_tensor *const *in) {
  cg_tensor *h = in[1], *states[4];
  for (int t = 0; t < 4; t++) {
    cg_tensor *x = cg_select(tape, in[0], 0, t);
    cg_tensor *z = cg_linear(tape, cg_reshape(tape, h, CG_DIMS(1, 3)),
                             cg_narrow(tape, in[2], 0, 0, 3), x);
    states[t] = h = cg_reshape(tape, cg_tanh(tape, z), CG_DIMS(3));
  }
  return cg_stack(tape, states, 4, 0);
}

static const graph graphs[] = {arithmetic, products, indices, rnn};

/* The leaves that all of them take: [4, 3], [3], [3, 3]. */
static void make_leaves(cg_tensor **in) {
  in[0] = random_leaf(11, CG_DIMS(4, 3));
  in[1] = random_leaf(12, CG_DIMS(3));
  in[2] = random_leaf(13, CG_DIMS(3, 3));
}

START_TEST(forward_and_reverse_agree) {
  cg_tensor *in[N_IN], *v[N_IN], *g[N_IN], *jv;
  make_leaves(in);
  int n_in = _i == 0 || _i == 2 ? 2 : 3;
  cg_tensor *y = graphs[_i](in);
  fine(tape);
  for (int j = 0; j < n_in; j++) v[j] = like(20 + (uint64_t)j, in[j]);
  cg_tensor *u = like(30, y);
  ck_assert_int_eq(cg_grad(tape, &y, 1, &u, in, n_in, g, 0), CG_OK);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, in, v, n_in, &jv, 0), CG_OK);
  has_shape(jv, cg_tensor_rank(y), cg_tensor_shape(y));
  double reverse = 0;
  for (int j = 0; j < n_in; j++) reverse += dot(g[j], v[j]);
  ck_assert_double_gt(fabs(reverse), 1e-3);
  near(dot(u, jv), reverse, 1e-14);
  /* J v from the whole matrices */
  for (int64_t i = 0; i < cg_tensor_numel(y); i++) {
    double sum = 0;
    for (int j = 0; j < n_in; j++) {
      cg_tensor *J;
      ck_assert_int_eq(cg_jacobian(tape, y, in[j], &J, 0), CG_OK);
      int64_t n = cg_tensor_numel(in[j]);
      for (int64_t k = 0; k < n; k++)
        sum += cg_tensor_get(J, i * n + k) * cg_tensor_get(v[j], k);
    }
    near(cg_tensor_get(jv, i), sum, 1e-14);
  }
  for (int j = 0; j < N_IN; j++) cg_leaf_free(in[j]);
}
END_TEST

/* H is symmetric, across inputs too, and H v is H times v. */
START_TEST(hessians_agree) {
  cg_tensor *in[N_IN], *v[N_IN], *w[N_IN], *hv[N_IN], *hw[N_IN];
  make_leaves(in);
  int n_in = _i == 0 || _i == 2 ? 2 : 3;
  cg_tensor *y = cg_mean_all(tape, cg_square(tape, graphs[_i](in)));
  for (int j = 0; j < n_in; j++) {
    v[j] = like(20 + (uint64_t)j, in[j]);
    w[j] = like(40 + (uint64_t)j, in[j]);
  }
  ck_assert_int_eq(cg_hvp(tape, y, in, v, n_in, hv, 0), CG_OK);
  ck_assert_int_eq(cg_hvp(tape, y, in, w, n_in, hw, CG_CREATE_GRAPH), CG_OK);
  double vHw = 0, wHv = 0;
  for (int j = 0; j < n_in; j++) {
    vHw += dot(v[j], hw[j]);
    wHv += dot(w[j], hv[j]);
  }
  ck_assert_double_gt(fabs(vHw), 1e-4);
  near(wHv, vHw, 1e-14);
  for (int j = 0; j < n_in; j++) {
    cg_tensor *H, *one;
    int64_t n = cg_tensor_numel(in[j]);
    ck_assert_int_eq(cg_hessian(tape, y, in[j], &H, 0), CG_OK);
    ck_assert_int_eq(cg_hvp(tape, y, &in[j], &v[j], 1, &one, 0), CG_OK);
    for (int64_t i = 0; i < n; i++) {
      double sum = 0;
      for (int64_t k = 0; k < n; k++) {
        near(cg_tensor_get(H, i * n + k), cg_tensor_get(H, k * n + i), 1e-14);
        sum += cg_tensor_get(H, i * n + k) * cg_tensor_get(v[j], k);
      }
      near(cg_tensor_get(one, i), sum, 1e-14);
    }
  }
  for (int j = 0; j < N_IN; j++) cg_leaf_free(in[j]);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("derivative");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, quadratic_form);
  tcase_add_test(tc, softmax_jacobian);
  tcase_add_test(tc, shapes_of_a_jacobian);
  tcase_add_test(tc, empty_tensors);
  tcase_add_loop_test(tc, forward_and_reverse_agree, 0, N_OF(graphs));
  tcase_add_loop_test(tc, hessians_agree, 0, N_OF(graphs));
  return run_case("derivative", tc);
}
