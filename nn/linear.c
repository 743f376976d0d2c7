/* linear.c - y = x W^T + b. */
#include <chronograd/linear.h>

#include "layer.h"

cg_linear_layer *cg_linear_layer_new(cg_params *params, const char *name,
                                     const cg_linear_config *config,
                                     cg_rng *rng, cg_error *err) {
  cg_layer_builder b = cg_layer_begin(params, name, config, rng, err);
  cg_linear_config c = config ? *config : (cg_linear_config){0};
  cg_layer_want(&b, "in_features", c.in_features);
  cg_layer_want(&b, "out_features", c.out_features);
  cg_linear_layer *layer = cg_layer_memory(&b, sizeof *layer);
  cg_tensor *W = cg_layer_param_fan(&b, "weight", c.out_features,
                                    c.in_features, c.in_features);
  cg_tensor *bias = c.no_bias ? NULL
                              : cg_layer_param_fan(&b, "bias", c.out_features,
                                                   -1, c.in_features);
  if (layer) *layer = (cg_linear_layer){W, bias};
  return cg_layer_end(&b, layer);
}

cg_tensor *cg_linear_layer_forward(cg_tape *tape, const cg_linear_layer *layer,
                                   cg_tensor *x) {
  if (!layer)
    return cg_tape_fail(tape, CG_ERR_ARG, "linear_layer", "there is no layer");
  return cg_linear(tape, x, layer->W, layer->b);
}
