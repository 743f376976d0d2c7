/* test_ops_softmax.c - softmax, log_softmax, cross entropy and mse: values by
 * hand and against plain sums, rows of any length, infinite and huge logits,
 * strided operands, and what they refuse. */
#include "engine_test.h"

#include <fenv.h>

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

static const cg_dtype both[] = {CG_F32, CG_F64};
static const double tolerance[] = {3e-6, 1e-14};

/* Logits 2.385 + log of 1, 2, 5, 8: p = 1/16, 2/16, 5/16, 8/16. */
#define O4 2.385, 3.0781471805599454, 3.9944379124341003, 4.4644415416798357
#define P4 0.0625, 0.125, 0.3125, 0.5
#define LOG_P4                                                        \
  -2.7725887222397811, -2.0794415416798357, -1.1631508098056809,      \
      -0.69314718055994529

/* Numbers between -3 and 3 without a pattern. */
static double some(int64_t i) { return 3 * sin(1.7 * (double)(i * i + 3 * i)); }

/* ---- values ---- */

START_TEST(softmax_by_hand) {
  cg_tensor *x = F(both[_i], CG_DIMS(4), O4);
  NEAR_ALL(cg_softmax(tape, x, 0), tolerance[_i], P4);
  NEAR_ALL(cg_log_softmax(tape, x, -1), tolerance[_i], LOG_P4);
  ck_assert_int_eq(cg_tensor_dtype(cg_softmax(tape, x, 0)), both[_i]);
  fine(tape);
}
END_TEST

START_TEST(cross_entropy_by_hand) {
  cg_tensor *o = F(both[_i], CG_DIMS(2, 4), O4, O4);
  cg_tensor *y = I(CG_DIMS(2), 3, 0);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  has_shape(loss, CG_DIMS(2));
  NEAR_ALL(loss, tolerance[_i], 0.69314718055994529, 2.7725887222397811);
  cg_tensor *gy = F(both[_i], CG_DIMS(2), -2, 0.5);
  cg_tensor *with = cg_cross_entropy_grad(tape, gy, o, y, loss);
  cg_tensor *without = cg_cross_entropy_grad(tape, gy, o, y, NULL);
  const double want[] = {-0.125,   -0.25,  -0.625,  1,
                         -0.46875, 0.0625, 0.15625, 0.25};
  near_all(with, want, 8, tolerance[_i]);
  near_all(without, want, 8, tolerance[_i]);
  fine(tape);
}
END_TEST

START_TEST(scalar_targets_and_losses) {
  cg_tensor *o = F(both[_i], CG_DIMS(4), O4);
  cg_tensor *y = cg_input(tape, CG_I64, 0, NULL, (int64_t[]){2});
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  has_shape(loss, 0, NULL);
  NEAR_ALL(loss, tolerance[_i], 1.1631508098056809);
}
END_TEST

START_TEST(mse_by_hand) {
  cg_tensor *a = F(both[_i], CG_DIMS(2, 2), 1.5, -2, 0.25, 3);
  cg_tensor *b = F(both[_i], CG_DIMS(2), 0.5, 1);
  cg_tensor *loss = cg_mse(tape, a, b);
  has_shape(loss, 0, NULL);
  NEAR_ALL(loss, tolerance[_i], (1 + 9 + 0.0625 + 4) / 4);
}
END_TEST

/* Rows of every length around a block of 16 and a chunk of 512, along each
 * axis, against sums in double. */
START_TEST(rows_of_any_length) {
  static const int64_t length[] = {1,  2,  15,  16,  17,  31,  32,  33,
                                   65, 511, 512, 513, 527, 1024, 1301};
  const int64_t n = length[_i];
  double x[2 * 1301], p[2 * 1301];
  for (int64_t i = 0; i < 2 * n; i++) x[i] = some(i);
  for (int r = 0; r < 2; r++) {
    double s = 0;
    for (int64_t k = 0; k < n; k++) s += exp(x[r * n + k]);
    for (int64_t k = 0; k < n; k++) p[r * n + k] = exp(x[r * n + k]) / s;
  }
  for (int d = 0; d < 2; d++) {
    cg_tensor *o = constant_of(tape, both[d], x, CG_DIMS(2, n));
    cg_tensor *y = I(CG_DIMS(2), n - 1, n / 2);
    cg_tensor *soft = cg_softmax(tape, o, 1), *loss;
    cg_tensor *log_p = cg_log_softmax(tape, o, 1);
    near_all(soft, p, (int)(2 * n), tolerance[d]);
    near_all(cg_exp(tape, log_p), p, (int)(2 * n), tolerance[d]);
    loss = cg_cross_entropy(tape, o, y);
    NEAR_ALL(loss, tolerance[d], -log(p[n - 1]), -log(p[n + n / 2]));
    cg_tensor *g = cg_cross_entropy_grad(
        tape, cg_full(tape, both[d], CG_DIMS(2), 1), o, y, loss);
    for (int64_t i = 0; i < 2 * n; i++)
      near(cg_tensor_get(g, i), p[i] - (i == n - 1 || i == n + n / 2),
           tolerance[d]);
  }
  fine(tape);
}
END_TEST

/* ---- the same result wherever an element lies ---- */

/* x [5, 3, 37] along axis 0, 1 or 2, equals the rows taken one by one, to the
 * last bit; so do transposed operands. */
START_TEST(a_row_is_a_row) {
  double v[5 * 3 * 37];
  for (int i = 0; i < N_OF(v); i++) v[i] = some(i);
  cg_tensor *x = constant_of(tape, both[_i % 2], v, CG_DIMS(5, 3, 37));
  const int axis = _i / 2;
  const int64_t n = cg_tensor_dim(x, axis);
  const int order[3][3] = {{1, 2, 0}, {0, 2, 1}, {0, 1, 2}};
  cg_tensor *all = cg_permute(tape, cg_softmax(tape, x, axis), order[axis]);
  cg_tensor *log_all =
      cg_permute(tape, cg_log_softmax(tape, x, axis), order[axis]);
  cg_tensor *dense = cg_contiguous(tape, cg_permute(tape, x, order[axis]));
  cg_tensor *rows = cg_reshape(tape, dense, CG_DIMS(N_OF(v) / n, n));
  for (int64_t r = 0; r < N_OF(v) / n; r++) {
    cg_tensor *row = cg_select(tape, rows, 0, r);
    cg_tensor *p = cg_softmax(tape, row, 0);
    cg_tensor *l = cg_log_softmax(tape, row, 0);
    for (int64_t k = 0; k < n; k++) {
      ck_assert(cg_tensor_get(p, k) == cg_tensor_get(all, r * n + k));
      ck_assert(cg_tensor_get(l, k) == cg_tensor_get(log_all, r * n + k));
    }
  }
  fine(tape);
}
END_TEST

START_TEST(strided_cross_entropy) {
  const cg_dtype d = both[_i];
  cg_tensor *columns = F(d, CG_DIMS(3, 2), 0.5, -1.5, 2.25, 0.125, -3, 1.75);
  cg_tensor *o = cg_transpose(tape, columns, 0, 1);
  cg_tensor *wide = I(CG_DIMS(2, 2), 2, 9, 1, 9);
  cg_tensor *y = cg_select(tape, wide, 1, 0); /* 2 1 */
  cg_tensor *gy = cg_expand(tape, cg_scalar(tape, d, -0.75), CG_DIMS(2));
  cg_tensor *flat = cg_contiguous(tape, o), *yf = cg_contiguous(tape, y);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  cg_tensor *same = cg_cross_entropy(tape, flat, yf);
  cg_tensor *g = cg_cross_entropy_grad(tape, gy, o, y, loss);
  cg_tensor *h =
      cg_cross_entropy_grad(tape, cg_contiguous(tape, gy), flat, yf, same);
  fine(tape);
  for (int i = 0; i < 2; i++)
    ck_assert(cg_tensor_get(loss, i) == cg_tensor_get(same, i));
  for (int i = 0; i < 6; i++)
    ck_assert(cg_tensor_get(g, i) == cg_tensor_get(h, i));
  near(cg_tensor_get(loss, 0), 3 + log(exp(0.5) + exp(2.25) + exp(-3)),
       tolerance[_i]);
}
END_TEST

/* Rows are taken together, but none knows of the others: 37 rows and each by
 * itself. */
START_TEST(losses_of_rows_and_of_one) {
  enum { ROWS = 37, MOST = 65 };
  static const int64_t lengths[] = {3, 16, 65};
  const int64_t n = lengths[_i / 2];
  double v[ROWS * MOST];
  int64_t target[ROWS];
  for (int i = 0; i < N_OF(v); i++) v[i] = some(i);
  for (int r = 0; r < ROWS; r++) target[r] = r * r % n;
  cg_tensor *o = constant_of(tape, both[_i % 2], v, CG_DIMS(ROWS, n));
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(ROWS), target);
  cg_tensor *gy = cg_full(tape, both[_i % 2], CG_DIMS(ROWS), 0.375);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  cg_tensor *g = cg_cross_entropy_grad(tape, gy, o, y, loss);
  for (int64_t r = 0; r < ROWS; r++) {
    cg_tensor *o_r = cg_select(tape, o, 0, r), *y_r = cg_select(tape, y, 0, r);
    cg_tensor *loss_r = cg_cross_entropy(tape, o_r, y_r);
    cg_tensor *g_r = cg_cross_entropy_grad(
        tape, cg_scalar(tape, both[_i % 2], 0.375), o_r, y_r, loss_r);
    ck_assert(cg_tensor_get(loss_r, 0) == cg_tensor_get(loss, r));
    for (int64_t k = 0; k < n; k++)
      ck_assert(cg_tensor_get(g_r, k) == cg_tensor_get(g, r * n + k));
  }
  fine(tape);
}
END_TEST

/* What fills up a register raises no floating-point exceptions, for who has
 * them trapped. */
START_TEST(finite_rows_raise_no_exceptions) {
  enum { ROWS = 11, N = 19 };
  const int64_t n = _i / 2 ? N : 10;
  double v[ROWS * N];
  int64_t target[ROWS];
  for (int i = 0; i < N_OF(v); i++) v[i] = some(i);
  for (int r = 0; r < ROWS; r++) target[r] = r % n;
  cg_tensor *o = constant_of(tape, both[_i % 2], v, CG_DIMS(ROWS, n));
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(ROWS), target);
  cg_tensor *gy = cg_full(tape, both[_i % 2], CG_DIMS(ROWS), 0.375);
  feclearexcept(FE_ALL_EXCEPT);
  cg_softmax(tape, o, 1);
  cg_log_softmax(tape, o, 1);
  cg_logsumexp(tape, o, 1, false);
  cg_cross_entropy_grad(tape, gy, o, y, cg_cross_entropy(tape, o, y));
  cg_cross_entropy_grad(tape, gy, o, y, NULL);
  ck_assert_int_eq(fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW), 0);
  fine(tape);
}
END_TEST

/* ---- huge and infinite logits ---- */

/* Float32 probabilities e^x / (1 + e^x) keep their digits down to where the
 * normal numbers end, and then vanish. */
START_TEST(small_probabilities_in_float32) {
  const cg_tensor *p;
  for (float x = 0; x > -110; x -= 0.371f) {
    p = cg_softmax(tape, F(CG_F32, CG_DIMS(2), x, 0), 0);
    if (x > -87)
      near(cg_tensor_get(p, 0), exp(x) / (1 + exp(x)), 2.5e-7);
    else
      ck_assert(cg_tensor_get(p, 0) >= 0 && cg_tensor_get(p, 0) < 2e-38);
  }
  p = cg_softmax(tape, F(CG_F32, CG_DIMS(2), -110, 0), 0);
  ck_assert(cg_tensor_get(p, 0) == 0);
  fine(tape);
}
END_TEST

START_TEST(huge_logits_do_not_overflow) {
  const cg_dtype d = both[_i];
  cg_tensor *o = F(d, CG_DIMS(2, 2), 30000, 30001, -30001, -30000);
  const double p = 1 / (1 + exp(1)), q = 1 - p, lp = log(p), lq = log(q);
  NEAR_ALL(cg_softmax(tape, o, 1), tolerance[_i], p, q, p, q);
  NEAR_ALL(cg_log_softmax(tape, o, 1), tolerance[_i], lp, lq, lp, lq);
  cg_tensor *y = I(CG_DIMS(2), 0, 1), *one = cg_full(tape, d, CG_DIMS(2), 1);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  NEAR_ALL(loss, tolerance[_i], -lp, -lq);
  NEAR_ALL(cg_cross_entropy_grad(tape, one, o, y, loss), tolerance[_i], p - 1,
           q, p, q - 1);
}
END_TEST

/* Where the loss is large, o_y + loss has lost the digits of log sum e^o. */
START_TEST(a_large_loss_still_gives_exact_gradients) {
  const cg_dtype d = both[_i];
  cg_tensor *o = F(d, CG_DIMS(3), -1e8, 0.25, -1.125);
  cg_tensor *y = cg_input(tape, CG_I64, 0, NULL, (int64_t[]){0});
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  NEAR_ALL(loss, 1e-7, 1e8);
  const double p = 1 / (1 + exp(-1.375));
  NEAR_ALL(cg_cross_entropy_grad(tape, cg_scalar(tape, d, 1), o, y, loss),
           tolerance[_i], -1, p, 1 - p);
}
END_TEST

START_TEST(minus_infinity_is_probability_zero) {
  const cg_dtype d = both[_i];
  cg_tensor *o = F(d, CG_DIMS(2, 3), 0.5, -INFINITY, 0.5, 0.5, -INFINITY, 0.5);
  NEAR_ALL(cg_softmax(tape, o, 1), tolerance[_i], 0.5, 0, 0.5, 0.5, 0, 0.5);
  const double l = -log(2);
  NEAR_ALL(cg_log_softmax(tape, o, 1), tolerance[_i], l, -INFINITY, l, l,
           -INFINITY, l);
  cg_tensor *y = I(CG_DIMS(2), 2, 1), *two = cg_full(tape, d, CG_DIMS(2), 2);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  NEAR_ALL(loss, tolerance[_i], -l, INFINITY);
  NEAR_ALL(cg_cross_entropy_grad(tape, two, o, y, loss), tolerance[_i], 1, 0,
           -1, 1, -2, 1);
  NEAR_ALL(cg_cross_entropy_grad(tape, two, o, y, NULL), tolerance[_i], 1, 0,
           -1, 1, -2, 1);
}
END_TEST

/* log_softmax has no finite derivative for the masked logit's own output, but
 * the others' do not turn into NaN. */
START_TEST(masked_logits_have_gradient_zero) {
  cg_tensor *x = leaf_of((const double[]){0.5, -INFINITY, 0.5}, CG_DIMS(3)), *g;
  cg_tensor *y = cg_select(tape, cg_log_softmax(tape, x, 0), 0, 2);
  cg_grad(tape, &y, 1, NULL, &x, 1, &g, 0);
  fine(tape);
  NEAR_ALL(g, 1e-15, -0.5, 0, 0.5);
  y = cg_select(tape, cg_softmax(tape, x, 0), 0, 2);
  cg_grad(tape, &y, 1, NULL, &x, 1, &g, 0);
  NEAR_ALL(g, 1e-15, -0.25, 0, 0.25);
  cg_leaf_free(x);
}
END_TEST

/* Rows that have no softmax, next to one that has. */
START_TEST(undefined_rows_are_nan) {
  const double bad[][2] = {
      {-INFINITY, -INFINITY}, {INFINITY, 0.5}, {NAN, 0.5}, {0.5, NAN}};
  const cg_dtype d = both[_i % 2];
  const double *b = bad[_i / 2];
  cg_tensor *o = F(d, CG_DIMS(2, 2), b[0], b[1], 1.25, 1.25);
  cg_tensor *y = I(CG_DIMS(2), 1, 1), *one = cg_full(tape, d, CG_DIMS(2), 1);
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  cg_tensor *p = cg_softmax(tape, o, 1), *l = cg_log_softmax(tape, o, 1);
  cg_tensor *g = cg_cross_entropy_grad(tape, one, o, y, loss);
  fine(tape);
  ck_assert(isnan(cg_tensor_get(p, b[0] > 1 ? 0 : 1)));
  ck_assert(isnan(cg_tensor_get(l, b[0] > 1 ? 0 : 1)));
  if (!(b[0] > 1)) ck_assert(isnan(cg_tensor_get(loss, 0)));
  ck_assert(isnan(cg_tensor_get(g, b[0] > 1 ? 0 : 1)));
  near(cg_tensor_get(p, 2), 0.5, 1e-6);
  near(cg_tensor_get(l, 3), -log(2), 1e-6);
  near(cg_tensor_get(loss, 1), log(2), 1e-6);
  near(cg_tensor_get(g, 3), -0.5, 1e-6);
}
END_TEST

/* ---- derivatives through a whole graph ---- */

/* The second derivative of the loss is that of log sum exp: for <u, H v>, with
 * p as above, sum_k u_k p_k (v_k - <p, v>). */
START_TEST(second_derivative_by_hand) {
  cg_tensor *o = leaf_of((const double[]){O4}, CG_DIMS(4)), *g, *h;
  cg_tensor *y = cg_input(tape, CG_I64, 0, NULL, (int64_t[]){1});
  cg_tensor *loss = cg_cross_entropy(tape, o, y);
  cg_grad(tape, &loss, 1, NULL, &o, 1, &g, CG_CREATE_GRAPH);
  NEAR_ALL(g, 1e-14, 0.0625, -0.875, 0.3125, 0.5);
  cg_tensor *v = F(CG_F64, CG_DIMS(4), 2, -1, 0.5, 3); /* <p, v> = 1.65625 */
  cg_grad(tape, &g, 1, &v, &o, 1, &h, 0);
  fine(tape);
  NEAR_ALL(h, 1e-14, 0.0625 * 0.34375, 0.125 * -2.65625, 0.3125 * -1.15625,
           0.5 * 1.34375);
  cg_leaf_free(o);
}
END_TEST

START_TEST(mean_loss_gradient) {
  cg_tensor *o = leaf_of((const double[]){O4, O4}, CG_DIMS(2, 4));
  cg_tensor *losses = cg_cross_entropy(tape, o, I(CG_DIMS(2), 3, 0));
  ck_assert_int_eq(cg_backward(tape, cg_mean_all(tape, losses)), CG_OK);
  NEAR_ALL(cg_tensor_grad(o), 1e-14, 0.03125, 0.0625, 0.15625, -0.25, -0.46875,
           0.0625, 0.15625, 0.25);
  cg_leaf_free(o);
}
END_TEST

/* ---- nothing ---- */

START_TEST(empty_operands) {
  cg_tensor *no_rows = cg_input(tape, both[_i], CG_DIMS(0, 3), NULL);
  cg_tensor *no_columns = cg_input(tape, both[_i], CG_DIMS(3, 0), NULL);
  for (int axis = 0; axis < 2; axis++) {
    has_shape(cg_softmax(tape, no_rows, axis), CG_DIMS(0, 3));
    has_shape(cg_log_softmax(tape, no_columns, axis), CG_DIMS(3, 0));
  }
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(0), NULL);
  cg_tensor *loss = cg_cross_entropy(tape, no_rows, y);
  has_shape(loss, CG_DIMS(0));
  has_shape(cg_cross_entropy_grad(tape, loss, no_rows, y, loss), CG_DIMS(0, 3));
  fine(tape);
  cg_tensor *zeros = cg_input(tape, CG_I64, CG_DIMS(3), NULL);
  ck_assert_ptr_null(cg_cross_entropy(tape, no_columns, zeros));
  failed(tape, CG_ERR_ARG, "cross_entropy", "out of range for size 0");
}
END_TEST

/* ---- refused ---- */

START_TEST(wrong_axes) {
  cg_tensor *x = F(CG_F64, CG_DIMS(2, 2), 0.5, 1.5, -2, 8);
  ck_assert_ptr_null(cg_softmax(tape, x, 2));
  failed(tape, CG_ERR_ARG, "softmax", "axis 2 of shape [2, 2]");
  ck_assert_ptr_null(cg_log_softmax(tape, x, -3));
  failed(tape, CG_ERR_ARG, "log_softmax", "axis -3 of shape [2, 2]");
  ck_assert_ptr_null(cg_softmax(tape, cg_scalar(tape, CG_F64, 1), 0));
  failed(tape, CG_ERR_ARG, "softmax", "axis 0 of shape []");
}
END_TEST

START_TEST(wrong_types) {
  cg_tensor *x = F(CG_F64, CG_DIMS(2), 0.5, 1.5), *i = I(CG_DIMS(2), 0, 1);
  cg_tensor *y = cg_input(tape, CG_I64, 0, NULL, NULL);
  cg_tensor *gy = cg_scalar(tape, CG_F64, 1), *f = cg_scalar(tape, CG_F32, 1);
  ck_assert_ptr_null(cg_softmax(tape, i, 0));
  failed(tape, CG_ERR_DTYPE, "softmax", "has type i64");
  ck_assert_ptr_null(cg_cross_entropy(tape, x, gy));
  failed(tape, CG_ERR_DTYPE, "cross_entropy", "has type f64; indices are i64");
  ck_assert_ptr_null(cg_cross_entropy(tape, i, y));
  failed(tape, CG_ERR_DTYPE, "cross_entropy", "has type i64");
  ck_assert_ptr_null(cg_cross_entropy_grad(tape, f, x, y, NULL));
  failed(tape, CG_ERR_DTYPE, "cross_entropy_grad",
         "gy has type f32, the logits have f64");
  ck_assert_ptr_null(cg_cross_entropy_grad(tape, gy, x, y, f));
  failed(tape, CG_ERR_DTYPE, "cross_entropy_grad", "the loss has type f32");
}
END_TEST

START_TEST(wrong_shapes) {
  cg_tensor *o = F(CG_F64, CG_DIMS(3, 2), 0.5, 1.5, -2, 8, 0.25, 3);
  cg_tensor *pair = I(CG_DIMS(2), 0, 1), *y = I(CG_DIMS(3), 0, 1, 1);
  cg_tensor *g2 = cg_full(tape, CG_F64, CG_DIMS(2), 1.5);
  cg_tensor *g3 = cg_full(tape, CG_F64, CG_DIMS(3), 1.5);
  ck_assert_ptr_null(cg_cross_entropy(tape, o, pair));
  failed(tape, CG_ERR_SHAPE, "cross_entropy",
         "targets [2] do not fit logits [3, 2]");
  ck_assert_ptr_null(cg_cross_entropy(tape, cg_scalar(tape, CG_F64, 1), y));
  failed(tape, CG_ERR_SHAPE, "cross_entropy",
         "targets [3] do not fit logits []");
  ck_assert_ptr_null(cg_cross_entropy_grad(tape, g2, o, y, NULL));
  failed(tape, CG_ERR_SHAPE, "cross_entropy_grad",
         "gy has shape [2], the targets [3]");
  ck_assert_ptr_null(cg_cross_entropy_grad(tape, g3, o, y, g2));
  failed(tape, CG_ERR_SHAPE, "cross_entropy_grad",
         "the loss has shape [2], the targets [3]");
  ck_assert_ptr_null(cg_mse(tape, g2, g3));
  failed(tape, CG_ERR_SHAPE, "sub", "[2] and [3]");
}
END_TEST

START_TEST(wrong_targets) {
  cg_tensor *o = F(CG_F32, CG_DIMS(2, 3), 0.5, 1.5, -2, 8, 0.25, 3);
  cg_tensor *high = I(CG_DIMS(2), 2, 3), *low = I(CG_DIMS(2), -1, 0);
  cg_tensor *gy = cg_full(tape, CG_F32, CG_DIMS(2), 1.5);
  ck_assert_ptr_null(cg_cross_entropy(tape, o, high));
  failed(tape, CG_ERR_ARG, "cross_entropy", "index 3, element 1");
  ck_assert_ptr_null(cg_cross_entropy(tape, o, low));
  failed(tape, CG_ERR_ARG, "cross_entropy", "index -1, element 0");
  ck_assert_ptr_null(cg_cross_entropy_grad(tape, gy, o, high, gy));
  failed(tape, CG_ERR_ARG, "cross_entropy_grad", "size 3");
  ck_assert_ptr_null(cg_cross_entropy(tape, NULL, low));
  failed(tape, CG_ERR_ARG, "cross_entropy", "NULL");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("ops_softmax");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, softmax_by_hand, 0, 2);
  tcase_add_loop_test(tc, cross_entropy_by_hand, 0, 2);
  tcase_add_loop_test(tc, scalar_targets_and_losses, 0, 2);
  tcase_add_loop_test(tc, mse_by_hand, 0, 2);
  tcase_add_loop_test(tc, rows_of_any_length, 0, 15);
  tcase_add_loop_test(tc, a_row_is_a_row, 0, 6);
  tcase_add_loop_test(tc, strided_cross_entropy, 0, 2);
  tcase_add_loop_test(tc, losses_of_rows_and_of_one, 0, 6);
  tcase_add_loop_test(tc, finite_rows_raise_no_exceptions, 0, 4);
  tcase_add_test(tc, small_probabilities_in_float32);
  tcase_add_loop_test(tc, huge_logits_do_not_overflow, 0, 2);
  tcase_add_loop_test(tc, a_large_loss_still_gives_exact_gradients, 0, 2);
  tcase_add_loop_test(tc, minus_infinity_is_probability_zero, 0, 2);
  tcase_add_test(tc, masked_logits_have_gradient_zero);
  tcase_add_loop_test(tc, undefined_rows_are_nan, 0, 8);
  tcase_add_test(tc, second_derivative_by_hand);
  tcase_add_test(tc, mean_loss_gradient);
  tcase_add_loop_test(tc, empty_operands, 0, 2);
  tcase_add_test(tc, wrong_axes);
  tcase_add_test(tc, wrong_types);
  tcase_add_test(tc, wrong_shapes);
  tcase_add_test(tc, wrong_targets);
  return run_case("ops_softmax", tc);
}
