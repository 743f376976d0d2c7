/* bptt.h - backpropagation through time by hand.
 *
 * The derivation for a simple recurrent net with cross-entropy at every step,
 * written as plain loops over float64 arrays. It uses neither the tape nor any
 * derivative rule, so that comparing autograd with it means something.
 *
 *   z_t = W_xh x_t + W_hh h_{t-1} + b_h   h_t = phi(z_t)   o_t = W_hy h_t + b_y
 *   p_t = softmax(o_t)   L_t = -log p_t[y_t]   L = sum_t L_t  (sum over batch)
 *   delta_o_t = p_t - onehot(y_t)
 *   delta_h_t = W_hy^T delta_o_t + W_hh^T delta_z_{t+1},    delta_z_{T+1} = 0
 *   delta_z_t = phi'(z_t) * delta_h_t
 *   dW_hy = sum_t delta_o_t h_t^T      db_y = sum_t delta_o_t
 *   dW_hh = sum_t delta_z_t h_{t-1}^T  db_h = sum_t delta_z_t
 *   dW_xh = sum_t delta_z_t x_t^T      dh_0 = W_hh^T delta_z_1
 */
#ifndef CHRONOGRAD_BPTT_H
#define CHRONOGRAD_BPTT_H

#include <chronograd/activation.h>
#include <chronograd/engine.h>
#include <chronograd/reduction.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The problem: sizes and borrowed row-major arrays. T, B, D, H, K >= 1. */
typedef struct cg_bptt_problem {
  int64_t T, B, D, H, K;   /* steps, rows, inputs, states, classes */
  cg_activation phi;       /* the nonlinearity */
  cg_reduction over_steps; /* mean: divides L by T */
  cg_reduction over_batch; /* mean: divides L by B */
  const double *x;         /* [T, B, D] */
  const int64_t *y;        /* [T, B], 0 <= y < K */
  const double *h0;        /* [B, H]; NULL: zeros */
  const double *W_xh;      /* [H, D] */
  const double *W_hh;      /* [H, H] */
  const double *W_hy;      /* [K, H] */
  const double *b_h;       /* [H] */
  const double *b_y;       /* [K] */
  const cg_allocator *allocator; /* of results; NULL: the C library's heap */
} cg_bptt_problem;

/* The outcome, freed by cg_bptt_free. */
typedef struct cg_bptt_result {
  double loss;     /* L */
  double *h;       /* [T, B, H] */
  double *o;       /* [T, B, K], the logits */
  double *delta_o; /* [T, B, K], dL/do_t */
  double *delta_h; /* [T, B, H], dL/dh_t */
  double *delta_z; /* [T, B, H], dL/dz_t */
  double *dW_xh;   /* [H, D] */
  double *dW_hh;   /* [H, H] */
  double *dW_hy;   /* [K, H] */
  double *db_h;    /* [H] */
  double *db_y;    /* [K] */
  double *dh_0;    /* [B, H] */
  void *block;     /* the memory of them all */
} cg_bptt_result;

/* Manual BPTT for one sequence, B = 1, in the column convention: h_t is a
 * vector and z_t = W_xh x_t + ...; ARG if B is not 1. */
CG_API cg_status cg_bptt_sequence(const cg_bptt_problem *problem,
                                  cg_bptt_result *result, cg_error *err);
/* Manual BPTT for a mini-batch, in the row convention: one example per row, and
 * Z_t = X_t W_xh^T + H_{t-1} W_hh^T + 1 b_h^T. Any B. */
CG_API cg_status cg_bptt_batch(const cg_bptt_problem *problem,
                               cg_bptt_result *result, cg_error *err);
/* Frees what a result holds and clears it. An empty result is fine. */
CG_API void cg_bptt_free(cg_bptt_result *result);

#ifdef __cplusplus
}
#endif
#endif
