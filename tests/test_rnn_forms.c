/* test_rnn_forms.c - the compact form, any activation, layer normalisation and
 * the other placement of the reset gate: parameters, first values, equalities,
 * gradients, refusals. test_rnn_golden.c has figures of PyTorch. */
#include "rnn_test.h"

static cg_rnn_config forms(int i) {
  const cg_rnn_config all[] = {
      RNN(.compact = true),
      RNN(.cell = CG_CELL_LSTM, .compact = true, .proj_size = 2),
      RNN(.layer_norm = true),
      RNN(.cell = CG_CELL_LSTM, .layer_norm = true, .proj_size = 2),
      RNN(.cell = CG_CELL_GRU, .layer_norm = true),
      RNN(.cell = CG_CELL_GRU, .reset_before = true),
      RNN(.activation = cg_softplus)};
  return all[i];
}

enum { FORMS = 7 };

/* ---- the compact form ---- */

/* Every result and every gradient, with the same parameters. */
START_TEST(one_product_equals_two) {
  cg_rnn_config config = RNN(.cell = _i & 1 ? CG_CELL_LSTM : CG_CELL_RNN,
                             .num_layers = 2, .bidirectional = _i & 2,
                             .no_bias = _i == 3);
  cg_params *a = registry(CG_F64), *b = registry(CG_F64);
  cg_rnn *two = new_rnn(a, config, 5);
  config.compact = true;
  cg_rnn *one = new_rnn(b, config, 5);
  cg_tensor *x = some_leaf(6, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *h_two = cg_rnn_forward(tape, two, x, NULL).h;
  cg_tensor *h_one = cg_rnn_forward(tape, one, x, NULL).h;
  near_tensor("h", h_one, h_two, 1e-14);
  cg_backward(tape, cg_sum_all(tape, cg_square(tape, h_two)));
  cg_backward(tape, cg_sum_all(tape, cg_square(tape, h_one)));
  fine(tape);
  ck_assert_int_eq(cg_params_count(a), cg_params_count(b));
  for (int i = 0; i < cg_params_count(a); i++) {
    ck_assert_str_eq(cg_params_name(a, i), cg_params_name(b, i));
    near_tensor(cg_params_name(a, i), cg_tensor_grad(cg_params_at(b, i)),
                cg_tensor_grad(cg_params_at(a, i)), 1e-13);
  }
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(a);
  cg_params_free(b);
}
END_TEST

/* ---- activations ---- */

START_TEST(an_activation_is_any_function) {
  const cg_unary theirs[] = {cg_tanh, cg_relu, cg_sigmoid};
  const cg_activation ours[] = {CG_ACT_TANH, CG_ACT_RELU, CG_ACT_SIGMOID};
  cg_params *a = registry(CG_F64), *b = registry(CG_F64);
  cg_rnn *named = new_rnn(a, RNN(.nonlinearity = ours[_i]), 5);
  cg_rnn *given = new_rnn(b, RNN(.activation = theirs[_i]), 5);
  cg_tensor *x = some_leaf(6, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  near_tensor("h", cg_rnn_forward(tape, given, x, NULL).h,
              cg_rnn_forward(tape, named, x, NULL).h, 0.0);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(a);
  cg_params_free(b);
}
END_TEST

START_TEST(a_cell_s_own_activation) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *z = some_leaf(7, CG_DIMS(B, H));
  cg_cell_args a = {.phi = CG_ACT_SIGMOID};
  near_tensor("phi", cg_cell_activate(tape, &a, z), cg_sigmoid(tape, z), 0.0);
  a.activation = cg_gelu;
  near_tensor("phi", cg_cell_activate(tape, &a, z), cg_gelu(tape, z), 0.0);
  ck_assert_ptr_eq(cg_cell_entering(tape, &a, z), z);
  a.h_mask = cg_full(tape, CG_F64, CG_DIMS(B, H), 0.5);
  near(cg_tensor_get(cg_cell_entering(tape, &a, z), 4),
       0.5 * cg_tensor_get(z, 4), 0.0);
  cg_tape_free(tape);
  cg_leaf_free(z);
}
END_TEST

/* ---- layer normalisation ---- */

START_TEST(first_values_are_gains_of_1_and_biases_of_0) {
  cg_params *params = registry(_i ? CG_F32 : CG_F64);
  new_rnn(params,
          RNN(.cell = CG_CELL_LSTM, .layer_norm = true, .forget_bias = 1.5,
              .num_layers = 2), 5);
  ck_assert_int_eq(cg_params_count(params), 14);
  for (int i = 0; i < cg_params_count(params); i++) {
    const char *name = cg_params_name(params, i);
    const cg_tensor *w = cg_params_at(params, i);
    bool gain = strstr(name, ".norm_") && strstr(name, "_weight_");
    bool bias = strstr(name, "bias"), forget = strstr(name, ".bias");
    for (int64_t j = 0; (gain || bias) && j < cg_tensor_numel(w); j++)
      near(cg_tensor_get(w, j),
           gain ? 1 : forget && j >= H && j < 2 * H ? 1.5 : 0, 0.0);
  }
  cg_params_free(params);
}
END_TEST

/* N does not see a scale: x W and x (5 W) differ by eps only. */
START_TEST(scales_of_weights_do_not_matter) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(
      params, RNN(.cell = (cg_cell_kind)_i, .layer_norm = true), 5);
  cg_tensor *x = some_leaf(6, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *before = cg_rnn_forward(tape, rnn, x, NULL).h;
  for (int which = 0; which < 2; which++) {
    cg_tensor *w = cg_params_at(params, which);
    double *values = cg_leaf_data(w);
    for (int64_t i = 0; i < cg_tensor_numel(w); i++) values[i] *= 5;
  }
  near_tensor("h", cg_rnn_forward(tape, rnn, x, NULL).h, before, 1e-2);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* ---- all of them ---- */

static cg_tensor *result(cg_tape *tape, cg_tensor *const *in, int n_in,
                         void *context) {
  (void)n_in;
  const cg_rnn_run run = {.lengths = (const int64_t[]){3, 2}};
  return cg_rnn_forward_with(tape, context, in[0], &run).h;
}

START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = forms(_i);
  config.input_size = 2;
  config.hidden_size = 3;
  config.bidirectional = true;
  cg_rnn *rnn = new_rnn(params, config, 35);
  cg_tensor *in[40] = {some_leaf(37, CG_DIMS(3, 2, 2))};
  int n = 1;
  for (; n <= cg_params_count(params); n++) {
    in[n] = cg_params_at(params, n - 1);
    fill_some(in[n], 200 + (uint64_t)n);
  }
  check_gradients(result, in, n, rnn);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

START_TEST(steps_make_the_sequence) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = forms(_i);
  config.num_layers = 2;
  cg_rnn *rnn = new_rnn(params, config, 45);
  cg_tensor *x = some_leaf(47, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *z[2 * T];
  bool traced = config.cell != CG_CELL_GRU;
  cg_rnn_result r = cg_rnn_forward_trace(
      tape, rnn, x, NULL, &(cg_rnn_trace){.z = traced ? z : NULL});
  cg_rnn_state s = {0};
  for (int t = 0; t < T; t++)
    s = cg_rnn_step_from(tape, rnn, cg_select(tape, x, 0, t), s);
  fine(tape);
  near_tensor("h", s.h, r.h_last, 1e-14);
  if (s.c) near_tensor("c", s.c, r.c_last, 1e-14);
  for (int i = 0; traced && i < 2 * T; i++)
    has_shape(z[i], CG_DIMS(B, config.cell == CG_CELL_LSTM ? 4 * H : H));
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* Also where nothing is recorded: then memory does not grow. */
START_TEST(streams_do_not_grow) {
  cg_params *params = registry(CG_F32);
  cg_rnn_config config = forms(_i);
  config.num_layers = 2;
  config.zoneout = 0.25;
  config.learned_h0 = true;
  cg_rnn *rnn = new_rnn(params, config, 65);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tape_set_recording(tape, false);
  cg_mark mark = cg_tape_mark(tape);
  cg_rnn_state s = {0};
  size_t calls = 0;
  for (int step = 0; step < 500; step++) {
    cg_tensor *x = cg_full(tape, CG_F32, CG_DIMS(B, I), 0.01 * step);
    s = cg_rnn_step_from(tape, rnn, x, s);
    ck_assert_int_eq(cg_rnn_state_keep(tape, mark, &s), CG_OK);
    if (step == 20) calls = cg_tape_get_stats(tape).system_allocs;
  }
  ck_assert(isfinite(cg_tensor_get(s.h, 0)));
  ck_assert_uint_eq(cg_tape_get_stats(tape).system_allocs, calls);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(without_biases_there_are_none) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = forms(_i);
  config.no_bias = true;
  cg_rnn *rnn = new_rnn(params, config, 55);
  for (int i = 0; i < cg_params_count(params); i++)
    ck_assert(!strstr(cg_params_name(params, i), "bias"));
  cg_tensor *x = some_leaf(57, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(cg_rnn_forward(tape, rnn, x, NULL).h);
  fine(tape);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

static cg_tensor *own_step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                           cg_tensor **state) {
  (void)tape, (void)a, (void)x, (void)state;
  return NULL;
}

START_TEST(forms_that_do_not_go_together) {
  const cg_cell custom = {.name = "own", .gates = 1, .n_states = 1,
                          .step = own_step};
  const struct {
    cg_rnn_config config;
    const char *part;
  } bad[] = {
      {RNN(.compact = true, .layer_norm = true), "exclude each other"},
      {RNN(.cell = CG_CELL_GRU, .layer_norm = true, .reset_before = true),
       "exclude each other"},
      {RNN(.cell = CG_CELL_GRU, .compact = true), "an RNN or LSTM"},
      {RNN(.reset_before = true), "needs a GRU"},
      {RNN(.custom = &custom, .layer_norm = true), "a custom cell"},
      {RNN(.cell = CG_CELL_LSTM, .activation = cg_sin), "always tanh"},
      {RNN(.cell = CG_CELL_GRU, .layer_norm = true, .proj_size = 2),
       "needs an LSTM"}};
  cg_params *params = registry(CG_F64);
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_rnn_new(params, "rnn", &bad[i].config, NULL, &err));
    has_error(&err, CG_ERR_ARG, bad[i].part);
  }
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_forms");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, one_product_equals_two, 0, 4);
  tcase_add_loop_test(tc, an_activation_is_any_function, 0, 3);
  tcase_add_test(tc, a_cell_s_own_activation);
  tcase_add_loop_test(tc, first_values_are_gains_of_1_and_biases_of_0, 0, 2);
  tcase_add_loop_test(tc, scales_of_weights_do_not_matter, 0, 3);
  tcase_add_loop_test(tc, gradients_are_those_of_finite_differences, 0, FORMS);
  tcase_add_loop_test(tc, steps_make_the_sequence, 0, FORMS);
  tcase_add_loop_test(tc, streams_do_not_grow, 0, FORMS);
  tcase_add_loop_test(tc, without_biases_there_are_none, 0, FORMS);
  tcase_add_test(tc, forms_that_do_not_go_together);
  return run_case("rnn_forms", tc);
}
