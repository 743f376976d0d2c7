/* kernel_phi_grad.c - gradients through activations in place, by the same
 * expressions as their ops (kernel_map.c).
 */
#include "kernel.h"
#include "kernel_lanes.h"

/* EXPR is of the gradient A and the activation B. */
#define PHI_GRAD(name, T, EXPR)                                              \
  CG_CLONES static void name(int64_t n, void *aa, const void *bb) {          \
    T *a = aa;                                                               \
    const T *restrict b = bb;                                                \
    for (int64_t i = 0; i < n; i++) {                                        \
      const T A = a[i], B = b[i];                                            \
      a[i] = (EXPR);                                                         \
    }                                                                        \
  }

#define PHI_GRAD_OF_BOTH(name, EXPR)                                         \
  PHI_GRAD(name##_f32, float, EXPR)                                          \
  PHI_GRAD(name##_f64, double, EXPR)                                         \
  const kernel_phi_grad kernel_phi_##name = {name##_f32, name##_f64};

PHI_GRAD_OF_BOTH(tanh_grad, TANH_GRAD(A, B))
PHI_GRAD_OF_BOTH(sigmoid_grad, SIGMOID_GRAD(A, B))
PHI_GRAD_OF_BOTH(relu_grad, RELU_GRAD(A, B))
