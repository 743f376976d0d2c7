/* pool.h - recycled blocks for what lives shorter than the tape: gradients of
 * intermediate results, temporaries of derivative rules, scratch memory.
 *
 * Freed blocks wait in a list per size class and are handed out again, last
 * freed first, so a backward walk touches little memory.
 */
#ifndef CG_ENGINE_POOL_H
#define CG_ENGINE_POOL_H

#include "arena.h"

enum { POOL_CLASSES = 256 };

typedef struct pool {
  arena chunks;
  struct pool_block *free[POOL_CLASSES];
} pool;

void pool_init(pool *p, mem *m);
void pool_free_all(pool *p);

/* The rest of the two below: a block from the chunks, and a size's class. */
cg_status pool_get_slow(pool *p, size_t size, void **out);
size_t pool_class_of_large(size_t size);

struct pool_block {
  struct pool_block *next;
};

/* Classes: multiples of 64 up to 1024, then four per power of two. */
static inline size_t pool_class(size_t size) {
  return size - 1 < 1024 ? (size - 1) / 64 : pool_class_of_large(size);
}

/* A block of at least `size` bytes, aligned to CG_ALIGNMENT. */
static inline cg_status pool_get(pool *p, size_t size, void **out) {
  if (size - 1 < 1024) {
    struct pool_block **list = &p->free[(size - 1) / 64];
    if (*list) {
      *out = *list;
      *list = (*list)->next;
      return CG_OK;
    }
  }
  return pool_get_slow(p, size, out);
}

/* Gives it back, with the class of the size it was asked for, or the size. */
static inline void pool_put_class(pool *p, void *block, size_t class_of) {
  struct pool_block *b = block, **list = &p->free[class_of];
  b->next = *list;
  *list = b;
}
static inline void pool_put(pool *p, void *block, size_t size) {
  pool_put_class(p, block, pool_class(size));
}

#endif
