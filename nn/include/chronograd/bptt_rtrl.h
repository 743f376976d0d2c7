/* bptt_rtrl.h - real-time recurrent learning: the gradient of BPTT, forward in
 * time (R. J. Williams, D. Zipser, "A learning algorithm for continually
 * running fully recurrent neural networks", 1989).
 *
 * With theta all of W_xh, W_hh, b_h and h_0 in one vector of P = H (D + 2H + 1)
 * numbers, the influence S_t = dh_t / dtheta [H, P] follows a recursion of its
 * own,
 *
 *   S_t = diag(phi'(z_t)) (W_hh S_{t-1} + dz_t/dtheta at fixed h_{t-1})
 *   dtheta = sum_t S_t^T W_hy^T delta_o_t
 *
 * and never looks back. Nothing is kept but the present, so memory does not
 * grow with T; but a step costs H^2 P instead of BPTT's H^2, and S takes H P.
 */
#ifndef CHRONOGRAD_BPTT_RTRL_H
#define CHRONOGRAD_BPTT_RTRL_H

#include <chronograd/bptt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The loss and all gradients of a problem, in plain loops over float64 arrays.
 * The arrays of single steps (h, o and the deltas) are NULL: RTRL has no past.
 * ARG or NOMEM; free the outcome with cg_bptt_free. */
CG_API cg_status cg_bptt_rtrl(const cg_bptt_problem *problem,
                              cg_bptt_result *result, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
