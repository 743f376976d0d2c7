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
static void check_there(cg_tape *tape, const cg_rnn *rnn, cg_rnn_state state) {
  bool both = rnn->cell->n_states == 2;
  if (both && !state.h != !state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "the state of %s, an %s, is h and c, but there is no %s",
                 rnn->name, rnn->cell->name, state.h ? "c" : "h");
  else if (!both && state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "there is a state c, but %s, a %s, has only h", rnn->name,
                 rnn->cell->name);
}

cg_status cg_rnn_state_check(cg_tape *tape, const cg_rnn *rnn,
                             cg_rnn_state state, int64_t B) {
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  if (!rnn) {
    cg_tape_fail(tape, CG_ERR_ARG, "rnn", "there is no net");
  } else {
    check_there(tape, rnn, state);
    if (!cg_tape_status(tape) && check_part(tape, rnn, 0, state.h, B))
      check_part(tape, rnn, 1, state.c, B);
  }
  return cg_tape_status(tape);
}

/* ---- per layer, and of all layers ---- */

static cg_tensor *first_state(cg_tape *tape, const cg_rnn *rnn, int part, int s,
                              cg_tensor *given, int64_t B) {
  if (given) return cg_select(tape, given, 0, part);
  int64_t shape[2] = {B, cg_rnn_width(rnn, s)};
  cg_tensor *learned = rnn->layers[part].first[s];
  return learned ? cg_expand(tape, learned, 2, shape)
                 : cg_full(tape, rnn->dtype, 2, shape, 0.0);
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

/* ---- for callers ---- */

/* The first state of part `part` without the batch: [width]. */
static cg_tensor *first_row(cg_tape *tape, const cg_rnn *rnn, int part, int s) {
  cg_tensor *learned = rnn->layers[part].first[s];
  int64_t width = cg_rnn_width(rnn, s);
  return learned ? learned : cg_full(tape, rnn->dtype, 1, &width, 0.0);
}

/* State s of all parts before the first step, [parts, 1, width]. */
static cg_tensor *first_rows(cg_tape *tape, const cg_rnn *rnn, int s) {
  int n = cg_rnn_parts(rnn);
  cg_tensor **rows = cg_tape_alloc(tape, (size_t)n * sizeof *rows);
  for (int k = 0; rows && k < n; k++) rows[k] = first_row(tape, rnn, k, s);
  return rows ? cg_unsqueeze(tape, join(tape, rows, n), 1) : NULL;
}

static cg_tensor *first_of(cg_tape *tape, const cg_rnn *rnn, int s, int64_t B) {
  const int64_t shape[3] = {cg_rnn_parts(rnn), B, cg_rnn_width(rnn, s)};
  return cg_expand(tape, first_rows(tape, rnn, s), 3, shape);
}

/* Both or nothing. */
static cg_rnn_state whole(const cg_tape *tape, cg_rnn_state state) {
  return cg_tape_status(tape) ? (cg_rnn_state){0} : state;
}

cg_rnn_state cg_rnn_first_state(cg_tape *tape, const cg_rnn *rnn, int64_t B) {
  if (cg_rnn_state_check(tape, rnn, (cg_rnn_state){0}, B))
    return (cg_rnn_state){0};
  cg_rnn_state state = {.h = first_of(tape, rnn, 0, B)};
  if (rnn->cell->n_states == 2) state.c = first_of(tape, rnn, 1, B);
  return whole(tape, state);
}

cg_rnn_state cg_rnn_state_detach(cg_tape *tape, cg_rnn_state state) {
  cg_rnn_state cut = {0};
  if (state.h) cut.h = cg_detach(tape, state.h);
  if (state.c) cut.c = cg_detach(tape, state.c);
  return whole(tape, cut);
}

/* The rows as a mask [B, 1]. */
static cg_tensor *row_mask(cg_tape *tape, const bool *rows, int64_t B) {
  uint8_t *bytes = cg_tape_alloc(tape, B > 0 ? (size_t)B : 1);
  for (int64_t b = 0; bytes && b < B; b++) bytes[b] = rows[b];
  const int64_t shape[2] = {B, 1};
  return bytes ? cg_borrow(tape, CG_U8, 2, shape, bytes) : NULL;
}

cg_rnn_state cg_rnn_state_reset(cg_tape *tape, const cg_rnn *rnn,
                                cg_rnn_state state, const bool *begins) {
  if (!state.h && !state.c) return state;
  int64_t B = cg_tensor_dim(state.h, 1);
  if (cg_rnn_state_check(tape, rnn, state, B)) return (cg_rnn_state){0};
  if (!begins) {
    cg_tape_fail(tape, CG_ERR_ARG, "rnn", "there is no list of rows to reset");
    return (cg_rnn_state){0};
  }
  cg_tensor *mask = row_mask(tape, begins, B);
  state.h = cg_where(tape, mask, first_rows(tape, rnn, 0), state.h);
  if (state.c)
    state.c = cg_where(tape, mask, first_rows(tape, rnn, 1), state.c);
  return whole(tape, state);
}
