/* test_custom.c - functions given by callbacks, and ops of a user that break
 * the contract: each is refused with a message, nothing is written out of
 * bounds. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

/* ---- y = exp(k a) b, k from the context ---- */

static int forwards, backwards;

static cg_tensor *scaled_exp(cg_tape *t, cg_tensor *const *in, int n,
                             void *context) {
  forwards++;
  ck_assert_int_eq(n, 2);
  cg_tensor *e = cg_exp(t, cg_mul_scalar(t, in[0], *(double *)context));
  return cg_mul(t, e, in[1]);
}

/* ga = k gy y, gb = gy exp(k a). */
static void scaled_exp_back(cg_vjp *v, void *context) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v);
  double k = *(double *)context;
  backwards++;
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0, cg_mul_scalar(t, cg_mul(t, gy, cg_vjp_out(v)), k));
  if (cg_vjp_needs(v, 1)) {
    cg_tensor *e = cg_exp(t, cg_mul_scalar(t, cg_vjp_in(v, 0), k));
    cg_vjp_give(v, 1, cg_mul(t, gy, e));
  }
}

static double k = 0.83;

static cg_tensor *with_custom(cg_tape *t, cg_tensor *const *in, int n,
                              void *context) {
  return cg_custom(t, "scaled_exp", scaled_exp, scaled_exp_back, context, in,
                   n);
}

START_TEST(values_and_gradients) {
  cg_tensor *in[] = {scalar_leaf(0.41), scalar_leaf(-1.27)}, *g[2];
  cg_tensor *y = with_custom(tape, in, 2, &k);
  near(cg_tensor_item(y), exp(0.83 * 0.41) * -1.27, 1e-15);
  ck_assert_str_eq(cg_tensor_op_name(y), "scaled_exp");
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 2, g, 0), CG_OK);
  near(cg_tensor_item(g[0]), 0.83 * exp(0.83 * 0.41) * -1.27, 1e-15);
  near(cg_tensor_item(g[1]), exp(0.83 * 0.41), 1e-15);
  ck_assert_int_eq(forwards, 1);
  ck_assert_int_eq(backwards, 1);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

/* Broadcasting, and every order. */
START_TEST(checks_pass) {
  cg_tensor *in[] = {leaf_of((double[]){0.3, -0.9, 1.4, 0.2, -0.6, 0.7},
                             CG_DIMS(2, 3)),
                     leaf_of((double[]){1.1, -0.4, 0.8}, CG_DIMS(3))};
  cg_gradcheck_report r;
  ck_assert_int_eq(cg_gradcheck(tape, with_custom, in, 2, &k, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(cg_gradgradcheck(tape, with_custom, in, 2, &k, NULL, &r),
                   CG_OK);
  ck_assert(r.passed);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

START_TEST(a_third_derivative) {
  cg_tensor *in[] = {scalar_leaf(0.41), scalar_leaf(-1.27)};
  cg_tensor *y = with_custom(tape, in, 2, &k), *g;
  for (int i = 0; i < 3; i++, y = g)
    ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 1, &g, CG_CREATE_GRAPH),
                     CG_OK);
  near(cg_tensor_item(y), pow(0.83, 3) * exp(0.83 * 0.41) * -1.27, 1e-14);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

/* What the callback recorded is gone: the node, its name and its value stay. */
START_TEST(the_inside_is_dropped) {
  cg_tensor *in[] = {leaf_of(NULL, CG_DIMS(1000)), scalar_leaf(2.5)};
  with_custom(tape, in, 2, &k);
  cg_tape_stats before = cg_tape_get_stats(tape);
  with_custom(tape, in, 2, &k);
  cg_tape_stats after = cg_tape_get_stats(tape);
  ck_assert_uint_eq(after.nodes, before.nodes + 1);
  ck_assert_uint_lt(after.bytes_used - before.bytes_used, 9000);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

/* Inside another custom function, in its forward and in its rule. */
static cg_tensor *outer(cg_tape *t, cg_tensor *const *in, int n,
                        void *context) {
  return cg_square(t, with_custom(t, in, n, context));
}

static void outer_back(cg_vjp *v, void *context) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *in[] = {cg_vjp_in(v, 0), cg_vjp_in(v, 1)};
  cg_tensor *y = with_custom(t, in, 2, context);
  cg_tensor *g = cg_mul_scalar(t, cg_mul(t, cg_vjp_gy(v), y), 2);
  double factor = *(double *)context;
  cg_vjp_give(v, 0, cg_mul_scalar(t, cg_mul(t, g, y), factor));
  cg_vjp_give(v, 1, cg_mul(t, g, cg_div(t, y, in[1])));
}

static cg_tensor *nested(cg_tape *t, cg_tensor *const *in, int n,
                         void *context) {
  return cg_custom(t, "outer", outer, outer_back, context, in, n);
}

START_TEST(nesting) {
  cg_tensor *in[] = {leaf_of((double[]){0.3, -0.9}, CG_DIMS(2)),
                     leaf_of((double[]){1.1, -0.4}, CG_DIMS(2))};
  cg_gradcheck_report r;
  ck_assert_int_eq(cg_gradcheck(tape, nested, in, 2, &k, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(cg_gradgradcheck(tape, nested, in, 2, &k, NULL, &r), CG_OK);
  ck_assert(r.passed);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

/* ---- results of other kinds ---- */

static cg_tensor *identity(cg_tape *t, cg_tensor *const *in, int n,
                           void *context) {
  (void)t, (void)n, (void)context;
  return in[0];
}

static void reversed(cg_vjp *v, void *context) {
  (void)context;
  cg_vjp_give(v, 0, cg_neg(cg_vjp_tape(v), cg_vjp_gy(v)));
}

START_TEST(an_operand_is_returned) {
  cg_tensor *x = scalar_leaf(0.7), *g;
  cg_tensor *y = cg_custom(tape, "reverse", identity, reversed, NULL, &x, 1);
  cg_leaf_fill(x, 9);
  near(cg_tensor_item(y), 0.7, 0);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &x, 1, &g, 0), CG_OK);
  near(cg_tensor_item(g), -1, 0);
  cg_leaf_free(x);
}
END_TEST

START_TEST(no_derivative_and_no_recording) {
  cg_tensor *x = scalar_leaf(0.7);
  cg_tensor *y = cg_custom(tape, "fixed", identity, NULL, NULL, &x, 1);
  near(cg_tensor_item(y), 0.7, 0);
  ck_assert(!cg_tensor_requires_grad(y));
  cg_tape_set_recording(tape, false);
  y = cg_custom(tape, "off", identity, reversed, NULL, &x, 1);
  ck_assert(!cg_tensor_requires_grad(y));
  ck_assert(!cg_tape_recording(tape));
  fine(tape);
  cg_leaf_free(x);
}
END_TEST

/* ---- callbacks that fail ---- */

static cg_tensor *nothing(cg_tape *t, cg_tensor *const *in, int n,
                          void *context) {
  (void)t, (void)in, (void)n, (void)context;
  return NULL;
}

static cg_tensor *mistaken(cg_tape *t, cg_tensor *const *in, int n,
                           void *context) {
  (void)n, (void)context;
  return cg_matmul(t, in[0], in[0]);
}

static cg_tensor *foreign(cg_tape *t, cg_tensor *const *in, int n,
                          void *context) {
  (void)t, (void)in, (void)n;
  return context;
}

static void wrong_shape(cg_vjp *v, void *context) {
  (void)context;
  cg_vjp_give(v, 0, cg_full(cg_vjp_tape(v), CG_F64, CG_DIMS(2), 1));
}

static void wrong_type(cg_vjp *v, void *context) {
  (void)context;
  cg_vjp_give(v, 0, cg_cast(cg_vjp_tape(v), cg_vjp_gy(v), CG_F32));
}

static void wrong_operand(cg_vjp *v, void *context) {
  (void)context;
  ck_assert(!cg_vjp_needs(v, 1));
  ck_assert(!cg_vjp_needs(v, -1));
  cg_vjp_give(v, 1, cg_vjp_gy(v)); /* to nobody: ignored */
  cg_vjp_give(v, 0, cg_vjp_in(v, 7));
}

static void derive(cg_custom_backward back, cg_status status,
                   const char *part) {
  cg_tensor *x = leaf_of((double[]){0.7, 1.9, -2.2}, CG_DIMS(3)), *g;
  cg_tensor *y = cg_custom(tape, "mine", identity, back, NULL, &x, 1);
  y = cg_sum_all(tape, y);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &x, 1, &g, 0), status);
  failed(tape, status, "mine", part);
  cg_leaf_free(x);
}

START_TEST(failing_callbacks) {
  cg_tensor *x = scalar_leaf(0.7);
  ck_assert_ptr_null(cg_custom(tape, "mine", nothing, NULL, NULL, &x, 1));
  failed(tape, CG_ERR_ARG, "mine", "returned NULL");
  ck_assert_ptr_null(cg_custom(tape, "mine", mistaken, NULL, NULL, &x, 1));
  failed(tape, CG_ERR_SHAPE, "matmul", "");
  cg_tape *other = cg_tape_new(NULL);
  cg_tensor *alien = cg_scalar(other, CG_F64, 1);
  ck_assert_ptr_null(cg_custom(tape, "mine", foreign, NULL, alien, &x, 1));
  failed(tape, CG_ERR_STALE, "mine", "another tape");
  cg_tape_free(other);
  ck_assert(cg_tape_recording(tape));
  derive(wrong_shape, CG_ERR_SHAPE, "gave f64 [2] to operand 0");
  derive(wrong_type, CG_ERR_SHAPE, "gave f32 [3] to operand 0");
  derive(wrong_operand, CG_ERR_ARG, "operand 7 of 1");
  cg_leaf_free(x);
}
END_TEST

START_TEST(missing_arguments) {
  cg_tensor *x = scalar_leaf(0.7), *no = NULL;
  ck_assert_ptr_null(cg_custom(NULL, "mine", identity, NULL, NULL, &x, 1));
  ck_assert_ptr_null(cg_custom(tape, NULL, identity, NULL, NULL, &x, 1));
  failed(tape, CG_ERR_ARG, "custom", "missing");
  ck_assert_ptr_null(cg_custom(tape, "mine", NULL, NULL, NULL, &x, 1));
  failed(tape, CG_ERR_ARG, "mine", "missing");
  ck_assert_ptr_null(cg_custom(tape, "mine", identity, NULL, NULL, NULL, 1));
  failed(tape, CG_ERR_ARG, "mine", "missing");
  ck_assert_ptr_null(cg_custom(tape, "mine", identity, NULL, NULL, &x, -1));
  failed(tape, CG_ERR_ARG, "mine", "missing");
  ck_assert_ptr_null(cg_custom(tape, "mine", identity, NULL, NULL, &no, 1));
  failed(tape, CG_ERR_ARG, "mine", "NULL");
  cg_leaf_free(x);
}
END_TEST

START_TEST(out_of_memory) {
  for (size_t n = 1;; n++) {
    ck_assert_uint_lt(n, 200);
    counter c;
    counter_init(&c);
    cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_tensor *in[] = {leaf_of(NULL, CG_DIMS(50)), scalar_leaf(2.5)};
    c.fail_at = c.calls + n;
    cg_tensor *y = cg_sum_all(t, with_custom(t, in, 2, &k));
    bool done = cg_backward(t, y) == CG_OK;
    if (!done) ck_assert_int_eq(cg_tape_status(t), CG_ERR_NOMEM);
    cg_tape_reset(t);
    c.fail_at = 0;
    ck_assert_ptr_nonnull(with_custom(t, in, 2, &k));
    cg_tape_free(t);
    ck_assert_uint_eq(c.live_blocks, 0);
    cg_leaf_free(in[0]);
    cg_leaf_free(in[1]);
    if (done) break;
  }
}
END_TEST

/* ---- ops that break the contract ---- */

enum { RANK = 0, NEGATIVE_RANK, SILENT, TYPE, SIZE, VIEW, N_FAULTS };

static cg_status infer_wrong(const cg_call *call, cg_spec *spec) {
  static const int64_t shape[40] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  switch (*(const int *)call->attr) {
  case RANK: cg_spec_set(spec, CG_F64, 9, shape); break;
  case NEGATIVE_RANK: cg_spec_set(spec, CG_F64, -1, shape); break;
  case TYPE: cg_spec_set(spec, (cg_dtype)77, 0, NULL); break;
  case SIZE: cg_spec_set(spec, CG_F64, CG_DIMS(2, -3)); break;
  case VIEW:
    cg_spec_set(spec, CG_F64, 0, NULL);
    spec->is_view = true;
    spec->offset = 0;
    break;
  default: break;
  }
  return CG_OK;
}

static cg_status no_forward(const cg_call *call, cg_tensor *out) {
  (void)call, (void)out;
  ck_abort_msg("a wrong shape was believed");
  return CG_OK;
}

START_TEST(wrong_shape_rules) {
  static const char *const parts[] = {"rank 9",  "rank -1",  "rank -1",
                                      "element", "too many", "view"};
  const cg_op op = {.name = "wrong",
                    .max_in = -1,
                    .attr_size = sizeof(int),
                    .infer = infer_wrong,
                    .forward = no_forward};
  cg_status status = _i == TYPE || _i == VIEW ? CG_ERR_ARG : CG_ERR_SHAPE;
  ck_assert_ptr_null(cg_record(tape, &op, NULL, 0, &_i));
  failed(tape, status, "wrong", parts[_i]);
}
END_TEST

static cg_status infer_like(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

START_TEST(missing_members) {
  cg_tensor *x = scalar_leaf(0.7);
  cg_op op = {.name = "wrong", .min_in = 1, .max_in = 1, .infer = infer_like};
  ck_assert_ptr_null(cg_record(tape, &op, &x, 1, NULL));
  failed(tape, CG_ERR_ARG, "wrong", "no forward");
  op.infer = NULL;
  ck_assert_ptr_null(cg_record(tape, &op, &x, 1, NULL));
  failed(tape, CG_ERR_ARG, "wrong", "missing");
  op.name = NULL;
  ck_assert_ptr_null(cg_record(tape, &op, &x, 1, NULL));
  failed(tape, CG_ERR_ARG, "record", "missing");
  ck_assert_ptr_null(cg_record(tape, NULL, &x, 1, NULL));
  failed(tape, CG_ERR_ARG, "record", "missing");
  cg_leaf_free(x);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("custom");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, values_and_gradients);
  tcase_add_test(tc, checks_pass);
  tcase_add_test(tc, a_third_derivative);
  tcase_add_test(tc, the_inside_is_dropped);
  tcase_add_test(tc, nesting);
  tcase_add_test(tc, an_operand_is_returned);
  tcase_add_test(tc, no_derivative_and_no_recording);
  tcase_add_test(tc, failing_callbacks);
  tcase_add_test(tc, missing_arguments);
  tcase_add_test(tc, out_of_memory);
  tcase_add_loop_test(tc, wrong_shape_rules, 0, N_FAULTS);
  tcase_add_test(tc, missing_members);
  return run_case("custom", tc);
}
