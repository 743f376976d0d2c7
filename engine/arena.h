/* arena.h - bump memory with mark and rewind.
 *
 * Blocks form a chain; those behind the current one are empty and wait to be
 * used again. Invariant: all live bytes lie in the blocks from `first` to
 * `cur`, below each block's `top`. Nothing is returned to the allocator before
 * arena_free.
 */
#ifndef CG_ENGINE_ARENA_H
#define CG_ENGINE_ARENA_H

#include "mem.h"

typedef struct arena_block {
  struct arena_block *prev, *next;
  size_t size; /* usable bytes behind this header */
  size_t top;  /* bytes in use */
} arena_block;

typedef struct arena {
  mem *mem;
  arena_block *first, *cur;
  size_t next_size; /* size of the next block to ask for */
  size_t used;      /* bytes handed out and not rewound */
} arena;

typedef struct arena_mark {
  arena_block *block;
  size_t top, used;
} arena_mark;

#define ARENA_HEADER ((sizeof(arena_block) + 63) & ~(size_t)63)

void arena_init(arena *a, mem *m, size_t first_size);
void arena_free(arena *a);

/* `size` bytes at an address that is a multiple of `align` (a power of two, at
 * most CG_ALIGNMENT); the slow path of arena_alloc. */
cg_status arena_alloc_slow(arena *a, size_t size, size_t align, void **out);

static inline char *arena_base(arena_block *b) {
  return (char *)b + ARENA_HEADER;
}

static inline cg_status arena_alloc(arena *a, size_t size, size_t align,
                                    void **out) {
  arena_block *b = a->cur;
  if (b) {
    size_t at = round_up(b->top, align);
    if (at <= b->size && size <= b->size - at) {
      *out = arena_base(b) + at;
      a->used += at - b->top + size;
      b->top = at + size;
      return CG_OK;
    }
  }
  return arena_alloc_slow(a, size, align, out);
}

/* Has the next `size` bytes, aligned all together, lie in one block. */
cg_status arena_reserve(arena *a, size_t size);

arena_mark arena_get_mark(const arena *a);
void arena_rewind(arena *a, arena_mark mark);

/* Does p point into live memory of the arena? */
bool arena_contains_slow(const arena *a, const void *p);

static inline bool arena_in_current(const arena *a, const void *p) {
  arena_block *b = a->cur;
  return b && (uintptr_t)p - ((uintptr_t)b + ARENA_HEADER) < b->top;
}

static inline bool arena_contains(const arena *a, const void *p) {
  return arena_in_current(a, p) || arena_contains_slow(a, p);
}

#endif
