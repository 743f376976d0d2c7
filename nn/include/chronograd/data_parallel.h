/* data_parallel.h - the gradient of a mini-batch on several threads.
 *
 * The batch is split into shards. Each shard has a tape and a home for its
 * gradients of its own; threads take the shards, and when all are done, the
 * gradients are added to the parameters' in the order of the shards. How the
 * batch is split depends on the batch and the configuration, never on the
 * number of threads: one thread, two or four give the same bits.
 *
 *     typedef struct job { cg_rnn *rnn; const float *x; ... } job;
 *
 *     cg_tensor *shard_loss(cg_tape *tape, const cg_shard *s, void *context) {
 *       job *j = context;
 *       cg_tape_reset(tape);
 *       cg_tensor *x = ... rows s->begin to s->begin + s->rows of the batch ...
 *       return cg_cross_entropy_loss(tape, ..., CG_REDUCE_MEAN,
 *                                    CG_REDUCE_MEAN);
 *     }
 *
 *     cg_data_parallel_zero_grad(parallel, params);
 *     cg_data_parallel_backward(parallel, B, CG_REDUCE_MEAN, shard_loss, &j,
 *                               &loss, &err);
 *     cg_data_parallel_step(parallel, optimizer, &err);
 */
#ifndef CHRONOGRAD_DATA_PARALLEL_H
#define CHRONOGRAD_DATA_PARALLEL_H

#include <chronograd/engine.h>
#include <chronograd/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Threads and tapes; the members are the library's own. */
typedef struct cg_data_parallel cg_data_parallel;

/* How many; unset fields have the defaults named. */
typedef struct cg_data_parallel_config {
  int n_threads; /* the caller's included; unset: 1 */
  int n_shards;  /* how many at most; unset: 2 from 32 rows on and 4 from 64 on,
                    so that a shard has 16 rows or more; else 1. More shards
                    than threads keep the bits for a machine with more cores */
  const cg_allocator *allocator; /* called from several threads at once; unset:
                                    the C library's heap */
} cg_data_parallel_config;

/* A part of the batch. */
typedef struct cg_shard {
  int index, count;    /* this is shard `index` of `count` */
  int64_t begin, rows; /* its rows of the batch */
} cg_shard;

/* Records the loss of one shard, a float tensor with one element, and returns
 * it; NULL after an error, which is on the tape. Called from any thread, and
 * for several shards at once: it reads what is shared and writes only what
 * belongs to the shard. The tape is that shard's in every call, and the
 * function rewinds it: a state carried from window to window stays on it
 * (cg_rnn_state_keep). Or it replays what it recorded in its first call
 * (cg_tape_replay). */
typedef cg_tensor *(*cg_shard_fn)(cg_tape *tape, const cg_shard *shard,
                                  void *context);

/* NULL on an error: a count below 0 or above 1024 (ARG), NOMEM, or threads that
 * can't be started (STATE). The caller frees it. */
CG_API cg_data_parallel *cg_data_parallel_new(
    const cg_data_parallel_config *config, cg_error *err);
/* Ends the threads and frees the tapes. NULL is fine. */
CG_API void cg_data_parallel_free(cg_data_parallel *parallel);

/* The tape of shard number `shard`, or NULL. */
CG_API cg_tape *cg_data_parallel_tape(const cg_data_parallel *parallel,
                                      int shard);

/* Into how many shards a batch is split. */
CG_API int cg_data_parallel_shards(const cg_data_parallel *parallel,
                                   int64_t batch);

/* Calls `fn` for each shard of a batch of that many rows, and adds the gradient
 * of L = sum_s w_s L_s to the leaves; L_s is the loss of shard s, w_s = 1 if
 * losses are sums over the batch (CG_REDUCE_SUM), and rows_s / batch if they
 * are means (CG_REDUCE_MEAN). *loss (may be NULL) becomes L. Work too small to
 * be worth a second thread is done in the caller's. On an error nothing is
 * added; err describes the failure of the first shard that failed. */
CG_API cg_status cg_data_parallel_backward(cg_data_parallel *parallel,
                                           int64_t batch,
                                           cg_reduction over_batch,
                                           cg_shard_fn fn, void *context,
                                           double *loss, cg_error *err);

/* cg_params_zero_grad on the same threads, which is worth while for large nets
 * only: what took 0.2 ms or less the last time is done in the caller's, and so
 * is all if `parallel` is NULL. NULL parameters are fine. */
CG_API void cg_data_parallel_zero_grad(cg_data_parallel *parallel,
                                       cg_params *params);

/* cg_optimizer_step on the same threads, likewise, with the same bits and
 * errors; ARG if `parallel` is NULL. */
CG_API cg_status cg_data_parallel_step(cg_data_parallel *parallel,
                                       cg_optimizer *optimizer, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
