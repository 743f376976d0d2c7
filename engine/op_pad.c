/* op_pad.c - a border of a constant value. */
#include "kernel.h"
#include "op_impl.h"

typedef struct pad_attr {
  int rank;
  int64_t before[CG_MAX_RANK], after[CG_MAX_RANK];
  double value;
} pad_attr;

static cg_status pad_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const pad_attr *attr = call->attr;
  cg_status status = cg_call_want_float(call, 0);
  if (status) return status;
  cg_spec_like(spec, x);
  bool fits = attr->rank == x->rank;
  for (int i = 0; fits && i < x->rank; i++)
    fits = attr->before[i] >= 0 && attr->after[i] >= 0 &&
           !__builtin_add_overflow(x->dims[i], attr->before[i],
                                   &spec->shape[i]) &&
           !__builtin_add_overflow(spec->shape[i], attr->after[i],
                                   &spec->shape[i]);
  if (fits) return CG_OK;
  char text[96];
  return cg_call_fail(call, CG_ERR_ARG,
                      "a border of %s: widths must be >= 0, and not too large",
                      cg_tensor_shape_text(x, text, sizeof text));
}

static cg_status pad_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  const pad_attr *attr = call->attr;
  int64_t at = 0;
  kernel_fill(out->dtype, t_numel(out), out->data, attr->value);
  if (t_numel(x) == 0) return CG_OK;
  for (int i = 0; i < x->rank; i++) at += attr->before[i] * t_strides(out)[i];
  kernel_copy_strided(x->dtype, x->rank, t_shape(x),
                      (char *)out->data + at * (int64_t)dtype_size(x->dtype),
                      t_strides(out), x->data, t_strides(x));
  return CG_OK;
}

static void pad_vjp(cg_vjp *v) {
  const pad_attr *attr = cg_vjp_attr(v);
  cg_tensor *g = cg_vjp_gy(v);
  for (int i = 0; i < attr->rank; i++)
    if (attr->before[i] || attr->after[i])
      g = cg_narrow(cg_vjp_tape(v), g, i, attr->before[i],
                    cg_vjp_in_shape(v, 0)[i]);
  cg_vjp_give(v, 0, g);
}

static const pad_attr nothing = {0}, ends = {1, {2}, {1}, 2.385},
                      corner = {2, {0, 1}, {3, 0}, -0.5},
                      middle = {3, {0, 1, 0}, {0, 2, 0}, 0};
static const cg_op_case pad_cases[] = {
    {"f[]", &nothing},  {"f[3]", &ends}, {"f[2,3]", &corner},
    {"f[2,2,2]", &middle}, {"f[0]", &ends}, {"f[0,3]", &corner},
};

const cg_op cg_op_pad = {
    .name = "pad",
    .formula = "y = x with a border of a constant",
    .derivative = "gx = gy without the border",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(pad_attr),
    .infer = pad_infer,
    .forward = pad_forward,
    .vjp = pad_vjp,
    CG_CASES(pad_cases),
};

cg_tensor *cg_pad(cg_tape *tape, cg_tensor *x, const int64_t *before,
                  const int64_t *after, double value) {
  pad_attr attr = {.rank = cg_tensor_rank(x), .value = value};
  for (int i = 0; i < attr.rank; i++) {
    attr.before[i] = before ? before[i] : 0;
    attr.after[i] = after ? after[i] : 0;
  }
  return cg_record(tape, &cg_op_pad, &x, 1, &attr);
}
