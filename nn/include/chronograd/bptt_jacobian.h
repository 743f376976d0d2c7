/* bptt_jacobian.h - why gradients vanish and explode: recurrent Jacobians.
 *
 *   dh_t / dh_k = prod of diag(phi'(z_j)) W_hh, from j = t on the left down to
 *                 j = k+1 on the right; the identity for t = k
 *
 * An error signal crosses the gap t - k by the transpose of this matrix, so its
 * singular values say how much of the signal arrives. For the identity as phi
 * it is the power W_hh^(t-k). Plain loops over float64 arrays; the same from
 * the tape, for any cell, is cg_rnn_jacobian (rnn_study.h).
 */
#ifndef CHRONOGRAD_BPTT_JACOBIAN_H
#define CHRONOGRAD_BPTT_JACOBIAN_H

#include <chronograd/bptt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* J [H, H] = dh_t / dh_k of sequence b, as the product; 0 <= k <= t <= T, where
 * h_0 is the first state. `result` is what cg_bptt_batch made of the problem.
 * ARG or NOMEM. */
CG_API cg_status cg_bptt_jacobian(const cg_bptt_problem *problem,
                                  const cg_bptt_result *result, int64_t b,
                                  int64_t t, int64_t k, double *J,
                                  cg_error *err);

/* The Lyapunov exponents of a product J_T ... J_1 of square matrices, given as
 * J [T, n, n]: the mean rates at which the axes of a small ball of states grow,
 *
 *   exponents[i] = 1/T sum_t log R_t[i, i],   Q_t R_t = J_t Q_{t-1},   Q_0 = I
 *
 * by a QR decomposition per step, so that nothing over- or underflows and no
 * direction is lost (G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn,
 * "Lyapunov characteristic exponents for smooth dynamical systems", 1980). A
 * positive first exponent means gradients that explode, a negative one that
 * they vanish: about e^(exponent * gap). They come in about descending order
 * once T is large; their sum is the mean of log |det J_t|. -INFINITY where a
 * direction dies. Works in memory from `allocator` (NULL: the C library's
 * heap). ARG for a NULL, T < 1 or n < 1; NOMEM. */
CG_API cg_status cg_lyapunov_exponents(const double *J, int64_t T, int64_t n,
                                       double *exponents,
                                       const cg_allocator *allocator,
                                       cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
