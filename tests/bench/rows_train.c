/* rows_train.c - a train step: forward, cross-entropy at every step, full BPTT,
 * SGD, on V = 65 symbols. */
#include <chronograd/nn.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

static const char *const cell_names[] = {"rnn", "lstm", "gru"};

static void name_row(const train_shape *s, char *row, size_t size) {
  char layers[16] = "";
  if (s->layers > 1) snprintf(layers, sizeof layers, " L%d", s->layers);
  snprintf(row, size, "train %s H%d%s B%d T%d%s", cell_names[s->cell],
           (int)s->H, layers, (int)s->B, (int)s->T,
           s->dtype == CG_F64 ? " f64" : "");
}

static void step(void *state) { train_job_step(state); }

static void row(train_shape s) {
  char name[64], torch[96];
  name_row(&s, name, sizeof name);
  if (!bench_wanted(name)) return;
  snprintf(torch, sizeof torch, "train %s %d %d %d %d %d %s",
           cell_names[s.cell], s.layers, (int)s.H, (int)s.B, (int)s.T,
           TRAIN_SYMBOLS, cg_dtype_name(s.dtype));
  train_job *j = train_job_new(&s);
  bench_measure(&(bench_case){
      .row = name, .unit = "ms", .scale = 1e3,
      .bound = s.dtype == CG_F64 ? BOUND_F64 : BOUND_F32,
      .work = train_flops(&s), .run = step, .state = j, .torch = torch});
  size_t before = train_job_allocs(j);
  step(j);
  if (train_job_allocs(j) != before)
    bench_note("%zu calls of the system's allocator in a warm step",
               train_job_allocs(j) - before);
  train_job_free(j);
}

/* The shapes of the table. */
static const train_shape shapes[] = {
    {.cell = CG_CELL_RNN, .layers = 1, .T = 25, .B = 1, .H = 100},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 64, .B = 32, .H = 128},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 64, .B = 32, .H = 256},
    {.cell = CG_CELL_RNN, .layers = 1, .T = 50, .B = 50, .H = 512},
    {.cell = CG_CELL_LSTM, .layers = 2, .T = 50, .B = 50, .H = 128},
    {.cell = CG_CELL_LSTM, .layers = 2, .T = 50, .B = 50, .H = 512},
    {.cell = CG_CELL_GRU, .layers = 1, .T = 64, .B = 32, .H = 256},
};

enum { SHAPES = sizeof shapes / sizeof *shapes, IN_F64 = 4 };

void rows_train(void) {
  for (int i = 0; i < SHAPES; i++) row(shapes[i]);
  for (int i = 0; i < IN_F64; i++) {
    train_shape s = shapes[i];
    s.dtype = CG_F64;
    row(s);
  }
}

/* Long sequences, whose cost per step must not depend on their length. */
static void long_row(int64_t T) {
  char name[64];
  snprintf(name, sizeof name, "long rnn H8 B1 T%d", (int)T);
  if (!bench_wanted(name)) return;
  train_shape s = {.cell = CG_CELL_RNN, .layers = 1, .T = T, .B = 1, .H = 8};
  train_job *j = train_job_new(&s);
  bench_measure(&(bench_case){.row = name, .unit = "us/step",
                              .scale = 1e6 / (double)T, .run = step,
                              .state = j});
  train_job_free(j);
}

void rows_long(void) {
  int64_t longest = bench_quick() ? 10000 : 100000;
  for (int64_t T = 1000; T <= longest; T *= 10) long_row(T);
}
