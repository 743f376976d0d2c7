/* optim.c - optimizers: settings, memory, and the walk over the parameters. The
 * rules stand in files of their own (optim_impl.h). */
#include "optim_impl.h"

#include <math.h>
#include <string.h>

#include "gradient_look.h"
#include "optim_list.h"
#include "text.h"
#include "worker_pool.h"

#define CG_OPTIM_EXTERN(name) extern const cg_optim_rule cg_optim_##name;
CG_OPTIM_LIST(CG_OPTIM_EXTERN)

#define CG_OPTIM_ROW(name) &cg_optim_##name,
static const cg_optim_rule *const rules[] = {CG_OPTIM_LIST(CG_OPTIM_ROW)};

enum { N_RULES = sizeof rules / sizeof *rules };

/* ---- construction ---- */

bool cg_optim_setting_fits(const cg_optim_rule *rule, int i, double value) {
  const cg_optim_setting *s = &rule->settings[i];
  return value >= s->lo && value < s->hi &&
         (!s->whole || value == floor(value));
}

static cg_status check_settings(const cg_optim_rule *rule, const double *s,
                                cg_error *err) {
  for (int i = 0; i < rule->n_settings; i++)
    if (!cg_optim_setting_fits(rule, i, s[i]))
      return cg_error_set(err, CG_ERR_ARG, rule->fn,
                          "%s is %g, which is out of range",
                          rule->settings[i].name, s[i]);
  return CG_OK;
}

static cg_tensor *new_buffer(const cg_optimizer *o, const cg_tensor *w,
                             const cg_optim_buffer *b, cg_error *err) {
  int rank = cg_tensor_rank(w);
  int64_t matrix[2] = {b->rows ? (int64_t)o->settings[b->rows] : 0,
                       cg_tensor_numel(w)};
  cg_tensor *x = cg_leaf_new(o->allocator, cg_tensor_dtype(w),
                             b->rows ? 2 : rank,
                             b->rows ? matrix : cg_tensor_shape(w), err);
  if (x && b->fill) cg_leaf_fill(x, o->settings[b->fill]);
  return x;
}

static cg_status reserve_slot(const cg_optimizer *o, cg_optim_slot *s, int i,
                              cg_error *err) {
  const cg_optim_rule *rule = o->rule;
  s->leaf = cg_params_at(o->params, i);
  s->numel = cg_tensor_numel(s->leaf);
  for (int k = 0; k < rule->n_buffers; k++) {
    const cg_optim_buffer *b = &rule->buffers[k];
    if (b->only_if && o->settings[b->only_if] == 0.0) continue;
    s->buffer[k] = new_buffer(o, s->leaf, b, err);
    if (!s->buffer[k]) return CG_ERR_NOMEM;
  }
  return CG_OK;
}

static cg_status reserve(cg_optimizer *o, cg_error *err) {
  cg_status status = CG_OK;
  for (int i = 0; i < o->count && !status; i++)
    status = reserve_slot(o, &o->slots[i], i, err);
  if (status || !o->rule->n_numbers) return status;
  int64_t n = o->rule->n_numbers(o->settings);
  o->numbers = cg_leaf_new(o->allocator, CG_F64, 1, &n, err);
  return o->numbers ? CG_OK : CG_ERR_NOMEM;
}

cg_optimizer *cg_optim_new(cg_params *params, const cg_optim_rule *rule,
                           const double *settings, cg_error *err) {
  double s[CG_OPTIM_SETTINGS] = {0};
  for (int i = 0; i < rule->n_settings; i++)
    s[i] = settings[i] == 0.0 ? rule->settings[i].unset : settings[i];
  if (!params)
    cg_error_set(err, CG_ERR_ARG, rule->fn, "there is no registry");
  if (!params || check_settings(rule, s, err)) return NULL;
  const cg_allocator *a = cg_params_allocator(params);
  int count = cg_params_count(params);
  size_t bytes = sizeof(cg_optimizer) + (size_t)count * sizeof(cg_optim_slot);
  cg_optimizer *o = a->alloc(a->context, bytes);
  if (!o) {
    cg_error_set(err, CG_ERR_NOMEM, rule->fn, "no memory for %zu bytes", bytes);
    return NULL;
  }
  memset(o, 0, bytes);
  *o = (cg_optimizer){.allocator = a, .params = params, .rule = rule,
                      .bytes = bytes, .count = count};
  memcpy(o->settings, s, sizeof s);
  if (!reserve(o, err)) return o;
  cg_optimizer_free(o);
  return NULL;
}

cg_optimizer *cg_optimizer_new(cg_params *params, const char *name, double lr,
                               cg_error *err) {
  double settings[CG_OPTIM_SETTINGS] = {[CG_OPTIM_LR] = lr};
  for (int i = 0; i < N_RULES && name; i++)
    if (strcmp(rules[i]->name, name) == 0)
      return cg_optim_new(params, rules[i], settings, err);
  char shown[64];
  cg_error_set(err, CG_ERR_ARG, "optimizer_new", "\"%s\" is no optimizer",
               cg_text_show(shown, sizeof shown, name ? name : ""));
  return NULL;
}

void cg_optimizer_free(cg_optimizer *o) {
  if (!o) return;
  for (int i = 0; i < o->count; i++)
    for (int k = 0; k < CG_OPTIM_BUFFERS; k++)
      cg_leaf_free(o->slots[i].buffer[k]);
  cg_leaf_free(o->numbers);
  o->allocator->release(o->allocator->context, o, o->bytes);
}

const char *cg_optimizer_name(const cg_optimizer *o) {
  return o ? o->rule->name : "";
}

const char *cg_optimizer_list(int i) {
  return i >= 0 && i < N_RULES ? rules[i]->name : NULL;
}

/* ---- what stands against a step ---- */

/* Are the parameters still those that it was made for? A new one may lie where
 * a dropped one was, so that the address alone does not tell. */
bool cg_optim_alive(const cg_optimizer *o) {
  for (int i = 0; i < o->count; i++) {
    const cg_tensor *leaf = cg_params_at(o->params, i);
    if (leaf != o->slots[i].leaf || cg_tensor_numel(leaf) != o->slots[i].numel)
      return false;
  }
  return true;
}

static cg_status check_all(const cg_optimizer *o, const char *fn,
                           cg_error *err) {
  char name[128];
  for (int i = 0; i < o->count; i++)
    if (!cg_tensor_grad(o->slots[i].leaf))
      return cg_error_set(err, CG_ERR_STATE, fn, "%s has no gradient",
                          cg_text_show(name, sizeof name,
                                       cg_params_name(o->params, i)));
  return CG_OK;
}

cg_status cg_optim_check(const cg_optimizer *o, const char *fn, cg_error *err) {
  double largest;
  cg_status status = CG_OK;
  if (!cg_optim_alive(o))
    return cg_error_set(err, CG_ERR_STATE, fn,
                        "parameters were dropped since the optimizer was made");
  if (o->checks & CG_OPTIM_ALL) status = check_all(o, fn, err);
  if (!status && o->checks & CG_OPTIM_FINITE)
    status = cg_gradient_look(o->params, fn, &largest, err);
  return status;
}

cg_status cg_optimizer_set_checks(cg_optimizer *o, int checks) {
  if (!o || checks & ~(CG_OPTIM_FINITE | CG_OPTIM_ALL)) return CG_ERR_ARG;
  o->checks = checks;
  return CG_OK;
}

/* ---- stepping ---- */

static void begin(const cg_optimizer *o, cg_optim_slot *s) {
  const cg_tensor *g = cg_tensor_grad(s->leaf);
  s->update = (cg_optim_update){0};
  if (!g) return;
  s->update = (cg_optim_update){.f32 = cg_tensor_dtype(g) == CG_F32,
                                .n = cg_tensor_numel(g),
                                .w = cg_leaf_data(s->leaf),
                                .g = cg_tensor_data(g),
                                .s = o->settings,
                                .step = ++s->steps};
  for (int k = 0; k < o->rule->n_buffers; k++)
    if (s->buffer[k]) s->update.buffer[k] = cg_leaf_data(s->buffer[k]);
}

cg_status cg_optim_begin(cg_optimizer *o, cg_error *err) {
  const char *fn = "optimizer_step";
  if (!o) return cg_error_set(err, CG_ERR_ARG, fn, "there is no optimizer");
  if (!o->rule->update)
    return cg_error_set(err, CG_ERR_STATE, fn,
                        "%s evaluates the loss itself: it needs "
                        "cg_optimizer_step_closure",
                        o->rule->name);
  cg_status status = cg_optim_check(o, fn, err);
  for (int i = 0; i < o->count && !status; i++) begin(o, &o->slots[i]);
  return status;
}

/* Elements [from, to) of a parameter. */
static void update(const cg_optimizer *o, const cg_optim_slot *s, int64_t from,
                   int64_t to) {
  cg_optim_update u = s->update;
  size_t offset = (size_t)from * (u.f32 ? sizeof(float) : sizeof(double));
  u.n = to - from;
  u.w = (char *)u.w + offset;
  u.g = (const char *)u.g + offset;
  for (int k = 0; k < o->rule->n_buffers; k++)
    if (u.buffer[k]) u.buffer[k] = (char *)u.buffer[k] + offset;
  o->rule->update(&u);
}

void cg_optim_part(const cg_optimizer *o, int part, int parts) {
  for (int i = 0; i < o->count; i++) {
    const cg_optim_slot *s = &o->slots[i];
    int64_t from = cg_part_begin(s->update.n, part, parts);
    int64_t to = cg_part_begin(s->update.n, part + 1, parts);
    if (from < to) update(o, s, from, to);
  }
}

cg_status cg_optimizer_step(cg_optimizer *o, cg_error *err) {
  cg_status status = cg_optim_begin(o, err);
  if (!status) cg_optim_part(o, 0, 1);
  return status;
}

cg_status cg_optimizer_step_closure(cg_optimizer *o, cg_closure_fn closure,
                                    void *context, double *loss,
                                    cg_error *err) {
  const char *fn = "optimizer_step";
  double first;
  if (!loss) loss = &first;
  *loss = NAN;
  if (!o || !closure)
    return cg_error_set(err, CG_ERR_ARG, fn, "there is no %s",
                        o ? "closure" : "optimizer");
  if (o->rule->minimize)
    return o->rule->minimize(o, closure, context, loss, err);
  cg_status status = closure(context, loss, err);
  if (!status && !isfinite(*loss))
    status = cg_error_set(err, CG_ERR_NONFINITE, fn, "the loss is %g", *loss);
  return status ? status : cg_optimizer_step(o, err);
}

double cg_optimizer_lr(const cg_optimizer *o) {
  return o ? o->settings[CG_OPTIM_LR] : 0.0;
}

cg_status cg_optimizer_set_lr(cg_optimizer *o, double lr) {
  if (!o || !cg_optim_setting_fits(o->rule, CG_OPTIM_LR, lr)) return CG_ERR_ARG;
  o->settings[CG_OPTIM_LR] = lr;
  return CG_OK;
}
