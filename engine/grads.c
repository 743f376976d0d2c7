/* grads.c - gradients of leaves, kept apart from the leaves. */
#include <string.h>

#include "backward_impl.h"
#include "kernel.h"

typedef struct entry {
  const cg_tensor *leaf;
  cg_tensor *g; /* a leaf, too */
} entry;

struct cg_grads {
  mem mem;
  entry *entries; /* in the order in which walks came to the leaves */
  size_t n, cap;
  uint32_t *table; /* hash of leaf address -> 1 + index; at most half full */
  size_t table_size;
};

cg_grads *cg_grads_new(const cg_allocator *allocator) {
  const cg_allocator *a = allocator ? allocator : cg_allocator_default();
  cg_grads *grads = a->alloc(a->context, sizeof *grads);
  if (grads) *grads = (cg_grads){.mem = {.allocator = a}};
  return grads;
}

void cg_grads_free(cg_grads *grads) {
  if (!grads) return;
  mem *m = &grads->mem;
  for (size_t i = 0; i < grads->n; i++) cg_leaf_free(grads->entries[i].g);
  mem_free(m, grads->entries, grads->cap * sizeof *grads->entries);
  mem_free(m, grads->table, grads->table_size * sizeof *grads->table);
  m->allocator->release(m->allocator->context, grads, sizeof *grads);
}

void cg_grads_zero(cg_grads *grads) {
  for (size_t i = 0; grads && i < grads->n; i++) {
    cg_tensor *g = grads->entries[i].g;
    memset(g->data, 0, g->leaf->bytes);
    cg_leaf_touch(g);
  }
}

/* The table's cell for `leaf`, its own or the free one where it would go. */
static uint32_t *cell(const cg_grads *grads, const cg_tensor *leaf) {
  uint64_t h = (uint64_t)((uintptr_t)leaf >> 4) * 0x9E3779B97F4A7C15u;
  size_t mask = grads->table_size - 1, i = (size_t)(h >> 32) & mask;
  while (grads->table[i] && grads->entries[grads->table[i] - 1].leaf != leaf)
    i = (i + 1) & mask;
  return &grads->table[i];
}

/* Room for one entry more. */
static cg_status reserve(cg_grads *grads) {
  size_t need = grads->n + 1, size = grads->table_size;
  cg_status status =
      mem_grow(&grads->mem, (void **)&grads->entries, &grads->cap, grads->n,
               need, sizeof *grads->entries);
  if (status || size >= 2 * need) return status;
  status = mem_grow(&grads->mem, (void **)&grads->table, &size, 0,
                    size ? 2 * size : 16, sizeof *grads->table);
  if (status) return status;
  grads->table_size = size;
  memset(grads->table, 0, size * sizeof *grads->table);
  for (size_t i = 0; i < grads->n; i++)
    *cell(grads, grads->entries[i].leaf) = (uint32_t)i + 1;
  return CG_OK;
}

static cg_status add(cg_grads *grads, const cg_tensor *leaf, cg_tensor **g) {
  cg_status status = reserve(grads);
  if (status) return status;
  *g = cg_leaf_new(grads->mem.allocator, leaf->dtype, leaf->rank,
                   t_shape(leaf), NULL);
  if (!*g) return CG_ERR_NOMEM;
  uint32_t *at = cell(grads, leaf);
  grads->entries[grads->n++] = (entry){leaf, *g};
  *at = (uint32_t)grads->n;
  return CG_OK;
}

cg_tensor *cg_grads_get(const cg_grads *grads, const cg_tensor *leaf) {
  if (!grads || !grads->table_size) return NULL;
  uint32_t i = *cell(grads, leaf);
  return i ? grads->entries[i - 1].g : NULL;
}

cg_status grads_find(cg_grads *grads, const cg_tensor *leaf, cg_tensor **g) {
  *g = cg_grads_get(grads, leaf);
  if (!*g) return leaf->flags & T_GRAD ? add(grads, leaf, g) : CG_ERR_STATE;
  bool fits = (*g)->dtype == leaf->dtype && t_same_shape(*g, leaf);
  return fits ? CG_OK : CG_ERR_STALE;
}

/* Can the gradient of e be added to its leaf? */
static cg_status check(const entry *e) {
  cg_tensor *leaf = (cg_tensor *)(uintptr_t)e->leaf;
  if (!(leaf->flags & T_GRAD)) return CG_ERR_STATE;
  if (leaf->dtype != e->g->dtype || !t_same_shape(leaf, e->g))
    return CG_ERR_STATE;
  return cg_leaf_grad(leaf) ? CG_OK : CG_ERR_NOMEM;
}

cg_status cg_grads_add_begin(cg_grads *grads) {
  if (!grads) return CG_ERR_ARG;
  for (size_t i = 0; i < grads->n; i++) {
    cg_status status = check(&grads->entries[i]);
    if (status) return status;
  }
  for (size_t i = 0; i < grads->n; i++)
    cg_leaf_touch(grads->entries[i].leaf->grad);
  return CG_OK;
}

/* Where part `part` of n elements begins: two threads share no cache line. */
static int64_t begin_of(int64_t n, int part, int parts) {
  int64_t line = CG_ALIGNMENT / (int64_t)sizeof(float);
  return part == parts ? n : n / parts * part / line * line;
}

void cg_grads_add_part(const cg_grads *grads, int part, int parts) {
  if (!grads || part < 0 || part >= parts) return;
  for (size_t i = 0; i < grads->n; i++) {
    const cg_tensor *g = grads->entries[i].g;
    const cg_tensor *sum = grads->entries[i].leaf->grad;
    int64_t begin = begin_of(t_numel(g), part, parts);
    int64_t count = begin_of(t_numel(g), part + 1, parts) - begin, one = 1;
    size_t offset = (size_t)begin * cg_dtype_size((cg_dtype)g->dtype);
    kernel_add_strided((cg_dtype)g->dtype, 1, &count,
                       (char *)sum->data + offset, NULL,
                       (const char *)g->data + offset, &one);
  }
}

cg_status cg_grads_add_to_leaves(cg_grads *grads) {
  cg_status status = cg_grads_add_begin(grads);
  if (!status) cg_grads_add_part(grads, 0, 1);
  return status;
}
