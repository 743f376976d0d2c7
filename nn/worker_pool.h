/* worker_pool.h - threads that wait for work, so that a training step need not
 * start any. Private to nn. */
#ifndef CHRONOGRAD_NN_WORKER_POOL_H
#define CHRONOGRAD_NN_WORKER_POOL_H

#include <stdint.h>

#include <chronograd/mem.h>

typedef struct cg_worker_pool cg_worker_pool;
typedef void (*cg_work_fn)(void *context, int worker);

/* A pool of `count` >= 1 workers, the caller's thread being the first. NULL on
 * an error: NOMEM, or the system starts no more threads (STATE). */
cg_worker_pool *cg_worker_pool_new(const cg_allocator *allocator, int count,
                                   cg_error *err);
/* Ends the threads. NULL is fine. */
void cg_worker_pool_free(cg_worker_pool *pool);

/* Calls fn(context, i) for all workers 0 <= i < count at once, number 0 in the
 * calling thread, and returns when all have returned. */
void cg_worker_pool_run(cg_worker_pool *pool, cg_work_fn fn, void *context);

/* Where part `part` of `parts` of n elements begins, or for part = parts ends:
 * two threads share no cache line. */
static inline int64_t cg_part_begin(int64_t n, int part, int parts) {
  int64_t line = CG_ALIGNMENT / (int64_t)sizeof(float);
  return part == parts ? n : n / parts * part / line * line;
}

#endif
