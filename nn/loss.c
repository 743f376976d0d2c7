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
