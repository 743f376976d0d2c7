/* data_parallel.c - shards of a mini-batch, their threads, and the sum of their
 * gradients in the order of the shards; and the rest of a training step on the
 * same threads. */
#include <chronograd/data_parallel.h>

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "optim_impl.h"
#include "worker_pool.h"

enum { MAX_COUNT = 1024, LEAST_ROWS = 16, MOST_SHARDS = 4 };

/* Waking a thread takes some 50 microseconds, and all shards together should
 * take a few times that; so should adding their gradients. */
static const double worth_threads = 200e-6;

typedef struct shard {
  cg_tape *tape;
  cg_grads *grads;
  cg_tensor *seed; /* a leaf: the weight of the loss; NULL: it always was 1 */
  double loss, seconds;
  cg_status status;
} shard;

/* One call. */
typedef struct round_state {
  cg_shard_fn fn;
  void *context;
  int64_t batch;
  bool mean;
  int shards, workers;
  const cg_optimizer *optimizer;
  const cg_params *params;
} round_state;

struct cg_data_parallel {
  cg_data_parallel_config config;
  cg_worker_pool *pool;
  round_state round;
  /* What the last calls took, all workers together: shards, adding their
   * gradients, the optimizer's step, zeroing. */
  double seconds, adding, stepping, zeroing;
  int n_shards;
  shard shards[];
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- life ---- */

static cg_status check_count(const char *what, int count, cg_error *err) {
  if (count >= 0 && count <= MAX_COUNT) return CG_OK;
  return cg_error_set(err, CG_ERR_ARG, "data_parallel",
                      "%s is %d but must be 1 to %d, or 0 for the default",
                      what, count, MAX_COUNT);
}

static size_t bytes_of(int n_shards) {
  return sizeof(cg_data_parallel) + sizeof(shard) * (size_t)n_shards;
}

static bool make_shards(cg_data_parallel *p) {
  const cg_allocator *a = p->config.allocator;
  for (int i = 0; i < p->n_shards; i++) {
    p->shards[i].tape = cg_tape_new(&(cg_tape_options){.allocator = a});
    p->shards[i].grads = cg_grads_new(a);
    if (!p->shards[i].tape || !p->shards[i].grads) return false;
  }
  return true;
}

cg_data_parallel *cg_data_parallel_new(const cg_data_parallel_config *config,
                                       cg_error *err) {
  cg_data_parallel_config c = config ? *config : (cg_data_parallel_config){0};
  if (check_count("n_threads", c.n_threads, err) ||
      check_count("n_shards", c.n_shards, err))
    return NULL;
  if (!c.n_threads) c.n_threads = 1;
  if (!c.allocator) c.allocator = cg_allocator_default();
  int n = c.n_shards ? c.n_shards : MOST_SHARDS;
  if (c.n_threads > n) c.n_threads = n;
  cg_data_parallel *p = c.allocator->alloc(c.allocator->context, bytes_of(n));
  if (!p) {
    cg_error_set(err, CG_ERR_NOMEM, "data_parallel", NULL);
    return NULL;
  }
  memset(p, 0, bytes_of(n));
  p->config = c;
  p->n_shards = n;
  p->seconds = p->adding = p->stepping = p->zeroing = INFINITY;
  bool made = make_shards(p);
  if (!made) cg_error_set(err, CG_ERR_NOMEM, "data_parallel", NULL);
  if (made) p->pool = cg_worker_pool_new(c.allocator, c.n_threads, err);
  if (p->pool) return p;
  cg_data_parallel_free(p);
  return NULL;
}

void cg_data_parallel_free(cg_data_parallel *p) {
  if (!p) return;
  cg_worker_pool_free(p->pool);
  for (int i = 0; i < p->n_shards; i++) {
    cg_tape_free(p->shards[i].tape);
    cg_grads_free(p->shards[i].grads);
    cg_leaf_free(p->shards[i].seed);
  }
  const cg_allocator *a = p->config.allocator;
  a->release(a->context, p, bytes_of(p->n_shards));
}

/* ---- looking ---- */

cg_tape *cg_data_parallel_tape(const cg_data_parallel *p, int i) {
  return p && i >= 0 && i < p->n_shards ? p->shards[i].tape : NULL;
}

int cg_data_parallel_shards(const cg_data_parallel *p, int64_t batch) {
  if (!p || batch < 1) return 0;
  int n = p->config.n_shards;
  if (!n)
    for (n = MOST_SHARDS; n > 1 && batch < (int64_t)n * LEAST_ROWS;) n /= 2;
  return batch < n ? (int)batch : n;
}

/* ---- one shard ---- */

/* The first row of shard i; that of shard `count` is the batch's end. */
static int64_t row_of(const round_state *r, int i) {
  return r->batch / r->shards * i + r->batch % r->shards * i / r->shards;
}

static void fail_shape(cg_tape *tape, const cg_tensor *loss) {
  char shape[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "data_parallel",
               "the loss of a shard has one element, not the shape %s",
               cg_tensor_shape_text(loss, shape, sizeof shape));
}

/* w in a tensor like the loss: a leaf, so that a tape that is replayed does not
 * grow. It is never freed before the tape, which remembers it; a later loss of
 * another kind gets a constant. NULL after an error. */
static cg_tensor *seed_of(const cg_data_parallel *p, shard *s,
                          const cg_tensor *loss, double w) {
  const cg_dtype dtype = cg_tensor_dtype(loss);
  const int rank = cg_tensor_rank(loss);
  const double value = dtype == CG_F32 ? (double)(float)w : w;
  cg_error err = {0};
  if (!s->seed)
    s->seed = cg_leaf_new(p->config.allocator, dtype, rank,
                          cg_tensor_shape(loss), &err);
  if (!s->seed)
    return cg_tape_fail(s->tape, err.status, "data_parallel", "%s",
                        err.message);
  if (cg_tensor_dtype(s->seed) != dtype || cg_tensor_rank(s->seed) != rank)
    return cg_full(s->tape, dtype, rank, cg_tensor_shape(loss), w);
  if (cg_tensor_item(s->seed) != value) cg_leaf_fill(s->seed, value);
  return s->seed;
}

/* Adds the gradient of w L_s to the shard's own. */
static void walk(const cg_data_parallel *p, shard *s, cg_tensor *loss,
                 double w) {
  if (cg_tensor_numel(loss) != 1) {
    fail_shape(s->tape, loss);
    return;
  }
  cg_tensor *seed = w != 1 ? seed_of(p, s, loss, w) : NULL;
  if (w == 1 || seed)
    cg_backward_into(s->tape, &loss, &seed, 1, s->grads);
  if (!cg_tape_status(s->tape)) s->loss = w * cg_tensor_item(loss);
}

static void run_shard(cg_data_parallel *p, int i) {
  const round_state *r = &p->round;
  shard *s = &p->shards[i];
  cg_shard part = {.index = i, .count = r->shards, .begin = row_of(r, i)};
  part.rows = row_of(r, i + 1) - part.begin;
  double begin = now();
  cg_grads_zero(s->grads);
  cg_tensor *loss = r->fn(s->tape, &part, r->context);
  if (!loss)
    cg_tape_fail(s->tape, CG_ERR_ARG, "data_parallel",
                 "the loss of shard %d is NULL", i);
  else if (!cg_tape_status(s->tape))
    walk(p, s, loss, r->mean ? (double)part.rows / (double)r->batch : 1);
  s->status = cg_tape_status(s->tape);
  s->seconds = now() - begin;
}

/* ---- all of them ---- */

static void run_shards(void *context, int worker) {
  cg_data_parallel *p = context;
  for (int i = worker; i < p->round.shards; i += p->round.workers)
    run_shard(p, i);
}

/* Adds this worker's part of all gradients, in the order of the shards. */
static void add_gradients(void *context, int worker) {
  cg_data_parallel *p = context;
  for (int i = 0; i < p->round.shards && worker < p->round.workers; i++)
    cg_grads_add_part(p->shards[i].grads, worker, p->round.workers);
}

static void on_workers(cg_data_parallel *p, cg_work_fn fn) {
  if (p->round.workers > 1)
    cg_worker_pool_run(p->pool, fn, p);
  else
    fn(p, 0);
}

/* A little is done before a worker that fell asleep would be awake. */
static void share_out(cg_data_parallel *p, cg_work_fn fn, double *seconds) {
  if (*seconds < worth_threads) p->round.workers = 1;
  double begin = now();
  on_workers(p, fn);
  *seconds = (now() - begin) * p->round.workers;
}

/* The failure of the first shard that failed, and all shards' time. */
static cg_status collect(cg_data_parallel *p, double *loss, cg_error *err) {
  double sum = 0;
  p->seconds = 0;
  for (int i = 0; i < p->round.shards; i++) {
    const shard *s = &p->shards[i];
    if (s->status && err) *err = *cg_tape_error(s->tape);
    if (s->status) return s->status;
    sum += s->loss;
    p->seconds += s->seconds;
  }
  *loss = sum;
  return CG_OK;
}

/* All can be added before any is. */
static cg_status begin_adding(cg_data_parallel *p, cg_error *err) {
  for (int i = 0; i < p->round.shards; i++) {
    cg_status status = cg_grads_add_begin(p->shards[i].grads);
    if (status)
      return cg_error_set(err, status, "data_parallel",
                          "the gradients of shard %d: %s", i,
                          cg_status_sentence(status));
  }
  return CG_OK;
}

static cg_status check_call(const cg_data_parallel *p, int64_t batch,
                            cg_reduction over_batch, cg_shard_fn fn,
                            cg_error *err) {
  const char *name = "data_parallel";
  if (!p || !fn)
    return cg_error_set(err, CG_ERR_ARG, name, "%s is NULL",
                        p ? "the function" : "the first argument");
  if (batch < 1)
    return cg_error_set(err, CG_ERR_ARG, name,
                        "a batch of %" PRId64 " rows; it needs 1 or more",
                        batch);
  if (over_batch == CG_REDUCE_SUM || over_batch == CG_REDUCE_MEAN) return CG_OK;
  return cg_error_set(err, CG_ERR_ARG, name,
                      "losses of shards are sums or means over the batch");
}

cg_status cg_data_parallel_backward(cg_data_parallel *p, int64_t batch,
                                    cg_reduction over_batch, cg_shard_fn fn,
                                    void *context, double *loss,
                                    cg_error *err) {
  cg_status status = check_call(p, batch, over_batch, fn, err);
  if (status) return status;
  int n = cg_data_parallel_shards(p, batch);
  int workers = p->seconds < worth_threads ? 1 : p->config.n_threads;
  p->round = (round_state){.fn = fn,
                           .context = context,
                           .batch = batch,
                           .mean = over_batch == CG_REDUCE_MEAN,
                           .shards = n,
                           .workers = workers < n ? workers : n};
  on_workers(p, run_shards);
  double sum;
  status = collect(p, &sum, err);
  if (!status) status = begin_adding(p, err);
  if (status) return status;
  share_out(p, add_gradients, &p->adding);
  if (loss) *loss = sum;
  return CG_OK;
}

/* ---- the rest of a training step ---- */

/* To be written to, or NULL. */
static cg_tensor *gradient_at(const cg_params *params, int i) {
  return (cg_tensor *)(uintptr_t)cg_tensor_grad(cg_params_at(params, i));
}

/* Sets this worker's part of g to zero. Only one thread may touch g. */
static void zero_part(const cg_tensor *g, int worker, int workers) {
  int64_t n = cg_tensor_numel(g), begin = cg_part_begin(n, worker, workers);
  int64_t count = cg_part_begin(n, worker + 1, workers) - begin;
  size_t size = cg_dtype_size(cg_tensor_dtype(g));
  memset((char *)(uintptr_t)cg_tensor_data(g) + (size_t)begin * size, 0,
         (size_t)count * size);
}

static void zero_gradients(void *context, int worker) {
  const round_state *r = &((const cg_data_parallel *)context)->round;
  for (int i = 0; i < cg_params_count(r->params); i++) {
    const cg_tensor *g = gradient_at(r->params, i);
    if (g) zero_part(g, worker, r->workers);
  }
}

void cg_data_parallel_zero_grad(cg_data_parallel *p, cg_params *params) {
  if (!p || !params) {
    cg_params_zero_grad(params);
    return;
  }
  for (int i = 0; i < cg_params_count(params); i++)
    cg_leaf_touch(gradient_at(params, i));
  p->round = (round_state){.workers = p->config.n_threads, .params = params};
  share_out(p, zero_gradients, &p->zeroing);
}

static void update_parameters(void *context, int worker) {
  const cg_data_parallel *p = context;
  cg_optim_part(p->round.optimizer, worker, p->round.workers);
}

cg_status cg_data_parallel_step(cg_data_parallel *p, cg_optimizer *optimizer,
                                cg_error *err) {
  if (!p)
    return cg_error_set(err, CG_ERR_ARG, "data_parallel",
                        "the first argument is NULL");
  cg_status status = cg_optim_begin(optimizer, err);
  if (status) return status;
  p->round = (round_state){.workers = p->config.n_threads,
                           .optimizer = optimizer};
  share_out(p, update_parameters, &p->stepping);
  return CG_OK;
}
