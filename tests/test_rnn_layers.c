/* test_rnn_layers.c - both directions, projections, sequences of different
 * lengths, and states: names, values, gradients, and what is refused. */
#include "rnn_test.h"

static const int64_t lengths[B] = {3, 5, 1};

/* ---- parameters ---- */

START_TEST(parameters_are_pytorch_s) {
  cg_params *params = registry(CG_F64);
  new_rnn(params,
          RNN(.cell = CG_CELL_LSTM, .num_layers = 2, .bidirectional = true,
              .proj_size = 2, .learned_h0 = true), 3);
  static const char *const kinds[] = {"weight_ih", "weight_hh", "bias_ih",
                                      "bias_hh", "weight_hr", "h0", "c0"};
  int n = 0;
  for (int k = 0; k < 2; k++)
    for (int d = 0; d < 2; d++)
      for (int j = 0; j < N_OF(kinds); j++) {
        char name[64];
        snprintf(name, sizeof name, "rnn.%s_l%d%s", kinds[j], k,
                 d ? "_reverse" : "");
        ck_assert_str_eq(cg_params_name(params, n++), name);
      }
  ck_assert_int_eq(cg_params_count(params), n);
  has_shape(cg_params_find(params, "rnn.weight_ih_l0_reverse"),
            CG_DIMS(4 * H, I));
  has_shape(cg_params_find(params, "rnn.weight_ih_l1"), CG_DIMS(4 * H, 4));
  has_shape(cg_params_find(params, "rnn.weight_hh_l1"), CG_DIMS(4 * H, 2));
  has_shape(cg_params_find(params, "rnn.weight_hr_l0"), CG_DIMS(2, H));
  has_shape(cg_params_find(params, "rnn.h0_l0"), CG_DIMS(2));
  has_shape(cg_params_find(params, "rnn.c0_l0"), CG_DIMS(H));
  cg_params_free(params);
}
END_TEST

/* ---- lengths ---- */

/* Nets whose batches are compared with single sequences. */
static cg_rnn_config config_of(int i) {
  cg_rnn_config c = RNN(.cell = (cg_cell_kind)(i % 3), .num_layers = 2,
                        .bidirectional = i >= 3, .learned_h0 = true);
  if (c.cell == CG_CELL_LSTM) c.proj_size = 3;
  if (c.cell == CG_CELL_GRU) c.zoneout = 0.3;
  return c;
}

static void fill_all(cg_params *params, uint64_t seed) {
  for (int i = 0; i < cg_params_count(params); i++)
    fill_some(cg_params_at(params, i), seed + (uint64_t)i);
}

/* Row b of a state, [parts, 1, width]. */
static cg_tensor *row(cg_tape *tape, cg_tensor *state, int64_t b) {
  return cg_narrow(tape, state, 1, b, 1);
}

static cg_tensor *squares(cg_tape *tape, cg_rnn_result r) {
  cg_tensor *sum = cg_add(tape, cg_sum_all(tape, cg_square(tape, r.h)),
                          cg_sum_all(tape, r.h_last));
  return r.c_last ? cg_add(tape, sum, cg_sum_all(tape, r.c_last)) : sum;
}

/* NaN beyond the lengths. */
static cg_tensor *padded_input(void) {
  cg_tensor *x = some_leaf(7, CG_DIMS(T, B, I));
  double *values = cg_leaf_data(x);
  for (int b = 0; b < B; b++)
    for (int64_t i = lengths[b] * B * I; i < T * B * I; i++)
      if (i / I % B == b) values[i] = NAN;
  return x;
}

/* Runs sequence b alone, forth and back. */
static void compare_sequence(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                             cg_rnn_result r, int b) {
  cg_tensor *x_b =
      cg_narrow(tape, cg_narrow(tape, x, 1, b, 1), 0, 0, lengths[b]);
  cg_rnn_result one = cg_rnn_forward(tape, rnn, x_b, NULL);
  cg_tensor *h_b = cg_narrow(tape, r.h, 1, b, 1);
  near_tensor("h", cg_narrow(tape, h_b, 0, 0, lengths[b]), one.h, 1e-14);
  near_tensor("h_last", row(tape, r.h_last, b), one.h_last, 1e-14);
  if (one.c_last)
    near_tensor("c_last", row(tape, r.c_last, b), one.c_last, 1e-14);
  cg_tensor *beyond = cg_narrow(tape, h_b, 0, lengths[b], T - lengths[b]);
  for (int64_t i = 0; i < cg_tensor_numel(beyond); i++)
    near(cg_tensor_get(beyond, i), 0.0, 0.0);
  ck_assert_int_eq(cg_backward(tape, squares(tape, one)), CG_OK);
}

/* To rounding: a product of more rows may add in another order. What lies
 * beyond the lengths is NaN. */
START_TEST(a_batch_is_its_sequences_one_by_one) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, config_of(_i), 5);
  fill_all(params, 6);
  cg_tensor *x = padded_input();
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = lengths};
  cg_rnn_result r = cg_rnn_forward_with(tape, rnn, x, &run);
  ck_assert_int_eq(cg_backward(tape, squares(tape, r)), CG_OK);
  cg_tensor *of_all[64], *x_grad = cg_leaf_new(NULL, CG_F64,
                                               CG_DIMS(T, B, I), NULL);
  int n = cg_params_count(params);
  for (int i = 0; i < n; i++) {
    const cg_tensor *g = cg_tensor_grad(cg_params_at(params, i));
    of_all[i] = cg_input(tape, CG_F64, cg_tensor_rank(g), cg_tensor_shape(g),
                         cg_tensor_data(g));
  }
  set_values(x_grad, cg_tensor_data(cg_tensor_grad(x)));
  cg_params_zero_grad(params);
  cg_leaf_zero_grad(x);
  for (int b = 0; b < B; b++) compare_sequence(tape, rnn, x, r, b);
  near_tensor("grad x", x_grad, cg_tensor_grad(x), 1e-13);
  for (int i = 0; i < n; i++)
    near_tensor(cg_params_name(params, i),
                cg_tensor_grad(cg_params_at(params, i)), of_all[i], 1e-12);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_leaf_free(x_grad);
  cg_params_free(params);
}
END_TEST

START_TEST(a_sequence_without_steps_keeps_its_state) {
  const int64_t none[B] = {0, 4, 0};
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, config_of(_i), 15);
  fill_all(params, 16);
  cg_tensor *x = some_leaf(17, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_result r =
      cg_rnn_forward_with(tape, rnn, x, &(cg_rnn_run){.lengths = none});
  cg_rnn_state first = cg_rnn_first_state(tape, rnn, B);
  fine(tape);
  near_tensor("h_last", row(tape, r.h_last, 2), row(tape, first.h, 2), 0.0);
  if (first.c)
    near_tensor("c_last", row(tape, r.c_last, 0), row(tape, first.c, 0), 0.0);
  ck_assert(fabs(cg_tensor_get(row(tape, r.h_last, 1), 0) -
                 cg_tensor_get(row(tape, first.h, 1), 0)) > 1e-6);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

START_TEST(full_lengths_record_nothing_more) {
  const int64_t full[B] = {T, T, T};
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.bidirectional = true), 25);
  cg_tensor *x = some_leaf(27, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_forward(tape, rnn, x, NULL);
  size_t nodes = cg_tape_get_stats(tape).nodes;
  cg_tape_reset(tape);
  cg_rnn_forward_with(tape, rnn, x, &(cg_rnn_run){.lengths = full});
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, nodes);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* ---- gradients of all of it ---- */

static cg_tensor *results(cg_tape *tape, cg_tensor *const *in, int n_in,
                          void *context) {
  (void)n_in;
  const cg_rnn_run run = {.lengths = (const int64_t[]){1, 3}};
  return squares(tape, cg_rnn_forward_with(tape, context, in[0], &run));
}

START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = {.cell = (cg_cell_kind)_i, .input_size = 2,
                          .hidden_size = 2, .bidirectional = true,
                          .num_layers = 2 - (_i == CG_CELL_LSTM),
                          .learned_h0 = true, .zoneout = 0.2,
                          .batch_first = _i == CG_CELL_GRU};
  if (_i == CG_CELL_LSTM) config.proj_size = 1, config.zoneout_c = 0.3;
  cg_rnn *rnn = new_rnn(params, config, 35);
  fill_all(params, 36);
  cg_tensor *in[40];
  in[0] = _i == CG_CELL_GRU ? some_leaf(37, CG_DIMS(2, 3, 2))
                            : some_leaf(37, CG_DIMS(3, 2, 2));
  int n = 1;
  for (; n <= cg_params_count(params); n++) in[n] = cg_params_at(params, n - 1);
  check_gradients(results, in, n, rnn);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

/* ---- states ---- */

START_TEST(rows_begin_anew) {
  const bool begins[B] = {false, true, false};
  bool learned = _i & 1, lstm = _i & 2;
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params,
                        RNN(.cell = lstm ? CG_CELL_LSTM : CG_CELL_RNN,
                            .num_layers = 2, .learned_h0 = learned), 45);
  fill_all(params, 46);
  cg_tensor *h = some_leaf(47, CG_DIMS(2, B, H));
  cg_tensor *c = some_leaf(48, CG_DIMS(2, B, H));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_state had = {h, lstm ? c : NULL};
  cg_rnn_state first = cg_rnn_first_state(tape, rnn, B);
  cg_rnn_state now = cg_rnn_state_reset(tape, rnn, had, begins);
  fine(tape);
  has_shape(first.h, CG_DIMS(2, B, H));
  ck_assert(!now.c == !lstm && !first.c == !lstm);
  for (int b = 0; b < B; b++) {
    near_tensor("h", row(tape, now.h, b),
                row(tape, begins[b] ? first.h : h, b), 0.0);
    if (lstm)
      near_tensor("c", row(tape, now.c, b),
                  row(tape, begins[b] ? first.c : c, b), 0.0);
  }
  ck_assert(learned == (fabs(cg_tensor_get(first.h, 0)) > 0));
  cg_rnn_state none = cg_rnn_state_reset(tape, rnn, (cg_rnn_state){0}, begins);
  ck_assert(!none.h && !none.c);
  none = cg_rnn_state_reset(tape, rnn, had, NULL);
  ck_assert(!none.h && !none.c);
  failed(tape, CG_ERR_ARG, "rnn", "no list of rows");
  cg_tape_free(tape);
  cg_leaf_free(h);
  cg_leaf_free(c);
  cg_params_free(params);
}
END_TEST

START_TEST(a_detached_state_has_no_history) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.cell = CG_CELL_LSTM), 55);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7);
  cg_rnn_result r = cg_rnn_forward(tape, rnn, x, NULL);
  cg_rnn_state last = {r.h_last, r.c_last};
  cg_rnn_state cut = cg_rnn_state_detach(tape, last);
  near_tensor("h", cut.h, last.h, 0.0);
  near_tensor("c", cut.c, last.c, 0.0);
  ck_assert(cg_tensor_requires_grad(last.h) && cg_tensor_requires_grad(last.c));
  ck_assert(!cg_tensor_requires_grad(cut.h) && !cg_tensor_requires_grad(cut.c));
  cut = cg_rnn_state_detach(tape, (cg_rnn_state){.h = last.h});
  ck_assert(cut.h && !cut.c);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

/* ---- refusals ---- */

START_TEST(bad_configurations) {
  const struct {
    cg_rnn_config config;
    const char *part;
  } bad[] = {
      {RNN(.cell = CG_CELL_LSTM, .proj_size = H), "proj_size"},
      {RNN(.cell = CG_CELL_LSTM, .proj_size = -1), "proj_size"},
      {RNN(.cell = CG_CELL_GRU, .proj_size = 2), "proj_size needs an LSTM"},
      {RNN(.num_layers = INT32_MAX, .bidirectional = true), "many layers"},
      {RNN(.dropout = 1.1), "dropout"},
      {RNN(.dropout = NAN), "dropout"},
      {RNN(.state_dropout = -0.1), "state_dropout"},
      {RNN(.zoneout = 2), "zoneout"},
      {RNN(.cell = CG_CELL_LSTM, .zoneout_c = 2), "zoneout_c"},
      {RNN(.cell = CG_CELL_GRU, .zoneout_c = 0.1), "state c"}};
  cg_params *params = registry(CG_F64);
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_rnn_new(params, "rnn", &bad[i].config, NULL, &err));
    has_error(&err, CG_ERR_ARG, bad[i].part);
  }
  ck_assert_int_eq(cg_params_count(params), 0);
  cg_params_free(params);
}
END_TEST

START_TEST(bad_runs) {
  const int64_t below[B] = {3, -1, 2}, above[B] = {3, 2, T + 1};
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.bidirectional = true), 65);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7);
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(1, B, H), 0.7);
  cg_rnn_run run = {.lengths = below};
  ck_assert_ptr_null(cg_rnn_forward_with(tape, rnn, x, &run).h);
  failed(tape, CG_ERR_ARG, "rnn", "sequence 1 of rnn is -1");
  run.lengths = above;
  ck_assert_ptr_null(cg_rnn_forward_with(tape, rnn, x, &run).h);
  failed(tape, CG_ERR_ARG, "rnn", "sequence 2 of rnn is 6, but 0 to 5");
  run = (cg_rnn_run){.state.h = h};
  ck_assert_ptr_null(cg_rnn_forward_with(tape, rnn, x, &run).h);
  failed(tape, CG_ERR_SHAPE, "rnn", "but [2, 3, 6]");
  ck_assert_ptr_null(cg_rnn_step(tape, rnn, cg_select(tape, x, 0, 0), NULL));
  failed(tape, CG_ERR_ARG, "rnn", "rnn is bidirectional");
  ck_assert_int_eq(cg_rnn_state_check(tape, rnn, run.state, B), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "rnn", "the state h of rnn is [1, 3, 6]");
  ck_assert_int_eq(cg_rnn_state_check(tape, NULL, run.state, B), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "rnn", "no net");
  ck_assert_ptr_null(cg_rnn_first_state(tape, NULL, B).h);
  failed(tape, CG_ERR_ARG, "rnn", "no net");
  ck_assert_ptr_null(cg_rnn_state_reset(tape, rnn, run.state, NULL).h);
  failed(tape, CG_ERR_SHAPE, "rnn", "but [2, 3, 6]");
  ck_assert_ptr_nonnull(cg_rnn_forward_with(tape, rnn, x, NULL).h);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(every_failing_allocation_is_an_error) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = config_of(4);
  config.dropout = config.state_dropout = config.zoneout_c = 0.25;
  cg_rnn *rnn = new_rnn(params, config, 75);
  cg_tensor *x = some_leaf(76, CG_DIMS(T, B, I));
  const bool begins[B] = {true, false, true};
  bool ok = false;
  for (size_t fails = 1; !ok; fails++) {
    counter c;
    counter_init(&c);
    c.fail_at = fails;
    cg_rng rng = cg_rng_seed(1);
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_rnn_run run = {.lengths = lengths, .rng = &rng};
    cg_rnn_result r = cg_rnn_forward_with(tape, rnn, x, &run);
    ck_assert(!r.h == !r.h_last && !r.h == !r.c_last);
    cg_rnn_state s = cg_rnn_state_reset(
        tape, rnn, (cg_rnn_state){r.h_last, r.c_last}, begins);
    ok = s.h != NULL;
    ck_assert(ok == !cg_tape_status(tape));
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_layers");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, parameters_are_pytorch_s);
  tcase_add_loop_test(tc, a_batch_is_its_sequences_one_by_one, 0, 6);
  tcase_add_loop_test(tc, a_sequence_without_steps_keeps_its_state, 0, 6);
  tcase_add_test(tc, full_lengths_record_nothing_more);
  tcase_add_loop_test(tc, gradients_are_those_of_finite_differences, 0, 3);
  tcase_add_loop_test(tc, rows_begin_anew, 0, 4);
  tcase_add_test(tc, a_detached_state_has_no_history);
  tcase_add_test(tc, bad_configurations);
  tcase_add_test(tc, bad_runs);
  tcase_add_test(tc, every_failing_allocation_is_an_error);
  return run_case("rnn_layers", tc);
}
