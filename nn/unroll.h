/* unroll.h - the time loop: one layer of a recurrent net on the tape. Private
 * to nn. */
#ifndef CHRONOGRAD_NN_UNROLL_H
#define CHRONOGRAD_NN_UNROLL_H

#include <chronograd/rnn.h>

#include "cell.h"

/* Records T steps of a cell, each in a scope "t=<i>" (i from 0).
 *   x      [T, B, I], T >= 1
 *   state  the state before; replaced by the state after
 *   trace  T places each, or NULL, for the tensors of each step
 * Returns all h_t [T, B, H]; NULL after an error, which is on the tape. */
cg_tensor *cg_unroll(cg_tape *tape, const cg_cell *cell,
                     const cg_cell_params *params, cg_tensor *x,
                     cg_tensor **state, cg_rnn_trace trace);

#endif
