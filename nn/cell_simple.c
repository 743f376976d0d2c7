/* cell_simple.c - the simple recurrent cell:
 *
 *   z_t = W_ih x_t + (b_ih + b_hh) + W_hh h_{t-1}      h_t = phi(z_t)
 */
#include "cell.h"

static cg_tensor *project(cg_tape *tape, const cg_cell_params *p,
                          cg_tensor *x) {
  cg_tensor *b = p->b_ih ? cg_add(tape, p->b_ih, p->b_hh) : NULL;
  return cg_linear(tape, x, p->W_ih, b);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_params *p, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *z_t = cg_addmm(tape, xp_t, state[0], p->W_hh, false, true);
  state[0] = cg_activate(tape, p->phi, z_t);
  return z_t;
}

const cg_cell cg_cell_simple = {
    .gates = 1, .states = 1, .whole_z = true, .project = project, .step = step};
