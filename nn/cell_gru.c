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
  return cg_linear(tape, x, a->w[CG_W_IH], a->w[CG_B_IH]);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *hp_t = cg_linear(tape, cg_cell_entering(tape, a, state[0]),
                              a->w[CG_W_HH], a->w[CG_B_HH]);
  cg_tensor *y = cg_gru_gates(tape, xp_t, hp_t, state[0]); /* h_t, r, u, n */
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
