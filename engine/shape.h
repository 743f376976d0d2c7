/* shape.h - arithmetic of shapes and strides: pure functions over arrays. */
#ifndef CG_ENGINE_SHAPE_H
#define CG_ENGINE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* shape_numel for sizes of any number and kind. */
bool shape_numel_checked(int rank, const int64_t *shape, int64_t *numel);

/* The product of the sizes; false for a negative size, or when numel * 16
 * (a bound of its bytes) would overflow, also if another size is 0. */
static inline bool shape_numel(int rank, const int64_t *shape,
                               int64_t *numel) {
  enum { FEW = 3, SMALL = 1 << 19 }; /* three of them cannot overflow */
  uint64_t n = 1, wide = 0;
  if (rank > FEW) return shape_numel_checked(rank, shape, numel);
  for (int i = 0; i < rank; i++) {
    wide |= (uint64_t)shape[i] - 1; /* huge for 0, too */
    n *= (uint64_t)shape[i];
  }
  if (wide >= SMALL) return shape_numel_checked(rank, shape, numel);
  *numel = (int64_t)n;
  return true;
}

/* Row-major strides in elements. */
static inline void shape_strides(int rank, const int64_t *shape,
                                 int64_t *strides) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = step;
    if (shape[i] > 0) step *= shape[i];
  }
}

static inline bool shape_equal(int rank_a, const int64_t *a, int rank_b,
                               const int64_t *b) {
  if (rank_a != rank_b) return false;
  for (int i = 0; i < rank_a; i++)
    if (a[i] != b[i]) return false;
  return true;
}

/* Do these strides walk the shape in row-major order without gaps? */
static inline bool shape_contiguous(int rank, const int64_t *shape,
                                    const int64_t *strides) {
  int64_t step = 1;
  bool dense = true;
  for (int i = rank - 1; i >= 0; i--) {
    if (shape[i] == 0) return true; /* no element is out of order */
    if (shape[i] == 1) continue;
    dense = dense && strides[i] == step;
    step *= shape[i];
  }
  return dense;
}

/* Joins `shape` into the accumulated broadcast shape *out; false if they do not
 * broadcast together. Start with *rank = 0. */
bool shape_broadcast(int *rank, int64_t *out, int rank_in,
                     const int64_t *shape);

/* Strides of a [rank_in] tensor seen as broadcast to `rank` axes of `shape`. */
static inline void shape_expand_strides(int rank, const int64_t *shape,
                                        int rank_in, const int64_t *shape_in,
                                        const int64_t *strides_in,
                                        int64_t *out) {
  int shift = rank - rank_in;
  for (int i = 0; i < rank; i++) {
    int j = i - shift;
    bool repeated = j < 0 || (shape_in[j] == 1 && shape[i] != 1);
    out[i] = repeated ? 0 : strides_in[j];
  }
}

/* A negative axis counted from the end; -1 if it is out of range. */
static inline int shape_axis(int axis, int rank) {
  if (axis < 0) axis += rank;
  return axis >= 0 && axis < rank ? axis : -1;
}

/* "[2, 3]"; returns buf. */
const char *shape_text(int rank, const int64_t *shape, char *buf, size_t size);

#endif
