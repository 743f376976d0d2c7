/* test_truncation_random.c - randomised windows of truncated BPTT: weighted
 * sums of paths, the whole gradient in the mean. */
#include "truncation_lab.h"

static void random_weights(cg_window w, int64_t horizon, double cut,
                           double *weight) {
  for (int64_t t = w.begin; t < w.end; t++) {
    double xi = 1.0;
    for (int64_t k = t; k >= w.begin; k--) {
      weight[t * T + k] = xi;
      if (k - w.begin >= horizon) xi /= 1 - cut; /* the edge to step k - 1 */
    }
  }
}

START_TEST(random_windows_are_weighted_paths) {
  const double cut = 0.3;
  twin l;
  cg_rng rng = cg_rng_seed(43);
  twin_init(&l, T, B, CG_ACT_TANH);
  int64_t longest = 0;
  for (int run_number = 0; run_number < 20; run_number++) {
    double weight[T * T] = {0};
    int64_t horizon = 1 + run_number % 3;
    cg_tbptt *tb = cg_tbptt_new(
        l.rnn,
        &(cg_tbptt_config){.horizon = horizon, .cut = cut, .rng = &rng}, NULL,
        NULL);
    cg_tbptt_restart(tb, l.first, NULL);
    cg_params_zero_grad(l.params);
    for (;;) {
      cg_window w = cg_tbptt_next(tb, T), again = cg_tbptt_next(tb, T);
      ck_assert_mem_eq(&w, &again, sizeof w); /* drawn once */
      if (w.begin == w.end) break;
      ck_assert(w.begin == w.fresh);
      ck_assert(w.end - w.begin >= horizon || w.end == T);
      random_weights(w, horizon, cut, weight);
      one_window(&l, tb, w);
      if (w.end - w.begin > longest) longest = w.end - w.begin;
    }
    check_sum(&l, weight);
    cg_tbptt_free(tb);
  }
  ck_assert_int_gt(longest, 5);
  twin_free(&l);
}
END_TEST

/* The weight of every path is 1 in the mean, so the gradient is that of the
 * whole: 10,000 draws, 5 standard errors. */
START_TEST(random_windows_are_unbiased) {
  enum { DRAWS = 10000 };
  const double cut = 0.25;
  const int64_t horizon = 2;
  twin l;
  twin_init(&l, T, B, CG_ACT_TANH);
  cg_rng rng = cg_rng_seed(47);
  static double sum[T * T], squares[T * T];
  double x[T * B * D] = {0};
  for (int draw = 0; draw < DRAWS; draw++) {
    double weight[T * T] = {0};
    cg_tbptt *tb = cg_tbptt_new(
        l.rnn,
        &(cg_tbptt_config){.horizon = horizon, .cut = cut, .rng = &rng}, NULL,
        NULL);
    cg_tape_set_recording(l.tape, false);
    for (;;) {
      cg_window w = cg_tbptt_next(tb, 6);
      if (w.begin == w.end) break;
      random_weights(w, horizon, cut, weight);
      cg_tensor *in =
          cg_borrow(l.tape, CG_F64, CG_DIMS(w.end - w.begin, 1, D), x);
      ck_assert_ptr_nonnull(cg_tbptt_forward(tb, l.tape, in));
      cg_tape_reset(l.tape);
    }
    cg_tbptt_free(tb);
    for (int i = 0; i < T * T; i++) {
      sum[i] += weight[i];
      squares[i] += weight[i] * weight[i];
    }
  }
  for (int64_t t = 0; t < 6; t++)
    for (int64_t k = 0; k <= t; k++) {
      double mean = sum[t * T + k] / DRAWS;
      double variance = squares[t * T + k] / DRAWS - mean * mean;
      ck_assert_msg(fabs(mean - 1) <= 5 * sqrt(variance / DRAWS) + 1e-12,
                    "path (%d -> %d) has weight %g", (int)k, (int)t, mean);
    }
  twin_free(&l);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("truncation_random");
  tcase_add_test(tc, random_windows_are_weighted_paths);
  tcase_add_test(tc, random_windows_are_unbiased);
  return run_case("truncation_random", tc);
}
