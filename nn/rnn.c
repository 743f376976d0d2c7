/* rnn.c - a recurrent net: its parameters, and its layers unrolled one after
 * another. */
#include <chronograd/rnn.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "layer.h"
#include "unroll.h"

typedef struct rnn_layer {
  cg_cell_params cell;
  cg_tensor *first[CG_CELL_STATES]; /* [H] each, or NULL */
  char scope[16];
} rnn_layer;

struct cg_rnn {
  cg_rnn_config config;
  const cg_cell *cell;
  char *name;
  cg_dtype dtype;
  rnn_layer layers[];
};

static const cg_cell *const cells[CG_CELL_COUNT] = {
    [CG_CELL_RNN] = &cg_cell_simple,
    [CG_CELL_LSTM] = &cg_cell_lstm,
    [CG_CELL_GRU] = &cg_cell_gru};

/* ---- construction ---- */

static cg_tensor *add(cg_layer_builder *b, const char *what, int k, int64_t m,
                      int64_t n, int64_t fan) {
  char name[32];
  snprintf(name, sizeof name, "%s_l%d", what, k);
  return fan ? cg_layer_param_fan(b, name, m, n, fan)
             : cg_layer_param(b, name, m, n);
}

/* b_f, the sum of two, becomes what is asked for. */
static void set_forget_bias(cg_layer_builder *b, const cg_cell_params *p,
                            const cg_rnn_config *c) {
  if (b->failed || !b->rng || c->forget_bias == 0) return;
  int64_t H = c->hidden_size;
  cg_tensor *const bias[2] = {p->b_ih, p->b_hh};
  for (int which = 0; which < 2; which++)
    for (int64_t j = H; j < 2 * H; j++) {
      double value = which == 0 ? c->forget_bias : 0.0;
      void *data = cg_leaf_data(bias[which]);
      if (cg_tensor_dtype(bias[which]) == CG_F64)
        ((double *)data)[j] = value;
      else
        ((float *)data)[j] = (float)value;
    }
}

static void add_layer(cg_layer_builder *b, cg_rnn *rnn, int k) {
  const cg_rnn_config *c = &rnn->config;
  int64_t H = c->hidden_size, rows = rnn->cell->gates * H;
  rnn_layer *layer = &rnn->layers[k];
  cg_cell_params *p = &layer->cell;
  snprintf(layer->scope, sizeof layer->scope, "l%d", k);
  p->phi = c->nonlinearity;
  p->W_ih = add(b, "weight_ih", k, rows, k ? H : c->input_size, H);
  p->W_hh = add(b, "weight_hh", k, rows, H, H);
  if (!c->no_bias) {
    p->b_ih = add(b, "bias_ih", k, rows, -1, H);
    p->b_hh = add(b, "bias_hh", k, rows, -1, H);
  }
  set_forget_bias(b, p, c);
  static const char *const names[CG_CELL_STATES] = {"h0", "c0"};
  for (int s = 0; c->learned_h0 && s < rnn->cell->states; s++)
    layer->first[s] = add(b, names[s], k, H, -1, 0);
}

/* What is wrong with the choices in a configuration, or NULL. */
static const char *bad_choice(const cg_rnn_config *c) {
  if ((unsigned)c->cell >= CG_CELL_COUNT)
    return "its cell is none of cg_cell_kind";
  if ((unsigned)c->nonlinearity >= CG_ACT_COUNT)
    return "its nonlinearity is no activation";
  if (c->cell != CG_CELL_RNN && c->nonlinearity != CG_ACT_TANH)
    return "the nonlinearity of an LSTM or GRU is always tanh";
  if (!isfinite(c->forget_bias)) return "its forget_bias is not finite";
  if (c->forget_bias != 0 && (c->cell != CG_CELL_LSTM || c->no_bias))
    return "a forget_bias needs an LSTM with biases";
  return NULL;
}

static void check_config(cg_layer_builder *b, const cg_rnn_config *c) {
  cg_layer_want(b, "input_size", c->input_size);
  cg_layer_want(b, "hidden_size", c->hidden_size);
  cg_layer_want(b, "num_layers", c->num_layers);
  if (b->failed) return;
  const char *bad = bad_choice(c);
  bool huge = !bad && c->hidden_size > INT64_MAX / cells[c->cell]->gates;
  if (!bad && !huge) return;
  cg_error_set(b->err, bad ? CG_ERR_ARG : CG_ERR_SHAPE, "layer",
               "layer %s: %s", b->layer,
               bad ? bad : "its gates have too many elements");
  b->failed = true;
}

cg_rnn *cg_rnn_new(cg_params *params, const char *name,
                   const cg_rnn_config *config, cg_rng *rng, cg_error *err) {
  cg_layer_builder b = cg_layer_begin(params, name, config, rng, err);
  cg_rnn_config c = config ? *config : (cg_rnn_config){0};
  if (c.num_layers == 0) c.num_layers = 1;
  check_config(&b, &c);
  size_t layers = b.failed ? 0 : (size_t)c.num_layers;
  size_t name_size = b.failed ? 0 : strlen(name) + 1;
  cg_rnn *rnn =
      cg_layer_memory(&b, sizeof *rnn + layers * sizeof(rnn_layer));
  char *copy = cg_layer_memory(&b, name_size);
  if (copy) {
    rnn->config = c;
    rnn->cell = cells[c.cell];
    rnn->name = memcpy(copy, name, name_size);
    rnn->dtype = cg_params_dtype(params);
    for (int k = 0; k < c.num_layers && !b.failed; k++) add_layer(&b, rnn, k);
  }
  return cg_layer_end(&b, rnn);
}

cg_rnn_config cg_rnn_get_config(const cg_rnn *rnn) {
  return rnn ? rnn->config : (cg_rnn_config){0};
}

/* ---- states ---- */

cg_status cg_rnn_state_keep(cg_tape *tape, cg_mark mark, cg_rnn_state *state) {
  if (!state) return CG_ERR_ARG;
  cg_tensor *kept[CG_CELL_STATES];
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

/* State s of layer k before the first step, [B, H]. */
static cg_tensor *first_state(cg_tape *tape, const cg_rnn *rnn, int k, int s,
                              cg_tensor *given, int64_t B) {
  if (given) return cg_select(tape, given, 0, k);
  int64_t shape[2] = {B, rnn->config.hidden_size};
  cg_tensor *learned = rnn->layers[k].first[s];
  if (learned) return cg_expand(tape, learned, 2, shape);
  return cg_full(tape, rnn->dtype, 2, shape, 0.0);
}

static void first_states(cg_tape *tape, const cg_rnn *rnn, int k,
                         cg_rnn_state given, int64_t B,
                         cg_tensor *state[CG_CELL_STATES]) {
  cg_tensor *const parts[CG_CELL_STATES] = {given.h, given.c};
  for (int s = 0; s < CG_CELL_STATES; s++)
    state[s] = s < rnn->cell->states
                   ? first_state(tape, rnn, k, s, parts[s], B)
                   : NULL;
}

static bool check_part(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *part,
                       int64_t B) {
  const cg_rnn_config *c = &rnn->config;
  const int64_t want[3] = {c->num_layers, B, c->hidden_size};
  if (!part || (cg_tensor_rank(part) == 3 &&
                memcmp(cg_tensor_shape(part), want, sizeof want) == 0))
    return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the state is %s, but [%d, %" PRId64 ", %" PRId64
               "] (layers, batch, hidden) is needed",
               cg_tensor_shape_text(part, have, sizeof have), c->num_layers, B,
               c->hidden_size);
  return false;
}

/* Half of an LSTM's state would pass for the whole one. */
static bool check_state(cg_tape *tape, const cg_rnn *rnn, cg_rnn_state state,
                        int64_t B) {
  bool both = rnn->cell->states == 2;
  if (both && !state.h != !state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "the state of an LSTM is h and c, but there is no %s",
                 state.h ? "c" : "h");
  else if (!both && state.c)
    cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                 "there is a state c, but only an LSTM has one");
  return !cg_tape_status(tape) && check_part(tape, rnn, state.h, B) &&
         check_part(tape, rnn, state.c, B);
}

/* The tensors of all layers as one state. */
static cg_rnn_state stack_states(cg_tape *tape, const cg_rnn *rnn,
                                 cg_tensor *const *h, cg_tensor *const *c) {
  int L = rnn->config.num_layers;
  cg_rnn_state all = {.h = cg_stack(tape, h, L, 0)};
  if (rnn->cell->states == 2) all.c = cg_stack(tape, c, L, 0);
  return cg_tape_status(tape) ? (cg_rnn_state){0} : all;
}

/* ---- forward ---- */

/* x must be there, of the rank given, with I at its end. */
static bool check_input(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *x,
                        int rank) {
  if (cg_tape_status(tape)) return false;
  if (!rnn || !x) {
    cg_tape_fail(tape, CG_ERR_ARG, "rnn", "there is no %s",
                 rnn ? "input" : "net");
    return false;
  }
  int64_t I = rnn->config.input_size;
  if (cg_tensor_rank(x) == rank && cg_tensor_dim(x, -1) == I) return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the input is %s, but rank %d with %" PRId64
               " as its last size is needed",
               cg_tensor_shape_text(x, have, sizeof have), rank, I);
  return false;
}

static bool check_steps(cg_tape *tape, int64_t T) {
  if (T >= 1 && T <= INT_MAX) return true;
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the input has %" PRId64 " steps; 1 to %d are possible", T,
               INT_MAX);
  return false;
}

static bool check_trace(cg_tape *tape, const cg_rnn *rnn,
                        const cg_rnn_trace *trace) {
  if (!trace) return true;
  bool no_z = trace->z && !rnn->cell->whole_z;
  if (!no_z && !(trace->c && rnn->cell->states < 2)) return true;
  cg_tape_fail(tape, CG_ERR_ARG, "rnn", "%s",
               no_z ? "the pre-activations of a GRU cannot be traced"
                    : "c is to be traced, but only an LSTM has one");
  return false;
}

/* The places of layer k. */
static cg_rnn_trace trace_of(const cg_rnn_trace *all, int k, int64_t T) {
  if (!all) return (cg_rnn_trace){0};
  return (cg_rnn_trace){.z = all->z ? all->z + k * T : NULL,
                        .h = all->h ? all->h + k * T : NULL,
                        .c = all->c ? all->c + k * T : NULL};
}

/* All layers over x [T, B, I], in the net's scope. */
static cg_rnn_result run_layers(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                                cg_rnn_state given,
                                const cg_rnn_trace *trace) {
  int L = rnn->config.num_layers;
  int64_t T = cg_tensor_dim(x, 0), B = cg_tensor_dim(x, 1);
  cg_tensor **h = cg_tape_alloc(tape, (size_t)L * sizeof *h);
  cg_tensor **c = cg_tape_alloc(tape, (size_t)L * sizeof *c);
  for (int k = 0; k < L && !cg_tape_status(tape); k++) {
    cg_tensor *state[CG_CELL_STATES];
    cg_scope_push(tape, rnn->layers[k].scope);
    first_states(tape, rnn, k, given, B, state);
    x = cg_unroll(tape, rnn->cell, &rnn->layers[k].cell, x, state,
                  trace_of(trace, k, T));
    cg_scope_pop(tape);
    h[k] = state[0];
    c[k] = state[1];
  }
  if (cg_tape_status(tape)) return (cg_rnn_result){0};
  cg_rnn_state last = stack_states(tape, rnn, h, c);
  return (cg_rnn_result){.h = x, .h_last = last.h, .c_last = last.c};
}

cg_rnn_result cg_rnn_forward_from(cg_tape *tape, const cg_rnn *rnn,
                                  cg_tensor *x, cg_rnn_state state,
                                  const cg_rnn_trace *trace) {
  const cg_rnn_result nothing = {0};
  if (!check_input(tape, rnn, x, 3)) return nothing;
  bool batch_first = rnn->config.batch_first;
  if (!check_steps(tape, cg_tensor_dim(x, batch_first)) ||
      !check_state(tape, rnn, state, cg_tensor_dim(x, !batch_first)) ||
      !check_trace(tape, rnn, trace))
    return nothing;
  cg_scope_push(tape, rnn->name);
  if (batch_first) x = cg_transpose(tape, x, 0, 1);
  cg_rnn_result r = run_layers(tape, rnn, x, state, trace);
  if (batch_first) r.h = cg_transpose(tape, r.h, 0, 1);
  cg_scope_pop(tape);
  return cg_tape_status(tape) ? nothing : r;
}

cg_rnn_result cg_rnn_forward_trace(cg_tape *tape, const cg_rnn *rnn,
                                   cg_tensor *x, cg_tensor *h0,
                                   const cg_rnn_trace *trace) {
  return cg_rnn_forward_from(tape, rnn, x, (cg_rnn_state){.h = h0}, trace);
}

cg_rnn_result cg_rnn_forward(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                             cg_tensor *h0) {
  return cg_rnn_forward_trace(tape, rnn, x, h0, NULL);
}

/* ---- one step ---- */

cg_rnn_state cg_rnn_step_from(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                              cg_rnn_state given) {
  if (!check_input(tape, rnn, x, 2) ||
      !check_state(tape, rnn, given, cg_tensor_dim(x, 0)))
    return (cg_rnn_state){0};
  int L = rnn->config.num_layers;
  int64_t B = cg_tensor_dim(x, 0);
  cg_scope_push(tape, rnn->name);
  cg_tensor **h = cg_tape_alloc(tape, (size_t)L * sizeof *h);
  cg_tensor **c = cg_tape_alloc(tape, (size_t)L * sizeof *c);
  for (int k = 0; k < L && !cg_tape_status(tape); k++) {
    const cg_cell_params *p = &rnn->layers[k].cell;
    cg_tensor *state[CG_CELL_STATES];
    first_states(tape, rnn, k, given, B, state);
    rnn->cell->step(tape, p, rnn->cell->project(tape, p, x), state);
    x = h[k] = state[0];
    c[k] = state[1];
  }
  cg_rnn_state next = {0};
  if (!cg_tape_status(tape)) next = stack_states(tape, rnn, h, c);
  cg_scope_pop(tape);
  return next;
}

cg_tensor *cg_rnn_step(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                       cg_tensor *h) {
  if (rnn && rnn->cell->states > 1)
    return cg_tape_fail(tape, CG_ERR_ARG, "rnn",
                        "an LSTM's state does not fit cg_rnn_step: use "
                        "cg_rnn_step_from");
  return cg_rnn_step_from(tape, rnn, x, (cg_rnn_state){.h = h}).h;
}
