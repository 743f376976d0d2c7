/* bptt_paths.h - the long form of BPTT: every causal path on its own.
 *
 * The loss of step t depends on a recurrent parameter through its use at every
 * step k <= t. Path (k -> t) contributes, for W_hh,
 *
 *   C(t, k) = [ (dh_t / dh_k)^T W_hy^T delta_o_t * phi'(z_k) ] h_{k-1}^T
 *
 * with x_k^T in place of h_{k-1}^T for W_xh, and neither for b_h; sums over the
 * batch inside. The gradient is the sum of all T (T + 1) / 2 of them. Computed
 * one by one, as here, their cost grows as T^2; the recursion of bptt.h adds up
 * what arrives at step k before it goes on to k - 1, so its cost grows as T.
 * What the recursion cannot do is tell the paths apart: which lags t - k teach,
 * and what a gradient is without some of them, which is truncated BPTT.
 *
 * Steps are counted from 1; row t, column k of a table is [(t-1) * T + k-1].
 */
#ifndef CHRONOGRAD_BPTT_PATHS_H
#define CHRONOGRAD_BPTT_PATHS_H

#include <chronograd/bptt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The parameters that paths lead to. */
typedef enum cg_bptt_target {
  CG_BPTT_W_HH,
  CG_BPTT_W_XH,
  CG_BPTT_B_H,
  CG_BPTT_TARGETS
} cg_bptt_target;

/* One contribution C(t, k), 1 <= k <= t <= T, of the parameter's shape: [H, H],
 * [H, D] or [H]. `result` is what cg_bptt_batch made of the problem. ARG or
 * NOMEM. */
CG_API cg_status cg_bptt_path(const cg_bptt_problem *problem,
                              const cg_bptt_result *result,
                              cg_bptt_target target, int64_t t, int64_t k,
                              double *C, cg_error *err);

/* All of them, in figures. With G the sum of all C: */
typedef struct cg_bptt_paths {
  double *norm;      /* [T, T], Frobenius norm of C(t, k); 0 for k > t */
  double *share;     /* [T, T], <C(t, k), G> / <G, G>: adds up to 1; what is
                        negative pulls against the others */
  double *lag_norm;  /* [T], norm of the sum of all C(t, t - lag) */
  double *lag_share; /* [T], the sum of their shares */
  double *total;     /* G, of the parameter's shape */
  int64_t products;  /* products of a batch of vectors with W_hh that it took:
                        T (T - 1) / 2, where the recursion takes T - 1 */
  void *block;       /* the memory of all arrays */
} cg_bptt_paths;

/* Computes every path, lag by lag. Errors as above. Free it with
 * cg_bptt_paths_free. */
CG_API cg_status cg_bptt_paths_make(const cg_bptt_problem *problem,
                                    const cg_bptt_result *result,
                                    cg_bptt_target target, cg_bptt_paths *paths,
                                    cg_error *err);
/* Frees what it holds and clears it. An empty one is fine. */
CG_API void cg_bptt_paths_free(cg_bptt_paths *paths);

/* The gradient with weights on the paths: sum over t, k of weight[t, k] C(t, k)
 * for all three parameters, with weight [T, T]. W_hy and b_y, which no path
 * leads through, and all that belongs to the forward pass are those of
 * `result`; delta_h_k and delta_z_k are the weighted sums of what arrives at
 * step k, and dh_0 counts what passes step 1. Ones give the whole gradient; a
 * band of c ones left of and on the diagonal (k > t - c) truncates at horizon
 * c. Paths are followed to the first weight that is not 0. Free the outcome
 * with cg_bptt_free. */
CG_API cg_status cg_bptt_window_sum(const cg_bptt_problem *problem,
                                    const cg_bptt_result *result,
                                    const double *weight,
                                    cg_bptt_result *truncated, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
