/* test_gradcheck.c - what gradcheck reports, of functions of all kinds, and
 * that it leaves no trace. test_gradcheck_rules.c has what it must find. */
#include <stdio.h>

#include "gradcheck_test.h"

/* ---- the report ---- */

static cg_tensor *cube(cg_tape *t, cg_tensor *const *in, int n_in,
                       void *context) {
  (void)n_in;
  (void)context;
  return cg_mul(t, cg_square(t, in[0]), in[0]);
}

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
    cg_gradcheck(tape, cube, &leaf_a, 1, NULL, &options, &r);
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
    ck_assert_int_eq(checkers[_i](tape, constant, &leaf_a, 1, &dtype, NULL, &r),
                     CG_OK);
    ck_assert_msg(r.passed && r.worst == 0, "dtype %d", dtype);
    ck_assert(r.relative == 0);
    ck_assert_int_ge(r.compared, 6);
  }
  /* No gradient where there should be one is a fault, not an excuse. */
  ck_assert_int_eq(cg_gradcheck(tape, detached, &leaf_a, 1, NULL, NULL, &r),
                   CG_OK);
  ck_assert(!r.passed);
  ck_assert(r.analytic == 0);
}
END_TEST

START_TEST(linear_and_partly_unused) {
  cg_tensor *in[] = {leaf_a, leaf_b};
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
  ck_assert_int_eq(cg_gradcheck(tape, in_f32, &leaf_a, 1, NULL, &options, &r),
                   CG_OK);
  ck_assert_msg(r.passed, "%g", r.worst);
}
END_TEST

START_TEST(nan_is_no_pass) {
  cg_gradcheck_report r;
  ck_assert_int_eq(
      checkers[_i](tape, sqrt_of_first, &leaf_a, 1, NULL, NULL, &r), CG_OK);
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
  cg_leaf_write(leaf_a, odd, sizeof odd);
  cg_scope_push(tape, "outer");
  cg_tensor *s = cg_sum_all(tape, cg_mul(tape, leaf_a, leaf_b));
  cg_tape_set_recording(tape, false);
  cg_tape_stats before = cg_tape_get_stats(tape);
  cg_tensor *in[] = {leaf_a, leaf_b};
  cg_gradcheck_report r;
  ck_assert_int_eq(checkers[_i](tape, product, in, 2, NULL, NULL, &r), CG_OK);
  cg_tape_stats after = cg_tape_get_stats(tape);
  ck_assert_uint_eq(before.nodes, after.nodes);
  /* A rewind leaves a small gap, by which alone the bytes may differ. */
  ck_assert_uint_le(after.bytes_used, before.bytes_used + 128);
  ck_assert(!cg_tape_recording(tape));
  ck_assert(!memcmp(cg_tensor_data(leaf_a), odd, sizeof odd));
  ck_assert(!memcmp(cg_tensor_data(leaf_b), b_values, sizeof b_values));
  ck_assert_ptr_null(cg_tensor_grad(leaf_a));
  ck_assert_ptr_null(cg_tensor_grad(leaf_b));
  char path[64];
  ck_assert_str_eq(cg_scope_path(tape, NULL, path, sizeof path), "outer");
  /* What was recorded before can still be walked back. */
  cg_tape_set_recording(tape, true);
  ck_assert_int_eq(cg_backward(tape, s), CG_OK);
  near_all(cg_tensor_grad(leaf_a), b_values, 6, 0);
  near_all(cg_tensor_grad(leaf_b), odd, 6, 0);
}
END_TEST

START_TEST(memory_does_not_grow) {
  cg_tensor *in[] = {leaf_a, leaf_b};
  cg_gradcheck_report r;
  checkers[_i](tape, product, in, 2, NULL, NULL, &r);
  size_t held = cg_tape_get_stats(tape).bytes_held;
  for (int k = 0; k < 20; k++)
    checkers[_i](tape, product, in, 2, NULL, NULL, &r);
  ck_assert_uint_eq(cg_tape_get_stats(tape).bytes_held, held);
}
END_TEST

START_TEST(other_leaves_are_left_alone) {
  cg_leaf_set_requires_grad(leaf_b, false);
  cg_tensor *in[] = {leaf_a, leaf_b};
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
    ck_assert_int_eq(
        checkers[_i](tape, fails_later, &leaf_a, 1, &left, NULL, &r),
        CG_ERR_SHAPE);
    ck_assert(!r.passed);
    ck_assert_str_eq(cg_tape_error(tape)->scope, "t=4");
    failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3]");
    ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, nodes);
    ck_assert(!memcmp(cg_tensor_data(leaf_a), a_values, sizeof a_values));
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
  cg_tensor *in[] = {leaf_a, NULL};
  ck_assert_int_eq(check(NULL, cube, &leaf_a, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, NULL, &leaf_a, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, NULL, 1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, &leaf_a, -1, NULL, NULL, &r), CG_ERR_ARG);
  ck_assert_int_eq(check(tape, cube, &leaf_a, 1, NULL, NULL, NULL), CG_ERR_ARG);
  fine(tape);
  ck_assert_int_eq(check(tape, cube, in, 2, NULL, NULL, &r), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "operand 1");
  ck_assert_int_eq(check(tape, returns_null, &leaf_a, 1, NULL, NULL, &r),
                   CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "NULL");
  in[1] = cg_tanh(tape, leaf_a);
  ck_assert_int_eq(check(tape, product, in, 2, NULL, NULL, &r), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, name, "not a leaf");
  cg_leaf_set_requires_grad(leaf_a, false);
  ck_assert_int_eq(check(tape, cube, &leaf_a, 1, NULL, NULL, &r), CG_ERR_ARG);
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
  ck_assert_int_eq(checkers[_i](tape, cube, &leaf_a, 1, NULL, NULL, &r),
                   CG_ERR_STATE);
  ck_assert(!r.passed);
  failed(tape, CG_ERR_STATE, "older", "it was there");
}
END_TEST

/* Every allocation fails once: an error (or none, where the engine can do
 * without), nothing leaked, nothing changed. */
START_TEST(out_of_memory) {
  cg_tensor *in[] = {leaf_a, leaf_b};
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
    ck_assert(!memcmp(cg_tensor_data(leaf_a), a_values, sizeof a_values));
  }
  ck_assert_int_gt(errors, 6);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("gradcheck");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
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
  return run_case("gradcheck", tc);
}
