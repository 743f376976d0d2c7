/* optim_update.h - the update rules, as loops over plain arrays. Private to
 * nn. */
#ifndef CHRONOGRAD_NN_OPTIM_UPDATE_H
#define CHRONOGRAD_NN_OPTIM_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

/* One parameter: w and its gradient g, n elements each, and the memory of the
 * rule, zero before the first step; v or m is NULL where a rule has none. */
typedef struct cg_update {
  void *w, *m, *v;
  const void *g;
  int64_t n;
} cg_update;

typedef struct cg_sgd_rule {
  double lr, momentum, weight_decay;
  bool first; /* v <- g' */
} cg_sgd_rule;

typedef struct cg_adam_rule {
  double step;      /* lr / (1 - beta1^n) */
  double root_bias; /* sqrt(1 - beta2^n) */
  double beta1, beta2, eps, weight_decay;
} cg_adam_rule;

void cg_sgd_update_f32(const cg_update *u, const cg_sgd_rule *r);
void cg_sgd_update_f64(const cg_update *u, const cg_sgd_rule *r);
void cg_adam_update_f32(const cg_update *u, const cg_adam_rule *r);
void cg_adam_update_f64(const cg_update *u, const cg_adam_rule *r);

#endif
