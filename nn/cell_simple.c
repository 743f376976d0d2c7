/* cell_simple.c - the simple recurrent cell:
 *
 *   z_t = W_ih x_t + (b_ih + b_hh) + W_hh h_{t-1}      h_t = phi(z_t)
 */
#include "cells.h"

/* A z that nobody looks at is not kept: phi and the affine map are one node. */
static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *W = a->w[CG_W_HH];
  if (!a->want_z && !a->activation) {
    state[0] = cg_affine(tape, a->phi, xp_t, h, W, false, true);
    return NULL;
  }
  cg_tensor *z_t = cg_addmm(tape, xp_t, h, W, false, true);
  state[0] = cg_cell_activate(tape, a, z_t);
  return z_t;
}

const cg_cell cg_cell_simple = {.name = "RNN",
                                .gates = 1,
                                .n_states = 1,
                                .params = {CG_CELL_WEIGHTS},
                                .has_phi = true,
                                .project = cg_cell_project_both,
                                .step = step,
                                .whole_z = true};
