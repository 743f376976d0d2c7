/* param.c - the registry: named leaves, and memory that lives as long. */
#include <chronograd/param.h>

#include <limits.h>
#include <string.h>

#include "text.h"

typedef struct entry {
  cg_tensor *leaf;
  char *name;
  size_t name_size;
} entry;

/* Memory that was handed out lies behind this header. */
typedef struct block {
  struct block *older;
  size_t size; /* with header */
} block;

#define BLOCK_HEADER ((size_t)CG_ALIGNMENT)
_Static_assert(sizeof(block) <= BLOCK_HEADER, "a block's header must fit");

struct cg_params {
  const cg_allocator *allocator;
  cg_dtype dtype;
  entry *entries;
  int count, capacity;
  block *newest;
  int n_blocks;
};

/* ---- memory ---- */

static void *get(const cg_allocator *a, size_t size) {
  return a->alloc(a->context, size);
}

static void put(const cg_allocator *a, void *memory, size_t size) {
  if (memory) a->release(a->context, memory, size);
}

static cg_status no_memory(cg_error *err, const char *fn, size_t size) {
  return cg_error_set(err, CG_ERR_NOMEM, fn, "no memory for %zu bytes", size);
}

cg_params *cg_params_new(const cg_allocator *allocator, cg_dtype dtype,
                         cg_error *err) {
  const char *fn = "params_new";
  if (dtype != CG_F32 && dtype != CG_F64) {
    cg_error_set(err, CG_ERR_DTYPE, fn,
                 "parameters are f32 or f64, not %s", cg_dtype_name(dtype));
    return NULL;
  }
  if (!allocator) allocator = cg_allocator_default();
  cg_params *params = get(allocator, sizeof *params);
  if (!params) {
    no_memory(err, fn, sizeof *params);
    return NULL;
  }
  *params = (cg_params){.allocator = allocator, .dtype = dtype};
  return params;
}

void cg_params_free(cg_params *params) {
  if (!params) return;
  cg_params_drop(params, (cg_params_position){0, 0});
  const cg_allocator *a = params->allocator;
  put(a, params->entries, (size_t)params->capacity * sizeof(entry));
  put(a, params, sizeof *params);
}

void *cg_params_alloc(cg_params *params, size_t size, cg_error *err) {
  const char *fn = "params_alloc";
  if (!params || size == 0) {
    cg_error_set(err, CG_ERR_ARG, fn, params ? "0 bytes were asked for"
                                             : "there is no registry");
    return NULL;
  }
  size_t total = size + BLOCK_HEADER;
  block *b = total > size && params->n_blocks < INT_MAX
                 ? get(params->allocator, total)
                 : NULL;
  if (!b) {
    no_memory(err, fn, size);
    return NULL;
  }
  *b = (block){params->newest, total};
  params->newest = b;
  params->n_blocks++;
  return memset((char *)b + BLOCK_HEADER, 0, size);
}

cg_params_position cg_params_end(const cg_params *params) {
  if (!params) return (cg_params_position){0, 0};
  return (cg_params_position){params->count, params->n_blocks};
}

void cg_params_drop(cg_params *params, cg_params_position to) {
  if (!params || to.parameters < 0) return;
  while (params->count > to.parameters) {
    entry *e = &params->entries[--params->count];
    cg_leaf_free(e->leaf);
    put(params->allocator, e->name, e->name_size);
  }
  while (params->newest && params->n_blocks > to.blocks) {
    block *b = params->newest;
    params->newest = b->older;
    params->n_blocks--;
    put(params->allocator, b, b->size);
  }
}

/* ---- adding ---- */

static cg_status check_name(const cg_params *params, const char *name,
                            cg_error *err) {
  const char *fn = "params_add";
  char shown[128];
  if (!params || !name || !*name)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        params ? "a parameter needs a name"
                               : "there is no registry");
  cg_text_show(shown, sizeof shown, name);
  if (!cg_text_is_utf8(name))
    return cg_error_set(err, CG_ERR_ARG, fn, "the name %s is not UTF-8", shown);
  if (cg_params_find(params, name))
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "there is a parameter %s already", shown);
  return CG_OK;
}

static cg_status reserve(cg_params *params, cg_error *err) {
  if (params->count < params->capacity) return CG_OK;
  int capacity = params->capacity ? params->capacity : 8;
  if (params->capacity) capacity = capacity > INT_MAX / 2 ? 0 : 2 * capacity;
  size_t size = (size_t)capacity * sizeof(entry);
  entry *bigger = capacity ? get(params->allocator, size) : NULL;
  if (!bigger) return no_memory(err, "params_add", size);
  size_t used = (size_t)params->count * sizeof(entry);
  if (used) memcpy(bigger, params->entries, used);
  put(params->allocator, params->entries,
      (size_t)params->capacity * sizeof(entry));
  params->entries = bigger;
  params->capacity = capacity;
  return CG_OK;
}

cg_tensor *cg_params_add(cg_params *params, const char *name, int rank,
                         const int64_t *shape, cg_error *err) {
  if (check_name(params, name, err) || reserve(params, err)) return NULL;
  const cg_allocator *a = params->allocator;
  size_t name_size = strlen(name) + 1;
  char *copy = get(a, name_size);
  if (!copy) {
    no_memory(err, "params_add", name_size);
    return NULL;
  }
  cg_tensor *leaf = cg_leaf_new(a, params->dtype, rank, shape, err);
  if (!leaf) {
    put(a, copy, name_size);
    return NULL;
  }
  memcpy(copy, name, name_size);
  cg_leaf_set_name(leaf, name);
  cg_leaf_set_requires_grad(leaf, true);
  params->entries[params->count++] = (entry){leaf, copy, name_size};
  return leaf;
}

/* ---- looking ---- */

cg_dtype cg_params_dtype(const cg_params *params) {
  return params ? params->dtype : CG_F32;
}

const cg_allocator *cg_params_allocator(const cg_params *params) {
  return params ? params->allocator : cg_allocator_default();
}

int cg_params_count(const cg_params *params) {
  return params ? params->count : 0;
}

static const entry *entry_at(const cg_params *params, int i) {
  return params && i >= 0 && i < params->count ? &params->entries[i] : NULL;
}

cg_tensor *cg_params_at(const cg_params *params, int i) {
  const entry *e = entry_at(params, i);
  return e ? e->leaf : NULL;
}

const char *cg_params_name(const cg_params *params, int i) {
  const entry *e = entry_at(params, i);
  return e ? e->name : NULL;
}

cg_tensor *cg_params_find(const cg_params *params, const char *name) {
  for (int i = 0; name && i < cg_params_count(params); i++)
    if (strcmp(params->entries[i].name, name) == 0)
      return params->entries[i].leaf;
  return NULL;
}

int64_t cg_params_numel(const cg_params *params) {
  int64_t total = 0;
  for (int i = 0; i < cg_params_count(params); i++)
    total += cg_tensor_numel(params->entries[i].leaf);
  return total;
}

void cg_params_zero_grad(cg_params *params) {
  for (int i = 0; i < cg_params_count(params); i++)
    cg_leaf_zero_grad(params->entries[i].leaf);
}
