/* bptt_forward.c - the forward pass once more, for one sequence, in float64:
 * what difference quotients are made of. It shares no code with the two sides
 * under comparison. */
#include <math.h>

#include "bptt.h"

/* z = W_xh x_t + W_hh h_{t-1} + b_h, row i. */
static double pre_activation(const cg_bptt_problem *p, const double *x_t,
                             const double *h_prev, int64_t i) {
  double z = p->b_h[i];
  for (int64_t j = 0; j < p->D; j++) z += p->W_xh[i * p->D + j] * x_t[j];
  for (int64_t j = 0; j < p->H; j++) z += p->W_hh[i * p->H + j] * h_prev[j];
  return z;
}

static double activate(cg_activation phi, double z) {
  switch (phi) {
  case CG_ACT_TANH: return tanh(z);
  case CG_ACT_RELU: return z < 0 ? 0 : z;
  case CG_ACT_SIGMOID: return 1 / (1 + exp(-z));
  default: return z;
  }
}

void bptt_states(const cg_bptt_problem *p, int64_t b, double *h) {
  int64_t H = p->H;
  for (int64_t i = 0; i < H; i++) h[i] = p->h0[b * H + i];
  for (int64_t t = 0; t < p->T; t++) {
    const double *x_t = p->x + (t * p->B + b) * p->D, *h_prev = h + t * H;
    double *h_t = h + (t + 1) * H;
    for (int64_t i = 0; i < H; i++)
      h_t[i] = activate(p->phi, pre_activation(p, x_t, h_prev, i));
  }
}

static double logit(const cg_bptt_problem *p, const double *h_t, int64_t k) {
  double o = p->b_y[k];
  for (int64_t j = 0; j < p->H; j++) o += p->W_hy[k * p->H + j] * h_t[j];
  return o;
}

/* -log softmax(o)[y] = log sum_k exp(o_k - o_y), kept from overflow by a
 * running maximum: the logits need not be stored. */
static double local_loss(const cg_bptt_problem *p, const double *h_t, int64_t y,
                         double *largest) {
  double o_y = logit(p, h_t, y), top = o_y, sum = 1;
  *largest = fabs(o_y);
  for (int64_t k = 0; k < p->K; k++) {
    if (k == y) continue;
    double o = logit(p, h_t, k);
    *largest = fmax(*largest, fabs(o));
    if (o > top) {
      sum = sum * exp(top - o) + 1;
      top = o;
    } else {
      sum += exp(o - top);
    }
  }
  return top - o_y + log(sum);
}

double bptt_losses(const cg_bptt_problem *p, int64_t b, const double *h,
                   double *losses) {
  double squares = 0;
  for (int64_t t = 0; t < p->T; t++) {
    double largest;
    losses[t] = local_loss(p, h + (t + 1) * p->H, p->y[t * p->B + b], &largest);
    double size = 1 + largest + fabs(losses[t]);
    squares += size * size;
  }
  return sqrt(squares);
}
