/* test_gradcheck.c - the checker must see what is wrong: rules with known
 * faults fail it, a right rule passes. Also what it reports and leaves behind.
 * The ops here are made from the public headers alone, as a user's would be. */
#include <stdio.h>

#include "engine_test.h"

/* ---- ops with one forward and many rules: y = a^2 b, and y = x tanh x ---- */

static cg_status like_first(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static cg_status square_times(const cg_call *call, cg_tensor *out) {
  double *y = cg_out_data(out);
  for (int64_t i = 0; i < cg_tensor_numel(out); i++) {
    double a = cg_tensor_get(call->in[0], i);
    y[i] = a * a * cg_tensor_get(call->in[1], i);
  }
  return CG_OK;
}

static cg_status x_tanh_x(const cg_call *call, cg_tensor *out) {
  double *y = cg_out_data(out);
  for (int64_t i = 0; i < cg_tensor_numel(out); i++) {
    double x = cg_tensor_get(call->in[0], i);
    y[i] = x * tanh(x);
  }
  return CG_OK;
}

/* The parts of the right rule: ga = 2 gy a b, gb = gy a^2. */
static cg_tensor *part_a(cg_vjp *v, cg_tensor *gy, cg_tensor *a, cg_tensor *b,
                         double factor) {
  cg_tape *t = cg_vjp_tape(v);
  return cg_mul_scalar(t, cg_mul(t, gy, cg_mul(t, a, b)), factor);
}

static cg_tensor *part_b(cg_vjp *v, cg_tensor *gy, cg_tensor *a) {
  cg_tape *t = cg_vjp_tape(v);
  return cg_mul(t, gy, cg_square(t, a));
}

/* A rule in which `factor` and the operands can be what they should not. */
static void rule(cg_vjp *v, cg_tensor *gy, cg_tensor *a, cg_tensor *b,
                 double factor) {
  cg_vjp_give(v, 0, part_a(v, gy, a, b, factor));
  cg_vjp_give(v, 1, part_b(v, gy, a));
}

#define GY cg_vjp_gy(v)
#define A cg_vjp_in(v, 0)
#define B cg_vjp_in(v, 1)
#define DETACHED(x) cg_detach(cg_vjp_tape(v), x)

static void right(cg_vjp *v) { rule(v, GY, A, B, 2); }
static void flipped_sign(cg_vjp *v) { rule(v, GY, A, B, -2); }
static void missing_factor(cg_vjp *v) { rule(v, GY, A, B, 1); }
static void slightly_off(cg_vjp *v) { rule(v, GY, A, B, 2 + 2e-5); }
static void zero_gradient(cg_vjp *v) { rule(v, GY, A, B, 0); }
static void first_only(cg_vjp *v) { cg_vjp_give(v, 0, part_a(v, GY, A, B, 2)); }
static void second_only(cg_vjp *v) { cg_vjp_give(v, 1, part_b(v, GY, A)); }
static void nothing_given(cg_vjp *v) { (void)v; }
static void gy_ignored(cg_vjp *v) {
  cg_tensor *a = A;
  cg_tensor *ones = cg_full(cg_vjp_tape(v), CG_F64, cg_tensor_rank(a),
                            cg_tensor_shape(a), 1);
  rule(v, ones, a, B, 2);
}
static void passed_through(cg_vjp *v) {
  cg_vjp_give(v, 0, GY);
  cg_vjp_give(v, 1, GY);
}
static void wrong_operand(cg_vjp *v) {
  cg_vjp_give(v, 1, part_a(v, GY, A, B, 2));
  cg_vjp_give(v, 0, part_b(v, GY, A));
}
static void wrong_value(cg_vjp *v) { rule(v, GY, B, A, 2); }
static void given_twice(cg_vjp *v) {
  right(v);
  cg_vjp_give(v, 1, part_b(v, GY, A));
}

/* First order right, second order wrong. */
static void gy_detached(cg_vjp *v) { rule(v, DETACHED(GY), A, B, 2); }
static void a_detached(cg_vjp *v) { rule(v, GY, DETACHED(A), B, 2); }
static void b_detached(cg_vjp *v) { rule(v, GY, A, DETACHED(B), 2); }
static void all_detached(cg_vjp *v) {
  rule(v, DETACHED(GY), DETACHED(A), DETACHED(B), 2);
}
static void b_copied(cg_vjp *v) {
  cg_tensor *b = B;
  cg_tensor *copy = cg_input(cg_vjp_tape(v), CG_F64, cg_tensor_rank(b),
                             cg_tensor_shape(b), NULL);
  if (!copy) return;
  cg_tensor_read(b, cg_out_data(copy),
                 (size_t)cg_tensor_numel(b) * sizeof(double));
  rule(v, GY, A, copy, 2);
}

/* y = x tanh x uses x twice: gx = gy tanh x + gy x (1 - tanh^2 x). */
static void fan_out(cg_vjp *v, bool first, bool second, bool constant) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *x = A, *u = cg_tanh(t, x);
  if (first) cg_vjp_give(v, 0, cg_mul(t, GY, u));
  cg_tensor *du = cg_tanh_grad(t, GY, constant ? cg_detach(t, u) : u);
  if (second) cg_vjp_give(v, 0, cg_mul(t, x, du));
}
static void both_uses(cg_vjp *v) { fan_out(v, true, true, false); }
static void first_use(cg_vjp *v) { fan_out(v, true, false, false); }
static void second_use(cg_vjp *v) { fan_out(v, false, true, false); }
static void both_one_constant(cg_vjp *v) { fan_out(v, true, true, true); }

/* What is expected of a rule at orders 1 and 2. */
typedef struct row {
  const char *name;
  void (*vjp)(cg_vjp *);
  bool passes1, passes2;
} row;

#define BROKEN(rule) {#rule, rule, false, true}
#define SHALLOW(rule) {#rule, rule, true, false}

/* passes2 is not asked of a rule that is broken at first order. */
static const row binary_rows[] = {
    {"right", right, true, true},
    BROKEN(flipped_sign), BROKEN(missing_factor), BROKEN(slightly_off),
    BROKEN(zero_gradient), BROKEN(first_only), BROKEN(second_only),
    BROKEN(nothing_given), BROKEN(gy_ignored), BROKEN(passed_through),
    BROKEN(wrong_operand), BROKEN(wrong_value), BROKEN(given_twice),
    SHALLOW(gy_detached), SHALLOW(a_detached), SHALLOW(b_detached),
    SHALLOW(all_detached), SHALLOW(b_copied),
};

static const row unary_rows[] = {
    {"both_uses", both_uses, true, true},
    BROKEN(first_use),
    BROKEN(second_use),
    SHALLOW(both_one_constant),
};

/* ---- running them ---- */

static cg_tape *tape;
static cg_tensor *a, *b;

static const double a_values[] = {1.385, -0.731, 2.218, 0.417, -1.906, 0.593};
static const double b_values[] = {-0.822, 1.147, 0.376, -1.591, 0.934, 2.063};

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  a = leaf_of(a_values, CG_DIMS(2, 3));
  b = leaf_of(b_values, CG_DIMS(2, 3));
}

static void teardown(void) {
  cg_tape_free(tape);
  cg_leaf_free(a);
  cg_leaf_free(b);
}

static cg_tensor *record_op(cg_tape *t, cg_tensor *const *in, int n_in,
                            void *op) {
  return cg_record(t, op, in, n_in, NULL);
}

/* The op of a row; n operands. */
static cg_op make_op(const row *r, int n) {
  return (cg_op){.name = r->name,
                 .min_in = n,
                 .max_in = n,
                 .infer = like_first,
                 .forward = n == 2 ? square_times : x_tanh_x,
                 .vjp = r->vjp};
}

static void expect(const row *r, int n) {
  cg_op op = make_op(r, n);
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report report;
  ck_assert_int_eq(cg_gradcheck(tape, record_op, in, n, &op, NULL, &report),
                   CG_OK);
  ck_assert_msg(report.passed == r->passes1, "%s: order 1 %s (%g)", r->name,
                report.passed ? "passes" : "fails", report.worst);
  ck_assert_int_eq(report.compared, 6 * n);
  if (!r->passes1) return;
  ck_assert_int_eq(
      cg_gradgradcheck(tape, record_op, in, n, &op, NULL, &report), CG_OK);
  ck_assert_msg(report.passed == r->passes2, "%s: order 2 %s (%g)", r->name,
                report.passed ? "passes" : "fails", report.worst);
  ck_assert_int_eq(report.compared, 6 * (n + 1));
}

START_TEST(binary_rules) { expect(&binary_rows[_i], 2); }
END_TEST

START_TEST(unary_rules) { expect(&unary_rows[_i], 1); }
END_TEST

/* The fault must also show when one leaf is passed twice. */
START_TEST(same_leaf_twice) {
  const row rows[] = {{"right", right, true, true},
                      BROKEN(first_only),
                      BROKEN(flipped_sign),
                      BROKEN(given_twice)};
  for (int k = 0; k < N_OF(rows); k++) {
    cg_op op = make_op(&rows[k], 2);
    cg_tensor *in[] = {a, a};
    cg_gradcheck_report r;
    ck_assert_int_eq(cg_gradcheck(tape, record_op, in, 2, &op, NULL, &r),
                     CG_OK);
    ck_assert_msg(r.passed == rows[k].passes1, "%s", rows[k].name);
  }
}
END_TEST

/* ---- the report ---- */

static cg_tensor *cube(cg_tape *t, cg_tensor *const *in, int n_in,
                       void *context) {
  (void)n_in;
  (void)context;
  return cg_mul(t, cg_square(t, in[0]), in[0]);
}

/* a^2 b whose gradient for b is 1.5 times too large in element 4. */
static void one_element_off(cg_vjp *v) {
  const double factors[] = {1, 1, 1, 1, 1.5, 1};
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *f = cg_input(t, CG_F64, CG_DIMS(2, 3), factors);
  cg_vjp_give(v, 0, part_a(v, GY, A, B, 2));
  cg_vjp_give(v, 1, cg_mul(t, f, part_b(v, GY, A)));
}

START_TEST(worst_element) {
  const row off = {"off", one_element_off, false, false};
  cg_op op = make_op(&off, 2);
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report r;
  ck_assert_int_eq(cg_gradcheck(tape, record_op, in, 2, &op, NULL, &r), CG_OK);
  ck_assert(!r.passed);
  ck_assert_int_eq(r.input, 1);
  ck_assert_int_eq(r.index, 4);
  ck_assert_int_eq(r.compared, 12);
  near(r.analytic, 1.5 * r.difference, 1e-7);
  near(r.worst,
       fabs(r.analytic - r.difference) / fmax(1, fabs(r.analytic)), 1e-12);
  /* The gradient differs from the true one by this element alone. */
  ck_assert(r.relative > 1e-3 && r.relative < 1);
}
END_TEST

/* With one element all figures can be computed by hand: for s = u x^3 the
 * central difference with step h is u (3 x^2 + h^2). */
START_TEST(figures_and_step) {
  cg_tensor *x = scalar_leaf(0.731);
  const cg_gradcheck_options coarse = {.eps = 0.25, .seed = 9};
  cg_gradcheck_report r;
  ck_assert_int_eq(cg_gradcheck(tape, cube, &x, 1, NULL, &coarse, &r), CG_OK);
  double u = r.analytic / (3 * 0.731 * 0.731);
  near(r.difference, u * (3 * 0.731 * 0.731 + 0.0625), 1e-13);
  double error = fabs(r.analytic - r.difference);
  near(r.relative, error / fabs(r.difference), 1e-12);
  near(r.worst, error / fmax(1, fabs(r.difference)), 1e-12);
  ck_assert(!r.passed);
  const cg_gradcheck_options lax = {.eps = 0.25, .seed = 9,
                                    .tolerance = r.worst * 1.01};
  ck_assert_int_eq(cg_gradcheck(tape, cube, &x, 1, NULL, &lax, &r), CG_OK);
  ck_assert(r.passed);
  cg_leaf_free(x);
}
END_TEST

START_TEST(seed_chooses_the_covector) {
  double seen[3];
  const uint64_t seeds[] = {1, 2, 1};
  for (int k = 0; k < 3; k++) {
    const cg_gradcheck_options options = {.seed = seeds[k]};
    cg_gradcheck_report r;
    cg_gradcheck(tape, cube, &a, 1, NULL, &options, &r);
    ck_assert(r.passed);
    seen[k] = r.analytic;
  }
  ck_assert(seen[0] != seen[1]);
  ck_assert(seen[0] == seen[2]);
}
END_TEST

/* ---- functions of other kinds ---- */

static cg_tensor *constant(cg_tape *t, cg_tensor *const *in, int n_in,
                           void *context) {
  (void)in;
  (void)n_in;
  const int *dtype = context;
  const uint8_t mask[] = {1, 0, 1, 1};
  return *dtype == CG_U8 ? cg_input(t, CG_U8, CG_DIMS(4), mask)
                         : cg_full(t, (cg_dtype)*dtype, CG_DIMS(2), 0.8);
}

static cg_tensor *identity(cg_tape *t, cg_tensor *const *in, int n_in,
                           void *context) {
  (void)t;
  (void)n_in;
  (void)context;
  return in[0];
}

static cg_tensor *detached(cg_tape *t, cg_tensor *const *in, int n_in,
                           void *context) {
  (void)n_in;
  (void)context;
  return cg_detach(t, in[0]);
}

static cg_tensor *first_of_two(cg_tape *t, cg_tensor *const *in, int n_in,
                               void *context) {
  (void)n_in;
  (void)context;
  return cg_exp(t, in[0]);
}

static cg_tensor *sqrt_of_first(cg_tape *t, cg_tensor *const *in, int n_in,
                               void *context) {
  (void)n_in;
  (void)context;
  return cg_sqrt(t, in[0]);
}

static cg_tensor *in_f32(cg_tape *t, cg_tensor *const *in, int n_in,
                         void *context) {
  (void)n_in;
  (void)context;
  return cg_tanh(t, cg_cast(t, in[0], CG_F32));
}

typedef cg_status (*checker)(cg_tape *, cg_function, cg_tensor *const *, int,
                             void *, const cg_gradcheck_options *,
                             cg_gradcheck_report *);
static const checker checkers[] = {cg_gradcheck, cg_gradgradcheck};

START_TEST(results_without_gradient) {
  cg_gradcheck_report r;
  for (int dtype = 0; dtype < CG_DTYPE_COUNT; dtype++) {
    ck_assert_int_eq(checkers[_i](tape, constant, &a, 1, &dtype, NULL, &r),
                     CG_OK);
    ck_assert_msg(r.passed && r.worst == 0, "dtype %d", dtype);
    ck_assert(r.relative == 0);
    ck_assert_int_ge(r.compared, 6);
  }
  /* No gradient where there should be one is a fault, not an excuse. */
  ck_assert_int_eq(cg_gradcheck(tape, detached, &a, 1, NULL, NULL, &r), CG_OK);
  ck_assert(!r.passed);
  ck_assert(r.analytic == 0);
}
END_TEST

START_TEST(linear_and_partly_unused) {
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, identity, in, 1, NULL, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(checkers[_i](tape, first_of_two, in, 2, NULL, NULL, &r),
                   CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(r.compared, _i ? 18 : 12);
}
END_TEST

START_TEST(single_precision_inside) {
  const cg_gradcheck_options options = {.eps = 1e-2, .tolerance = 1e-3};
  cg_gradcheck_report r;
  ck_assert_int_eq(cg_gradcheck(tape, in_f32, &a, 1, NULL, &options, &r),
                   CG_OK);
  ck_assert_msg(r.passed, "%g", r.worst);
}
END_TEST

START_TEST(nan_is_no_pass) {
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, sqrt_of_first, &a, 1, NULL, NULL, &r),
                   CG_OK);
  ck_assert(!r.passed);
  ck_assert(isinf(r.worst));
}
END_TEST

START_TEST(no_elements) {
  cg_tensor *none = leaf_of(NULL, CG_DIMS(0, 3));
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, cube, &none, 1, NULL, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(r.compared, 0);
  ck_assert_int_eq(r.input, -1);
  cg_leaf_free(none);
}
END_TEST

/* ---- what is left behind ---- */

static cg_tensor *product(cg_tape *t, cg_tensor *const *in, int n_in,
                          void *context) {
  (void)n_in;
  (void)context;
  cg_scope_push(t, "product");
  cg_tensor *y = cg_mul(t, cg_tanh(t, in[0]), in[1]);
  cg_scope_pop(t);
  return y;
}

START_TEST(nothing_changes) {
  const double odd[] = {-0.0, 4.9e-324, 1e300, -1.1, 0.3, 3};
  cg_leaf_write(a, odd, sizeof odd);
  cg_scope_push(tape, "outer");
  cg_tensor *s = cg_sum_all(tape, cg_mul(tape, a, b));
  cg_tape_set_recording(tape, false);
  cg_tape_stats before = cg_tape_get_stats(tape);
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, product, in, 2, NULL, NULL, &r), CG_OK);
  cg_tape_stats after = cg_tape_get_stats(tape);
  ck_assert_uint_eq(before.nodes, after.nodes);
  /* A rewind leaves a small gap, by which alone the bytes may differ. */
  ck_assert_uint_le(after.bytes_used, before.bytes_used + 128);
  ck_assert(!cg_tape_recording(tape));
  ck_assert(!memcmp(cg_tensor_data(a), odd, sizeof odd));
  ck_assert(!memcmp(cg_tensor_data(b), b_values, sizeof b_values));
  ck_assert_ptr_null(cg_tensor_grad(a));
  ck_assert_ptr_null(cg_tensor_grad(b));
  char path[64];
  ck_assert_str_eq(cg_scope_path(tape, NULL, path, sizeof path), "outer");
  /* What was recorded before can still be walked back. */
  cg_tape_set_recording(tape, true);
  ck_assert_int_eq(cg_backward(tape, s), CG_OK);
  near_all(cg_tensor_grad(a), b_values, 6, 0);
  near_all(cg_tensor_grad(b), odd, 6, 0);
}
END_TEST

START_TEST(memory_does_not_grow) {
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report r;
  checkers[_i](tape, product, in, 2, NULL, NULL, &r);
  size_t held = cg_tape_get_stats(tape).bytes_held;
  for (int k = 0; k < 20; k++)
    checkers[_i](tape, product, in, 2, NULL, NULL, &r);
  ck_assert_uint_eq(cg_tape_get_stats(tape).bytes_held, held);
}
END_TEST

START_TEST(other_leaves_are_left_alone) {
  cg_leaf_set_requires_grad(b, false);
  cg_tensor *in[] = {a, b};
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, product, in, 2, NULL, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(r.compared, _i ? 12 : 6);
}
END_TEST

/* ---- errors ---- */

/* Fails in the call number *context, counted down. */
static cg_tensor *fails_later(cg_tape *t, cg_tensor *const *in, int n_in,
                              void *context) {
  int *left = context;
  (void)n_in;
  cg_scope_push_index(t, "t", 4);
  cg_tensor *y = --*left ? cg_tanh(t, in[0])
                         : cg_matmul(t, in[0], in[0]); /* [2, 3] [2, 3] */
  cg_scope_pop(t);
  return y;
}

START_TEST(error_of_f_sticks) {
  for (int call = 1; call <= 8; call++) {
    int left = call;
    cg_gradcheck_report r;
    size_t nodes = cg_tape_get_stats(tape).nodes;
    ck_assert_int_eq(checkers[_i](tape, fails_later, &a, 1, &left, NULL, &r),
                     CG_ERR_SHAPE);
    ck_assert(!r.passed);
    ck_assert_str_eq(cg_tape_error(tape)->scope, "t=4");
    failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3]");
    ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, nodes);
    ck_assert(!memcmp(cg_tensor_data(a), a_values, sizeof a_values));
  }
}
END_TEST

static cg_tensor *returns_null(cg_tape *t, cg_tensor *const *in, int n_in,
                               void *context) {
  (void)t;
  (void)in;
  (void)n_in;
  (void)context;
  return NULL;
}

START_TEST(bad_arguments) {
  checker check = checkers[_i];
  const char *name = _i ? "gradgradcheck" : "gradcheck";
  cg_gradcheck_report r;
  cg_tensor *in[] = {a, NULL};
  ck_assert_int_eq(check(NULL, cube, &a, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, NULL, &a, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, NULL, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, &a, -1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, &a, 1, NULL, NULL, NULL), CG_ERR_ARG);
  fine(tape);
  ck_assert_int_eq(check(tape, cube, in, 2, NULL, NULL, &r), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "operand 1");
  ck_assert_int_eq(check(tape, returns_null, &a, 1, NULL, NULL, &r),
                   CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "NULL");
  in[1] = cg_tanh(tape, a);
  ck_assert_int_eq(check(tape, product, in, 2, NULL, NULL, &r), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "not a leaf");
  cg_leaf_set_requires_grad(a, false);
  ck_assert_int_eq(check(tape, cube, &a, 1, NULL, NULL, &r), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "requires a gradient");
  cg_tensor *f32 = cg_leaf_new(NULL, CG_F32, CG_DIMS(2), NULL);
  cg_leaf_set_requires_grad(f32, true);
  ck_assert_int_eq(check(tape, cube, &f32, 1, NULL, NULL, &r), CG_ERR_DTYPE);
  failed(tape, CG_ERR_DTYPE, name, "leaf 0");
  ck_assert(!r.passed);
  cg_leaf_free(f32);
}
END_TEST

START_TEST(an_older_error_stays) {
  cg_tape_fail(tape, CG_ERR_STATE, "older", "it was there");
  cg_gradcheck_report r = {.passed = true};
  ck_assert_int_eq(checkers[_i](tape, cube, &a, 1, NULL, NULL, &r),
                   CG_ERR_STATE);
  ck_assert(!r.passed);
  failed(tape, CG_ERR_STATE, "older", "it was there");
}
END_TEST

/* Every allocation fails once: an error (or none, where the engine can do
 * without), nothing leaked, nothing changed. */
START_TEST(out_of_memory) {
  cg_tensor *in[] = {a, b};
  int errors = 0;
  bool reached = true;
  for (size_t n = 1; reached; n++) {
    counter c;
    counter_init(&c);
    cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    c.fail_at = c.calls + n;
    cg_gradcheck_report r;
    cg_status status = checkers[_i](t, product, in, 2, NULL, NULL, &r);
    reached = c.calls >= c.fail_at;
    ck_assert(status == CG_OK || (reached && status == CG_ERR_NOMEM));
    ck_assert_int_eq(cg_tape_status(t), status);
    ck_assert(r.passed == (status == CG_OK));
    errors += status != CG_OK;
    cg_tape_free(t);
    ck_assert_uint_eq(c.live_blocks, 0);
    ck_assert(!memcmp(cg_tensor_data(a), a_values, sizeof a_values));
  }
  ck_assert_int_gt(errors, 6);
}
END_TEST

/* ---- leaves for a case ---- */

static const cg_op shell = {.name = "shell", .lo = 0.3, .hi = 0.4};

START_TEST(case_leaves) {
  const cg_op_case c = {"f[2,3] f[] i[50]<3 u[40] f[0,2]", NULL};
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *in[6];
  cg_error err = {0};
  ck_assert_int_eq(cg_op_case_leaves(&shell, &c, &rng, in, 6, &err), 5);
  has_shape(in[0], CG_DIMS(2, 3));
  has_shape(in[1], 0, NULL);
  has_shape(in[2], CG_DIMS(50));
  has_shape(in[3], CG_DIMS(40));
  has_shape(in[4], CG_DIMS(0, 2));
  const cg_dtype types[] = {CG_F64, CG_F64, CG_I64, CG_U8, CG_F64};
  for (int k = 0; k < 5; k++) {
    ck_assert_int_eq(cg_tensor_dtype(in[k]), types[k]);
    ck_assert(cg_tensor_requires_grad(in[k]) == (types[k] == CG_F64));
  }
  int seen[3] = {0}, ones = 0;
  for (int i = 0; i < 50; i++) seen[(int)cg_tensor_get(in[2], i)]++;
  for (int i = 0; i < 40; i++) {
    double bit = cg_tensor_get(in[3], i);
    ck_assert(bit == 0 || bit == 1);
    ones += bit == 1;
  }
  ck_assert(seen[0] && seen[1] && seen[2] && ones > 0 && ones < 40);
  for (int i = 0; i < 6; i++) {
    double x = cg_tensor_get(in[0], i);
    ck_assert(x >= 0.3 && x < 0.4 && x != cg_tensor_get(in[0], (i + 1) % 6));
  }
  for (int k = 0; k < 5; k++) cg_leaf_free(in[k]);
}
END_TEST

START_TEST(bad_cases) {
  const char *const texts[] = {
      "g[2]",    "f",        "f[",       "f[2",      "f[2,",  "f[2,]",
      "f[-1]",   "f[2]x",    "f[2]<3",   "i[2]",     "i[2]<", "i[2]<0",
      "f[2] i",  "f[2 ,3]",  "f[,2]",    "u[2]<2",   "F[2]",  "f[2],f[3]",
      "f[2] [3]", "f[1,1,1,1,1,1,1,1,1]", "f[99999999999999999999]",
  };
  for (int k = 0; k < N_OF(texts); k++) {
    const cg_op_case c = {texts[k], NULL};
    cg_rng rng = cg_rng_seed(3);
    cg_tensor *in[4];
    cg_error err = {0};
    ck_assert_msg(cg_op_case_leaves(&shell, &c, &rng, in, 4, &err) == -1,
                  "\"%s\" is accepted", texts[k]);
    ck_assert_msg(err.status && err.message[0], "\"%s\"", texts[k]);
  }
  const cg_op_case three = {"f[1] f[2] f[3]", NULL};
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *in[2];
  cg_error err = {0};
  ck_assert_int_eq(cg_op_case_leaves(&shell, &three, &rng, in, 2, &err), -1);
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_int_eq(cg_op_case_leaves(NULL, &three, &rng, in, 2, NULL), -1);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("gradcheck");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, binary_rules, 0, N_OF(binary_rows));
  tcase_add_loop_test(tc, unary_rules, 0, N_OF(unary_rows));
  tcase_add_test(tc, same_leaf_twice);
  tcase_add_test(tc, worst_element);
  tcase_add_test(tc, figures_and_step);
  tcase_add_test(tc, seed_chooses_the_covector);
  tcase_add_loop_test(tc, results_without_gradient, 0, 2);
  tcase_add_loop_test(tc, linear_and_partly_unused, 0, 2);
  tcase_add_test(tc, single_precision_inside);
  tcase_add_loop_test(tc, nan_is_no_pass, 0, 2);
  tcase_add_loop_test(tc, no_elements, 0, 2);
  tcase_add_loop_test(tc, nothing_changes, 0, 2);
  tcase_add_loop_test(tc, memory_does_not_grow, 0, 2);
  tcase_add_loop_test(tc, other_leaves_are_left_alone, 0, 2);
  tcase_add_loop_test(tc, error_of_f_sticks, 0, 2);
  tcase_add_loop_test(tc, bad_arguments, 0, 2);
  tcase_add_loop_test(tc, an_older_error_stays, 0, 2);
  tcase_add_loop_test(tc, out_of_memory, 0, 2);
  tcase_add_test(tc, case_leaves);
  tcase_add_test(tc, bad_cases);
  return run_case("gradcheck", tc);
}
