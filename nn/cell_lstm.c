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

/* y has h, c and the gates. */
static void next_state(cg_tape *tape, const cg_cell_args *a, cg_tensor *y,
                       cg_tensor **state) {
  int64_t H = a->H;
  state[0] = cg_narrow(tape, y, 1, 0, H);
  state[1] = cg_narrow(tape, y, 1, H, H);
  cg_tensor *W_hr = a->w[CG_W_OTHER];
  if (W_hr) state[0] = cg_linear(tape, state[0], W_hr, NULL);
}

void cg_cell_lstm_update(cg_tape *tape, const cg_cell_args *a, cg_tensor *z_t,
                         cg_tensor **state) {
  next_state(tape, a, cg_lstm_gates(tape, z_t, state[1]), state);
}

/* ---- a step as one op, if nobody looks at its z ---- */

static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  if (!cg_cell_in_step(a, cg_tensor_dim(x, -2)))
    return cg_cell_project_both(tape, a, x);
  cg_cell_bias_sum(tape, a);
  return x;
}

static cg_tensor *one_op(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                         cg_tensor *h, cg_tensor *c) {
  cg_tensor *W = a->w[CG_W_HH];
  if (!cg_cell_in_step(a, cg_tensor_dim(x, 0)))
    return cg_lstm_affine(tape, x, NULL, NULL, h, W, c);
  return cg_lstm_affine(tape, a->kept[CG_BIAS_SUM], x, a->w[CG_W_IH], h, W, c);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                       cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  if (!a->want_z) {
    next_state(tape, a, one_op(tape, a, x, h, state[1]), state);
    return NULL;
  }
  cg_tensor *z_t = cg_addmm(tape, x, h, a->w[CG_W_HH], false, true);
  cg_cell_lstm_update(tape, a, z_t, state);
  return z_t;
}

const cg_cell cg_cell_lstm = {.name = "LSTM",
                              .gates = 4,
                              .n_states = 2,
                              .params = {CG_CELL_LSTM_PARAMS},
                              .projects = true,
                              .project = project,
                              .in_chunks = true,
                              .step = step,
                              .whole_z = true};
