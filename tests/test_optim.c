/* test_optim.c - optimizers against PyTorch and by hand; clipping. */
#include "nn_test.h"

static const cg_dtype floats[] = {CG_F32, CG_F64};

static cg_params *new_params(cg_dtype dtype) {
  cg_params *params = registry(dtype);
  ck_assert_ptr_nonnull(cg_params_add(params, "W", CG_DIMS(3, 4), NULL));
  ck_assert_ptr_nonnull(cg_params_add(params, "b", CG_DIMS(5), NULL));
  return params;
}

static void set_grad(cg_tensor *leaf, const double *values) {
  cg_tensor *g = cg_leaf_grad(leaf);
  ck_assert_ptr_nonnull(g);
  set_values(g, values);
}

/* ---- against PyTorch ---- */

#ifdef CG_HAVE_JANSSON

static void follow(const char *file, cg_params *params, cg_optimizer *o) {
  cg_safetensors *golden = golden_open(file);
  double tolerance = cg_params_dtype(params) == CG_F32 ? 3e-6 : 1e-13;
  load_golden(params, golden);
  for (int step = 0; step < 10; step++) {
    char g[16], w[16];
    snprintf(g, sizeof g, "g%d.", step);
    snprintf(w, sizeof w, "w%d.", step);
    for (int i = 0; i < 2; i++)
      set_grad(cg_params_at(params, i),
               golden_array(golden, g, cg_params_name(params, i))->data);
    ck_assert_int_eq(cg_optimizer_step(o, NULL), CG_OK);
    for (int i = 0; i < 2; i++)
      near_golden(golden, w, cg_params_name(params, i),
                  cg_params_at(params, i), tolerance);
  }
  cg_safetensors_close(golden);
}

START_TEST(sgd_is_pytorch_s) {
  cg_params *params = new_params(floats[_i]);
  cg_optimizer *o = cg_sgd_new(
      params,
      &(cg_sgd_config){.lr = 0.037, .momentum = 0.9, .weight_decay = 0.013},
      NULL);
  follow("sgd", params, o);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

START_TEST(adam_is_pytorch_s) {
  cg_params *params = new_params(floats[_i]);
  cg_optimizer *o = cg_adam_new(params,
                                &(cg_adam_config){.lr = 0.037,
                                                  .beta1 = 0.87,
                                                  .beta2 = 0.993,
                                                  .eps = 1e-7,
                                                  .weight_decay = 0.013},
                                NULL);
  follow("adam", params, o);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

#endif

/* ---- by hand ---- */

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

/* ---- clipping ---- */

static const double grads_W[12] = {1.7, -0.3, 2.9, 0.11, -4.1, 0.53,
                                   0.7, -1.9, 3.3, -0.2, 0.05, 2.2};
static const double grads_b[5] = {-0.9, 1.3, 0.4, -2.7, 0.8};

static double norm_by_hand(void) {
  double sum = 0;
  for (int i = 0; i < 12; i++) sum += grads_W[i] * grads_W[i];
  for (int i = 0; i < 5; i++) sum += grads_b[i] * grads_b[i];
  return sqrt(sum);
}

/* W and b with gradients, and c without. */
static cg_params *with_grads(cg_dtype dtype) {
  cg_params *params = new_params(dtype);
  cg_params_add(params, "c", CG_DIMS(2), NULL);
  set_grad(cg_params_at(params, 0), grads_W);
  set_grad(cg_params_at(params, 1), grads_b);
  return params;
}

static void grads_are(const cg_params *params, double factor, double limit) {
  double tolerance = cg_params_dtype(params) == CG_F32 ? 1e-6 : 1e-15;
  for (int i = 0; i < 17; i++) {
    double g = factor * (i < 12 ? grads_W[i] : grads_b[i - 12]);
    const cg_tensor *p = cg_params_at(params, i >= 12);
    near(cg_tensor_get(cg_tensor_grad(p), i < 12 ? i : i - 12),
         fmin(fmax(g, -limit), limit), tolerance);
  }
  ck_assert_ptr_null(cg_tensor_grad(cg_params_at(params, 2)));
}

START_TEST(norms_are_clipped) {
  cg_params *params = with_grads(floats[_i]);
  double want = norm_by_hand(), norm = -1.0, tolerance = _i ? 1e-15 : 1e-6;
  ck_assert_int_eq(cg_grad_norm(params, &norm, NULL), CG_OK);
  near(norm, want, tolerance);
  ck_assert_int_eq(cg_clip_grad_norm(params, 1e3, &norm, NULL), CG_OK);
  near(norm, want, tolerance);
  grads_are(params, 1.0, INFINITY);
  ck_assert_int_eq(cg_clip_grad_norm(params, 1.3, &norm, NULL), CG_OK);
  near(norm, want, tolerance);
  grads_are(params, 1.3 / want, INFINITY);
  ck_assert_int_eq(cg_grad_norm(params, &norm, NULL), CG_OK);
  near(norm, 1.3, tolerance);
  cg_params_zero_grad(params);
  ck_assert_int_eq(cg_clip_grad_norm(params, 1.3, &norm, NULL), CG_OK);
  near(norm, 0.0, 0.0);
  cg_params_free(params);
}
END_TEST

START_TEST(values_are_clipped) {
  cg_params *params = with_grads(floats[_i]);
  ck_assert_int_eq(cg_clip_grad_value(params, 5.0, NULL), CG_OK);
  grads_are(params, 1.0, INFINITY);
  ck_assert_int_eq(cg_clip_grad_value(params, 1.1, NULL), CG_OK);
  grads_are(params, 1.0, 1.1);
  cg_params_free(params);
}
END_TEST

START_TEST(norms_neither_overflow_nor_vanish) {
  const double scale[] = {1e200, 1e-200, 2e307, 1e-310};
  for (int k = 0; k < N_OF(scale); k++) {
    cg_params *params = with_grads(CG_F64);
    double W[12], b[5], norm;
    for (int i = 0; i < 12; i++) W[i] = grads_W[i] * scale[k];
    for (int i = 0; i < 5; i++) b[i] = grads_b[i] * scale[k];
    set_grad(cg_params_at(params, 0), W);
    set_grad(cg_params_at(params, 1), b);
    ck_assert_int_eq(cg_grad_norm(params, &norm, NULL), CG_OK);
    near(norm / scale[k], norm_by_hand(), 1e-12);
    cg_params_free(params);
  }
}
END_TEST

START_TEST(non_finite_gradients_are_refused) {
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int k = 0; k < N_OF(bad); k++) {
    cg_params *params = with_grads(floats[_i]);
    double b[5], norm = 0.0;
    memcpy(b, grads_b, sizeof b);
    b[3] = bad[k];
    set_grad(cg_params_at(params, 1), b);
    cg_error err = {0};
    ck_assert_int_eq(cg_clip_grad_norm(params, 1.0, &norm, &err),
                     CG_ERR_NONFINITE);
    has_error(&err, CG_ERR_NONFINITE, "of b has");
    ck_assert(!isfinite(norm));
    ck_assert_int_eq(cg_clip_grad_value(params, 1.0, &err), CG_ERR_NONFINITE);
    ck_assert_int_eq(cg_grad_norm(params, &norm, &err), CG_ERR_NONFINITE);
    set_grad(cg_params_at(params, 1), grads_b);
    grads_are(params, 1.0, INFINITY);
    cg_params_free(params);
  }
}
END_TEST

/* Each gradient is finite, but not their norm: no factor would be right. */
START_TEST(a_norm_beyond_double_is_refused) {
  cg_params *params = registry(CG_F64);
  cg_tensor *w = cg_params_add(params, "w", CG_DIMS(2), NULL);
  const double g[] = {1.7e308, -1.6e308};
  set_grad(w, g);
  cg_error err = {0};
  double norm;
  ck_assert_int_eq(cg_clip_grad_norm(params, 1.0, &norm, &err),
                   CG_ERR_NONFINITE);
  has_error(&err, CG_ERR_NONFINITE, "norm");
  ck_assert(isinf(norm));
  near_all(cg_tensor_grad(w), g, 2, 0.0);
  cg_params_free(params);
}
END_TEST

START_TEST(clipping_refuses_bad_bounds) {
  cg_params *params = with_grads(CG_F64);
  const double bad[] = {0.0, -1.0, NAN};
  for (int k = 0; k < N_OF(bad); k++) {
    cg_error err = {0};
    ck_assert_int_eq(cg_clip_grad_norm(params, bad[k], NULL, &err),
                     CG_ERR_ARG);
    ck_assert_int_eq(cg_clip_grad_value(params, bad[k], &err), CG_ERR_ARG);
    has_error(&err, CG_ERR_ARG, "positive");
  }
  grads_are(params, 1.0, INFINITY);
  ck_assert_int_eq(cg_clip_grad_norm(NULL, 1.0, NULL, NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_clip_grad_value(NULL, 1.0, NULL), CG_ERR_ARG);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("optim");
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, sgd_is_pytorch_s, 0, 2);
  tcase_add_loop_test(tc, adam_is_pytorch_s, 0, 2);
#endif
  tcase_add_test(tc, defaults_are_as_documented);
  tcase_add_test(tc, the_learning_rate_can_change);
  tcase_add_test(tc, parameters_without_gradient_wait);
  tcase_add_test(tc, a_step_makes_old_graphs_stale);
  tcase_add_test(tc, a_step_allocates_nothing);
  tcase_add_test(tc, refuses_bad_settings);
  tcase_add_test(tc, notices_dropped_parameters);
  tcase_add_loop_test(tc, norms_are_clipped, 0, 2);
  tcase_add_loop_test(tc, values_are_clipped, 0, 2);
  tcase_add_test(tc, norms_neither_overflow_nor_vanish);
  tcase_add_loop_test(tc, non_finite_gradients_are_refused, 0, 2);
  tcase_add_test(tc, a_norm_beyond_double_is_refused);
  tcase_add_test(tc, clipping_refuses_bad_bounds);
  return run_case("optim", tc);
}
