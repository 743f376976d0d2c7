/* rows_cell.c - what a cell of a user's own costs: the simple cell and the LSTM
 * written once more, from public headers, beside the library's; and the LSTM
 * from elementary ops, instead of one for all its gates. */
#include <chronograd/nn.h>

#include <stdio.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

enum { W_IH, W_HH, BIAS };

static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  return cg_linear(tape, x, a->w[W_IH], a->w[BIAS]);
}

static cg_tensor *rnn_step(cg_tape *tape, const cg_cell_args *a,
                           cg_tensor *xp_t, cg_tensor **state) {
  state[0] = cg_tanh(
      tape, cg_addmm(tape, xp_t, state[0], a->w[W_HH], false, true));
  return NULL;
}

static cg_tensor *lstm_step(cg_tape *tape, const cg_cell_args *a,
                            cg_tensor *xp_t, cg_tensor **state) {
  cg_tensor *z = cg_addmm(tape, xp_t, state[0], a->w[W_HH], false, true);
  cg_tensor *y = cg_lstm_gates(tape, z, state[1]);
  state[0] = cg_narrow(tape, y, 1, 0, a->H);
  state[1] = cg_narrow(tape, y, 1, a->H, a->H);
  return NULL;
}

static cg_tensor *small_step(cg_tape *tape, const cg_cell_args *a,
                             cg_tensor *xp_t, cg_tensor **state) {
  int64_t H = a->H;
  cg_tensor *z = cg_addmm(tape, xp_t, state[0], a->w[W_HH], false, true);
  cg_tensor *i = cg_sigmoid(tape, cg_narrow(tape, z, 1, 0, H));
  cg_tensor *f = cg_sigmoid(tape, cg_narrow(tape, z, 1, H, H));
  cg_tensor *g = cg_tanh(tape, cg_narrow(tape, z, 1, 2 * H, H));
  cg_tensor *o = cg_sigmoid(tape, cg_narrow(tape, z, 1, 3 * H, H));
  state[1] = cg_add(tape, cg_mul(tape, f, state[1]), cg_mul(tape, i, g));
  state[0] = cg_mul(tape, o, cg_tanh(tape, state[1]));
  return NULL;
}

#define PARAMS                                                              \
  .params = {                                                               \
      {.name = "weight_ih", .rows = CG_SIZE_GH, .columns = CG_SIZE_I},      \
      {.name = "weight_hh", .rows = CG_SIZE_GH, .columns = CG_SIZE_R},      \
      {.name = "bias", .rows = CG_SIZE_GH, .when = CG_WHEN_BIAS}}

static const cg_cell own_rnn = {.name = "own RNN", .gates = 1, .n_states = 1,
                                PARAMS, .project = project, .step = rnn_step};
static const cg_cell own_lstm = {.name = "own LSTM", .gates = 4, .n_states = 2,
                                 PARAMS, .project = project,
                                 .step = lstm_step};
static const cg_cell small_lstm = {.name = "LSTM of elementary ops",
                                   .gates = 4, .n_states = 2, PARAMS,
                                   .project = project, .step = small_step};

static void step(void *state) { train_job_step(state); }

static double measure(const char *name, const train_shape *s) {
  train_job *j = train_job_new(s);
  double best = bench_measure(&(bench_case){
      .row = name, .unit = "ms", .scale = 1e3, .bound = BOUND_F32,
      .work = train_flops(s), .run = step, .state = j});
  train_job_free(j);
  return best;
}

/* `own` beside the built-in one; `how` says what it is. */
static void rows(const char *cell, train_shape s, const char *how,
                 const cg_cell *own) {
  char ratio[64], name[64];
  snprintf(ratio, sizeof ratio, "cell %s, %s over built-in", cell, how);
  if (!bench_wanted(ratio)) return;
  snprintf(name, sizeof name, "cell %s H%d B%d T%d, built-in", cell, (int)s.H,
           (int)s.B, (int)s.T);
  double ours = measure(name, &s);
  s.custom = own;
  snprintf(name, sizeof name, "cell %s H%d B%d T%d, %s", cell, (int)s.H,
           (int)s.B, (int)s.T, how);
  bench_value(ratio, measure(name, &s) / ours, "x");
}

void rows_cell(void) {
  const train_shape rnn = {.cell = CG_CELL_RNN, .layers = 1, .T = 25, .B = 1,
                           .H = 100};
  const train_shape lstm = {.cell = CG_CELL_LSTM, .layers = 1, .T = 50,
                            .B = 32, .H = 128};
  rows("rnn", rnn, "own", &own_rnn);
  rows("lstm", lstm, "own", &own_lstm);
  rows("lstm", lstm, "elementary", &small_lstm);
}
