/* reduce_axes.c - what ops that reduce over chosen axes share. */
#include "reduce_axes.h"

cg_tensor *reduce_record(cg_tape *tape, const cg_op *op, cg_tensor *x,
                         const int *axes, int n_axes, bool keep) {
  if (!tape) return NULL;
  if (n_axes < 0 || n_axes > CG_MAX_RANK || (n_axes && !axes))
    return cg_tape_fail(tape, CG_ERR_ARG, op->name,
                        "%d axes: 0 to %d can be given", n_axes, CG_MAX_RANK);
  reduce_attr attr = {.n_axes = n_axes, .keep = keep};
  for (int i = 0; i < n_axes; i++) attr.axes[i] = axes[i];
  return cg_record(tape, op, &x, 1, &attr);
}

cg_status reduce_axes(const cg_call *call, bool reduced[CG_MAX_RANK]) {
  const reduce_attr *attr = call->attr;
  int rank = call->in[0]->rank;
  for (int i = 0; i < rank; i++) reduced[i] = attr->n_axes == 0;
  for (int i = 0; i < attr->n_axes; i++) {
    int axis = shape_axis(attr->axes[i], rank);
    char text[96];
    if (axis < 0 || reduced[axis])
      return cg_call_fail(call, CG_ERR_ARG, "axis %d of %s is %s",
                          attr->axes[i],
                          cg_tensor_shape_text(call->in[0], text, sizeof text),
                          axis < 0 ? "out of range" : "named twice");
    reduced[axis] = true;
  }
  return CG_OK;
}

cg_status reduce_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const reduce_attr *attr = call->attr;
  bool reduced[CG_MAX_RANK];
  cg_status status = cg_call_want_float(call, 0);
  if (!status) status = reduce_axes(call, reduced);
  if (status) return status;
  int rank = 0;
  int64_t shape[CG_MAX_RANK];
  for (int i = 0; i < x->rank; i++) {
    if (!reduced[i])
      shape[rank++] = x->dims[i];
    else if (attr->keep)
      shape[rank++] = 1;
  }
  cg_spec_set(spec, x->dtype, rank, shape);
  return CG_OK;
}

void reduce_strides(const cg_call *call, const cg_tensor *out,
                    int64_t strides[CG_MAX_RANK]) {
  const reduce_attr *attr = call->attr;
  bool reduced[CG_MAX_RANK];
  reduce_axes(call, reduced);
  for (int i = 0, j = 0; i < call->in[0]->rank; i++) {
    strides[i] = reduced[i] ? 0 : t_strides(out)[j];
    if (!reduced[i] || attr->keep) j++;
  }
}

cg_tensor *reduce_restore(cg_vjp *v, cg_tensor *g) {
  const reduce_attr *attr = cg_vjp_attr(v);
  if (attr->keep) return g;
  int rank = cg_vjp_in_rank(v, 0);
  const int64_t *shape = cg_vjp_in_shape(v, 0);
  int64_t kept[CG_MAX_RANK];
  for (int i = 0; i < rank; i++) kept[i] = attr->n_axes ? shape[i] : 1;
  for (int i = 0; i < attr->n_axes; i++)
    kept[shape_axis(attr->axes[i], rank)] = 1;
  return cg_reshape(cg_vjp_tape(v), g, rank, kept);
}
