/* index_operand.h - operands that kernels want as plain row-major arrays. */
#ifndef CG_ENGINE_INDEX_OPERAND_H
#define CG_ENGINE_INDEX_OPERAND_H

#include "tensor_impl.h"

/* For `infer`: operand i must be I64. */
cg_status index_want(const cg_call *call, int i);

/* For `forward`: sets *data to operand i's elements in row-major order, in
 * place or copied to scratch memory. */
cg_status operand_dense(const cg_call *call, int i, const void **data);

/* The same for indices, of which each must be in 0 .. size-1. */
cg_status index_dense(const cg_call *call, int i, int64_t size,
                      const int64_t **data);

#endif
