/* shape.h - arithmetic of shapes and strides: pure functions over arrays. */
#ifndef CG_ENGINE_SHAPE_H
#define CG_ENGINE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The product of the sizes; false for a negative size, or when numel * 16
 * (a bound of its bytes) would overflow, also if another size is 0. */
bool shape_numel(int rank, const int64_t *shape, int64_t *numel);

/* Row-major strides in elements. */
void shape_strides(int rank, const int64_t *shape, int64_t *strides);

bool shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b);

/* Do these strides walk the shape in row-major order without gaps? */
bool shape_contiguous(int rank, const int64_t *shape, const int64_t *strides);

/* Joins `shape` into the accumulated broadcast shape *out; false if they do not
 * broadcast together. Start with *rank = 0. */
bool shape_broadcast(int *rank, int64_t *out, int rank_in,
                     const int64_t *shape);

/* Strides of a [rank_in] tensor seen as broadcast to `rank` axes of `shape`. */
void shape_expand_strides(int rank, const int64_t *shape, int rank_in,
                          const int64_t *shape_in, const int64_t *strides_in,
                          int64_t *out);

/* A negative axis counted from the end; -1 if it is out of range. */
int shape_axis(int axis, int rank);

/* "[2, 3]"; returns buf. */
const char *shape_text(int rank, const int64_t *shape, char *buf, size_t size);

#endif
