/* mem.c - the default allocator, and counted memory. */
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/* Large blocks are asked for in large pages where the system has them: the
 * recording of a long graph is gone through once forwards and once backwards,
 * and would otherwise miss the address caches at each of its pages. */
#define LARGE_PAGE ((size_t)2 << 20)

static void *heap_alloc(void *context, size_t size) {
  (void)context;
  if (size > SIZE_MAX - LARGE_PAGE) return NULL;
  bool large = size >= 2 * LARGE_PAGE;
  size_t align = large ? LARGE_PAGE : CG_ALIGNMENT;
  void *block = aligned_alloc(align, round_up(size, align));
#ifdef MADV_HUGEPAGE
  if (block && large) madvise(block, size, MADV_HUGEPAGE);
#endif
  return block;
}

static void heap_release(void *context, void *block, size_t size) {
  (void)context;
  (void)size;
  free(block);
}

static const cg_allocator heap = {heap_alloc, heap_release, NULL};

const cg_allocator *cg_allocator_default(void) { return &heap; }

bool size_mul(size_t a, size_t b, size_t *out) {
  if (b != 0 && a > SIZE_MAX / b) return false;
  *out = a * b;
  return true;
}

bool size_add(size_t a, size_t b, size_t *out) {
  if (a > SIZE_MAX - b) return false;
  *out = a + b;
  return true;
}

cg_status mem_alloc(mem *m, size_t size, void **out) {
  *out = NULL;
  m->wanted = size;
  if (m->limit && (size > m->limit || m->held > m->limit - size))
    return CG_ERR_LIMIT;
  m->calls++;
  void *block = m->allocator->alloc(m->allocator->context, size);
  if (!block) return CG_ERR_NOMEM;
  m->held += size;
  if (m->held > m->peak) m->peak = m->held;
  *out = block;
  return CG_OK;
}

void mem_free(mem *m, void *block, size_t size) {
  if (!block) return;
  m->held -= size;
  m->allocator->release(m->allocator->context, block, size);
}

cg_status mem_grow(mem *m, void **array, size_t *cap, size_t used, size_t need,
                   size_t size) {
  if (need <= *cap) return CG_OK;
  size_t want = *cap ? *cap : 16;
  while (want < need) {
    if (want > SIZE_MAX / 2) return CG_ERR_NOMEM;
    want *= 2;
  }
  size_t bytes;
  if (!size_mul(want, size, &bytes)) return CG_ERR_NOMEM;
  void *bigger;
  cg_status status = mem_alloc(m, bytes, &bigger);
  if (status) return status;
  if (used) memcpy(bigger, *array, used * size);
  mem_free(m, *array, *cap * size);
  *array = bigger;
  *cap = want;
  return CG_OK;
}
