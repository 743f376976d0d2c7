/* bptt_paths.c - the table of all causal paths, and single ones. */
#include <chronograd/bptt_paths.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bptt_trace.h"

static cg_status check(const cg_bptt_problem *p, const cg_bptt_result *r,
                       cg_bptt_target target, cg_error *err) {
  cg_status status = cg_bptt_check_result(p, r, err);
  if (status || (unsigned)target < CG_BPTT_TARGETS)
    return status;
  return cg_error_set(err, CG_ERR_ARG, "bptt",
                      "the target is %d, which is no parameter that paths "
                      "lead to",
                      (int)target);
}

cg_status cg_bptt_path(const cg_bptt_problem *problem,
                       const cg_bptt_result *result, cg_bptt_target target,
                       int64_t t, int64_t k, double *C, cg_error *err) {
  const cg_bptt_problem *p = problem;
  cg_status status = check(p, result, target, err);
  if (status)
    return status;
  if (!C)
    return cg_bptt_no_result(err);
  if (k < 1 || k > t || t > p->T)
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "there is no path from step %" PRId64 " to %" PRId64
                        " of %" PRId64,
                        k, t, p->T);
  double *g = NULL, *v = NULL;
  void *block = NULL;
  const cg_bptt_part parts[] = {{&g, 1, p->B, p->H}, {&v, 1, p->B, p->H}};
  status = cg_bptt_alloc(p, parts, 2, &block, err);
  if (status)
    return status;
  cg_bptt_trace_begin(p, result, t, g);
  for (int64_t j = t; j > k; j--) {
    cg_bptt_trace_through(p, result, j, g, v);
    cg_bptt_trace_back(p, v, g);
  }
  cg_bptt_trace_through(p, result, k, g, v);
  const int64_t n = p->H * cg_bptt_target_columns(p, target);
  memset(C, 0, (size_t)n * sizeof *C);
  cg_bptt_target_add(p, result, target, k, v, C);
  cg_bptt_release(block);
  return CG_OK;
}

/* ---- the table ---- */

/* What it takes to walk over all paths. */
typedef struct walk {
  const cg_bptt_problem *p;
  const cg_bptt_result *r;
  cg_bptt_target target;
  int64_t n;    /* elements of the parameter */
  double *g;    /* [T, B, H], g(t, t - lag) of all t */
  double *v;    /* [B, H] */
  double *C;    /* [n] */
  double *sum;  /* [n], of all C of a lag */
  void *block;
} walk;

static cg_status begin(walk *w, cg_bptt_paths *paths, cg_error *err) {
  const cg_bptt_problem *p = w->p;
  const cg_bptt_part scratch[] = {{&w->g, p->T, p->B, p->H},
                                  {&w->v, 1, p->B, p->H},
                                  {&w->C, 1, 1, w->n},
                                  {&w->sum, 1, 1, w->n}};
  const cg_bptt_part kept[] = {{&paths->norm, 1, p->T, p->T},
                               {&paths->share, 1, p->T, p->T},
                               {&paths->lag_norm, 1, 1, p->T},
                               {&paths->lag_share, 1, 1, p->T},
                               {&paths->total, 1, 1, w->n}};
  cg_status status = cg_bptt_alloc(p, kept, 5, &paths->block, err);
  return status ? status : cg_bptt_alloc(p, scratch, 4, &w->block, err);
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* The entry C(t, t - lag), from g(t, t - lag), which goes on one step. */
static void enter(const walk *w, int64_t t, int64_t lag,
                  cg_bptt_paths *paths, const double *G) {
  const cg_bptt_problem *p = w->p;
  const int64_t k = t - lag, at = (t - 1) * p->T + k - 1;
  double *g = w->g + (t - 1) * p->B * p->H;
  memset(w->C, 0, (size_t)w->n * sizeof *w->C);
  cg_bptt_trace_through(p, w->r, k, g, w->v);
  cg_bptt_target_add(p, w->r, w->target, k, w->v, w->C);
  const double GG = dot(G, G, w->n);
  paths->norm[at] = sqrt(dot(w->C, w->C, w->n));
  paths->share[at] = GG > 0.0 ? dot(w->C, G, w->n) / GG : 0.0;
  paths->lag_share[lag] += paths->share[at];
  for (int64_t i = 0; i < w->n; i++)
    w->sum[i] += w->C[i];
  if (k == 1)
    return;
  cg_bptt_trace_back(p, w->v, g);
  paths->products++;
}

static const double *gradient(const cg_bptt_result *r, cg_bptt_target target) {
  return target == CG_BPTT_W_HH   ? r->dW_hh
         : target == CG_BPTT_W_XH ? r->dW_xh
                                  : r->db_h;
}

/* Shares are measured along the gradient of the recursion: that they add up to
 * 1 then says that both agree. */
static void fill(const walk *w, cg_bptt_paths *paths) {
  const cg_bptt_problem *p = w->p;
  const double *G = gradient(w->r, w->target);
  for (int64_t t = 1; t <= p->T; t++)
    cg_bptt_trace_begin(p, w->r, t, w->g + (t - 1) * p->B * p->H);
  for (int64_t lag = 0; lag < p->T; lag++) {
    memset(w->sum, 0, (size_t)w->n * sizeof *w->sum);
    for (int64_t t = p->T; t > lag; t--)
      enter(w, t, lag, paths, G);
    paths->lag_norm[lag] = sqrt(dot(w->sum, w->sum, w->n));
    for (int64_t i = 0; i < w->n; i++)
      paths->total[i] += w->sum[i];
  }
}

cg_status cg_bptt_paths_make(const cg_bptt_problem *problem,
                             const cg_bptt_result *result,
                             cg_bptt_target target, cg_bptt_paths *paths,
                             cg_error *err) {
  if (!paths)
    return cg_bptt_no_result(err);
  *paths = (cg_bptt_paths){0};
  cg_status status = check(problem, result, target, err);
  if (status)
    return status;
  walk w = {.p = problem,
            .r = result,
            .target = target,
            .n = problem->H * cg_bptt_target_columns(problem, target)};
  status = begin(&w, paths, err);
  if (!status)
    fill(&w, paths);
  else
    cg_bptt_paths_free(paths);
  cg_bptt_release(w.block);
  return status;
}

void cg_bptt_paths_free(cg_bptt_paths *paths) {
  if (!paths)
    return;
  cg_bptt_release(paths->block);
  *paths = (cg_bptt_paths){0};
}
