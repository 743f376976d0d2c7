/* rnn_state.c - the state of a recurrent net. */
#include <string.h>

#include "rnn_impl.h"

cg_status cg_rnn_state_keep(cg_tape *tape, cg_mark mark, cg_rnn_state *state) {
  if (!state) return CG_ERR_ARG;
  cg_tensor *kept[CG_CELL_MAX_STATES];
  int n = 0;
  if (state->h) kept[n++] = state->h;
  if (state->c) kept[n++] = state->c;
  cg_status status = cg_tape_rewind_keep(tape, mark, kept, n);
  cg_rnn_state next = {0};
  n = 0;
  if (state->h && !status) next.h = kept[n++];
  if (state->c && !status) next.c = kept[n];
  *state = next;
  return status;
}

/* ---- checks ---- */

static bool check_part(cg_tape *tape, const cg_rnn *rnn, int s,
                       const cg_tensor *part, int64_t B) {
  const int64_t want[3] = {cg_rnn_parts(rnn), B, cg_rnn_width(rnn, s)};
  if (!part || (cg_tensor_rank(part) == 3 &&
                memcmp(cg_tensor_shape(part), want, sizeof want) == 0))
    return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the state %s of %s is %s, but [%" PRId64 ", %" PRId64
               ", %" PRId64 "] (layers, batch, hidden) is needed",
               s ? "c" : "h", rnn->name,
               cg_tensor_shape_text(part, have, sizeof have), want[0], B,
               want[2]);
  return false;
}

/* Half of a state of two parts would pass for the whole one. */
bool cg_rnn_state_fits(cg_tape *tape, const cg_rnn *rnn, cg_rnn_state state,
                       int64_t B) {
  bool both = rnn->cell->n_states == 2;
  if (both && !state.h != !state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "the state of %s, an %s, is h and c, but there is no %s",
                 rnn->name, rnn->cell->name, state.h ? "c" : "h");
  else if (!both && state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "there is a state c, but %s, a %s, has only h", rnn->name,
                 rnn->cell->name);
  return !cg_tape_status(tape) && check_part(tape, rnn, 0, state.h, B) &&
         check_part(tape, rnn, 1, state.c, B);
}

/* ---- per layer, and of all layers ---- */

static cg_tensor *first_state(cg_tape *tape, const cg_rnn *rnn, int part, int s,
                              cg_tensor *given, int64_t B) {
  if (given) return cg_select(tape, given, 0, part);
  int64_t shape[2] = {B, cg_rnn_width(rnn, s)};
  cg_tensor *learned = rnn->layers[part].first[s];
  if (learned) return cg_expand(tape, learned, 2, shape);
  return cg_full(tape, rnn->dtype, 2, shape, 0.0);
}

void cg_rnn_part_state(cg_tape *tape, const cg_rnn *rnn, int part,
                       cg_rnn_state given, int64_t B,
                       cg_tensor *state[CG_CELL_MAX_STATES]) {
  cg_tensor *const parts[CG_CELL_MAX_STATES] = {given.h, given.c};
  for (int s = 0; s < CG_CELL_MAX_STATES; s++)
    state[s] = s < rnn->cell->n_states
                   ? first_state(tape, rnn, part, s, parts[s], B)
                   : NULL;
}

/* One layer's state needs no copy. */
static cg_tensor *join(cg_tape *tape, cg_tensor *const *parts, int n) {
  return n == 1 ? cg_unsqueeze(tape, parts[0], 0)
                : cg_stack(tape, parts, n, 0);
}

cg_rnn_state cg_rnn_join_states(cg_tape *tape, const cg_rnn *rnn,
                                cg_tensor *const *h, cg_tensor *const *c) {
  if (cg_tape_status(tape)) return (cg_rnn_state){0};
  int n = cg_rnn_parts(rnn);
  cg_rnn_state all = {.h = join(tape, h, n)};
  if (rnn->cell->n_states == 2) all.c = join(tape, c, n);
  return cg_tape_status(tape) ? (cg_rnn_state){0} : all;
}
