/* cell_gru.c - the gated recurrent unit, with the rows of its weights in the
 * order r, z, n, and the reset gate after the product with the state:
 *
 *   r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
 *   u_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
 *   n_t = tanh(W_in x_t + b_in + r_t (W_hn h_{t-1} + b_hn))
 *   h_t = (1 - u_t) n_t + u_t h_{t-1}
 *
 * u is PyTorch's gate z; here z names pre-activations.
 */
#include "cells.h"

/* b_hh stays out: that of n belongs inside the product with r_t. */
static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  if (cg_cell_in_step(a, cg_tensor_dim(x, -2))) return x;
  return cg_linear(tape, x, a->w[CG_W_IH], a->w[CG_B_IH]);
}

static cg_tensor *gates(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                        cg_tensor *h, cg_tensor *h_before) {
  cg_tensor *W = a->w[CG_W_HH], *b = a->w[CG_B_HH];
  if (!cg_cell_in_step(a, cg_tensor_dim(x, 0)))
    return cg_gru_gates(tape, x, cg_linear(tape, h, W, b), h_before);
  const cg_gru_maps maps = {.z = a->w[CG_B_IH], .x = x, .V = a->w[CG_W_IH],
                            .d = b, .h = h, .W = W};
  return cg_gru_affine(tape, &maps, h_before);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                       cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *y = gates(tape, a, x, h, state[0]); /* h_t and others */
  state[0] = cg_narrow(tape, y, 1, 0, a->H);
  return NULL;
}

const cg_cell cg_cell_gru = {.name = "GRU",
                             .gates = 3,
                             .n_states = 1,
                             .params = {CG_CELL_WEIGHTS},
                             .project = project,
                             .in_chunks = true,
                             .step = step};
