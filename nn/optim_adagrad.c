/* optim_adagrad.c - Adagrad (optim.h has the formulas). */
#include "optim_impl.h"

#include <math.h>

enum { LR, LR_DECAY, EPS, WEIGHT_DECAY, INITIAL_SUM, COUNT };

static const cg_optim_setting settings[COUNT] = {
    [LR] = {"lr", 0.01, 0, INFINITY, false},
    [LR_DECAY] = {"lr_decay", 0, 0, INFINITY, false},
    [EPS] = {"eps", 1e-10, 0, INFINITY, false},
    [WEIGHT_DECAY] = {"weight_decay", 0, 0, INFINITY, false},
    [INITIAL_SUM] = {"initial_sum", 0, 0, INFINITY, false},
};

enum { S };

static const cg_optim_buffer buffers[] = {
    [S] = {.name = "sum", .fill = INITIAL_SUM}};

#define ADAGRAD(name, real, root)                                           \
  static void name(const cg_optim_update *u) {                              \
    real *restrict w = u->w, *restrict s = u->buffer[S];                    \
    const real *restrict g = u->g;                                          \
    const real decay = (real)u->s[WEIGHT_DECAY], eps = (real)u->s[EPS];     \
    const real lr = (real)(                                                 \
        u->s[LR] / (1.0 + (double)(u->step - 1) * u->s[LR_DECAY]));         \
    for (int64_t i = 0; i < u->n; i++) {                                    \
      real d = g[i] + decay * w[i];                                         \
      s[i] += d * d;                                                        \
      w[i] -= lr * d / (root(s[i]) + eps);                                  \
    }                                                                       \
  }

ADAGRAD(update_f32, float, sqrtf)
ADAGRAD(update_f64, double, sqrt)

static void update(const cg_optim_update *u) {
  u->f32 ? update_f32(u) : update_f64(u);
}

const cg_optim_rule cg_optim_adagrad = {
    .name = "adagrad", .fn = "adagrad_new",
    .n_settings = COUNT, .settings = settings,
    .n_buffers = 1, .buffers = buffers,
    .update = update,
};

cg_optimizer *cg_adagrad_new(cg_params *params, const cg_adagrad_config *config,
                             cg_error *err) {
  cg_adagrad_config c = config ? *config : (cg_adagrad_config){0};
  const double s[COUNT] = {c.lr, c.lr_decay, c.eps, c.weight_decay,
                           c.initial_sum};
  return cg_optim_new(params, &cg_optim_adagrad, s, err);
}
