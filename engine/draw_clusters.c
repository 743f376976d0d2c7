/* draw_clusters.c - scopes as a tree of clusters, and the folding of rows of
 * like ones. */
#include <ctype.h>
#include <string.h>

#include "draw_clusters.h"

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

/* ---- the tree ---- */

/* With `digits` off, names that differ in digits only have one hash. */
static uint64_t name_hash(const scope_entry *e, bool digits) {
  uint64_t hash = mix(1, e->indexed);
  if (digits && e->indexed) hash = mix(hash, (uint64_t)e->index);
  for (const char *s = e->name; *s; s++)
    if (digits || !isdigit((unsigned char)*s)) hash = mix(hash, (uint64_t)*s);
  return hash;
}

static bool same_name(const scope_entry *a, const scope_entry *b) {
  return a->indexed == b->indexed && a->index == b->index &&
         !strcmp(a->name, b->name);
}

/* The cluster of a scope inside `parent`: that of an earlier scope of its name,
 * or a new one. */
static uint32_t child_of(clusters *c, uint32_t parent, uint32_t scope) {
  const scope_entry *e = c->tape->scopes;
  size_t at = mix(name_hash(&e[scope], true), parent) & (c->table_size - 1);
  for (uint32_t k; (k = c->table[at]); at = (at + 1) & (c->table_size - 1))
    if (c->item[k].parent == parent &&
        same_name(&e[c->item[k].scope], &e[scope]))
      return k;
  c->item[c->n] = (cluster){.parent = parent, .scope = scope};
  c->table[at] = (uint32_t)c->n;
  return (uint32_t)c->n++;
}

static cg_status zeroed(clusters *c, void **block, size_t count, size_t size) {
  cg_status status = mem_alloc(&c->tape->mem, count * size, block);
  if (!status) memset(*block, 0, count * size);
  return status;
}

cg_status clusters_make(clusters *c, cg_tape *tape) {
  memset(c, 0, sizeof *c);
  c->tape = tape;
  size_t n = tape->n_scopes ? tape->n_scopes : 1; /* entry 0: the top level */
  c->cap = c->n_of_scope = 2 * n;
  for (c->table_size = 4; c->table_size < 4 * n;) c->table_size *= 2;
  cg_status status = zeroed(c, (void **)&c->item, c->cap, sizeof *c->item);
  if (!status)
    status = zeroed(c, (void **)&c->of_scope, 2 * n, sizeof *c->of_scope);
  if (!status)
    status = zeroed(c, (void **)&c->table, c->table_size, sizeof *c->table);
  if (status) return status;
  c->n = 2; /* the whole, and in it "backward" */
  c->of_scope[n] = BACKWARD;
  for (int side = 0; side < 2; side++)
    for (size_t s = 1; s < n; s++) {
      uint32_t *of = c->of_scope + (size_t)side * n;
      of[s] = child_of(c, of[tape->scopes[s].parent], (uint32_t)s);
    }
  return CG_OK;
}

void clusters_free(clusters *c) {
  mem *m = &c->tape->mem;
  mem_free(m, c->item, c->cap * sizeof *c->item);
  mem_free(m, c->of_scope, c->n_of_scope * sizeof *c->of_scope);
  mem_free(m, c->table, c->table_size * sizeof *c->table);
  mem_free(m, c->row, c->n_ops * sizeof *c->row);
}

uint32_t clusters_find(const clusters *c, const cg_tensor *x) {
  if (x->flags & T_PROXY) return 0; /* leaves lie in no scope */
  size_t side = x->flags & T_BACKWARD ? c->n_of_scope / 2 : 0;
  return c->of_scope[side + tape_scope_of(c->tape, x)];
}

/* ---- what is alike ---- */

static uint64_t node_hash(const cg_tensor *x) {
  uint64_t hash = mix((uint64_t)(uintptr_t)x->op, x->flags & T_GRAD);
  hash = mix(mix(hash, x->dtype), x->n_in);
  for (int i = 0; i < x->rank; i++) hash = mix(hash, (uint64_t)x->dims[i]);
  return mix(hash, x->rank);
}

void clusters_add(clusters *c, const cg_tensor *x) {
  cluster *k = &c->item[clusters_find(c, x)];
  k->used = true;
  if (x->op)
    k->like = mix(k->like, node_hash(x));
  else
    k->like += node_hash(x); /* in any order */
}

/* Completes the hashes, and lists the used children of each cluster: children
 * come behind their parents. */
static void link_children(clusters *c) {
  for (uint32_t k = (uint32_t)c->n; --k;) {
    cluster *x = &c->item[k], *parent = &c->item[x->parent];
    if (!x->used) continue;
    if (x->scope)
      x->like = mix(x->like, name_hash(&c->tape->scopes[x->scope], false));
    parent->like = mix(parent->like, x->like);
    parent->used = true;
    x->next = parent->first;
    parent->first = k;
  }
}

/* Folds a row of n but for the first two and the last. */
static void fold_row(clusters *c, uint32_t first, uint32_t n) {
  cluster *item = c->item;
  uint32_t k = item[item[first].next].next, head = k;
  item[head].count = n - 3;
  for (uint32_t i = 0; i < n - 3; i++, k = item[k].next) {
    item[k].fold = head;
    item[head].last = k;
  }
}

/* The length of the row that begins at `first`; *end is what comes behind it.
 * The root is to be seen, so a row ends with it. */
static uint32_t row_length(const clusters *c, uint32_t first, uint32_t *end) {
  uint32_t n = 1, k = first, next;
  for (; (next = c->item[k].next) && !c->item[k].root; k = next, n++)
    if (c->item[next].like != c->item[first].like) break;
  *end = next;
  return n;
}

static void fold_children(clusters *c, uint32_t first, int64_t longest) {
  while (first) {
    uint32_t next, n = row_length(c, first, &next);
    if (n > longest && n > 3) fold_row(c, first, n);
    first = next;
  }
}

/* ---- rows of like ops ---- */

static bool alike(const clusters *c, const cg_tensor *a, const cg_tensor *b) {
  return a->op == b->op && a->n_in == b->n_in && a->n_in &&
         a->dtype == b->dtype && t_same_shape(a, b) &&
         clusters_find(c, a) == clusters_find(c, b) &&
         !memcmp(t_in(a), t_in(b), a->n_in * sizeof *t_in(a));
}

/* Folds the ops before the last one, `newest`, of a row of n. */
static cg_status fold_ops(clusters *c, size_t newest, uint32_t n) {
  cg_status status = mem_grow(&c->tape->mem, (void **)&c->item, &c->cap, c->n,
                              c->n + 1, sizeof *c->item);
  if (status) return status;
  const cg_tensor *x = c->ops[newest + 1];
  c->item[c->n] =
      (cluster){.parent = clusters_find(c, x), .op = x, .count = n - 3};
  for (size_t i = 1; i + 2 < n; i++) c->row[newest + i] = (uint32_t)c->n;
  c->n++;
  return CG_OK;
}

static cg_status fold_rows(clusters *c, const cg_tensor *root,
                           int64_t longest) {
  cg_status status = CG_OK;
  for (size_t i = 0, end; i < c->n_ops && !status; i = end) {
    const cg_tensor *x = c->ops[i];
    for (end = i + 1; end < c->n_ops && c->ops[end] != root; end++)
      if (!alike(c, x, c->ops[end])) break;
    uint32_t n = (uint32_t)(end - i);
    if (n > longest && n > 3) status = fold_ops(c, i, n);
  }
  return status;
}

/* ---- folding ---- */

static void fold_clusters(clusters *c, int64_t longest) {
  for (size_t k = 0; k < c->n; k++) {
    cluster *x = &c->item[k];
    uint32_t outer = k ? c->item[x->parent].fold : 0;
    if (outer)
      x->fold = outer;
    else
      fold_children(c, x->first, longest);
  }
}

cg_status clusters_fold(clusters *c, cg_tensor *const *ops, size_t n_ops,
                        const cg_tensor *root, int64_t longest) {
  for (uint32_t k = clusters_find(c, root); k; k = c->item[k].parent)
    c->item[k].root = true;
  link_children(c);
  if (longest < 0 || !n_ops) return CG_OK;
  fold_clusters(c, longest);
  cg_status status = zeroed(c, (void **)&c->row, n_ops, sizeof *c->row);
  if (status) return status;
  c->ops = ops;
  c->n_ops = n_ops;
  return fold_rows(c, root, longest);
}

uint32_t clusters_fold_of(const clusters *c, const cg_tensor *x) {
  uint32_t fold = c->item[clusters_find(c, x)].fold;
  if (fold || !(x->flags & T_HISTORY) || !c->n_ops) return fold;
  size_t low = 0, high = c->n_ops - 1;
  while (low < high) { /* serials fall */
    size_t middle = low + (high - low) / 2;
    if (c->ops[middle]->serial <= x->serial)
      high = middle;
    else
      low = middle + 1;
  }
  return c->row[low];
}
