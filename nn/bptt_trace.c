/* bptt_trace.c - an error signal on its way back along one path. */
#include "bptt_trace.h"

#include <string.h>

#include "bptt_rows.h"

void cg_bptt_trace_begin(const cg_bptt_problem *p, const cg_bptt_result *r,
                         int64_t t, double *g) {
  const cg_bptt_step s = cg_bptt_step_at(p, r, t);
  memset(g, 0, (size_t)(p->B * p->H) * sizeof *g);
  cg_rows_add_x_a(g, s.delta_o_t, p->W_hy, p->B, p->K, p->H);
}

void cg_bptt_trace_through(const cg_bptt_problem *p, const cg_bptt_result *r,
                           int64_t k, const double *g, double *v) {
  const cg_bptt_step s = cg_bptt_step_at(p, r, k);
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  for (int64_t i = 0; i < p->B * p->H; i++)
    v[i] = f->phi_prime(s.h_t[i]) * g[i];
}

void cg_bptt_trace_back(const cg_bptt_problem *p, const double *v, double *g) {
  memset(g, 0, (size_t)(p->B * p->H) * sizeof *g);
  cg_rows_add_x_a(g, v, p->W_hh, p->B, p->H, p->H);
}

int64_t cg_bptt_target_columns(const cg_bptt_problem *p,
                               cg_bptt_target target) {
  return target == CG_BPTT_W_HH ? p->H : target == CG_BPTT_W_XH ? p->D : 1;
}

void cg_bptt_target_add(const cg_bptt_problem *p, const cg_bptt_result *r,
                        cg_bptt_target target, int64_t k, const double *v,
                        double *C) {
  const cg_bptt_step s = cg_bptt_step_at(p, r, k);
  const int64_t columns = cg_bptt_target_columns(p, target);
  if (target == CG_BPTT_B_H)
    cg_rows_add_row_sum(C, v, p->B, p->H);
  else
    cg_rows_add_ut_v(C, v, target == CG_BPTT_W_HH ? s.h_prev : s.x_t, p->B,
                     p->H, columns);
}
