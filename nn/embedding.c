/* embedding.c - a learned vector for each of V symbols. */
#include <chronograd/embedding.h>

#include <chronograd/init.h>

#include "layer.h"

cg_embedding_layer *cg_embedding_layer_new(cg_params *params, const char *name,
                                           const cg_embedding_config *config,
                                           cg_rng *rng, cg_error *err) {
  cg_layer_builder b = cg_layer_begin(params, name, config, rng, err);
  cg_embedding_config c = config ? *config : (cg_embedding_config){0};
  cg_layer_want(&b, "num_embeddings", c.num_embeddings);
  cg_layer_want(&b, "embedding_dim", c.embedding_dim);
  cg_embedding_layer *layer = cg_layer_memory(&b, sizeof *layer);
  cg_tensor *W =
      cg_layer_param(&b, "weight", c.num_embeddings, c.embedding_dim);
  if (W && rng) cg_init_normal(W, rng, 0.0, 1.0, NULL);
  if (layer) layer->W = W;
  return cg_layer_end(&b, layer);
}

cg_tensor *cg_embedding_layer_forward(cg_tape *tape,
                                      const cg_embedding_layer *layer,
                                      cg_tensor *index) {
  if (!layer)
    return cg_tape_fail(tape, CG_ERR_ARG, "embedding_layer",
                        "there is no layer");
  return cg_embedding(tape, layer->W, index);
}
