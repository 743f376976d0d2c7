/* truncation.c - truncated backpropagation through time, window by window. */
#include <chronograd/truncation.h>

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "rnn_impl.h"

enum { STATES = CG_CELL_MAX_STATES }; /* h and c */

/* State s_t, after t steps, is kept in row t mod rows. */
struct cg_tbptt {
  const cg_rnn *rnn;
  bool batch_first;
  int64_t L;
  cg_tbptt_config config;
  const cg_allocator *allocator;
  int states;
  int64_t rows;
  cg_tensor *kept[STATES]; /* [rows, L, B, width]; NULL before the first
                              window */
  bool given;              /* is s_0 kept, or does the net begin by itself? */
  int64_t fresh;           /* steps whose losses have been counted */
  int64_t random_end;      /* of the window under way; 0: not drawn yet */
  cg_window window;
};

/* ---- life ---- */

static const char *bad_config(const cg_rnn *rnn, const cg_tbptt_config *c) {
  if (!rnn) return "there is no net";
  if (cg_rnn_directions(rnn) != 1)
    return "a net that also runs backwards cannot be cut in windows";
  if (!c || c->horizon < 1) return "the horizon must be at least 1";
  if (c->horizon > INT_MAX) return "the horizon is beyond what a net unrolls";
  if (c->period < 0 || c->period > c->horizon)
    return "the period must be 1 to the horizon";
  if (!(c->cut >= 0 && c->cut < 1)) return "the cut must be in 0 <= c < 1";
  if (c->cut > 0 && c->period && c->period != c->horizon)
    return "randomised windows lie side by side: no period below the horizon";
  if (c->cut > 0 && !c->rng) return "randomised windows need a generator";
  if (c->clip && !(c->clip->max_norm > 0))
    return "the clip's bound must be > 0";
  return NULL;
}

cg_tbptt *cg_tbptt_new(const cg_rnn *rnn, const cg_tbptt_config *config,
                       const cg_allocator *allocator, cg_error *err) {
  const char *bad = bad_config(rnn, config);
  if (bad) {
    cg_error_set(err, CG_ERR_ARG, "tbptt", "%s", bad);
    return NULL;
  }
  if (!allocator) allocator = cg_allocator_default();
  cg_tbptt *tb = allocator->alloc(allocator->context, sizeof *tb);
  if (!tb) {
    cg_error_set(err, CG_ERR_NOMEM, "tbptt", NULL);
    return NULL;
  }
  *tb = (cg_tbptt){.rnn = rnn,
                   .batch_first = cg_rnn_get_config(rnn).batch_first,
                   .L = cg_rnn_parts(rnn),
                   .states = rnn->cell->n_states,
                   .config = *config,
                   .allocator = allocator};
  if (!tb->config.period) tb->config.period = config->horizon;
  /* Side by side, windows begin where the last one ended. */
  tb->rows = tb->config.period == config->horizon ? 1 : config->horizon;
  return tb;
}

static void free_states(cg_tbptt *tb) {
  for (int s = 0; s < STATES; s++) {
    cg_leaf_free(tb->kept[s]);
    tb->kept[s] = NULL;
  }
}

static void forget(cg_tbptt *tb) {
  free_states(tb);
  tb->given = false;
  tb->fresh = tb->random_end = 0;
  tb->window = (cg_window){0};
}

void cg_tbptt_free(cg_tbptt *tb) {
  if (!tb) return;
  forget(tb);
  tb->allocator->release(tb->allocator->context, tb, sizeof *tb);
}

/* ---- states that are kept ---- */

static cg_status make_room(cg_tbptt *tb, cg_dtype dtype, int64_t B,
                           cg_error *err) {
  for (int s = 0; s < tb->states; s++) {
    tb->kept[s] = cg_leaf_new(
        tb->allocator, dtype,
        CG_DIMS(tb->rows, tb->L, B, cg_rnn_width(tb->rnn, s)), err);
    if (!tb->kept[s]) return err->status;
  }
  return CG_OK;
}

/* The place of layer k of part s of state s_t, and its bytes. */
static void *place(cg_tbptt *tb, int s, int64_t t, int64_t k, size_t *bytes) {
  cg_tensor *kept = tb->kept[s];
  size_t numel = (size_t)(cg_tensor_dim(kept, 2) * cg_tensor_dim(kept, 3));
  *bytes = numel * cg_dtype_size(cg_tensor_dtype(kept));
  size_t at = (size_t)(t % tb->rows) * (size_t)tb->L + (size_t)k;
  return (char *)cg_leaf_data(kept) + at * *bytes;
}

cg_status cg_tbptt_restart(cg_tbptt *tb, cg_rnn_state first, cg_error *err) {
  if (!tb)
    return cg_error_set(err, CG_ERR_ARG, "tbptt",
                        "there is nothing to restart");
  cg_tensor *const parts[STATES] = {first.h, first.c};
  if (tb->states == 2 ? !first.h != !first.c : first.c != NULL)
    return cg_error_set(err, CG_ERR_ARG, "tbptt",
                        "the state does not have the parts of the net's");
  if (first.h && (cg_tensor_rank(first.h) != 3 ||
                  cg_tensor_dim(first.h, 0) != tb->L ||
                  cg_tensor_dim(first.h, 2) != cg_rnn_width(tb->rnn, 0)))
    return cg_error_set(err, CG_ERR_SHAPE, "tbptt",
                        "the state is not [layers, batch, hidden] of the net");
  forget(tb);
  if (!first.h) return CG_OK;
  cg_error local = {0};
  cg_status status = make_room(tb, cg_tensor_dtype(first.h),
                               cg_tensor_dim(first.h, 1), &local);
  for (int s = 0; s < tb->states && !status; s++) {
    size_t bytes;
    void *to = place(tb, s, 0, 0, &bytes);
    status = cg_tensor_read(parts[s], to, bytes * (size_t)tb->L);
    if (status) cg_error_set(&local, status, "tbptt", "h and c do not fit");
  }
  tb->given = !status;
  if (!status) return CG_OK;
  forget(tb);
  if (err) *err = local;
  return status;
}

/* s_begin as constants of the tape, or NULLs where the net begins by itself. */
static cg_rnn_state state_at(cg_tbptt *tb, cg_tape *tape, int64_t begin) {
  if (begin == 0 && !tb->given) return (cg_rnn_state){0};
  cg_tensor *parts[STATES] = {NULL};
  for (int s = 0; s < tb->states; s++) {
    size_t bytes;
    const void *from = place(tb, s, begin, 0, &bytes);
    const cg_tensor *kept = tb->kept[s];
    parts[s] = cg_input(tape, cg_tensor_dtype(kept), 3,
                        cg_tensor_shape(kept) + 1, from);
  }
  return (cg_rnn_state){parts[0], parts[1]};
}

/* Keeps the states of a window, s_{begin+1} .. s_end, as far as there are rows
 * for them: layer k, step t at [k * n + t]. */
static void keep(cg_tbptt *tb, cg_tensor **const trace[STATES], cg_window w) {
  const int64_t n = w.end - w.begin, first = n > tb->rows ? n - tb->rows : 0;
  for (int s = 0; s < tb->states; s++)
    for (int64_t k = 0; k < tb->L; k++)
      for (int64_t t = first; t < n; t++) {
        size_t bytes;
        void *to = place(tb, s, w.begin + t + 1, k, &bytes);
        cg_tensor_read(trace[s][k * n + t], to, bytes);
      }
}

/* ---- windows ---- */

/* Where a randomised window ends, if there are steps enough. k steps or more
 * follow the horizon with probability (1 - c)^k. */
static int64_t draw_end(cg_tbptt *tb) {
  if (tb->random_end) return tb->random_end;
  double u = cg_rng_uniform(tb->config.rng);
  double more = fmin(floor(log1p(-u) / log1p(-tb->config.cut)), 1e15);
  return tb->random_end = tb->fresh + tb->config.horizon + (int64_t)more;
}

cg_window cg_tbptt_next(cg_tbptt *tb, int64_t steps) {
  if (!tb) return (cg_window){0};
  const cg_tbptt_config *c = &tb->config;
  tb->window = (cg_window){tb->fresh, tb->fresh, tb->fresh};
  if (steps <= tb->fresh) return tb->window;
  int64_t left = steps - tb->fresh;
  if (c->cut > 0) {
    int64_t drawn = draw_end(tb) - tb->fresh;
    tb->window.end += drawn < left ? drawn : left;
    return tb->window;
  }
  tb->window.end += c->period < left ? c->period : left;
  if (c->period < c->horizon)
    tb->window.begin =
        tb->window.end > c->horizon ? tb->window.end - c->horizon : 0;
  return tb->window;
}

/* ---- recording ---- */

/* x with its gradient multiplied by `factor`: x + (factor - 1) (x - x), where
 * only the first x of the bracket has a gradient. */
static cg_tensor *scale_gradient(cg_tape *tape, cg_tensor *x, double factor) {
  if (!x) return NULL;
  cg_tensor *value = cg_detach(tape, x);
  cg_tensor *zero = cg_sub(tape, x, value);
  return cg_add(tape, value, cg_mul_scalar(tape, zero, factor));
}

/* The steps of a randomised window behind the horizon, one by one; what flows
 * back from each is multiplied. Fills h [n] and the trace from step `from` on.
 */
static void record_tail(cg_tbptt *tb, cg_tape *tape, cg_tensor *x,
                        cg_rnn_state state, int64_t from, int64_t n,
                        cg_tensor **h, cg_tensor **const trace[STATES]) {
  const double factor = 1 / (1 - tb->config.cut);
  for (int64_t t = from; t < n && !cg_tape_status(tape); t++) {
    state.h = scale_gradient(tape, state.h, factor);
    state.c = scale_gradient(tape, state.c, factor);
    cg_tensor *x_t = cg_select(tape, x, tb->batch_first ? 1 : 0, t);
    state = cg_rnn_step_from(tape, tb->rnn, x_t, state);
    h[t - from] = cg_select(tape, state.h, 0, -1);
    for (int64_t k = 0; k < tb->L; k++) {
      trace[0][k * n + t] = cg_select(tape, state.h, 0, k);
      if (state.c) trace[1][k * n + t] = cg_select(tape, state.c, 0, k);
    }
  }
}

/* ---- a window ---- */

/* Steps first .. first+m-1 of a window of n, from *state, which becomes the one
 * after them. Fills their places of the trace and returns their outputs. */
static cg_tensor *record_steps(cg_tbptt *tb, cg_tape *tape, cg_tensor *x,
                               int64_t first, int64_t m, int64_t n,
                               cg_rnn_state *state,
                               cg_tensor **const trace[STATES]) {
  size_t size = (size_t)(tb->L * m) * sizeof(cg_tensor *);
  cg_rnn_trace part = {.h = cg_tape_alloc(tape, size)};
  if (tb->states == 2) part.c = cg_tape_alloc(tape, size);
  if (m < n) x = cg_narrow(tape, x, tb->batch_first ? 1 : 0, first, m);
  const cg_rnn_run run = {.state = *state, .trace = &part,
                          .first_step = tb->window.begin + first};
  cg_rnn_result r = cg_rnn_forward_with(tape, tb->rnn, x, &run);
  if (cg_tape_status(tape)) return NULL;
  cg_tensor **const from[STATES] = {part.h, part.c};
  for (int s = 0; s < tb->states; s++)
    for (int64_t k = 0; k < tb->L; k++)
      memcpy(trace[s] + k * n + first, from[s] + k * m,
             (size_t)m * sizeof(cg_tensor *));
  *state = (cg_rnn_state){r.h_last, r.c_last};
  return r.h;
}

/* The same for all steps from `first` on of a randomised window. */
static cg_tensor *record_random(cg_tbptt *tb, cg_tape *tape, cg_tensor *x,
                                int64_t first, int64_t n, cg_rnn_state state,
                                cg_tensor **const trace[STATES]) {
  cg_tensor **h = cg_tape_alloc(tape, (size_t)(n - first) * sizeof *h);
  if (!h) return NULL;
  record_tail(tb, tape, x, state, first, n, h, trace);
  if (cg_tape_status(tape)) return NULL;
  return cg_stack(tape, h, (int)(n - first), tb->batch_first ? 1 : 0);
}

/* The first step of a window that is not recorded together with the ones before
 * it: behind the horizon, or where the gradient is to be clipped. */
static int64_t border_of(const cg_tbptt *tb, cg_window w) {
  const int64_t n = w.end - w.begin;
  if (tb->config.cut > 0 && n > tb->config.horizon) return tb->config.horizon;
  return tb->config.clip && w.fresh > w.begin ? w.fresh - w.begin : n;
}

/* Records the window and fills the trace. Returns the outputs of all steps. */
static cg_tensor *record(cg_tbptt *tb, cg_tape *tape, cg_tensor *x,
                         cg_rnn_state state, cg_tensor **const trace[STATES]) {
  const int64_t n = tb->window.end - tb->window.begin;
  const int64_t m = border_of(tb, tb->window);
  cg_tensor *h = record_steps(tb, tape, x, 0, m, n, &state, trace), *rest;
  if (!h || m == n) return h;
  bool back = cg_tensor_requires_grad(state.h) ||
              (state.c && cg_tensor_requires_grad(state.c));
  if (tb->config.clip && back)
    cg_clip_rnn_state_grad(tape, &state, tb->config.clip);
  if (cg_tape_status(tape)) return NULL;
  rest = tb->config.cut > 0
             ? record_random(tb, tape, x, m, n, state, trace)
             : record_steps(tb, tape, x, m, n - m, n, &state, trace);
  return cg_concat(tape, (cg_tensor *[]){h, rest}, 2, tb->batch_first ? 1 : 0);
}

static bool check(cg_tbptt *tb, cg_tape *tape, const cg_tensor *x) {
  if (cg_tape_status(tape)) return false;
  if (!tb || tb->window.begin == tb->window.end) {
    cg_tape_fail(tape, CG_ERR_STATE, "tbptt", "there is no window to record");
    return false;
  }
  const int64_t n = tb->window.end - tb->window.begin;
  if (n > INT_MAX || cg_tensor_rank(x) != 3 ||
      cg_tensor_dim(x, tb->batch_first) != n) {
    char have[96];
    cg_tape_fail(tape, CG_ERR_SHAPE, "tbptt",
                 "the input is %s, but the window has %" PRId64 " steps",
                 cg_tensor_shape_text(x, have, sizeof have), n);
    return false;
  }
  const int64_t B = cg_tensor_dim(x, !tb->batch_first);
  if (!tb->kept[0] || cg_tensor_dim(tb->kept[0], 2) == B) return true;
  cg_tape_fail(tape, CG_ERR_SHAPE, "tbptt",
               "%" PRId64 " sequences, where there were %" PRId64, B,
               cg_tensor_dim(tb->kept[0], 2));
  return false;
}

cg_tensor *cg_tbptt_forward(cg_tbptt *tb, cg_tape *tape, cg_tensor *x) {
  if (!check(tb, tape, x)) return NULL;
  const cg_window w = tb->window;
  const int64_t n = w.end - w.begin;
  const int axis = tb->batch_first ? 1 : 0;
  size_t size = (size_t)(tb->L * n) * sizeof(cg_tensor *);
  cg_tensor **const trace[STATES] = {
      cg_tape_alloc(tape, size),
      tb->states == 2 ? cg_tape_alloc(tape, size) : NULL};
  cg_rnn_state state = state_at(tb, tape, w.begin);
  cg_tensor *h = record(tb, tape, x, state, trace);
  if (w.fresh > w.begin)
    h = cg_narrow(tape, h, axis, w.fresh - w.begin, w.end - w.fresh);
  cg_error err = {0};
  if (h && !tb->kept[0] &&
      make_room(tb, cg_tensor_dtype(h), cg_tensor_dim(x, !axis), &err)) {
    free_states(tb);
    cg_tape_fail(tape, err.status, "tbptt", "%s", err.message);
  }
  if (cg_tape_status(tape)) return NULL;
  keep(tb, trace, w);
  tb->fresh = w.end;
  tb->random_end = 0;
  tb->window = (cg_window){w.end, w.end, w.end};
  return h;
}
