/* scope_stats.c - what the top-level scopes of a recording hold. */
#include <string.h>

#include "tape_impl.h"

/* One call. */
typedef struct census {
  const cg_tape *tape;
  uint32_t *row; /* of every scope: that of the top-level scope around it */
  cg_scope_stats *stats;
  size_t capacity, n;
} census;

static bool same_name(const scope_entry *a, const scope_entry *b) {
  return a->indexed == b->indexed && a->index == b->index &&
         !strcmp(a->name, b->name);
}

static uint32_t new_row(census *c, const scope_entry *e) {
  if (c->n < c->capacity) {
    cg_scope_stats *s = &c->stats[c->n];
    *s = (cg_scope_stats){.name = ""};
    if (e->indexed)
      snprintf(s->name, sizeof s->name, "%s=%lld", e->name,
               (long long)e->index);
    else
      snprintf(s->name, sizeof s->name, "%s", e->name);
  }
  return (uint32_t)c->n++;
}

/* The row of a top-level scope: that of an earlier one of its name, or new. */
static uint32_t row_of_top(census *c, uint32_t scope) {
  const scope_entry *e = c->tape->scopes;
  for (uint32_t s = 1; s < scope; s++)
    if (!e[s].parent && same_name(&e[s], &e[scope])) return c->row[s];
  return new_row(c, &e[scope]);
}

/* Parents come before their children. */
static void assign_rows(census *c) {
  const scope_entry nowhere = {.name = ""};
  c->row[0] = new_row(c, &nowhere);
  for (uint32_t s = 1; s < c->tape->n_scopes; s++) {
    uint32_t parent = c->tape->scopes[s].parent;
    c->row[s] = parent ? c->row[parent] : row_of_top(c, s);
  }
}

static void count_nodes(census *c) {
  for (const cg_tensor *x = c->tape->last; x; x = x->prev) {
    uint32_t row = c->row[x->scope];
    if (row >= c->capacity) continue;
    c->stats[row].nodes++;
    c->stats[row].bytes += tape_bytes_of(x);
  }
}

cg_status cg_tape_scope_stats(cg_tape *tape, cg_scope_stats *stats,
                              int capacity, int *count) {
  if (!tape || !count || capacity < 0 || (capacity && !stats))
    return CG_ERR_ARG;
  size_t bytes = (tape->n_scopes + 1) * sizeof(uint32_t);
  void *block;
  cg_status status = pool_get(&tape->pool, bytes, &block);
  if (status) return status;
  census c = {tape, block, stats, (size_t)capacity, 0};
  assign_rows(&c);
  count_nodes(&c);
  pool_put(&tape->pool, block, bytes);
  *count = (int)c.n;
  return CG_OK;
}
