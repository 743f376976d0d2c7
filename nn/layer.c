/* layer.c - what the constructors of layers share. */
#include "layer.h"

#include <stdio.h>

#include <chronograd/init.h>

#define MAX_NAME 256

static void fail(cg_layer_builder *b) { b->failed = true; }

cg_layer_builder cg_layer_begin(cg_params *params, const char *layer,
                                const void *config, cg_rng *rng,
                                cg_error *err) {
  cg_layer_builder b = {.params = params, .layer = layer, .rng = rng,
                        .err = err, .begin = cg_params_end(params)};
  const char *missing = !params         ? "registry"
                        : !config       ? "configuration"
                        : !layer || !*layer ? "name"
                                        : NULL;
  if (!missing) return b;
  cg_error_set(err, CG_ERR_ARG, "layer", "the layer has no %s", missing);
  fail(&b);
  return b;
}

void cg_layer_fail(cg_layer_builder *b, cg_status status, const char *what) {
  if (b->failed) return;
  cg_error_set(b->err, status, "layer", "layer %s: %s", b->layer, what);
  fail(b);
}

void cg_layer_want(cg_layer_builder *b, const char *what, int64_t size) {
  if (b->failed || size >= 1) return;
  cg_error_set(b->err, CG_ERR_ARG, "layer",
               "%s of layer %s is %" PRId64 " but must be at least 1", what,
               b->layer, size);
  fail(b);
}

void *cg_layer_memory(cg_layer_builder *b, size_t size) {
  if (b->failed) return NULL;
  void *memory = cg_params_alloc(b->params, size, b->err);
  if (!memory) fail(b);
  return memory;
}

cg_tensor *cg_layer_param(cg_layer_builder *b, const char *name, int64_t m,
                          int64_t n) {
  if (b->failed) return NULL;
  char full[MAX_NAME];
  int length = snprintf(full, sizeof full, "%s.%s", b->layer, name);
  if (length < 0 || (size_t)length >= sizeof full) {
    cg_error_set(b->err, CG_ERR_ARG, "layer",
                 "a layer's name has at most %d bytes",
                 MAX_NAME - (int)sizeof ".weight_ih_l2147483647");
    fail(b);
    return NULL;
  }
  int64_t shape[2] = {m, n};
  cg_tensor *leaf =
      cg_params_add(b->params, full, n < 0 ? 1 : 2, shape, b->err);
  if (!leaf) fail(b);
  return leaf;
}

cg_tensor *cg_layer_param_fan(cg_layer_builder *b, const char *name, int64_t m,
                              int64_t n, int64_t fan) {
  cg_tensor *leaf = cg_layer_param(b, name, m, n);
  if (leaf && b->rng && cg_init_fan(leaf, b->rng, fan, b->err)) fail(b);
  return leaf;
}

void *cg_layer_end(cg_layer_builder *b, void *layer) {
  if (!b->failed) return layer;
  cg_params_drop(b->params, b->begin);
  return NULL;
}
