/* moons_manual.c - the backward pass of moons.h by hand: plain loops over
 * arrays, no tape and no derivative rule. */
#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "moons.h"

typedef struct layer {
  int64_t in, out;
  const double *W, *b;
} layer;

static layer layer_of(const moons_net *net, int l) {
  const cg_tensor *W = net->layer[l]->W;
  return (layer){cg_tensor_dim(W, 1), cg_tensor_dim(W, 0), cg_tensor_data(W),
                 cg_tensor_data(net->layer[l]->b)};
}

bool moons_errors_make(moons_errors *e, const moons_net *net, int64_t n) {
  bool ok = true;
  for (int l = 0; l < MOONS_LAYERS; l++) {
    layer y = layer_of(net, l);
    e->delta[l] = calloc((size_t)(n * y.out), sizeof(double));
    e->dW[l] = calloc((size_t)(y.out * y.in), sizeof(double));
    e->db[l] = calloc((size_t)y.out, sizeof(double));
    ok = ok && e->delta[l] && e->dW[l] && e->db[l];
  }
  return ok || cli_fail("out of memory");
}

void moons_errors_free(moons_errors *e) {
  for (int l = 0; l < MOONS_LAYERS; l++) {
    free(e->delta[l]);
    free(e->dW[l]);
    free(e->db[l]);
  }
}

/* z_l = a_{l-1} W_l^T + b_l of one example. */
static void forward(const layer *y, const double *a, double *z) {
  for (int64_t i = 0; i < y->out; i++) {
    z[i] = y->b[i];
    for (int64_t j = 0; j < y->in; j++) z[i] += y->W[i * y->in + j] * a[j];
  }
}

/* delta_3 = (p - onehot(y)) / N; returns -log p[y]. */
static double output_error(const double *o, int64_t y, int64_t n,
                           double *delta) {
  double top = fmax(o[0], o[1]), sum = exp(o[0] - top) + exp(o[1] - top);
  for (int64_t k = 0; k < MOONS_CLASSES; k++)
    delta[k] = (exp(o[k] - top) / sum - (double)(k == y)) / (double)n;
  return log(sum) + top - o[y];
}

/* delta_l = (1 - a_l^2) (delta_{l+1} W_{l+1}). */
static void back(const layer *above, const double *delta_above,
                 const double *a, double *delta) {
  for (int64_t j = 0; j < above->in; j++) {
    double sum = 0;
    for (int64_t i = 0; i < above->out; i++)
      sum += delta_above[i] * above->W[i * above->in + j];
    delta[j] = (1 - a[j] * a[j]) * sum;
  }
}

/* dW_l += delta_l^T a_{l-1}, db_l += delta_l. */
static void add_gradient(const layer *y, const double *delta, const double *a,
                         double *dW, double *db) {
  for (int64_t i = 0; i < y->out; i++) {
    db[i] += delta[i];
    for (int64_t j = 0; j < y->in; j++) dW[i * y->in + j] += delta[i] * a[j];
  }
}

/* One example; a[l] is a_l, a[0] = x. */
static void example(const moons_net *net, int64_t n, int64_t i, int64_t y,
                    double **a, moons_errors *e) {
  layer s[MOONS_LAYERS];
  double *delta[MOONS_LAYERS];
  const int last = MOONS_LAYERS - 1;
  for (int l = 0; l < MOONS_LAYERS; l++) {
    s[l] = layer_of(net, l);
    delta[l] = e->delta[l] + i * s[l].out;
    forward(&s[l], a[l], a[l + 1]);
    for (int64_t j = 0; l < last && j < s[l].out; j++)
      a[l + 1][j] = tanh(a[l + 1][j]);
  }
  e->loss += output_error(a[MOONS_LAYERS], y, n, delta[last]) / (double)n;
  for (int l = last; l-- > 0;)
    back(&s[l + 1], delta[l + 1], a[l + 1], delta[l]);
  for (int l = 0; l < MOONS_LAYERS; l++)
    add_gradient(&s[l], delta[l], a[l], e->dW[l], e->db[l]);
}

bool moons_manual(const moons_net *net, const moons_data *d,
                  moons_errors *e) {
  double *a[MOONS_LAYERS + 1] = {0};
  bool ok = true;
  e->loss = 0;
  for (int l = 0; l < MOONS_LAYERS; l++) {
    a[l + 1] = calloc((size_t)layer_of(net, l).out, sizeof(double));
    ok = ok && a[l + 1];
  }
  for (int64_t i = 0; ok && i < d->n; i++) {
    a[0] = d->x + 2 * i;
    example(net, d->n, i, d->y[i], a, e);
  }
  for (int l = 0; l < MOONS_LAYERS; l++) free(a[l + 1]);
  return ok || cli_fail("out of memory");
}
