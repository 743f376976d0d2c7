/* pool.c - recycled blocks by size class. */
#include "pool.h"

/* Four classes per power of two, from 1024 on. */
typedef struct large {
  size_t step, quarter;
  int log; /* 2^log < size <= 2^(log+1) */
} large;

static large place(size_t size) {
  large l = {.log = 63 - __builtin_clzll((unsigned long long)(size - 1))};
  l.step = (size_t)1 << (l.log - 2);
  l.quarter = (size - 1 - ((size_t)1 << l.log)) / l.step;
  return l;
}

size_t pool_class_of_large(size_t size) {
  if (!size) return 0;
  large l = place(size);
  return 16 + (size_t)(l.log - 10) * 4 + l.quarter;
}

static size_t rounded(size_t size) {
  if (size <= 1024) return size ? round_up(size, 64) : 64;
  large l = place(size);
  return ((size_t)1 << l.log) + (l.quarter + 1) * l.step;
}

void pool_init(pool *p, mem *m) {
  *p = (pool){0};
  arena_init(&p->chunks, m, 16384);
}

void pool_free_all(pool *p) { arena_free(&p->chunks); }

cg_status pool_get_slow(pool *p, size_t size, void **out) {
  if (size > SIZE_MAX / 4) {
    p->chunks.mem->wanted = size;
    return CG_ERR_NOMEM;
  }
  struct pool_block **list = &p->free[pool_class(size)], *b = *list;
  if (!b) return arena_alloc(&p->chunks, rounded(size), CG_ALIGNMENT, out);
  *list = b->next;
  *out = b;
  return CG_OK;
}
