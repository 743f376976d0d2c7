/* bptt_forward.c - the forward pass once more, for one sequence, in float64:
 * what difference quotients are made of. It shares no code with the two sides
 * under comparison. */
#include <math.h>

#include "bptt.h"

static double inner(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t j = 0; j < n; j++) sum += a[j] * b[j];
  return sum;
}

/* Row i of W_xh x_t + b_h, and of W_hh h_{t-1} + b_hh. */
static double from_input(const cg_bptt_problem *p, const double *x_t,
                         int64_t i) {
  return p->b_h[i] + inner(p->W_xh + i * p->D, x_t, p->D);
}

static double from_state(const bptt_case *c, const double *h_prev, int64_t i) {
  double b = c->b_hh ? c->b_hh[i] : 0;
  return b + inner(c->p.W_hh + i * c->p.H, h_prev, c->p.H);
}

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

static double activate(cg_activation phi, double z) {
  switch (phi) {
  case CG_ACT_TANH: return tanh(z);
  case CG_ACT_RELU: return z < 0 ? 0 : z;
  case CG_ACT_SIGMOID: return sigmoid(z);
  default: return z;
  }
}

/* Unit i of an LSTM: gates i, f, g, o; *c_i is its cell. */
static double lstm_unit(const bptt_case *c, const double *x_t,
                        const double *h_prev, int64_t i, double *c_i) {
  double z[4];
  for (int gate = 0; gate < 4; gate++) {
    int64_t row = gate * c->p.H + i;
    z[gate] = from_input(&c->p, x_t, row) + from_state(c, h_prev, row);
  }
  *c_i = sigmoid(z[1]) * *c_i + sigmoid(z[0]) * tanh(z[2]);
  return sigmoid(z[3]) * tanh(*c_i);
}

/* Unit i of a GRU: gates r, u, n. */
static double gru_unit(const bptt_case *c, const double *x_t,
                       const double *h_prev, int64_t i) {
  const int64_t H = c->p.H;
  double r = sigmoid(from_input(&c->p, x_t, i) + from_state(c, h_prev, i));
  double u =
      sigmoid(from_input(&c->p, x_t, H + i) + from_state(c, h_prev, H + i));
  double n = tanh(from_input(&c->p, x_t, 2 * H + i) +
                  r * from_state(c, h_prev, 2 * H + i));
  return (1 - u) * n + u * h_prev[i];
}

static double unit(const bptt_case *c, const double *x_t, const double *h_prev,
                   int64_t i, double *c_i) {
  if (c->cell == CG_CELL_LSTM) return lstm_unit(c, x_t, h_prev, i, c_i);
  if (c->cell == CG_CELL_GRU) return gru_unit(c, x_t, h_prev, i);
  return activate(c->p.phi,
                  from_input(&c->p, x_t, i) + from_state(c, h_prev, i));
}

void bptt_states(const bptt_case *c, int64_t b, double *h) {
  const cg_bptt_problem *p = &c->p;
  const int64_t H = p->H;
  double *cells = h + (p->T + 1) * H;
  for (int64_t i = 0; i < H; i++) {
    h[i] = p->h0[b * H + i];
    cells[i] = c->c0 ? c->c0[b * H + i] : 0;
  }
  for (int64_t t = 0; t < p->T; t++) {
    const double *x_t = p->x + (t * p->B + b) * p->D, *h_prev = h + t * H;
    for (int64_t i = 0; i < H; i++)
      h[(t + 1) * H + i] = unit(c, x_t, h_prev, i, &cells[i]);
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
