/* moons.h - two interleaved half circles, told apart by a small net.
 *
 *     a_0 = x    z_l = a_{l-1} W_l^T + b_l    a_l = tanh(z_l)    l = 1, 2, 3
 *     logits o = z_3, p = softmax(o), L = mean over examples of -log p[y]
 *
 *     delta_3 = (p - onehot(y)) / N
 *     delta_l = (1 - a_l^2) (delta_{l+1} W_{l+1})
 *     dW_l = delta_l^T a_{l-1}    db_l = sum over examples of delta_l
 *
 * One example per row. delta_l = dL/dz_l is the error signal of layer l.
 */
#ifndef CHRONOGRAD_DEMOS_MOONS_H
#define CHRONOGRAD_DEMOS_MOONS_H

#include <chronograd/nn.h>

enum { MOONS_LAYERS = 3, MOONS_CLASSES = 2 };

typedef struct moons_data {
  int64_t n;
  double *x;  /* [n, 2] */
  int64_t *y; /* [n], 0 or 1 */
} moons_data;

typedef struct moons_net {
  cg_params *params;
  cg_linear_layer *layer[MOONS_LAYERS];
  cg_optimizer *adam;
} moons_net;

/* What both sides compute: row-major, freed by moons_errors_free. */
typedef struct moons_errors {
  double loss;
  double *delta[MOONS_LAYERS]; /* [n, out] */
  double *dW[MOONS_LAYERS];    /* [out, in] */
  double *db[MOONS_LAYERS];    /* [out] */
} moons_errors;

/* Those that can fail say so by cli_fail. */

/* moons_data.c */
bool moons_data_make(moons_data *d, int64_t n, double noise, uint64_t seed);
void moons_data_free(moons_data *d);

/* moons_net.c */
bool moons_net_make(moons_net *net, int64_t hidden, double rate, uint64_t seed);
void moons_net_free(moons_net *net);
/* Full-batch steps; *loss is that of the last. */
bool moons_train(const moons_net *net, const moons_data *d, cg_tape *tape,
                 int64_t steps, double *loss);
/* p[y = 1] of n points x [n, 2]. */
bool moons_predict(const moons_net *net, const double *x, int64_t n,
                   cg_tape *tape, double *p);
/* Autograd's side. */
bool moons_autograd(const moons_net *net, const moons_data *d, cg_tape *tape,
                    moons_errors *e);

/* moons_manual.c: the same by hand: plain loops, no tape. */
bool moons_errors_make(moons_errors *e, const moons_net *net, int64_t n);
void moons_errors_free(moons_errors *e);
bool moons_manual(const moons_net *net, const moons_data *d, moons_errors *e);

/* moons_picture.c: <base>.tsv and, if gnuplot is installed, <base>.svg. */
bool moons_picture(const moons_net *net, const moons_data *d, cg_tape *tape,
                   const char *base);

#endif
