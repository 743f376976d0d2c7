/* bptt_ledger.h - who contributed what: the gradient of each parameter, split
 * by the step of time at which the parameter was used.
 *
 *   dW_hh = sum_t dW_hh(t),   dW_hh(t) = delta_z_t h_{t-1}^T
 *   dW_xh = sum_t dW_xh(t),   dW_xh(t) = delta_z_t x_t^T    db_h(t) = delta_z_t
 *   dW_hy = sum_t dW_hy(t),   dW_hy(t) = delta_o_t h_t^T    db_y(t) = delta_o_t
 *
 * with sums over the batch inside. delta_z_t has come back from all later
 * steps, so dW_hh(t) says what the weight did at step t, whenever that cost
 * something. (What step t did to the loss of step s alone is in bptt_paths.h;
 * the ledger of any net, from the tape, in rnn_study.h.)
 */
#ifndef CHRONOGRAD_BPTT_LEDGER_H
#define CHRONOGRAD_BPTT_LEDGER_H

#include <chronograd/bptt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Entry t-1 of each array is the contribution of step t. */
typedef struct cg_bptt_ledger {
  double *dW_xh; /* [T, H, D] */
  double *dW_hh; /* [T, H, H] */
  double *dW_hy; /* [T, K, H] */
  double *db_h;  /* [T, H] */
  double *db_y;  /* [T, K] */
  void *block;   /* the memory of them all */
} cg_bptt_ledger;

/* The ledger of a problem, from the states and deltas that cg_bptt_batch or
 * cg_bptt_sequence made of it. Added up from step T down to step 1, the entries
 * give the gradients of cg_bptt_batch to the last bit. ARG or NOMEM. Free it
 * with cg_bptt_ledger_free. */
CG_API cg_status cg_bptt_ledger_make(const cg_bptt_problem *problem,
                                     const cg_bptt_result *result,
                                     cg_bptt_ledger *ledger, cg_error *err);
/* Frees what a ledger holds and clears it. An empty one is fine. */
CG_API void cg_bptt_ledger_free(cg_bptt_ledger *ledger);

#ifdef __cplusplus
}
#endif
#endif
