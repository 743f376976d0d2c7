/* linear.h - y = x W^T + b. */
#ifndef CHRONOGRAD_LINEAR_H
#define CHRONOGRAD_LINEAR_H

#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The sizes of a layer. */
typedef struct cg_linear_config {
  int64_t in_features;  /* needed */
  int64_t out_features; /* needed */
  bool no_bias;         /* unset: there is a bias */
} cg_linear_config;

/* The layer; its parameters may be read, and written as leaves. */
typedef struct cg_linear_layer {
  cg_tensor *W; /* "<name>.weight" [out, in] */
  cg_tensor *b; /* "<name>.bias" [out], or NULL */
} cg_linear_layer;

/* Adds the layer `name` to a registry, which owns it. Weight and bias are
 * uniform in +-1/sqrt(in), drawn from `rng`; NULL leaves them zero, to be
 * loaded. NULL on an error, with the registry as it was. */
CG_API cg_linear_layer *cg_linear_layer_new(cg_params *params, const char *name,
                                            const cg_linear_config *config,
                                            cg_rng *rng, cg_error *err);

/* x [..., in] -> [..., out]. */
CG_API cg_tensor *cg_linear_layer_forward(cg_tape *tape,
                                          const cg_linear_layer *layer,
                                          cg_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
