/* shape.c - arithmetic of shapes and strides. */
#include "shape.h"

#include <stdio.h>

bool shape_numel(int rank, const int64_t *shape, int64_t *numel) {
  int64_t n = 1; /* without sizes of 0, as strides are computed */
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0) return false;
    if (shape[i] == 0) {
      empty = true;
      continue;
    }
    if (n > INT64_MAX / 16 / shape[i]) return false;
    n *= shape[i];
  }
  *numel = empty ? 0 : n;
  return true;
}

void shape_strides(int rank, const int64_t *shape, int64_t *strides) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = step;
    if (shape[i] > 0) step *= shape[i];
  }
}

bool shape_equal(int rank_a, const int64_t *a, int rank_b, const int64_t *b) {
  if (rank_a != rank_b) return false;
  for (int i = 0; i < rank_a; i++)
    if (a[i] != b[i]) return false;
  return true;
}

bool shape_contiguous(int rank, const int64_t *shape, const int64_t *strides) {
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

bool shape_broadcast(int *rank, int64_t *out, int rank_in,
                     const int64_t *shape) {
  int grow = rank_in - *rank;
  if (grow > 0) {
    for (int i = rank_in - 1; i >= grow; i--) out[i] = out[i - grow];
    for (int i = 0; i < grow; i++) out[i] = 1;
    *rank = rank_in;
  }
  int shift = *rank - rank_in;
  for (int i = 0; i < rank_in; i++) {
    int64_t *o = &out[i + shift];
    if (*o == shape[i] || shape[i] == 1) continue;
    if (*o != 1) return false;
    *o = shape[i];
  }
  return true;
}

void shape_expand_strides(int rank, const int64_t *shape, int rank_in,
                          const int64_t *shape_in, const int64_t *strides_in,
                          int64_t *out) {
  int shift = rank - rank_in;
  for (int i = 0; i < rank; i++) {
    int j = i - shift;
    bool repeated = j < 0 || (shape_in[j] == 1 && shape[i] != 1);
    out[i] = repeated ? 0 : strides_in[j];
  }
}

int shape_axis(int axis, int rank) {
  if (axis < 0) axis += rank;
  return axis >= 0 && axis < rank ? axis : -1;
}

const char *shape_text(int rank, const int64_t *shape, char *buf, size_t size) {
  if (size == 0) return buf;
  size_t at = 0;
  at += (size_t)snprintf(buf, size, "[");
  for (int i = 0; i < rank && at < size; i++)
    at += (size_t)snprintf(buf + at, size - at, i ? ", %lld" : "%lld",
                           (long long)shape[i]);
  if (at < size) snprintf(buf + at, size - at, "]");
  return buf;
}
