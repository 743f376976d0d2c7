/* kernel_phi.c - activations in place.
 *
 * The last block is padded, so that the same vector function computes every
 * element (see kernel_map.c).
 */
#include "kernel.h"
#include "kernel_lanes.h"

/* EXPR is of the element z. */
#define PHI(name, T, EXPR)                                                   \
  CG_CLONES static void name(int64_t n, void *yy) {                          \
    T *y = yy, block[LANES];                                                 \
    int64_t k = 0;                                                           \
    for (; k + LANES <= n; k += LANES)                                       \
      IN_LANES {                                                             \
        const T z = y[k + j];                                                \
        y[k + j] = (EXPR);                                                   \
      }                                                                      \
    const int left = (int)(n - k);                                           \
    if (!left) return;                                                       \
    IN_LANES block[j] = j < left ? y[k + j] : 0;                             \
    IN_LANES {                                                               \
      const T z = block[j];                                                  \
      block[j] = (EXPR);                                                     \
    }                                                                        \
    for (int j = 0; j < left; j++) y[k + j] = block[j];                      \
  }

#define PHI_OF_BOTH(name, EXPR32, EXPR64)                                    \
  PHI(name##_f32, float, EXPR32)                                             \
  PHI(name##_f64, double, EXPR64)                                            \
  const kernel_phi kernel_phi_##name = {name##_f32, name##_f64};

PHI_OF_BOTH(tanh, tanhf(z), tanh(z))
PHI_OF_BOTH(sigmoid, SIGMOID(expf, z), SIGMOID(exp, z))
PHI_OF_BOTH(relu, RELU(z), RELU(z))
