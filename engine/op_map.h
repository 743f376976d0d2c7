/* op_map.h - forward functions that are one kernel over broadcast operands. */
#ifndef CG_ENGINE_OP_MAP_H
#define CG_ENGINE_OP_MAP_H

#include "kernel.h"
#include "op_impl.h"

/* out = f(in[0], in[1]; c), or f(in[0]; c) of one operand; types are equal. */
cg_status op_map(const cg_call *call, cg_tensor *out, const kernel_map *f,
                 double c);

/* out = f(out), for a contiguous out of a float type. */
void op_map_in_place(cg_tensor *out, const kernel_map *f);

/* The shape and type of one float operand. */
cg_status op_map_infer(const cg_call *call, cg_spec *spec);

#endif
