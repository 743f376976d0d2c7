/* rnn_lengths.c - sequences of different lengths in one batch. */
#include "rnn_impl.h"

static bool check_lengths(cg_tape *tape, const cg_rnn *rnn,
                          const int64_t *lengths, int64_t T, int64_t B) {
  for (int64_t b = 0; b < B; b++)
    if (lengths[b] < 0 || lengths[b] > T) {
      cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                   "the length of sequence %" PRId64 " of %s is %" PRId64
                   ", but 0 to %" PRId64 " steps are possible",
                   b, rnn->name, lengths[b], T);
      return false;
    }
  return true;
}

static int64_t shortest_of(const int64_t *lengths, int64_t T, int64_t B) {
  int64_t least = T;
  for (int64_t b = 0; b < B; b++)
    if (lengths[b] < least) least = lengths[b];
  return least;
}

cg_rnn_valid cg_rnn_valid_of(cg_tape *tape, const cg_rnn *rnn,
                             const int64_t *lengths, int64_t T, int64_t B) {
  cg_rnn_valid all = {NULL, T};
  if (!lengths || !check_lengths(tape, rnn, lengths, T, B)) return all;
  cg_rnn_valid valid = {.shortest = shortest_of(lengths, T, B)};
  if (valid.shortest == T) return all;
  uint8_t *mask = cg_tape_alloc(tape, (size_t)T * (size_t)B);
  for (int64_t t = 0; mask && t < T; t++)
    for (int64_t b = 0; b < B; b++) mask[t * B + b] = t < lengths[b];
  if (mask) valid.mask = cg_borrow(tape, CG_U8, CG_DIMS(T, B, 1), mask);
  return valid;
}

/* A choice, not a product: what lies beyond may be NaN. */
cg_tensor *cg_rnn_cut(cg_tape *tape, cg_rnn_valid valid, cg_tensor *x) {
  if (!valid.mask || !x) return x;
  return cg_where(tape, valid.mask, x,
                  cg_scalar(tape, cg_tensor_dtype(x), 0.0));
}
