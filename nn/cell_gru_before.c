/* cell_gru_before.c - the gated recurrent unit as first published (K. Cho et
 * al., "Learning phrase representations using RNN encoder-decoder", 2014), with
 * the reset gate before the product with the state:
 *
 *   r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr),  u_t likewise
 *   n_t = tanh(W_in x_t + b_in + W_hn (r_t h_{t-1}) + b_hn)
 *   h_t = (1 - u_t) n_t + u_t h_{t-1}
 */
#include "cells.h"

enum { W_HRU, W_HN }; /* rows of W_hh, in `kept` */

/* All biases add up here. */
static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  cg_tensor *W_hh = a->w[CG_W_HH];
  a->kept[W_HRU] = cg_narrow(tape, W_hh, 0, 0, 2 * a->H);
  a->kept[W_HN] = cg_narrow(tape, W_hh, 0, 2 * a->H, a->H);
  return cg_cell_project_both(tape, a, x);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  int64_t H = a->H;
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *r_u = cg_sigmoid(
      tape, cg_addmm(tape, cg_narrow(tape, xp_t, 1, 0, 2 * H), h,
                     a->kept[W_HRU], false, true));
  cg_tensor *r = cg_narrow(tape, r_u, 1, 0, H);
  cg_tensor *u = cg_narrow(tape, r_u, 1, H, H);
  cg_tensor *n = cg_tanh(
      tape, cg_addmm(tape, cg_narrow(tape, xp_t, 1, 2 * H, H),
                     cg_mul(tape, r, h), a->kept[W_HN], false, true));
  /* (1 - u) n + u h with one product */
  state[0] = cg_add(tape, n, cg_mul(tape, u, cg_sub(tape, state[0], n)));
  return NULL;
}

const cg_cell cg_cell_gru_before = {.name = "GRU with reset_before",
                                    .gates = 3,
                                    .n_states = 1,
                                    .params = {CG_CELL_WEIGHTS},
                                    .project = project,
                                    .step = step};
