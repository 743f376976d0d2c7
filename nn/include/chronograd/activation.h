/* activation.h - the nonlinearities phi of a recurrent cell: what can be done
 * with a cg_activation, which ops.h lists. */
#ifndef CHRONOGRAD_ACTIVATION_H
#define CHRONOGRAD_ACTIVATION_H

#include <chronograd/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "tanh", "relu", "sigmoid", "identity"; "?" for an unknown one. */
CG_API const char *cg_activation_name(cg_activation phi);
/* The activation of that name; false if there is none. */
CG_API bool cg_activation_parse(const char *name, cg_activation *phi);

/* phi'(z) from the saved state h = phi(z), a formula of its own beside the
 * tape's: 1 - h^2 for tanh, and so on as above. NaN for an unknown phi. */
CG_API double cg_activation_prime(cg_activation phi, double h);

/* phi(z) on the tape; the identity is z itself. An unknown phi is an error
 * (ARG). */
CG_API cg_tensor *cg_activate(cg_tape *tape, cg_activation phi, cg_tensor *z);

/* A function of one tensor by element, such as cg_softplus or cg_gelu. */
typedef cg_tensor *(*cg_unary)(cg_tape *tape, cg_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
