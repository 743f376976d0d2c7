/* cell_lstm.c - the long short-term memory cell, with the rows of its weights
 * in the order i, f, g, o:
 *
 *   z_t = W_ih x_t + (b_ih + b_hh) + W_hh h_{t-1}
 *   i_t = sigmoid(z_i)   f_t = sigmoid(z_f)   g_t = tanh(z_g)
 *   o_t = sigmoid(z_o)
 *   c_t = f_t c_{t-1} + i_t g_t               h_t = o_t tanh(c_t)
 *
 * or, with a projection, h_t = W_hr (o_t tanh(c_t)).
 */
#include "cells.h"

void cg_cell_lstm_update(cg_tape *tape, const cg_cell_args *a, cg_tensor *z_t,
                         cg_tensor **state) {
  int64_t H = a->H;
  cg_tensor *y = cg_lstm_gates(tape, z_t, state[1]); /* h, c and the gates */
  state[0] = cg_narrow(tape, y, 1, 0, H);
  state[1] = cg_narrow(tape, y, 1, H, H);
  cg_tensor *W_hr = a->w[CG_W_OTHER];
  if (W_hr) state[0] = cg_linear(tape, state[0], W_hr, NULL);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *z_t = cg_addmm(tape, xp_t, h, a->w[CG_W_HH], false, true);
  cg_cell_lstm_update(tape, a, z_t, state);
  return z_t;
}

const cg_cell cg_cell_lstm = {.name = "LSTM",
                              .gates = 4,
                              .n_states = 2,
                              .params = {CG_CELL_LSTM_PARAMS},
                              .projects = true,
                              .project = cg_cell_project_both,
                              .step = step,
                              .whole_z = true};
