/* gemm_operand.h - seeing strided tensors as operands of a matrix product. */
#ifndef CG_ENGINE_GEMM_OPERAND_H
#define CG_ENGINE_GEMM_OPERAND_H

#include "kernel.h"
#include "tape_impl.h"

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

/* Gets what g needs to be computed, its operands filled in: scratch memory and,
 * where b (which may be NULL) is a leaf's matrix, the form of it that suits the
 * product, made when first asked for and kept as long as the proxy: a weight is
 * used at every time step. False after an error, which names `op`. The scratch
 * memory is to be dropped. */
bool gemm_prepare(cg_tape *tape, cg_tensor *b, gemm_args *g, const char *op);
/* Says that g adds to x's gradient; of use where x is a leaf's matrix. */
void gemm_adds_to(const cg_tensor *x, gemm_args *g);
/* Gives back the forms that a proxy keeps. */
void gemm_drop_forms(cg_tape *tape, cg_tensor *proxy);

#endif
