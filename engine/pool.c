/* pool.c - recycled blocks by size class. */
#include "pool.h"

struct pool_block {
  struct pool_block *next;
};

/* Classes: multiples of 64 up to 1024, then four per power of two. */
static size_t class_of(size_t size, size_t *rounded) {
  if (size <= 1024) {
    size_t units = size ? (size + 63) / 64 : 1;
    *rounded = units * 64;
    return units - 1;
  }
  int log = 63 - __builtin_clzll((unsigned long long)(size - 1));
  size_t step = (size_t)1 << (log - 2); /* 2^log <= size - 1 < 2^(log+1) */
  size_t quarter = (size - 1 - ((size_t)1 << log)) / step;
  *rounded = ((size_t)1 << log) + (quarter + 1) * step;
  return 16 + (size_t)(log - 10) * 4 + quarter;
}

void pool_init(pool *p, mem *m) {
  *p = (pool){0};
  arena_init(&p->chunks, m, 16384);
}

void pool_free_all(pool *p) { arena_free(&p->chunks); }

cg_status pool_get(pool *p, size_t size, void **out) {
  if (size > SIZE_MAX / 4) {
    p->chunks.mem->wanted = size;
    return CG_ERR_NOMEM;
  }
  size_t rounded, c = class_of(size, &rounded);
  struct pool_block *b = p->free[c];
  if (b) {
    p->free[c] = b->next;
    *out = b;
    return CG_OK;
  }
  return arena_alloc(&p->chunks, rounded, CG_ALIGNMENT, out);
}

void pool_put(pool *p, void *block, size_t size) {
  size_t rounded, c = class_of(size, &rounded);
  struct pool_block *b = block;
  b->next = p->free[c];
  p->free[c] = b;
}
