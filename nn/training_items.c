/* training_items.c - a training run as one list of named arrays. */
#include "training_items.h"

#include <stdio.h>
#include <string.h>

#include "optim_impl.h"

/* ---- one item ---- */

/* Adds an item whose name is prefix + name. Without a list it only counts. */
static void add(cg_training_items *items, const char *prefix, const char *name,
                cg_training_array item) {
  size_t front = strlen(prefix), size = front + strlen(name) + 1;
  if (items->list) {
    char *full = items->names + items->names_used;
    memcpy(full, prefix, front);
    memcpy(full + front, name, size - front);
    item.name = full;
    items->list[items->count] = item;
  }
  items->names_used += size;
  items->count++;
}

static void add_vector(cg_training_items *items, const char *name,
                       cg_dtype dtype, int64_t n, void *data) {
  add(items, name, "",
      (cg_training_array){
          .dtype = dtype, .rank = 1, .shape = {n}, .data = data});
}

static void add_leaf(cg_training_items *items, const char *prefix,
                     const char *name, cg_tensor *leaf) {
  cg_training_array item = {.dtype = cg_tensor_dtype(leaf),
                            .rank = cg_tensor_rank(leaf)};
  for (int i = 0; i < item.rank; i++)
    item.shape[i] = cg_tensor_dim(leaf, i);
  /* Loading writes there; saving only reads, and need not make graphs stale. */
  item.data = (void *)(uintptr_t)cg_tensor_data(leaf);
  add(items, prefix, name, item);
}

/* ---- the parts of a run ---- */

static void add_params(cg_training_items *items) {
  const cg_params *params = items->training->params;
  for (int i = 0; i < cg_params_count(params); i++)
    add_leaf(items, "param.", cg_params_name(params, i),
             cg_params_at(params, i));
}

static void add_optimizer(cg_training_items *items) {
  cg_optimizer *o = items->training->optimizer;
  if (!o) return;
  add_vector(items, "optimizer.settings", CG_F64, o->rule->n_settings,
             o->settings);
  add_vector(items, "optimizer.steps", CG_I64, o->count, items->steps);
  if (o->numbers) add_leaf(items, "optimizer.numbers", "", o->numbers);
  for (int k = 0; k < o->rule->n_buffers; k++) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "optimizer.%s.", o->rule->buffers[k].name);
    for (int i = 0; i < o->count && !o->rule->buffers[k].scratch; i++)
      if (o->slots[i].buffer[k])
        add_leaf(items, prefix, cg_params_name(o->params, i),
                 o->slots[i].buffer[k]);
  }
}

_Static_assert(sizeof(cg_rng) == 2 * sizeof(int64_t), "two whole numbers");

static void add_rest(cg_training_items *items) {
  const cg_training *t = items->training;
  if (t->plateau)
    add_vector(items, "plateau", CG_F64, CG_PLATEAU_NUMBERS, items->plateau);
  for (int i = 0; i < t->n_rngs; i++) {
    char name[24];
    snprintf(name, sizeof name, "rng.%d", i);
    add_vector(items, name, CG_I64, 2, t->rngs[i]);
  }
  for (int i = 0; i < t->n_arrays; i++)
    add(items, "array.", t->arrays[i].name, t->arrays[i]);
}

static void add_all(cg_training_items *items) {
  items->count = 0;
  items->names_used = 0;
  add_params(items);
  add_optimizer(items);
  add_rest(items);
}

/* ---- numbers that are scattered over structs ---- */

static void gather(const cg_training_items *items) {
  const cg_optimizer *o = items->training->optimizer;
  const cg_plateau *p = items->training->plateau;
  for (int i = 0; o && i < o->count; i++) items->steps[i] = o->slots[i].steps;
  if (!p) return;
  const double numbers[CG_PLATEAU_NUMBERS] = {
      p->factor,           p->threshold, p->absolute, (double)p->patience,
      (double)p->cooldown, p->min_lr,    p->started,  p->best,
      (double)p->worse,    (double)p->cooling};
  memcpy(items->plateau, numbers, sizeof numbers);
}

void cg_training_items_scatter(const cg_training_items *items) {
  cg_optimizer *o = items->training->optimizer;
  const double *x = items->plateau;
  for (int i = 0; o && i < o->count; i++) o->slots[i].steps = items->steps[i];
  if (items->training->plateau)
    *items->training->plateau = (cg_plateau){
        .factor = x[0], .threshold = x[1], .absolute = x[2] != 0.0,
        .patience = (int64_t)x[3], .cooldown = (int64_t)x[4], .min_lr = x[5],
        .started = x[6] != 0.0, .best = x[7], .worse = (int64_t)x[8],
        .cooling = (int64_t)x[9]};
}

/* ---- the list ---- */

static cg_status check(const cg_training *t, const char *fn, cg_error *err) {
  if (!t || !t->params)
    return cg_error_set(err, CG_ERR_ARG, fn, "there is no registry");
  if (t->optimizer && t->optimizer->params != t->params)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "the optimizer works on another registry");
  if (t->optimizer && !cg_optim_alive(t->optimizer))
    return cg_error_set(err, CG_ERR_STATE, fn,
                        "parameters were dropped since the optimizer was made");
  if (t->n_rngs < 0 || (t->n_rngs && !t->rngs) || t->n_arrays < 0 ||
      (t->n_arrays && !t->arrays))
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "%d generators and %d arrays cannot be right",
                        t->n_rngs, t->n_arrays);
  for (int i = 0; i < t->n_rngs; i++)
    if (!t->rngs[i])
      return cg_error_set(err, CG_ERR_ARG, fn, "there is no generator %d", i);
  for (int i = 0; i < t->n_arrays; i++)
    if (!t->arrays[i].name || !t->arrays[i].data || t->arrays[i].rank < 0 ||
        t->arrays[i].rank > CG_MAX_RANK)
      return cg_error_set(err, CG_ERR_ARG, fn,
                          "array %d has no name, no data or a bad rank", i);
  return CG_OK;
}

cg_status cg_training_items_make(cg_training_items *items,
                                 const cg_training *t, const char *fn,
                                 cg_error *err) {
  *items = (cg_training_items){.training = t};
  cg_status status = check(t, fn, err);
  if (status) return status;
  add_all(items);
  size_t n = (size_t)items->count;
  size_t n_steps = t->optimizer ? (size_t)t->optimizer->count : 0;
  items->names_size = items->names_used;
  items->bytes = n * sizeof *items->list + n_steps * sizeof(int64_t) +
                 CG_PLATEAU_NUMBERS * sizeof(double) + items->names_size;
  items->allocator = cg_params_allocator(t->params);
  void *block = items->allocator->alloc(items->allocator->context,
                                        items->bytes);
  if (!block)
    return cg_error_set(err, CG_ERR_NOMEM, fn, "no memory for %zu bytes",
                        items->bytes);
  memset(block, 0, items->bytes);
  items->list = block;
  items->steps = (void *)(items->list + n);
  items->plateau = (void *)(items->steps + n_steps);
  items->names = (void *)(items->plateau + CG_PLATEAU_NUMBERS);
  add_all(items);
  gather(items);
  return CG_OK;
}

void cg_training_items_free(cg_training_items *items) {
  if (items->list)
    items->allocator->release(items->allocator->context, items->list,
                              items->bytes);
  items->list = NULL;
}
