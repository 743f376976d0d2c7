/* test_optim.c - optimizers by hand: defaults, state, what is refused. */
#include "nn_test.h"

START_TEST(defaults_are_as_documented) {
  cg_params *params = registry(CG_F64);
  cg_tensor *w = cg_params_add(params, "w", CG_DIMS(1), NULL);
  cg_optimizer *sgd = cg_sgd_new(params, NULL, NULL);
  cg_optimizer *adam = cg_adam_new(params, NULL, NULL);
  near(cg_optimizer_lr(sgd), 1e-3, 0);
  near(cg_optimizer_lr(adam), 1e-3, 0);
  const double start = 2.385, g = -0.7;
  set_values(w, &start);
  set_grad(w, &g);
  ck_assert_int_eq(cg_optimizer_step(sgd, NULL), CG_OK);
  NEAR_ALL(w, 1e-15, start - 1e-3 * g);
  ck_assert_int_eq(cg_optimizer_step(sgd, NULL), CG_OK);
  NEAR_ALL(w, 1e-15, start - 2e-3 * g); /* no momentum */
  set_values(w, &start);
  ck_assert_int_eq(cg_optimizer_step(adam, NULL), CG_OK);
  double m = 0.1 * g, v = 0.001 * g * g;
  double first = start - 1e-3 * (m / 0.1) / (sqrt(v / 0.001) + 1e-8);
  NEAR_ALL(w, 1e-15, first);
  const double g2 = 0.31;
  set_grad(w, &g2);
  ck_assert_int_eq(cg_optimizer_step(adam, NULL), CG_OK);
  m = 0.9 * m + 0.1 * g2;
  v = 0.999 * v + 0.001 * g2 * g2;
  NEAR_ALL(w, 1e-14,
           first - 1e-3 * (m / 0.19) / (sqrt(v / (1 - 0.999 * 0.999)) + 1e-8));
  cg_optimizer_free(sgd);
  cg_optimizer_free(adam);
  cg_params_free(params);
}
END_TEST

START_TEST(the_learning_rate_can_change) {
  cg_params *params = registry(CG_F64);
  cg_tensor *w = cg_params_add(params, "w", CG_DIMS(1), NULL);
  cg_optimizer *o = cg_sgd_new(params, &(cg_sgd_config){.lr = 0.5}, NULL);
  const double g = 1.7;
  set_grad(w, &g);
  ck_assert_int_eq(cg_optimizer_set_lr(o, 0.25), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  NEAR_ALL(w, 1e-15, -0.25 * 1.7);
  ck_assert_int_eq(cg_optimizer_set_lr(o, 0.0), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  NEAR_ALL(w, 1e-15, -0.25 * 1.7);
  ck_assert_int_eq(cg_optimizer_set_lr(o, -1.0), CG_ERR_ARG);
  ck_assert_int_eq(cg_optimizer_set_lr(o, NAN), CG_ERR_ARG);
  ck_assert_int_eq(cg_optimizer_set_lr(o, INFINITY), CG_ERR_ARG);
  ck_assert_int_eq(cg_optimizer_set_lr(NULL, 0.1), CG_ERR_ARG);
  near(cg_optimizer_lr(o), 0.0, 0.0);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

/* A parameter that has no gradient yet is not moved, and its first step comes
 * when it has one. */
START_TEST(parameters_without_gradient_wait) {
  cg_params *params = registry(CG_F64);
  cg_tensor *a = cg_params_add(params, "a", CG_DIMS(1), NULL);
  cg_tensor *b = cg_params_add(params, "b", CG_DIMS(1), NULL);
  cg_optimizer *o = cg_adam_new(
      params, &(cg_adam_config){.lr = 0.1, .weight_decay = 0.3}, NULL);
  const double start = 2.385, g = 0.4;
  set_values(a, &start);
  set_values(b, &start);
  set_grad(a, &g);
  ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  double after = cg_tensor_item(a);
  ck_assert(after != start && cg_tensor_item(b) == start);
  set_grad(b, &g);
  ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  near(cg_tensor_item(b), after, 0.0);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

START_TEST(a_step_makes_old_graphs_stale) {
  cg_params *params = registry(CG_F64);
  cg_tensor *w = cg_params_add(params, "w", CG_DIMS(1), NULL);
  cg_optimizer *o = cg_sgd_new(params, NULL, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *y = cg_sum_all(tape, cg_square(tape, w));
  ck_assert_ptr_nonnull(cg_leaf_grad(w));
  ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_STALE);
  cg_tape_free(tape);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

START_TEST(a_step_allocates_nothing) {
  counter c;
  counter_init(&c);
  cg_params *params = cg_params_new(&c.allocator, CG_F32, NULL);
  cg_tensor *w = cg_params_add(params, "w", CG_DIMS(7), NULL);
  cg_optimizer *o = cg_adam_new(params, NULL, NULL);
  ck_assert_ptr_nonnull(cg_leaf_grad(w));
  size_t calls = c.calls;
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
  ck_assert_int_eq(cg_clip_grad_norm(params, 1.0, NULL, NULL), CG_OK);
  ck_assert_uint_eq(c.calls, calls);
  cg_optimizer_free(o);
  cg_params_free(params);
  ck_assert_uint_eq(c.live_blocks, 0);
}
END_TEST

START_TEST(refuses_bad_settings) {
  cg_params *params = new_params(CG_F64);
  const cg_sgd_config sgd[] = {{.lr = -1}, {.lr = NAN}, {.lr = INFINITY},
                               {.momentum = -0.1}, {.weight_decay = -0.1}};
  for (int i = 0; i < N_OF(sgd); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_sgd_new(params, &sgd[i], &err));
    has_error(&err, CG_ERR_ARG, "out of range");
  }
  ck_assert_ptr_null(
      cg_sgd_new(params, &(cg_sgd_config){.nesterov = true}, NULL));
  ck_assert_ptr_null(cg_sgd_new(
      params,
      &(cg_sgd_config){.nesterov = true, .momentum = 0.9, .dampening = 0.1},
      NULL));
  ck_assert_ptr_null(
      cg_rmsprop_new(params, &(cg_rmsprop_config){.alpha = 1}, NULL));
  ck_assert_ptr_null(
      cg_adagrad_new(params, &(cg_adagrad_config){.lr_decay = -1}, NULL));
  ck_assert_ptr_null(
      cg_adamw_new(params, &(cg_adam_config){.beta1 = 1}, NULL));
  ck_assert_ptr_null(
      cg_lbfgs_new(params, &(cg_lbfgs_config){.max_iter = -1}, NULL));
  ck_assert_ptr_null(
      cg_lbfgs_new(params, &(cg_lbfgs_config){.history_size = -1}, NULL));
  const cg_adam_config adam[] = {{.lr = -1},     {.beta1 = 1.0},
                                 {.beta2 = 1.1}, {.beta1 = -0.2},
                                 {.eps = -1e-8}, {.weight_decay = NAN}};
  for (int i = 0; i < N_OF(adam); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_adam_new(params, &adam[i], &err));
    has_error(&err, CG_ERR_ARG, "out of range");
  }
  cg_error err = {0};
  ck_assert_ptr_null(cg_adam_new(NULL, NULL, &err));
  has_error(&err, CG_ERR_ARG, "registry");
  ck_assert_int_eq(cg_optimizer_step(NULL, &err), CG_ERR_ARG);
  near(cg_optimizer_lr(NULL), 0.0, 0.0);
  cg_optimizer_free(NULL);
  cg_params_free(params);
}
END_TEST

START_TEST(notices_dropped_parameters) {
  cg_params *params = registry(CG_F64);
  cg_tensor *a = cg_params_add(params, "a", CG_DIMS(1), NULL);
  cg_params_position end = cg_params_end(params);
  cg_params_add(params, "b", CG_DIMS(1), NULL);
  const double g = 1.7;
  set_grad(a, &g);
  cg_optimizer *o = cg_sgd_new(params, NULL, NULL);
  cg_params_drop(params, end);
  cg_error err = {0};
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_ERR_STATE);
  has_error(&err, CG_ERR_STATE, "dropped");
  cg_params_add(params, "b", CG_DIMS(70), NULL);
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_ERR_STATE);
  near(cg_tensor_item(a), 0.0, 0.0);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("optim");
  tcase_add_test(tc, defaults_are_as_documented);
  tcase_add_test(tc, the_learning_rate_can_change);
  tcase_add_test(tc, parameters_without_gradient_wait);
  tcase_add_test(tc, a_step_makes_old_graphs_stale);
  tcase_add_test(tc, a_step_allocates_nothing);
  tcase_add_test(tc, refuses_bad_settings);
  tcase_add_test(tc, notices_dropped_parameters);
  return run_case("optim", tc);
}
