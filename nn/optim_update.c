/* optim_update.c - the update rules (optim.h has the formulas), written out for
 * float and double. Numbers of the rule are rounded to the type once, before
 * the loop. */
#include "optim_update.h"

#include <math.h>

void cg_sgd_update_f32(const cg_update *u, const cg_sgd_rule *r) {
  float *restrict w = u->w, *restrict v = u->v;
  const float *restrict g = u->g;
  const float lr = (float)r->lr, decay = (float)r->weight_decay;
  const float momentum = r->first ? 0.0f : (float)r->momentum;
  for (int64_t i = 0; i < u->n; i++) {
    float d = g[i] + decay * w[i];
    if (v) d = v[i] = momentum * v[i] + d;
    w[i] -= lr * d;
  }
}

void cg_sgd_update_f64(const cg_update *u, const cg_sgd_rule *r) {
  double *restrict w = u->w, *restrict v = u->v;
  const double *restrict g = u->g;
  const double lr = r->lr, decay = r->weight_decay;
  const double momentum = r->first ? 0.0 : r->momentum;
  for (int64_t i = 0; i < u->n; i++) {
    double d = g[i] + decay * w[i];
    if (v) d = v[i] = momentum * v[i] + d;
    w[i] -= lr * d;
  }
}

void cg_adam_update_f32(const cg_update *u, const cg_adam_rule *r) {
  float *restrict w = u->w, *restrict m = u->m, *restrict v = u->v;
  const float *restrict g = u->g;
  const float a1 = (float)(1.0 - r->beta1), b2 = (float)r->beta2;
  const float a2 = (float)(1.0 - r->beta2), decay = (float)r->weight_decay;
  const float root_bias = (float)r->root_bias, eps = (float)r->eps;
  const float step = (float)r->step;
  for (int64_t i = 0; i < u->n; i++) {
    float d = g[i] + decay * w[i];
    m[i] += a1 * (d - m[i]);
    v[i] = b2 * v[i] + a2 * d * d;
    w[i] -= step * m[i] / (sqrtf(v[i]) / root_bias + eps);
  }
}

void cg_adam_update_f64(const cg_update *u, const cg_adam_rule *r) {
  double *restrict w = u->w, *restrict m = u->m, *restrict v = u->v;
  const double *restrict g = u->g;
  const double a1 = 1.0 - r->beta1, b2 = r->beta2;
  const double a2 = 1.0 - r->beta2, decay = r->weight_decay;
  const double root_bias = r->root_bias, eps = r->eps, step = r->step;
  for (int64_t i = 0; i < u->n; i++) {
    double d = g[i] + decay * w[i];
    m[i] += a1 * (d - m[i]);
    v[i] = b2 * v[i] + a2 * d * d;
    w[i] -= step * m[i] / (sqrt(v[i]) / root_bias + eps);
  }
}
