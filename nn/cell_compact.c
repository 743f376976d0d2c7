/* cell_compact.c - the simple cell and the LSTM with one product over the
 * concatenation of x_t and h_{t-1}:
 *
 *   z_t = [W_ih W_hh] [x_t; h_{t-1}] + (b_ih + b_hh)
 *
 * and the rest as in cell_simple.c and cell_lstm.c. The parameters are theirs;
 * both weights are put together once per sequence.
 */
#include "cells.h"

enum { W, BIAS }; /* in `kept` */

static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  a->kept[W] = cg_concat(tape, &a->w[CG_W_IH], 2, 1);
  if (a->w[CG_B_IH])
    a->kept[BIAS] = cg_add(tape, a->w[CG_B_IH], a->w[CG_B_HH]);
  return x;
}

static cg_tensor *product(cg_tape *tape, const cg_cell_args *a, cg_tensor *x_t,
                          cg_tensor *h) {
  cg_tensor *parts[] = {x_t, cg_cell_entering(tape, a, h)};
  cg_tensor *x_h = cg_concat(tape, parts, 2, 1);
  return cg_linear(tape, x_h, a->kept[W], a->kept[BIAS]);
}

static cg_tensor *simple_step(cg_tape *tape, const cg_cell_args *a,
                              cg_tensor *x_t, cg_tensor **state) {
  cg_tensor *z_t = product(tape, a, x_t, state[0]);
  state[0] = cg_cell_activate(tape, a, z_t);
  return z_t;
}

static cg_tensor *lstm_step(cg_tape *tape, const cg_cell_args *a,
                            cg_tensor *x_t, cg_tensor **state) {
  cg_tensor *z_t = product(tape, a, x_t, state[0]);
  cg_cell_lstm_update(tape, a, z_t, state);
  return z_t;
}

const cg_cell cg_cell_simple_compact = {.name = "RNN in compact form",
                                        .gates = 1,
                                        .n_states = 1,
                                        .params = {CG_CELL_WEIGHTS},
                                        .has_phi = true,
                                        .project = project,
                                        .step = simple_step,
                                        .whole_z = true};

const cg_cell cg_cell_lstm_compact = {.name = "LSTM in compact form",
                                      .gates = 4,
                                      .n_states = 2,
                                      .params = {CG_CELL_LSTM_PARAMS},
                                      .projects = true,
                                      .project = project,
                                      .step = lstm_step,
                                      .whole_z = true};
