/* rnn_case.c - a recurrent net as a file describes it, run forth and back. */
#include "rnn_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the net ---- */

static int number(const cg_safetensors *file, const char *key) {
  const char *text = cg_safetensors_metadata(file, key);
  return text ? atoi(text) : 0;
}

static bool is(const cg_safetensors *file, const char *key, const char *word) {
  const char *text = cg_safetensors_metadata(file, key);
  return text && strcmp(text, word) == 0;
}

static cg_rnn_config config_of(const cg_safetensors *file) {
  cg_rnn_config c = {.input_size = number(file, "input_size"),
                     .hidden_size = number(file, "hidden_size"),
                     .num_layers = number(file, "num_layers"),
                     .no_bias = number(file, "no_bias"),
                     .bidirectional = number(file, "bidirectional"),
                     .batch_first = number(file, "batch_first"),
                     .proj_size = number(file, "proj_size"),
                     .layer_norm = number(file, "layer_norm"),
                     .reset_before = number(file, "reset_before")};
  c.cell = is(file, "cell", "lstm")  ? CG_CELL_LSTM
           : is(file, "cell", "gru") ? CG_CELL_GRU
                                     : CG_CELL_RNN;
  if (is(file, "nonlinearity", "relu")) c.nonlinearity = CG_ACT_RELU;
  return c;
}

/* ---- numbers ---- */

static void round_to(cg_tensor *leaf, const double *values) {
  void *data = cg_leaf_data(leaf);
  for (int64_t i = 0; i < cg_tensor_numel(leaf); i++)
    if (cg_tensor_dtype(leaf) == CG_F32)
      ((float *)data)[i] = (float)values[i];
    else
      ((double *)data)[i] = values[i];
}

static cg_tensor *leaf_of(const cg_safetensors *file, const char *name,
                          cg_dtype dtype) {
  const cg_array *a = cg_safetensors_find(file, name);
  if (!a || a->dtype != CG_F64) return NULL;
  cg_tensor *leaf = cg_leaf_new(NULL, dtype, a->rank, a->shape, NULL);
  if (leaf) {
    round_to(leaf, a->data);
    cg_leaf_set_requires_grad(leaf, true);
  }
  return leaf;
}

/* <w, y> with the file's w of that name, added to `sum` (NULL: nothing yet). */
static cg_tensor *add_inner(rnn_case *c, const cg_safetensors *file,
                            const char *name, cg_tensor *y, cg_tensor *sum) {
  const cg_array *a = cg_safetensors_find(file, name);
  if (!a || !y) return sum;
  cg_tensor *w = cg_cast(c->tape, cg_borrow(c->tape, a->dtype, a->rank,
                                            a->shape, a->data),
                         cg_tensor_dtype(y));
  cg_tensor *inner = cg_sum_all(c->tape, cg_mul(c->tape, w, y));
  return sum ? cg_add(c->tape, sum, inner) : inner;
}

/* ---- the run ---- */

static cg_status load_params(const rnn_case *c, const cg_safetensors *file,
                             cg_error *err) {
  for (int i = 0; i < cg_params_count(c->params); i++) {
    char name[96];
    snprintf(name, sizeof name, "param.%s", cg_params_name(c->params, i));
    const cg_array *a = cg_safetensors_find(file, name);
    cg_tensor *w = cg_params_at(c->params, i);
    if (!a || a->rank != cg_tensor_rank(w) ||
        memcmp(a->shape, cg_tensor_shape(w), (size_t)a->rank * 8) != 0)
      return cg_error_set(err, CG_ERR_FORMAT, "rnn_case", "%s is missing, or "
                          "of another shape", name);
    round_to(w, a->data);
  }
  return CG_OK;
}

static cg_status forth_and_back(rnn_case *c, const cg_safetensors *file) {
  const cg_array *lengths = cg_safetensors_find(file, "lengths");
  cg_rnn_run run = {.state = c->first,
                    .lengths = lengths ? lengths->data : NULL};
  c->result = cg_rnn_forward_with(c->tape, c->rnn, c->x, &run);
  cg_tensor *loss = add_inner(c, file, "w.h", c->result.h, NULL);
  loss = add_inner(c, file, "w.h_last", c->result.h_last, loss);
  loss = add_inner(c, file, "w.c_last", c->result.c_last, loss);
  return cg_backward(c->tape, loss);
}

cg_status rnn_case_run(rnn_case *c, const cg_safetensors *file, cg_dtype dtype,
                       cg_error *err) {
  cg_rnn_config config = config_of(file);
  *c = (rnn_case){.params = cg_params_new(NULL, dtype, err)};
  c->rnn = cg_rnn_new(c->params, "rnn", &config, NULL, err);
  if (!c->rnn) return CG_ERR_ARG;
  cg_status status = load_params(c, file, err);
  if (status) return status;
  c->tape = cg_tape_new(NULL);
  c->x = leaf_of(file, "x", dtype);
  c->first.h = leaf_of(file, "h0", dtype);
  c->first.c = leaf_of(file, "c0", dtype);
  status = forth_and_back(c, file);
  if (status && err) *err = *cg_tape_error(c->tape);
  return status;
}

void rnn_case_free(rnn_case *c) {
  cg_tape_free(c->tape);
  cg_leaf_free(c->x);
  cg_leaf_free(c->first.h);
  cg_leaf_free(c->first.c);
  cg_params_free(c->params);
}

const cg_tensor *rnn_case_item(const rnn_case *c, int i, char *name,
                               size_t size) {
  const struct {
    const char *name;
    const cg_tensor *value;
  } items[] = {{"h", c->result.h},
               {"h_last", c->result.h_last},
               {"c_last", c->result.c_last},
               {"grad.x", cg_tensor_grad(c->x)},
               {"grad.h0", cg_tensor_grad(c->first.h)},
               {"grad.c0", cg_tensor_grad(c->first.c)}};
  const int n = (int)(sizeof items / sizeof *items);
  if (i < n) {
    snprintf(name, size, "%s", items[i].name);
    return items[i].value;
  }
  cg_tensor *w = cg_params_at(c->params, i - n);
  if (w)
    snprintf(name, size, "grad.%s", cg_params_name(c->params, i - n));
  else
    name[0] = 0;
  return cg_tensor_grad(w);
}
