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

/* A block of at least `size` bytes, aligned to CG_ALIGNMENT. */
cg_status pool_get(pool *p, size_t size, void **out);
/* Gives it back, with the size it was asked for. */
void pool_put(pool *p, void *block, size_t size);

#endif
