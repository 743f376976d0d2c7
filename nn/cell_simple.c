/* cell_simple.c - the simple recurrent cell:
 *
 *   z_t = W_ih x_t + (b_ih + b_hh) + W_hh h_{t-1}      h_t = phi(z_t)
 */
#include "cells.h"

enum { MANY = 16, BIAS = 0, OTHER };

/* Of many sequences every step makes efficient products of its own: then the
 * input of all steps is not projected in advance, which would write it to
 * memory to be read once, and only the sum of the biases is kept. So it is of a
 * single step. A z that somebody looks at is another matter. */
static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  bool few = cg_tensor_dim(x, -2) < MANY && cg_tensor_rank(x) != 2;
  if (a->want_z || a->activation || few)
    return cg_cell_project_both(tape, a, x);
  cg_tensor *b = a->w[CG_B_IH];
  if (b && cg_tensor_rank(x) == 2) { /* one step: `step` adds them */
    a->kept[BIAS] = b;
    a->kept[OTHER] = a->w[CG_B_HH];
    return x;
  }
  a->kept[BIAS] = b ? cg_add(tape, b, a->w[CG_B_HH])
                    : cg_scalar(tape, cg_tensor_dtype(a->w[CG_W_HH]), 0);
  return x;
}

/* A z that nobody looks at is not kept: phi and the affine map are one node. */
static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x_t,
                       cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *W = a->w[CG_W_HH];
  if (a->kept[BIAS]) {
    cg_tensor *in[2] = {x_t, h}, *weight[2] = {a->w[CG_W_IH], W};
    cg_tensor *b[2] = {a->kept[BIAS], a->kept[OTHER]};
    state[0] = b[1] ? cg_affine_sums(tape, a->phi, b, in, weight, false, true)
                    : cg_affine2(tape, a->phi, b[0], in, weight, false, true);
    return NULL;
  }
  if (!a->want_z && !a->activation) {
    state[0] = cg_affine(tape, a->phi, x_t, h, W, false, true);
    return NULL;
  }
  cg_tensor *z_t = cg_addmm(tape, x_t, h, W, false, true);
  state[0] = cg_cell_activate(tape, a, z_t);
  return z_t;
}

const cg_cell cg_cell_simple = {.name = "RNN",
                                .gates = 1,
                                .n_states = 1,
                                .params = {CG_CELL_WEIGHTS},
                                .has_phi = true,
                                .project = project,
                                .step = step,
                                .whole_z = true};
