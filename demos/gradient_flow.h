/* gradient_flow.h - what the files of the program gradient_flow share: a net
 * whose recurrent matrix has a given spectral radius, and what was measured in
 * it. Functions that return bool have printed one line (cli.h) when it is
 * false. */
#ifndef CHRONOGRAD_DEMOS_GRADIENT_FLOW_H
#define CHRONOGRAD_DEMOS_GRADIENT_FLOW_H

#include <chronograd/nn.h>

enum { FLOW_RADII = 16 }; /* at most */

typedef struct flow_options {
  int64_t hidden;   /* H */
  int64_t gaps;     /* the longest gap */
  int64_t steps;    /* T, over which Lyapunov exponents are means */
  uint64_t seed;
  double clip;      /* of the state's gradient */
  double radii[FLOW_RADII];
  int n_radii;
  const char *out;  /* prefix of files, or NULL */
} flow_options;

/* ---- a net (flow_net.c) ---- */

/* W_hh = Q S Q^T, Q random orthogonal, S quasi-triangular: its 2 x 2 blocks on
 * the diagonal are rotations times r_i, so that its eigenvalues have the
 * magnitudes r_i, the largest being the spectral radius; what lies above the
 * diagonal makes W_hh no normal matrix, as trained ones are none. */
typedef struct flow_net {
  cg_bptt_problem p;
  double *Q, *S; /* [H, H] */
  double *block;
  int64_t *y;
} flow_net;

/* A net that reads random numbers, the same ones for all radii and phi. Free it
 * in any case. */
bool flow_net_make(flow_net *n, const flow_options *o, double radius,
                   cg_activation phi);
void flow_net_free(flow_net *n);
/* C = A B, all [H, H]. */
void flow_multiply(double *C, const double *A, const double *B, int64_t H);
/* W_hh^gap in closed form, Q S^gap Q^T, to out; room for 2 H^2 numbers. */
void flow_power(const flow_net *n, int64_t gap, double *out, double *room);

/* ---- what was measured ---- */

/* Of one net; [g] is at gap g + 1. */
typedef struct flow_figures {
  double radius;
  cg_activation phi;
  double lyapunov;   /* the largest exponent */
  double *norm;      /* Frobenius norm of dh_T / dh_{T-gap} */
  double *values[3]; /* its largest, median, smallest singular value, NaN where
                        unknown */
  double *plain, *clipped; /* |dL / dh_{T-gap}|, without and with clipping */
  double norm_W, norm_clipped; /* |dL / dW_hh|, without and with it */
  double cosine;               /* between the two */
  double tape_error;  /* Jacobians from the tape against products */
  double power_error; /* products against the closed form; identity only */
} flow_figures;

bool flow_figures_make(flow_figures *f, int64_t gaps);
void flow_figures_free(flow_figures *f);

/* Jacobians and exponents (flow_jacobian.c). */
bool flow_jacobians(flow_figures *f, const flow_net *n, const flow_options *o);
/* The gradient of a linear function L of h_T, clipped on its way back and not
 * (flow_clip.c). */
bool flow_clipping(flow_figures *f, const flow_net *n, const flow_options *o);

/* ---- tables and pictures (flow_report.c) ---- */

bool flow_report(const flow_figures *f, int count, const flow_options *o,
                 bool *agree);

#endif
