/* bptt_sequence.c - BPTT by hand for one sequence, in the column convention.
 *
 * Every quantity of step t is a vector, every parameter a matrix that stands
 * to its left: z_t = W_xh x_t + W_hh h_{t-1} + b_h. Each function below is one
 * line of the derivation, which stands above it.
 */
#include "bptt_common.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* y += A x, with A [rows, cols]: one inner product per row. */
static void add_product(double *y, const double *A, const double *x,
                        int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++) {
    const double *a_i = A + i * cols;
    double sum = 0.0;
    for (int64_t j = 0; j < cols; j++)
      sum += a_i[j] * x[j];
    y[i] += sum;
  }
}

/* y += A^T x, with A [rows, cols]: the rows of A, weighted by x. Walking over
 * rows reads A in the order in which it lies in memory. */
static void add_transposed_product(double *y, const double *A, const double *x,
                                   int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++) {
    const double *a_i = A + i * cols;
    for (int64_t j = 0; j < cols; j++)
      y[j] += a_i[j] * x[i];
  }
}

/* A += u v^T, with A [rows, cols]. */
static void add_outer_product(double *A, const double *u, const double *v,
                              int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++) {
    double *a_i = A + i * cols;
    for (int64_t j = 0; j < cols; j++)
      a_i[j] += u[i] * v[j];
  }
}

/* y += u */
static void add(double *y, const double *u, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    y[i] += u[i];
}

/* z_t = W_xh x_t + W_hh h_{t-1} + b_h
 * h_t = phi(z_t) */
static void hidden_state(const cg_bptt_problem *p, const cg_bptt_step *s) {
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  double *z_t = s->h_t; /* z_t is needed only until h_t takes its place */
  add(z_t, p->b_h, p->H);
  add_product(z_t, p->W_xh, s->x_t, p->H, p->D);
  add_product(z_t, p->W_hh, s->h_prev, p->H, p->H);
  for (int64_t i = 0; i < p->H; i++)
    s->h_t[i] = f->phi(z_t[i]);
}

/* o_t = W_hy h_t + b_y */
static void logits(const cg_bptt_problem *p, const cg_bptt_step *s) {
  add(s->o_t, p->b_y, p->K);
  add_product(s->o_t, p->W_hy, s->h_t, p->K, p->H);
}

/* p_t = softmax(o_t)
 * L_t = -log p_t[y_t]
 * delta_o_t = p_t - onehot(y_t)
 *
 * With m = max o_t taken off every logit, which changes neither p_t nor L_t,
 * no exp overflows: p_t[k] = exp(o_t[k] - m) / S, S = sum_k exp(o_t[k] - m).
 * L_t = log S - (o_t[y_t] - m) stays finite where p_t[y_t] rounds to 0. */
static double local_loss(const cg_bptt_problem *p, const cg_bptt_step *s) {
  const double *o_t = s->o_t;
  const int64_t y_t = s->y_t[0];
  double *p_t = s->delta_o_t; /* delta_o_t takes the place of p_t */
  double m = o_t[0], S = 0.0;
  for (int64_t k = 1; k < p->K; k++)
    m = o_t[k] > m ? o_t[k] : m;
  for (int64_t k = 0; k < p->K; k++) {
    p_t[k] = exp(o_t[k] - m);
    S += p_t[k];
  }
  for (int64_t k = 0; k < p->K; k++)
    p_t[k] /= S;
  s->delta_o_t[y_t] -= 1.0;
  return log(S) - (o_t[y_t] - m);
}

/* delta_h_t = W_hy^T delta_o_t + W_hh^T delta_z_{t+1},  delta_z_{T+1} = 0
 * delta_z_t = phi'(z_t) * delta_h_t */
static void deltas(const cg_bptt_problem *p, const cg_bptt_step *s) {
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  add_transposed_product(s->delta_h_t, p->W_hy, s->delta_o_t, p->K, p->H);
  add_transposed_product(s->delta_h_t, p->W_hh, s->delta_z_next, p->H, p->H);
  for (int64_t i = 0; i < p->H; i++)
    s->delta_z_t[i] = f->phi_prime(s->h_t[i]) * s->delta_h_t[i];
}

/* dW_hy = sum_t delta_o_t h_t^T        db_y = sum_t delta_o_t
 * dW_hh = sum_t delta_z_t h_{t-1}^T    db_h = sum_t delta_z_t
 * dW_xh = sum_t delta_z_t x_t^T
 *
 * The parameters are the same at every step, so each step adds its part. */
static void gradients(const cg_bptt_problem *p, const cg_bptt_step *s,
                      cg_bptt_result *r) {
  add_outer_product(r->dW_hy, s->delta_o_t, s->h_t, p->K, p->H);
  add_outer_product(r->dW_hh, s->delta_z_t, s->h_prev, p->H, p->H);
  add_outer_product(r->dW_xh, s->delta_z_t, s->x_t, p->H, p->D);
  add(r->db_y, s->delta_o_t, p->K);
  add(r->db_h, s->delta_z_t, p->H);
}

/* L = sum_t L_t, from the first step to the last. A mean multiplies L by a
 * scale, hence every dL/do_t too, and through it all other gradients. */
static void forward(const cg_bptt_problem *p, cg_bptt_result *r) {
  const double scale = cg_bptt_scale(p);
  double L = 0.0;
  for (int64_t t = 1; t <= p->T; t++) {
    const cg_bptt_step s = cg_bptt_step_at(p, r, t);
    hidden_state(p, &s);
    logits(p, &s);
    L += local_loss(p, &s);
    for (int64_t k = 0; k < p->K; k++)
      s.delta_o_t[k] *= scale;
  }
  r->loss = scale * L;
}

/* Back from the last step to the first: step t needs delta_z_{t+1}.
 * dh_0 = W_hh^T delta_z_1 */
static void backward(const cg_bptt_problem *p, cg_bptt_result *r) {
  for (int64_t t = p->T; t >= 1; t--) {
    const cg_bptt_step s = cg_bptt_step_at(p, r, t);
    deltas(p, &s);
    gradients(p, &s, r);
  }
  const double *delta_z_1 = r->delta_z;
  add_transposed_product(r->dh_0, p->W_hh, delta_z_1, p->H, p->H);
}

cg_status cg_bptt_sequence(const cg_bptt_problem *problem,
                           cg_bptt_result *result, cg_error *err) {
  cg_status status = cg_bptt_begin(problem, result, err);
  if (status != CG_OK)
    return status;
  if (problem->B != 1) {
    cg_bptt_free(result);
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "B is %" PRId64 ", but a sequence has B = 1; "
                        "cg_bptt_batch takes any B",
                        problem->B);
  }
  forward(problem, result);
  backward(problem, result);
  return CG_OK;
}
