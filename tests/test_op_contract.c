/* test_op_contract.c - op.h from the side of a user: an op that uses every
 * service of the contract, through public headers only. */
#include "engine_test.h"

#include <chronograd/nn.h>

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

/* y = scale * a * b with broadcasting, by way of scratch memory; the last
 * result element is written from an expanded copy of both operands. */
typedef struct scaled {
  double scale;
} scaled;

static cg_status scaled_infer(const cg_call *call, cg_spec *spec) {
  const scaled *attr = call->attr;
  cg_status status = cg_call_want_float(call, 1);
  if (!status) status = cg_spec_broadcast(call, spec);
  if (status) return status;
  if (attr->scale == 0)
    return cg_call_fail(call, CG_ERR_ARG, "the scale is %g", attr->scale);
  cg_spec_set(spec, spec->dtype, spec->rank, spec->shape);
  return CG_OK;
}

/* Where element i of the result lies in an operand that is broadcast to it. */
static int64_t source(const cg_tensor *x, const cg_tensor *out, int64_t i) {
  int64_t at = 0, step = 1;
  int shift = cg_tensor_rank(out) - cg_tensor_rank(x);
  for (int k = cg_tensor_rank(out) - 1; k >= 0; k--) {
    int64_t index = i % cg_tensor_dim(out, k);
    i /= cg_tensor_dim(out, k);
    if (k < shift) continue;
    int64_t size = cg_tensor_dim(x, k - shift);
    at += (size == 1 ? 0 : index) * step;
    step *= size;
  }
  return at;
}

static cg_status scaled_forward(const cg_call *call, cg_tensor *out) {
  const scaled *attr = call->attr;
  int64_t n = cg_tensor_numel(out);
  double *product = cg_call_scratch(call, (size_t)(n + 1) * sizeof *product);
  if (!product) return cg_tape_status(call->tape);
  for (int64_t i = 0; i < n; i++)
    product[i] = cg_tensor_get(call->in[0], source(call->in[0], out, i)) *
                 cg_tensor_get(call->in[1], source(call->in[1], out, i));
  for (int64_t i = 0; i < n; i++)
    ((double *)cg_out_data(out))[i] = attr->scale * product[i];
  return CG_OK;
}

/* Seen by the rule in its last visit. */
static struct {
  int count, rank;
  int64_t size;
  cg_dtype dtype;
  double y;
} seen;

static void scaled_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const scaled *attr = cg_vjp_attr(v);
  seen.count = cg_vjp_count(v);
  seen.rank = cg_vjp_in_rank(v, 0);
  seen.size = seen.rank ? cg_vjp_in_shape(v, 0)[0] : 1;
  seen.dtype = cg_vjp_in_dtype(v, 1);
  seen.y = cg_tensor_get(cg_vjp_out(v), 0);
  cg_tensor *g = cg_mul_scalar(t, cg_vjp_gy(v), attr->scale);
  for (int i = 0; i < 2; i++)
    if (cg_vjp_needs(v, i)) cg_vjp_give(v, i, cg_mul(t, g, cg_vjp_in(v, !i)));
}

static const scaled some = {-2.385}, none = {0};
static const cg_op_case cases[] = {
    {"f[2,3] f[3]", &some}, {"f[] f[2]", &some}, {"f[0] f[0]", &some}};

static const cg_op op_scaled = {
    .name = "scaled_product",
    .formula = "y = c a b",
    .derivative = "ga = c gy b, gb = c gy a",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(scaled),
    .infer = scaled_infer,
    .forward = scaled_forward,
    .vjp = scaled_vjp,
    .cases = cases,
    .n_cases = N_OF(cases),
};

static cg_tensor *record_case(cg_tape *t, cg_tensor *const *in, int n,
                              void *context) {
  const cg_op_case *c = context;
  return cg_record(t, &op_scaled, in, n, c->attr);
}

START_TEST(a_users_op_is_checked_like_ours) {
  cg_op_case c = cases[_i];
  cg_rng rng = cg_rng_seed(17);
  cg_tensor *in[2];
  cg_gradcheck_report report;
  ck_assert_int_eq(cg_op_case_leaves(&op_scaled, &c, &rng, in, 2, NULL), 2);
  ck_assert_int_eq(cg_gradcheck(tape, record_case, in, 2, &c, NULL, &report),
                   CG_OK);
  ck_assert_msg(report.passed, "first order: %g", report.worst);
  ck_assert_int_eq(
      cg_gradgradcheck(tape, record_case, in, 2, &c, NULL, &report), CG_OK);
  ck_assert_msg(report.passed, "second order: %g", report.worst);
  cg_leaf_free(in[0]);
  cg_leaf_free(in[1]);
}
END_TEST

START_TEST(a_rule_sees_what_was_recorded) {
  cg_tensor *a = leaf_of((double[]){1.5, -0.25}, CG_DIMS(2));
  cg_tensor *b = cg_scalar(tape, CG_F64, 4.0), *in[] = {a, b};
  cg_tensor *y = cg_record(tape, &op_scaled, in, 2, &some);
  NEAR_ALL(y, 1e-15, -2.385 * 6, 2.385);
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, y)), CG_OK);
  NEAR_ALL(cg_tensor_grad(a), 1e-15, -9.54, -9.54);
  ck_assert_int_eq(seen.count, 2);
  ck_assert_int_eq(seen.rank, 1);
  ck_assert_int_eq(seen.size, 2);
  ck_assert_int_eq(seen.dtype, CG_F64);
  near(seen.y, -2.385 * 6, 1e-15);
  cg_leaf_free(a);
}
END_TEST

START_TEST(a_users_op_refuses_in_the_same_way) {
  cg_tensor *a = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  cg_tensor *b = cg_full(tape, CG_F64, CG_DIMS(4), 1);
  cg_tensor *i = cg_input(tape, CG_I64, CG_DIMS(3), NULL);
  cg_tensor *ab[] = {a, b}, *ai[] = {a, i}, *aa[] = {a, a};
  ck_assert_ptr_null(cg_record(tape, &op_scaled, ab, 2, &some));
  failed(tape, CG_ERR_SHAPE, "scaled_product", "[2, 3] and [4]");
  ck_assert_ptr_null(cg_record(tape, &op_scaled, ai, 2, &some));
  failed(tape, CG_ERR_DTYPE, "scaled_product", "i64");
  ck_assert_ptr_null(cg_record(tape, &op_scaled, aa, 2, &none));
  failed(tape, CG_ERR_ARG, "scaled_product", "the scale is 0");
  ck_assert_ptr_null(cg_record(tape, &op_scaled, aa, 1, &some));
  failed(tape, CG_ERR_ARG, "scaled_product", "1 operands given");
}
END_TEST

/* ---- a view op: what it may point at ---- */

/* The attribute says what the view shall be. */
static cg_status view_infer(const cg_call *call, cg_spec *spec) {
  *spec = *(const cg_spec *)call->attr;
  return CG_OK;
}

static const cg_op op_view = {.name = "any_view",
                              .min_in = 1,
                              .max_in = 3,
                              .attr_size = sizeof(cg_spec),
                              .infer = view_infer};

#define VIEW(at, n, step)                                       \
  {.dtype = CG_F64, .rank = 1, .shape = {n}, .is_view = true,   \
   .strides = {step}, .offset = at}

/* Of a column of [4, 3], which shows elements 1, 4, 7 and 10. */
START_TEST(views_stay_inside) {
  double data[12];
  for (int i = 0; i < 12; i++) data[i] = 2.385 * i;
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(4, 3), data);
  cg_tensor *column = cg_select(tape, x, 1, 1), *y;
  static const cg_spec good[] = {VIEW(0, 4, 3),  VIEW(9, 4, -3), VIEW(9, 1, 77),
                                 VIEW(2, 8, 1),  VIEW(9, 5, 0),
                                 VIEW(INT64_MAX, 0, INT64_MAX)};
  for (int i = 0; i < N_OF(good); i++) {
    y = cg_record(tape, &op_view, &column, 1, &good[i]);
    fine(tape);
    for (int64_t k = 0; k < good[i].shape[0]; k++)
      near(cg_tensor_get(y, k),
           data[1 + good[i].offset + k * good[i].strides[0]], 0);
  }
  static const cg_spec bad[] = {
      VIEW(-1, 1, 1), VIEW(0, 5, 3), VIEW(10, 1, 0), VIEW(8, 4, -3),
      VIEW(1, 4, 3),  VIEW(INT64_MIN, 1, 1),         VIEW(INT64_MAX, 2, 1),
      VIEW(0, 3, INT64_MAX), VIEW(0, 3, INT64_MIN)};
  for (int i = 0; i < N_OF(bad); i++) {
    ck_assert_ptr_null(cg_record(tape, &op_view, &column, 1, &bad[i]));
    failed(tape, CG_ERR_ARG, "any_view", "leaves its operand's memory");
  }
  cg_tensor *empty = cg_narrow(tape, x, 0, 4, 0);
  ck_assert_ptr_null(cg_record(tape, &op_view, &empty, 1, &good[0]));
  failed(tape, CG_ERR_ARG, "any_view", "leaves its operand's memory");
  cg_spec other = good[0];
  other.dtype = CG_I64;
  ck_assert_ptr_null(cg_record(tape, &op_view, &column, 1, &other));
  failed(tape, CG_ERR_ARG, "any_view", "another type");
}
END_TEST

/* Results one behind the other, 8 numbers each, and 64 bytes behind them. */
START_TEST(a_view_over_operands_in_order) {
  cg_tensor *zeros = cg_full(tape, CG_F64, CG_DIMS(8), 0);
  ck_assert_int_eq(cg_tape_reserve(tape, 4 * 64), CG_OK);
  cg_tensor *in[] = {cg_add_scalar(tape, zeros, 1.5),
                     cg_add_scalar(tape, zeros, 2.385),
                     cg_input(tape, CG_U8, CG_DIMS(64), NULL)};
  static const cg_spec both = VIEW(0, 16, 1), beyond = VIEW(0, 17, 1);
  for (int n = 2; n <= 3; n++) {
    cg_tensor *y = cg_record(tape, &op_view, in, n, &both);
    near(cg_tensor_get(y, 7), 1.5, 0);
    near(cg_tensor_get(y, 8), 2.385, 0);
    ck_assert_ptr_null(cg_record(tape, &op_view, in, n, &beyond));
    failed(tape, CG_ERR_ARG, "any_view", "leaves its operand's memory");
  }
  in[1] = cg_reshape(tape, in[1], CG_DIMS(2, 4));
  ck_assert_ptr_null(cg_record(tape, &op_view, in, 2, &both));
  failed(tape, CG_ERR_ARG, "any_view", "leaves its operand's memory");
}
END_TEST

START_TEST(ops_are_found_by_name) {
  ck_assert_int_gt(cg_op_count(), 0);
  for (int i = 0; i < cg_op_count(); i++)
    ck_assert_ptr_eq(cg_op_find(cg_op_at(i)->name), cg_op_at(i));
  ck_assert_ptr_null(cg_op_find("no such op"));
  ck_assert_ptr_null(cg_op_find(NULL));
  ck_assert_ptr_null(cg_op_at(-1));
  ck_assert_ptr_null(cg_op_at(cg_op_count()));
}
END_TEST

START_TEST(memory_of_the_tape_lives_until_the_rewind) {
  cg_tape_stats before = cg_tape_get_stats(tape);
  cg_mark mark = cg_tape_mark(tape);
  unsigned char *p = cg_tape_alloc(tape, 1000);
  ck_assert_ptr_nonnull(p);
  memset(p, 0x5A, 1000);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(100), 2.385);
  ck_assert_uint_ge(cg_tape_get_stats(tape).bytes_used,
                    before.bytes_used + 1800);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(p[i], 0x5A);
  near(cg_tensor_get(x, 99), 2.385, 0);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  ck_assert_uint_lt(cg_tape_get_stats(tape).bytes_used,
                    before.bytes_used + 200);
  ck_assert_ptr_null(cg_tape_alloc(NULL, 8));
}
END_TEST

START_TEST(a_registry_tells_its_allocator) {
  counter c;
  counter_init(&c);
  cg_params *params = cg_params_new(&c.allocator, CG_F32, NULL);
  ck_assert_ptr_eq(cg_params_allocator(params), &c.allocator);
  cg_params_free(params);
  ck_assert_uint_eq(c.live_blocks, 0);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("op_contract");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, a_users_op_is_checked_like_ours, 0, N_OF(cases));
  tcase_add_test(tc, a_rule_sees_what_was_recorded);
  tcase_add_test(tc, a_users_op_refuses_in_the_same_way);
  tcase_add_test(tc, views_stay_inside);
  tcase_add_test(tc, a_view_over_operands_in_order);
  tcase_add_test(tc, ops_are_found_by_name);
  tcase_add_test(tc, memory_of_the_tape_lives_until_the_rewind);
  tcase_add_test(tc, a_registry_tells_its_allocator);
  return run_case("op_contract", tc);
}
