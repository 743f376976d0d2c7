/* train_job.c - a recurrent net under training. */
#include "train_job.h"

#include <stdlib.h>

#include "bench.h"

enum { V = TRAIN_SYMBOLS };

struct train_job {
  train_shape shape;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_optimizer *sgd;
  cg_tape *tape;
  void *x;
  int64_t *y;
};

double train_flops(const train_shape *s) {
  static const double gates[CG_CELL_COUNT] = {
      [CG_CELL_RNN] = 1, [CG_CELL_LSTM] = 4, [CG_CELL_GRU] = 3};
  double T = (double)s->T, B = (double)s->B, H = (double)s->H;
  double rows = gates[s->cell] * H, sum = 3 * T * B * 2 * H * V;
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
  make_data(j, &rng);
  return j;
}

void train_job_free(train_job *j) {
  free(j->x);
  free(j->y);
  cg_tape_free(j->tape);
  cg_optimizer_free(j->sgd);
  cg_params_free(j->params);
  free(j);
}

void train_job_step(train_job *j) {
  const train_shape *s = &j->shape;
  cg_tape *t = j->tape;
  cg_tape_reset(t);
  cg_tensor *x = cg_borrow(t, s->dtype, CG_DIMS(s->T, s->B, V), j->x);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(s->T, s->B), j->y);
  cg_tensor *h =
      cg_rnn_forward_from(t, j->rnn, x, (cg_rnn_state){0}, NULL).h;
  cg_tensor *loss =
      cg_cross_entropy_loss(t, cg_linear_layer_forward(t, j->fc, h), y,
                            CG_REDUCE_MEAN, CG_REDUCE_MEAN);
  cg_params_zero_grad(j->params);
  bench_check(!cg_backward(t, loss), cg_tape_error(t)->message);
  bench_check(!cg_optimizer_step(j->sgd, NULL), "the optimizer failed");
}

size_t train_job_allocs(const train_job *j) {
  return cg_tape_get_stats(j->tape).system_allocs;
}
