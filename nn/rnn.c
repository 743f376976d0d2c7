/* rnn.c - a recurrent net and its parameters. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <chronograd/init.h>

#include "layer.h"
#include "rnn_impl.h"

int cg_rnn_directions(const cg_rnn *rnn) {
  return rnn->config.bidirectional ? 2 : 1;
}

int cg_rnn_parts(const cg_rnn *rnn) {
  return rnn->config.num_layers * cg_rnn_directions(rnn);
}

int64_t cg_rnn_width(const cg_rnn *rnn, int s) {
  cg_cell_size c = rnn->cell->c_size ? rnn->cell->c_size : CG_SIZE_H;
  return cg_rnn_size(&rnn->config, s == 0 ? CG_SIZE_R : c,
                     rnn->config.input_size);
}

/* ---- parameters ---- */

static bool exists(const cg_rnn_config *c, cg_cell_when when) {
  return when == CG_WHEN_BIAS         ? !c->no_bias
         : when == CG_WHEN_PROJECTION ? c->proj_size > 0
                                      : true;
}

static cg_tensor *add_param(cg_layer_builder *b, const cg_rnn *rnn,
                            const cg_cell_param *p, const rnn_layer *layer) {
  const cg_rnn_config *c = &rnn->config;
  if (!exists(c, p->when)) return NULL;
  char name[96];
  int length = snprintf(name, sizeof name, "%s_%s", p->name, layer->scope);
  if (length < 0 || (size_t)length >= sizeof name) {
    cg_layer_fail(b, CG_ERR_ARG, "a parameter of its cell has a long name");
    return NULL;
  }
  int64_t rows = cg_rnn_size(c, p->rows, layer->args.I);
  int64_t columns = cg_rnn_size(c, p->columns, layer->args.I);
  if (p->first == CG_FIRST_UNIFORM)
    return cg_layer_param_fan(b, name, rows, columns, c->hidden_size);
  cg_tensor *w = cg_layer_param(b, name, rows, columns);
  if (w && b->rng && p->first == CG_FIRST_ONE) cg_leaf_fill(w, 1.0);
  return w;
}

/* b_f, the sum of the cell's biases, becomes what is asked for. */
static void set_forget_bias(cg_layer_builder *b, const cg_rnn *rnn,
                            const cg_cell_args *a) {
  cg_init_rule rule = {CG_INIT_CONSTANT, rnn->config.forget_bias, 0};
  if (b->failed || !b->rng || rule.a == 0) return;
  for (int i = 0; i < CG_CELL_MAX_PARAMS && !b->failed; i++) {
    const cg_cell_param *p = &rnn->cell->params[i];
    if (!p->name || p->when != CG_WHEN_BIAS || p->rows != CG_SIZE_GH) continue;
    b->failed = cg_init_rows(a->w[i], a->H, a->H, &rule, NULL,
                             rnn->allocator, b->err);
    rule.a = 0;
  }
}

static void add_learned(cg_layer_builder *b, const cg_rnn *rnn,
                        rnn_layer *layer) {
  for (int s = 0; rnn->config.learned_h0 && s < rnn->cell->n_states; s++) {
    char name[40];
    snprintf(name, sizeof name, s ? "c0_%s" : "h0_%s", layer->scope);
    layer->first[s] = cg_layer_param(b, name, cg_rnn_width(rnn, s), -1);
  }
}

static void add_part(cg_layer_builder *b, cg_rnn *rnn, int part) {
  const cg_rnn_config *c = &rnn->config;
  const cg_cell *cell = rnn->cell;
  rnn_layer *layer = &rnn->layers[part];
  cg_cell_args *a = &layer->args;
  int D = cg_rnn_directions(rnn), k = part / D;
  snprintf(layer->scope, sizeof layer->scope, "l%d%s", k,
           part % D ? "_reverse" : "");
  *a = (cg_cell_args){.H = c->hidden_size,
                      .R = cg_rnn_width(rnn, 0),
                      .phi = c->nonlinearity,
                      .activation = c->activation,
                      .context = c->custom_context};
  a->I = k ? D * a->R : c->input_size;
  for (int i = 0; i < CG_CELL_MAX_PARAMS && cell->params[i].name; i++)
    a->w[i] = add_param(b, rnn, &cell->params[i], layer);
  set_forget_bias(b, rnn, a);
  if (cell->init && b->rng && !b->failed &&
      cell->init(a, b->rng, b->err))
    b->failed = true;
  add_learned(b, rnn, layer);
}

/* ---- the net ---- */

static void check_config(cg_layer_builder *b, cg_rnn_config *c) {
  cg_layer_want(b, "input_size", c->input_size);
  cg_layer_want(b, "hidden_size", c->hidden_size);
  const char *bad = cg_rnn_config_complete(c);
  cg_layer_want(b, "num_layers", c->num_layers);
  if (b->failed) return;
  if (bad)
    cg_layer_fail(b, CG_ERR_ARG, bad);
  else if (c->hidden_size > INT64_MAX / 2 / cg_rnn_config_cell(c)->gates)
    cg_layer_fail(b, CG_ERR_SHAPE, "its gates have too many elements");
  else if (c->num_layers > INT_MAX / 2)
    cg_layer_fail(b, CG_ERR_ARG, "it has too many layers");
}

cg_rnn *cg_rnn_new(cg_params *params, const char *name,
                   const cg_rnn_config *config, cg_rng *rng, cg_error *err) {
  cg_layer_builder b = cg_layer_begin(params, name, config, rng, err);
  cg_rnn_config c = config ? *config : (cg_rnn_config){0};
  check_config(&b, &c);
  size_t layers = b.failed ? 0 : (size_t)c.num_layers;
  if (c.bidirectional) layers *= 2;
  size_t name_size = b.failed ? 0 : strlen(name) + 1;
  cg_rnn *rnn =
      cg_layer_memory(&b, sizeof *rnn + layers * sizeof(rnn_layer));
  char *copy = cg_layer_memory(&b, name_size);
  if (copy) {
    rnn->config = c;
    rnn->cell = cg_rnn_config_cell(&c);
    rnn->name = memcpy(copy, name, name_size);
    rnn->dtype = cg_params_dtype(params);
    rnn->allocator = cg_params_allocator(params);
    for (int k = 0; k < cg_rnn_parts(rnn) && !b.failed; k++)
      add_part(&b, rnn, k);
  }
  return cg_layer_end(&b, rnn);
}

cg_rnn_config cg_rnn_get_config(const cg_rnn *rnn) {
  return rnn ? rnn->config : (cg_rnn_config){0};
}
