/* derivative.h - products with Jacobians and Hessians, and the matrices.
 *
 * For y = f(x) with Jacobian J[i, j] = dy_i / dx_j, all of these work on what
 * is recorded: inputs are leaves or tensors of the tape, outputs are computed
 * from them.
 *
 *     u' J     cg_grad with u as grad_outputs: one walk
 *     J v      cg_jvp: two walks, the second over the first
 *     H v      cg_hvp: two walks, H being the Hessian of a scalar
 *     J, H     cg_jacobian, cg_hessian: a walk per row
 *
 * Results belong to the tape. Options are those of cg_grad. Without
 * CG_CREATE_GRAPH the results are constants and whatever else was recorded on
 * the way is dropped again, so a loop of products grows the tape by its results
 * only; with it, the way stays and the results can be derived. An input that no
 * output depends on is an error, or with CG_ALLOW_UNUSED counts as nothing. It
 * does not matter whether recording is on. After an error all results are
 * NULL.
 */
#ifndef CHRONOGRAD_DERIVATIVE_H
#define CHRONOGRAD_DERIVATIVE_H

#include <chronograd/backward.h>

#ifdef __cplusplus
extern "C" {
#endif

/* jv[i] = sum_j (d outputs[i] / d inputs[j]) v[j], with outputs[i]'s shape and
 * type; v[j] has those of inputs[j]. The first walk computes u' J for an
 * unknown u, the second derives that with respect to u. Zeros where outputs[i]
 * depends on no input. */
CG_API cg_status cg_jvp(cg_tape *tape, cg_tensor *const *outputs,
                        int n_outputs, cg_tensor *const *inputs,
                        cg_tensor *const *v, int n_inputs, cg_tensor **jv,
                        int options);

/* hv[j] = sum_k (d^2 y / d inputs[j] d inputs[k]) v[k] for a float y with one
 * element; v[k] and hv[k] have the shape and type of inputs[k]. Zeros where
 * the gradient is constant; NULL, with CG_ALLOW_UNUSED, where y does not depend
 * on inputs[j]. */
CG_API cg_status cg_hvp(cg_tape *tape, cg_tensor *y, cg_tensor *const *inputs,
                        cg_tensor *const *v, int n_inputs, cg_tensor **hv,
                        int options);

/* *J = dy / dx with y's shape followed by x's, in x's type; an error (SHAPE) if
 * that has a rank above CG_MAX_RANK. One walk per element of y. With
 * CG_ALLOW_UNUSED *J is NULL if y does not depend on x. */
CG_API cg_status cg_jacobian(cg_tape *tape, cg_tensor *y, cg_tensor *x,
                             cg_tensor **J, int options);

/* *H = d^2 y / dx^2 for a float y with one element: x's shape twice, in x's
 * type; the rest as cg_jacobian. One walk per element of x, and one. */
CG_API cg_status cg_hessian(cg_tape *tape, cg_tensor *y, cg_tensor *x,
                            cg_tensor **H, int options);

#ifdef __cplusplus
}
#endif
#endif
