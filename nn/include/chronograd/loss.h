/* loss.h - from logits to the number that is minimised. */
#ifndef CHRONOGRAD_LOSS_H
#define CHRONOGRAD_LOSS_H

#include <chronograd/engine.h>
#include <chronograd/reduction.h>

#ifdef __cplusplus
extern "C" {
#endif

/* L = reduction over t and b of -log softmax(o_tb)[y_tb], rank 0.
 *   logits   o [T, B, K]; also [B, K] (a batch without steps), [K], or with
 *            more axes after the first, which then belong to the batch
 *   targets  y, without the last axis; I64, 0 <= y < K
 *   over_steps, over_batch  sum or mean, independently; over no losses the sum
 *            is 0 and the mean NaN. For logits [B, T, K], exchange the two.
 * Composed from cg_cross_entropy and a sum; NULL after an error. */
CG_API cg_tensor *cg_cross_entropy_loss(cg_tape *tape, cg_tensor *logits,
                                        cg_tensor *targets,
                                        cg_reduction over_steps,
                                        cg_reduction over_batch);

/* ---- sequences of different lengths ---- */

/* The mask (U8) [T, B] whose element t, b is 1 for t < lengths[b], else 0. ARG
 * unless T >= 0, B >= 0 and 0 <= lengths[b] <= T. */
CG_API cg_tensor *cg_length_mask(cg_tape *tape, const int64_t *lengths,
                                 int64_t B, int64_t T);

/* Sum, or mean, of the losses at places where the mask is not 0, rank 0. The
 * rest, were it NaN, does not count for the mean, and its gradient is 0. (What
 * a loss makes of that is NaN where its own operands are;
 * cg_cross_entropy_ignore leaves such rows out.) Works with any loss that is
 * not reduced yet: cg_cross_entropy, cg_square of a difference, and cg_l1,
 * cg_huber, cg_bce_with_logits and cg_nll with CG_REDUCE_NONE.
 *   losses  any shape; [T, B] or [T, B, K] as a rule
 *   mask    U8, broadcasts to the losses: [T, B], [T, B, 1], [T, 1]
 * With nothing to count the sum is 0 and the mean NaN. */
CG_API cg_tensor *cg_masked_loss(cg_tape *tape, cg_tensor *losses,
                                 cg_tensor *mask, cg_reduction reduction);

#ifdef __cplusplus
}
#endif
#endif
