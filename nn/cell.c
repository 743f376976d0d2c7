/* cell.c - what cells have in common. */
#include "cells.h"

cg_tensor *cg_cell_activate(cg_tape *tape, const cg_cell_args *a,
                            cg_tensor *z) {
  return a->activation ? a->activation(tape, z) : cg_activate(tape, a->phi, z);
}

cg_tensor *cg_cell_entering(cg_tape *tape, const cg_cell_args *a,
                            cg_tensor *h) {
  return a->h_mask ? cg_mul(tape, h, a->h_mask) : h;
}

enum { MANY_ROWS = 16, NEAR_BYTES = 512 * 1024 };

bool cg_cell_in_step(const cg_cell_args *a, int64_t B) {
  const cg_tensor *W = a->w[CG_W_IH];
  const int64_t size = (int64_t)cg_dtype_size(cg_tensor_dtype(W));
  return !a->want_z && B >= MANY_ROWS && a->w[CG_B_IH] &&
         cg_tensor_numel(W) <= NEAR_BYTES / size;
}

cg_tensor *cg_cell_bias_sum(cg_tape *tape, cg_cell_args *a) {
  cg_tensor *b_ih = a->w[CG_B_IH], **sum = &a->kept[CG_BIAS_SUM];
  if (b_ih && !*sum) *sum = cg_add(tape, b_ih, a->w[CG_B_HH]);
  return *sum;
}

cg_tensor *cg_cell_project_both(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  cg_tensor *c[2] = {a->w[CG_B_IH], a->w[CG_B_HH]};
  cg_tensor *in[2] = {x}, *W[2] = {a->w[CG_W_IH]};
  if (c[0] && cg_tensor_rank(x) == 2) /* the sum would be used once */
    return cg_affine_sums(tape, CG_ACT_IDENTITY, c, in, W, false, true);
  return cg_linear(tape, x, W[0], cg_cell_bias_sum(tape, a));
}
