/* nd.c - walking over strided arrays row by row. */
#include "nd.h"

#include "shape.h"

/* Can axis i be merged into the one behind it, `last`, in every array? */
static bool mergeable(const nd *it, int last, const int64_t *step,
                      int64_t size) {
  for (int k = 0; k < ND_ARRAYS; k++)
    if (step[k] != it->strides[k][last] * size) return false;
  return true;
}

/* Builds the merged shape, outermost axis first, in it->shape/strides. */
static int merge(nd *it, int rank, const int64_t *shape,
                 int64_t strides[ND_ARRAYS][CG_MAX_RANK]) {
  int top = CG_MAX_RANK; /* merged axes fill the arrays from their end */
  for (int i = rank - 1; i >= 0; i--) {
    if (shape[i] == 1) continue;
    int64_t step[ND_ARRAYS];
    for (int k = 0; k < ND_ARRAYS; k++) step[k] = strides[k][i];
    if (top < CG_MAX_RANK && mergeable(it, top, step, it->shape[top])) {
      it->shape[top] *= shape[i];
      continue;
    }
    top--;
    it->shape[top] = shape[i];
    for (int k = 0; k < ND_ARRAYS; k++) it->strides[k][top] = step[k];
  }
  return top;
}

bool nd_begin(nd *it, int rank, const int64_t *shape, size_t size,
              void *const data[ND_ARRAYS],
              const int64_t *const strides[ND_ARRAYS]) {
  int64_t full[ND_ARRAYS][CG_MAX_RANK];
  for (int i = 0; i < rank; i++)
    if (shape[i] == 0) return false;
  it->arrays = 0;
  for (int k = 0; k < ND_ARRAYS; k++) {
    it->at[k] = data[k];
    if (data[k]) it->arrays = k + 1;
    if (!data[k])
      for (int i = 0; i < rank; i++) full[k][i] = 0;
    else if (!strides[k])
      shape_strides(rank, shape, full[k]);
    else
      for (int i = 0; i < rank; i++) full[k][i] = strides[k][i];
  }
  int top = merge(it, rank, shape, full);
  bool scalar = top == CG_MAX_RANK;
  it->n = scalar ? 1 : it->shape[CG_MAX_RANK - 1];
  it->rank = scalar ? 0 : CG_MAX_RANK - 1 - top;
  for (int k = 0; k < ND_ARRAYS; k++) {
    it->step[k] = scalar ? 1 : it->strides[k][CG_MAX_RANK - 1];
    for (int i = 0; i < it->rank; i++)
      it->strides[k][i] = it->strides[k][top + i] * (int64_t)size;
  }
  for (int i = 0; i < it->rank; i++) {
    it->shape[i] = it->shape[top + i];
    it->index[i] = 0;
  }
  return true;
}

bool nd_next(nd *it) {
  for (int i = it->rank - 1; i >= 0; i--) {
    it->index[i]++;
    for (int k = 0; k < it->arrays; k++) it->at[k] += it->strides[k][i];
    if (it->index[i] < it->shape[i]) return true;
    for (int k = 0; k < it->arrays; k++)
      it->at[k] -= it->strides[k][i] * it->shape[i];
    it->index[i] = 0;
  }
  return false;
}
