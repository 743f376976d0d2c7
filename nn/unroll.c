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

/* ---- the input's part, some steps at a time ---- */

/* A chunk has so many rows, which is enough for a product, or bytes. */
enum { CHUNK_ROWS = 256, CHUNK_BYTES = 256 * 1024 };

typedef struct projected {
  cg_tensor *xp;       /* of the steps [begin, end) */
  int64_t begin, end;
} projected;

static int64_t chunk_steps(const cg_rnn *rnn, int64_t T, int64_t B) {
  if (!rnn->cell->in_chunks || B == 0) return T;
  const int64_t columns = rnn->cell->gates * rnn->config.hidden_size;
  const int64_t bytes = columns * (int64_t)cg_dtype_size(rnn->dtype);
  int64_t rows = CHUNK_BYTES / bytes;
  if (rows < CHUNK_ROWS) rows = CHUNK_ROWS;
  return rows < B ? 1 : rows / B;
}

/* Sees to it that *p has step t, the next one of the loop. */
static void project_on(cg_tape *tape, const cg_rnn *rnn, projected *p,
                       cg_cell_args *a, cg_tensor *x, int64_t t,
                       bool reverse) {
  const int64_t T = cg_tensor_dim(x, 0), left = reverse ? t + 1 : T - t;
  if (t >= p->begin && t < p->end) return;
  int64_t n = chunk_steps(rnn, T, cg_tensor_dim(x, 1));
  if (n > left) n = left;
  p->begin = reverse ? t + 1 - n : t;
  p->end = p->begin + n;
  if (n < T) x = cg_narrow(tape, x, 0, p->begin, n);
  p->xp = project(tape, rnn->cell, a, x);
}

/* ---- steps ---- */

/* One step; where `valid` (NULL: everywhere) says that there is none, the state
 * stays. Returns z_t, if the cell does. */
static cg_tensor *advance(cg_tape *tape, const cg_rnn_pass *pass,
                          const cg_cell_args *args, cg_tensor *xp_t,
                          cg_tensor *valid, cg_tensor **state) {
  const cg_rnn *rnn = pass->rnn;
  cg_tensor *before[CG_CELL_MAX_STATES] = {state[0], state[1]};
  int64_t B = cg_tensor_dim(before[0], 0);
  cg_tensor *z_t = rnn->cell->step(tape, args, xp_t, state);
  if (!made_state(tape, rnn, state, B)) return NULL;
  for (int s = 0; s < rnn->cell->n_states; s++) {
    state[s] =
        cg_rnn_zone_out(tape, rnn, pass->rng, s, before[s], state[s]);
    if (valid) state[s] = cg_where(tape, valid, state[s], before[s]);
  }
  return z_t;
}

/* The places of a part. */
static cg_rnn_trace trace_of(const cg_rnn_trace *all, int part, int64_t T) {
  if (!all) return (cg_rnn_trace){0};
  return (cg_rnn_trace){.z = all->z ? all->z + part * T : NULL,
                        .h = all->h ? all->h + part * T : NULL,
                        .c = all->c ? all->c + part * T : NULL};
}

/* The h_t of a cell whose steps make nothing else that is kept, such as the
 * simple one, shall lie one behind the other, as they are wanted in the end. */
static void reserve_states(cg_tape *tape, const cg_rnn *rnn, int64_t T,
                           int64_t B) {
  size_t step = (size_t)B * (size_t)cg_rnn_width(rnn, 0), bytes;
  step *= cg_dtype_size(rnn->dtype);
  if (rnn->cell->n_states == 1 && rnn->cell->gates == 1 &&
      !__builtin_mul_overflow(step, (size_t)T, &bytes))
    cg_tape_reserve(tape, bytes);
}

cg_tensor *cg_rnn_unroll(cg_tape *tape, const cg_rnn_pass *pass, int part,
                         cg_tensor *x, cg_tensor **state) {
  const cg_rnn *rnn = pass->rnn;
  cg_rnn_valid valid = pass->valid;
  int64_t T = cg_tensor_dim(x, 0), B = cg_tensor_dim(x, 1);
  cg_rnn_trace trace = trace_of(pass->trace, part, T);
  cg_tensor **h =
      trace.h ? trace.h : cg_tape_alloc(tape, (size_t)T * sizeof *h);
  cg_cell_args args = rnn->layers[part].args;
  args.want_z = trace.z != NULL;
  args.h_mask = cg_rnn_state_mask(tape, rnn, pass->rng, B);
  projected p = {0};
  bool reverse = part % cg_rnn_directions(rnn);
  for (int64_t i = 0; i < T && !cg_tape_status(tape); i++) {
    int64_t t = reverse ? T - 1 - i : i;
    project_on(tape, rnn, &p, &args, x, t, reverse);
    if (i == 0) reserve_states(tape, rnn, T, B);
    cg_scope_push_index(tape, "t", pass->first_step + t);
    cg_tensor *xp_t = cg_select(tape, p.xp, 0, t - p.begin);
    cg_tensor *valid_t =
        t < valid.shortest ? NULL : cg_select(tape, valid.mask, 0, t);
    cg_tensor *z_t = advance(tape, pass, &args, xp_t, valid_t, state);
    cg_scope_pop(tape);
    h[t] = state[0];
    if (trace.z) trace.z[t] = z_t;
    if (trace.c) trace.c[t] = state[1];
  }
  if (cg_tape_status(tape)) return NULL;
  return cg_stack(tape, h, (int)T, 0);
}

void cg_rnn_one_step(cg_tape *tape, const cg_rnn *rnn, int part, cg_tensor *x,
                     cg_tensor **state) {
  const cg_rnn_pass pass = {.rnn = rnn};
  cg_cell_args args = rnn->layers[part].args;
  cg_tensor *xp = project(tape, rnn->cell, &args, x);
  if (!cg_tape_status(tape)) advance(tape, &pass, &args, xp, NULL, state);
}
