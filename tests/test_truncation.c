/* test_truncation.c - truncated BPTT: its gradient is the explicit sum over the
 * windows' paths; streams; what is refused. */
#include "truncation_lab.h"

/* ---- fixed windows ---- */

/* Path (k -> t), steps from 1, by the definition of truncation.h. */
static bool counts(int64_t t, int64_t k, int64_t k1, int64_t k2) {
  int64_t e = (t + k1 - 1) / k1 * k1; /* the end of t's period */
  if (k1 == k2) return k > e - k1;
  return k > (e < T ? e : T) - k2;
}

static void check_windows(twin *l, int64_t k1, int64_t k2) {
  double weight[T * T] = {0};
  for (int64_t t = 1; t <= T; t++)
    for (int64_t k = 1; k <= t; k++)
      weight[(t - 1) * T + k - 1] = counts(t, k, k1, k2);
  cg_tbptt *tb = cg_tbptt_new(
      l->rnn, &(cg_tbptt_config){.horizon = k2, .period = k1}, NULL, NULL);
  ck_assert_int_eq(cg_tbptt_restart(tb, l->first, NULL),
                   CG_OK);
  cg_params_zero_grad(l->params);
  for (;;) {
    cg_window w = cg_tbptt_next(tb, T);
    if (w.begin == w.end) break;
    ck_assert_int_le(w.end - w.begin, k2);
    one_window(l, tb, w);
  }
  check_sum(l, weight);
  cg_tbptt_free(tb);
}

START_TEST(windows_are_sums_of_paths) {
  twin l;
  twin_init(&l, T, B, (cg_activation)_i);
  for (int64_t k2 = 1; k2 <= T + 1; k2++)
    for (int64_t k1 = 1; k1 <= k2; k1++) check_windows(&l, k1, k2);
  twin_free(&l);
}
END_TEST

/* Truncation is an error: the shorter the horizon, the larger. A horizon of all
 * steps makes none. */
START_TEST(a_whole_horizon_is_bptt) {
  twin l;
  double ones[T * T];
  for (int i = 0; i < T * T; i++) ones[i] = 1.0;
  twin_init(&l, T, B, CG_ACT_TANH);
  check_windows(&l, T, T);
  check_sum(&l, ones);
  check_windows(&l, 1, T);
  check_sum(&l, ones);
  check_windows(&l, 3, 3);
  double apart = 0, *g = l.r.dW_hh;
  for (int i = 0; i < H * H; i++)
    apart += fabs(gradient_at(&l, "rnn.weight_hh_l0")[i] - g[i]);
  ck_assert(apart > 0.1);
  twin_free(&l);
}
END_TEST

/* ---- streams ---- */

/* Steps that arrive one by one make the windows of a whole sequence. */
START_TEST(streams_wait_for_windows) {
  twin l;
  twin_init(&l, T, B, CG_ACT_TANH);
  cg_tbptt *tb = cg_tbptt_new(
      l.rnn, &(cg_tbptt_config){.horizon = 5, .period = 2}, NULL, NULL);
  cg_tbptt_restart(tb, l.first, NULL);
  const cg_window want[] = {{0, 0, 2}, {0, 2, 4}, {1, 4, 6},
                            {3, 6, 8}, {5, 8, 10}, {6, 10, 11}};
  int found = 0;
  for (int64_t steps = 0; steps <= T; steps++) {
    cg_window w = cg_tbptt_next(tb, steps);
    if (w.end - w.fresh < 2 && steps < T) continue;
    ck_assert_mem_eq(&w, &want[found], sizeof w);
    one_window(&l, tb, w);
    found++;
  }
  ck_assert_int_eq(found, 6);
  cg_window none = cg_tbptt_next(tb, T);
  ck_assert(none.begin == T && none.fresh == T && none.end == T);
  ck_assert_int_eq(cg_tbptt_restart(tb, (cg_rnn_state){0}, NULL), CG_OK);
  ck_assert_int_eq(cg_tbptt_next(tb, T).end, 2);
  cg_tbptt_free(tb);
  twin_free(&l);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const twin *l, cg_tbptt_config c, const char *words) {
  cg_error err = {0};
  ck_assert_ptr_null(cg_tbptt_new(l->rnn, &c, NULL, &err));
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message,
                words);
}

START_TEST(bad_configurations) {
  twin l;
  cg_rng rng = cg_rng_seed(1);
  twin_init(&l, T, B, CG_ACT_TANH);
  refused(&l, (cg_tbptt_config){0}, "horizon must be at least 1");
  refused(&l, (cg_tbptt_config){.horizon = -1}, "horizon");
  refused(&l, (cg_tbptt_config){.horizon = INT64_MAX}, "unrolls");
  refused(&l, (cg_tbptt_config){.horizon = 3, .period = 4}, "period");
  refused(&l, (cg_tbptt_config){.horizon = 3, .period = -1}, "period");
  refused(&l, (cg_tbptt_config){.horizon = 3, .cut = 1, .rng = &rng}, "cut");
  refused(&l, (cg_tbptt_config){.horizon = 3, .cut = NAN, .rng = &rng}, "cut");
  refused(&l, (cg_tbptt_config){.horizon = 3, .cut = 0.5}, "generator");
  refused(&l,
          (cg_tbptt_config){.horizon = 3, .period = 2, .cut = 0.5, .rng = &rng},
          "side by side");
  refused(&l,
          (cg_tbptt_config){.horizon = 3, .clip = &(cg_state_clip){0}},
          "bound");
  ck_assert_ptr_null(cg_tbptt_new(NULL, &(cg_tbptt_config){.horizon = 3}, NULL,
                                  NULL));
  ck_assert_ptr_null(cg_tbptt_new(l.rnn, NULL, NULL, NULL));
  l.rnn = cg_rnn_new(l.params, "both",
                     &(cg_rnn_config){.input_size = D, .hidden_size = H,
                                      .bidirectional = true},
                     NULL, NULL);
  refused(&l, (cg_tbptt_config){.horizon = 3}, "runs backwards");
  twin_free(&l);
}
END_TEST

START_TEST(bad_calls) {
  twin l;
  cg_error err = {0};
  twin_init(&l, T, B, CG_ACT_TANH);
  cg_tape *tape = l.tape;
  cg_tbptt *tb = cg_tbptt_new(l.rnn, &(cg_tbptt_config){.horizon = 3}, NULL,
                              NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(3, B, D), 0.3);
  ck_assert_ptr_null(cg_tbptt_forward(tb, tape, x));
  failed(tape, CG_ERR_STATE, "tbptt", "no window");
  ck_assert_ptr_null(cg_tbptt_forward(NULL, tape, x));
  failed(tape, CG_ERR_STATE, "tbptt", "no window");
  cg_tbptt_next(tb, 2);
  ck_assert_ptr_null(cg_tbptt_forward(tb, tape, x));
  failed(tape, CG_ERR_SHAPE, "tbptt", "window has 2 steps");
  ck_assert_int_eq(cg_tbptt_next(tb, T).end, 3); /* tried again */
  ck_assert_ptr_nonnull(cg_tbptt_forward(tb, tape, x));
  cg_tbptt_next(tb, T);
  cg_tensor *two = cg_full(tape, CG_F64, CG_DIMS(3, 2, D), 0.3);
  ck_assert_ptr_null(cg_tbptt_forward(tb, tape, two));
  failed(tape, CG_ERR_SHAPE, "tbptt", "2 sequences, where there were 3");
  cg_rnn_state c = {.c = x}, wrong = {.h = x};
  ck_assert_int_eq(cg_tbptt_restart(tb, c, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_tbptt_restart(tb, wrong, &err), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_tbptt_restart(NULL, wrong, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_tbptt_next(NULL, 5).end, 0);
  ck_assert_int_eq(cg_tbptt_next(tb, -5).end, 3);
  cg_tbptt_free(tb);
  cg_tbptt_free(NULL);
  twin_free(&l);
}
END_TEST

START_TEST(memory_runs_out) {
  twin l;
  counter c;
  counter_init(&c);
  twin_init(&l, T, B, CG_ACT_TANH);
  size_t fail_at = 1;
  for (;; fail_at++) {
    c.calls = 0;
    c.fail_at = fail_at;
    cg_error err = {0};
    cg_tape_reset(l.tape);
    cg_tbptt *tb = cg_tbptt_new(l.rnn, &(cg_tbptt_config){.horizon = 3},
                                &c.allocator, &err);
    cg_tbptt_next(tb, T);
    cg_tensor *x = cg_full(l.tape, CG_F64, CG_DIMS(3, B, D), 0.3);
    cg_tensor *h = tb ? cg_tbptt_forward(tb, l.tape, x) : NULL;
    cg_status status = tb ? cg_tape_status(l.tape) : err.status;
    if (status && tb) { /* the window is still there */
      cg_tape_clear_error(l.tape);
      ck_assert_ptr_nonnull(cg_tbptt_forward(tb, l.tape, x));
    }
    cg_tbptt_free(tb);
    ck_assert_uint_eq(c.live_blocks, 0);
    if (h) break;
    ck_assert_int_eq(status, CG_ERR_NOMEM);
  }
  ck_assert_uint_ge(fail_at, 3);
  twin_free(&l);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("truncation");
  tcase_add_loop_test(tc, windows_are_sums_of_paths, 0, CG_ACT_COUNT);
  tcase_add_test(tc, a_whole_horizon_is_bptt);
  tcase_add_test(tc, streams_wait_for_windows);
  tcase_add_test(tc, bad_configurations);
  tcase_add_test(tc, bad_calls);
  tcase_add_test(tc, memory_runs_out);
  return run_case("truncation", tc);
}
