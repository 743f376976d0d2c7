/* bptt_net.h - what the tests of the manual BPTT share: a small recurrent net
 * with irregular numbers, and the comparison of two results. */
#ifndef CHRONOGRAD_TESTS_BPTT_NET_H
#define CHRONOGRAD_TESTS_BPTT_NET_H

#include <chronograd/bptt.h>

#include <check.h>
#include <math.h>
#include <string.h>

#define MAX_N 256 /* more numbers than any array of these small nets has */

typedef cg_status (*bptt_fn)(const cg_bptt_problem *, cg_bptt_result *,
                             cg_error *);

typedef struct net {
  cg_bptt_problem p;
  double x[MAX_N], h0[MAX_N], W_xh[MAX_N], W_hh[MAX_N], W_hy[MAX_N];
  double b_h[MAX_N], b_y[MAX_N];
  int64_t y[MAX_N];
} net;

/* Irregular numbers in (-scale, scale), from a 64-bit congruential sequence. */
static inline void fill(double *v, int64_t n, double scale, uint64_t *seed) {
  for (int64_t i = 0; i < n; i++) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    v[i] = scale * ((double)(*seed >> 11) / 4503599627370496.0 - 1.0);
  }
}

static inline void net_init(net *n, int64_t T, int64_t B, cg_activation phi) {
  const int64_t D = 3, H = 4, K = 5;
  uint64_t seed = 2385u + (uint64_t)(T * 100 + B * 10) + (uint64_t)phi;
  ck_assert_int_le(T * B * K, MAX_N);
  fill(n->x, T * B * D, 1.37, &seed);
  fill(n->h0, B * H, 0.83, &seed);
  fill(n->W_xh, H * D, 0.91, &seed);
  fill(n->W_hh, H * H, 0.77, &seed);
  fill(n->W_hy, K * H, 1.13, &seed);
  fill(n->b_h, H, 0.31, &seed);
  fill(n->b_y, K, 0.47, &seed);
  for (int64_t i = 0; i < T * B; i++)
    n->y[i] = (7 * i + 2 + T) % K;
  n->p = (cg_bptt_problem){
      .T = T, .B = B, .D = D, .H = H, .K = K, .phi = phi,
      .x = n->x, .y = n->y, .h0 = n->h0, .W_xh = n->W_xh, .W_hh = n->W_hh,
      .W_hy = n->W_hy, .b_h = n->b_h, .b_y = n->b_y,
  };
}

/* Sequence b of the batch `all`, as a net of its own. */
static inline void net_pick(net *one, const net *all, int64_t b) {
  const cg_bptt_problem *p = &all->p;
  net_init(one, p->T, 1, p->phi);
  for (int64_t t = 0; t < p->T; t++) {
    for (int64_t j = 0; j < p->D; j++)
      one->x[t * p->D + j] = all->x[(t * p->B + b) * p->D + j];
    one->y[t] = all->y[t * p->B + b];
  }
  memcpy(one->h0, all->h0 + b * p->H, (size_t)p->H * sizeof(double));
  one->p.W_xh = all->W_xh;
  one->p.W_hh = all->W_hh;
  one->p.W_hy = all->W_hy;
  one->p.b_h = all->b_h;
  one->p.b_y = all->b_y;
}

static inline cg_bptt_result run(bptt_fn f, const cg_bptt_problem *p) {
  cg_bptt_result r;
  ck_assert_int_eq(f(p, &r, NULL), CG_OK);
  return r;
}

/* The arrays of a result and their lengths, to walk over all of them. */
enum { FIELDS = 11, PER_STEP = 5 };
typedef struct field {
  const char *name;
  const double *v;
  int64_t n;
} field;

static inline void fields_of(field out[FIELDS], const cg_bptt_result *r,
                             const cg_bptt_problem *p) {
  const int64_t TB = p->T * p->B;
  const field all[FIELDS] = {
      {"h", r->h, TB * p->H},             {"o", r->o, TB * p->K},
      {"delta_o", r->delta_o, TB * p->K}, {"delta_h", r->delta_h, TB * p->H},
      {"delta_z", r->delta_z, TB * p->H}, {"dW_xh", r->dW_xh, p->H * p->D},
      {"dW_hh", r->dW_hh, p->H * p->H},   {"dW_hy", r->dW_hy, p->K * p->H},
      {"db_h", r->db_h, p->H},            {"db_y", r->db_y, p->K},
      {"dh_0", r->dh_0, p->B * p->H},
  };
  memcpy(out, all, sizeof(all));
}

/* got == factor * want, relative to the magnitude of want where that is > 1. */
static inline void near_n(const char *name, const double *got,
                          const double *want, int64_t n, double factor,
                          double tol) {
  for (int64_t i = 0; i < n; i++) {
    const double w = factor * want[i];
    ck_assert_msg(fabs(got[i] - w) <= tol * fmax(1.0, fabs(w)),
                  "%s[%d]: got %.17g, want %.17g", name, (int)i, got[i], w);
  }
}

/* Everything equal, but the loss and all derivatives times `factor`. */
static inline void near_result(const cg_bptt_result *got,
                               const cg_bptt_result *want,
                               const cg_bptt_problem *p, double factor,
                               double tol) {
  field g[FIELDS], w[FIELDS];
  fields_of(g, got, p);
  fields_of(w, want, p);
  near_n("loss", &got->loss, &want->loss, 1, factor, tol);
  for (int i = 0; i < FIELDS; i++)
    near_n(g[i].name, g[i].v, w[i].v, w[i].n, i < 2 ? 1.0 : factor, tol);
}

#endif
