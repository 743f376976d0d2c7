/* op_axes.c - axes merged, added and dropped, and tensors taken to pieces: all
 * composed of reshape and narrow. */
#include "op_impl.h"

/* ---- squeeze, unsqueeze, flatten ---- */

/* The axis of a tensor of `rank` axes that `axis` means; -1 and an error. */
static int want_axis(cg_tape *tape, const char *op, const cg_tensor *x,
                     int axis, int rank) {
  if (cg_tape_status(tape)) return -1;
  int found = shape_axis(axis, rank);
  char text[96];
  if (!x)
    cg_tape_fail(tape, CG_ERR_ARG, op, "x is NULL");
  else if (found < 0)
    cg_tape_fail(tape, CG_ERR_ARG, op, "axis %d does not suit %s", axis,
                 cg_tensor_shape_text(x, text, sizeof text));
  return x ? found : -1;
}

cg_tensor *cg_squeeze(cg_tape *tape, cg_tensor *x, int axis) {
  int rank = cg_tensor_rank(x);
  int at = want_axis(tape, "squeeze", x, axis, rank);
  if (at < 0) return NULL;
  int64_t shape[CG_MAX_RANK];
  char text[96];
  if (cg_tensor_dim(x, at) != 1)
    return cg_tape_fail(tape, CG_ERR_SHAPE, "squeeze",
                        "axis %d of %s is not of size 1", at,
                        cg_tensor_shape_text(x, text, sizeof text));
  for (int i = 0, j = 0; i < rank; i++)
    if (i != at) shape[j++] = cg_tensor_dim(x, i);
  return cg_reshape(tape, x, rank - 1, shape);
}

cg_tensor *cg_unsqueeze(cg_tape *tape, cg_tensor *x, int axis) {
  int rank = cg_tensor_rank(x) + 1;
  int at = want_axis(tape, "unsqueeze", x, axis, rank);
  if (at < 0) return NULL;
  int64_t shape[CG_MAX_RANK + 1];
  for (int i = 0, j = 0; i < rank; i++)
    shape[i] = i == at ? 1 : cg_tensor_dim(x, j++);
  return cg_reshape(tape, x, rank, shape);
}

cg_tensor *cg_flatten(cg_tape *tape, cg_tensor *x, int first, int last) {
  int rank = cg_tensor_rank(x);
  /* A scalar counts as one axis. */
  int a = want_axis(tape, "flatten", x, first, rank ? rank : 1);
  int b = want_axis(tape, "flatten", x, last, rank ? rank : 1);
  if (a < 0 || b < 0) return NULL;
  if (a > b)
    return cg_tape_fail(tape, CG_ERR_ARG, "flatten",
                        "axis %d comes after axis %d", a, b);
  int64_t shape[CG_MAX_RANK], merged = 1;
  int n = 0;
  for (int i = 0; i < a; i++) shape[n++] = cg_tensor_dim(x, i);
  for (int i = a; i <= b && i < rank; i++) merged *= cg_tensor_dim(x, i);
  shape[n++] = merged;
  for (int i = b + 1; i < rank; i++) shape[n++] = cg_tensor_dim(x, i);
  return cg_reshape(tape, x, n, shape);
}

/* ---- split and chunk ---- */

/* Clears the parts after a failure. */
static cg_status give_up(cg_tape *tape, cg_tensor **parts, int n) {
  for (int i = 0; parts && i < n; i++) parts[i] = NULL;
  return cg_tape_status(tape);
}

cg_status cg_split(cg_tape *tape, cg_tensor *x, int axis,
                   const int64_t *sizes, int n, cg_tensor **parts) {
  int at = want_axis(tape, "split", x, axis, cg_tensor_rank(x));
  if (at < 0) return give_up(tape, parts, n);
  int64_t size = cg_tensor_dim(x, at), start = 0;
  if (n < 1 || !sizes || !parts)
    cg_tape_fail(tape, CG_ERR_ARG, "split", "%d parts, or none given", n);
  for (int i = 0; i < n && !cg_tape_status(tape); i++) {
    if (sizes[i] < 0 || sizes[i] > size - start) break;
    parts[i] = cg_narrow(tape, x, at, start, sizes[i]);
    start += sizes[i];
    if (i == n - 1 && start == size) return cg_tape_status(tape);
  }
  cg_tape_fail(tape, CG_ERR_SHAPE, "split",
               "%d sizes do not add up to the %lld elements of axis %d", n,
               (long long)size, at);
  return give_up(tape, parts, n);
}

cg_status cg_chunk(cg_tape *tape, cg_tensor *x, int axis, int n,
                   cg_tensor **parts) {
  int at = want_axis(tape, "chunk", x, axis, cg_tensor_rank(x));
  if (at < 0) return give_up(tape, parts, n);
  if (n < 1 || !parts) {
    cg_tape_fail(tape, CG_ERR_ARG, "chunk", "%d parts, or none given", n);
    return give_up(tape, parts, n);
  }
  int64_t size = cg_tensor_dim(x, at), start = 0;
  int64_t most = size / n + (size % n != 0);
  for (int i = 0; i < n; i++) {
    int64_t length = size - start < most ? size - start : most;
    parts[i] = cg_narrow(tape, x, at, start, length);
    start += length;
  }
  return cg_tape_status(tape) ? give_up(tape, parts, n) : CG_OK;
}
