/* bptt_local.h - the two local derivatives of BPTT, the long way round.
 *
 * The derivation replaces two Jacobian matrices by what is left of them after a
 * cancellation. Here are the matrices, to see that nothing was lost:
 *
 *   softmax      dp_k / do_j = p_k (delta_kj - p_j), and with the cross-entropy
 *                L = -log p_y,  (dp/do)^T dL/dp = p - onehot(y) = delta_o
 *   activation   dh_i / dz_j = phi'(z_i) delta_ij, and so
 *                (dh/dz)^T v = phi'(z) * v, element by element
 *
 * Plain loops over float64 arrays, as in bptt.h.
 */
#ifndef CHRONOGRAD_BPTT_LOCAL_H
#define CHRONOGRAD_BPTT_LOCAL_H

#include <chronograd/activation.h>

#ifdef __cplusplus
extern "C" {
#endif

/* J [K, K], J[k, j] = dp_k / do_j = p_k (delta_kj - p_j), of p = softmax(o) at
 * the logits o [K]. Computed without overflow. ARG for a NULL or K < 1. */
CG_API cg_status cg_bptt_softmax_jacobian(const double *o, int64_t K, double *J,
                                          cg_error *err);

/* delta_o [K] = (dp/do)^T dL/dp with dL/dp = -onehot(y) / p_y: the chain rule
 * without the cancellation. NONFINITE where p_y is 0 in floating point, which
 * p - onehot(y) does not mind. ARG for a NULL, K < 1, or y outside 0 .. K-1. */
CG_API cg_status cg_bptt_delta_o_by_chain(const double *o, int64_t K, int64_t y,
                                          double *delta_o, cg_error *err);

/* J [n, n] = dh/dz = diag(phi'(z)), from the states h = phi(z) [n]. ARG for a
 * NULL, n < 1, or an unknown phi. */
CG_API cg_status cg_bptt_activation_jacobian(cg_activation phi, const double *h,
                                             int64_t n, double *J,
                                             cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
