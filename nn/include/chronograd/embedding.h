/* embedding.h - a learned vector for each of V symbols. */
#ifndef CHRONOGRAD_EMBEDDING_H
#define CHRONOGRAD_EMBEDDING_H

#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The sizes of a layer. */
typedef struct cg_embedding_config {
  int64_t num_embeddings; /* V, needed */
  int64_t embedding_dim;  /* E, needed */
} cg_embedding_config;

/* The layer; its parameter may be read, and written as a leaf. */
typedef struct cg_embedding_layer {
  cg_tensor *W; /* "<name>.weight" [V, E] */
} cg_embedding_layer;

/* Adds the layer `name` to a registry, which owns it. The weight is standard
 * normal, drawn from `rng`; NULL leaves it zero, to be loaded. NULL on an
 * error, with the registry as it was. */
CG_API cg_embedding_layer *cg_embedding_layer_new(
    cg_params *params, const char *name, const cg_embedding_config *config,
    cg_rng *rng, cg_error *err);

/* Row index[i] of the weight for each i: index [...] (I64, 0 <= index < V) ->
 * [..., E]. */
CG_API cg_tensor *cg_embedding_layer_forward(cg_tape *tape,
                                             const cg_embedding_layer *layer,
                                             cg_tensor *index);

#ifdef __cplusplus
}
#endif
#endif
