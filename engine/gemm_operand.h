/* gemm_operand.h - seeing strided tensors as operands of a matrix product. */
#ifndef CG_ENGINE_GEMM_OPERAND_H
#define CG_ENGINE_GEMM_OPERAND_H

#include "kernel.h"
#include "tensor_impl.h"

/* Fills in everything of *g but c, ldc and accumulate for op(a) op(b). False if
 * a or b is no float matrix, the types differ, the inner sizes do not fit, or
 * the strides are such that it takes a copy first. */
bool gemm_operands(const cg_tensor *a, bool ta, const cg_tensor *b, bool tb,
                   gemm_args *g);

/* Sees a matrix of this shape and strides as a stored one whose rows are *ld
 * apart; flips *transposed where it is the columns that are contiguous. False
 * if it takes a copy first. */
bool gemm_stored(const int64_t *shape, const int64_t *strides,
                 bool *transposed, int64_t *ld);

#endif
