/* op_reduce.c - sums over axes. */
#include "kernel.h"
#include "reduce_axes.h"

/* ---- sum over chosen axes ---- */

static cg_status sum_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  int64_t strides[CG_MAX_RANK];
  reduce_strides(call, out, strides);
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  kernel_add_strided(x->dtype, x->rank, t_shape(x), out->data, strides,
                     x->data, t_strides(x));
  return CG_OK;
}

static void sum_vjp(cg_vjp *v) {
  cg_tensor *g = reduce_restore(v, cg_vjp_gy(v));
  cg_vjp_give(v, 0, cg_expand(cg_vjp_tape(v), g, cg_vjp_in_rank(v, 0),
                              cg_vjp_in_shape(v, 0)));
}

static const reduce_attr all = {0}, first = {1, false, {0}},
                         last_kept = {1, true, {-1}},
                         outer = {2, false, {0, 2}}, all_kept = {0, true, {0}};
static const cg_op_case sum_cases[] = {
    {"f[]", &all},          {"f[5]", &first},      {"f[2,3]", &all},
    {"f[2,3]", &first},     {"f[2,3]", &last_kept}, {"f[2,3,4]", &outer},
    {"f[3,2]", &all_kept},  {"f[0,3]", &first},    {"f[3,0]", &last_kept},
    {"f[2,3,4]", &last_kept},
};

const cg_op cg_op_sum = {
    .name = "sum",
    .formula = "y = sum of x over axes",
    .derivative = "gx = gy, repeated along the axes",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(reduce_attr),
    .infer = reduce_infer,
    .forward = sum_forward,
    .vjp = sum_vjp,
    CG_CASES(sum_cases),
};

cg_tensor *cg_sum(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                  bool keep) {
  return reduce_record(tape, &cg_op_sum, x, axes, n_axes, keep);
}

cg_tensor *cg_sum_all(cg_tape *tape, cg_tensor *x) {
  return cg_sum(tape, x, NULL, 0, false);
}

/* ---- mean: composed ---- */

cg_tensor *cg_mean(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                   bool keep) {
  cg_tensor *sum = cg_sum(tape, x, axes, n_axes, keep);
  if (!sum) return NULL;
  double n = (double)cg_tensor_numel(x), m = (double)cg_tensor_numel(sum);
  if (m == 0) { /* an empty result: the count comes from the axes' sizes */
    n = m = 1;
    for (int i = 0; i < n_axes; i++) n *= (double)cg_tensor_dim(x, axes[i]);
  }
  return cg_mul_scalar(tape, sum, 1 / (n / m));
}

cg_tensor *cg_mean_all(cg_tape *tape, cg_tensor *x) {
  return cg_mean(tape, x, NULL, 0, false);
}

/* ---- sum to a shape ---- */

typedef struct sum_to_attr {
  int rank;
  int64_t shape[CG_MAX_RANK];
} sum_to_attr;

static cg_status sum_to_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const sum_to_attr *to = call->attr;
  int rank = x->rank;
  int64_t shape[CG_MAX_RANK];
  for (int i = 0; i < rank; i++) shape[i] = x->dims[i];
  cg_spec_set(spec, x->dtype, to->rank, to->shape);
  if (to->rank <= rank && shape_broadcast(&rank, shape, to->rank, to->shape) &&
      shape_equal(rank, shape, x->rank, t_shape(x)))
    return cg_call_want_float(call, 0);
  char have[96], want[96];
  return cg_call_fail(call, CG_ERR_SHAPE, "%s does not broadcast to %s",
                      shape_text(to->rank, to->shape, want, sizeof want),
                      cg_tensor_shape_text(x, have, sizeof have));
}

static cg_status sum_to_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  int64_t strides[CG_MAX_RANK];
  shape_expand_strides(x->rank, t_shape(x), out->rank, t_shape(out),
                       t_strides(out), strides);
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  kernel_add_strided(x->dtype, x->rank, t_shape(x), out->data, strides,
                     x->data, t_strides(x));
  return CG_OK;
}

static void sum_to_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0,
              cg_expand(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in_rank(v, 0),
                        cg_vjp_in_shape(v, 0)));
}

static const sum_to_attr to_scalar = {0}, to_3 = {1, {3}}, to_21 = {2, {2, 1}},
                         to_13 = {2, {1, 3}};
static const cg_op_case sum_to_cases[] = {
    {"f[]", &to_scalar},  {"f[2,3]", &to_scalar}, {"f[2,3]", &to_3},
    {"f[2,3]", &to_21},   {"f[4,2,3]", &to_3},    {"f[4,2,3]", &to_21},
    {"f[0,3]", &to_13},   {"f[3]", &to_3},
};

const cg_op cg_op_sum_to = {
    .name = "sum_to",
    .formula = "y = x summed to the shape it could be broadcast from",
    .derivative = "gx = gy, broadcast",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(sum_to_attr),
    .infer = sum_to_infer,
    .forward = sum_to_forward,
    .vjp = sum_to_vjp,
    CG_CASES(sum_to_cases),
};

cg_tensor *cg_sum_to(cg_tape *tape, cg_tensor *x, int rank,
                     const int64_t *shape) {
  if (!tape) return NULL;
  if (rank < 0 || rank > CG_MAX_RANK || (rank && !shape))
    return cg_tape_fail(tape, CG_ERR_SHAPE, "sum_to", "rank %d is not in 0..%d",
                        rank, CG_MAX_RANK);
  sum_to_attr attr = {.rank = rank};
  for (int i = 0; i < rank; i++) attr.shape[i] = shape[i];
  return cg_record(tape, &cg_op_sum_to, &x, 1, &attr);
}
