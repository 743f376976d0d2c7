/* param.h - the parameters of a model, by name and in order.
 *
 * A registry owns everything that belongs to a model: its parameters, which are
 * leaves that require a gradient, and the layers that use them. One
 * cg_params_free frees it all. Names and shapes are those of PyTorch's
 * state_dict ("rnn.weight_ih_l0" [H, I], "fc.bias" [out]), so that model files
 * fit.
 *
 * Growing never moves a leaf or a layer: pointers stay valid until the registry
 * is freed (or cg_params_drop takes them back).
 */
#ifndef CHRONOGRAD_PARAM_H
#define CHRONOGRAD_PARAM_H

#include <chronograd/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A registry; its members are the library's own. */
typedef struct cg_params cg_params;

/* An empty registry of F32 or F64 parameters, which come from `allocator`
 * (NULL: the C library's heap). NULL on an error (NOMEM, DTYPE). */
CG_API cg_params *cg_params_new(const cg_allocator *allocator, cg_dtype dtype,
                                cg_error *err);
/* Frees the registry, its parameters with their gradients, and its layers. No
 * tape may use them any more. NULL is fine. */
CG_API void cg_params_free(cg_params *params);

/* A new parameter, filled with zeros, which requires a gradient; the registry
 * owns it. `name` is copied. NULL on an error: an empty name, one that is not
 * UTF-8 or is there already (ARG), a bad shape (SHAPE), NOMEM. */
CG_API cg_tensor *cg_params_add(cg_params *params, const char *name, int rank,
                                const int64_t *shape, cg_error *err);

/* ---- looking ---- */

/* The type of all parameters. */
CG_API cg_dtype cg_params_dtype(const cg_params *params);
/* The allocator in use; never NULL. */
CG_API const cg_allocator *cg_params_allocator(const cg_params *params);
/* The number of parameters. */
CG_API int cg_params_count(const cg_params *params);
/* Parameter number i in the order of addition, or NULL. */
CG_API cg_tensor *cg_params_at(const cg_params *params, int i);
/* Its full name, or NULL; owned by the registry. (cg_leaf_name may be cut.) */
CG_API const char *cg_params_name(const cg_params *params, int i);
/* The parameter called `name`, or NULL. */
CG_API cg_tensor *cg_params_find(const cg_params *params, const char *name);
/* The number of elements of all parameters. */
CG_API int64_t cg_params_numel(const cg_params *params);

/* Sets all gradients to zero. */
CG_API void cg_params_zero_grad(cg_params *params);

/* ---- for those who write layers ---- */

/* `size` > 0 zeroed bytes that live as long as the registry; NULL when out of
 * memory. */
CG_API void *cg_params_alloc(cg_params *params, size_t size, cg_error *err);

/* The end of a registry, to which a constructor that failed halfway returns. */
typedef struct cg_params_position {
  int parameters, blocks; /* the library's own */
} cg_params_position;

/* The end as it is now. */
CG_API cg_params_position cg_params_end(const cg_params *params);
/* Frees what was added since: parameters and memory. */
CG_API void cg_params_drop(cg_params *params, cg_params_position to);

#ifdef __cplusplus
}
#endif
#endif
