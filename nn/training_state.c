/* training_state.c - saving a training run, and going on from there. */
#include <chronograd/training_state.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array_check.h"
#include "optim_impl.h"
#include "text.h"
#include "training_items.h"

#define KEY "training_state"
#define VERSION "1"
#define OPTIMIZER_KEY "optimizer"

enum { NAME_TEXT = 128 };

/* ---- saving ---- */

static cg_status write_arrays(const cg_training_items *items, cg_array *arrays,
                              const char *path, const cg_metadata *lines, int n,
                              cg_error *err) {
  for (int i = 0; i < items->count; i++) {
    const cg_training_array *item = &items->list[i];
    arrays[i] = (cg_array){item->name, item->dtype, item->rank, {0},
                           item->data};
    memcpy(arrays[i].shape, item->shape, sizeof item->shape);
  }
  return cg_safetensors_write(path, arrays, items->count, lines, n, err);
}

static cg_status write_items(const cg_training_items *items, const char *path,
                             const cg_metadata *metadata, int n,
                             cg_error *err) {
  const cg_allocator *a = items->allocator;
  size_t lines_size = ((size_t)n + 2) * sizeof *metadata;
  size_t size = lines_size + (size_t)items->count * sizeof(cg_array);
  cg_metadata *lines = a->alloc(a->context, size);
  if (!lines)
    return cg_error_set(err, CG_ERR_NOMEM, "training_save",
                        "no memory for %zu bytes", size);
  lines[0] = (cg_metadata){KEY, VERSION};
  lines[1] = (cg_metadata){OPTIMIZER_KEY,
                           cg_optimizer_name(items->training->optimizer)};
  if (n) memcpy(lines + 2, metadata, (size_t)n * sizeof *metadata);
  cg_status status =
      write_arrays(items, (cg_array *)(void *)(lines + n + 2), path, lines,
                   n + 2, err);
  a->release(a->context, lines, size);
  return status;
}

cg_status cg_training_save(const cg_training *training, const char *path,
                           const cg_metadata *metadata, int n_metadata,
                           cg_error *err) {
  const char *fn = "training_save";
  if (n_metadata < 0 || (n_metadata && !metadata))
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "%d lines of metadata cannot be right", n_metadata);
  cg_training_items items;
  cg_status status = cg_training_items_make(&items, training, fn, err);
  if (!status) status = write_items(&items, path, metadata, n_metadata, err);
  cg_training_items_free(&items);
  return status;
}

/* ---- checking a file ---- */

static cg_status check_kind(const cg_training *t, const cg_safetensors *file,
                            cg_error *err) {
  const char *fn = "training_load", *want = cg_optimizer_name(t->optimizer);
  const char *version = cg_safetensors_metadata(file, KEY);
  const char *have = cg_safetensors_metadata(file, OPTIMIZER_KEY);
  char shown[NAME_TEXT];
  if (!version || !have)
    return cg_error_set(err, CG_ERR_FORMAT, fn,
                        "the file is no training state: it has no \"%s\"",
                        version ? OPTIMIZER_KEY : KEY);
  if (strcmp(version, VERSION) != 0)
    return cg_error_set(err, CG_ERR_FORMAT, fn,
                        "the file has version \"%s\" of training states, not "
                        VERSION,
                        cg_text_show(shown, sizeof shown, version));
  if (strcmp(have, want) == 0) return CG_OK;
  return cg_error_set(err, CG_ERR_FORMAT, fn,
                      "the file has the state of optimizer \"%s\", not \"%s\"",
                      cg_text_show(shown, sizeof shown, have), want);
}

static cg_status check_items(const cg_training_items *items,
                             const cg_safetensors *file, cg_error *err) {
  for (int i = 0; i < items->count; i++) {
    const cg_training_array *item = &items->list[i];
    cg_status status =
        cg_array_check(file, item->name, item->dtype, item->rank, item->shape,
                       "training_load", err);
    if (status) return status;
  }
  return CG_OK;
}

static cg_status check_extra(const cg_training_items *items,
                             const cg_safetensors *file, cg_error *err) {
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    const char *name = cg_safetensors_at(file, i)->name;
    int k = 0;
    while (k < items->count && strcmp(items->list[k].name, name) != 0) k++;
    if (k < items->count) continue;
    char shown[NAME_TEXT];
    return cg_error_set(err, CG_ERR_FORMAT, "training_load",
                        "the file has an array %s, which this training lacks",
                        cg_text_show(shown, sizeof shown, name));
  }
  return CG_OK;
}

/* ---- checking values: all that a later step takes for granted ---- */

static const void *data_of(const cg_safetensors *file, const char *name) {
  return cg_safetensors_find(file, name)->data;
}

static bool is_whole(double x, double most) {
  return fabs(x) <= most && x == floor(x);
}

static const char *bad_optimizer(const cg_optimizer *o,
                                 const cg_safetensors *file) {
  const double *settings = data_of(file, "optimizer.settings");
  const int64_t *steps = data_of(file, "optimizer.steps");
  const cg_optim_rule *rule = o->rule;
  for (int i = 0; i < rule->n_settings; i++)
    if (!cg_optim_setting_fits(rule, i, settings[i]))
      return rule->settings[i].name;
  /* A buffer that is there on one side only is noticed by its name, but its
   * rows and its filling belong to the settings, too. */
  for (int k = 0; k < rule->n_buffers; k++) {
    int rows = rule->buffers[k].rows, on = rule->buffers[k].only_if;
    if (rows && settings[rows] != o->settings[rows])
      return rule->settings[rows].name;
    if (on && (settings[on] != 0.0) != (o->settings[on] != 0.0))
      return rule->settings[on].name;
  }
  for (int i = 0; i < o->count; i++)
    if (steps[i] < 0 || steps[i] == INT64_MAX) return "count of steps";
  if (!o->numbers || rule->numbers_fit(o, data_of(file, "optimizer.numbers")))
    return NULL;
  return "history";
}

static const char *bad_plateau(const cg_safetensors *file) {
  const double *x = data_of(file, "plateau"), most = 9007199254740992.0;
  bool whole = is_whole(x[3], most) && is_whole(x[4], most) &&
               is_whole(x[8], most) && is_whole(x[9], most);
  return whole && x[8] >= 0.0 && x[9] >= 0.0 ? NULL : "count of the plateau";
}

static cg_status check_values(const cg_training *t, const cg_safetensors *file,
                              cg_error *err) {
  const char *bad = NULL;
  if (t->optimizer) bad = bad_optimizer(t->optimizer, file);
  if (!bad && t->plateau) bad = bad_plateau(file);
  if (!bad) return CG_OK;
  return cg_error_set(err, CG_ERR_FORMAT, "training_load",
                      "the %s in the file makes no sense here", bad);
}

/* ---- loading ---- */

/* Graphs that were recorded with the old values must not be walked back. */
static void touch_leaves(const cg_training *t) {
  for (int i = 0; i < cg_params_count(t->params); i++)
    cg_leaf_touch(cg_params_at(t->params, i));
}

static void take(const cg_training_items *items, const cg_safetensors *file) {
  for (int i = 0; i < items->count; i++) {
    const cg_training_array *item = &items->list[i];
    size_t bytes = cg_dtype_size(item->dtype);
    for (int k = 0; k < item->rank; k++) bytes *= (size_t)item->shape[k];
    if (bytes) memcpy(item->data, data_of(file, item->name), bytes);
  }
  cg_training_items_scatter(items);
  touch_leaves(items->training);
}

cg_status cg_training_load_from(const cg_training *training,
                                const cg_safetensors *file, cg_error *err) {
  const char *fn = "training_load";
  if (!file) return cg_error_set(err, CG_ERR_ARG, fn, "there is no file");
  cg_training_items items;
  cg_status status = cg_training_items_make(&items, training, fn, err);
  if (!status) status = check_kind(training, file, err);
  if (!status) status = check_items(&items, file, err);
  if (!status) status = check_extra(&items, file, err);
  if (!status) status = check_values(training, file, err);
  if (!status) take(&items, file);
  cg_training_items_free(&items);
  return status;
}

cg_status cg_training_load(const cg_training *training, const char *path,
                           cg_error *err) {
  const cg_params *params = training ? training->params : NULL;
  cg_error local = {0};
  cg_safetensors *file =
      cg_safetensors_open(cg_params_allocator(params), path, &local);
  if (!file) {
    if (err) *err = local;
    return local.status;
  }
  cg_status status = cg_training_load_from(training, file, err);
  cg_safetensors_close(file);
  return status;
}
