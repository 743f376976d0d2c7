/* loss.c - from logits to the number that is minimised. */
#include <chronograd/loss.h>

static bool is_reduction(cg_reduction r) {
  return r == CG_REDUCE_SUM || r == CG_REDUCE_MEAN;
}

/* What the sum of the losses [T, B, ...] or [B] is divided by. */
static double divisor(const cg_tensor *losses, cg_reduction over_steps,
                      cg_reduction over_batch) {
  double n = 1.0;
  int rank = cg_tensor_rank(losses);
  for (int i = 0; i < rank; i++) {
    bool steps = i == 0 && rank > 1;
    if ((steps ? over_steps : over_batch) == CG_REDUCE_MEAN)
      n *= (double)cg_tensor_dim(losses, i);
  }
  return n;
}

cg_tensor *cg_cross_entropy_loss(cg_tape *tape, cg_tensor *logits,
                                 cg_tensor *targets, cg_reduction over_steps,
                                 cg_reduction over_batch) {
  if (!is_reduction(over_steps) || !is_reduction(over_batch))
    return cg_tape_fail(tape, CG_ERR_ARG, "cross_entropy_loss",
                        "%d over steps and %d over the batch: these are no "
                        "reductions",
                        (int)over_steps, (int)over_batch);
  cg_tensor *losses = cg_cross_entropy(tape, logits, targets);
  double n = divisor(losses, over_steps, over_batch);
  cg_tensor *sum = cg_sum_all(tape, losses);
  return n == 1.0 ? sum : cg_mul_scalar(tape, sum, 1.0 / n);
}

/* ---- masks ---- */

cg_tensor *cg_length_mask(cg_tape *tape, const int64_t *lengths, int64_t B,
                          int64_t T) {
  const char *fn = "length_mask";
  if (cg_tape_status(tape)) return NULL;
  if (T < 0 || B < 0 || (B > 0 && !lengths))
    return cg_tape_fail(tape, CG_ERR_ARG, fn,
                        "%lld lengths of at most %lld make no mask",
                        (long long)B, (long long)T);
  for (int64_t b = 0; b < B; b++)
    if (lengths[b] < 0 || lengths[b] > T)
      return cg_tape_fail(tape, CG_ERR_ARG, fn,
                          "lengths[%lld] is %lld, which is not in 0 .. %lld",
                          (long long)b, (long long)lengths[b], (long long)T);
  cg_tensor *length = cg_input(tape, CG_I64, CG_DIMS(B), lengths);
  int64_t *steps = cg_tape_alloc(tape, (size_t)T * sizeof *steps + 1);
  for (int64_t t = 0; steps && t < T; t++) steps[t] = t;
  return cg_lt(tape, cg_borrow(tape, CG_I64, CG_DIMS(T, 1), steps), length);
}

/* 1 / how many places of `losses` a mask lets through that broadcasts to it,
 * rank 0: of that type, but counted in one that has the numbers. */
static cg_tensor *one_over_places(cg_tape *tape, const cg_tensor *losses,
                                  cg_tensor *mask) {
  const int64_t n = cg_tensor_numel(mask);
  const double each = n ? (double)(cg_tensor_numel(losses) / n) : 0.0;
  cg_tensor *set = cg_where(tape, mask, cg_scalar(tape, CG_F64, 1.0),
                            cg_scalar(tape, CG_F64, 0.0));
  cg_tensor *places = cg_mul_scalar(tape, cg_sum_all(tape, set), each);
  return cg_cast(tape, cg_reciprocal(tape, places), cg_tensor_dtype(losses));
}

static bool has_shape_of(const cg_tensor *x, const cg_tensor *y) {
  if (cg_tensor_rank(x) != cg_tensor_rank(y)) return false;
  for (int i = 0; i < cg_tensor_rank(x); i++)
    if (cg_tensor_dim(x, i) != cg_tensor_dim(y, i)) return false;
  return true;
}

cg_tensor *cg_masked_loss(cg_tape *tape, cg_tensor *losses, cg_tensor *mask,
                          cg_reduction reduction) {
  const char *fn = "masked_loss";
  if (!is_reduction(reduction))
    return cg_tape_fail(tape, CG_ERR_ARG, fn, "%d is no reduction to one loss",
                        (int)reduction);
  cg_tensor *zero = cg_scalar(tape, cg_tensor_dtype(losses), 0.0);
  cg_tensor *kept = cg_where(tape, mask, losses, zero);
  if (!kept) return NULL;
  if (!has_shape_of(kept, losses)) {
    char ls[96], ms[96];
    return cg_tape_fail(tape, CG_ERR_SHAPE, fn,
                        "a mask %s does not broadcast to losses %s",
                        cg_tensor_shape_text(mask, ms, sizeof ms),
                        cg_tensor_shape_text(losses, ls, sizeof ls));
  }
  cg_tensor *sum = cg_sum_all(tape, kept);
  if (reduction == CG_REDUCE_SUM) return sum;
  return cg_mul(tape, sum, one_over_places(tape, losses, mask));
}
