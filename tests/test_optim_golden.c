/* test_optim_golden.c - update rules and schedules against PyTorch: 10 steps,
 * step for step (golden/make_optim.py). */
#include "nn_test.h"

#ifdef CG_HAVE_JANSSON

enum { STEPS = 10 };

/* |a - b| / max(|a|, |b|) of every element, where |a| counts as at least
 * `least`. */
static void same(const char *what, const cg_tensor *got, const cg_array *want,
                 double least, double tolerance) {
  const double *w = want->data;
  ck_assert_int_gt(cg_tensor_numel(got), 0);
  for (int64_t i = 0; i < cg_tensor_numel(got); i++) {
    double a = cg_tensor_get(got, i), b = w[i];
    double scale = fmax(least, fmax(fabs(a), fabs(b)));
    ck_assert_msg(fabs(a - b) <= tolerance * scale,
                  "%s[%d]: %.17g where %.17g is due", what, (int)i, a, b);
  }
}

static void same_params(const cg_safetensors *golden, const char *name,
                        int step, const cg_params *params, double least,
                        double tolerance) {
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%s.w%d.", name, step);
  for (int i = 0; i < 2; i++)
    same(prefix, cg_params_at(params, i),
         golden_array(golden, prefix, cg_params_name(params, i)), least,
         tolerance);
}

static const double *grads_of(const cg_safetensors *golden, int step,
                              const char *name) {
  char prefix[16];
  snprintf(prefix, sizeof prefix, "g%d.", step);
  return golden_array(golden, prefix, name)->data;
}

/* ---- first order ---- */

#define RULE(name, config, ...)                                              \
  static cg_optimizer *make_##name(cg_params *params) {                      \
    return cg_##config##_new(params, &(cg_##config##_config){__VA_ARGS__},   \
                             NULL);                                          \
  }

RULE(sgd, sgd, .lr = 0.037)
RULE(sgd_momentum, sgd, .lr = 0.037, .momentum = 0.9, .weight_decay = 0.013)
RULE(sgd_dampening, sgd, .lr = 0.037, .momentum = 0.8, .dampening = 0.3)
RULE(sgd_nesterov, sgd, .lr = 0.037, .momentum = 0.85, .nesterov = true,
     .weight_decay = 0.013)
RULE(rmsprop, rmsprop, .lr = 0.037, .alpha = 0.93, .eps = 1e-6,
     .weight_decay = 0.013)
RULE(rmsprop_momentum, rmsprop, .lr = 0.011, .alpha = 0.93, .eps = 1e-6,
     .momentum = 0.7)
RULE(rmsprop_centered, rmsprop, .lr = 0.011, .alpha = 0.93, .eps = 1e-3,
     .centered = true)
RULE(rmsprop_both, rmsprop, .lr = 0.011, .alpha = 0.83, .eps = 1e-3,
     .centered = true, .momentum = 0.6, .weight_decay = 0.013)
RULE(adagrad, adagrad, .lr = 0.37)
RULE(adagrad_decay, adagrad, .lr = 0.37, .lr_decay = 0.07, .eps = 1e-6,
     .initial_sum = 0.21, .weight_decay = 0.013)
RULE(adam, adam, .lr = 0.037, .beta1 = 0.87, .beta2 = 0.993, .eps = 1e-7,
     .weight_decay = 0.013)

static cg_optimizer *make_adamw(cg_params *params) {
  const cg_adam_config config = {.lr = 0.037, .beta1 = 0.87, .beta2 = 0.993,
                                 .eps = 1e-7, .weight_decay = 0.13};
  return cg_adamw_new(params, &config, NULL);
}

typedef struct rule {
  const char *name;
  cg_optimizer *(*make)(cg_params *params);
} rule;

#define ROW(name) {#name, make_##name}
static const rule rules[] = {
    ROW(sgd), ROW(sgd_momentum), ROW(sgd_dampening), ROW(sgd_nesterov),
    ROW(rmsprop), ROW(rmsprop_momentum), ROW(rmsprop_centered),
    ROW(rmsprop_both), ROW(adagrad), ROW(adagrad_decay), ROW(adam), ROW(adamw),
};

static void follow(const rule *r, cg_dtype dtype, double tolerance) {
  cg_safetensors *golden = golden_open("optim");
  cg_params *params = new_params(dtype);
  cg_optimizer *o = r->make(params);
  ck_assert_ptr_nonnull(o);
  load_golden(params, golden);
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < 2; i++)
      set_values(cg_leaf_grad(cg_params_at(params, i)),
                 grads_of(golden, step, cg_params_name(params, i)));
    ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
    same_params(golden, r->name, step, params, 0, tolerance);
  }
  cg_optimizer_free(o);
  cg_params_free(params);
  cg_safetensors_close(golden);
}

START_TEST(ten_steps_in_double) { follow(&rules[_i], CG_F64, 1e-12); }
END_TEST

START_TEST(ten_steps_in_float) { follow(&rules[_i], CG_F32, 3e-5); }
END_TEST

/* ---- L-BFGS: all elements meet in its dot products, and so does their
 * rounding ---- */

typedef struct problem {
  cg_params *params;
  const cg_safetensors *golden;
  int calls;
} problem;

/* sum (a^2 + 0.3) (w - c)^2 / 2 + (w - c)^4 / 4, + (sum k w)^2 / 2 */
static cg_status evaluate(void *context, double *loss, cg_error *err) {
  (void)err;
  problem *p = context;
  double along = 0, total = 0;
  for (int i = 0; i < 2; i++) {
    const char *name = cg_params_name(p->params, i);
    const double *k = grads_of(p->golden, 2, name);
    const cg_tensor *w = cg_params_at(p->params, i);
    for (int64_t j = 0; j < cg_tensor_numel(w); j++)
      along += k[j] * cg_tensor_get(w, j);
  }
  for (int i = 0; i < 2; i++) {
    const char *name = cg_params_name(p->params, i);
    const double *a = grads_of(p->golden, 0, name);
    const double *c = grads_of(p->golden, 1, name);
    const double *k = grads_of(p->golden, 2, name);
    const cg_tensor *w = cg_params_at(p->params, i);
    double gradient[12];
    for (int64_t j = 0; j < cg_tensor_numel(w); j++) {
      double d = cg_tensor_get(w, j) - c[j], q = a[j] * a[j] + 0.3;
      total += q * d * d / 2 + d * d * d * d / 4;
      gradient[j] = q * d + d * d * d + along * k[j];
    }
    set_values(cg_leaf_grad(cg_params_at(p->params, i)), gradient);
  }
  p->calls++;
  *loss = total + along * along / 2;
  return CG_OK;
}

RULE(lbfgs, lbfgs, .lr = 0.6, .max_iter = 2, .history_size = 4)
RULE(lbfgs_wolfe, lbfgs, .max_iter = 2, .history_size = 5,
     .strong_wolfe = true)
RULE(lbfgs_far, lbfgs, .lr = 7, .max_iter = 2, .max_eval = 9,
     .history_size = 3, .strong_wolfe = true)
RULE(lbfgs_near, lbfgs, .lr = 0.004, .max_iter = 1, .max_eval = 6,
     .history_size = 3, .strong_wolfe = true)

static const struct {
  rule rule;
  int calls; /* what make_optim.py prints */
} quasi_newton[] = {
    {ROW(lbfgs), 20}, {ROW(lbfgs_wolfe), 20}, {ROW(lbfgs_far), 45},
    {ROW(lbfgs_near), 41}};

static void minimize(int i, cg_dtype dtype, int steps, double tolerance) {
  const rule *r = &quasi_newton[i].rule;
  cg_safetensors *golden = golden_open("optim");
  problem p = {.params = new_params(dtype), .golden = golden};
  cg_optimizer *o = r->make(p.params);
  const double *losses = golden_array(golden, r->name, ".loss")->data, *want;
  load_golden(p.params, golden);
  for (int step = 0; step < steps; step++) {
    double loss;
    want = &losses[step];
    ck_assert_int_eq(cg_optimizer_step_closure(o, evaluate, &p, &loss, NULL),
                     CG_OK);
    ck_assert_msg(fabs(loss - *want) <= tolerance * *want,
                  "%s: loss %.17g where %.17g is due", r->name, loss, *want);
    same_params(golden, r->name, step, p.params, 1, tolerance);
  }
  if (steps == STEPS) ck_assert_int_eq(p.calls, quasi_newton[i].calls);
  cg_optimizer_free(o);
  cg_params_free(p.params);
  cg_safetensors_close(golden);
}

START_TEST(lbfgs_in_double) { minimize(_i, CG_F64, STEPS, 1e-12); }
END_TEST

/* Rounding sends the two apart sooner, in searches that begin far off at once.
 */
START_TEST(lbfgs_in_float) { minimize(_i, CG_F32, 3, 1e-3); }
END_TEST

#endif

int main(void) {
  TCase *tc = tcase_create("optim_golden");
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, ten_steps_in_double, 0, N_OF(rules));
  tcase_add_loop_test(tc, ten_steps_in_float, 0, N_OF(rules));
  tcase_add_loop_test(tc, lbfgs_in_double, 0, N_OF(quasi_newton));
  tcase_add_loop_test(tc, lbfgs_in_float, 0, 2);
#endif
  return run_case("optim_golden", tc);
}
