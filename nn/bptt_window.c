/* bptt_window.c - the gradient as a weighted sum of paths. */
#include <string.h>

#include "bptt_rows.h"
#include "bptt_trace.h"

/* Adds weight * v, which is dL_t / dz_k, to all that step k adds up. */
static void add_weighted(const cg_bptt_problem *p, int64_t k, double weight,
                         const double *g, const double *v,
                         const cg_bptt_result *r) {
  const cg_bptt_step s = cg_bptt_step_at(p, r, k);
  for (int64_t i = 0; i < p->B * p->H; i++) {
    s.delta_h_t[i] += weight * g[i];
    s.delta_z_t[i] += weight * v[i];
  }
}

/* The last step to which the loss of step t is carried back; t + 1 if nowhere.
 */
static int64_t first_step(const double *weight, int64_t T, int64_t t) {
  int64_t k = 1;
  while (k <= t && weight[(t - 1) * T + k - 1] == 0.0)
    k++;
  return k;
}

static void carry_back(const cg_bptt_problem *p, const cg_bptt_result *r,
                       const double *weight, int64_t t, double *g, double *v) {
  const int64_t first = first_step(weight, p->T, t);
  cg_bptt_trace_begin(p, r, t, g);
  for (int64_t k = t; k >= first; k--) {
    cg_bptt_trace_through(p, r, k, g, v);
    add_weighted(p, k, weight[(t - 1) * p->T + k - 1], g, v, r);
    if (k > first)
      cg_bptt_trace_back(p, v, g);
  }
}

/* Every weight now sits in delta_z_k, so that the parameters' sums are those of
 * the recursion. */
static void add_gradients(const cg_bptt_problem *p, cg_bptt_result *r) {
  for (int64_t t = p->T; t >= 1; t--) {
    const cg_bptt_step s = cg_bptt_step_at(p, r, t);
    cg_bptt_target_add(p, r, CG_BPTT_W_HH, t, s.delta_z_t, r->dW_hh);
    cg_bptt_target_add(p, r, CG_BPTT_W_XH, t, s.delta_z_t, r->dW_xh);
    cg_bptt_target_add(p, r, CG_BPTT_B_H, t, s.delta_z_t, r->db_h);
  }
  cg_rows_add_x_a(r->dh_0, r->delta_z, p->W_hh, p->B, p->H, p->H);
}

static void copy(double *to, const double *from, int64_t n) {
  memcpy(to, from, (size_t)n * sizeof *to);
}

static void copy_forward(const cg_bptt_problem *p, const cg_bptt_result *from,
                         cg_bptt_result *to) {
  to->loss = from->loss;
  copy(to->h, from->h, p->T * p->B * p->H);
  copy(to->o, from->o, p->T * p->B * p->K);
  copy(to->delta_o, from->delta_o, p->T * p->B * p->K);
  copy(to->dW_hy, from->dW_hy, p->K * p->H);
  copy(to->db_y, from->db_y, p->K);
}

cg_status cg_bptt_window_sum(const cg_bptt_problem *problem,
                             const cg_bptt_result *result, const double *weight,
                             cg_bptt_result *truncated, cg_error *err) {
  const cg_bptt_problem *p = problem;
  if (truncated)
    *truncated = (cg_bptt_result){0};
  cg_status status = cg_bptt_check_result(p, result, err);
  if (!status && !weight)
    return cg_error_set(err, CG_ERR_ARG, "bptt", "there are no weights");
  if (!status)
    status = cg_bptt_begin(p, truncated, err);
  if (status)
    return status;
  double *g = NULL, *v = NULL;
  void *block = NULL;
  const cg_bptt_part parts[] = {{&g, 1, p->B, p->H}, {&v, 1, p->B, p->H}};
  status = cg_bptt_alloc(p, parts, 2, &block, err);
  if (status) {
    cg_bptt_free(truncated);
    return status;
  }
  copy_forward(p, result, truncated);
  for (int64_t t = p->T; t >= 1; t--)
    carry_back(p, truncated, weight, t, g, v);
  add_gradients(p, truncated);
  cg_bptt_release(block);
  return CG_OK;
}
