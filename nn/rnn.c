/* rnn.c - a simple recurrent net: its parameters, and its layers unrolled one
 * after another. */
#include <chronograd/rnn.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "layer.h"
#include "unroll.h"

typedef struct rnn_layer {
  cg_cell_params cell;
  cg_tensor *h0; /* [H], or NULL */
  char scope[16];
} rnn_layer;

struct cg_rnn {
  cg_rnn_config config;
  const cg_cell *cell;
  char *name;
  cg_dtype dtype;
  rnn_layer layers[];
};

/* ---- construction ---- */

static cg_tensor *add(cg_layer_builder *b, const char *what, int k, int64_t m,
                      int64_t n, int64_t fan) {
  char name[32];
  snprintf(name, sizeof name, "%s_l%d", what, k);
  return fan ? cg_layer_param_fan(b, name, m, n, fan)
             : cg_layer_param(b, name, m, n);
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
  if (c->learned_h0) layer->h0 = add(b, "h0", k, H, -1, 0);
}

static void check_config(cg_layer_builder *b, const cg_rnn_config *c) {
  cg_layer_want(b, "input_size", c->input_size);
  cg_layer_want(b, "hidden_size", c->hidden_size);
  cg_layer_want(b, "num_layers", c->num_layers);
  if (b->failed || (unsigned)c->nonlinearity < CG_ACT_COUNT) return;
  cg_error_set(b->err, CG_ERR_ARG, "layer",
               "the nonlinearity of layer %s is %d, which is no activation",
               b->layer, (int)c->nonlinearity);
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
    rnn->cell = &cg_cell_simple;
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

/* The state of layer k before the first step, [B, H]. */
static cg_tensor *first_state(cg_tape *tape, const cg_rnn *rnn, int k,
                              cg_tensor *h0, int64_t B) {
  if (h0) return cg_select(tape, h0, 0, k);
  int64_t shape[2] = {B, rnn->config.hidden_size};
  cg_tensor *learned = rnn->layers[k].h0;
  if (learned) return cg_expand(tape, learned, 2, shape);
  return cg_full(tape, rnn->dtype, 2, shape, 0.0);
}

static bool check_state(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *h0,
                        int64_t B) {
  const cg_rnn_config *c = &rnn->config;
  const int64_t want[3] = {c->num_layers, B, c->hidden_size};
  if (!h0 || (cg_tensor_rank(h0) == 3 &&
              memcmp(cg_tensor_shape(h0), want, sizeof want) == 0))
    return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, "rnn",
               "the state is %s, but [%d, %" PRId64 ", %" PRId64
               "] (layers, batch, hidden) is needed",
               cg_tensor_shape_text(h0, have, sizeof have), c->num_layers, B,
               c->hidden_size);
  return false;
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

/* All layers over x [T, B, I], in the net's scope. */
static cg_rnn_result run_layers(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                                cg_tensor *h0, const cg_rnn_trace *trace) {
  int L = rnn->config.num_layers;
  int64_t T = cg_tensor_dim(x, 0), B = cg_tensor_dim(x, 1);
  cg_tensor **last = cg_tape_alloc(tape, (size_t)L * sizeof *last);
  for (int k = 0; k < L && !cg_tape_status(tape); k++) {
    cg_tensor **z = trace && trace->z ? trace->z + k * T : NULL;
    cg_tensor **h = trace && trace->h ? trace->h + k * T : NULL;
    cg_scope_push(tape, rnn->layers[k].scope);
    cg_tensor *state[CG_CELL_STATES] = {first_state(tape, rnn, k, h0, B)};
    x = cg_unroll(tape, rnn->cell, &rnn->layers[k].cell, x, state, z, h);
    cg_scope_pop(tape);
    last[k] = state[0];
  }
  if (cg_tape_status(tape)) return (cg_rnn_result){0};
  return (cg_rnn_result){x, cg_stack(tape, last, L, 0)};
}

cg_rnn_result cg_rnn_forward_trace(cg_tape *tape, const cg_rnn *rnn,
                                   cg_tensor *x, cg_tensor *h0,
                                   const cg_rnn_trace *trace) {
  const cg_rnn_result nothing = {0};
  if (!check_input(tape, rnn, x, 3)) return nothing;
  bool batch_first = rnn->config.batch_first;
  if (!check_steps(tape, cg_tensor_dim(x, batch_first)) ||
      !check_state(tape, rnn, h0, cg_tensor_dim(x, !batch_first)))
    return nothing;
  cg_scope_push(tape, rnn->name);
  if (batch_first) x = cg_transpose(tape, x, 0, 1);
  cg_rnn_result r = run_layers(tape, rnn, x, h0, trace);
  if (batch_first) r.h = cg_transpose(tape, r.h, 0, 1);
  cg_scope_pop(tape);
  return cg_tape_status(tape) ? nothing : r;
}

cg_rnn_result cg_rnn_forward(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                             cg_tensor *h0) {
  return cg_rnn_forward_trace(tape, rnn, x, h0, NULL);
}

cg_tensor *cg_rnn_step(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                       cg_tensor *h) {
  if (!check_input(tape, rnn, x, 2) ||
      !check_state(tape, rnn, h, cg_tensor_dim(x, 0)))
    return NULL;
  int L = rnn->config.num_layers;
  int64_t B = cg_tensor_dim(x, 0);
  cg_scope_push(tape, rnn->name);
  cg_tensor **next = cg_tape_alloc(tape, (size_t)L * sizeof *next);
  for (int k = 0; k < L && !cg_tape_status(tape); k++) {
    const cg_cell_params *p = &rnn->layers[k].cell;
    cg_tensor *state[CG_CELL_STATES] = {first_state(tape, rnn, k, h, B)};
    rnn->cell->step(tape, p, rnn->cell->project(tape, p, x), state);
    x = next[k] = state[0];
  }
  cg_tensor *stacked = next ? cg_stack(tape, next, L, 0) : NULL;
  cg_scope_pop(tape);
  return stacked;
}
