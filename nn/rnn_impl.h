/* rnn_impl.h - what the files of the recurrent net share. Private to nn.
 *
 * A net has L layers of D directions each; layer k in direction d is number
 * k*D + d, in its parts as in its states.
 */
#ifndef CHRONOGRAD_NN_RNN_IMPL_H
#define CHRONOGRAD_NN_RNN_IMPL_H

#include <inttypes.h>

#include <chronograd/linear.h>
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

/* The states of one part before the first step, [B, width] each. */
void cg_rnn_part_state(cg_tape *tape, const cg_rnn *rnn, int part,
                       cg_rnn_state given, int64_t B,
                       cg_tensor *state[CG_CELL_MAX_STATES]);
/* The states of all parts as one; nothing after an error. */
cg_rnn_state cg_rnn_join_states(cg_tape *tape, const cg_rnn *rnn,
                                cg_tensor *const *h, cg_tensor *const *c);

/* ---- rnn_lengths.c ---- */

/* Which steps of which sequences there are. */
typedef struct cg_rnn_valid {
  cg_tensor *mask;  /* U8 [T, B, 1], 1 where there is a step; NULL: all are */
  int64_t shortest; /* length: steps before it are those of all */
} cg_rnn_valid;

/* From lengths [B] (NULL: all T); an error is on the tape. */
cg_rnn_valid cg_rnn_valid_of(cg_tape *tape, const cg_rnn *rnn,
                             const int64_t *lengths, int64_t T, int64_t B);
/* x [T, B, n] with zeros where there is no step. */
cg_tensor *cg_rnn_cut(cg_tape *tape, cg_rnn_valid valid, cg_tensor *x);

/* ---- rnn_noise.c ---- */

/* x [T, B, n], the output of a layer that is not the last one, with dropout if
 * there is a generator. */
cg_tensor *cg_rnn_between(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng,
                          cg_tensor *x);
/* What state_dropout multiplies h with in one part; NULL: nothing. */
cg_tensor *cg_rnn_state_mask(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng,
                             int64_t B);
/* State s after a step with zoneout. */
cg_tensor *cg_rnn_zone_out(cg_tape *tape, const cg_rnn *rnn, cg_rng *rng, int s,
                           cg_tensor *before, cg_tensor *after);

/* ---- rnn_forward.c and sequence.c: false, and an error, if not ---- */

/* Is x there, of the rank given, with I at its end? */
bool cg_rnn_check_input(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *x,
                        int rank);
bool cg_rnn_check_steps(cg_tape *tape, const cg_rnn *rnn, int64_t T);
/* Does the linear layer take what the net gives? */
bool cg_rnn_check_head(cg_tape *tape, const char *fn, const cg_rnn *rnn,
                       const cg_linear_layer *fc);

/* ---- unroll.c ---- */

/* What all parts of one run have in common. */
typedef struct cg_rnn_pass {
  const cg_rnn *rnn;
  cg_rng *rng; /* NULL: not training */
  cg_rnn_valid valid;
  const cg_rnn_trace *trace; /* or NULL */
  int64_t first_step;
} cg_rnn_pass;

/* The steps of one part over x [T, B, I], T >= 1, each in a scope "t=<i>" (i
 * from the first step's number on). `state` is that before the first step, and
 * is replaced by that after the last one. Returns all h_t [T, B, R]; NULL after
 * an error, which is on the tape. */
cg_tensor *cg_rnn_unroll(cg_tape *tape, const cg_rnn_pass *pass, int part,
                         cg_tensor *x, cg_tensor **state);
/* One step of one part for x [B, I]. */
void cg_rnn_one_step(cg_tape *tape, const cg_rnn *rnn, int part, cg_tensor *x,
                     cg_tensor **state);

#endif
