/* rows_stream.c - inference as symbols come in: one example, step by step,
 * with a softmax head; the tape does not grow. Each step is recorded anew, or
 * the first one is replayed with its state in memory of the caller's. */
#include <chronograd/nn.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

enum { V = TRAIN_SYMBOLS, STEPS = 16 };

typedef struct job {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  cg_mark start;
  cg_rnn_state state;
  float x[V]; /* one-hot, densely */
  const float *probability;
  float *from[CG_CELL_MAX_STATES]; /* replayed: what a step reads, */
  const float *next[CG_CELL_MAX_STATES]; /* and what it makes of that */
  size_t bytes;                          /* of each */
  double sum; /* of what the softmax says, so that it is looked at */
} job;

static void forward(job *j) {
  cg_tape *t = j->tape;
  cg_tensor *x = cg_borrow(t, CG_F32, CG_DIMS(1, V), j->x);
  j->state = cg_rnn_step_from(t, j->rnn, x, j->state);
  cg_tensor *h = cg_select(t, j->state.h, 0, -1);
  cg_tensor *p = cg_softmax(t, cg_linear_layer_forward(t, j->fc, h), -1);
  j->probability = cg_tensor_data(p);
  bench_check(j->probability, cg_tape_error(t)->message);
  j->sum += (double)j->probability[0];
}

static void step(job *j) {
  forward(j);
  bench_check(!cg_rnn_state_keep(j->tape, j->start, &j->state),
              "the state is lost");
}

static void run(void *state) {
  for (int i = 0; i < STEPS; i++) step(state);
}

/* The first step, from memory that the replays read. */
static void record_first(job *j, cg_cell_kind cell, int64_t H) {
  const int states = cell == CG_CELL_LSTM ? 2 : 1;
  cg_tensor *first[CG_CELL_MAX_STATES] = {NULL};
  cg_tape_reset(j->tape);
  j->bytes = (size_t)H * sizeof(float);
  for (int s = 0; s < states; s++) {
    j->from[s] = calloc((size_t)H, sizeof(float));
    bench_check(j->from[s], "no memory");
    first[s] = cg_borrow(j->tape, CG_F32, CG_DIMS(1, 1, H), j->from[s]);
  }
  j->state = (cg_rnn_state){first[0], first[1]};
  forward(j);
  j->next[0] = cg_tensor_data(j->state.h);
  if (j->state.c) j->next[1] = cg_tensor_data(j->state.c);
}

static void run_replayed(void *state) {
  job *j = state;
  for (int i = 0; i < STEPS; i++) {
    for (int s = 0; s < CG_CELL_MAX_STATES && j->from[s]; s++)
      memcpy(j->from[s], j->next[s], j->bytes);
    bench_check(!cg_tape_replay(j->tape), cg_tape_error(j->tape)->message);
    j->sum += (double)j->probability[0];
  }
}

static void begin(job *j, cg_cell_kind cell, int64_t H) {
  cg_rng rng = cg_rng_seed(7);
  cg_error err = {0};
  cg_rnn_config rnn = {.cell = cell, .input_size = V, .hidden_size = H};
  cg_linear_config fc = {.in_features = H, .out_features = V};
  j->params = cg_params_new(NULL, CG_F32, &err);
  j->rnn = j->params ? cg_rnn_new(j->params, "rnn", &rnn, &rng, &err) : NULL;
  j->fc = j->rnn ? cg_linear_layer_new(j->params, "fc", &fc, &rng, &err) : NULL;
  j->tape = cg_tape_new(NULL);
  bench_check(j->fc && j->tape, err.message);
  j->x[17] = 1;
  cg_tape_set_recording(j->tape, false);
  forward(j); /* from now on the tape knows the parameters */
  j->start = cg_tape_mark(j->tape);
}

/* A step reads every weight once. */
static double bytes_read(cg_cell_kind cell, int64_t H) {
  return 4.0 * (double)(train_gates(cell) * H * (V + H) + V * H);
}

static void measure(job *j, const char *name, const char *torch, double bytes,
                    void (*runs)(void *)) {
  runs(j);
  size_t held = cg_tape_get_stats(j->tape).bytes_held;
  bench_measure(&(bench_case){.row = name, .unit = "us/step",
                              .scale = 1e6, .bound = BOUND_READ,
                              .work = bytes, .run = runs, .state = j,
                              .per_run = STEPS, .torch = torch});
  bench_check(cg_tape_get_stats(j->tape).bytes_held == held, "the tape grew");
}

static void row(cg_cell_kind cell, const char *cell_name, int64_t H) {
  char name[64], replayed[80], torch[64];
  snprintf(name, sizeof name, "stream %s H%d", cell_name, (int)H);
  snprintf(replayed, sizeof replayed, "%s, replayed", name);
  if (!bench_wanted(name) && !bench_wanted(replayed)) return;
  snprintf(torch, sizeof torch, "stream %s %d %d", cell_name, (int)H, V);
  job j = {0};
  begin(&j, cell, H);
  if (bench_wanted(name)) measure(&j, name, torch, bytes_read(cell, H), run);
  record_first(&j, cell, H);
  if (bench_wanted(replayed))
    measure(&j, replayed, torch, bytes_read(cell, H), run_replayed);
  for (int s = 0; s < CG_CELL_MAX_STATES; s++) free(j.from[s]);
  cg_tape_free(j.tape);
  cg_params_free(j.params);
}

void rows_stream(void) {
  row(CG_CELL_RNN, "rnn", 128);
  row(CG_CELL_RNN, "rnn", 512);
  row(CG_CELL_LSTM, "lstm", 128);
  row(CG_CELL_LSTM, "lstm", 512);
}
