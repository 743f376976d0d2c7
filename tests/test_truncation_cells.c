/* test_truncation_cells.c - truncated BPTT of any cell, batch first, in layers,
 * with a learned first state: windows, their memory, and bounds on what flows
 * back between them. */
#include "truncation_lab.h"

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

/* ---- what flows back from fresh steps is bounded ---- */

/* The window by hand: older steps, the state with a bounded gradient, fresh
 * ones, whose loss is carried back. */
static void clipped_window(deep *d, cg_window w, cg_state_clip *clip) {
  cg_tape_reset(d->tape);
  cg_rnn_state s = {0};
  if (w.begin > 0) {
    cg_rnn_result r = cg_rnn_forward_from(
        d->tape, d->rnn, deep_input(d, 0, w.begin), s, NULL);
    s = cg_rnn_state_detach(d->tape, (cg_rnn_state){r.h_last, r.c_last});
  }
  if (w.fresh > w.begin) {
    cg_rnn_result r = cg_rnn_forward_from(
        d->tape, d->rnn, deep_input(d, w.begin, w.fresh), s, NULL);
    s = (cg_rnn_state){r.h_last, r.c_last};
    cg_clip_rnn_state_grad(d->tape, &s, clip);
  }
  cg_rnn_result r = cg_rnn_forward_from(
      d->tape, d->rnn, deep_input(d, w.fresh, w.end), s, NULL);
  cg_backward(d->tape, deep_loss(d, r.h));
  fine(d->tape);
}

static void all_windows(deep *d, cg_tbptt_config config, cg_state_clip *by_hand,
                        double *got) {
  cg_tbptt *tb = cg_tbptt_new(d->rnn, &config, NULL, NULL);
  cg_params_zero_grad(d->params);
  for (;;) {
    cg_window w = cg_tbptt_next(tb, T);
    if (w.begin == w.end) break;
    if (by_hand) clipped_window(d, w, by_hand);
    cg_tape_reset(d->tape);
    cg_tape_set_recording(d->tape, !by_hand);
    cg_tensor *h =
        cg_tbptt_forward(tb, d->tape, deep_input(d, w.begin, w.end));
    cg_tape_set_recording(d->tape, true);
    if (!by_hand) cg_backward(d->tape, deep_loss(d, h));
    fine(d->tape);
  }
  add_gradients(d, got);
  cg_tbptt_free(tb);
}

START_TEST(fresh_steps_are_clipped) {
  deep d;
  cg_state_clip clip = {.max_norm = 0.01}, by_hand = clip;
  cg_state_clip look = {.max_norm = INFINITY};
  cg_tbptt_config c = {.horizon = 5, .period = 2};
  double want[512] = {0}, got[512] = {0}, plain[512] = {0}, all[512] = {0};
  deep_init(&d, _i);
  const int64_t n = cg_params_numel(d.params);
  all_windows(&d, c, &by_hand, want);
  all_windows(&d, c, NULL, plain);
  c.clip = &look;
  all_windows(&d, c, NULL, all);
  c.clip = &clip;
  all_windows(&d, c, NULL, got);
  near_n("gradient", got, want, n, 1.0, 1e-13);
  near_n("not clipped", all, plain, n, 1.0, 1e-13);
  double apart = 0;
  for (int64_t i = 0; i < n; i++) apart += fabs(got[i] - plain[i]);
  ck_assert(apart > 1e-3);
  ck_assert_int_eq(clip.walks, 5); /* the first of six has no older steps */
  ck_assert_int_eq(clip.walks, by_hand.walks);
  ck_assert_int_eq(clip.clipped, by_hand.clipped);
  ck_assert_int_gt(clip.clipped, 0);
  ck_assert_int_eq(look.clipped, 0);
  near(clip.norm, by_hand.norm, 1e-13);
  near(clip.norm, look.norm, 1e-13);
  deep_free(&d);
}
END_TEST

/* From behind the horizon, once per window. */
START_TEST(random_windows_are_clipped) {
  deep d;
  cg_rng rng = cg_rng_seed(53), same = rng;
  cg_state_clip look = {.max_norm = INFINITY}, clip = {.max_norm = 1e-3};
  cg_tbptt_config c = {.horizon = 2, .cut = 0.2, .rng = &rng};
  double plain[512] = {0}, all[512] = {0}, few[512] = {0};
  deep_init(&d, CG_CELL_LSTM);
  const int64_t n = cg_params_numel(d.params);
  all_windows(&d, c, NULL, plain);
  rng = same;
  c.clip = &look;
  all_windows(&d, c, NULL, all);
  near_n("not clipped", all, plain, n, 1.0, 1e-13);
  rng = same;
  c.clip = &clip;
  all_windows(&d, c, NULL, few);
  double apart = 0;
  for (int64_t i = 0; i < n; i++) apart += fabs(few[i] - plain[i]);
  ck_assert(apart > 1e-3);
  ck_assert_int_gt(look.walks, 0);
  ck_assert_int_eq(clip.walks, look.walks);
  ck_assert_int_eq(clip.clipped, clip.walks);
  deep_free(&d);
}
END_TEST

/* ---- scopes ---- */

/* h_t = sin(W x_t + h_{t-1}); notes in what scope it was. */
static char scopes[64];

static cg_tensor *note_scope(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                             cg_tensor **state) {
  char path[64];
  cg_tensor *z = cg_matmul_t(tape, x, a->w[0], false, true);
  state[0] = cg_sin(tape, cg_add(tape, z, state[0]));
  cg_scope_path(tape, NULL, path, sizeof path);
  ck_assert_int_eq(strncmp(path, "rnn/l0/t=", 9), 0);
  strcat(strcat(scopes, " "), path + 9);
  return NULL;
}

/* Steps have their numbers in the sequence, on either side of a clip. */
START_TEST(scopes_number_the_steps_of_the_sequence) {
  const cg_cell cell = {.name = "noting", .gates = 1, .n_states = 1,
                        .params = {{.name = "weight_ih", .rows = CG_SIZE_GH,
                                    .columns = CG_SIZE_I}},
                        .step = note_scope};
  cg_params *params = cg_params_new(NULL, CG_F64, NULL);
  cg_rnn *rnn = cg_rnn_new(
      params, "rnn",
      &(cg_rnn_config){.custom = &cell, .input_size = 1, .hidden_size = 2},
      NULL, NULL);
  cg_state_clip clip = {.max_norm = 1};
  cg_tbptt *tb = cg_tbptt_new(
      rnn,
      &(cg_tbptt_config){.horizon = 4, .period = 2, .clip = _i ? &clip : NULL},
      NULL, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  scopes[0] = '\0';
  for (cg_window w; w = cg_tbptt_next(tb, 7), w.begin < w.end;) {
    cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(w.end - w.begin, 1, 1), 0.3);
    ck_assert_ptr_nonnull(cg_tbptt_forward(tb, tape, x));
    strcat(scopes, ";");
  }
  ck_assert_str_eq(scopes, " 0 1; 0 1 2 3; 2 3 4 5; 3 4 5 6;");
  cg_tape_free(tape);
  cg_tbptt_free(tb);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("truncation_cells");
  tcase_add_loop_test(tc, any_cell_slides, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, memory_is_that_of_a_window);
  tcase_add_loop_test(tc, fresh_steps_are_clipped, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, random_windows_are_clipped);
  tcase_add_loop_test(tc, scopes_number_the_steps_of_the_sequence, 0, 2);
  return run_case("truncation_cells", tc);
}
