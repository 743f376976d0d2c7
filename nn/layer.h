/* layer.h - what the constructors of layers share. Private to nn. */
#ifndef CHRONOGRAD_NN_LAYER_H
#define CHRONOGRAD_NN_LAYER_H

#include <inttypes.h>

#include <chronograd/param.h>

/* A layer under construction. The first failure sticks; the functions below do
 * nothing after it. */
typedef struct cg_layer_builder {
  cg_params *params;
  const char *layer; /* its name, such as "fc" */
  cg_rng *rng;       /* NULL: parameters stay zero */
  cg_error *err;
  cg_params_position begin; /* of the registry, to return to */
  bool failed;
} cg_layer_builder;

/* Begins `layer`; `config` is looked at only for NULL. */
cg_layer_builder cg_layer_begin(cg_params *params, const char *layer,
                                const void *config, cg_rng *rng,
                                cg_error *err);
/* Fails with "layer <name>: <what>". */
void cg_layer_fail(cg_layer_builder *b, cg_status status, const char *what);
/* Fails unless size >= 1. */
void cg_layer_want(cg_layer_builder *b, const char *what, int64_t size);
/* Zeroed memory for the layer itself. */
void *cg_layer_memory(cg_layer_builder *b, size_t size);
/* The parameter "<layer>.<name>" of rank 1 ([m], if n < 0) or 2 ([m, n]). */
cg_tensor *cg_layer_param(cg_layer_builder *b, const char *name, int64_t m,
                          int64_t n);
/* The same, uniform in +-1/sqrt(fan) if there is a generator. */
cg_tensor *cg_layer_param_fan(cg_layer_builder *b, const char *name, int64_t m,
                              int64_t n, int64_t fan);
/* `layer`, or NULL with everything undone if the construction failed. */
void *cg_layer_end(cg_layer_builder *b, void *layer);

#endif
