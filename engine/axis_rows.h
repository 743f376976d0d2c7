/* axis_rows.h - one function applied to every row of a tensor along an axis. */
#ifndef CG_ENGINE_AXIS_ROWS_H
#define CG_ENGINE_AXIS_ROWS_H

#include "tensor_impl.h"

/* One row: y from x[i * sx] for 0 <= i < n. What y is depends on the function:
 * n elements sy apart, or a single one. Strides are in elements. */
typedef void (*axis_row)(int64_t n, void *y, int64_t sy, const void *x,
                         int64_t sx);

/* Runs `row` over x along `axis`. `out` has x's shape, or the axis is of size 1
 * or missing in it. */
void axis_rows(axis_row row, const cg_tensor *x, int axis, cg_tensor *out);

/* For `infer`: the axis that `axis` means for operand 0, or -1 and an error. */
int axis_want(const cg_call *call, int axis);

#endif
