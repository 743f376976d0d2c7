/* cell.h - the contract of a recurrent cell. Private to nn.
 *
 * A cell is a pure function (parameters, input, state) -> state, recorded step
 * by step by unroll.c. What it does with the input alone does not wait for the
 * state, so `project` does it for all steps in one product; `step` does the
 * rest. A cell with G gates has weights of G*H rows, in PyTorch's order.
 */
#ifndef CHRONOGRAD_NN_CELL_H
#define CHRONOGRAD_NN_CELL_H

#include <chronograd/activation.h>

/* State tensors of any cell, each [B, H]; the first is h, which goes up to the
 * next layer. */
#define CG_CELL_STATES 2

typedef struct cg_cell_params {
  cg_tensor *W_ih; /* [G*H, I] */
  cg_tensor *W_hh; /* [G*H, H] */
  cg_tensor *b_ih; /* [G*H], or NULL for no biases */
  cg_tensor *b_hh; /* [G*H], likewise */
  cg_activation phi; /* of the simple cell */
} cg_cell_params;

typedef struct cg_cell {
  int gates;  /* G */
  int states; /* 1 .. CG_CELL_STATES */
  bool whole_z; /* the pre-activations of a step are one tensor */
  /* x [..., I] -> the part of the pre-activations that x makes [..., G*H]. */
  cg_tensor *(*project)(cg_tape *tape, const cg_cell_params *p, cg_tensor *x);
  /* xp_t [B, G*H] is a slice of it. Replaces state[0 .. states-1] by the next
   * state and returns the pre-activation z_t [B, G*H], or NULL unless
   * whole_z. */
  cg_tensor *(*step)(cg_tape *tape, const cg_cell_params *p, cg_tensor *xp_t,
                     cg_tensor **state);
} cg_cell;

/* cell_simple.c: z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh and
 * h_t = phi(z_t). */
extern const cg_cell cg_cell_simple;
/* cell_lstm.c: gates i, f, g, o; state h, c. */
extern const cg_cell cg_cell_lstm;
/* cell_gru.c: gates r, z, n; state h. */
extern const cg_cell cg_cell_gru;

#endif
