/* optim_rmsprop.c - RMSprop (optim.h has the formulas). */
#include "optim_impl.h"

#include <math.h>

enum { LR, ALPHA, EPS, MOMENTUM, WEIGHT_DECAY, CENTERED, COUNT };

static const cg_optim_setting settings[COUNT] = {
    [LR] = {"lr", 0.01, 0, INFINITY, false},
    [ALPHA] = {"alpha", 0.99, 0, 1, false},
    [EPS] = {"eps", 1e-8, 0, INFINITY, false},
    [MOMENTUM] = {"momentum", 0, 0, INFINITY, false},
    [WEIGHT_DECAY] = {"weight_decay", 0, 0, INFINITY, false},
    [CENTERED] = {"centered", 0, 0, 2, true},
};

enum { S, A, V, N_BUFFERS };

static const cg_optim_buffer buffers[N_BUFFERS] = {
    [S] = {.name = "square_avg"},
    [A] = {.name = "grad_avg", .only_if = CENTERED},
    [V] = {.name = "momentum_buffer", .only_if = MOMENTUM},
};

/* The loops differ in which of a and v there are. */
#define LOOP(real, root, MEAN, MOVE)                 \
  for (int64_t i = 0; i < u->n; i++) {               \
    real d = g[i] + decay * w[i], below;             \
    s[i] = alpha * s[i] + beta * d * d;              \
    MEAN;                                            \
    real q = d / (root(below) + eps);                \
    MOVE;                                            \
  }
#define PLAIN below = s[i]
#define AROUND a[i] += beta * (d - a[i]), below = s[i] - a[i] * a[i]
#define STEP w[i] -= lr * q
#define ROLL v[i] = momentum * v[i] + q, w[i] -= lr * v[i]

#define RMSPROP(name, real, root)                                          \
  static void name(const cg_optim_update *u) {                             \
    real *restrict w = u->w, *restrict s = u->buffer[S];                   \
    real *restrict a = u->buffer[A], *restrict v = u->buffer[V];           \
    const real *restrict g = u->g;                                         \
    const real lr = (real)u->s[LR], decay = (real)u->s[WEIGHT_DECAY];      \
    const real alpha = (real)u->s[ALPHA], beta = (real)(1.0 - u->s[ALPHA]); \
    const real eps = (real)u->s[EPS], momentum = (real)u->s[MOMENTUM];     \
    if (!a && !v) LOOP(real, root, PLAIN, STEP)                            \
    else if (!v) LOOP(real, root, AROUND, STEP)                            \
    else if (!a) LOOP(real, root, PLAIN, ROLL)                             \
    else LOOP(real, root, AROUND, ROLL)                                    \
  }

RMSPROP(update_f32, float, sqrtf)
RMSPROP(update_f64, double, sqrt)

static void update(const cg_optim_update *u) {
  u->f32 ? update_f32(u) : update_f64(u);
}

const cg_optim_rule cg_optim_rmsprop = {
    .name = "rmsprop", .fn = "rmsprop_new",
    .n_settings = COUNT, .settings = settings,
    .n_buffers = N_BUFFERS, .buffers = buffers,
    .update = update,
};

cg_optimizer *cg_rmsprop_new(cg_params *params, const cg_rmsprop_config *config,
                             cg_error *err) {
  cg_rmsprop_config c = config ? *config : (cg_rmsprop_config){0};
  const double s[COUNT] = {c.lr,       c.alpha,        c.eps,
                           c.momentum, c.weight_decay, c.centered};
  return cg_optim_new(params, &cg_optim_rmsprop, s, err);
}
