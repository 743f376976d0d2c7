/* test_ops_reduce.c - max, min, argmax, argmin, var, norm, logsumexp and
 * cumsum: ties and edges, strided and empty operands, and what they refuse.
 * Figures of PyTorch are in test_ops_torch_other.c. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

#define V(dims, ...) \
  cg_input(tape, CG_F64, dims, (const double[]){__VA_ARGS__})
#define AXES(...) \
  (const int[]){__VA_ARGS__}, N_OF(((const int[]){__VA_ARGS__}))
#define ALL NULL, 0

static const int last = -1;

/* dL/dx of the sum of y. */
static const cg_tensor *gradient(cg_tensor *y, cg_tensor *x) {
  cg_tensor *loss = cg_sum_all(tape, y);
  cg_leaf_zero_grad(x);
  ck_assert_msg(cg_backward(tape, loss) == CG_OK, "%s",
                cg_tape_error(tape)->message);
  return cg_tensor_grad(x);
}

/* ---- max and min ---- */

/* Many elements, in both types, along contiguous and strided axes: against a
 * loop. */
START_TEST(extremes_of_many) {
  enum { R = 7, C = 153 };
  cg_dtype dtype = _i ? CG_F64 : CG_F32;
  cg_rng rng = cg_rng_seed(11);
  cg_tensor *x = cg_rand_normal(tape, &rng, dtype, CG_DIMS(R, C));
  cg_tensor *rows = cg_max(tape, x, &last, 1, false);
  cg_tensor *columns = cg_min(tape, x, AXES(0), false);
  cg_tensor *turned = cg_max(tape, cg_transpose(tape, x, 0, 1), AXES(0), false);
  cg_tensor *back = cg_min(tape, cg_flip(tape, x, AXES(0, 1)), AXES(0), false);
  cg_tensor *all = cg_max(tape, x, ALL, false);
  has_shape(rows, CG_DIMS(R));
  has_shape(columns, CG_DIMS(C));
  has_shape(all, 0, NULL);
  double largest = -INFINITY;
  for (int r = 0; r < R; r++) {
    double want = -INFINITY;
    for (int c = 0; c < C; c++) want = fmax(want, cg_tensor_get(x, r * C + c));
    ck_assert_double_eq(cg_tensor_get(rows, r), want);
    ck_assert_double_eq(cg_tensor_get(turned, r), want);
    largest = fmax(largest, want);
  }
  ck_assert_double_eq(cg_tensor_item(all), largest);
  for (int c = 0; c < C; c++) {
    double want = INFINITY;
    for (int r = 0; r < R; r++) want = fmin(want, cg_tensor_get(x, r * C + c));
    ck_assert_double_eq(cg_tensor_get(columns, c), want);
    ck_assert_double_eq(cg_tensor_get(back, C - 1 - c), want);
  }
}
END_TEST

START_TEST(ties_share_the_gradient) {
  const double v[] = {2.5, -1, 2.5, 2.5, 0.5, 0.25, 0.125, 0.5};
  cg_tensor *x = leaf_of(v, CG_DIMS(2, 4));
  cg_tensor *y = cg_max(tape, x, &last, 1, true);
  has_shape(y, CG_DIMS(2, 1));
  const double third = 1.0 / 3;
  NEAR_ALL(gradient(y, x), 1e-15, third, 0, third, third, 0.5, 0, 0, 0.5);
  NEAR_ALL(gradient(cg_min(tape, x, ALL, false), x), 0, 0, 1, 0, 0, 0, 0, 0,
           0);
  cg_leaf_free(x);
}
END_TEST

START_TEST(infinities_and_nan) {
  cg_tensor *x = V(CG_DIMS(3, 2), -INFINITY, -INFINITY, 1.5, NAN, INFINITY, 2);
  NEAR_ALL(cg_max(tape, x, &last, 1, false), 0, -INFINITY, NAN, INFINITY);
  NEAR_ALL(cg_min(tape, x, &last, 1, false), 0, -INFINITY, NAN, 2);
  NEAR_ALL(cg_argmax(tape, x, -1, false), 0, 0, 1, 0);
  NEAR_ALL(cg_argmin(tape, x, -1, false), 0, 0, 1, 1);
  /* A NaN among many, and NaN first. */
  double many[140] = {3};
  many[33] = NAN;
  cg_tensor *row = cg_input(tape, CG_F64, CG_DIMS(140), many);
  near(cg_tensor_item(cg_max(tape, row, ALL, false)), NAN, 0);
  near(cg_tensor_item(cg_min(tape, row, ALL, false)), NAN, 0);
  NEAR_ALL(cg_argmin(tape, row, 0, false), 0, 33);
  NEAR_ALL(cg_argmax(tape, V(CG_DIMS(3), NAN, 9, NAN), 0, false), 0, 0);
}
END_TEST

START_TEST(first_of_equals) {
  cg_tensor *x = V(CG_DIMS(2, 4), 1, 7.5, 7.5, 1, -0.0, 0.0, 0.0, -3);
  cg_tensor *most = cg_argmax(tape, x, 1, true);
  has_shape(most, CG_DIMS(2, 1));
  ck_assert_int_eq(cg_tensor_dtype(most), CG_I64);
  NEAR_ALL(most, 0, 1, 0);
  NEAR_ALL(cg_argmin(tape, x, 1, false), 0, 0, 3);
  cg_tensor *f32 = cg_cast(tape, cg_transpose(tape, x, 0, 1), CG_F32);
  NEAR_ALL(cg_argmax(tape, f32, 0, false), 0, 1, 0);
  NEAR_ALL(cg_argmax(tape, cg_flip(tape, x, AXES(1)), 1, false), 0, 1, 1);
}
END_TEST

START_TEST(nothing_to_choose_from) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(3, 0), 0);
  has_shape(cg_max(tape, x, AXES(0), false), CG_DIMS(0));
  has_shape(cg_argmin(tape, x, 0, true), CG_DIMS(1, 0));
  ck_assert_ptr_null(cg_max(tape, x, &last, 1, false));
  failed(tape, CG_ERR_SHAPE, "max", "axis 1 of [3, 0] has no elements");
  ck_assert_ptr_null(cg_min(tape, x, ALL, false));
  failed(tape, CG_ERR_SHAPE, "min", "no elements");
  ck_assert_ptr_null(cg_argmax(tape, x, 1, false));
  failed(tape, CG_ERR_SHAPE, "argmax", "axis 1 of [3, 0] has no elements");
}
END_TEST

/* As many rows as it takes: nothing is done for each. */
START_TEST(rows_without_elements) {
  int64_t rows = (int64_t)1 << 56;
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(rows, 0), 0.5);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, 0), 0.5);
  has_shape(cg_cumsum(tape, x, 1, false), CG_DIMS(rows, 0));
  has_shape(cg_softmax(tape, x, 1), CG_DIMS(rows, 0));
  has_shape(cg_log_softmax(tape, x, 1), CG_DIMS(rows, 0));
  has_shape(cg_sum(tape, x, (int[]){0}, 1, false), CG_DIMS(0));
  has_shape(cg_logsumexp(tape, x, 0, false), CG_DIMS(0));
  has_shape(cg_matmul(tape, x, none), CG_DIMS(rows, 0));
  has_shape(cg_matmul_t(tape, none, x, false, true), CG_DIMS(0, rows));
  has_shape(cg_transpose(tape, x, 0, 1), CG_DIMS(0, rows));
  has_shape(cg_contiguous(tape, cg_transpose(tape, x, 0, 1)),
            CG_DIMS(0, rows));
  has_shape(cg_concat(tape, (cg_tensor *[]){x, x}, 2, 1), CG_DIMS(rows, 0));
  has_shape(cg_stack(tape, (cg_tensor *[]){x, x}, 2, 0), CG_DIMS(2, rows, 0));
  fine(tape);
}
END_TEST

/* Sums over many rows, and the gradient of what was added to each, are as exact
 * as those of one long row. */
START_TEST(sums_of_columns) {
  enum { MANY = 300000 };
  const int64_t columns[] = {1, 2, 5}, n = columns[_i];
  const double exact = MANY * (double)0.1f;
  cg_tensor *x = cg_full(tape, CG_F32, CG_DIMS(MANY, n), 0.1f);
  cg_tensor *sum = cg_sum(tape, x, AXES(0), false);
  cg_tensor *b = cg_leaf_new(NULL, CG_F32, CG_DIMS(n), NULL);
  cg_leaf_set_requires_grad(b, true);
  const cg_tensor *g = gradient(cg_mul(tape, x, cg_add(tape, b, x)), b);
  for (int i = 0; i < n; i++) {
    near(cg_tensor_get(sum, i), exact, 2e-6);
    near(cg_tensor_get(g, i), exact, 2e-6);
  }
  cg_leaf_free(b);
}
END_TEST

/* The same over an axis with two behind it, or one on either side. */
START_TEST(sums_over_an_axis_among_others) {
  enum { MANY = 100000 };
  const double exact = MANY * (double)0.1f;
  cg_tensor *first = cg_full(tape, CG_F32, CG_DIMS(MANY, 3, 2), 0.1f);
  cg_tensor *middle = cg_full(tape, CG_F32, CG_DIMS(2, MANY, 3), 0.1f);
  cg_tensor *sum = cg_sum(tape, _i ? middle : first, AXES(_i), false);
  ck_assert_int_eq(cg_tensor_numel(sum), 6);
  for (int i = 0; i < 6; i++) near(cg_tensor_get(sum, i), exact, 2e-6);
}
END_TEST

START_TEST(wrong_axes_and_types) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  cg_tensor *i = cg_full(tape, CG_I64, CG_DIMS(2, 3), 1);
  ck_assert_ptr_null(cg_max(tape, x, AXES(2), false));
  failed(tape, CG_ERR_ARG, "max", "axis 2 of [2, 3] is out of range");
  ck_assert_ptr_null(cg_min(tape, x, AXES(0, -2), false));
  failed(tape, CG_ERR_ARG, "min", "axis -2 of [2, 3] is named twice");
  ck_assert_ptr_null(cg_max(tape, x, NULL, 1, false));
  failed(tape, CG_ERR_ARG, "max", "1 axes");
  ck_assert_ptr_null(cg_argmin(tape, x, -3, false));
  failed(tape, CG_ERR_ARG, "argmin", "axis -3 of shape [2, 3]");
  ck_assert_ptr_null(cg_cumsum(tape, x, 2, false));
  failed(tape, CG_ERR_ARG, "cumsum", "axis 2 of shape [2, 3]");
  ck_assert_ptr_null(cg_logsumexp(tape, x, 2, false));
  failed(tape, CG_ERR_ARG, "logsumexp", "axis 2 of [2, 3] is out of range");
  ck_assert_ptr_null(cg_max(tape, i, ALL, false));
  failed(tape, CG_ERR_DTYPE, "max", "i64");
  ck_assert_ptr_null(cg_argmax(tape, i, 0, false));
  failed(tape, CG_ERR_DTYPE, "argmax", "i64");
  ck_assert_ptr_null(cg_cumsum(tape, i, 0, false));
  failed(tape, CG_ERR_DTYPE, "cumsum", "i64");
  ck_assert_ptr_null(cg_var(tape, x, ALL, -1, false));
  failed(tape, CG_ERR_ARG, "var", "correction -1");
  ck_assert_ptr_null(cg_extreme_share(tape, x, cg_full(tape, CG_F64,
                                                       CG_DIMS(2, 2, 3), 1)));
  failed(tape, CG_ERR_SHAPE, "extreme_share",
         "[2, 2, 3] does not broadcast to [2, 3]");
}
END_TEST

/* ---- var and norm ---- */

START_TEST(variance_of_few) {
  cg_tensor *x = V(CG_DIMS(2, 1), 2.5, -7.25);
  NEAR_ALL(cg_var(tape, x, &last, 1, 0, false), 0, 0, 0);
  NEAR_ALL(cg_var(tape, x, &last, 1, 1, false), 0, NAN, NAN);
  NEAR_ALL(cg_var(tape, x, &last, 1, 3, true), 0, NAN, NAN);
  NEAR_ALL(cg_var(tape, x, ALL, 1, false), 1e-15, 9.75 * 9.75 / 2);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(2, 0), 0);
  NEAR_ALL(cg_var(tape, none, &last, 1, 0, false), 0, NAN, NAN);
  has_shape(cg_var(tape, none, AXES(0), 1, false), CG_DIMS(0));
  cg_tensor *one = leaf_of((const double[]){3.5}, CG_DIMS(1));
  NEAR_ALL(gradient(cg_var(tape, one, ALL, 1, false), one), 0, NAN);
  cg_leaf_free(one);
}
END_TEST

/* A large mean must not drown the variance. */
START_TEST(variance_far_from_zero) {
  cg_tensor *x = V(CG_DIMS(4), 1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16);
  NEAR_ALL(cg_var(tape, x, ALL, 1, false), 1e-12, 30);
}
END_TEST

START_TEST(norm_at_zero) {
  cg_tensor *x = leaf_of((const double[]){0, 0, 3, -4}, CG_DIMS(2, 2));
  cg_tensor *y = cg_norm(tape, x, &last, 1, false);
  NEAR_ALL(y, 1e-15, 0, 5);
  NEAR_ALL(gradient(y, x), 1e-15, 0, 0, 0.6, -0.8);
  /* The second derivative too. */
  cg_tensor *g, *gg;
  y = cg_sum_all(tape, cg_norm(tape, x, &last, 1, false));
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &x, 1, &g, CG_CREATE_GRAPH),
                   CG_OK);
  cg_tensor *s = cg_sum_all(tape, cg_mul(tape, g, V(CG_DIMS(2), 1, 0)));
  ck_assert_int_eq(cg_grad(tape, &s, 1, NULL, &x, 1, &gg, 0), CG_OK);
  NEAR_ALL(gg, 1e-15, 0, 0, 16 / 125.0, 12 / 125.0);
  NEAR_ALL(cg_norm(tape, cg_full(tape, CG_F64, CG_DIMS(0), 0), ALL, false), 0,
           0);
  cg_leaf_free(x);
}
END_TEST

/* ---- logsumexp and cumsum ---- */

START_TEST(logsumexp_of_infinities) {
  const double m = -INFINITY, p = INFINITY;
  cg_tensor *x = leaf_of((const double[]){m, m, m, 0.5, p, 1, NAN, p, m, NAN},
                         CG_DIMS(5, 2));
  cg_tensor *y = cg_logsumexp(tape, x, 1, false);
  NEAR_ALL(y, 1e-15, m, 0.5, p, NAN, NAN);
  cg_tensor *two = cg_narrow(tape, y, 0, 0, 2);
  cg_tensor *g;
  ck_assert_int_eq(cg_grad(tape, &two, 1, (cg_tensor *[]){V(CG_DIMS(2), 1, 3)},
                           &x, 1, &g, 0),
                   CG_OK);
  for (int i = 0; i < 4; i++) near(cg_tensor_get(g, i), i == 3 ? 3 : 0, 1e-15);
  cg_leaf_free(x);
  NEAR_ALL(cg_logsumexp(tape, cg_full(tape, CG_F64, CG_DIMS(2, 0), 0), 1,
                        false),
           0, m, m);
}
END_TEST

START_TEST(logsumexp_does_not_overflow) {
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = cg_cast(tape, V(CG_DIMS(3), 7e4, 7e4, 7e4), (cg_dtype)d);
    near(cg_tensor_item(cg_logsumexp(tape, x, 0, false)), 7e4 + log(3),
         d ? 1e-15 : 1e-7);
    cg_tensor *far = cg_mul_scalar(tape, x, -1);
    near(cg_tensor_item(cg_logsumexp(tape, far, 0, false)), -7e4 + log(3),
         d ? 1e-15 : 1e-7);
  }
}
END_TEST

START_TEST(running_sums) {
  cg_tensor *x = V(CG_DIMS(2, 3), 1.5, -2, 4, 0.25, 8, -16);
  NEAR_ALL(cg_cumsum(tape, x, 1, false), 0, 1.5, -0.5, 3.5, 0.25, 8.25, -7.75);
  NEAR_ALL(cg_cumsum(tape, x, -1, true), 0, 3.5, 2, 4, -7.75, -8, -16);
  NEAR_ALL(cg_cumsum(tape, x, 0, false), 0, 1.5, -2, 4, 1.75, 6, -12);
  cg_tensor *turned = cg_transpose(tape, x, 0, 1);
  NEAR_ALL(cg_cumsum(tape, cg_cast(tape, turned, CG_F32), 1, true), 0, 1.75,
           0.25, 6, 8, -12, -16);
  has_shape(cg_cumsum(tape, cg_full(tape, CG_F64, CG_DIMS(0, 3), 0), 0, true),
            CG_DIMS(0, 3));
  /* Sums of float32 run in float64: 2^24 + 1 + 1 is not stuck at 2^24. */
  cg_tensor *big = cg_cast(tape, V(CG_DIMS(3), 0x1p24, 1, 1), CG_F32);
  near(cg_tensor_get(cg_cumsum(tape, big, 0, false), 2), 0x1p24 + 2, 0);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("reductions");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, extremes_of_many, 0, 2);
  tcase_add_test(tc, ties_share_the_gradient);
  tcase_add_test(tc, infinities_and_nan);
  tcase_add_test(tc, first_of_equals);
  tcase_add_test(tc, nothing_to_choose_from);
  tcase_add_test(tc, rows_without_elements);
  tcase_add_loop_test(tc, sums_of_columns, 0, 3);
  tcase_add_loop_test(tc, sums_over_an_axis_among_others, 0, 2);
  tcase_add_test(tc, wrong_axes_and_types);
  tcase_add_test(tc, variance_of_few);
  tcase_add_test(tc, variance_far_from_zero);
  tcase_add_test(tc, norm_at_zero);
  tcase_add_test(tc, logsumexp_of_infinities);
  tcase_add_test(tc, logsumexp_does_not_overflow);
  tcase_add_test(tc, running_sums);
  return run_case("reductions", tc);
}
