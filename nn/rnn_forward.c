/* rnn_forward.c - a recurrent net's layers unrolled one after another, over a
 * sequence or one step. */
#include <limits.h>

#include "rnn_impl.h"

/* ---- checks ---- */

bool cg_rnn_check_input(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *x,
                        int rank) {
  if (cg_tape_status(tape)) return false;
  if (!rnn || !x) {
    cg_tape_fail(tape, CG_ERR_ARG, "rnn", "there is no %s",
                 rnn ? "input" : "net");
    return false;
  }
  int64_t I = rnn->config.input_size;
  if (cg_tensor_rank(x) == rank && cg_tensor_dim(x, -1) == I) return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the input of %s is %s, but rank %d with %" PRId64
               " as its last size is needed",
               rnn->name, cg_tensor_shape_text(x, have, sizeof have), rank, I);
  return false;
}

bool cg_rnn_check_steps(cg_tape *tape, const cg_rnn *rnn, int64_t T) {
  if (T >= 1 && T <= INT_MAX) return true;
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the input of %s has %" PRId64 " steps; 1 to %d are possible",
               rnn->name, T, INT_MAX);
  return false;
}

/* The number of each step in the scopes must be one. */
static bool check_numbers(cg_tape *tape, int64_t first_step, int64_t T) {
  if (first_step >= 0 && first_step <= INT64_MAX - T) return true;
  cg_tape_fail(tape, CG_ERR_ARG, "rnn",
               "%" PRId64 " steps cannot be numbered from %" PRId64 " on", T,
               first_step);
  return false;
}

static bool check_trace(cg_tape *tape, const cg_rnn *rnn,
                        const cg_rnn_trace *trace) {
  if (!trace) return true;
  bool no_z = trace->z && !rnn->cell->whole_z;
  if (!no_z && !(trace->c && rnn->cell->n_states < 2)) return true;
  cg_tape_fail(tape, CG_ERR_ARG, "rnn",
               no_z ? "the pre-activations of a %s cannot be traced"
                    : "c is to be traced, but a %s has only h",
               rnn->cell->name);
  return false;
}

/* ---- a sequence ---- */

/* Both directions of layer k, side by side. */
static cg_tensor *run_layer(cg_tape *tape, const cg_rnn_pass *pass, int k,
                            cg_tensor *x, cg_rnn_state given, cg_tensor **h,
                            cg_tensor **c) {
  const cg_rnn *rnn = pass->rnn;
  int D = cg_rnn_directions(rnn);
  cg_tensor *out[2] = {NULL, NULL};
  for (int d = 0; d < D && !cg_tape_status(tape); d++) {
    int part = k * D + d;
    cg_tensor *state[CG_CELL_MAX_STATES];
    cg_scope_push(tape, rnn->layers[part].scope);
    cg_rnn_part_state(tape, rnn, part, given, cg_tensor_dim(x, 1), state);
    out[d] = cg_rnn_unroll(tape, pass, part, x, state);
    cg_scope_pop(tape);
    h[part] = state[0];
    c[part] = state[1];
  }
  x = D == 1 ? out[0] : cg_concat(tape, out, D, 2);
  x = cg_rnn_cut(tape, pass->valid, x);
  bool last = k == rnn->config.num_layers - 1;
  return last ? x : cg_rnn_between(tape, rnn, pass->rng, x);
}

/* All layers over x [T, B, I], in the net's scope. */
static cg_rnn_result run_layers(cg_tape *tape, const cg_rnn_pass *pass,
                                cg_tensor *x, cg_rnn_state given) {
  const cg_rnn *rnn = pass->rnn;
  int n = cg_rnn_parts(rnn);
  cg_tensor **h = cg_tape_alloc(tape, (size_t)n * sizeof *h);
  cg_tensor **c = cg_tape_alloc(tape, (size_t)n * sizeof *c);
  x = cg_rnn_cut(tape, pass->valid, x);
  for (int k = 0; k < rnn->config.num_layers && !cg_tape_status(tape); k++)
    x = run_layer(tape, pass, k, x, given, h, c);
  cg_rnn_state last = cg_rnn_join_states(tape, rnn, h, c);
  return (cg_rnn_result){.h = x, .h_last = last.h, .c_last = last.c};
}

static bool check_run(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *x,
                      const cg_rnn_run *run) {
  if (!cg_rnn_check_input(tape, rnn, x, 3)) return false;
  bool batch_first = rnn->config.batch_first;
  int64_t T = cg_tensor_dim(x, batch_first), B = cg_tensor_dim(x, !batch_first);
  return cg_rnn_check_steps(tape, rnn, T) &&
         check_numbers(tape, run->first_step, T) &&
         !cg_rnn_state_check(tape, rnn, run->state, B) &&
         check_trace(tape, rnn, run->trace);
}

cg_rnn_result cg_rnn_forward_with(cg_tape *tape, const cg_rnn *rnn,
                                  cg_tensor *x, const cg_rnn_run *run) {
  const cg_rnn_run plain = {0};
  if (!run) run = &plain;
  if (!check_run(tape, rnn, x, run)) return (cg_rnn_result){0};
  bool batch_first = rnn->config.batch_first;
  cg_scope_push(tape, rnn->name);
  if (batch_first) x = cg_transpose(tape, x, 0, 1);
  cg_rnn_pass pass = {.rnn = rnn, .rng = run->rng, .trace = run->trace,
                      .first_step = run->first_step};
  pass.valid = cg_rnn_valid_of(tape, rnn, run->lengths, cg_tensor_dim(x, 0),
                               cg_tensor_dim(x, 1));
  cg_rnn_result r = {0};
  if (!cg_tape_status(tape)) r = run_layers(tape, &pass, x, run->state);
  if (batch_first) r.h = cg_transpose(tape, r.h, 0, 1);
  cg_scope_pop(tape);
  return cg_tape_status(tape) ? (cg_rnn_result){0} : r;
}

cg_rnn_result cg_rnn_forward_from(cg_tape *tape, const cg_rnn *rnn,
                                  cg_tensor *x, cg_rnn_state state,
                                  const cg_rnn_trace *trace) {
  const cg_rnn_run run = {.state = state, .trace = trace};
  return cg_rnn_forward_with(tape, rnn, x, &run);
}

cg_rnn_result cg_rnn_forward_trace(cg_tape *tape, const cg_rnn *rnn,
                                   cg_tensor *x, cg_tensor *h0,
                                   const cg_rnn_trace *trace) {
  return cg_rnn_forward_from(tape, rnn, x, (cg_rnn_state){.h = h0}, trace);
}

cg_rnn_result cg_rnn_forward(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                             cg_tensor *h0) {
  return cg_rnn_forward_trace(tape, rnn, x, h0, NULL);
}

/* ---- one step ---- */

static bool check_direction(cg_tape *tape, const cg_rnn *rnn) {
  if (cg_rnn_directions(rnn) == 1) return true;
  cg_tape_fail(tape, CG_ERR_ARG, "rnn",
               "%s is bidirectional: it reads whole sequences, not steps",
               rnn->name);
  return false;
}

cg_rnn_state cg_rnn_step_from(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                              cg_rnn_state given) {
  if (!cg_rnn_check_input(tape, rnn, x, 2) || !check_direction(tape, rnn) ||
      cg_rnn_state_check(tape, rnn, given, cg_tensor_dim(x, 0)))
    return (cg_rnn_state){0};
  int n = cg_rnn_parts(rnn);
  int64_t B = cg_tensor_dim(x, 0);
  cg_scope_push(tape, rnn->name);
  cg_tensor **h = cg_tape_alloc(tape, (size_t)n * sizeof *h);
  cg_tensor **c = cg_tape_alloc(tape, (size_t)n * sizeof *c);
  for (int k = 0; k < n && !cg_tape_status(tape); k++) {
    cg_tensor *state[CG_CELL_MAX_STATES];
    cg_rnn_part_state(tape, rnn, k, given, B, state);
    cg_rnn_one_step(tape, rnn, k, x, state);
    x = h[k] = state[0];
    c[k] = state[1];
  }
  cg_rnn_state next = cg_rnn_join_states(tape, rnn, h, c);
  cg_scope_pop(tape);
  return next;
}

cg_tensor *cg_rnn_step(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                       cg_tensor *h) {
  if (rnn && rnn->cell->n_states > 1)
    return cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                        "the state of an %s has two parts: use "
                        "cg_rnn_step_from", rnn->cell->name);
  return cg_rnn_step_from(tape, rnn, x, (cg_rnn_state){.h = h}).h;
}
