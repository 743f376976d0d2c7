/* bptt_batch.c - BPTT by hand for a mini-batch, in the row convention.
 *
 * Every quantity of step t is a matrix with one example per row: X_t [B, D],
 * H_t [B, H], O_t [B, K]. Transposing the column equations turns the products
 * round: Z_t = X_t W_xh^T + H_{t-1} W_hh^T + 1 b_h^T, where 1 is the column of
 * B ones. Sums over the batch need no loop of their own on paper: a product
 * with a transposed left side, such as Delta_Z_t^T X_t, contains them.
 */
#include "bptt_common.h"
#include "bptt_rows.h"

#include <math.h>

/* Z_t = X_t W_xh^T + H_{t-1} W_hh^T + 1 b_h^T
 * H_t = phi(Z_t)
 * O_t = H_t W_hy^T + 1 b_y^T */
static void forward_step(const cg_bptt_problem *p, const cg_bptt_step *s) {
  const int64_t B = p->B, D = p->D, H = p->H, K = p->K;
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  double *Z_t = s->h_t; /* H_t takes the place of Z_t */
  cg_rows_add_to_rows(Z_t, p->b_h, B, H);
  cg_rows_add_x_at(Z_t, s->x_t, p->W_xh, B, D, H);
  cg_rows_add_x_at(Z_t, s->h_prev, p->W_hh, B, H, H);
  for (int64_t i = 0; i < B * H; i++)
    s->h_t[i] = f->phi(Z_t[i]);
  cg_rows_add_to_rows(s->o_t, p->b_y, B, K);
  cg_rows_add_x_at(s->o_t, s->h_t, p->W_hy, B, H, K);
}

/* log_p[k] = o[k] - log sum_j exp(o[j]), for one row of O_t. The largest logit
 * is taken off first: then no exponent is > 0 and at least one is 0. */
static void log_softmax(double *log_p, const double *o, int64_t K) {
  double largest = o[0], sum = 0.0;
  for (int64_t k = 1; k < K; k++)
    largest = fmax(largest, o[k]);
  for (int64_t k = 0; k < K; k++)
    sum += exp(o[k] - largest);
  const double log_sum = log(sum);
  for (int64_t k = 0; k < K; k++)
    log_p[k] = o[k] - largest - log_sum;
}

/* P_t = softmax of each row of O_t
 * L_t = -sum_b log P_t[b, y_t[b]]
 * Delta_O_t = scale (P_t - onehot(y_t)) */
static double loss_step(const cg_bptt_problem *p, const cg_bptt_step *s,
                        double scale) {
  const int64_t K = p->K;
  double L_t = 0.0;
  for (int64_t b = 0; b < p->B; b++) {
    double *log_P = s->delta_o_t + b * K; /* Delta_O_t takes its place */
    log_softmax(log_P, s->o_t + b * K, K);
    L_t -= log_P[s->y_t[b]];
    for (int64_t k = 0; k < K; k++) {
      const double onehot = k == s->y_t[b] ? 1.0 : 0.0;
      s->delta_o_t[b * K + k] = scale * (exp(log_P[k]) - onehot);
    }
  }
  return L_t;
}

/* Delta_H_t = Delta_O_t W_hy + Delta_Z_{t+1} W_hh,  Delta_Z_{T+1} = 0
 * Delta_Z_t = phi'(Z_t) * Delta_H_t */
static void backward_step(const cg_bptt_problem *p, const cg_bptt_step *s) {
  const int64_t B = p->B, H = p->H, K = p->K;
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  cg_rows_add_x_a(s->delta_h_t, s->delta_o_t, p->W_hy, B, K, H);
  cg_rows_add_x_a(s->delta_h_t, s->delta_z_next, p->W_hh, B, H, H);
  for (int64_t i = 0; i < B * H; i++)
    s->delta_z_t[i] = f->phi_prime(s->h_t[i]) * s->delta_h_t[i];
}

/* dW_hy = sum_t Delta_O_t^T H_t        db_y = sum_t Delta_O_t^T 1
 * dW_hh = sum_t Delta_Z_t^T H_{t-1}    db_h = sum_t Delta_Z_t^T 1
 * dW_xh = sum_t Delta_Z_t^T X_t */
static void gradient_step(const cg_bptt_problem *p, const cg_bptt_step *s,
                          cg_bptt_result *r) {
  const int64_t B = p->B, D = p->D, H = p->H, K = p->K;
  cg_rows_add_ut_v(r->dW_hy, s->delta_o_t, s->h_t, B, K, H);
  cg_rows_add_ut_v(r->dW_hh, s->delta_z_t, s->h_prev, B, H, H);
  cg_rows_add_ut_v(r->dW_xh, s->delta_z_t, s->x_t, B, H, D);
  cg_rows_add_row_sum(r->db_y, s->delta_o_t, B, K);
  cg_rows_add_row_sum(r->db_h, s->delta_z_t, B, H);
}

/* L = scale sum_t L_t forwards in time; then the deltas and gradients back,
 * and at last dH_0 = Delta_Z_1 W_hh: every example has its own row of it. */
cg_status cg_bptt_batch(const cg_bptt_problem *problem, cg_bptt_result *result,
                        cg_error *err) {
  cg_status status = cg_bptt_begin(problem, result, err);
  if (status != CG_OK)
    return status;
  const cg_bptt_problem *p = problem;
  const double scale = cg_bptt_scale(p);
  for (int64_t t = 1; t <= p->T; t++) {
    const cg_bptt_step s = cg_bptt_step_at(p, result, t);
    forward_step(p, &s);
    result->loss += scale * loss_step(p, &s, scale);
  }
  for (int64_t t = p->T; t >= 1; t--) {
    const cg_bptt_step s = cg_bptt_step_at(p, result, t);
    backward_step(p, &s);
    gradient_step(p, &s, result);
  }
  const double *Delta_Z_1 = result->delta_z;
  cg_rows_add_x_a(result->dh_0, Delta_Z_1, p->W_hh, p->B, p->H, p->H);
  return CG_OK;
}
