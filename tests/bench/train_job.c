/* train_job.c - a recurrent net under training. */
#include "train_job.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { V = TRAIN_SYMBOLS };

struct train_job {
  train_shape shape;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_optimizer *sgd;
  cg_tape *tape;
  cg_tensor *loss; /* replayed: of the first step on */
  cg_data_parallel *parallel;
  void *x;
  int64_t *y;
};

int train_gates(cg_cell_kind cell) {
  static const int gates[CG_CELL_COUNT] = {
      [CG_CELL_RNN] = 1, [CG_CELL_LSTM] = 4, [CG_CELL_GRU] = 3};
  return gates[cell];
}

double train_flops(const train_shape *s) {
  double T = (double)s->T, B = (double)s->B, H = (double)s->H;
  double rows = train_gates(s->cell) * H, sum = 3 * T * B * 2 * H * V;
  for (int k = 0; k < s->layers; k++) {
    sum += k ? 3 * T * B * 2 * rows * H : 2 * T * B * 2 * rows * V;
    sum += (T + (T - 1) + T) * B * 2 * rows * H;
  }
  return sum;
}

static void set(const train_job *j, size_t i) {
  if (j->shape.dtype == CG_F64)
    ((double *)j->x)[i] = 1;
  else
    ((float *)j->x)[i] = 1;
}

/* Dense one-hot inputs and their targets. */
static void make_data(train_job *j, cg_rng *rng) {
  size_t n = (size_t)(j->shape.T * j->shape.B);
  j->x = calloc(n * V, cg_dtype_size(j->shape.dtype));
  j->y = malloc(n * sizeof *j->y);
  bench_check(j->x && j->y, "no memory");
  for (size_t i = 0; i < n; i++) {
    set(j, i * V + (size_t)cg_rng_below(rng, V));
    j->y[i] = cg_rng_below(rng, V);
  }
}

train_job *train_job_new(const train_shape *shape) {
  train_job *j = calloc(1, sizeof *j);
  bench_check(j, "no memory");
  j->shape = *shape;
  cg_rng rng = cg_rng_seed(7);
  cg_error err = {0};
  cg_rnn_config rnn = {.cell = shape->cell, .custom = shape->custom,
                       .input_size = V,
                       .hidden_size = shape->H, .num_layers = shape->layers};
  cg_linear_config fc = {.in_features = shape->H, .out_features = V};
  cg_sgd_config sgd = {.lr = 0.01};
  j->params = cg_params_new(NULL, shape->dtype, &err);
  j->rnn = j->params ? cg_rnn_new(j->params, "rnn", &rnn, &rng, &err) : NULL;
  j->fc = j->rnn ? cg_linear_layer_new(j->params, "fc", &fc, &rng, &err) : NULL;
  j->sgd = j->fc ? cg_sgd_new(j->params, &sgd, &err) : NULL;
  j->tape = cg_tape_new(NULL);
  bench_check(j->sgd && j->tape, err.message);
  cg_data_parallel_config threads = {.n_threads = shape->threads};
  if (shape->threads) {
    j->parallel = cg_data_parallel_new(&threads, &err);
    bench_check(j->parallel, err.message);
  }
  make_data(j, &rng);
  return j;
}

void train_job_free(train_job *j) {
  free(j->x);
  free(j->y);
  cg_data_parallel_free(j->parallel);
  cg_tape_free(j->tape);
  cg_optimizer_free(j->sgd);
  cg_params_free(j->params);
  free(j);
}

/* The mean loss of some rows of the batch. */
static cg_tensor *loss_of(cg_tape *t, const cg_shard *rows, void *context) {
  const train_job *j = context;
  const train_shape *s = &j->shape;
  cg_tape_reset(t);
  cg_tensor *x = cg_borrow(t, s->dtype, CG_DIMS(s->T, s->B, V), j->x);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(s->T, s->B), j->y);
  if (rows) {
    x = cg_narrow(t, x, 1, rows->begin, rows->rows);
    y = cg_narrow(t, y, 1, rows->begin, rows->rows);
  }
  cg_tensor *h =
      cg_rnn_forward_from(t, j->rnn, x, (cg_rnn_state){0}, NULL).h;
  return cg_cross_entropy_loss(t, cg_linear_layer_forward(t, j->fc, h), y,
                               CG_REDUCE_MEAN, CG_REDUCE_MEAN);
}

/* Forward: recorded anew, or replayed. */
static cg_tensor *forward(train_job *j) {
  if (!j->shape.replayed) return loss_of(j->tape, NULL, j);
  if (j->loss)
    cg_tape_replay(j->tape);
  else
    j->loss = loss_of(j->tape, NULL, j);
  return j->loss;
}

static void step_in_shards(train_job *j) {
  cg_error err = {0};
  cg_data_parallel_zero_grad(j->parallel, j->params);
  cg_status status = cg_data_parallel_backward(
      j->parallel, j->shape.B, CG_REDUCE_MEAN, loss_of, j, NULL, &err);
  if (!status) status = cg_data_parallel_step(j->parallel, j->sgd, &err);
  bench_check(!status, err.message);
}

void train_job_step(train_job *j) {
  if (j->parallel) {
    step_in_shards(j);
    return;
  }
  cg_tensor *loss = forward(j);
  bench_check(!cg_backward_anew(j->tape, loss),
              cg_tape_error(j->tape)->message);
  bench_check(!cg_optimizer_step(j->sgd, NULL), "the optimizer failed");
}

bool train_job_same(const train_job *a, const train_job *b) {
  for (int i = 0; i < cg_params_count(a->params); i++) {
    const cg_tensor *x = cg_params_at(a->params, i);
    size_t bytes = (size_t)cg_tensor_numel(x) * cg_dtype_size(a->shape.dtype);
    if (memcmp(cg_tensor_data(x), cg_tensor_data(cg_params_at(b->params, i)),
               bytes))
      return false;
  }
  return true;
}

size_t train_job_allocs(const train_job *j) {
  return cg_tape_get_stats(j->tape).system_allocs;
}
