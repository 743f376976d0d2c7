/* fuzz_bytes.h - what the fuzzers of readers share: a claim that must hold, a
 * heap that fails on demand, and (fuzz_bytes.c) a main that replays files. */
#ifndef CHRONOGRAD_TESTS_FUZZ_BYTES_H
#define CHRONOGRAD_TESTS_FUZZ_BYTES_H

#include <chronograd/mem.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The program's name, defined by the file of its fuzzer. */
extern const char *const fuzz_program;

/* What must hold: otherwise a fuzzer should stop here. */
static inline void want(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", fuzz_program, what);
  abort();
}

/* ---- a heap that fails, and forgets nothing ---- */

typedef struct heap {
  size_t calls, fail_at, live;
} heap;

static inline void *heap_alloc(void *context, size_t size) {
  heap *h = context;
  if (++h->calls == h->fail_at) return NULL;
  /* Exactly that size, so that a sanitizer sees any access beyond. */
  void *p;
  if (posix_memalign(&p, CG_ALIGNMENT, size)) return NULL;
  h->live += size;
  return p;
}

static inline void heap_release(void *context, void *block, size_t size) {
  heap *h = context;
  h->live -= size;
  free(block);
}

/* Reads the input once whole, and once with one allocation that fails. */
static inline int fuzz_twice(cg_status (*parse)(heap *h, const uint8_t *bytes,
                                                size_t size),
                             const uint8_t *bytes, size_t size) {
  heap whole = {0}, broken = {0};
  parse(&whole, bytes, size);
  if (!whole.calls) return 0;
  broken.fail_at = 1 + size % whole.calls;
  want(parse(&broken, bytes, size) == CG_ERR_NOMEM, "a failure was ignored");
  return 0;
}

#endif
