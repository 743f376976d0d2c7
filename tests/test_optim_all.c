/* test_optim_all.c - every optimizer on the same bowl: it finds the minimum,
 * and a step that is refused leaves no trace; and L-BFGS, which asks for the
 * loss. */
#include "nn_test.h"

enum { N_OPTIMIZERS = 6 };

/* ---- a bowl ---- */

/* The sum of (w_i - i/2)^2 over one parameter, and its gradient; fails in call
 * number `fail_at`, and is `bad` in that call if that is not 0. */
typedef struct bowl {
  cg_tensor *w;
  int calls, fail_at;
  double bad;
} bowl;

static cg_status fill_bowl(void *context, double *loss, cg_error *err) {
  bowl *b = context;
  double gradient[5];
  *loss = 0;
  for (int i = 0; i < 5; i++) {
    double d = cg_tensor_get(b->w, i) - 0.5 * i;
    *loss += d * d;
    gradient[i] = 2 * d;
  }
  set_grad(b->w, gradient);
  if (++b->calls != b->fail_at) return CG_OK;
  if (b->bad == 0.0) return cg_error_set(err, CG_ERR_IO, "bowl", "it broke");
  *loss = b->bad;
  return CG_OK;
}

static cg_params *bowl_of(bowl *b, cg_dtype dtype) {
  const double start[] = {2.385, -0.7, 1.9, 0.3, -3.1};
  cg_params *params = registry(dtype);
  *b = (bowl){.w = cg_params_add(params, "w", CG_DIMS(5), NULL)};
  set_values(b->w, start);
  return params;
}

/* ---- all of them ---- */

START_TEST(each_finds_the_minimum) {
  static const double lr[] = {0.1, 0.02, 0.5, 0.07, 0.07, 1.0};
  for (int k = 0; k < 2; k++) {
    bowl b;
    cg_params *params = bowl_of(&b, k ? CG_F64 : CG_F32);
    cg_optimizer *o =
        cg_optimizer_new(params, cg_optimizer_list(_i), lr[_i], NULL);
    ck_assert_ptr_nonnull(o);
    ck_assert_str_eq(cg_optimizer_name(o), cg_optimizer_list(_i));
    near(cg_optimizer_lr(o), lr[_i], 0);
    double loss = NAN;
    for (int step = 0; step < 400; step++)
      ck_assert_int_eq(
          cg_optimizer_step_closure(o, fill_bowl, &b, &loss, NULL), CG_OK);
    ck_assert_msg(loss < 1e-2, "%s: loss %g", cg_optimizer_name(o), loss);
    cg_optimizer_free(o);
    cg_params_free(params);
  }
}
END_TEST

START_TEST(the_list_ends) {
  for (int i = 0; i < N_OPTIMIZERS; i++)
    ck_assert_ptr_nonnull(cg_optimizer_list(i));
  ck_assert_ptr_null(cg_optimizer_list(N_OPTIMIZERS));
  ck_assert_ptr_null(cg_optimizer_list(-1));
  ck_assert_str_eq(cg_optimizer_name(NULL), "");
  cg_params *params = new_params(CG_F64);
  cg_error err = {0};
  ck_assert_ptr_null(cg_optimizer_new(params, "adamant", 0, &err));
  has_error(&err, CG_ERR_ARG, "\"adamant\" is no optimizer");
  ck_assert_ptr_null(cg_optimizer_new(params, NULL, 0, &err));
  ck_assert_ptr_null(cg_optimizer_new(params, "adam", -1, &err));
  has_error(&err, CG_ERR_ARG, "lr is -1");
  cg_params_free(params);
}
END_TEST

/* A refused update changes no parameter, nor anything that the next one would
 * show: a twin that was never asked to take the bad one goes the same way. */
START_TEST(refused_updates_leave_no_trace) {
  const char *name = cg_optimizer_list(_i);
  bowl b, twin;
  cg_params *params = bowl_of(&b, CG_F64), *twins = bowl_of(&twin, CG_F64);
  cg_optimizer *o = cg_optimizer_new(params, name, 0.05, NULL);
  cg_optimizer *p = cg_optimizer_new(twins, name, 0.05, NULL);
  ck_assert_int_eq(cg_optimizer_set_checks(o, CG_OPTIM_FINITE | CG_OPTIM_ALL),
                   CG_OK);
  cg_tensor *late = cg_params_add(params, "late", CG_DIMS(2), NULL);
  ck_assert_ptr_null(cg_tensor_grad(late)); /* not one of the optimizer's */
  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int step = 0; step < 6; step++) {
    b.fail_at = b.calls + 1;
    b.bad = step % 2 ? 0.0 : bad[step / 2];
    cg_error err = {0};
    double before[5];
    cg_tensor_read(b.w, before, sizeof before);
    ck_assert_int_eq(cg_optimizer_step_closure(o, fill_bowl, &b, NULL, &err),
                     step % 2 ? CG_ERR_IO : CG_ERR_NONFINITE);
    has_error(&err, step % 2 ? CG_ERR_IO : CG_ERR_NONFINITE, "");
    near_all(b.w, before, 5, 0);
    if (strcmp(name, "lbfgs") == 0) continue; /* it forgets its history */
    for (int k = 0; k < 2; k++)
      ck_assert_int_eq(cg_optimizer_step_closure(k ? p : o, fill_bowl,
                                                 k ? &twin : &b, NULL, NULL),
                       CG_OK);
    near_tensor(name, b.w, twin.w, 0);
  }
  cg_optimizer_free(o);
  cg_optimizer_free(p);
  cg_params_free(params);
  cg_params_free(twins);
}
END_TEST

START_TEST(checks_look_at_gradients_first) {
  cg_params *params = new_params(CG_F64);
  cg_optimizer *o = cg_optimizer_new(params, "adam", 0.1, NULL);
  cg_tensor *W = cg_params_at(params, 0), *b = cg_params_at(params, 1);
  const double g[12] = {1.7, 0.3, [7] = -0.2}, bad[5] = {0.4, [3] = -INFINITY};
  cg_error err = {0};
  set_grad(W, g);
  ck_assert_int_eq(cg_optimizer_set_checks(o, CG_OPTIM_ALL), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_ERR_STATE);
  has_error(&err, CG_ERR_STATE, "b has no gradient");
  near(cg_tensor_get(W, 0), 0, 0);
  set_grad(b, bad);
  ck_assert_int_eq(cg_optimizer_set_checks(o, CG_OPTIM_FINITE), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_ERR_NONFINITE);
  has_error(&err, CG_ERR_NONFINITE, "gradient of b");
  near(cg_tensor_get(W, 0), 0, 0);
  ck_assert_int_eq(cg_optimizer_set_checks(o, 0), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_OK);
  ck_assert(isnan(cg_tensor_get(b, 3)));
  ck_assert_int_eq(cg_optimizer_set_checks(o, 4), CG_ERR_ARG);
  ck_assert_int_eq(cg_optimizer_set_checks(NULL, 0), CG_ERR_ARG);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

/* ---- L-BFGS ---- */

START_TEST(lbfgs_needs_the_loss) {
  bowl b;
  cg_params *params = bowl_of(&b, CG_F64);
  cg_optimizer *o = cg_lbfgs_new(params, NULL, NULL);
  cg_error err = {0};
  ck_assert_int_eq(cg_optimizer_step(o, &err), CG_ERR_STATE);
  has_error(&err, CG_ERR_STATE, "closure");
  ck_assert_int_eq(cg_optimizer_step_closure(o, NULL, NULL, NULL, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_optimizer_step_closure(NULL, fill_bowl, &b, NULL, &err),
                   CG_ERR_ARG);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

/* Whatever call of the loss fails or is not finite, the parameters are those
 * before the step, or the search has gone round it. */
START_TEST(lbfgs_steps_back) {
  const bool wolfe = _i % 2;
  const double bad = _i / 2 ? NAN : 0.0;
  int refused = 0;
  for (int fail_at = 1; fail_at < 8; fail_at++) {
    bowl b;
    cg_params *params = bowl_of(&b, CG_F64);
    cg_lbfgs_config config = {.lr = 0.3, .max_iter = 9, .strong_wolfe = wolfe};
    cg_optimizer *o = cg_lbfgs_new(params, &config, NULL);
    double before[5], loss, after;
    cg_tensor_read(b.w, before, sizeof before);
    b.fail_at = fail_at;
    b.bad = bad;
    cg_status status =
        cg_optimizer_step_closure(o, fill_bowl, &b, &loss, NULL);
    refused += status != CG_OK;
    if (status) near_all(b.w, before, 5, 0);
    if (!wolfe && fail_at < 6) ck_assert_int_ne(status, CG_OK);
    ck_assert_int_eq(cg_optimizer_step_closure(o, fill_bowl, &b, &loss, NULL),
                     CG_OK);
    fill_bowl(&b, &after, NULL);
    ck_assert(isfinite(after) && after <= loss);
    cg_optimizer_free(o);
    cg_params_free(params);
  }
  ck_assert_int_gt(refused, 0);
}
END_TEST

/* More steps than its history has rows: the oldest pairs make room. */
START_TEST(lbfgs_forgets_the_oldest) {
  bowl b;
  cg_params *params = bowl_of(&b, CG_F64);
  cg_optimizer *o = cg_lbfgs_new(
      params, &(cg_lbfgs_config){.lr = 0.21, .max_iter = 1, .history_size = 2},
      NULL);
  double loss = 0, before = INFINITY;
  for (int step = 0; step < 20; step++, before = loss) {
    ck_assert_int_eq(cg_optimizer_step_closure(o, fill_bowl, &b, &loss, NULL),
                     CG_OK);
    ck_assert(loss < before);
  }
  ck_assert(loss < 1e-2);
  cg_optimizer_free(o);
  cg_params_free(params);
}
END_TEST

START_TEST(construction_survives_lack_of_memory) {
  size_t calls = 0;
  for (size_t fail_at = 1; fail_at <= calls || fail_at == 1; fail_at++) {
    counter c;
    counter_init(&c);
    cg_params *params = cg_params_new(&c.allocator, CG_F32, NULL);
    cg_params_add(params, "W", CG_DIMS(3, 4), NULL);
    cg_params_add(params, "b", CG_DIMS(5), NULL);
    size_t before = c.live_blocks, first = c.calls;
    c.fail_at = first + fail_at;
    cg_error err = {0};
    cg_optimizer *o = cg_optimizer_new(params, cg_optimizer_list(_i), 0, &err);
    if (o) calls = 0;
    else {
      has_error(&err, CG_ERR_NOMEM, "");
      ck_assert_uint_eq(c.live_blocks, before);
      calls = fail_at + 1;
    }
    cg_optimizer_free(o);
    cg_params_free(params);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("optim_all");
  tcase_add_loop_test(tc, each_finds_the_minimum, 0, N_OPTIMIZERS);
  tcase_add_test(tc, the_list_ends);
  tcase_add_loop_test(tc, refused_updates_leave_no_trace, 0, N_OPTIMIZERS);
  tcase_add_test(tc, checks_look_at_gradients_first);
  tcase_add_test(tc, lbfgs_needs_the_loss);
  tcase_add_loop_test(tc, lbfgs_steps_back, 0, 4);
  tcase_add_test(tc, lbfgs_forgets_the_oldest);
  tcase_add_loop_test(tc, construction_survives_lack_of_memory, 0,
                      N_OPTIMIZERS);
  return run_case("optim_all", tc);
}
