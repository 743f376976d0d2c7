/* optim_adam.c - Adam and AdamW (optim.h has the formulas). */
#include "optim_impl.h"

#include <math.h>

enum { LR, BETA1, BETA2, EPS, WEIGHT_DECAY, COUNT };

#define SETTINGS(decay)                                    \
  {                                                        \
    [LR] = {"lr", 1e-3, 0, INFINITY, false},               \
    [BETA1] = {"beta1", 0.9, 0, 1, false},                 \
    [BETA2] = {"beta2", 0.999, 0, 1, false},               \
    [EPS] = {"eps", 1e-8, 0, INFINITY, false},             \
    [WEIGHT_DECAY] = {"weight_decay", decay, 0, INFINITY, false}, \
  }

static const cg_optim_setting adam_settings[COUNT] = SETTINGS(0);
static const cg_optim_setting adamw_settings[COUNT] = SETTINGS(0.01);

enum { M, V, N_BUFFERS };

static const cg_optim_buffer buffers[N_BUFFERS] = {
    [M] = {.name = "exp_avg"}, [V] = {.name = "exp_avg_sq"}};

/* The numbers of one step: of Adam `shrink` is 1, of AdamW `decay` is 0. */
typedef struct numbers {
  double decay, shrink;
  double step;      /* lr / (1 - beta1^n) */
  double root_bias; /* 1 / sqrt(1 - beta2^n) */
} numbers;

static numbers numbers_of(const cg_optim_update *u, bool decoupled) {
  double n = (double)u->step, decay = u->s[WEIGHT_DECAY];
  return (numbers){
      .decay = decoupled ? 0.0 : decay,
      .shrink = decoupled ? 1.0 - u->s[LR] * decay : 1.0,
      .step = u->s[LR] / (1.0 - pow(u->s[BETA1], n)),
      .root_bias = 1.0 / sqrt(1.0 - pow(u->s[BETA2], n)),
  };
}

#define ADAM(name, real, root)                                              \
  static void name(const cg_optim_update *u, numbers k) {                   \
    real *restrict w = u->w;                                                \
    real *restrict m = u->buffer[M], *restrict v = u->buffer[V];            \
    const real *restrict g = u->g;                                          \
    const real a1 = (real)(1.0 - u->s[BETA1]), b2 = (real)u->s[BETA2];      \
    const real a2 = (real)(1.0 - u->s[BETA2]), eps = (real)u->s[EPS];       \
    const real decay = (real)k.decay, shrink = (real)k.shrink;              \
    const real step = (real)k.step, root_bias = (real)k.root_bias;          \
    for (int64_t i = 0; i < u->n; i++) {                                    \
      real d = g[i] + decay * w[i];                                         \
      m[i] += a1 * (d - m[i]);                                              \
      v[i] = b2 * v[i] + a2 * d * d;                                        \
      w[i] = shrink * w[i] - step * m[i] / (root(v[i]) * root_bias + eps);  \
    }                                                                       \
  }

ADAM(update_f32, float, sqrtf)
ADAM(update_f64, double, sqrt)

static void update(const cg_optim_update *u, bool decoupled) {
  numbers k = numbers_of(u, decoupled);
  u->f32 ? update_f32(u, k) : update_f64(u, k);
}

static void adam_update(const cg_optim_update *u) { update(u, false); }
static void adamw_update(const cg_optim_update *u) { update(u, true); }

const cg_optim_rule cg_optim_adam = {
    .name = "adam", .fn = "adam_new",
    .n_settings = COUNT, .settings = adam_settings,
    .n_buffers = N_BUFFERS, .buffers = buffers,
    .update = adam_update,
};
const cg_optim_rule cg_optim_adamw = {
    .name = "adamw", .fn = "adamw_new",
    .n_settings = COUNT, .settings = adamw_settings,
    .n_buffers = N_BUFFERS, .buffers = buffers,
    .update = adamw_update,
};

static cg_optimizer *new_of(const cg_optim_rule *rule, cg_params *params,
                            const cg_adam_config *config, cg_error *err) {
  cg_adam_config c = config ? *config : (cg_adam_config){0};
  const double s[COUNT] = {c.lr, c.beta1, c.beta2, c.eps, c.weight_decay};
  return cg_optim_new(params, rule, s, err);
}

cg_optimizer *cg_adam_new(cg_params *params, const cg_adam_config *config,
                          cg_error *err) {
  return new_of(&cg_optim_adam, params, config, err);
}

cg_optimizer *cg_adamw_new(cg_params *params, const cg_adam_config *config,
                           cg_error *err) {
  return new_of(&cg_optim_adamw, params, config, err);
}
