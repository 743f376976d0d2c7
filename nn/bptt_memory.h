/* bptt_memory.h - the memory of the manual BPTT: arrays of numbers cut from one
 * block, which comes from the problem's allocator. Private to nn. */
#ifndef CHRONOGRAD_BPTT_MEMORY_H
#define CHRONOGRAD_BPTT_MEMORY_H

#include <chronograd/bptt.h>

/* An array of a * b * c numbers inside a block. */
typedef struct cg_bptt_part {
  double **start;
  int64_t a, b, c;
} cg_bptt_part;

/* Makes one block of zeros and cuts it into parts in the order given. ARG if
 * that is larger than any memory, or NOMEM; the parts are then untouched. */
cg_status cg_bptt_alloc(const cg_bptt_problem *p, const cg_bptt_part *parts,
                        size_t count, void **block, cg_error *err);
/* Frees a block. NULL is fine. */
void cg_bptt_release(void *block);

/* ARG if an array of a * b * c numbers, factors of at least 1, is larger than
 * any memory. */
cg_status cg_bptt_check_size(const cg_bptt_problem *p, int64_t a, int64_t b,
                             int64_t c, cg_error *err);

#endif
