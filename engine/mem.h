/* mem.h - counted memory: every allocation of a tape passes here.
 *
 * Also the overflow-checked size arithmetic that all others use.
 */
#ifndef CG_ENGINE_MEM_H
#define CG_ENGINE_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include <chronograd/mem.h>

/* An allocator with its accounts. */
typedef struct mem {
  const cg_allocator *allocator;
  size_t held, peak, calls;
  size_t limit;  /* 0: none */
  size_t wanted; /* size of the last request that was refused */
} mem;

/* CG_OK and *out, or NOMEM or LIMIT and *out = NULL. */
cg_status mem_alloc(mem *m, size_t size, void **out);
void mem_free(mem *m, void *block, size_t size);

/* Makes room for at least `need` elements of `size` bytes in *array, which has
 * room for *cap, keeping the first `used`. */
cg_status mem_grow(mem *m, void **array, size_t *cap, size_t used, size_t need,
                   size_t size);

/* *out = a * b, or a + b; false if that overflows. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* size rounded up to a multiple of `to`, a power of two. */
static inline size_t round_up(size_t size, size_t to) {
  return (size + to - 1) & ~(to - 1);
}

#endif
