/* test_derivative_use.c - products with Jacobians and Hessians in use: inputs
 * and outputs of all kinds, higher orders, what stays on the tape, and what is
 * refused. */
#include "derivative_test.h"

static cg_tensor *d(cg_tensor *y, cg_tensor *x, int options) {
  cg_tensor *g = NULL;
  cg_grad(tape, &y, 1, NULL, &x, 1, &g, options);
  return g;
}

/* ---- inputs and outputs of all kinds ---- */

START_TEST(intermediates_are_inputs) {
  cg_tensor *w = scalar_leaf(0.7), *jv, *hv, *J;
  cg_tensor *a = cg_exp(tape, w), *y = cg_mul(tape, cg_square(tape, a), a);
  double e = exp(0.7);
  cg_tensor *v = cg_scalar(tape, CG_F64, 1.9);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, &a, &v, 1, &jv, 0), CG_OK);
  near(cg_tensor_item(jv), 1.9 * 3 * e * e, 1e-15);
  ck_assert_int_eq(cg_hvp(tape, y, &a, &v, 1, &hv, 0), CG_OK);
  near(cg_tensor_item(hv), 1.9 * 6 * e, 1e-15);
  ck_assert_int_eq(cg_jacobian(tape, y, a, &J, 0), CG_OK);
  near(cg_tensor_item(J), 3 * e * e, 1e-15);
  ck_assert_int_eq(cg_hessian(tape, y, a, &J, 0), CG_OK);
  near(cg_tensor_item(J), 6 * e, 1e-15);
  ck_assert_int_eq(cg_jacobian(tape, a, a, &J, 0), CG_OK);
  near(cg_tensor_item(J), 1, 0);
  cg_leaf_free(w);
}
END_TEST

/* Two outputs, one of which is an input and depends on one input only. */
START_TEST(several_outputs) {
  cg_tensor *a = scalar_leaf(0.7), *b = scalar_leaf(-1.3), *jv[2];
  cg_tensor *out[] = {cg_mul(tape, a, cg_square(tape, b)), b};
  cg_tensor *in[] = {a, b}, *v[] = {cg_scalar(tape, CG_F64, 0.4),
                                    cg_scalar(tape, CG_F64, 2.1)};
  ck_assert_int_eq(cg_jvp(tape, out, 2, in, v, 2, jv, 0), CG_OK);
  near(cg_tensor_item(jv[0]), 1.69 * 0.4 + 2 * 0.7 * -1.3 * 2.1, 1e-15);
  near(cg_tensor_item(jv[1]), 2.1, 0);
  ck_assert_int_eq(cg_jvp(tape, out, 2, &a, v, 1, jv, 0), CG_OK);
  near(cg_tensor_item(jv[0]), 1.69 * 0.4, 1e-15);
  near(cg_tensor_item(jv[1]), 0, 0);
  cg_leaf_free(a);
  cg_leaf_free(b);
}
END_TEST

/* y = a b + c: gradients are leaves or constants; c's has no second one. */
START_TEST(gradients_that_are_leaves_or_constants) {
  cg_tensor *in[] = {scalar_leaf(0.7), scalar_leaf(-1.3), scalar_leaf(0.2)};
  cg_tensor *y = cg_add(tape, cg_mul(tape, in[0], in[1]), in[2]), *hv[3];
  cg_tensor *v[] = {cg_scalar(tape, CG_F64, 0.4), cg_scalar(tape, CG_F64, 2.1),
                    cg_scalar(tape, CG_F64, 5.5)};
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_hvp(tape, y, in, v, 3, hv, options), CG_OK);
    near(cg_tensor_item(hv[0]), 2.1, 0);
    near(cg_tensor_item(hv[1]), 0.4, 0);
    near(cg_tensor_item(hv[2]), 0, 0);
  }
  for (int j = 0; j < 3; j++) cg_leaf_free(in[j]);
}
END_TEST

START_TEST(types_of_results) {
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, CG_DIMS(2), NULL), *J, *jv;
  cg_leaf_set_requires_grad(x, true);
  cg_leaf_write(x, (float[]){0.5F, -1.25F}, 8);
  cg_tensor *y = cg_square(tape, cg_cast(tape, x, CG_F64));
  ck_assert_int_eq(cg_jacobian(tape, y, x, &J, 0), CG_OK);
  ck_assert_int_eq(cg_tensor_dtype(J), CG_F32);
  NEAR_ALL(J, 0, 1, 0, 0, -2.5);
  cg_tensor *v = cg_input(tape, CG_F32, CG_DIMS(2), (float[]){2, 3});
  ck_assert_int_eq(cg_jvp(tape, &y, 1, &x, &v, 1, &jv, 0), CG_OK);
  ck_assert_int_eq(cg_tensor_dtype(jv), CG_F64);
  NEAR_ALL(jv, 0, 2, -7.5);
  cg_leaf_free(x);
}
END_TEST

/* ---- higher orders, and what stays on the tape ---- */

/* For y = sum x^4: H v = 12 x^2 v, d<v, H v>/dx = 24 x v^2; J v of x^4 is
 * 4 x^3 v, derived by x 12 x^2 v. */
START_TEST(results_can_be_derived) {
  const double a[] = {0.8, -1.3}, b[] = {0.45, 2.2};
  cg_tensor *x = leaf_of(a, CG_DIMS(2)), *hv, *jv, *H, *J;
  cg_tensor *v = cg_input(tape, CG_F64, CG_DIMS(2), b);
  cg_tensor *x4 = cg_pow_scalar(tape, x, 4), *y = cg_sum_all(tape, x4);
  ck_assert_int_eq(cg_hvp(tape, y, &x, &v, 1, &hv, CG_CREATE_GRAPH), CG_OK);
  cg_tensor *g = d(cg_sum_all(tape, cg_mul(tape, v, hv)), x, 0);
  ck_assert_int_eq(cg_jvp(tape, &x4, 1, &x, &v, 1, &jv, CG_CREATE_GRAPH),
                   CG_OK);
  cg_tensor *gj = d(cg_sum_all(tape, jv), x, 0);
  ck_assert_int_eq(cg_hessian(tape, y, x, &H, CG_CREATE_GRAPH), CG_OK);
  cg_tensor *gh = d(cg_sum_all(tape, H), x, 0);
  ck_assert_int_eq(cg_jacobian(tape, x4, x, &J, CG_CREATE_GRAPH), CG_OK);
  cg_tensor *gJ = d(cg_sum_all(tape, J), x, 0);
  for (int i = 0; i < 2; i++) {
    near(cg_tensor_get(hv, i), 12 * a[i] * a[i] * b[i], 1e-14);
    near(cg_tensor_get(g, i), 24 * a[i] * b[i] * b[i], 1e-14);
    near(cg_tensor_get(jv, i), 4 * pow(a[i], 3) * b[i], 1e-14);
    near(cg_tensor_get(gj, i), 12 * a[i] * a[i] * b[i], 1e-14);
    near(cg_tensor_get(H, 3 * i), 12 * a[i] * a[i], 1e-14);
    near(cg_tensor_get(gh, i), 24 * a[i], 1e-14);
    near(cg_tensor_get(gJ, i), 12 * a[i] * a[i], 1e-14);
  }
  fine(tape);
  cg_leaf_free(x);
}
END_TEST

/* Only the results stay, and what was recorded before can still be used. */
START_TEST(the_way_is_dropped) {
  cg_tensor *x = random_leaf(51, CG_DIMS(3)), *v = random_leaf(52, CG_DIMS(3));
  cg_tensor *p = cg_softmax(tape, x, 0), *y = cg_sum_all(tape, cg_exp(tape, p));
  cg_tensor *r;
  size_t nodes = cg_tape_get_stats(tape).nodes;
  cg_hvp(tape, y, &x, &v, 1, &r, 0);
  cg_jvp(tape, &p, 1, &x, &v, 1, &r, 0);
  cg_jacobian(tape, p, x, &r, 0);
  cg_hessian(tape, y, x, &r, 0);
  fine(tape);
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, nodes + 4);
  ck_assert(!cg_tensor_requires_grad(r));
  size_t before = cg_tape_get_stats(tape).system_allocs;
  cg_mark mark = cg_tape_mark(tape);
  for (int i = 0; i < 1000; i++) {
    cg_hvp(tape, y, &x, &v, 1, &r, 0);
    cg_tape_rewind(tape, mark);
  }
  ck_assert_uint_le(cg_tape_get_stats(tape).system_allocs, before + 2);
  ck_assert_ptr_nonnull(d(y, x, 0));
  fine(tape);
  cg_leaf_free(x);
  cg_leaf_free(v);
}
END_TEST

START_TEST(recording_may_be_off) {
  cg_tensor *x = random_leaf(53, CG_DIMS(3)), *H, *jv;
  cg_tensor *y = quadratic(x), *v = cg_full(tape, CG_F64, CG_DIMS(3), 1.5);
  cg_tape_set_recording(tape, false);
  ck_assert_int_eq(cg_hessian(tape, y, x, &H, 0), CG_OK);
  near_all(H, S, 9, 1e-15);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, &x, &v, 1, &jv, 0), CG_OK);
  near(cg_tensor_item(jv), 1.5 * cg_tensor_item(cg_sum_all(tape, d(y, x, 0))),
       1e-15);
  ck_assert(!cg_tape_recording(tape));
  cg_leaf_free(x);
}
END_TEST

/* ---- refusals ---- */

START_TEST(unused_inputs) {
  cg_tensor *in[] = {scalar_leaf(0.7), scalar_leaf(1.2)}, *hv[2], *jv, *J;
  cg_tensor *y = cg_exp(tape, in[0]);
  cg_tensor *v[] = {cg_scalar(tape, CG_F64, 0.4), cg_scalar(tape, CG_F64, 2)};
  ck_assert_int_eq(cg_hvp(tape, y, in, v, 2, hv, 0), CG_ERR_STATE);
  ck_assert_ptr_null(hv[0]);
  failed(tape, CG_ERR_STATE, "hvp", "input 1");
  ck_assert_int_eq(cg_hvp(tape, y, in, v, 2, hv, CG_ALLOW_UNUSED), CG_OK);
  near(cg_tensor_item(hv[0]), 0.4 * exp(0.7), 1e-15);
  ck_assert_ptr_null(hv[1]);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, in, v, 2, &jv, 0), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "jvp", "input 1");
  ck_assert_int_eq(cg_jvp(tape, &y, 1, in, v, 2, &jv, CG_ALLOW_UNUSED), CG_OK);
  near(cg_tensor_item(jv), 0.4 * exp(0.7), 1e-15);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, in + 1, v, 1, &jv, CG_ALLOW_UNUSED),
                   CG_OK);
  near(cg_tensor_item(jv), 0, 0);
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_jacobian(tape, y, in[1], &J, options), CG_ERR_STATE);
    failed(tape, CG_ERR_STATE, "jacobian", "no output depends");
    options |= CG_ALLOW_UNUSED;
    ck_assert_int_eq(cg_jacobian(tape, y, in[1], &J, options), CG_OK);
    ck_assert_ptr_null(J);
    ck_assert_int_eq(cg_hessian(tape, y, in[1], &J, options), CG_OK);
    ck_assert_ptr_null(J);
    options &= ~CG_ALLOW_UNUSED;
  }
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

START_TEST(wrong_directions) {
  cg_tensor *x = random_leaf(54, CG_DIMS(3)), *out;
  cg_leaf_set_name(x, "weights");
  cg_tensor *y = quadratic(x), *no = NULL;
  cg_tensor *wide = cg_full(tape, CG_F64, CG_DIMS(4), 1);
  cg_tensor *single = cg_full(tape, CG_F32, CG_DIMS(3), 1);
  ck_assert_int_eq(cg_hvp(tape, y, &x, &wide, 1, &out, 0), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "hvp",
         "direction 0 is f64 [4] where input 0 (weights) is f64 [3]");
  ck_assert_int_eq(cg_jvp(tape, &y, 1, &x, &single, 1, &out, 0), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "jvp", "f32");
  ck_assert_int_eq(cg_hvp(tape, y, &x, &no, 1, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hvp", "NULL");
  ck_assert_int_eq(cg_hvp(tape, y, &x, NULL, 1, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hvp", "no direction");
  ck_assert_int_eq(cg_hvp(tape, wide, &x, &x, 1, &out, 0), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "hvp", "depends on nothing");
  cg_tensor *e = cg_exp(tape, x);
  ck_assert_int_eq(cg_hvp(tape, e, &x, &x, 1, &out, 0), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "hvp", "one element");
  ck_assert_int_eq(cg_hvp(tape, y, &x, &x, 1, &out, 0), CG_OK);
  cg_leaf_free(x);
}
END_TEST

START_TEST(wrong_arguments) {
  cg_tensor *x = random_leaf(55, CG_DIMS(3)), *out = x, *no = NULL;
  cg_tensor *y = quadratic(x);
  ck_assert_int_eq(cg_hvp(NULL, y, &x, &x, 1, &out, 0), CG_ERR_ARG);
  ck_assert_int_eq(cg_hvp(tape, y, &x, &x, 1, NULL, 0), CG_ERR_ARG);
  ck_assert_int_eq(cg_jvp(tape, &y, 1, &x, &x, 1, NULL, 0), CG_ERR_ARG);
  ck_assert_int_eq(cg_jacobian(tape, y, x, NULL, 0), CG_ERR_ARG);
  ck_assert_int_eq(cg_hessian(tape, y, x, NULL, 0), CG_ERR_ARG);
  fine(tape);
  ck_assert_int_eq(cg_hvp(tape, no, &x, &x, 1, &out, 0), CG_ERR_ARG);
  ck_assert_ptr_null(out);
  failed(tape, CG_ERR_ARG, "hvp", "NULL");
  ck_assert_int_eq(cg_hvp(tape, y, &x, &x, -3, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hvp", "no input");
  ck_assert_int_eq(cg_hvp(tape, y, NULL, &x, 1, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hvp", "no input");
  ck_assert_int_eq(cg_jvp(tape, &y, -1, &x, &x, 1, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "jvp", "no output");
  ck_assert_int_eq(cg_jvp(tape, &no, 1, &x, &x, 1, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "jvp", "NULL");
  ck_assert_int_eq(cg_jacobian(tape, y, no, &out, 0), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "jacobian", "NULL");
  cg_tensor *wide = cg_reshape(tape, cg_exp(tape, x),
                               CG_DIMS(1, 1, 1, 3, 1, 1, 1, 1));
  ck_assert_int_eq(cg_jacobian(tape, wide, x, &out, 0), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "jacobian", "rank 9");
  ck_assert_int_eq(cg_tape_status(tape), CG_OK);
  cg_tape_fail(tape, CG_ERR_ARG, "first", "kept");
  ck_assert_int_eq(cg_hessian(tape, y, x, &out, 0), CG_ERR_ARG);
  ck_assert_ptr_null(out);
  failed(tape, CG_ERR_ARG, "first", "kept");
  cg_leaf_free(x);
}
END_TEST

START_TEST(stale_and_changed_tensors) {
  cg_tensor *x = random_leaf(56, CG_DIMS(3)), *out;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *y = quadratic(x);
  cg_tape_rewind(tape, mark);
  ck_assert_int_eq(cg_hessian(tape, y, x, &out, 0), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "hessian", "rewound");
  y = cg_sum_all(tape, cg_exp(tape, cg_exp(tape, x)));
  cg_tensor *z = cg_sum_all(tape, cg_square(tape, x));
  cg_leaf_fill(x, 2);
  ck_assert_int_eq(cg_hvp(tape, z, &x, &x, 1, &out, 0), CG_ERR_STALE);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_jacobian(tape, y, x, &out, 0), CG_OK);
  cg_leaf_free(x);
}
END_TEST

/* Every allocation fails once: an error, nothing lost, then success. */
START_TEST(out_of_memory) {
  for (size_t n = 1;; n++) {
    ck_assert_uint_lt(n, 500);
    counter c;
    counter_init(&c);
    cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_tensor *x = random_leaf(57, CG_DIMS(3)), *r[4] = {0};
    cg_tensor *y = cg_sum_all(t, cg_exp(t, cg_softmax(t, x, 0)));
    c.fail_at = c.calls + n;
    cg_hvp(t, y, &x, &x, 1, &r[0], 0);
    cg_jvp(t, &y, 1, &x, &x, 1, &r[1], 0);
    cg_jacobian(t, y, x, &r[2], CG_CREATE_GRAPH);
    cg_hessian(t, y, x, &r[3], 0);
    bool done = cg_tape_status(t) == CG_OK;
    if (!done) ck_assert_int_eq(cg_tape_status(t), CG_ERR_NOMEM);
    ck_assert_int_eq(r[3] != NULL, done);
    cg_tape_free(t);
    ck_assert_uint_eq(c.live_blocks, 0);
    cg_leaf_free(x);
    if (done) break;
  }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("derivative_use");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, intermediates_are_inputs);
  tcase_add_test(tc, several_outputs);
  tcase_add_test(tc, gradients_that_are_leaves_or_constants);
  tcase_add_test(tc, types_of_results);
  tcase_add_test(tc, results_can_be_derived);
  tcase_add_test(tc, the_way_is_dropped);
  tcase_add_test(tc, recording_may_be_off);
  tcase_add_test(tc, unused_inputs);
  tcase_add_test(tc, wrong_directions);
  tcase_add_test(tc, wrong_arguments);
  tcase_add_test(tc, stale_and_changed_tensors);
  tcase_add_test(tc, out_of_memory);
  return run_case("derivative_use", tc);
}
