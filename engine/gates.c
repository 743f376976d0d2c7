/* gates.c - operands whose rows consist of parts of H units each. */
#include "gates.h"

#include <stdio.h>
#include <stdlib.h>

#include "addmm.h"
#include "index_operand.h"

/* Says which operand does not fit, and all the shapes. */
static cg_status fail(const cg_call *call, const int *parts, int bad) {
  char text[256] = "";
  size_t at = 0;
  for (int i = 0; i < call->n_in && at < sizeof text; i++) {
    char shape[96];
    at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "",
                           cg_tensor_shape_text(call->in[i], shape,
                                                sizeof shape));
  }
  const char *upto = parts[bad] < 0 ? "H] to [B, " : "";
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "of the operands %s, number %d is not [B, %s%d H]", text,
                      bad, upto, abs(parts[bad]));
}

/* Does x have rows of `parts` parts? */
static bool fits(const cg_tensor *x, int parts, int64_t B, int64_t H) {
  int64_t width;
  if (x->rank != 2 || x->dims[0] != B ||
      __builtin_mul_overflow(H, abs(parts), &width))
    return false;
  const int64_t have = x->dims[1];
  return have == width || (parts < 0 && have && have < width && have % H == 0);
}

/* The last operand is taken to say what B and H are. */
cg_status gates_infer(const cg_call *call, const int *parts, int parts_out,
                      cg_spec *spec) {
  int last = call->n_in - 1;
  const cg_tensor *h = call->in[last];
  cg_status status = cg_call_want_float(call, last);
  if (status) return status;
  if (h->rank != 2) return fail(call, parts, last);
  int64_t B = h->dims[0], H = h->dims[1], shape[2] = {B, 0};
  for (int i = 0; i < last; i++) {
    const cg_tensor *x = call->in[i];
    if (x->dtype != h->dtype)
      return cg_call_fail(call, CG_ERR_DTYPE, "operands have types %s and %s",
                          cg_dtype_name(x->dtype), cg_dtype_name(h->dtype));
    if (!fits(x, parts[i], B, H)) return fail(call, parts, i);
  }
  if (__builtin_mul_overflow(H, parts_out, &shape[1]))
    return fail(call, parts, last);
  cg_spec_set(spec, h->dtype, 2, shape);
  return CG_OK;
}

cg_status gates_rows(const cg_call *call, int i, kernel_rows *rows) {
  const cg_tensor *x = call->in[i];
  if (t_strides(x)[1] == 1) {
    *rows = (kernel_rows){x->data, t_strides(x)[0]};
    return CG_OK;
  }
  rows->ld = x->dims[1];
  return operand_dense(call, i, &rows->data);
}

cg_status gates_addend(const cg_call *call, int i, int64_t m, int64_t n,
                       kernel_rows *rows) {
  const cg_tensor *x = call->in[i];
  const int64_t shape[2] = {m, n};
  int64_t strides[2];
  shape_expand_strides(2, shape, x->rank, t_shape(x), t_strides(x), strides);
  *rows = (kernel_rows){x->data, strides[0]};
  if (strides[1] == 1 || n <= 1) return CG_OK;
  void *copy = cg_call_scratch(call, (size_t)(m * n) * dtype_size(x->dtype));
  if (!copy) return cg_tape_status(call->tape);
  addend_into(call, i, m, n, copy, n, false);
  *rows = (kernel_rows){copy, n};
  return CG_OK;
}

cg_tensor *gates_part_or_zero(cg_vjp *v, int k, int64_t H) {
  const int64_t *shape = cg_vjp_in_shape(v, 0);
  cg_tape *t = cg_vjp_tape(v);
  if (H == 0 || k < shape[1] / H)
    return gates_part(t, cg_vjp_in(v, 0), k, H);
  return cg_full(t, cg_vjp_in_dtype(v, 0), CG_DIMS(shape[0], H), 0);
}
