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

cg_tensor *cg_cell_mix(cg_tape *tape, cg_tensor *u, cg_tensor *h,
                       cg_tensor *n) {
  return cg_add(tape, n, cg_mul(tape, u, cg_sub(tape, h, n)));
}

cg_tensor *cg_cell_gru_gates(cg_tape *tape, const cg_cell_args *a,
                             cg_tensor *xp_t, cg_tensor *hp_ru,
                             cg_tensor *hp_n, cg_tensor *h) {
  int64_t H = a->H;
  cg_tensor *r_u = cg_sigmoid(
      tape, cg_add(tape, cg_narrow(tape, xp_t, 1, 0, 2 * H), hp_ru));
  cg_tensor *r = cg_narrow(tape, r_u, 1, 0, H);
  cg_tensor *u = cg_narrow(tape, r_u, 1, H, H);
  cg_tensor *n = cg_tanh(tape, cg_add(tape, cg_narrow(tape, xp_t, 1, 2 * H, H),
                                      cg_mul(tape, r, hp_n)));
  return cg_cell_mix(tape, u, h, n);
}

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
                             .step = step};
