/* unroll.c - the time loop: one layer of a recurrent net on the tape. */
#include "rnn_impl.h"

/* A cell that is not ours may do wrong; later steps would say it less well. */
static bool made_state(cg_tape *tape, const cg_rnn *rnn,
                       cg_tensor *const *state, int64_t B) {
  if (cg_tape_status(tape)) return false;
  for (int s = 0; s < rnn->cell->n_states; s++) {
    const cg_tensor *x = state[s];
    int64_t width = cg_rnn_width(rnn, s);
    if (x && cg_tensor_rank(x) == 2 && cg_tensor_dim(x, 0) == B &&
        cg_tensor_dim(x, 1) == width)
      continue;
    char have[96];
    cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
                 "the cell %s of %s made a state %s of shape %s, but [%" PRId64
                 ", %" PRId64 "] (batch, hidden) is needed",
                 rnn->cell->name, rnn->name, s ? "c" : "h",
                 x ? cg_tensor_shape_text(x, have, sizeof have) : "none", B,
                 width);
    return false;
  }
  return true;
}

static cg_tensor *project(cg_tape *tape, const cg_cell *cell, cg_cell_args *a,
                          cg_tensor *x) {
  return cell->project ? cell->project(tape, a, x) : x;
}

cg_tensor *cg_rnn_unroll(cg_tape *tape, const cg_rnn *rnn, int part,
                         cg_tensor *x, cg_tensor **state, cg_rnn_trace trace) {
  const cg_cell *cell = rnn->cell;
  cg_cell_args args = rnn->layers[part].args;
  int64_t T = cg_tensor_dim(x, 0), B = cg_tensor_dim(x, 1);
  cg_tensor **h =
      trace.h ? trace.h : cg_tape_alloc(tape, (size_t)T * sizeof *h);
  args.want_z = trace.z != NULL;
  cg_tensor *xp = project(tape, cell, &args, x);
  for (int64_t t = 0; t < T && !cg_tape_status(tape); t++) {
    cg_scope_push_index(tape, "t", t);
    cg_tensor *xp_t = cg_select(tape, xp, 0, t);
    cg_tensor *z_t = cell->step(tape, &args, xp_t, state);
    cg_scope_pop(tape);
    if (!made_state(tape, rnn, state, B)) return NULL;
    h[t] = state[0];
    if (trace.z) trace.z[t] = z_t;
    if (trace.c) trace.c[t] = state[1];
  }
  if (cg_tape_status(tape)) return NULL;
  return cg_stack(tape, h, (int)T, 0);
}

void cg_rnn_one_step(cg_tape *tape, const cg_rnn *rnn, int part, cg_tensor *x,
                     cg_tensor **state) {
  cg_cell_args args = rnn->layers[part].args;
  int64_t B = cg_tensor_dim(x, 0);
  x = project(tape, rnn->cell, &args, x);
  if (x) rnn->cell->step(tape, &args, x, state);
  made_state(tape, rnn, state, B);
}
