/* bptt_common.h - what the two manual BPTTs share: the ground, not the maths.
 *
 * Checking the problem, one block of memory, the activations, and where the
 * arrays of one time step lie. The recursion itself is written twice, once in
 * bptt_sequence.c (columns) and once in bptt_batch.c (rows).
 */
#ifndef CHRONOGRAD_BPTT_COMMON_H
#define CHRONOGRAD_BPTT_COMMON_H

#include <chronograd/bptt.h>

#include "bptt_memory.h"

/* phi as two scalar functions. The derivative takes h = phi(z), not z: all
 * four can be written that way, so z_t need not be kept. */
typedef struct cg_bptt_phi {
  const char *name;
  double (*phi)(double z);
  double (*phi_prime)(double h);
} cg_bptt_phi;

/* The functions of an activation; NULL for an unknown one. */
const cg_bptt_phi *cg_bptt_phi_of(cg_activation phi);

/* The arrays of step t, for all B sequences; sizes are for the whole step. */
typedef struct cg_bptt_step {
  const double *x_t;          /* [B, D] */
  const int64_t *y_t;         /* [B] */
  const double *h_prev;       /* [B, H], h_{t-1} */
  double *h_t;                /* [B, H] */
  double *o_t;                /* [B, K] */
  double *delta_o_t;          /* [B, K] */
  double *delta_h_t;          /* [B, H] */
  double *delta_z_t;          /* [B, H] */
  const double *delta_z_next; /* [B, H], delta_z_{t+1} */
} cg_bptt_step;

/* Step t = 1 .. T, counted as in the equations. Both ends are real memory:
 * h_prev of step 1 is h_0, delta_z_next of step T is delta_z_{T+1} = 0. */
cg_bptt_step cg_bptt_step_at(const cg_bptt_problem *p, const cg_bptt_result *r,
                             int64_t t);

/* Checks all of a problem but its targets, and the targets. */
cg_status cg_bptt_check(const cg_bptt_problem *p, cg_error *err);
cg_status cg_bptt_check_targets(const cg_bptt_problem *p, cg_error *err);
/* Checks a problem, and that `result` has its states and deltas. */
cg_status cg_bptt_check_result(const cg_bptt_problem *p,
                               const cg_bptt_result *result, cg_error *err);
/* The error of a caller who has no place for the result. */
cg_status cg_bptt_no_result(cg_error *err);

/* Checks the problem and gives *result its memory: all zeros, except h_0. On
 * failure *result is empty. */
cg_status cg_bptt_begin(const cg_bptt_problem *p, cg_bptt_result *result,
                        cg_error *err);

/* What L is multiplied with: 1, 1/T, 1/B or 1/(T B), by the reductions. */
double cg_bptt_scale(const cg_bptt_problem *p);

#endif
