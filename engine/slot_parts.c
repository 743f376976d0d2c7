/* slot_parts.c - what a recorded walk gives to parts of a tensor: a list in the
 * place of the slot, put together by one op. */
#include <string.h>

#include <chronograd/ops.h>

#include "backward_impl.h"

typedef struct slot_parts {
  cg_tensor *dense; /* what was given in other ways, or NULL */
  cg_tensor **part;
  int64_t *start;
  size_t n, cap_part, cap_start;
  int axis;
} slot_parts;

static slot_parts *parts_of(cg_tensor *x) {
  return (slot_parts *)(void *)x->slot;
}

cg_tensor **parts_dense(cg_tensor *x) { return &parts_of(x)->dense; }

static void fail_parts(walk *w, cg_status status) {
  tape_fail_mem(w->tape, status, w->name);
}

/* The slot of x as a list of parts along `axis`, or NULL. */
static slot_parts *open_parts(walk *w, cg_tensor *x, int axis) {
  if (x->flags & T_PARTS && parts_of(x)->axis != axis) slot_finish(w, x);
  if (x->flags & T_PARTS) return parts_of(x);
  if (w->tape->error.status) return NULL;
  void *block;
  cg_status status = pool_get(&w->tape->pool, sizeof(slot_parts), &block);
  if (status) {
    fail_parts(w, status);
    return NULL;
  }
  slot_parts *p = block;
  *p = (slot_parts){.dense = x->slot, .axis = axis};
  x->slot = (cg_tensor *)(void *)p;
  x->flags |= T_PARTS;
  return p;
}

static void free_array(pool *p, void *array, size_t cap, size_t size) {
  if (array) pool_put(p, array, cap * size);
}

void parts_drop(walk *w, cg_tensor *x) {
  pool *from = &w->tape->pool;
  slot_parts *p = parts_of(x);
  x->slot = p->dense;
  x->flags &= (uint16_t)~T_PARTS;
  free_array(from, p->part, p->cap_part, sizeof *p->part);
  free_array(from, p->start, p->cap_start, sizeof *p->start);
  pool_put(from, p, sizeof *p);
}

/* Room for an element more than the n in *array. */
static cg_status grow(pool *p, void **array, size_t *cap, size_t n,
                      size_t size) {
  if (n < *cap) return CG_OK;
  size_t want = n ? 2 * n : 16;
  void *bigger;
  cg_status status = pool_get(p, want * size, &bigger);
  if (status) return status;
  if (n) memcpy(bigger, *array, n * size);
  free_array(p, *array, *cap, size);
  *array = bigger;
  *cap = want;
  return CG_OK;
}

void parts_add(walk *w, cg_tensor *x, cg_tensor *g, int axis, int64_t start) {
  pool *from = &w->tape->pool;
  slot_parts *p = open_parts(w, x, axis);
  if (!p) return;
  cg_status status = grow(from, (void **)&p->part, &p->cap_part, p->n,
                          sizeof *p->part);
  if (!status)
    status = grow(from, (void **)&p->start, &p->cap_start, p->n,
                  sizeof *p->start);
  if (status) {
    fail_parts(w, status);
    return;
  }
  p->part[p->n] = g;
  p->start[p->n++] = start;
}

cg_tensor *parts_close(walk *w, cg_tensor *x) {
  slot_parts *p = parts_of(x);
  cg_tensor *sum = cg_sum_slices(w->tape, p->part, p->start, (int)p->n,
                                 p->axis, x->rank, t_shape(x));
  parts_drop(w, x);
  return sum;
}
