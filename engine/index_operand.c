/* index_operand.c - operands that kernels want as plain row-major arrays. */
#include "index_operand.h"

#include "kernel.h"

cg_status index_want(const cg_call *call, int i) {
  const cg_tensor *x = call->in[i];
  if (x->dtype == CG_I64) return CG_OK;
  return cg_call_fail(call, CG_ERR_DTYPE,
                      "operand %d (%s) has type %s; indices are i64", i,
                      t_label(x), cg_dtype_name(x->dtype));
}

cg_status operand_dense(const cg_call *call, int i, const void **data) {
  const cg_tensor *x = call->in[i];
  *data = x->data;
  if (x->flags & T_CONTIGUOUS) return CG_OK;
  void *copy =
      cg_call_scratch(call, (size_t)t_numel(x) * cg_dtype_size(x->dtype));
  if (!copy) return cg_tape_status(call->tape);
  kernel_copy(x->dtype, x->rank, t_shape(x), copy, x->data, t_strides(x));
  *data = copy;
  return CG_OK;
}

cg_status index_dense(const cg_call *call, int i, int64_t size,
                      const int64_t **data) {
  const void *dense;
  cg_status status = operand_dense(call, i, &dense);
  if (status) return status;
  const int64_t *index = *data = dense;
  const int64_t n = t_numel(call->in[i]);
  for (int64_t k = 0; k < n; k++)
    if (index[k] < 0 || index[k] >= size)
      return cg_call_fail(call, CG_ERR_ARG,
                          "index %lld, element %lld of operand %d (%s), is "
                          "out of range for size %lld",
                          (long long)index[k], (long long)k, i,
                          t_label(call->in[i]), (long long)size);
  return CG_OK;
}
