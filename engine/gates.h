/* gates.h - what the ops of gated cells share (gates.c): operands whose rows
 * consist of parts of H units each. */
#ifndef CG_ENGINE_GATES_H
#define CG_ENGINE_GATES_H

#include "kernel.h"
#include "op_impl.h"

/* For `infer`: operand i must be [B, parts[i] * H] for every i, of one float
 * type; the result is then [B, parts_out * H]. Operand 0 may have fewer parts,
 * if parts[0] is negative: from 1 to -parts[0]. */
cg_status gates_infer(const cg_call *call, const int *parts, int parts_out,
                      cg_spec *spec);
/* For `forward`: the rows of operand i, in place or copied. */
cg_status gates_rows(const cg_call *call, int i, kernel_rows *rows);
/* The same for an operand that broadcasts to [m, n]. */
cg_status gates_addend(const cg_call *call, int i, int64_t m, int64_t n,
                       kernel_rows *rows);

/* How many parts there are in rows of this width. */
static inline int gates_count(int64_t width, int64_t H, int most) {
  return H > 0 ? (int)(width / H) : most;
}

/* Part k of x, [B, H]. */
static inline cg_tensor *gates_part(cg_tape *t, cg_tensor *x, int k,
                                    int64_t H) {
  return cg_narrow(t, x, 1, k * H, H);
}

/* Part k of operand 0, whose parts beyond its end are zero. */
cg_tensor *gates_part_or_zero(cg_vjp *v, int k, int64_t H);

/* Adds g [B, H] to part k of the gradient of operand i, if there is one. */
static inline void gates_give(cg_vjp *v, int i, int k, int64_t H,
                              cg_tensor *g) {
  if (H == 0 || k < cg_vjp_in_shape(v, i)[1] / H)
    cg_vjp_give_narrow(v, i, g, 1, k * H);
}

#endif
