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

#ifdef __cplusplus
}
#endif
#endif
