/* unroll.c - the time loop: one layer of a recurrent net on the tape. */
#include "unroll.h"

cg_tensor *cg_unroll(cg_tape *tape, const cg_cell *cell,
                     const cg_cell_params *params, cg_tensor *x,
                     cg_tensor **state, cg_rnn_trace trace) {
  int64_t T = cg_tensor_dim(x, 0);
  cg_tensor **h =
      trace.h ? trace.h : cg_tape_alloc(tape, (size_t)T * sizeof *h);
  cg_tensor *xp = cell->project(tape, params, x);
  for (int64_t t = 0; t < T && !cg_tape_status(tape); t++) {
    cg_scope_push_index(tape, "t", t);
    cg_tensor *xp_t = cg_select(tape, xp, 0, t);
    cg_tensor *z_t = cell->step(tape, params, xp_t, state);
    cg_scope_pop(tape);
    h[t] = state[0];
    if (trace.z) trace.z[t] = z_t;
    if (trace.c) trace.c[t] = state[1];
  }
  if (cg_tape_status(tape)) return NULL;
  return cg_stack(tape, h, (int)T, 0);
}
