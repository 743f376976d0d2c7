/* segment.h - what cg_checkpoint records, and what a walk makes of it.
 *
 * A segment is a node without elements, whose operands are all that its
 * function used from outside, and behind it one node per output, which has the
 * segment as operand and the value as data. The walk leaves the gradients that
 * arrive at outputs in their slots until it comes to the segment, which is when
 * all of them are complete. There the function records its interior again, and
 * the same walk goes over that.
 */
#ifndef CG_ENGINE_SEGMENT_H
#define CG_ENGINE_SEGMENT_H

#include <chronograd/checkpoint.h>

#include "backward_impl.h"

/* The attribute of a segment points to it. */
typedef struct segment {
  cg_segment_fn fn;
  void *context; /* the caller's, or a copy of it as it was at first */
  size_t context_bytes;
  cg_tensor **in, **out; /* out: the outputs' nodes; NULL for one from before,
                            or one that another output is, too */
  int n_in, n_out;
} segment;

static inline segment *segment_of(const cg_tensor *node) {
  return *(segment **)t_attr(node);
}

/* The segment that an output (T_OUTPUT) belongs to. */
static inline cg_tensor *segment_node(const cg_tensor *output) {
  return t_in(output)[output->n_in - 1];
}

/* Where a run of a function began. */
typedef struct segment_run {
  cg_mark mark;
  cg_tensor *last;   /* recorded before it */
  uint64_t position;
  size_t n_proxies;
  uint32_t first;    /* serial of the first tensor in it */
} segment_run;

segment_run segment_begin(const cg_tape *tape);
/* Calls the function for `run`, recording or not as the tape is set to. False
 * after an error. */
bool segment_call(cg_tape *tape, const segment *s, const segment_run *run,
                  cg_tensor **out, void *context);
/* Drops what was recorded in the run; an error stays on the tape. */
void segment_drop(cg_tape *tape, const segment_run *run);
/* No hooks were set in the run that outlive it. */
bool segment_hooks_fine(cg_tape *tape, const segment_run *run);

/* ---- the walk's side (recompute.c) ---- */

/* The derivative rule of a segment. */
void segment_vjp(cg_vjp *v);
/* Keeps the complete gradient g of an output for the segment. Returns NULL: the
 * visit is done. */
cg_tensor *segment_park(walk *w, cg_tensor *output, cg_tensor *g);
/* x, recomputed, stands for outputs: what those make of its gradient g who
 * asked for theirs. */
cg_tensor *segment_look(walk *w, cg_tensor *x, cg_tensor *g);

#endif
