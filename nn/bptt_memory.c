/* bptt_memory.c - the memory of the manual BPTT. */
#include "bptt_memory.h"

#include <inttypes.h>
#include <string.h>

/* The longest array of doubles whose ends can still be subtracted. */
#define MAX_DOUBLES                                                            \
  ((int64_t)((PTRDIFF_MAX - (ptrdiff_t)sizeof(head)) /                         \
             (ptrdiff_t)sizeof(double)))

/* What lies in front of the numbers: whom to give the memory back. */
typedef struct head {
  const cg_allocator *allocator;
  size_t size;
  char padding[CG_ALIGNMENT - sizeof(void *) - sizeof(size_t)];
} head;

/* *total += a * b * c; false where that is more than memory can hold. */
static bool add_size(int64_t *total, int64_t a, int64_t b, int64_t c) {
  if (a == 0 || b == 0 || c == 0)
    return true;
  if (a > MAX_DOUBLES / b || a * b > MAX_DOUBLES / c)
    return false;
  int64_t n = a * b * c;
  if (n > MAX_DOUBLES - *total)
    return false;
  *total += n;
  return true;
}

static cg_status size_error(const cg_bptt_problem *p, cg_error *err) {
  return cg_error_set(err, CG_ERR_ARG, "bptt",
                      "the arrays for T = %" PRId64 ", B = %" PRId64
                      ", D = %" PRId64 ", H = %" PRId64 ", K = %" PRId64
                      " are larger than any memory",
                      p->T, p->B, p->D, p->H, p->K);
}

cg_status cg_bptt_check_size(const cg_bptt_problem *p, int64_t a, int64_t b,
                             int64_t c, cg_error *err) {
  int64_t n = 0;
  return add_size(&n, a, b, c) ? CG_OK : size_error(p, err);
}

cg_status cg_bptt_alloc(const cg_bptt_problem *p, const cg_bptt_part *parts,
                        size_t count, void **block, cg_error *err) {
  const cg_allocator *from =
      p->allocator ? p->allocator : cg_allocator_default();
  int64_t total = 0;
  for (size_t i = 0; i < count; i++)
    if (!add_size(&total, parts[i].a, parts[i].b, parts[i].c))
      return size_error(p, err);
  size_t size = sizeof(head) + (size_t)total * sizeof(double);
  head *memory = from->alloc(from->context, size);
  if (!memory)
    return cg_error_set(err, CG_ERR_NOMEM, "bptt",
                        "no memory for a result of %" PRId64 " numbers", total);
  memset(memory, 0, size);
  memory->allocator = from;
  memory->size = size;
  *block = memory;
  double *next = (double *)(memory + 1);
  for (size_t i = 0; i < count; i++) {
    *parts[i].start = next;
    next += parts[i].a * parts[i].b * parts[i].c;
  }
  return CG_OK;
}

void cg_bptt_release(void *block) {
  head *memory = block;
  if (memory)
    memory->allocator->release(memory->allocator->context, memory,
                               memory->size);
}
