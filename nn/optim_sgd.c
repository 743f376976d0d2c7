/* optim_sgd.c - gradient descent with momentum (optim.h has the formulas). */
#include "optim_impl.h"

#include <math.h>

enum { LR, MOMENTUM, WEIGHT_DECAY, DAMPENING, NESTEROV, COUNT };

static const cg_optim_setting settings[COUNT] = {
    [LR] = {"lr", 1e-3, 0, INFINITY, false},
    [MOMENTUM] = {"momentum", 0, 0, INFINITY, false},
    [WEIGHT_DECAY] = {"weight_decay", 0, 0, INFINITY, false},
    [DAMPENING] = {"dampening", 0, 0, 1 + 1e-15, false},
    [NESTEROV] = {"nesterov", 0, 0, 2, true},
};

enum { V };

static const cg_optim_buffer buffers[] = {
    [V] = {.name = "momentum_buffer", .only_if = MOMENTUM}};

/* Three loops: without v, with it, and by Nesterov. */
#define SGD(name, real)                                                     \
  CG_OPTIM_CLONES static void name(const cg_optim_update *u) {              \
    real *restrict w = u->w, *restrict v = u->buffer[V];                    \
    const real *restrict g = u->g;                                          \
    const real lr = (real)u->s[LR], decay = (real)u->s[WEIGHT_DECAY];       \
    const real momentum = (real)u->s[MOMENTUM];                             \
    const real keep = u->step == 1 ? 0 : momentum;                          \
    const real gain = u->step == 1 ? 1 : (real)(1.0 - u->s[DAMPENING]);     \
    if (!v)                                                                 \
      for (int64_t i = 0; i < u->n; i++) w[i] -= lr * (g[i] + decay * w[i]); \
    else if (u->s[NESTEROV] == 0.0)                                         \
      for (int64_t i = 0; i < u->n; i++) {                                  \
        v[i] = keep * v[i] + gain * (g[i] + decay * w[i]);                  \
        w[i] -= lr * v[i];                                                  \
      }                                                                     \
    else                                                                    \
      for (int64_t i = 0; i < u->n; i++) {                                  \
        real d = g[i] + decay * w[i];                                       \
        v[i] = keep * v[i] + gain * d;                                      \
        w[i] -= lr * (d + momentum * v[i]);                                 \
      }                                                                     \
  }

SGD(update_f32, float)
SGD(update_f64, double)

static void update(const cg_optim_update *u) {
  u->f32 ? update_f32(u) : update_f64(u);
}

const cg_optim_rule cg_optim_sgd = {
    .name = "sgd", .fn = "sgd_new",
    .n_settings = COUNT, .settings = settings,
    .n_buffers = 1, .buffers = buffers,
    .update = update,
};

cg_optimizer *cg_sgd_new(cg_params *params, const cg_sgd_config *config,
                         cg_error *err) {
  cg_sgd_config c = config ? *config : (cg_sgd_config){0};
  const double s[COUNT] = {c.lr, c.momentum, c.weight_decay, c.dampening,
                           c.nesterov};
  if (!c.nesterov || (c.momentum > 0.0 && c.dampening == 0.0))
    return cg_optim_new(params, &cg_optim_sgd, s, err);
  cg_error_set(err, CG_ERR_ARG, "sgd_new",
               "with nesterov, momentum %g and dampening %g are out of range",
               c.momentum, c.dampening);
  return NULL;
}
