/* truncation.h - truncated backpropagation through time over sequences of any
 * length, in memory for the horizon alone.
 *
 * The loss of step t is carried back over a window of steps only. In the
 * derivation's terms the gradient is a sum over some of the causal paths
 * (k -> t), bptt_paths.h:
 *
 *   horizon k2, period k1   every k1 steps the losses of these k1 steps, the
 *       fresh ones, are carried back over the last k2 > k1 steps: path (k -> t)
 *       counts if k > e - k2, where e >= t is the end of t's period
 *       (R. J. Williams, J. Peng, "An efficient gradient-based algorithm for
 *       on-line training of recurrent network trajectories", 1990)
 *   k1 = k2    windows side by side, the common form: a path counts if it does
 *       not leave its window
 *   k1 = 1     a sliding window: each loss is carried back exactly k2 steps,
 *       its own among them; the graph is cut at t - k2, what is right of the
 *       cut stays differentiable
 *   cut c > 0  randomised: windows side by side of k2 steps and more. After k2
 *       steps each further one ends the window with probability c; if not, what
 *       flows back from it is multiplied by 1 / (1 - c). The gradient has the
 *       whole gradient as its expectation, whatever k2 and c (C. Tallec,
 *       Y. Ollivier, "Unbiasing truncated backpropagation through time", 2017)
 *
 * Where windows overlap (k1 < k2), steps are recorded again from the state that
 * was kept at the window's beginning. So parameters may change between windows
 * (and dropout draws new masks), the tape never holds more than one of them,
 * and any cell will do; but not both directions of time. A loop:
 *
 *     cg_tbptt *tb = cg_tbptt_new(
 *         rnn, &(cg_tbptt_config){.horizon = 50, .period = 10}, NULL, &err);
 *     for (;;) {
 *       cg_window w = cg_tbptt_next(tb, T);
 *       if (w.begin == w.end) break;
 *       cg_tape_reset(tape);
 *       cg_tensor *x = ...;   // steps w.begin .. w.end-1 of the input
 *       cg_tensor *h = cg_tbptt_forward(tb, tape, x);
 *       cg_tensor *loss = ...; // of h, which belongs to w.fresh .. w.end-1
 *       if (cg_backward(tape, loss)) break;
 *       ...                   // an optimizer's step, or go on accumulating
 *     }
 */
#ifndef CHRONOGRAD_TRUNCATION_H
#define CHRONOGRAD_TRUNCATION_H

#include <chronograd/clip.h>
#include <chronograd/rnn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How far the losses are carried back, and how often. Unset is 0 or NULL. */
typedef struct cg_tbptt_config {
  int64_t horizon; /* k2 >= 1, needed */
  int64_t period;  /* k1, 1 .. k2; unset: k2 */
  double cut;      /* c, 0 <= c < 1; unset: windows are not randomised. Not with
                      a period below k2 */
  cg_rng *rng;     /* draws the cuts, needed for cut > 0; borrowed */
  cg_state_clip *clip; /* unset: none. Bounds what flows back from a window's
                          fresh steps into older ones, and in a randomised one
                          from behind the horizon; reports it. Borrowed */
} cg_tbptt_config;

/* A net on its way through a sequence: where it is, and the values of the
 * states from which the windows to come begin. */
typedef struct cg_tbptt cg_tbptt;

/* Truncated BPTT for a net, which is borrowed, at the beginning of a sequence.
 * Its memory is from `allocator` (NULL: the C library's heap). NULL on an error
 * (ARG, NOMEM). */
CG_API cg_tbptt *cg_tbptt_new(const cg_rnn *rnn, const cg_tbptt_config *config,
                              const cg_allocator *allocator, cg_error *err);
/* Frees it. NULL is fine. */
CG_API void cg_tbptt_free(cg_tbptt *tb);

/* Back to the beginning, for another sequence, which starts in `first`, a state
 * whose values are copied. NULLs, as after cg_tbptt_new: the learned state,
 * which then gets a gradient from windows that reach back to it, or zeros. ARG
 * for half of a state, SHAPE, NOMEM. */
CG_API cg_status cg_tbptt_restart(cg_tbptt *tb, cg_rnn_state first,
                                  cg_error *err);

/* Steps begin .. end-1, counted from 0, of which fresh .. end-1 are new: their
 * losses are to be counted now. begin <= fresh < end, or all equal if there is
 * nothing new. */
typedef struct cg_window {
  int64_t begin; /* the first step that is recorded */
  int64_t fresh; /* the first one whose loss counts */
  int64_t end;   /* behind the last one */
} cg_window;

/* The next window of a sequence of `steps` steps; the last one may have fewer
 * fresh ones. For a stream without end, `steps` is how many there are so far:
 * call it when there are enough for a whole window. Calling it again without
 * cg_tbptt_forward changes nothing, unless `steps` has grown. Nothing new for
 * NULL. */
CG_API cg_window cg_tbptt_next(cg_tbptt *tb, int64_t steps);

/* Records the window over its inputs x [end - begin, B, I] and returns the
 * outputs h_t of its fresh steps, [end - fresh, B, H] (batch-first: [B, .., I]
 * and [B, .., H]). Keeps the values of those states from which later windows
 * begin. B may change only after cg_tbptt_restart. NULL on an error, which is
 * on the tape (STATE without a window, SHAPE, NOMEM); the window can then be
 * tried again. */
CG_API cg_tensor *cg_tbptt_forward(cg_tbptt *tb, cg_tape *tape, cg_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
