/* optim.c - optimizers: their settings, their memory, and the walk over the
 * parameters. optim_update.c has the arithmetic. */
#include <chronograd/optim.h>

#include <math.h>

#include "optim_update.h"

/* What an optimizer remembers of one parameter. */
typedef struct slot {
  cg_tensor *leaf;
  cg_tensor *m, *v; /* leaves of the parameter's shape, or NULL */
  int64_t numel, steps;
} slot;

struct cg_optimizer {
  const cg_allocator *allocator;
  const cg_params *params;
  bool adam;
  double lr;
  cg_sgd_config sgd;
  cg_adam_config adam_config;
  size_t bytes; /* of this block */
  int count;
  slot slots[];
};

/* ---- construction ---- */

static double or_default(double value, double unset) {
  return value == 0.0 ? unset : value;
}

/* ARG unless lo <= value < hi. */
static cg_status check(const char *fn, const char *what, double value,
                       double lo, double hi, cg_error *err) {
  if (value >= lo && value < hi) return CG_OK;
  return cg_error_set(err, CG_ERR_ARG, fn, "%s is %g, which is out of range",
                      what, value);
}

static bool reserve_slot(const cg_params *params, const cg_allocator *a,
                         slot *s, int i, bool m, bool v, cg_error *err) {
  cg_tensor *w = s->leaf = cg_params_at(params, i);
  s->numel = cg_tensor_numel(w);
  int rank = cg_tensor_rank(w);
  cg_dtype dtype = cg_tensor_dtype(w);
  const int64_t *shape = cg_tensor_shape(w);
  if (m && !(s->m = cg_leaf_new(a, dtype, rank, shape, err))) return false;
  if (v && !(s->v = cg_leaf_new(a, dtype, rank, shape, err))) return false;
  return true;
}

static cg_optimizer *optimizer_new(const cg_params *params, const char *fn,
                                   bool m, bool v, cg_error *err) {
  if (!params) {
    cg_error_set(err, CG_ERR_ARG, fn, "there is no registry");
    return NULL;
  }
  const cg_allocator *a = cg_params_allocator(params);
  int count = cg_params_count(params);
  size_t bytes = sizeof(cg_optimizer) + (size_t)count * sizeof(slot);
  cg_optimizer *o = a->alloc(a->context, bytes);
  if (!o) {
    cg_error_set(err, CG_ERR_NOMEM, fn, "no memory for %zu bytes", bytes);
    return NULL;
  }
  *o = (cg_optimizer){
      .allocator = a, .params = params, .bytes = bytes, .count = count};
  for (int i = 0; i < count; i++) o->slots[i] = (slot){0};
  for (int i = 0; i < count; i++)
    if (!reserve_slot(params, a, &o->slots[i], i, m, v, err)) {
      cg_optimizer_free(o);
      return NULL;
    }
  return o;
}

cg_optimizer *cg_sgd_new(cg_params *params, const cg_sgd_config *config,
                         cg_error *err) {
  const char *fn = "sgd_new";
  cg_sgd_config c = config ? *config : (cg_sgd_config){0};
  c.lr = or_default(c.lr, 1e-3);
  if (check(fn, "lr", c.lr, 0.0, INFINITY, err) ||
      check(fn, "momentum", c.momentum, 0.0, INFINITY, err) ||
      check(fn, "weight_decay", c.weight_decay, 0.0, INFINITY, err))
    return NULL;
  cg_optimizer *o = optimizer_new(params, fn, false, c.momentum != 0.0, err);
  if (!o) return NULL;
  o->sgd = c;
  o->lr = c.lr;
  return o;
}

cg_optimizer *cg_adam_new(cg_params *params, const cg_adam_config *config,
                          cg_error *err) {
  const char *fn = "adam_new";
  cg_adam_config c = config ? *config : (cg_adam_config){0};
  c.lr = or_default(c.lr, 1e-3);
  c.beta1 = or_default(c.beta1, 0.9);
  c.beta2 = or_default(c.beta2, 0.999);
  c.eps = or_default(c.eps, 1e-8);
  if (check(fn, "lr", c.lr, 0.0, INFINITY, err) ||
      check(fn, "beta1", c.beta1, 0.0, 1.0, err) ||
      check(fn, "beta2", c.beta2, 0.0, 1.0, err) ||
      check(fn, "eps", c.eps, 0.0, INFINITY, err) ||
      check(fn, "weight_decay", c.weight_decay, 0.0, INFINITY, err))
    return NULL;
  cg_optimizer *o = optimizer_new(params, fn, true, true, err);
  if (!o) return NULL;
  o->adam = true;
  o->adam_config = c;
  o->lr = c.lr;
  return o;
}

void cg_optimizer_free(cg_optimizer *o) {
  if (!o) return;
  for (int i = 0; i < o->count; i++) {
    cg_leaf_free(o->slots[i].m);
    cg_leaf_free(o->slots[i].v);
  }
  o->allocator->release(o->allocator->context, o, o->bytes);
}

/* ---- stepping ---- */

static void apply_sgd(const cg_optimizer *o, slot *s, const cg_update *u,
                      bool f32) {
  cg_sgd_rule rule = {.lr = o->lr,
                      .momentum = o->sgd.momentum,
                      .weight_decay = o->sgd.weight_decay,
                      .first = s->steps == 1};
  if (f32)
    cg_sgd_update_f32(u, &rule);
  else
    cg_sgd_update_f64(u, &rule);
}

static void apply_adam(const cg_optimizer *o, slot *s, const cg_update *u,
                       bool f32) {
  const cg_adam_config *c = &o->adam_config;
  double n = (double)s->steps;
  cg_adam_rule rule = {.step = o->lr / (1.0 - pow(c->beta1, n)),
                       .root_bias = sqrt(1.0 - pow(c->beta2, n)),
                       .beta1 = c->beta1,
                       .beta2 = c->beta2,
                       .eps = c->eps,
                       .weight_decay = c->weight_decay};
  if (f32)
    cg_adam_update_f32(u, &rule);
  else
    cg_adam_update_f64(u, &rule);
}

static void update(const cg_optimizer *o, slot *s) {
  const cg_tensor *g = cg_tensor_grad(s->leaf);
  if (!g) return;
  s->steps++;
  cg_update u = {.w = cg_leaf_data(s->leaf),
                 .m = cg_leaf_data(s->m),
                 .v = cg_leaf_data(s->v),
                 .g = cg_tensor_data(g),
                 .n = cg_tensor_numel(g)};
  bool f32 = cg_tensor_dtype(g) == CG_F32;
  if (o->adam)
    apply_adam(o, s, &u, f32);
  else
    apply_sgd(o, s, &u, f32);
}

/* Are the parameters still those that it was made for? A new one may lie where
 * a dropped one was, so that the address alone does not tell. */
static bool still_there(const cg_optimizer *o) {
  for (int i = 0; i < o->count; i++) {
    const cg_tensor *leaf = cg_params_at(o->params, i);
    if (leaf != o->slots[i].leaf || cg_tensor_numel(leaf) != o->slots[i].numel)
      return false;
  }
  return true;
}

cg_status cg_optimizer_step(cg_optimizer *o, cg_error *err) {
  const char *fn = "optimizer_step";
  if (!o) return cg_error_set(err, CG_ERR_ARG, fn, "there is no optimizer");
  if (!still_there(o))
    return cg_error_set(err, CG_ERR_STATE, fn,
                        "parameters were dropped since the optimizer was made");
  for (int i = 0; i < o->count; i++) update(o, &o->slots[i]);
  return CG_OK;
}

double cg_optimizer_lr(const cg_optimizer *o) { return o ? o->lr : 0.0; }

cg_status cg_optimizer_set_lr(cg_optimizer *o, double lr) {
  if (!o || !(lr >= 0.0) || isinf(lr)) return CG_ERR_ARG;
  o->lr = lr;
  return CG_OK;
}
