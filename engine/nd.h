/* nd.h - walking over strided arrays row by row.
 *
 * Axes of size 1 vanish and neighbouring axes that are contiguous in all
 * arrays are merged, so that the inner row is as long as possible.
 */
#ifndef CG_ENGINE_ND_H
#define CG_ENGINE_ND_H

#include <chronograd/tensor.h>

enum { ND_ARRAYS = 4 };

typedef struct nd {
  int rank;   /* of the merged shape without its last axis */
  int arrays; /* how many there are */
  int64_t shape[CG_MAX_RANK];
  int64_t strides[ND_ARRAYS][CG_MAX_RANK]; /* in bytes */
  int64_t n;                               /* length of a row */
  int64_t step[ND_ARRAYS];                 /* strides in a row, in elements */
  int64_t index[CG_MAX_RANK];
  char *at[ND_ARRAYS]; /* where the current row begins */
} nd;

/* Begins a walk; false if there is no element. `strides[k]` NULL means array k
 * is contiguous; absent arrays, which have data[k] NULL, come last. `size` is
 * the bytes of an element, the same for all. */
bool nd_begin(nd *it, int rank, const int64_t *shape, size_t size,
              void *const data[ND_ARRAYS],
              const int64_t *const strides[ND_ARRAYS]);
/* Moves to the next row; false after the last. */
bool nd_next(nd *it);

#endif
