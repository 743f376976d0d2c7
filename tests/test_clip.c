/* test_clip.c - bounds on gradients. */
#include "nn_test.h"

static const cg_dtype floats[] = {CG_F32, CG_F64};

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
  TCase *tc = tcase_create("clip");
  tcase_add_loop_test(tc, norms_are_clipped, 0, 2);
  tcase_add_loop_test(tc, values_are_clipped, 0, 2);
  tcase_add_test(tc, norms_neither_overflow_nor_vanish);
  tcase_add_loop_test(tc, non_finite_gradients_are_refused, 0, 2);
  tcase_add_test(tc, a_norm_beyond_double_is_refused);
  tcase_add_test(tc, clipping_refuses_bad_bounds);
  return run_case("clip", tc);
}
