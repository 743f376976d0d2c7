/* reduce_axes.h - what ops that reduce over chosen axes share. */
#ifndef CG_ENGINE_REDUCE_AXES_H
#define CG_ENGINE_REDUCE_AXES_H

#include "op_impl.h"

/* Over which axes, and whether they stay with size 1. */
typedef struct reduce_attr {
  int n_axes; /* 0: all */
  bool keep;
  int axes[CG_MAX_RANK];
} reduce_attr;

/* Records `op` on x; an error for a wrong number of axes. */
cg_tensor *reduce_record(cg_tape *tape, const cg_op *op, cg_tensor *x,
                         const int *axes, int n_axes, bool keep);

/* reduced[i]: is axis i of operand 0 reduced? An error for a wrong or repeated
 * axis. */
cg_status reduce_axes(const cg_call *call, bool reduced[CG_MAX_RANK]);

/* The shape rule: operand 0, of a float type, without the reduced axes. */
cg_status reduce_infer(const cg_call *call, cg_spec *spec);

/* Strides that walk the result along with operand 0: 0 along reduced axes. */
void reduce_strides(const cg_call *call, const cg_tensor *out,
                    int64_t strides[CG_MAX_RANK]);

/* For derivative rules: g, which has the result's shape, with the reduced axes
 * of size 1 again, so that it broadcasts to operand 0. */
cg_tensor *reduce_restore(cg_vjp *v, cg_tensor *g);

#endif
