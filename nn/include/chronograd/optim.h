/* optim.h - from gradients to better parameters.
 *
 * An optimizer works on the parameters that its registry had when it was made;
 * those without a gradient are passed over. The update rules are PyTorch's, in
 * the parameters' own type. Nothing is allocated after construction. Gradients
 * are read, not zeroed: call cg_params_zero_grad before the next backward.
 *
 * g is the gradient of a parameter w, and g' = g + weight_decay * w. A setting
 * that is not set, or 0, has the default that is given with it.
 */
#ifndef CHRONOGRAD_OPTIM_H
#define CHRONOGRAD_OPTIM_H

#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer and its state; the members are the library's own. */
typedef struct cg_optimizer cg_optimizer;

/* ---- the rules ---- */

/* Gradient descent with momentum:
 *
 *   v <- momentum * v + (1 - dampening) * g'   (v = g' in the first step)
 *   w <- w - lr * v, with Nesterov's momentum w - lr * (g' + momentum * v)
 */
typedef struct cg_sgd_config {
  double lr;           /* unset: 1e-3 */
  double momentum;     /* unset: 0; >= 0 */
  double weight_decay; /* unset: 0; >= 0 */
  double dampening;    /* unset: 0; in 0 .. 1 */
  bool nesterov;       /* needs momentum, and no dampening */
} cg_sgd_config;

/* RMSprop (T. Tieleman, G. Hinton, "Lecture 6.5", Coursera, 2012; centered: A.
 * Graves, "Generating sequences with recurrent neural networks", 2013):
 *
 *   s <- alpha * s + (1 - alpha) g'^2
 *   centered: a <- a + (1 - alpha) (g' - a), and s - a^2 in place of s below
 *   v <- momentum * v + g' / (sqrt(s) + eps)      w <- w - lr * v
 */
typedef struct cg_rmsprop_config {
  double lr;           /* unset: 0.01 */
  double alpha;        /* unset: 0.99; in 0 .. 1, below 1 */
  double eps;          /* unset: 1e-8; > 0 */
  double momentum;     /* unset: 0; >= 0 */
  double weight_decay; /* unset: 0; >= 0 */
  bool centered;       /* unset: not */
} cg_rmsprop_config;

/* Adagrad (J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for
 * online learning and stochastic optimization", 2011), in step n = 1, 2, ...:
 *
 *   s <- s + g'^2
 *   w <- w - lr / (1 + (n - 1) lr_decay) * g' / (sqrt(s) + eps)
 */
typedef struct cg_adagrad_config {
  double lr;           /* unset: 0.01 */
  double lr_decay;     /* unset: 0; >= 0 */
  double eps;          /* unset: 1e-10; > 0 */
  double weight_decay; /* unset: 0; >= 0 */
  double initial_sum;  /* s at first; unset: 0; >= 0 */
} cg_adagrad_config;

/* Adam (D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization",
 * 2015), in step n = 1, 2, ...:
 *
 *   m <- m + (1 - beta1) (g' - m)      v <- beta2 * v + (1 - beta2) g'^2
 *   w <- w - lr / (1 - beta1^n) * m / (sqrt(v) / sqrt(1 - beta2^n) + eps)
 */
typedef struct cg_adam_config {
  double lr;           /* unset: 1e-3 */
  double beta1;        /* unset: 0.9; in 0 .. 1, below 1 */
  double beta2;        /* unset: 0.999; likewise */
  double eps;          /* unset: 1e-8; > 0 */
  double weight_decay; /* unset: 0, but 0.01 for AdamW; >= 0 */
} cg_adam_config;

/* L-BFGS (D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large
 * scale optimization", 1989). It takes the loss as a whole, not a sample of it,
 * and needs cg_optimizer_step_closure. A step makes up to max_iter iterations:
 * along the direction that the last history_size differences of parameters and
 * gradients give (J. Nocedal, S. J. Wright, "Numerical optimization", 2006,
 * algorithm 7.4), by the fixed length lr, in the very first one by lr times
 * min(1, 1 / sum |g|); or as far as a line search goes from there that looks
 * for a point that meets the strong Wolfe conditions with c1 = 1e-4 and c2 =
 * 0.9 (algorithms 3.5 and 3.6, cubic interpolation). Memory: 2 history_size + 7
 * times the parameters. */
typedef struct cg_lbfgs_config {
  double lr;               /* unset: 1 */
  int max_iter;            /* iterations of a step; unset: 20 */
  int max_eval;            /* evaluations of a step; unset: max_iter * 5 / 4 */
  int history_size;        /* unset: 10 (PyTorch: 100) */
  double tolerance_grad;   /* ends the step at max |g|; unset: 1e-7 */
  double tolerance_change; /* likewise at a change of w or loss; unset: 1e-9 */
  bool strong_wolfe;       /* with the line search */
} cg_lbfgs_config;

/* ---- life ---- */

/* An optimizer for the parameters of `params`, which must outlive it. `config`
 * may be NULL: everything unset. The caller frees it. NULL on an error: a
 * setting out of its range (ARG), NOMEM. */
CG_API cg_optimizer *cg_sgd_new(cg_params *params, const cg_sgd_config *config,
                                cg_error *err);
CG_API cg_optimizer *cg_rmsprop_new(cg_params *params,
                                    const cg_rmsprop_config *config,
                                    cg_error *err);
CG_API cg_optimizer *cg_adagrad_new(cg_params *params,
                                    const cg_adagrad_config *config,
                                    cg_error *err);
CG_API cg_optimizer *cg_adam_new(cg_params *params,
                                 const cg_adam_config *config, cg_error *err);
/* Adam whose weight decay is not a part of the gradient (I. Loshchilov, F.
 * Hutter, "Decoupled weight decay regularization", 2019): w is multiplied by
 * 1 - lr * weight_decay before each update, and g' = g. */
CG_API cg_optimizer *cg_adamw_new(cg_params *params,
                                  const cg_adam_config *config, cg_error *err);
CG_API cg_optimizer *cg_lbfgs_new(cg_params *params,
                                  const cg_lbfgs_config *config, cg_error *err);
/* By its name: "sgd", "rmsprop", "adagrad", "adam", "adamw" or "lbfgs", with
 * everything unset but the learning rate (0: unset, too). ARG for an unknown
 * name. */
CG_API cg_optimizer *cg_optimizer_new(cg_params *params, const char *name,
                                      double lr, cg_error *err);
/* NULL is fine. */
CG_API void cg_optimizer_free(cg_optimizer *optimizer);

/* Its name ("adam"), or "" for NULL. */
CG_API const char *cg_optimizer_name(const cg_optimizer *optimizer);
/* Name i of those that there are, from 0; NULL behind the last. */
CG_API const char *cg_optimizer_list(int i);

/* ---- stepping ---- */

/* One update of all parameters. On an error nothing is updated: STATE if
 * parameters were taken back (cg_params_drop) since the optimizer was made, and
 * for L-BFGS, or what the checks below find. */
CG_API cg_status cg_optimizer_step(cg_optimizer *optimizer, cg_error *err);

/* Zeroes the gradients, records the loss, walks back and writes the loss to
 * *loss; returns why it could not. */
typedef cg_status (*cg_closure_fn)(void *context, double *loss, cg_error *err);

/* The same with a loss that can be evaluated again: calls `closure`, more than
 * once for L-BFGS, and updates. *loss (may be NULL) is that of the first call,
 * before the update; the gradients are those of the last call. On an error all
 * parameters are as before, and L-BFGS forgets its history: what the closure
 * returned, a loss that is not finite before the step, and for L-BFGS also
 * after it (NONFINITE), or an error of cg_optimizer_step. */
CG_API cg_status cg_optimizer_step_closure(cg_optimizer *optimizer,
                                           cg_closure_fn closure, void *context,
                                           double *loss, cg_error *err);

/* What must hold before an update, combined with |. */
enum {
  CG_OPTIM_FINITE = 1, /* every gradient is finite (NONFINITE) */
  CG_OPTIM_ALL = 2     /* every parameter has a gradient (STATE) */
};
/* Has each step look at that first; the error names the parameter. 0, as at
 * first: no look. ARG for other bits or NULL. */
CG_API cg_status cg_optimizer_set_checks(cg_optimizer *optimizer, int checks);

/* The learning rate; 0 for NULL. */
CG_API double cg_optimizer_lr(const cg_optimizer *optimizer);
/* Sets it for the steps to come, for schedules; ARG unless finite and >= 0. */
CG_API cg_status cg_optimizer_set_lr(cg_optimizer *optimizer, double lr);

#ifdef __cplusplus
}
#endif
#endif
