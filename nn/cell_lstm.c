/* cell_lstm.c - the long short-term memory cell, with the rows of its weights
 * in the order i, f, g, o:
 *
 *   z_t = W_ih x_t + (b_ih + b_hh) + W_hh h_{t-1}
 *   i_t = sigmoid(z_i)   f_t = sigmoid(z_f)   g_t = tanh(z_g)
 *   o_t = sigmoid(z_o)
 *   c_t = f_t c_{t-1} + i_t g_t               h_t = o_t tanh(c_t)
 */
#include "cells.h"

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *z_t = cg_addmm(tape, xp_t, state[0], a->w[CG_W_HH], false, true);
  if (!z_t) return NULL;
  int64_t H = cg_tensor_dim(z_t, 1) / 4;
  cg_tensor *y = cg_lstm_gates(tape, z_t, state[1]); /* h, c and the gates */
  state[0] = cg_narrow(tape, y, 1, 0, H);
  state[1] = cg_narrow(tape, y, 1, H, H);
  return z_t;
}

const cg_cell cg_cell_lstm = {.name = "LSTM",
                              .gates = 4,
                              .n_states = 2,
                              .params = {CG_CELL_WEIGHTS},
                              .project = cg_cell_project_both,
                              .step = step,
                              .whole_z = true};
