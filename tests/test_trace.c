/* test_trace.c - the first NaN or infinity is found and named: forward,
 * backward, in seeds, sums and leaves; and finite graphs are left alone. */
#include <float.h>

#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  ck_assert(!cg_tape_trace_nonfinite(tape, true));
}

static void teardown(void) { cg_tape_free(tape); }

static cg_tensor *leaf(const char *name, double value) {
  cg_tensor *x = scalar_leaf(value);
  cg_leaf_set_name(x, name);
  return x;
}

/* The error is NONFINITE of `op` in `scope`, and its message has each part. */
static void found(const char *op, const char *scope, int n,
                  const char *const *parts) {
  const cg_error *e = cg_tape_error(tape);
  ck_assert_str_eq(e->scope, scope);
  for (int i = 0; i < n; i++)
    ck_assert_msg(strstr(e->message, parts[i]), "\"%s\" lacks \"%s\"",
                  e->message, parts[i]);
  failed(tape, CG_ERR_NONFINITE, op, "");
}

#define FOUND(op, scope, ...)                                                \
  found((op), (scope), N_OF(((const char *const[]){__VA_ARGS__})),           \
        (const char *const[]){__VA_ARGS__})

/* ---- the switch ---- */

START_TEST(switching) {
  ck_assert(cg_tape_trace_nonfinite(tape, true));
  cg_tape_reset(tape);
  ck_assert(cg_tape_trace_nonfinite(tape, false));
  ck_assert(!cg_tape_trace_nonfinite(tape, false));
  ck_assert(!cg_tape_trace_nonfinite(NULL, true));
  cg_tensor *y = cg_log(tape, cg_scalar(tape, CG_F64, -2.385));
  fine(tape);
  ck_assert(isnan(cg_tensor_item(y)));
}
END_TEST

/* ---- forward ---- */

START_TEST(first_op_forward) {
  const double a[] = {0.731, -2.385, 1.5, 0};
  cg_tensor *x = leaf_of(a, CG_DIMS(2, 2));
  cg_leaf_set_name(x, "x");
  cg_scope_push(tape, "rnn");
  cg_scope_push_index(tape, "t", 7);
  ck_assert_ptr_nonnull(cg_tanh(tape, x));
  ck_assert_ptr_null(cg_log(tape, x));
  ck_assert_ptr_null(cg_exp(tape, x)); /* the first error sticks */
  FOUND("log", "rnn/t=7", "made from finite operands",
        "result [2, 2] in -0.3133..0.4055, 1 NaN, 1 infinite",
        "operand 0 (x) [2, 2] in -2.385..1.5");
  cg_leaf_free(x);
}
END_TEST

START_TEST(overflow_in_f32) {
  cg_tensor *x = cg_full(tape, CG_F32, CG_DIMS(3), 2e38);
  ck_assert_ptr_nonnull(cg_mul_scalar(tape, x, 1.5));
  ck_assert_ptr_null(cg_add(tape, x, x));
  FOUND("add", "", "made from finite", "result [3], 3 infinite",
        "operand 1 (input) [3] in 2e+38..2e+38");
  x = cg_full(tape, CG_F64, CG_DIMS(3), 2e38); /* not in f64 */
  ck_assert_ptr_nonnull(cg_add(tape, x, x));
  fine(tape);
}
END_TEST

START_TEST(brought_in) {
  cg_tensor *w = leaf("w", INFINITY), *x = leaf("x", 0.385);
  ck_assert_ptr_null(cg_add(tape, x, w));
  FOUND("add", "", "the input or leaf that is operand 1 (w) brought it in",
        "operand 0 (x) [] in 0.385..0.385", "operand 1 (w) [], 1 infinite");
  cg_tensor *input = cg_scalar(tape, CG_F64, NAN);
  ck_assert_ptr_null(cg_mul(tape, input, x));
  FOUND("mul", "", "the input or leaf that is operand 0 (input) brought it in",
        "operand 0 (input) [], 1 NaN");
  cg_tape_trace_nonfinite(tape, false);
  cg_tensor *y = cg_exp(tape, w);
  cg_tape_trace_nonfinite(tape, true);
  ck_assert_ptr_null(cg_tanh(tape, cg_add(tape, y, x)));
  FOUND("add", "", "operand 0 (exp) brought it in");
  cg_leaf_free(w);
  cg_leaf_free(x);
}
END_TEST

/* What does not take the bad element in is not reported. */
START_TEST(only_where_it_is) {
  const double a[] = {1.5, NAN, -0.25, 2, INFINITY, 3};
  cg_tensor *x = leaf_of(a, CG_DIMS(3, 2));
  cg_tensor *column = cg_select(tape, x, 1, 0); /* whole view of x */
  ck_assert_ptr_null(column);                   /* ... has the infinity */
  FOUND("select", "", "1 infinite");
  const double b[] = {1.5, NAN, -0.25, 2, 0.5, 3};
  ck_assert_int_eq(cg_leaf_write(x, b, sizeof b), CG_OK);
  column = cg_select(tape, x, 1, 0); /* strided, and without the NaN */
  ck_assert_ptr_nonnull(cg_exp(tape, column));
  fine(tape);
  ck_assert_ptr_null(cg_select(tape, x, 1, 1));
  FOUND("select", "", "1 NaN");
  cg_leaf_free(x);
}
END_TEST

START_TEST(integers_and_empty) {
  const int64_t index[] = {0, 2, 1};
  cg_tensor *i = cg_input(tape, CG_I64, CG_DIMS(3), index);
  ck_assert_ptr_nonnull(cg_one_hot(tape, i, 3, CG_F32));
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, 2), NAN);
  ck_assert_ptr_nonnull(cg_exp(tape, none));
  cg_tensor *table = cg_full(tape, CG_F64, CG_DIMS(3, 2), NAN);
  fine(tape);
  ck_assert_ptr_null(cg_embedding(tape, table, i));
  FOUND("embedding", "", "operand 1 (input) [3] i64", "[3, 2], 6 NaN");
}
END_TEST

/* ---- backward ---- */

START_TEST(first_rule_backward) {
  const double a[] = {0, 2.25};
  cg_tensor *x = leaf_of(a, CG_DIMS(2));
  cg_leaf_set_name(x, "x");
  cg_scope_push(tape, "inner");
  cg_tensor *y = cg_sqrt(tape, cg_sqrt(tape, x));
  cg_scope_pop(tape);
  cg_scope_push(tape, "outer");
  cg_tensor *z = cg_sqrt(tape, y);
  cg_tensor *loss = cg_sum_all(tape, z);
  cg_scope_pop(tape);
  fine(tape);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_NONFINITE);
  FOUND("sqrt", "outer", "its derivative rule gave operand 0 (sqrt) [2]",
        "1 infinite; gy [2] in 1..1; result [2] in 0..1.107",
        "operand 0 (sqrt) [2] in 0..1.225");
  ck_assert(isfinite(cg_tensor_get(cg_tensor_grad(x), 0)) ||
            !cg_tensor_grad(x)); /* the walk stopped there */
  cg_tensor *grad;
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &x, 1, &grad, options),
                     CG_ERR_NONFINITE);
    ck_assert_ptr_null(grad);
    FOUND("sqrt", "outer", "its derivative rule gave operand 0");
  }
  cg_tape_trace_nonfinite(tape, false);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  cg_leaf_free(x);
}
END_TEST

/* 1e200 * 1e200: each matrix product of a rule overflows, not the forward. */
START_TEST(matmul_rule) {
  const double a[] = {1e200, 1.5, -2, 0.5}, g[] = {1e200, 1, 1, 1};
  cg_tensor *W = leaf_of(a, CG_DIMS(2, 2));
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 2), 0.385);
  cg_tensor *y = cg_matmul(tape, x, W);
  fine(tape);
  cg_tensor *seed = cg_input(tape, CG_F64, CG_DIMS(2, 2), g);
  ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_OK);
  cg_tensor *z = cg_matmul(tape, W, cg_mul_scalar(tape, W, 1e-100));
  ck_assert_ptr_null(cg_matmul(tape, W, W));
  FOUND("matmul", "", "made from finite operands");
  cg_leaf_zero_grad(W);
  ck_assert_int_eq(cg_backward_from(tape, &z, &seed, 1), CG_ERR_NONFINITE);
  FOUND("matmul", "", "its derivative rule gave operand 1 (mul_scalar)");
  cg_leaf_free(W);
}
END_TEST

START_TEST(narrow_rule) {
  cg_tensor *x = leaf_of((const double[]){0.5, 0, 2}, CG_DIMS(3));
  cg_tensor *y = cg_sqrt(tape, cg_narrow(tape, x, 0, 1, 1));
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_NONFINITE);
  FOUND("sqrt", "", "operand 0 (narrow) [1]");
  cg_leaf_free(x);
}
END_TEST

/* A custom rule that gives a NaN for one place of its operand only. */
static void bad_part_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_vjp_give_narrow(v, 0, cg_full(t, CG_F64, CG_DIMS(1), NAN), 0, 2);
}

static const cg_op bad_part = {
    .name = "bad_part", .min_in = 1, .max_in = 1, .infer = identity_infer,
    .forward = identity_forward, .vjp = bad_part_vjp,
};

START_TEST(custom_rule) {
  cg_tensor *x = leaf_of((const double[]){0.5, 0.1, 2.385}, CG_DIMS(3));
  cg_tensor *y = cg_tanh(tape, x), *grad;
  cg_tensor *s = cg_sum_all(tape, cg_record(tape, &bad_part, &y, 1, NULL));
  ck_assert_int_eq(cg_backward(tape, s), CG_ERR_NONFINITE);
  FOUND("bad_part", "", "its derivative rule gave operand 0 (tanh) [1], 1 NaN",
        "gy [3] in 1..1");
  cg_grad(tape, &s, 1, NULL, &x, 1, &grad, CG_CREATE_GRAPH);
  FOUND("bad_part", "", "1 NaN");
  cg_leaf_free(x);
}
END_TEST

START_TEST(bad_seed) {
  cg_tensor *x = leaf("x", 0.385), *y = cg_tanh(tape, x);
  cg_tensor *seed = cg_scalar(tape, CG_F64, -INFINITY);
  ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_ERR_NONFINITE);
  FOUND("backward", "", "seed 0", "1 infinite");
  cg_leaf_free(x);
}
END_TEST

START_TEST(sums_that_overflow) {
  cg_tensor *x = leaf("x", 0.385), *y = cg_neg(tape, x), *grad;
  cg_tensor *outputs[] = {cg_neg(tape, y), cg_mul_scalar(tape, y, 0.5)};
  cg_tensor *large = cg_scalar(tape, CG_F64, DBL_MAX);
  cg_tensor *seeds[] = {large, cg_neg(tape, large)};
  ck_assert_int_eq(cg_backward_from(tape, outputs, seeds, 2),
                   CG_ERR_NONFINITE);
  FOUND("neg", "", "finite contributions", "[], 1 infinite");
  cg_tensor *sides[] = {cg_neg(tape, x), cg_mul_scalar(tape, x, -0.5)};
  seeds[1] = large;
  ck_assert_int_eq(cg_backward_from(tape, sides, seeds, 2), CG_ERR_NONFINITE);
  FOUND("backward", "", "the gradient of x is not finite", "1 infinite");
  ck_assert_int_eq(cg_grad(tape, sides, 2, seeds, &x, 1, &grad, 0),
                   CG_ERR_NONFINITE);
  FOUND("grad", "", "the gradient of x is not finite");
  cg_leaf_free(x);
}
END_TEST

START_TEST(a_leaf_that_held_it) {
  cg_tensor *x = leaf("x", 0.385), *other = leaf("other", 0.5);
  cg_leaf_fill(cg_leaf_grad(x), NAN);
  cg_leaf_fill(cg_leaf_grad(other), NAN);
  cg_tensor *z = cg_tanh(tape, other);
  cg_leaf_zero_grad(other);
  ck_assert_int_eq(cg_backward(tape, z), CG_OK); /* x is not asked for */
  ck_assert_int_eq(cg_backward(tape, cg_tanh(tape, x)), CG_ERR_NONFINITE);
  FOUND("backward", "", "the gradient of x", "or it was so before", "1 NaN");
  cg_leaf_zero_grad(x);
  ck_assert_int_eq(cg_backward(tape, cg_tanh(tape, x)), CG_OK);
  cg_leaf_free(x);
  cg_leaf_free(other);
}
END_TEST

/* ---- and otherwise nothing changes ---- */

enum { H = 8, STEPS = 100, GRADIENTS = H * H + H };

/* So many steps that their products are added up several at a time. */
static void steps(cg_tensor *W, cg_tensor *b, double *gradient) {
  cg_tape_reset(tape);
  cg_leaf_zero_grad(W);
  cg_leaf_zero_grad(b);
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(3, H), 0.217);
  for (int t = 0; t < STEPS; t++)
    h = cg_tanh(tape, cg_addmm(tape, b, h, W, false, true));
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, h)), CG_OK);
  cg_tensor_read(cg_tensor_grad(W), gradient, H * H * sizeof(double));
  cg_tensor_read(cg_tensor_grad(b), gradient + H * H, H * sizeof(double));
}

START_TEST(same_bits) {
  double w[H * H], traced[GRADIENTS], plain[GRADIENTS];
  for (int i = 0; i < H * H; i++) w[i] = 0.6 * sin(2.385 * i + 0.3);
  cg_tensor *W = leaf_of(w, CG_DIMS(H, H)), *b = leaf_of(w, CG_DIMS(H));
  steps(W, b, traced);
  cg_tape_trace_nonfinite(tape, false);
  steps(W, b, plain);
  ck_assert_int_eq(memcmp(traced, plain, sizeof plain), 0);
  cg_leaf_free(W);
  cg_leaf_free(b);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("trace");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, switching);
  tcase_add_test(tc, first_op_forward);
  tcase_add_test(tc, overflow_in_f32);
  tcase_add_test(tc, brought_in);
  tcase_add_test(tc, only_where_it_is);
  tcase_add_test(tc, integers_and_empty);
  tcase_add_test(tc, first_rule_backward);
  tcase_add_test(tc, matmul_rule);
  tcase_add_test(tc, narrow_rule);
  tcase_add_test(tc, custom_rule);
  tcase_add_test(tc, bad_seed);
  tcase_add_test(tc, sums_that_overflow);
  tcase_add_test(tc, a_leaf_that_held_it);
  tcase_add_test(tc, same_bits);
  return run_case("trace", tc);
}
