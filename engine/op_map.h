/* op_map.h - forward functions that are one kernel over broadcast operands. */
#ifndef CG_ENGINE_OP_MAP_H
#define CG_ENGINE_OP_MAP_H

#include "kernel.h"
#include "op_impl.h"

/* out = f(in[0], in[1]; c), or f(in[0]; c) of one operand; types are equal. The
 * operands of a result of rank 0 have one element, and graphs of scalars need
 * no more than that. */
cg_status op_map_arrays(const cg_call *call, cg_tensor *out,
                        const kernel_map *f, double c);
static inline cg_status op_map(const cg_call *call, cg_tensor *out,
                               const kernel_map *f, double c) {
  if (out->rank) return op_map_arrays(call, out, f, c);
  const void *b = call->n_in > 1 ? call->in[1]->data : NULL;
  const kernel_row row = out->dtype == CG_F32 ? f->f32 : f->f64;
  row(1, out->data, call->in[0]->data, 1, b, b != NULL, c);
  return CG_OK;
}

#endif
