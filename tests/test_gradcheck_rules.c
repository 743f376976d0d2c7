/* test_gradcheck_rules.c - gradcheck finds what a derivative rule can do wrong:
 * ops with one forward and many rules. */
#include "gradcheck_test.h"

/* ---- y = a^2 b, and y = x tanh x ---- */

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
  cg_tensor *in[] = {leaf_a, leaf_b};
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
    cg_tensor *in[] = {leaf_a, leaf_a};
    cg_gradcheck_report r;
    ck_assert_int_eq(cg_gradcheck(tape, record_op, in, 2, &op, NULL, &r),
                     CG_OK);
    ck_assert_msg(r.passed == rows[k].passes1, "%s", rows[k].name);
  }
}
END_TEST

/* ---- where it is ---- */

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
  cg_tensor *in[] = {leaf_a, leaf_b};
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

int main(void) {
  TCase *tc = tcase_create("gradcheck_rules");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, binary_rules, 0, N_OF(binary_rows));
  tcase_add_loop_test(tc, unary_rules, 0, N_OF(unary_rows));
  tcase_add_test(tc, same_leaf_twice);
  tcase_add_test(tc, worst_element);
  return run_case("gradcheck_rules", tc);
}
