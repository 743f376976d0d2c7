/* test_bptt_paths.c - the long form of the gradient, path by path; windows of
 * it; real-time recurrent learning; and what all of the study refuses. */
#include "engine_test.h"

#define fill fill_net /* its own generator of numbers */
#include "bptt_net.h"

#include <chronograd/nn.h>

#undef I
#undef F

static double norm_of(const double *v, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += v[i] * v[i];
  return sqrt(sum);
}

static cg_bptt_result batch(const net *n) { return run(cg_bptt_batch, &n->p); }

/* ---- 5. the long form ---- */

enum { STEPS = 7 };

static const double *gradient_of(const cg_bptt_result *r, int target,
                                 int64_t *size) {
  const double *all[] = {r->dW_hh, r->dW_xh, r->db_h};
  *size = target == 0 ? 16 : target == 1 ? 12 : 4;
  return all[target];
}

START_TEST(paths_add_up_to_the_gradient) {
  const cg_bptt_target target = (cg_bptt_target)(_i % 3);
  net n;
  cg_bptt_paths paths;
  int64_t size;
  double sum[MAX_N] = {0}, C[MAX_N], shares = 0.0;
  net_init(&n, STEPS, 3, (cg_activation)(_i / 3));
  cg_bptt_result r = batch(&n);
  const double *G = gradient_of(&r, target, &size);
  ck_assert_int_eq(cg_bptt_paths_make(&n.p, &r, target, &paths, NULL), CG_OK);
  for (int64_t t = 1; t <= STEPS; t++)
    for (int64_t k = 1; k <= STEPS; k++) {
      const int64_t at = (t - 1) * STEPS + k - 1;
      if (k > t) {
        ck_assert(paths.norm[at] == 0.0 && paths.share[at] == 0.0);
        continue;
      }
      ck_assert_int_eq(cg_bptt_path(&n.p, &r, target, t, k, C, NULL), CG_OK);
      for (int64_t i = 0; i < size; i++) sum[i] += C[i];
      near(paths.norm[at], norm_of(C, size), 1e-15);
      shares += paths.share[at];
    }
  near_n("sum of paths", sum, G, size, 1.0, 1e-14);
  near_n("total", paths.total, G, size, 1.0, 1e-14);
  near(shares, 1.0, 1e-14);
  cg_bptt_paths_free(&paths);
  cg_bptt_free(&r);
}
END_TEST

START_TEST(lags_are_sums_of_diagonals) {
  net n;
  cg_bptt_paths paths;
  double C[16], lag2[16] = {0}, share2 = 0.0;
  net_init(&n, STEPS, 3, CG_ACT_TANH);
  cg_bptt_result r = batch(&n);
  ck_assert_int_eq(cg_bptt_paths_make(&n.p, &r, CG_BPTT_W_HH, &paths, NULL),
                   CG_OK);
  for (int64_t t = 3; t <= STEPS; t++) {
    cg_bptt_path(&n.p, &r, CG_BPTT_W_HH, t, t - 2, C, NULL);
    for (int i = 0; i < 16; i++) lag2[i] += C[i];
    share2 += paths.share[(t - 1) * STEPS + t - 3];
  }
  near(paths.lag_norm[2], norm_of(lag2, 16), 1e-15);
  near(paths.lag_share[2], share2, 1e-15);
  cg_bptt_paths_free(&paths);
  cg_bptt_free(&r);
}
END_TEST

/* T (T - 1) / 2 products where the recursion takes T - 1. */
START_TEST(paths_cost_the_square_of_the_steps) {
  for (int64_t T = 1; T <= 32; T *= 2) {
    net n;
    cg_bptt_paths paths;
    net_init(&n, T, 1, CG_ACT_RELU);
    cg_bptt_result r = batch(&n);
    cg_bptt_paths_make(&n.p, &r, CG_BPTT_B_H, &paths, NULL);
    ck_assert_int_eq(paths.products, T * (T - 1) / 2);
    cg_bptt_paths_free(&paths);
    cg_bptt_free(&r);
  }
}
END_TEST

/* Ones on all paths: the whole gradient, deltas included. */
START_TEST(all_windows_are_the_whole) {
  net n;
  double weight[STEPS * STEPS];
  cg_bptt_result sum;
  net_init(&n, STEPS, 3, (cg_activation)_i);
  cg_bptt_result r = batch(&n);
  for (int i = 0; i < STEPS * STEPS; i++) weight[i] = 1.0;
  ck_assert_int_eq(cg_bptt_window_sum(&n.p, &r, weight, &sum, NULL), CG_OK);
  near_result(&sum, &r, &n.p, 1.0, 1e-14);
  cg_bptt_free(&sum);
  cg_bptt_free(&r);
}
END_TEST

/* Any weights: those of the paths themselves. Behind the first weight that is
 * not 0 there may be zeros again. */
START_TEST(windows_weigh_paths) {
  net n;
  double weight[STEPS * STEPS], want[3][16] = {{0}}, C[16];
  cg_bptt_result sum;
  int64_t size;
  net_init(&n, STEPS, 3, CG_ACT_TANH);
  uint64_t seed = 4117;
  fill_net(weight, STEPS * STEPS, 1.9, &seed);
  for (int t = 1; t < STEPS; t++) weight[t * STEPS] = 0.0;
  weight[5 * STEPS + 4] = weight[6 * STEPS + 2] = 0.0;
  cg_bptt_result r = batch(&n);
  ck_assert_int_eq(cg_bptt_window_sum(&n.p, &r, weight, &sum, NULL), CG_OK);
  for (int target = 0; target < 3; target++) {
    const double *got = gradient_of(&sum, target, &size);
    for (int64_t t = 1; t <= STEPS; t++)
      for (int64_t k = 1; k <= t; k++) {
        cg_bptt_path(&n.p, &r, (cg_bptt_target)target, t, k, C, NULL);
        for (int64_t i = 0; i < size; i++)
          want[target][i] += weight[(t - 1) * STEPS + k - 1] * C[i];
      }
    near_n("weighted paths", got, want[target], size, 1.0, 1e-14);
  }
  near_n("dW_hy", sum.dW_hy, r.dW_hy, 20, 1.0, 0.0);
  near_n("o", sum.o, r.o, 21 * 5, 1.0, 0.0);
  cg_bptt_free(&sum);
  cg_bptt_free(&r);
}
END_TEST

/* ---- 8. real-time recurrent learning ---- */

START_TEST(rtrl_is_bptt) {
  const int64_t T = _i % 2 ? 7 : 1;
  net n;
  cg_bptt_result forward;
  net_init(&n, T, 3, (cg_activation)(_i / 2));
  n.p.over_steps = CG_REDUCE_MEAN;
  if (_i == 3) n.p.h0 = NULL;
  cg_bptt_result r = batch(&n);
  ck_assert_int_eq(cg_bptt_rtrl(&n.p, &forward, NULL), CG_OK);
  near(forward.loss, r.loss, 1e-14);
  near_n("dW_xh", forward.dW_xh, r.dW_xh, 12, 1.0, 1e-14);
  near_n("dW_hh", forward.dW_hh, r.dW_hh, 16, 1.0, 1e-14);
  near_n("dW_hy", forward.dW_hy, r.dW_hy, 20, 1.0, 1e-14);
  near_n("db_h", forward.db_h, r.db_h, 4, 1.0, 1e-14);
  near_n("db_y", forward.db_y, r.db_y, 5, 1.0, 1e-14);
  near_n("dh_0", forward.dh_0, r.dh_0, 12, 1.0, 1e-14);
  ck_assert_ptr_null(forward.h);
  ck_assert_ptr_null(forward.delta_z);
  cg_bptt_free(&forward);
  cg_bptt_free(&r);
}
END_TEST

/* What `f` obtains for a problem of T steps. */
static size_t bytes_of(bptt_fn f, int64_t T) {
  net n;
  counter c;
  counter_init(&c);
  net_init(&n, T, 1, CG_ACT_TANH);
  n.p.allocator = &c.allocator;
  cg_bptt_result r = run(f, &n.p);
  size_t bytes = c.live_bytes;
  cg_bptt_free(&r);
  ck_assert_uint_eq(c.live_blocks, 0);
  return bytes;
}

START_TEST(rtrl_has_no_past) {
  ck_assert_uint_eq(bytes_of(cg_bptt_rtrl, 2), bytes_of(cg_bptt_rtrl, 50));
  ck_assert_uint_lt(bytes_of(cg_bptt_batch, 2), bytes_of(cg_bptt_batch, 50));
}
END_TEST

/* ---- what is refused ---- */

START_TEST(study_refusals) {
  net n;
  net_init(&n, 3, 2, CG_ACT_TANH);
  const cg_bptt_problem *p = &n.p;
  cg_bptt_result r = batch(&n), out, none = {0};
  cg_bptt_ledger l;
  cg_bptt_paths paths;
  cg_error err = {0};
  double C[16];
  ck_assert_int_eq(cg_bptt_ledger_make(p, &r, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_ledger_make(p, &none, &l, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "cg_bptt_batch"));
  ck_assert_int_eq(cg_bptt_ledger_make(NULL, &r, &l, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_path(p, &r, CG_BPTT_W_HH, 2, 3, C, &err),
                   CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "no path from step 3 to 2 of 3"));
  ck_assert_int_eq(cg_bptt_path(p, &r, CG_BPTT_W_HH, 4, 3, C, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_path(p, &r, CG_BPTT_W_HH, 2, 0, C, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_path(p, &r, CG_BPTT_W_HH, 2, 1, NULL, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(
      cg_bptt_paths_make(p, &r, CG_BPTT_TARGETS, &paths, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "no parameter"));
  ck_assert_int_eq(cg_bptt_paths_make(p, &r, CG_BPTT_W_HH, NULL, &err),
                   CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_window_sum(p, &r, NULL, &out, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "weights"));
  ck_assert_int_eq(cg_bptt_window_sum(p, &r, C, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_rtrl(p, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_rtrl(NULL, &out, &err), CG_ERR_ARG);
  n.y[5] = 5;
  ck_assert_int_eq(cg_bptt_rtrl(p, &out, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "y[2, 1] is 5"));
  cg_bptt_paths_free(NULL);
  cg_bptt_free(&r);
}
END_TEST

/* Sizes near the end of 64 bits are refused, not multiplied. */
START_TEST(study_sizes) {
  net n;
  cg_bptt_result out;
  cg_error err = {0};
  net_init(&n, 2, 1, CG_ACT_TANH);
  n.p.H = INT64_C(1) << 31;
  ck_assert_int_eq(cg_bptt_rtrl(&n.p, &out, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "larger than any memory"));
  n.p.H = INT64_MAX / 2;
  ck_assert_int_eq(cg_bptt_rtrl(&n.p, &out, &err), CG_ERR_ARG);
}
END_TEST

/* Every allocation fails once: an error, nothing leaked. */
static cg_status use_all(const cg_bptt_problem *p, const cg_bptt_result *r) {
  double C[16], weight[9] = {1, 0, 0, 1, 1, 0, 1, 1, 1};
  cg_bptt_ledger l;
  cg_bptt_paths paths;
  cg_bptt_result out;
  cg_status status = cg_bptt_ledger_make(p, r, &l, NULL);
  cg_bptt_ledger_free(&l);
  if (!status) status = cg_bptt_path(p, r, CG_BPTT_W_XH, 3, 1, C, NULL);
  if (status) return status;
  status = cg_bptt_paths_make(p, r, CG_BPTT_W_XH, &paths, NULL);
  cg_bptt_paths_free(&paths);
  if (status) return status;
  status = cg_bptt_window_sum(p, r, weight, &out, NULL);
  cg_bptt_free(&out);
  if (status) return status;
  status = cg_bptt_rtrl(p, &out, NULL);
  cg_bptt_free(&out);
  if (!status) status = cg_bptt_jacobian(p, r, 0, 3, 1, C, NULL);
  return status;
}

START_TEST(memory_runs_out) {
  net n;
  counter c;
  counter_init(&c);
  net_init(&n, 3, 1, CG_ACT_TANH);
  cg_bptt_result r = batch(&n);
  n.p.allocator = &c.allocator;
  size_t fail_at = 1;
  for (;; fail_at++) {
    c.calls = 0;
    c.fail_at = fail_at;
    cg_status status = use_all(&n.p, &r);
    ck_assert_uint_eq(c.live_blocks, 0);
    if (status == CG_OK) break;
    ck_assert_int_eq(status, CG_ERR_NOMEM);
  }
  ck_assert_uint_eq(fail_at, 10);
  cg_bptt_free(&r);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("bptt_paths");
  tcase_add_loop_test(tc, paths_add_up_to_the_gradient, 0, CG_ACT_COUNT * 3);
  tcase_add_test(tc, lags_are_sums_of_diagonals);
  tcase_add_test(tc, paths_cost_the_square_of_the_steps);
  tcase_add_loop_test(tc, all_windows_are_the_whole, 0, CG_ACT_COUNT);
  tcase_add_test(tc, windows_weigh_paths);
  tcase_add_loop_test(tc, rtrl_is_bptt, 0, CG_ACT_COUNT * 2);
  tcase_add_test(tc, rtrl_has_no_past);
  tcase_add_test(tc, study_refusals);
  tcase_add_test(tc, study_sizes);
  tcase_add_test(tc, memory_runs_out);
  return run_case("bptt_paths", tc);
}
