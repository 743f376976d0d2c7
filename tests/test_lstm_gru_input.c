/* test_lstm_gru_input.c - what LSTM and GRU refuse, and how they say it; and
 * memory that runs out. */
#include "rnn_test.h"

START_TEST(bad_configurations) {
  cg_params *params = registry(CG_F64);
  const struct {
    cg_rnn_config config;
    const char *part;
  } bad[] = {
      {RNN(.cell = CG_CELL_COUNT), "cell"},
      {RNN(.cell = (cg_cell_kind)-1), "cell"},
      {RNN(.cell = CG_CELL_GRU, .num_layers = -2), "num_layers"},
      {RNN(.cell = CG_CELL_LSTM, .nonlinearity = CG_ACT_RELU), "always tanh"},
      {RNN(.cell = CG_CELL_GRU, .forget_bias = 1.0), "forget_bias"},
      {RNN(.forget_bias = 1.0), "forget_bias"},
      {RNN(.cell = CG_CELL_LSTM, .forget_bias = 1.0, .no_bias = true),
       "forget_bias"},
      {RNN(.cell = CG_CELL_LSTM, .forget_bias = NAN), "not finite"}};
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_rnn_new(params, "rnn", &bad[i].config, NULL, &err));
    has_error(&err, CG_ERR_ARG, bad[i].part);
  }
  cg_error err = {0};
  cg_rnn_config huge = {.cell = CG_CELL_LSTM, .input_size = 1,
                        .hidden_size = INT64_MAX / 3};
  ck_assert_ptr_null(cg_rnn_new(params, "rnn", &huge, NULL, &err));
  has_error(&err, CG_ERR_SHAPE, "too many elements");
  ck_assert_int_eq(cg_params_count(params), 0);
  cg_params_free(params);
}
END_TEST

/* What both ways in refuse, with the same words. */
static void refused(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                    cg_rnn_state state, cg_status status, const char *part) {
  cg_rnn_result r = cg_rnn_forward_from(tape, rnn, x, state, NULL);
  ck_assert(!r.h && !r.h_last && !r.c_last);
  failed(tape, status, "rnn", part);
  cg_tensor *x_t = x ? cg_select(tape, x, 0, 0) : NULL;
  cg_rnn_state next = cg_rnn_step_from(tape, rnn, x_t, state);
  ck_assert(!next.h && !next.c);
  failed(tape, status, "rnn", part);
}

START_TEST(bad_inputs_and_states) {
  cg_params *params = registry(CG_F64), *other = registry(CG_F64);
  cg_rnn *lstm = new_rnn(params, RNN(.cell = CG_CELL_LSTM), 75);
  cg_rnn *gru = new_rnn(other, RNN(.cell = CG_CELL_GRU), 76);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7);
  cg_tensor *wide = cg_full(tape, CG_F64, CG_DIMS(T, B, I + 1), 0.7);
  cg_tensor *s = cg_full(tape, CG_F64, CG_DIMS(1, B, H), 0.7);
  cg_tensor *many = cg_full(tape, CG_F64, CG_DIMS(1, B + 1, H), 0.7);
  cg_tensor *flat = cg_full(tape, CG_F64, CG_DIMS(B, H), 0.7);
  const cg_rnn_state none = {0};
  refused(tape, lstm, wide, none, CG_ERR_SHAPE, "as its last size");
  refused(tape, gru, wide, none, CG_ERR_SHAPE, "as its last size");
  refused(tape, lstm, NULL, none, CG_ERR_ARG, "no input");
  refused(tape, NULL, x, none, CG_ERR_ARG, "no net");
  refused(tape, lstm, x, (cg_rnn_state){.h = s}, CG_ERR_ARG, "no c");
  refused(tape, lstm, x, (cg_rnn_state){.c = s}, CG_ERR_ARG, "no h");
  refused(tape, gru, x, (cg_rnn_state){.c = s}, CG_ERR_ARG, "has only h");
  refused(tape, gru, x, (cg_rnn_state){.h = many}, CG_ERR_SHAPE, "[1, 4, 6]");
  refused(tape, lstm, x, (cg_rnn_state){s, many}, CG_ERR_SHAPE, "[1, 4, 6]");
  refused(tape, lstm, x, (cg_rnn_state){flat, s}, CG_ERR_SHAPE, "[3, 6]");
  ck_assert_ptr_null(cg_rnn_forward(tape, lstm, x, s).h);
  failed(tape, CG_ERR_ARG, "rnn", "no c");
  ck_assert_ptr_null(
      cg_rnn_step(tape, lstm, cg_select(tape, x, 0, 0), NULL));
  failed(tape, CG_ERR_ARG, "rnn", "cg_rnn_step_from");
  has_shape(cg_rnn_step(tape, gru, cg_select(tape, x, 0, 0), s),
            CG_DIMS(1, B, H));
  fine(tape);
  cg_tape_free(tape);
  cg_params_free(params);
  cg_params_free(other);
}
END_TEST

START_TEST(traces_of_what_is_not_there) {
  cg_params *params = registry(CG_F64);
  cg_rnn *gru = new_rnn(params, RNN(.cell = CG_CELL_GRU), 77);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7), *place[T];
  cg_rnn_trace z = {.z = place}, h = {.h = place}, c = {.c = place};
  ck_assert_ptr_null(cg_rnn_forward_trace(tape, gru, x, NULL, &z).h);
  failed(tape, CG_ERR_ARG, "rnn", "pre-activations of a GRU");
  ck_assert_ptr_null(cg_rnn_forward_trace(tape, gru, x, NULL, &c).h);
  failed(tape, CG_ERR_ARG, "rnn", "has only h");
  cg_tensor *all = cg_rnn_forward_trace(tape, gru, x, NULL, &h).h;
  near_tensor("h", place[3], cg_select(tape, all, 0, 3), 0.0);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(an_empty_batch_is_fine) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.cell = (cg_cell_kind)_i), 85);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, 0, I), 0.7);
  cg_rnn_result r = cg_rnn_forward(tape, rnn, x, NULL);
  fine(tape);
  has_shape(r.h, CG_DIMS(T, 0, H));
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, r.h)), CG_OK);
  near(cg_tensor_get(cg_tensor_grad(cg_params_at(params, 1)), 5), 0.0, 0.0);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(every_failing_allocation_is_an_error) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(
      params, RNN(.cell = (cg_cell_kind)_i, .num_layers = 2), 95);
  cg_tensor *x = some_leaf(96, CG_DIMS(T, B, I));
  bool ok = false;
  size_t fails = 0;
  while (!ok) {
    counter c;
    counter_init(&c);
    c.fail_at = ++fails;
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_rnn_result r = cg_rnn_forward(tape, rnn, x, NULL);
    ok = r.h != NULL;
    ck_assert(ok == !cg_tape_status(tape));
    ck_assert(!r.h == !r.h_last);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert_uint_ge(fails, 4);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("lstm_gru_input");
  const int first = CG_CELL_LSTM, end = CG_CELL_COUNT;
  tcase_add_test(tc, bad_configurations);
  tcase_add_test(tc, bad_inputs_and_states);
  tcase_add_test(tc, traces_of_what_is_not_there);
  tcase_add_loop_test(tc, an_empty_batch_is_fine, first, end);
  tcase_add_loop_test(tc, every_failing_allocation_is_an_error, first, end);
  return run_case("lstm_gru_input", tc);
}
