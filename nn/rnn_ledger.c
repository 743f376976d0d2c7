/* rnn_ledger.c - a gradient split by steps: backpropagation through time as a
 * backward pass per step, over a tape that holds one step. */
#include <chronograd/rnn_study.h>

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "rnn_impl.h"
#include "tape_end.h"

enum { STATES = CG_CELL_MAX_STATES }; /* h and c */

/* The way there and back. Of c's, all are NULL if the cell has only h. */
typedef struct pass {
  cg_tape *tape;
  const cg_rnn *rnn;
  const cg_params *params;
  cg_tensor *x;
  cg_step_loss loss;
  void *context;
  const cg_allocator *allocator;
  cg_mark mark;
  int64_t T;
  bool batch_first, given; /* is there a first state? */
  int states;
  cg_tensor *history[STATES]; /* [T+1, L, B, width]: s_0 .. s_T */
  cg_tensor *before[STATES];  /* [L, B, width], s_{t-1}, with a gradient */
  cg_tensor *later[STATES];   /* [L, B, width], dL/ds_t from later steps */
  cg_tensor **inputs, **grads; /* [count + STATES] */
} pass;

static bool fine(const pass *p) { return !cg_tape_status(p->tape); }

static cg_tensor *x_at(const pass *p, int64_t t) {
  return cg_select(p->tape, p->x, p->batch_first ? 1 : 0, t);
}

/* ---- memory ---- */

static cg_tensor *new_leaf(pass *p, int rank, const int64_t *shape) {
  cg_error err = {0};
  cg_tensor *leaf = cg_leaf_new(p->allocator, cg_params_dtype(p->params), rank,
                                shape, &err);
  if (!leaf)
    cg_tape_fail(p->tape, err.status, "rnn_ledger", "%s", err.message);
  return leaf;
}

static void make_leaves(pass *p, int64_t B) {
  for (int s = 0; s < p->states && fine(p); s++) {
    const int64_t shape[4] = {p->T + 1, cg_rnn_parts(p->rnn), B,
                              cg_rnn_width(p->rnn, s)};
    p->history[s] = new_leaf(p, 4, shape);
    p->before[s] = new_leaf(p, 3, shape + 1);
    p->later[s] = new_leaf(p, 3, shape + 1);
    cg_leaf_set_requires_grad(p->before[s], true);
  }
}

static void free_leaves(pass *p) {
  for (int s = 0; s < STATES; s++) {
    cg_leaf_free(p->history[s]);
    cg_leaf_free(p->before[s]);
    cg_leaf_free(p->later[s]);
  }
}

static size_t size_of(const cg_tensor *x) {
  return (size_t)cg_tensor_numel(x) * cg_dtype_size(cg_tensor_dtype(x));
}

/* Row t of history s. */
static char *row(const pass *p, int s, int64_t t) {
  char *data = cg_leaf_data(p->history[s]);
  return data + (size_t)t * size_of(p->before[s]);
}

static void remember(pass *p, int64_t t, cg_rnn_state state) {
  cg_tensor *const parts[STATES] = {state.h, state.c};
  for (int s = 0; s < p->states && fine(p); s++)
    if (parts[s]) cg_tensor_read(parts[s], row(p, s, t), size_of(parts[s]));
}

/* ---- there ---- */

static void forward(pass *p, cg_rnn_state state) {
  bool recording = cg_tape_set_recording(p->tape, false);
  remember(p, 0, state);
  for (int64_t t = 0; t < p->T && fine(p); t++) {
    state = cg_rnn_step_from(p->tape, p->rnn, x_at(p, t), state);
    remember(p, t + 1, state);
    if (fine(p)) cg_rnn_state_keep(p->tape, p->mark, &state);
  }
  cg_tape_set_recording(p->tape, recording);
}

/* ---- and back ---- */

/* s_{t-1} as leaves; nothing at the first step, if the net begins by itself. */
static cg_rnn_state state_before(pass *p, int64_t t) {
  if (t == 0 && !p->given) return (cg_rnn_state){0};
  for (int s = 0; s < p->states; s++)
    cg_leaf_write(p->before[s], row(p, s, t), size_of(p->before[s]));
  return (cg_rnn_state){p->before[0], p->before[1]};
}

/* What came back to s_{t-1} is what comes from later to the step before. */
static void pass_on(pass *p, int count) {
  for (int s = 0; s < p->states && fine(p); s++) {
    const cg_tensor *g = p->grads[count + s];
    if (g)
      cg_tensor_read(g, cg_leaf_data(p->later[s]), size_of(g));
    else
      cg_leaf_fill(p->later[s], 0.0);
  }
}

/* The gradients of step t, with what follows in `later`, to p->grads. Returns
 * L_t. */
static double step_back(pass *p, int64_t t, int count) {
  cg_rnn_state state = state_before(p, t);
  cg_rnn_state next = cg_rnn_step_from(p->tape, p->rnn, x_at(p, t), state);
  cg_tensor *h_t = cg_select(p->tape, next.h, 0, -1);
  cg_tensor *L_t = fine(p) ? p->loss(p->tape, h_t, t, p->context) : NULL;
  cg_tensor *outputs[STATES + 1] = {next.h, next.c};
  cg_tensor *seeds[STATES + 1] = {p->later[0], p->later[1]};
  int n = p->states;
  if (L_t && cg_tensor_requires_grad(L_t)) {
    outputs[n] = L_t;
    seeds[n++] = NULL; /* 1 */
  }
  if (!fine(p)) return 0;
  cg_grad(p->tape, outputs, n, seeds, p->inputs, count + p->states, p->grads,
          CG_ALLOW_UNUSED);
  return fine(p) && L_t ? cg_tensor_item(L_t) : 0;
}

static void enter(const pass *p, const cg_rnn_ledger *ledger, int64_t t) {
  for (int i = 0; i < ledger->count && fine(p); i++) {
    int64_t n = cg_tensor_numel(cg_params_at(p->params, i));
    for (int64_t j = 0; j < n && p->grads[i]; j++)
      ledger->part[i][t * n + j] = cg_tensor_get(p->grads[i], j);
  }
}

static void backward(pass *p, cg_rnn_ledger *ledger) {
  int count = ledger->count;
  bool recording = cg_tape_set_recording(p->tape, true);
  for (int s = 0; s < p->states; s++) p->inputs[count + s] = p->before[s];
  for (int i = 0; i < count; i++) p->inputs[i] = cg_params_at(p->params, i);
  for (int64_t t = p->T - 1; t >= 0 && fine(p); t--) {
    ledger->loss += step_back(p, t, count);
    enter(p, ledger, t);
    pass_on(p, count);
    if (fine(p)) cg_tape_rewind(p->tape, p->mark);
  }
  cg_tape_set_recording(p->tape, recording);
}

/* ---- the ledger ---- */

/* One block: the pointers, then the arrays, whose sizes multiply T. */
static void make_ledger(pass *p, cg_rnn_ledger *ledger) {
  int count = cg_params_count(p->params);
  int64_t numbers = cg_params_numel(p->params);
  size_t pointers = (size_t)count * sizeof(double *);
  size_t room = SIZE_MAX / 2 / sizeof(double) - pointers;
  char *block = NULL;
  if ((uint64_t)numbers <= room / (uint64_t)p->T) {
    ledger->size = pointers + (size_t)(numbers * p->T) * sizeof(double) + 1;
    block = p->allocator->alloc(p->allocator->context, ledger->size);
  }
  if (!block) {
    cg_tape_fail(p->tape, CG_ERR_NOMEM, "rnn_ledger",
                 "no memory for %" PRId64 " steps of %" PRId64 " parameters",
                 p->T, numbers);
    return;
  }
  memset(block, 0, ledger->size);
  ledger->steps = p->T;
  ledger->count = count;
  ledger->allocator = p->allocator;
  ledger->part = (double **)block;
  double *next = (double *)(block + pointers);
  for (int i = 0; i < count; i++) {
    ledger->part[i] = next;
    next += p->T * cg_tensor_numel(cg_params_at(p->params, i));
  }
}

void cg_rnn_ledger_free(cg_rnn_ledger *ledger) {
  if (!ledger) return;
  if (ledger->part)
    ledger->allocator->release(ledger->allocator->context, ledger->part,
                               ledger->size);
  *ledger = (cg_rnn_ledger){0};
}

static bool check(cg_tape *tape, const cg_rnn *rnn, const cg_params *params,
                  const cg_tensor *x, cg_step_loss loss) {
  if (cg_tape_status(tape)) return false;
  const char *missing = !rnn      ? "net"
                        : !params ? "registry"
                        : !x      ? "input"
                        : !loss   ? "loss"
                                  : NULL;
  if (missing) {
    cg_tape_fail(tape, CG_ERR_ARG, "rnn_ledger", "there is no %s", missing);
    return false;
  }
  bool batch_first = cg_rnn_get_config(rnn).batch_first;
  if (cg_tensor_rank(x) == 3 && cg_tensor_dim(x, batch_first) >= 1) return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn_ledger",
               "the input is %s, but rank 3 with at least one step is needed",
               cg_tensor_shape_text(x, have, sizeof have));
  return false;
}

cg_status cg_rnn_ledger_make(cg_tape *tape, const cg_rnn *rnn,
                             const cg_params *params, cg_tensor *x,
                             cg_rnn_state first, cg_step_loss loss,
                             void *context, cg_rnn_ledger *ledger) {
  if (!ledger) return CG_ERR_ARG;
  *ledger = (cg_rnn_ledger){0};
  if (!check(tape, rnn, params, x, loss)) return cg_tape_status(tape);
  cg_rnn_config c = cg_rnn_get_config(rnn);
  pass p = {.tape = tape, .rnn = rnn, .params = params, .x = x, .loss = loss,
            .context = context, .allocator = cg_params_allocator(params),
            .T = cg_tensor_dim(x, c.batch_first), .batch_first = c.batch_first,
            .given = first.h != NULL,
            .states = rnn->cell->n_states};
  const cg_mark begin = cg_tape_mark(tape);
  size_t slots = (size_t)cg_params_count(params) + STATES;
  p.inputs = cg_tape_alloc(tape, slots * sizeof(cg_tensor *));
  p.grads = cg_tape_alloc(tape, slots * sizeof(cg_tensor *));
  p.mark = cg_tape_mark(tape);
  const int64_t B = cg_tensor_dim(x, !c.batch_first);
  if (!cg_rnn_state_check(tape, rnn, first, B)) make_leaves(&p, B);
  if (fine(&p)) make_ledger(&p, ledger);
  if (fine(&p)) forward(&p, first);
  if (fine(&p)) backward(&p, ledger);
  cg_status status = cg_tape_end(tape, begin);
  free_leaves(&p);
  if (status) cg_rnn_ledger_free(ledger);
  return status;
}
