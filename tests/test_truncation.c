/* test_truncation.c - truncated BPTT: its gradient is the explicit sum over the
 * windows' paths, for any cell; randomised windows are unbiased; memory is that
 * of a window. */
#include "engine_test.h"

#undef F
#undef I

#define fill fill_net
#define net bptt_net
#include "bptt_net.h"
#undef net

#include <chronograd/nn.h>

enum { T = 11, B = 3, D = 3, H = 4, K = 5 };

/* ---- a problem by hand, and as a net of nn ---- */

typedef struct lab {
  bptt_net n;
  cg_bptt_result full;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  cg_tensor *h0; /* [1, B, H], a leaf */
} lab;

static void write_to(lab *l, const char *name, const double *from) {
  cg_tensor *leaf = cg_params_find(l->params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  ck_assert_int_eq(cg_leaf_write(leaf, from, bytes), CG_OK);
}

static void lab_init(lab *l, cg_activation phi) {
  static double x[T * B * D];
  static int64_t y[T * B];
  uint64_t seed = 97;
  *l = (lab){.tape = cg_tape_new(NULL)};
  net_init(&l->n, 1, B, phi);
  fill_net(x, T * B * D, 1.37, &seed);
  for (int i = 0; i < T * B; i++) y[i] = (3 * i + 1) % K;
  l->n.p.T = T;
  l->n.p.x = x;
  l->n.p.y = y;
  l->full = run(cg_bptt_batch, &l->n.p);
  l->params = cg_params_new(NULL, CG_F64, NULL);
  l->rnn = cg_rnn_new(l->params, "rnn",
                      &(cg_rnn_config){.input_size = D, .hidden_size = H,
                                       .nonlinearity = phi},
                      NULL, NULL);
  l->fc = cg_linear_layer_new(
      l->params, "fc", &(cg_linear_config){.in_features = H, .out_features = K},
      NULL, NULL);
  write_to(l, "rnn.weight_ih_l0", l->n.W_xh);
  write_to(l, "rnn.weight_hh_l0", l->n.W_hh);
  write_to(l, "rnn.bias_ih_l0", l->n.b_h);
  write_to(l, "fc.weight", l->n.W_hy);
  write_to(l, "fc.bias", l->n.b_y);
  l->h0 = leaf_of(l->n.h0, CG_DIMS(1, B, H));
}

static void lab_free(lab *l) {
  cg_tape_free(l->tape);
  cg_leaf_free(l->h0);
  cg_params_free(l->params);
  cg_bptt_free(&l->full);
}

/* One window, forward and back; its outputs are those of the whole net. */
static void one_window(lab *l, cg_tbptt *tb, cg_window w) {
  const cg_bptt_problem *p = &l->n.p;
  const int64_t n = w.end - w.fresh;
  cg_tape_reset(l->tape);
  cg_tensor *x = cg_borrow(l->tape, CG_F64, CG_DIMS(w.end - w.begin, B, D),
                           p->x + w.begin * B * D);
  cg_tensor *h = cg_tbptt_forward(tb, l->tape, x);
  fine(l->tape);
  has_shape(h, CG_DIMS(n, B, H));
  for (int64_t i = 0; i < n * B * H; i++)
    near(cg_tensor_get(h, i), l->full.h[w.fresh * B * H + i], 1e-13);
  cg_tensor *y =
      cg_borrow(l->tape, CG_I64, CG_DIMS(n, B), p->y + w.fresh * B);
  cg_tensor *o = cg_linear_layer_forward(l->tape, l->fc, h);
  cg_tensor *loss =
      cg_cross_entropy_loss(l->tape, o, y, CG_REDUCE_SUM, CG_REDUCE_SUM);
  cg_backward(l->tape, loss);
  fine(l->tape);
}

static const double *gradient_at(const lab *l, const char *name) {
  return cg_tensor_data(cg_tensor_grad(cg_params_find(l->params, name)));
}

/* What the windows' walks accumulated is the window sum with these weights. */
static void check_sum(const lab *l, const double *weight) {
  cg_bptt_result want;
  ck_assert_int_eq(
      cg_bptt_window_sum(&l->n.p, &l->full, weight, &want, NULL), CG_OK);
  near_n("W_xh", gradient_at(l, "rnn.weight_ih_l0"), want.dW_xh, H * D, 1.0,
         1e-12);
  near_n("W_hh", gradient_at(l, "rnn.weight_hh_l0"), want.dW_hh, H * H, 1.0,
         1e-12);
  near_n("b_h", gradient_at(l, "rnn.bias_ih_l0"), want.db_h, H, 1.0, 1e-12);
  near_n("W_hy", gradient_at(l, "fc.weight"), want.dW_hy, K * H, 1.0, 1e-12);
  near_n("b_y", gradient_at(l, "fc.bias"), want.db_y, K, 1.0, 1e-12);
  cg_bptt_free(&want);
}

/* ---- fixed windows ---- */

/* Path (k -> t), steps from 1, by the definition of truncation.h. */
static bool counts(int64_t t, int64_t k, int64_t k1, int64_t k2) {
  int64_t e = (t + k1 - 1) / k1 * k1; /* the end of t's period */
  if (k1 == k2) return k > e - k1;
  return k > (e < T ? e : T) - k2;
}

static void check_windows(lab *l, int64_t k1, int64_t k2) {
  double weight[T * T] = {0};
  for (int64_t t = 1; t <= T; t++)
    for (int64_t k = 1; k <= t; k++)
      weight[(t - 1) * T + k - 1] = counts(t, k, k1, k2);
  cg_tbptt *tb = cg_tbptt_new(
      l->rnn, &(cg_tbptt_config){.horizon = k2, .period = k1}, NULL, NULL);
  ck_assert_int_eq(cg_tbptt_restart(tb, (cg_rnn_state){.h = l->h0}, NULL),
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
  lab l;
  lab_init(&l, (cg_activation)_i);
  for (int64_t k2 = 1; k2 <= T + 1; k2++)
    for (int64_t k1 = 1; k1 <= k2; k1++) check_windows(&l, k1, k2);
  lab_free(&l);
}
END_TEST

/* Truncation is an error: the shorter the horizon, the larger. A horizon of all
 * steps makes none. */
START_TEST(a_whole_horizon_is_bptt) {
  lab l;
  double ones[T * T];
  for (int i = 0; i < T * T; i++) ones[i] = 1.0;
  lab_init(&l, CG_ACT_TANH);
  check_windows(&l, T, T);
  check_sum(&l, ones);
  check_windows(&l, 1, T);
  check_sum(&l, ones);
  check_windows(&l, 3, 3);
  double apart = 0, *g = l.full.dW_hh;
  for (int i = 0; i < H * H; i++)
    apart += fabs(gradient_at(&l, "rnn.weight_hh_l0")[i] - g[i]);
  ck_assert(apart > 0.1);
  lab_free(&l);
}
END_TEST

/* ---- any cell, batch first, layers, a learned first state ---- */

typedef struct deep {
  cg_params *params;
  cg_rnn *rnn;
  cg_tape *tape;
  double x[2 * T * 2]; /* [2, T, 2] */
} deep;

/* A cell's number; one more is an LSTM with a projection. */
static void deep_init(deep *d, int cell) {
  bool projected = cell == CG_CELL_COUNT;
  cg_rng rng = cg_rng_seed(41);
  d->tape = cg_tape_new(NULL);
  d->params = cg_params_new(NULL, CG_F64, NULL);
  d->rnn = cg_rnn_new(
      d->params, "rnn",
      &(cg_rnn_config){.cell = projected ? CG_CELL_LSTM : (cg_cell_kind)cell,
                       .input_size = 2, .hidden_size = 3,
                       .proj_size = projected ? 2 : 0, .num_layers = 2,
                       .learned_h0 = true, .batch_first = true},
      &rng, NULL);
  for (int i = 0; i < 2 * T * 2; i++) d->x[i] = cg_rng_normal(&rng);
}

static void deep_free(deep *d) {
  cg_tape_free(d->tape);
  cg_params_free(d->params);
}

static cg_tensor *deep_input(deep *d, int64_t begin, int64_t end) {
  cg_tensor *x = cg_borrow(d->tape, CG_F64, CG_DIMS(2, T, 2), d->x);
  return cg_narrow(d->tape, x, 1, begin, end - begin);
}

static cg_tensor *deep_loss(deep *d, cg_tensor *h) {
  return cg_sum_all(d->tape,
                    cg_square(d->tape, cg_add_scalar(d->tape, h, -0.41)));
}

/* All gradients, added up: want += gradient. */
static void add_gradients(deep *d, double *want) {
  for (int i = 0, at = 0; i < cg_params_count(d->params); i++) {
    cg_tensor *w = cg_params_at(d->params, i);
    const cg_tensor *g = cg_tensor_grad(w);
    for (int64_t j = 0; j < cg_tensor_numel(w); j++, at++)
      want[at] += g ? cg_tensor_get(g, j) : 0;
  }
}

/* The loss of step t alone, carried back to step `begin`: by the tape, without
 * truncation.h. */
static void one_loss(deep *d, int64_t begin, int64_t t, double *want) {
  cg_tape_reset(d->tape);
  cg_rnn_state s = {0};
  if (begin > 0) {
    cg_rnn_result r = cg_rnn_forward_from(
        d->tape, d->rnn, deep_input(d, 0, begin), s, NULL);
    s.h = cg_detach(d->tape, r.h_last);
    if (r.c_last) s.c = cg_detach(d->tape, r.c_last);
  }
  cg_tensor *h = cg_rnn_forward_from(d->tape, d->rnn,
                                     deep_input(d, begin, t + 1), s, NULL)
                     .h;
  cg_params_zero_grad(d->params);
  cg_backward(d->tape, deep_loss(d, cg_select(d->tape, h, 1, -1)));
  fine(d->tape);
  add_gradients(d, want);
}

START_TEST(any_cell_slides) {
  enum { HORIZON = 4, PERIOD = 3 };
  deep d;
  double want[512] = {0}, got[512] = {0};
  deep_init(&d, _i);
  for (int64_t t = 0; t < T; t++) {
    int64_t e = (t / PERIOD + 1) * PERIOD;
    if (e > T) e = T;
    one_loss(&d, e > HORIZON ? e - HORIZON : 0, t, want);
  }
  cg_tbptt *tb = cg_tbptt_new(
      d.rnn, &(cg_tbptt_config){.horizon = HORIZON, .period = PERIOD}, NULL,
      NULL);
  cg_params_zero_grad(d.params);
  for (;;) {
    cg_window w = cg_tbptt_next(tb, T);
    if (w.begin == w.end) break;
    cg_tape_reset(d.tape);
    cg_tensor *h =
        cg_tbptt_forward(tb, d.tape, deep_input(&d, w.begin, w.end));
    cg_backward(d.tape, deep_loss(&d, h));
    fine(d.tape);
  }
  add_gradients(&d, got);
  near_n("gradient", got, want, cg_params_numel(d.params), 1.0, 1e-13);
  cg_tbptt_free(tb);
  deep_free(&d);
}
END_TEST

/* The tape holds a window, however long the sequence; parameters may change
 * between windows. */
static size_t peak_of(deep *d, int64_t steps) {
  cg_tape_free(d->tape);
  d->tape = cg_tape_new(NULL);
  cg_tbptt *tb = cg_tbptt_new(
      d->rnn, &(cg_tbptt_config){.horizon = 5, .period = 2}, NULL, NULL);
  for (;;) {
    cg_window w = cg_tbptt_next(tb, steps);
    if (w.begin == w.end) break;
    cg_tape_reset(d->tape);
    int64_t at = w.begin % 5;
    cg_tensor *h = cg_tbptt_forward(
        tb, d->tape, deep_input(d, at, at + w.end - w.begin));
    cg_backward(d->tape, deep_loss(d, h));
    fine(d->tape);
    double *weight = cg_leaf_data(cg_params_find(d->params,
                                                 "rnn.weight_hh_l0"));
    weight[0] *= 1.0009765625;
  }
  cg_tbptt_free(tb);
  return cg_tape_get_stats(d->tape).bytes_peak;
}

START_TEST(memory_is_that_of_a_window) {
  deep d;
  deep_init(&d, CG_CELL_LSTM);
  size_t few = peak_of(&d, 8), many = peak_of(&d, 200);
  ck_assert_uint_eq(few, many);
  deep_free(&d);
}
END_TEST

/* ---- randomised windows ---- */

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
  lab l;
  cg_rng rng = cg_rng_seed(43);
  lab_init(&l, CG_ACT_TANH);
  int64_t longest = 0;
  for (int run_number = 0; run_number < 20; run_number++) {
    double weight[T * T] = {0};
    int64_t horizon = 1 + run_number % 3;
    cg_tbptt *tb = cg_tbptt_new(
        l.rnn,
        &(cg_tbptt_config){.horizon = horizon, .cut = cut, .rng = &rng}, NULL,
        NULL);
    cg_tbptt_restart(tb, (cg_rnn_state){.h = l.h0}, NULL);
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
  lab_free(&l);
}
END_TEST

/* The weight of every path is 1 in the mean, so the gradient is that of the
 * whole: 10,000 draws, 5 standard errors. */
START_TEST(random_windows_are_unbiased) {
  enum { DRAWS = 10000 };
  const double cut = 0.25;
  const int64_t horizon = 2;
  lab l;
  lab_init(&l, CG_ACT_TANH);
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
  lab_free(&l);
}
END_TEST

/* ---- streams ---- */

/* Steps that arrive one by one make the windows of a whole sequence. */
START_TEST(streams_wait_for_windows) {
  lab l;
  lab_init(&l, CG_ACT_TANH);
  cg_tbptt *tb = cg_tbptt_new(
      l.rnn, &(cg_tbptt_config){.horizon = 5, .period = 2}, NULL, NULL);
  cg_tbptt_restart(tb, (cg_rnn_state){.h = l.h0}, NULL);
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
  lab_free(&l);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const lab *l, cg_tbptt_config c, const char *words) {
  cg_error err = {0};
  ck_assert_ptr_null(cg_tbptt_new(l->rnn, &c, NULL, &err));
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"", err.message,
                words);
}

START_TEST(bad_configurations) {
  lab l;
  cg_rng rng = cg_rng_seed(1);
  lab_init(&l, CG_ACT_TANH);
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
  ck_assert_ptr_null(cg_tbptt_new(NULL, &(cg_tbptt_config){.horizon = 3}, NULL,
                                  NULL));
  ck_assert_ptr_null(cg_tbptt_new(l.rnn, NULL, NULL, NULL));
  l.rnn = cg_rnn_new(l.params, "both",
                     &(cg_rnn_config){.input_size = D, .hidden_size = H,
                                      .bidirectional = true},
                     NULL, NULL);
  refused(&l, (cg_tbptt_config){.horizon = 3}, "runs backwards");
  lab_free(&l);
}
END_TEST

START_TEST(bad_calls) {
  lab l;
  cg_error err = {0};
  lab_init(&l, CG_ACT_TANH);
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
  lab_free(&l);
}
END_TEST

START_TEST(memory_runs_out) {
  lab l;
  counter c;
  counter_init(&c);
  lab_init(&l, CG_ACT_TANH);
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
  lab_free(&l);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("truncation");
  tcase_add_loop_test(tc, windows_are_sums_of_paths, 0, CG_ACT_COUNT);
  tcase_add_test(tc, a_whole_horizon_is_bptt);
  tcase_add_loop_test(tc, any_cell_slides, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, memory_is_that_of_a_window);
  tcase_add_test(tc, random_windows_are_weighted_paths);
  tcase_add_test(tc, random_windows_are_unbiased);
  tcase_add_test(tc, streams_wait_for_windows);
  tcase_add_test(tc, bad_configurations);
  tcase_add_test(tc, bad_calls);
  tcase_add_test(tc, memory_runs_out);
  return run_case("truncation", tc);
}
