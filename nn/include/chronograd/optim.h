/* optim.h - from gradients to better parameters.
 *
 * An optimizer works on the parameters that its registry had when it was made;
 * those without a gradient are passed over. The arithmetic is PyTorch's, in the
 * parameters' own type. Nothing is allocated after construction. Gradients are
 * read, not zeroed: call cg_params_zero_grad before the next backward.
 */
#ifndef CHRONOGRAD_OPTIM_H
#define CHRONOGRAD_OPTIM_H

#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cg_optimizer cg_optimizer;

/* Gradient descent with momentum. With g' = g + weight_decay * w:
 *
 *   v <- momentum * v + g'   (v = g' in the first step)      w <- w - lr * v
 */
typedef struct cg_sgd_config {
  double lr;           /* unset: 1e-3 */
  double momentum;     /* unset: 0; >= 0 */
  double weight_decay; /* unset: 0; >= 0 */
} cg_sgd_config;

/* Adam (D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization",
 * 2015). With g' = g + weight_decay * w, in step n = 1, 2, ...:
 *
 *   m <- m + (1 - beta1) (g' - m)      v <- beta2 * v + (1 - beta2) g'^2
 *   w <- w - lr / (1 - beta1^n) * m / (sqrt(v) / sqrt(1 - beta2^n) + eps)
 */
typedef struct cg_adam_config {
  double lr;           /* unset: 1e-3 */
  double beta1;        /* unset: 0.9; in 0 .. 1, below 1 */
  double beta2;        /* unset: 0.999; likewise */
  double eps;          /* unset: 1e-8; > 0 */
  double weight_decay; /* unset: 0; >= 0 */
} cg_adam_config;

/* An optimizer for the parameters of `params`, which must outlive it. `config`
 * may be NULL: everything unset. The caller frees it. NULL on an error: a
 * setting out of its range (ARG), NOMEM. */
CG_API cg_optimizer *cg_sgd_new(cg_params *params, const cg_sgd_config *config,
                                cg_error *err);
CG_API cg_optimizer *cg_adam_new(cg_params *params,
                                 const cg_adam_config *config, cg_error *err);
/* NULL is fine. */
CG_API void cg_optimizer_free(cg_optimizer *optimizer);

/* One update of all parameters. STATE if parameters were taken back
 * (cg_params_drop) since the optimizer was made; nothing is updated then. */
CG_API cg_status cg_optimizer_step(cg_optimizer *optimizer, cg_error *err);

/* The learning rate; 0 for NULL. */
CG_API double cg_optimizer_lr(const cg_optimizer *optimizer);
/* Sets it for the steps to come, for schedules; ARG unless finite and >= 0. */
CG_API cg_status cg_optimizer_set_lr(cg_optimizer *optimizer, double lr);

#ifdef __cplusplus
}
#endif
#endif
