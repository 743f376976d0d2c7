/* schedule.h - learning rates that change while it trains.
 *
 * A schedule is a function of the position n in training: a factor for the base
 * rate. It has no state, so there is none to save, and factors multiply:
 *
 *     double rate = base * cg_lr_warmup(n, 500, 0.1) * cg_lr_cosine(n, N, 0);
 *     cg_optimizer_set_lr(optimizer, rate);
 *
 * n counts updates from 0, or whatever else: epochs, seconds. The values are
 * those of PyTorch's schedulers of these names after n steps. Only reducing on
 * a plateau remembers something: cg_plateau.
 */
#ifndef CHRONOGRAD_SCHEDULE_H
#define CHRONOGRAD_SCHEDULE_H

#include <chronograd/status.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* gamma^floor(n / size): a drop after every `size`; size > 0. */
CG_API double cg_lr_step(double n, double size, double gamma);
/* gamma^n. */
CG_API double cg_lr_exponential(double n, double gamma);
/* From 1 at n = 0 along half a cosine to `end` at n = total, where it stays (I.
 * Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm
 * restarts", 2017, without restarts). */
CG_API double cg_lr_cosine(double n, double total, double end);
/* From `start` at n = 0 on a line to 1 at n = total, where it stays. */
CG_API double cg_lr_warmup(double n, double total, double start);

/* One cycle (L. N. Smith, N. Topin, "Super-convergence: very fast training of
 * neural networks using large learning rates", 2018): up to the base rate, then
 * down to almost nothing, along half a cosine each time. */
typedef struct cg_one_cycle {
  double total;      /* updates in all, needed; the last one is n = total - 1 */
  double up;         /* the part of them that goes up; unset: 0.3 */
  double start_div;  /* begins at 1 / start_div; unset: 25 */
  double end_div;    /* ends at 1 / (start_div end_div); unset: 1e4 */
  bool linear;       /* along lines instead */
} cg_one_cycle;

/* The factor of that cycle at update n. */
CG_API double cg_lr_one_cycle(double n, const cg_one_cycle *cycle);

/* A rate that falls when the loss no longer does. Begin with the settings and
 * zeros. */
typedef struct cg_plateau {
  double factor;    /* of a fall; unset: 0.1 */
  double threshold; /* the loss is better below best * (1 - threshold);
                       unset: 1e-4 */
  bool absolute;    /* below best - threshold instead */
  int64_t patience; /* worse losses that are put up with; unset: 10, < 0: 0 */
  int64_t cooldown; /* losses after a fall that do not count; unset: 0 */
  double min_lr;    /* unset: 0 */
  bool started;     /* what it remembers: is there a loss yet, */
  double best;      /* the best of them, */
  int64_t worse;    /* losses since the best, or the last fall */
  int64_t cooling;  /* that still do not count */
} cg_plateau;

/* Looks at a new loss and returns the rate to go on with: `lr`, or factor * lr
 * (but min_lr at least) after more than `patience` losses that were not better.
 * A loss of NaN is not better. */
CG_API double cg_plateau_lr(cg_plateau *plateau, double lr, double loss);

#ifdef __cplusplus
}
#endif
#endif
