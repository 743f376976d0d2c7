/* worker_pool.c - threads that wait for work.
 *
 * A round of work is announced by its number. Who waits, a worker for the next
 * round or the caller for the last worker, looks at an atomic counter for a
 * short while, which answers at once in a busy training loop, and then sleeps
 * on a condition.
 */
#include "worker_pool.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

/* How often a waiting thread looks before it sleeps: some 50 microseconds. */
#define LOOKS 2000

typedef struct worker {
  cg_worker_pool *pool;
  pthread_t thread;
  int index;
} worker;

struct cg_worker_pool {
  const cg_allocator *allocator;
  int count, started; /* workers; threads among them, which the first is not */
  pthread_mutex_t lock;
  pthread_cond_t announced, finished;
  atomic_uint round;
  atomic_int running; /* threads that have not finished this round */
  bool ends;          /* these are read after a round was announced */
  fenv_t environment; /* the caller's rounding, denormals: the same bits */
  cg_work_fn fn;
  void *context;
  worker workers[];
};

static size_t bytes_of(int count) {
  return sizeof(cg_worker_pool) + sizeof(worker) * (size_t)count;
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/* ---- a worker ---- */

static void await_round(cg_worker_pool *p, unsigned seen) {
  for (int i = 0; i < LOOKS; i++) {
    if (atomic_load(&p->round) != seen) return;
    pause_briefly();
  }
  pthread_mutex_lock(&p->lock);
  while (atomic_load(&p->round) == seen)
    pthread_cond_wait(&p->announced, &p->lock);
  pthread_mutex_unlock(&p->lock);
}

static void finish(cg_worker_pool *p) {
  if (atomic_fetch_sub(&p->running, 1) != 1) return;
  pthread_mutex_lock(&p->lock);
  pthread_cond_signal(&p->finished);
  pthread_mutex_unlock(&p->lock);
}

static void *work(void *argument) {
  worker *w = argument;
  cg_worker_pool *p = w->pool;
  for (unsigned seen = 0;; seen++) {
    await_round(p, seen);
    if (p->ends) return NULL;
    fesetenv(&p->environment);
    p->fn(p->context, w->index);
    finish(p);
  }
}

/* ---- the caller ---- */

static void announce(cg_worker_pool *p) {
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->round, 1);
  pthread_cond_broadcast(&p->announced);
  pthread_mutex_unlock(&p->lock);
}

static void await_workers(cg_worker_pool *p) {
  for (int i = 0; i < LOOKS; i++) {
    if (atomic_load(&p->running) == 0) return;
    pause_briefly();
  }
  pthread_mutex_lock(&p->lock);
  while (atomic_load(&p->running) > 0)
    pthread_cond_wait(&p->finished, &p->lock);
  pthread_mutex_unlock(&p->lock);
}

void cg_worker_pool_run(cg_worker_pool *p, cg_work_fn fn, void *context) {
  p->fn = fn;
  p->context = context;
  fegetenv(&p->environment);
  atomic_store(&p->running, p->started);
  if (p->started) announce(p);
  fn(context, 0);
  if (p->started) await_workers(p);
}

/* Signals are the caller's: Ctrl-C must not end up in a worker. */
static bool start_threads(cg_worker_pool *p) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool ok = true;
  for (int i = 1; i < p->count && ok; i++) {
    worker *w = &p->workers[i];
    *w = (worker){.pool = p, .index = i};
    ok = pthread_create(&w->thread, NULL, work, w) == 0;
    p->started += ok;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return ok;
}

cg_worker_pool *cg_worker_pool_new(const cg_allocator *allocator, int count,
                                   cg_error *err) {
  const cg_allocator *a = allocator;
  cg_worker_pool *p = a->alloc(a->context, bytes_of(count));
  if (!p) {
    cg_error_set(err, CG_ERR_NOMEM, "worker_pool", "no memory for %d workers",
                 count);
    return NULL;
  }
  *p = (cg_worker_pool){.allocator = a, .count = count};
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->announced, NULL);
  pthread_cond_init(&p->finished, NULL);
  if (start_threads(p)) return p;
  cg_error_set(err, CG_ERR_STATE, "worker_pool",
               "the system starts no more than %d of %d threads", p->started,
               count - 1);
  cg_worker_pool_free(p);
  return NULL;
}

void cg_worker_pool_free(cg_worker_pool *p) {
  if (!p) return;
  p->ends = true;
  announce(p);
  for (int i = 1; i <= p->started; i++)
    pthread_join(p->workers[i].thread, NULL);
  pthread_cond_destroy(&p->finished);
  pthread_cond_destroy(&p->announced);
  pthread_mutex_destroy(&p->lock);
  p->allocator->release(p->allocator->context, p, bytes_of(p->count));
}
