/* rows_train.c - a train step: forward, cross-entropy, full BPTT, SGD, with
 * dense one-hot inputs of V = 65 symbols; and long sequences, whose cost per
 * step must not depend on their length. */
#include <chronograd/nn.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { V = 65 };

typedef struct job {
  int64_t T, B, H;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_optimizer *sgd;
  cg_tape *tape;
  float *x;
  int64_t *y;
} job;

/* Multiplications and additions of one step, counted exactly: no gradient of
 * the input is computed, nor of the zero state before the first step. */
static double flops(const job *j) {
  double T = (double)j->T, B = (double)j->B, H = (double)j->H;
  double input = 2 * V * H, recurrent = 2 * H * H, output = 2 * H * V;
  return T * B * (2 * input + 3 * output) +
         B * recurrent * (T + (T - 1) + T);
}

static void make_data(job *j, cg_rng *rng) {
  size_t n = (size_t)(j->T * j->B);
  j->x = calloc(n * V, sizeof *j->x);
  j->y = malloc(n * sizeof *j->y);
  bench_check(j->x && j->y, "no memory");
  for (size_t i = 0; i < n; i++) {
    j->x[i * V + (size_t)cg_rng_below(rng, V)] = 1;
    j->y[i] = cg_rng_below(rng, V);
  }
}

static void begin(job *j) {
  cg_rng rng = cg_rng_seed(7);
  cg_error err;
  cg_rnn_config rnn = {.input_size = V, .hidden_size = j->H};
  cg_linear_config fc = {.in_features = j->H, .out_features = V};
  cg_sgd_config sgd = {.lr = 0.01};
  j->params = cg_params_new(NULL, CG_F32, &err);
  j->rnn = j->params ? cg_rnn_new(j->params, "rnn", &rnn, &rng, &err) : NULL;
  j->fc = j->rnn ? cg_linear_layer_new(j->params, "fc", &fc, &rng, &err) : NULL;
  j->sgd = j->fc ? cg_sgd_new(j->params, &sgd, &err) : NULL;
  j->tape = cg_tape_new(NULL);
  bench_check(j->sgd && j->tape, "no memory");
  make_data(j, &rng);
}

static void end(job *j) {
  free(j->x);
  free(j->y);
  cg_tape_free(j->tape);
  cg_optimizer_free(j->sgd);
  cg_params_free(j->params);
}

static void run(void *state) {
  job *j = state;
  cg_tape *t = j->tape;
  cg_tape_reset(t);
  cg_tensor *x = cg_borrow(t, CG_F32, CG_DIMS(j->T, j->B, V), j->x);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(j->T, j->B), j->y);
  cg_tensor *h = cg_rnn_forward(t, j->rnn, x, NULL).h;
  cg_tensor *loss =
      cg_cross_entropy_loss(t, cg_linear_layer_forward(t, j->fc, h), y,
                            CG_REDUCE_MEAN, CG_REDUCE_MEAN);
  cg_params_zero_grad(j->params);
  bench_check(!cg_backward(t, loss), cg_tape_error(t)->message);
  bench_check(!cg_optimizer_step(j->sgd, NULL), "the optimizer failed");
}

static void row(int64_t T, int64_t B, int64_t H, int repetitions) {
  char name[64];
  snprintf(name, sizeof name, "rnn H%d B%d T%d", (int)H, (int)B, (int)T);
  if (!bench_wanted(name)) return;
  job j = {.T = T, .B = B, .H = H};
  begin(&j);
  bench_measure(&(bench_case){name, "ms", 1e3, flops(&j), run, &j,
                              repetitions});
  size_t before = cg_tape_get_stats(j.tape).system_allocs;
  run(&j);
  bench_note("%zu calls of the system's allocator in a warm step",
             cg_tape_get_stats(j.tape).system_allocs - before);
  end(&j);
}

static void long_row(int64_t T) {
  char name[64];
  snprintf(name, sizeof name, "long rnn H8 B1 T%d", (int)T);
  if (!bench_wanted(name)) return;
  job j = {.T = T, .B = 1, .H = 8};
  begin(&j);
  bench_measure(&(bench_case){name, "us/step", 1e6 / (double)T, 0, run, &j,
                              T > 10000 ? 7 : 30});
  end(&j);
}

void rows_train(void) {
  row(25, 1, 100, 500);
  row(64, 32, 128, 200);
  row(64, 32, 256, 60);
  row(50, 50, 512, 20);
}

void rows_long(void) {
  for (int64_t T = 1000; T <= 100000; T *= 10) long_row(T);
}
