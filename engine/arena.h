/* arena.h - bump memory with mark and rewind.
 *
 * Blocks form a chain; those behind the current one are empty and wait to be
 * used again. Invariant: all live bytes lie in the blocks from `first` to
 * `cur`, below `at` in that one and below each other block's `top`. Nothing is
 * returned to the allocator before arena_free.
 */
#ifndef CG_ENGINE_ARENA_H
#define CG_ENGINE_ARENA_H

#include "mem.h"

typedef struct arena_block {
  struct arena_block *prev, *next;
  size_t size; /* usable bytes behind this header */
  size_t top;  /* bytes in use, if it lies before the current one */
} arena_block;

typedef struct arena {
  mem *mem;
  arena_block *first, *cur;
  char *base, *at, *end; /* of the current block: its first byte, the next one
                            to hand out, and the end; NULLs without a block */
  size_t before;    /* bytes in use in the blocks before it */
  size_t next_size; /* size of the next block to ask for */
} arena;

typedef struct arena_mark {
  arena_block *block;
  size_t top, before;
} arena_mark;

#define ARENA_HEADER ((sizeof(arena_block) + 63) & ~(size_t)63)

void arena_init(arena *a, mem *m, size_t first_size);
void arena_free(arena *a);

/* `size` bytes, at least one, at an address that is a multiple of `align` (a
 * power of two, at most CG_ALIGNMENT); the slow path of arena_alloc. */
cg_status arena_alloc_slow(arena *a, size_t size, size_t align, void **out);

static inline cg_status arena_alloc(arena *a, size_t size, size_t align,
                                    void **out) {
  const uintptr_t at = round_up((uintptr_t)a->at, align);
  const uintptr_t end = (uintptr_t)a->end;
  if (at <= end && size <= end - at) {
    *out = (void *)at;
    a->at = (char *)at + size;
    return CG_OK;
  }
  return arena_alloc_slow(a, size, align, out);
}

/* Bytes handed out and not rewound. */
static inline size_t arena_used(const arena *a) {
  return a->before + (size_t)(a->at - a->base);
}

/* Has the next `size` bytes, aligned all together, lie in one block. */
cg_status arena_reserve(arena *a, size_t size);

arena_mark arena_get_mark(const arena *a);
void arena_rewind(arena *a, arena_mark mark);

/* Does p point into live memory of the arena? */
bool arena_contains_slow(const arena *a, const void *p);

static inline bool arena_in_current(const arena *a, const void *p) {
  return (uintptr_t)p - (uintptr_t)a->base < (size_t)(a->at - a->base);
}

static inline bool arena_contains(const arena *a, const void *p) {
  return arena_in_current(a, p) || arena_contains_slow(a, p);
}

#endif
