/* op_impl.h - the descriptors, and what family files share. */
#ifndef CG_ENGINE_OP_IMPL_H
#define CG_ENGINE_OP_IMPL_H

#include <chronograd/op.h>
#include <chronograd/ops.h>

#include "op_list.h"
#include "tensor_impl.h"

#define CG_OP_DECLARE(name) extern const cg_op cg_op_##name;
CG_OP_LIST(CG_OP_DECLARE)
#undef CG_OP_DECLARE

/* The `cases, n_cases` members of a descriptor. */
#define CG_CASES(array) \
  .cases = (array), .n_cases = (int)(sizeof(array) / sizeof *(array))

/* cg_spec_like without a call. */
static inline void spec_like(cg_spec *spec, const cg_tensor *x) {
  spec->dtype = (cg_dtype)x->dtype;
  spec->rank = x->rank;
  spec->is_view = false;
  for (int i = 0; i < x->rank; i++) spec->shape[i] = x->dims[i];
}

/* A result of type `dtype` and of the shape that all operands, of whatever
 * types, broadcast to; or an error that names the shapes (record.c). */
cg_status call_broadcast(const cg_call *call, cg_dtype dtype, cg_spec *spec);

/* cg_record of a complete op of one or two operands, with the attributes that
 * it has (record.c). */
cg_tensor *record_one(cg_tape *tape, const cg_op *op, cg_tensor *x,
                      const void *attr);
cg_tensor *record_two(cg_tape *tape, const cg_op *op, cg_tensor *a,
                      cg_tensor *b, const void *attr);

/* The same without attributes. */
static inline cg_tensor *record1(cg_tape *tape, const cg_op *op, cg_tensor *x) {
  return record_one(tape, op, x, NULL);
}
static inline cg_tensor *record2(cg_tape *tape, const cg_op *op, cg_tensor *a,
                                 cg_tensor *b) {
  return record_two(tape, op, a, b, NULL);
}

/* The view that `spec` describes of x, an operand that was resolved, on a tape
 * without errors that nobody watches; the caller knows that it stays inside. */
cg_tensor *record_view(cg_tape *tape, const cg_op *op, cg_tensor *x,
                       const void *attr, const cg_spec *spec);

#endif
