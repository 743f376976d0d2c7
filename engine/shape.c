/* shape.c - arithmetic of shapes and strides. */
#include "shape.h"

#include <stdio.h>

bool shape_numel_checked(int rank, const int64_t *shape, int64_t *numel) {
  int64_t n = 1; /* without sizes of 0, as strides are computed */
  bool empty = false, fits = true;
  for (int i = 0; i < rank; i++) {
    if (shape[i] <= 0) {
      if (shape[i] < 0) return false;
      empty = true;
      continue;
    }
    fits &= !__builtin_mul_overflow(n, shape[i], &n);
  }
  *numel = empty ? 0 : n;
  return fits && n <= INT64_MAX / 16;
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
