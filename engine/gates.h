/* gates.h - what the ops of gated cells share (gates.c): operands whose rows
 * consist of parts of H units each. */
#ifndef CG_ENGINE_GATES_H
#define CG_ENGINE_GATES_H

#include "kernel.h"
#include "op_impl.h"

/* For `infer`: operand i must be [B, parts[i] * H] for every i, of one float
 * type; the result is then [B, parts_out * H]. */
cg_status gates_infer(const cg_call *call, const int *parts, int parts_out,
                      cg_spec *spec);
/* For `forward`: the rows of operand i, in place or copied. */
cg_status gates_rows(const cg_call *call, int i, kernel_rows *rows);
/* The same for an operand that broadcasts to [m, n]. */
cg_status gates_addend(const cg_call *call, int i, int64_t m, int64_t n,
                       kernel_rows *rows);

/* Part k of x, [B, H]. */
static inline cg_tensor *gates_part(cg_tape *t, cg_tensor *x, int k,
                                    int64_t H) {
  return cg_narrow(t, x, 1, k * H, H);
}

/* Adds g [B, H] to part k of the gradient of operand i. */
static inline void gates_give(cg_vjp *v, int i, int k, int64_t H,
                              cg_tensor *g) {
  cg_vjp_give_narrow(v, i, g, 1, k * H);
}


#endif
