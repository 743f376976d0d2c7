/* rows_train.c - a train step: forward, cross-entropy at every step, full BPTT,
 * SGD, on V = 65 symbols. */
#include <chronograd/nn.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

static void step(void *state) { train_job_step(state); }

static void row(train_shape s) {
  char name[64], torch[96];
  train_name(&s, name, sizeof name);
  if (!bench_wanted(name)) return;
  snprintf(torch, sizeof torch, "train %s %d %d %d %d %d %s",
           train_cell_name(s.cell), s.layers, (int)s.H, (int)s.B, (int)s.T,
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

/* Before the first row of float64, and those where recording counts. */
enum { IN_F64 = 4, REPLAYED = 2 };

void rows_train(void) {
  for (int i = 0; i < train_shape_count; i++) row(train_shapes[i]);
  for (int i = 0; i < REPLAYED; i++) {
    train_shape s = train_shapes[i];
    s.replayed = true;
    row(s);
  }
  for (int i = 0; i < IN_F64; i++) {
    train_shape s = train_shapes[i];
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
