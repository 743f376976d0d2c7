/* bptt_rtrl.c - real-time recurrent learning, one sequence after another. */
#include <chronograd/bptt_rtrl.h>

#include <math.h>
#include <string.h>

#include "bptt_common.h"

/* The present of one sequence. The P columns of S are those of theta = (W_xh,
 * W_hh, b_h, h_0), row-major. */
typedef struct present {
  int64_t P, at_W_hh, at_b_h, at_h_0;
  double *S, *S_next; /* [H, P] */
  double *h, *h_next; /* [H] */
  double *o, *delta_o; /* [K] */
  double *dtheta;      /* [P] */
  void *block;
} present;

static cg_status begin(const cg_bptt_problem *p, present *n, cg_error *err) {
  const int64_t H = p->H;
  cg_status status = cg_bptt_check_size(p, H, H, 1, err);
  if (!status)
    status = cg_bptt_check_size(p, H, p->D, 1, err);
  if (status)
    return status;
  n->at_W_hh = H * p->D;
  n->at_b_h = n->at_W_hh + H * H;
  n->at_h_0 = n->at_b_h + H;
  n->P = n->at_h_0 + H;
  const cg_bptt_part parts[] = {
      {&n->S, 1, H, n->P},  {&n->S_next, 1, H, n->P}, {&n->h, 1, 1, H},
      {&n->h_next, 1, 1, H}, {&n->o, 1, 1, p->K},     {&n->delta_o, 1, 1, p->K},
      {&n->dtheta, 1, 1, n->P}};
  return cg_bptt_alloc(p, parts, 7, &n->block, err);
}

static cg_status lay_out(const cg_bptt_problem *p, cg_bptt_result *r,
                         cg_error *err) {
  const cg_bptt_part parts[] = {
      {&r->dW_xh, 1, p->H, p->D}, {&r->dW_hh, 1, p->H, p->H},
      {&r->dW_hy, 1, p->K, p->H}, {&r->db_h, 1, 1, p->H},
      {&r->db_y, 1, 1, p->K},     {&r->dh_0, 1, p->B, p->H}};
  return cg_bptt_alloc(p, parts, 6, &r->block, err);
}

/* S_0: h_0 is its own parameter, nothing else had an influence yet. */
static void first_state(const cg_bptt_problem *p, present *n, int64_t b) {
  memset(n->S, 0, (size_t)(p->H * n->P) * sizeof *n->S);
  memset(n->dtheta, 0, (size_t)n->P * sizeof *n->dtheta);
  for (int64_t i = 0; i < p->H; i++) {
    n->h[i] = p->h0 ? p->h0[b * p->H + i] : 0.0;
    n->S[i * n->P + n->at_h_0 + i] = 1.0;
  }
}

static double inner(const double *a, const double *b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* Row i of S_t: phi'(z_i) (row i of W_hh S_{t-1}, and what z_i has of x_t, of
 * h_{t-1} and of 1). */
static void influence_row(const cg_bptt_problem *p, const present *n,
                          const double *x_t, int64_t i, double slope) {
  const int64_t D = p->D, H = p->H, P = n->P;
  double *row = n->S_next + i * P;
  memset(row, 0, (size_t)P * sizeof *row);
  for (int64_t j = 0; j < H; j++) {
    const double w = p->W_hh[i * H + j];
    for (int64_t c = 0; c < P; c++)
      row[c] += w * n->S[j * P + c];
  }
  for (int64_t j = 0; j < D; j++)
    row[i * D + j] += x_t[j];
  for (int64_t j = 0; j < H; j++)
    row[n->at_W_hh + i * H + j] += n->h[j];
  row[n->at_b_h + i] += 1.0;
  for (int64_t c = 0; c < P; c++)
    row[c] *= slope;
}

/* h_t and S_t take the place of h_{t-1} and S_{t-1}. */
static void advance(const cg_bptt_problem *p, present *n, const double *x_t) {
  const int64_t D = p->D, H = p->H;
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  for (int64_t i = 0; i < H; i++) {
    const double z = p->b_h[i] + inner(p->W_xh + i * D, x_t, D) +
                     inner(p->W_hh + i * H, n->h, H);
    n->h_next[i] = f->phi(z);
    influence_row(p, n, x_t, i, f->phi_prime(n->h_next[i]));
  }
  double *S = n->S, *h = n->h;
  n->S = n->S_next;
  n->S_next = S;
  n->h = n->h_next;
  n->h_next = h;
}

/* delta_o_t = scale (p_t - onehot(y)); returns L_t. */
static double local_loss(const cg_bptt_problem *p, present *n, int64_t y,
                         double scale) {
  double largest = -INFINITY, sum = 0.0;
  for (int64_t k = 0; k < p->K; k++) {
    n->o[k] = p->b_y[k] + inner(p->W_hy + k * p->H, n->h, p->H);
    largest = fmax(largest, n->o[k]);
  }
  for (int64_t k = 0; k < p->K; k++)
    sum += exp(n->o[k] - largest);
  const double log_sum = largest + log(sum);
  for (int64_t k = 0; k < p->K; k++)
    n->delta_o[k] = scale * (exp(n->o[k] - log_sum) - (k == y ? 1.0 : 0.0));
  return log_sum - n->o[y];
}

/* dtheta += S_t^T dL_t/dh_t, and the parameters of the output. */
static void learn(const cg_bptt_problem *p, const present *n,
                  cg_bptt_result *r) {
  for (int64_t i = 0; i < p->H; i++) {
    double dh_i = 0.0;
    for (int64_t k = 0; k < p->K; k++)
      dh_i += p->W_hy[k * p->H + i] * n->delta_o[k];
    for (int64_t c = 0; c < n->P; c++)
      n->dtheta[c] += dh_i * n->S[i * n->P + c];
  }
  for (int64_t k = 0; k < p->K; k++) {
    r->db_y[k] += n->delta_o[k];
    for (int64_t i = 0; i < p->H; i++)
      r->dW_hy[k * p->H + i] += n->delta_o[k] * n->h[i];
  }
}

static void add(double *to, const double *from, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    to[i] += from[i];
}

static void run_sequence(const cg_bptt_problem *p, present *n, int64_t b,
                         cg_bptt_result *r) {
  const double scale = cg_bptt_scale(p);
  first_state(p, n, b);
  for (int64_t t = 0; t < p->T; t++) {
    const int64_t at = t * p->B + b;
    advance(p, n, p->x + at * p->D);
    r->loss += scale * local_loss(p, n, p->y[at], scale);
    learn(p, n, r);
  }
  add(r->dW_xh, n->dtheta, p->H * p->D);
  add(r->dW_hh, n->dtheta + n->at_W_hh, p->H * p->H);
  add(r->db_h, n->dtheta + n->at_b_h, p->H);
  add(r->dh_0 + b * p->H, n->dtheta + n->at_h_0, p->H);
}

cg_status cg_bptt_rtrl(const cg_bptt_problem *problem, cg_bptt_result *result,
                       cg_error *err) {
  const cg_bptt_problem *p = problem;
  present n = {0};
  if (!result)
    return cg_bptt_no_result(err);
  *result = (cg_bptt_result){0};
  cg_status status = cg_bptt_check(p, err);
  if (!status)
    status = cg_bptt_check_targets(p, err);
  if (!status)
    status = begin(p, &n, err);
  if (!status)
    status = lay_out(p, result, err);
  for (int64_t b = 0; !status && b < p->B; b++)
    run_sequence(p, &n, b, result);
  cg_bptt_release(n.block);
  return status;
}
