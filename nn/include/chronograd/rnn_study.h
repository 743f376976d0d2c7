/* rnn_study.h - looking into backpropagation through time, for any cell, by
 * means of the tape: a ledger of the gradient, and recurrent Jacobians. The
 * same by hand, for the simple cell, is in bptt_ledger.h and bptt_jacobian.h.
 */
#ifndef CHRONOGRAD_RNN_STUDY_H
#define CHRONOGRAD_RNN_STUDY_H

#include <chronograd/rnn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a ledger: gradients split by the step that used the parameter ---- */

/* Records the loss L_t (one element) of the output h_t [B, H] at step t, which
 * counts from 0. NULL means that step t has none, unless there is an error on
 * the tape. */
typedef cg_tensor *(*cg_step_loss)(cg_tape *tape, cg_tensor *h_t, int64_t t,
                                   void *context);

/* The gradients of all parameters, step by step. */
typedef struct cg_rnn_ledger {
  int64_t steps; /* T */
  int count;     /* of parameters */
  double **part; /* part[i] [T, shape of parameter i of the registry]: dL/dw(t),
                    zeros where step t does not use it */
  double loss;   /* L = sum_t L_t */
  const cg_allocator *allocator; /* that of the block below */
  size_t size; /* of the one block that part and all arrays are in */
} cg_rnn_ledger;

/* Splits the gradient of L = sum_t L_t by steps, for a net, and whatever else
 * of `params` the loss uses, over x [T, B, I] (a leaf, or on the tape already;
 * batch-first: [B, T, I]) from the state `first` (NULLs: the learned state, or
 * zeros). Forwards it keeps nothing but the states; then, for t = T .. 1, it
 * records step t alone, as
 *
 *   (h_{t-1}, W) -> (h_t, L_t)
 *
 * and walks back over it with what came back to h_t from later steps, and with
 * 1 for L_t. The gradient of W is then the contribution of step t alone; that
 * of h_{t-1} is passed on. So this is BPTT as T small backward passes, and the
 * tape never holds more than one step. Added up from the last step to the
 * first, the parts are the gradient.
 *
 * Errors are on the tape, which is otherwise left as it was; *ledger is then
 * empty. Free it with cg_rnn_ledger_free. */
CG_API cg_status cg_rnn_ledger_make(cg_tape *tape, const cg_rnn *rnn,
                                    const cg_params *params, cg_tensor *x,
                                    cg_rnn_state first, cg_step_loss loss,
                                    void *context, cg_rnn_ledger *ledger);
/* Frees what a ledger holds and clears it. An empty one is fine. */
CG_API void cg_rnn_ledger_free(cg_rnn_ledger *ledger);

/* ---- recurrent Jacobians ---- */

/* J [S, S] = d s_n / d s_0 over the n >= 1 steps of x [n, 1, I] (batch-first:
 * [1, n, I]) of one sequence, from the state `from`; NULLs stand for zeros, and
 * are refused (ARG) where the first state is learned. s is the whole state as
 * one vector: h of all layers, then, for an LSTM, c of all layers: S = L H or
 * 2 L H. One walk per element of s. The result is a constant on the tape, which
 * is otherwise as it was; NULL after an error. */
CG_API cg_tensor *cg_rnn_jacobian(cg_tape *tape, const cg_rnn *rnn,
                                  cg_tensor *x, cg_rnn_state from);

#ifdef __cplusplus
}
#endif
#endif
