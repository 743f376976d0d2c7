/* op_softmax.c - softmax and log softmax over an axis. */
#include "kernel.h"
#include "nd.h"
#include "op_impl.h"

typedef struct softmax_attr {
  int axis;
} softmax_attr;

static int axis_of(const cg_call *call) {
  const softmax_attr *attr = call->attr;
  return shape_axis(attr->axis, call->in[0]->rank);
}

static cg_status softmax_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const softmax_attr *attr = call->attr;
  cg_spec_like(spec, x);
  if (axis_of(call) >= 0) return cg_call_want_float(call, 0);
  char shape[96];
  return cg_call_fail(call, CG_ERR_ARG, "axis %d of shape %s does not exist",
                      attr->axis, cg_tensor_shape_text(x, shape, sizeof shape));
}

/* Runs a row kernel along the axis. The walk goes over the other axes, on
 * which its inner rows hold one element of each row to be normalised. */
static cg_status normalise(const cg_call *call, cg_tensor *out,
                           const kernel_softmax *f) {
  const cg_tensor *x = call->in[0];
  const int axis = axis_of(call);
  const size_t size = cg_dtype_size(x->dtype);
  const int64_t n = x->dims[axis];
  const int64_t sx = t_strides(x)[axis], sy = t_strides(out)[axis];
  kernel_normalise row = x->dtype == CG_F32 ? f->f32 : f->f64;
  int64_t others[CG_MAX_RANK];
  for (int i = 0; i < x->rank; i++) others[i] = i == axis ? 1 : x->dims[i];
  nd it;
  void *data[ND_ARRAYS] = {out->data, x->data, NULL};
  const int64_t *strides[ND_ARRAYS] = {t_strides(out), t_strides(x), NULL};
  if (n == 0 || !nd_begin(&it, x->rank, others, size, data, strides))
    return CG_OK;
  do
    for (int64_t i = 0; i < it.n; i++)
      row(n, it.at[0] + i * it.step[0] * (int64_t)size, sy,
          it.at[1] + i * it.step[1] * (int64_t)size, sx);
  while (nd_next(&it));
  return CG_OK;
}

static const softmax_attr axis_0 = {0}, axis_1 = {1}, axis_last = {-1};

static const cg_op_case softmax_cases[] = {
    {"f[5]", &axis_0},         {"f[3,4]", &axis_last}, {"f[3,4]", &axis_0},
    {"f[2,3,2]", &axis_1},     {"f[2,19]", &axis_1},   {"f[1]", &axis_last},
    {"f[0,3]", &axis_last},    {"f[2,0]", &axis_last}, {"f[3,0]", &axis_0},
    {"f[2,1,33]", &axis_last},
};

/* ---- log_softmax ---- */

static cg_status log_softmax_forward(const cg_call *call, cg_tensor *out) {
  return normalise(call, out, &kernel_log_softmax_row);
}

static void log_softmax_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const softmax_attr *attr = cg_vjp_attr(v);
  cg_tensor *gy = cg_vjp_gy(v), *p = cg_exp(t, cg_vjp_out(v));
  cg_tensor *sum = cg_sum(t, gy, &attr->axis, 1, true);
  cg_vjp_give(v, 0, cg_sub(t, gy, cg_mul(t, p, sum)));
}

const cg_op cg_op_log_softmax = {
    .name = "log_softmax",
    .formula = "y_k = x_k - log sum_j e^x_j",
    .derivative = "gx = gy - e^y sum(gy)",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = softmax_infer,
    .forward = log_softmax_forward,
    .vjp = log_softmax_vjp,
    CG_CASES(softmax_cases),
};

cg_tensor *cg_log_softmax(cg_tape *tape, cg_tensor *x, int axis) {
  softmax_attr attr = {axis};
  return cg_record(tape, &cg_op_log_softmax, &x, 1, &attr);
}

/* ---- softmax ---- */

static cg_status softmax_forward(const cg_call *call, cg_tensor *out) {
  return normalise(call, out, &kernel_softmax_row);
}

static void softmax_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const softmax_attr *attr = cg_vjp_attr(v);
  cg_tensor *gy = cg_vjp_gy(v), *y = cg_vjp_out(v);
  cg_tensor *mean = cg_sum(t, cg_mul(t, gy, y), &attr->axis, 1, true);
  cg_vjp_give(v, 0, cg_mul(t, y, cg_sub(t, gy, mean)));
}

const cg_op cg_op_softmax = {
    .name = "softmax",
    .formula = "y_k = e^x_k / sum_j e^x_j",
    .derivative = "gx = y (gy - sum(gy y))",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = softmax_infer,
    .forward = softmax_forward,
    .vjp = softmax_vjp,
    CG_CASES(softmax_cases),
};

cg_tensor *cg_softmax(cg_tape *tape, cg_tensor *x, int axis) {
  softmax_attr attr = {axis};
  return cg_record(tape, &cg_op_softmax, &x, 1, &attr);
}
