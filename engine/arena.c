/* arena.c - bump memory with mark and rewind. */
#include "arena.h"

/* Blocks grow geometrically up to this size, so that a long tape has few. */
#define MAX_BLOCK ((size_t)64 << 20)

void arena_init(arena *a, mem *m, size_t first_size) {
  *a = (arena){.mem = m, .next_size = first_size};
}

void arena_free(arena *a) {
  for (arena_block *b = a->first; b;) {
    arena_block *next = b->next;
    mem_free(a->mem, b, ARENA_HEADER + b->size);
    b = next;
  }
  arena_init(a, a->mem, a->next_size);
}

static char *base_of(arena_block *b) { return (char *)b + ARENA_HEADER; }

/* Goes on in b, with `top` bytes of it in use. */
static void use(arena *a, arena_block *b, size_t top) {
  a->cur = b;
  a->base = b ? base_of(b) : NULL;
  a->at = b ? a->base + top : NULL;
  a->end = b ? a->base + b->size : NULL;
}

/* Leaves the current block for b, which is empty. */
static void go_on(arena *a, arena_block *b) {
  if (a->cur) {
    a->cur->top = (size_t)(a->at - a->base);
    a->before += a->cur->top;
  }
  use(a, b, 0);
}

/* A new block of at least `size` bytes, linked in behind `cur`. */
static cg_status add_block(arena *a, size_t size) {
  size_t want = size > a->next_size ? size : a->next_size;
  void *memory;
  size_t bytes;
  if (!size_add(ARENA_HEADER, want, &bytes)) {
    a->mem->wanted = size;
    return CG_ERR_NOMEM;
  }
  cg_status status = mem_alloc(a->mem, bytes, &memory);
  if (status && want > size) { /* near a limit, take what is needed only */
    want = size;
    status = mem_alloc(a->mem, ARENA_HEADER + want, &memory);
  }
  if (status) return status;
  if (a->next_size < MAX_BLOCK) a->next_size *= 2;
  arena_block *b = memory;
  *b = (arena_block){.prev = a->cur, .size = want};
  if (a->cur) {
    b->next = a->cur->next;
    a->cur->next = b;
  } else {
    b->next = a->first;
    a->first = b;
  }
  if (b->next) b->next->prev = b;
  go_on(a, b);
  return CG_OK;
}

cg_status arena_alloc_slow(arena *a, size_t size, size_t align, void **out) {
  arena_block *next = a->cur ? a->cur->next : a->first;
  if (next && size <= next->size) {
    go_on(a, next);
  } else {
    cg_status status = add_block(a, size);
    if (status) return status;
  }
  return arena_alloc(a, size, align, out);
}

cg_status arena_reserve(arena *a, size_t size) {
  void *unused;
  if (size == 0) return CG_OK;
  cg_status status = arena_alloc(a, size, CG_ALIGNMENT, &unused);
  if (status) return status;
  a->at -= size;
  return CG_OK;
}

arena_mark arena_get_mark(const arena *a) {
  return (arena_mark){a->cur, (size_t)(a->at - a->base), a->before};
}

void arena_rewind(arena *a, arena_mark mark) {
  use(a, mark.block, mark.top);
  a->before = mark.before;
}

bool arena_contains_slow(const arena *a, const void *p) {
  if (arena_in_current(a, p)) return true;
  for (arena_block *b = a->cur ? a->cur->prev : NULL; b; b = b->prev)
    if ((uintptr_t)p - (uintptr_t)base_of(b) < b->top) return true;
  return false;
}
