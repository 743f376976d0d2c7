/* rnn_impl.h - what the files of the recurrent net share. Private to nn.
 *
 * A net has L layers of D directions each; layer k in direction d is number
 * k*D + d, in its parts as in its states.
 */
#ifndef CHRONOGRAD_NN_RNN_IMPL_H
#define CHRONOGRAD_NN_RNN_IMPL_H

#include <inttypes.h>

#include <chronograd/rnn.h>

#include "cells.h"

typedef struct rnn_layer {
  cg_cell_args args; /* as `project` gets them */
  cg_tensor *first[CG_CELL_MAX_STATES]; /* learned, [width] each, or NULL */
  char scope[24];
} rnn_layer;

struct cg_rnn {
  cg_rnn_config config; /* nothing unset */
  const cg_cell *cell;
  char *name;
  cg_dtype dtype;
  const cg_allocator *allocator;
  rnn_layer layers[]; /* cg_rnn_parts of them */
};

/* ---- rnn_config.c ---- */

/* Fills in what is unset, and returns what is wrong with a choice, or NULL. */
const char *cg_rnn_config_complete(cg_rnn_config *config);
/* The cell that a complete configuration asks for. */
const cg_cell *cg_rnn_config_cell(const cg_rnn_config *config);
/* The elements of a size for input I. */
int64_t cg_rnn_size(const cg_rnn_config *config, cg_cell_size size, int64_t I);

/* ---- rnn.c ---- */

int cg_rnn_directions(const cg_rnn *rnn); /* D */
int cg_rnn_parts(const cg_rnn *rnn);      /* L*D */
/* The width of state s: of h, or c. */
int64_t cg_rnn_width(const cg_rnn *rnn, int s);

/* ---- rnn_state.c ---- */

/* Is it one of this net, for a batch of B? Otherwise there is an error. */
bool cg_rnn_state_fits(cg_tape *tape, const cg_rnn *rnn, cg_rnn_state state,
                       int64_t B);
/* The states of one part before the first step, [B, width] each. */
void cg_rnn_part_state(cg_tape *tape, const cg_rnn *rnn, int part,
                       cg_rnn_state given, int64_t B,
                       cg_tensor *state[CG_CELL_MAX_STATES]);
/* The states of all parts as one; nothing after an error. */
cg_rnn_state cg_rnn_join_states(cg_tape *tape, const cg_rnn *rnn,
                                cg_tensor *const *h, cg_tensor *const *c);

/* ---- unroll.c ---- */

/* The steps of one part over x [T, B, I], T >= 1, each in a scope "t=<i>" (i
 * from 0).
 *   state  the state before; replaced by the state after
 *   trace  T places each, or NULL, for the tensors of each step
 * Returns all h_t [T, B, R]; NULL after an error, which is on the tape. */
cg_tensor *cg_rnn_unroll(cg_tape *tape, const cg_rnn *rnn, int part,
                         cg_tensor *x, cg_tensor **state, cg_rnn_trace trace);
/* One step of one part for x [B, I]. */
void cg_rnn_one_step(cg_tape *tape, const cg_rnn *rnn, int part, cg_tensor *x,
                     cg_tensor **state);

#endif
