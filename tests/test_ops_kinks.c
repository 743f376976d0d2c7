/* test_ops_kinks.c - gradients of elementwise ops where differences cannot
 * check them: at kinks, ties and edges, at NaN, under infinite gradients. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

typedef cg_tensor *(*unary_fn)(cg_tape *, cg_tensor *);
typedef cg_tensor *(*binary_fn)(cg_tape *, cg_tensor *, cg_tensor *);

static cg_tensor *leaky(cg_tape *t, cg_tensor *x) {
  return cg_leaky_relu(t, x, 0.375);
}
static cg_tensor *elu(cg_tape *t, cg_tensor *x) { return cg_elu(t, x, 0.625); }
static cg_tensor *clamp(cg_tape *t, cg_tensor *x) {
  return cg_clamp(t, x, -1.25, 2.375);
}
static cg_tensor *crossed(cg_tape *t, cg_tensor *x) {
  return cg_clamp(t, x, 2.375, -1.25);
}

/* ---- one operand ---- */

enum { POINTS = 8 };
static const double points[POINTS] = {0,     -0.0,  -1.25,    2.375,
                                      -1.75, 3.625, INFINITY, NAN};

/* The derivative at each of the points, as PyTorch has it, but for relu, which
 * we let pass nothing at NaN. */
static const struct kink {
  unary_fn op;
  double d[POINTS];
} kinks[] = {
    {cg_abs, {0, 0, -1, 1, -1, 1, 1, 0}},
    {cg_sign, {0, 0, 0, 0, 0, 0, 0, 0}},
    {cg_relu, {0, 0, 0, 1, 0, 1, 1, 0}},
    {leaky, {0.375, 0.375, 0.375, 1, 0.375, 1, 1, 0.375}},
    {elu,
     {0.625, 0.625, 0.17906549803761881, 1, 0.10860871465652822, 1, 1, 1}},
    {clamp, {1, 1, 1, 1, 0, 0, 0, 0}},
    {crossed, {0, 0, 0, 0, 0, 0, 0, 0}},
    {cg_softplus,
     {0.5, 0.5, 0.22270013882530884, 0.91490095499297974, 0.14804719803168948,
      0.97404264280220321, 1, NAN}},
};

START_TEST(derivatives_at_kinks) {
  const struct kink *k = &kinks[_i];
  const double gy[POINTS] = {2.5, -1.5, 3.5, 0.25, -4.5, 6.5, -0.75, 8.5};
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = leaf_of(points, 1, (int64_t[]){POINTS});
    cg_dtype dtype = d ? CG_F32 : CG_F64;
    cg_tensor *y = k->op(tape, cg_cast(tape, x, dtype));
    cg_tensor *seed = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(POINTS), gy),
                              dtype);
    ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_OK);
    const cg_tensor *g = cg_tensor_grad(x);
    for (int i = 0; i < POINTS; i++)
      near(cg_tensor_get(g, i), k->d[i] * gy[i], d ? 1e-6 : 1e-14);
    cg_tape_reset(tape);
    cg_leaf_free(x);
  }
}
END_TEST

/* An unchosen branch must not turn an infinite gradient into NaN. */
START_TEST(infinite_gradients_stay_out) {
  cg_tensor *a = leaf_of((double[]){2.5, -1.75, 0.5}, 1, (int64_t[]){3});
  cg_tensor *b = leaf_of((double[]){1.5, 3.25, 0.5}, 1, (int64_t[]){3});
  cg_tensor *seed = cg_full(tape, CG_F64, CG_DIMS(3), INFINITY);
  cg_tensor *mask = cg_input(tape, CG_U8, CG_DIMS(3), (uint8_t[]){1, 0, 1});
  cg_tensor *y[] = {cg_where(tape, mask, a, b), cg_maximum(tape, a, b),
                    cg_minimum(tape, b, a)};
  const double ga[3][3] = {{INFINITY, 0, INFINITY},
                           {INFINITY, 0, INFINITY},
                           {0, INFINITY, INFINITY}};
  for (int k = 0; k < 3; k++) {
    cg_tensor *in[] = {a, b}, *g[2];
    ck_assert_int_eq(cg_grad(tape, &y[k], 1, &seed, in, 2, g, 0), CG_OK);
    near_all(g[0], ga[k], 3, 0);
    NEAR_ALL(g[1], 0, k < 2 ? 0 : INFINITY, k < 2 ? INFINITY : 0,
             k ? INFINITY : 0);
  }
  cg_tensor *c = cg_clamp(tape, a, 0, 1), *in[] = {a}, *g[1];
  ck_assert_int_eq(cg_grad(tape, &c, 1, &seed, in, 1, g, 0), CG_OK);
  NEAR_ALL(g[0], 0, 0, 0, INFINITY);
  cg_tape_reset(tape);
  cg_leaf_free(a);
  cg_leaf_free(b);
}
END_TEST

/* ---- two operands ---- */

/* less, greater, equal, and NaN on either side. */
static const double left[] = {-1.75, 2.5, 0.625, NAN, 1.5};
static const double right[] = {3.5, 0.25, 0.625, 1.5, NAN};

static void check_ties(binary_fn op, const double *share_a,
                       const double *share_b) {
  const double gy[] = {2.5, -1.5, 3.5, 0.25, -4.5};
  cg_tensor *a = leaf_of(left, 1, (int64_t[]){5});
  cg_tensor *b = leaf_of(right, 1, (int64_t[]){5});
  cg_tensor *seed = cg_input(tape, CG_F64, CG_DIMS(5), gy);
  cg_tensor *y = op(tape, a, b);
  ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_OK);
  for (int i = 0; i < 5; i++) {
    near(cg_tensor_get(cg_tensor_grad(a), i), gy[i] * share_a[i], 0);
    near(cg_tensor_get(cg_tensor_grad(b), i), gy[i] * share_b[i], 0);
  }
  cg_tape_reset(tape);
  cg_leaf_free(a);
  cg_leaf_free(b);
}

START_TEST(ties_are_halved) {
  const double few[] = {0, 1, 0.5, 1, 1}, rest[] = {1, 0, 0.5, 1, 1};
  check_ties(cg_maximum, few, rest);
  check_ties(cg_minimum, rest, few);
}
END_TEST

/* A tie with oneself, and one that broadcasting makes. */
START_TEST(ties_of_shared_operands) {
  cg_tensor *x = leaf_of((double[]){1.5, -2.5}, 1, (int64_t[]){2});
  cg_tensor *y = cg_sum_all(tape, cg_maximum(tape, x, x));
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  NEAR_ALL(cg_tensor_grad(x), 0, 1, 1);
  cg_leaf_zero_grad(x);
  cg_tensor *s = scalar_leaf(-2.5);
  y = cg_sum_all(tape, cg_maximum(tape, s, x));
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  NEAR_ALL(cg_tensor_grad(x), 0, 1, 0.5);
  NEAR_ALL(cg_tensor_grad(s), 0, 0.5);
  cg_tape_reset(tape);
  cg_leaf_free(x);
  cg_leaf_free(s);
}
END_TEST

/* masked_fill lets nothing through where it filled. */
START_TEST(filled_places_have_no_gradient) {
  cg_tensor *x = leaf_of((double[]){1.5, -2.5, 0.75}, 1, (int64_t[]){3});
  cg_tensor *mask = cg_gt(tape, x, cg_scalar(tape, CG_F64, 0.5));
  cg_tensor *y = cg_masked_fill(tape, cg_square(tape, x), mask, NAN);
  NEAR_ALL(y, 0, NAN, 6.25, NAN);
  cg_tensor *seed = cg_input(tape, CG_F64, CG_DIMS(3), (double[]){7, 0.5, 9});
  ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_OK);
  NEAR_ALL(cg_tensor_grad(x), 0, 0, -2.5, 0);
  cg_tape_reset(tape);
  cg_leaf_free(x);
}
END_TEST

/* ---- higher orders ---- */

static cg_tensor *derivative(cg_tensor *y, cg_tensor *x) {
  cg_tensor *ones = cg_full(tape, CG_F64, cg_tensor_rank(y),
                            cg_tensor_shape(y), 1), *g;
  cg_status status = cg_grad(tape, &y, 1, &ones, &x, 1, &g, CG_CREATE_GRAPH);
  ck_assert_msg(status == CG_OK, "%s", cg_tape_error(tape)->message);
  return g;
}

/* gelu''' = (x^3 - 4 x) phi, softplus''' = s (1 - s) (1 - 2 s), elu''' =
 * alpha e^x or 0, cos''' = sin, and 1/x, log(1 + x) by hand. */
START_TEST(third_derivatives) {
  const double x0 = -0.8125, s = 1 / (1 + exp(0.8125));
  const double phi = exp(-0.5 * x0 * x0) / sqrt(2 * acos(-1));
  const struct {
    unary_fn op;
    double want;
  } third[] = {
      {cg_gelu, (x0 * x0 * x0 - 4 * x0) * phi},
      {cg_softplus, s * (1 - s) * (1 - 2 * s)},
      {elu, 0.625 * exp(x0)},
      {cg_cos, sin(x0)},
      {cg_sin, -cos(x0)},
      {cg_expm1, exp(x0)},
      {cg_reciprocal, -6 / pow(x0, 4)},
      {cg_log1p, 2 / pow(1 + x0, 3)},
  };
  cg_tensor *x = scalar_leaf(x0);
  for (int k = 0; k < N_OF(third); k++) {
    cg_tensor *y = third[k].op(tape, x);
    y = derivative(derivative(derivative(y, x), x), x);
    near(cg_tensor_item(y), third[k].want, 1e-13);
  }
  cg_tape_reset(tape);
  cg_leaf_free(x);
}
END_TEST

/* x |x| has the derivative 2 |x| and the second derivative 2 sign x. */
START_TEST(second_derivative_through_abs) {
  cg_tensor *x = leaf_of((double[]){-1.5, 0, 0.75}, 1, (int64_t[]){3});
  cg_tensor *d = derivative(cg_mul(tape, x, cg_abs(tape, x)), x);
  NEAR_ALL(d, 0, 3, 0, 1.5);
  NEAR_ALL(derivative(d, x), 0, -2, 0, 2);
  cg_tape_reset(tape);
  cg_leaf_free(x);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, derivatives_at_kinks, 0, N_OF(kinks));
  tcase_add_test(tc, infinite_gradients_stay_out);
  tcase_add_test(tc, ties_are_halved);
  tcase_add_test(tc, ties_of_shared_operands);
  tcase_add_test(tc, filled_places_have_no_gradient);
  tcase_add_test(tc, third_derivatives);
  tcase_add_test(tc, second_derivative_through_abs);
  return run_case("ops_kinks", tc);
}
