/* test_data_parallel_step.c - the optimizer's step and zeroing on several
 * threads: the bits of one, and errors that change nothing. */
#include "nn_test.h"

static cg_data_parallel *parallel_of(int n_threads) {
  cg_data_parallel *p = cg_data_parallel_new(
      &(cg_data_parallel_config){.n_threads = n_threads}, NULL);
  ck_assert_ptr_nonnull(p);
  return p;
}

enum { LARGE = 200 * 1000, STEPS = 4 };

/* Parameters of several sizes, of which one has no gradient. */
static cg_params *large_params(cg_dtype dtype) {
  static const int64_t sizes[] = {LARGE, 1, 77, LARGE + 13, 40};
  cg_params *params = registry(dtype);
  for (int i = 0; i < N_OF(sizes); i++) {
    char name[] = {'w', (char)('0' + i), 0};
    fill_some(cg_params_add(params, name, 1, &sizes[i], NULL), (uint64_t)i);
    if (i < 4) cg_leaf_grad(cg_params_at(params, i));
  }
  return params;
}

/* Some steps of that optimizer on gradients that change, by so many threads, or
 * for 0 by cg_optimizer_step. */
static cg_params *stepped(cg_dtype dtype, const char *rule, int n_threads) {
  cg_params *params = large_params(dtype);
  cg_optimizer *o = cg_optimizer_new(params, rule, 0.125, NULL);
  cg_data_parallel *p = n_threads ? parallel_of(n_threads) : NULL;
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < 4; i++)
      fill_some(cg_leaf_grad(cg_params_at(params, i)), (uint64_t)(9 * step + i));
    cg_status status =
        p ? cg_data_parallel_step(p, o, NULL) : cg_optimizer_step(o, NULL);
    ck_assert_int_eq(status, CG_OK);
  }
  cg_data_parallel_free(p);
  cg_optimizer_free(o);
  return params;
}

static void same_params(const cg_params *a, const cg_params *b) {
  for (int i = 0; i < cg_params_count(a); i++) {
    const cg_tensor *x = cg_params_at(a, i), *y = cg_params_at(b, i);
    ck_assert_mem_eq(cg_tensor_data(x), cg_tensor_data(y),
                     (size_t)cg_tensor_numel(x) *
                         cg_dtype_size(cg_tensor_dtype(x)));
  }
}

START_TEST(optimizer_on_threads) {
  const char *rule = cg_optimizer_list(_i);
  if (!rule || strcmp(rule, "lbfgs") == 0) return;
  for (int f64 = 0; f64 < 2; f64++) {
    cg_dtype dtype = f64 ? CG_F64 : CG_F32;
    cg_params *untouched = large_params(dtype);
    cg_params *want = stepped(dtype, rule, 0);
    ck_assert_double_ne(cg_tensor_get(cg_params_at(want, 3), LARGE + 12),
                        cg_tensor_get(cg_params_at(untouched, 3), LARGE + 12));
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
      cg_params *got = stepped(dtype, rule, n_threads);
      same_params(got, want);
      cg_params_free(got);
    }
    cg_params_free(want);
    cg_params_free(untouched);
  }
}
END_TEST

/* A step counts as a modification of the weights, and zeroing as one of their
 * gradients. */
START_TEST(modifications_on_threads) {
  cg_params *params = large_params(CG_F64);
  cg_optimizer *o = cg_optimizer_new(params, "sgd", 0.125, NULL);
  cg_data_parallel *p = parallel_of(3);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = cg_params_at(params, 0), *g = cg_leaf_grad(w);
  cg_leaf_set_requires_grad(g, true);
  cg_tensor *of_w = cg_sum_all(tape, cg_square(tape, w));
  cg_tensor *of_g = cg_sum_all(tape, cg_square(tape, g));
  ck_assert_int_eq(cg_data_parallel_step(p, o, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, of_w), CG_ERR_STALE);
  cg_tape_clear_error(tape);
  cg_data_parallel_zero_grad(p, params);
  ck_assert_int_eq(cg_backward(tape, of_g), CG_ERR_STALE);
  cg_tape_free(tape);
  cg_data_parallel_free(p);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

START_TEST(zeroing_on_threads) {
  for (int n_threads = 1; n_threads <= 4; n_threads++) {
    cg_params *params = large_params(_i ? CG_F64 : CG_F32);
    cg_data_parallel *p = parallel_of(n_threads);
    for (int round = 0; round < STEPS; round++) {
      for (int i = 0; i < 4; i++)
        fill_some(cg_leaf_grad(cg_params_at(params, i)), (uint64_t)i);
      cg_data_parallel_zero_grad(p, params);
      for (int i = 0; i < 4; i++) {
        const cg_tensor *g = cg_tensor_grad(cg_params_at(params, i));
        for (int64_t k = 0; k < cg_tensor_numel(g); k++)
          if (cg_tensor_get(g, k) != 0) ck_abort_msg("not 0");
      }
    }
    ck_assert_ptr_null(cg_tensor_grad(cg_params_at(params, 4)));
    cg_data_parallel_free(p);
    cg_params_free(params);
  }
}
END_TEST

/* What stands against a step is found before anything is updated. */
START_TEST(steps_that_fail) {
  cg_params *params = large_params(CG_F32), *as_new = large_params(CG_F32);
  cg_optimizer *sgd = cg_optimizer_new(params, "sgd", 0.125, NULL);
  cg_optimizer *lbfgs = cg_optimizer_new(params, "lbfgs", 0, NULL);
  cg_data_parallel *p = parallel_of(2);
  cg_error err = {0};
  cg_leaf_fill(cg_leaf_grad(cg_params_at(params, 0)), 2.385);
  cg_leaf_fill(cg_leaf_grad(cg_params_at(params, 3)), NAN);
  cg_optimizer_set_checks(sgd, CG_OPTIM_FINITE);
  cg_data_parallel_step(p, sgd, &err);
  has_error(&err, CG_ERR_NONFINITE, "w3");
  cg_data_parallel_step(p, lbfgs, &err);
  has_error(&err, CG_ERR_STATE, "cg_optimizer_step_closure");
  cg_data_parallel_step(p, NULL, &err);
  has_error(&err, CG_ERR_ARG, "there is no optimizer");
  cg_data_parallel_step(NULL, sgd, &err);
  has_error(&err, CG_ERR_ARG, "the first argument is NULL");
  same_params(params, as_new);
  const cg_tensor *g = cg_tensor_grad(cg_params_at(params, 0));
  cg_data_parallel_zero_grad(p, NULL);
  near(cg_tensor_get(g, 0), (float)2.385, 0);
  cg_data_parallel_zero_grad(NULL, params);
  ck_assert_double_eq(cg_tensor_get(g, 0), 0);
  cg_data_parallel_free(p);
  cg_optimizer_free(sgd);
  cg_optimizer_free(lbfgs);
  cg_params_free(params);
  cg_params_free(as_new);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, optimizer_on_threads, 0, 8);
  tcase_add_test(tc, modifications_on_threads);
  tcase_add_loop_test(tc, zeroing_on_threads, 0, 2);
  tcase_add_test(tc, steps_that_fail);
  return run_case("data_parallel_step", tc);
}
