/* test_lstm_gru.c - LSTM and GRU: values and gradients equal PyTorch's and
 * those of finite differences; states, steps, options, and what is refused. */
#include "rnn_test.h"

/* A tape, a net "rnn" and an input, with the cell of the test loop. */
typedef struct bench {
  cg_params *params;
  cg_rnn *rnn;
  cg_tensor *x; /* [T, B, I] */
  cg_tape *tape;
} bench;

static bench set_up(cg_rnn_config config, uint64_t seed) {
  bench b = {.params = registry(CG_F64), .tape = cg_tape_new(NULL)};
  b.rnn = new_rnn(b.params, config, seed);
  b.x = some_leaf(seed + 1, CG_DIMS(T, B, I));
  return b;
}

static void tear_down(bench *b) {
  cg_tape_free(b->tape);
  cg_leaf_free(b->x);
  cg_params_free(b->params);
}

static void same_state(cg_rnn_state got, cg_rnn_state want) {
  near_tensor("h", got.h, want.h, 1e-14);
  ck_assert(!got.c == !want.c);
  if (want.c) near_tensor("c", got.c, want.c, 1e-14);
}

static cg_rnn_state last_of(cg_rnn_result r) {
  return (cg_rnn_state){r.h_last, r.c_last};
}

/* ---- parameters ---- */

START_TEST(parameters_are_pytorch_s) {
  const int gates = _i == CG_CELL_LSTM ? 4 : 3;
  bench b = set_up(RNN(.cell = (cg_cell_kind)_i, .num_layers = 2), 3);
  ck_assert_int_eq(cg_params_count(b.params), 8);
  has_shape(cg_params_find(b.params, "rnn.weight_ih_l0"),
            CG_DIMS(gates * H, I));
  has_shape(cg_params_find(b.params, "rnn.weight_ih_l1"),
            CG_DIMS(gates * H, H));
  has_shape(cg_params_find(b.params, "rnn.weight_hh_l1"),
            CG_DIMS(gates * H, H));
  has_shape(cg_params_find(b.params, "rnn.bias_hh_l0"), CG_DIMS(gates * H));
  for (int i = 0; i < cg_params_count(b.params); i++)
    for (int64_t j = 0; j < cg_tensor_numel(cg_params_at(b.params, i)); j++) {
      double w = cg_tensor_get(cg_params_at(b.params, i), j);
      ck_assert(w != 0.0 && fabs(w) <= 1.0 / sqrt(H));
    }
  ck_assert_int_eq(cg_rnn_get_config(b.rnn).cell, _i);
  tear_down(&b);
}
END_TEST

/* Of all values, only those of the forget gate's biases are others. */
START_TEST(the_forget_bias_is_set) {
  cg_dtype dtype = _i ? CG_F32 : CG_F64;
  cg_params *plain = registry(dtype), *set = registry(dtype);
  new_rnn(plain, RNN(.cell = CG_CELL_LSTM, .num_layers = 2), 13);
  new_rnn(set, RNN(.cell = CG_CELL_LSTM, .num_layers = 2, .forget_bias = 1.25),
          13);
  for (int i = 0; i < cg_params_count(set); i++) {
    const char *name = cg_params_name(set, i);
    const cg_tensor *p = cg_params_at(plain, i), *q = cg_params_at(set, i);
    bool ih = strstr(name, "bias_ih"), hh = strstr(name, "bias_hh");
    for (int64_t j = 0; j < cg_tensor_numel(q); j++) {
      bool forget = (ih || hh) && j >= H && j < 2 * H;
      double want = forget ? (ih ? 1.25 : 0.0) : cg_tensor_get(p, j);
      near(cg_tensor_get(q, j), want, 0.0);
    }
  }
  cg_params_free(plain);
  cg_params_free(set);
}
END_TEST

/* ---- against PyTorch ---- */

#ifdef CG_HAVE_JANSSON

static const char *const kind_names[] = {
    [CG_CELL_LSTM] = "lstm", [CG_CELL_GRU] = "gru"};

typedef struct golden_run {
  cg_safetensors *file;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *x;
  cg_rnn_state first; /* leaves */
} golden_run;

static cg_tensor *golden_leaf(const golden_run *g, const char *name) {
  const cg_array *a = golden_array(g->file, "", name);
  cg_tensor *leaf = cg_leaf_new(NULL, cg_params_dtype(g->params), a->rank,
                                a->shape, NULL);
  ck_assert_ptr_nonnull(leaf);
  set_values(leaf, a->data);
  ck_assert_int_eq(cg_leaf_set_requires_grad(leaf, true), CG_OK);
  return leaf;
}

static golden_run golden_begin(cg_cell_kind kind, int layers, cg_dtype dtype) {
  char file[32];
  snprintf(file, sizeof file, "%s_%d", kind_names[kind], layers);
  golden_run g = {.file = golden_open(file), .params = registry(dtype)};
  g.rnn = new_rnn(g.params, RNN(.cell = kind, .num_layers = layers), 1);
  g.fc = cg_linear_layer_new(
      g.params, "fc",
      &(cg_linear_config){.in_features = H, .out_features = K}, NULL, NULL);
  load_golden(g.params, g.file);
  g.x = golden_leaf(&g, "x");
  g.first.h = golden_leaf(&g, "h0");
  if (kind == CG_CELL_LSTM) g.first.c = golden_leaf(&g, "c0");
  return g;
}

static void golden_end(golden_run *g) {
  cg_leaf_free(g->x);
  cg_leaf_free(g->first.h);
  cg_leaf_free(g->first.c);
  cg_params_free(g->params);
  cg_safetensors_close(g->file);
}

static cg_tensor *golden_loss(cg_tape *tape, const golden_run *g,
                              cg_rnn_result r) {
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, B),
                          golden_array(g->file, "", "y")->data);
  cg_tensor *loss = cg_cross_entropy_loss(
      tape, cg_linear_layer_forward(tape, g->fc, r.h), y, CG_REDUCE_SUM,
      CG_REDUCE_MEAN);
  loss = cg_add(tape, loss, cg_sum_all(tape, cg_square(tape, r.h_last)));
  if (!r.c_last) return loss;
  return cg_add(tape, loss, cg_sum_all(tape, cg_square(tape, r.c_last)));
}

static void golden_gradients(const golden_run *g, double tolerance) {
  near_golden(g->file, "grad.", "x", cg_tensor_grad(g->x), tolerance);
  near_golden(g->file, "grad.", "h0", cg_tensor_grad(g->first.h), tolerance);
  if (g->first.c)
    near_golden(g->file, "grad.", "c0", cg_tensor_grad(g->first.c), tolerance);
  for (int i = 0; i < cg_params_count(g->params); i++)
    near_golden(g->file, "grad.", cg_params_name(g->params, i),
                cg_tensor_grad(cg_params_at(g->params, i)), tolerance);
}

/* _i: bit 0 the number of layers, bit 1 the cell, bit 2 the type. */
START_TEST(forward_and_gradients_are_pytorch_s) {
  int layers = 1 + (_i & 1);
  cg_cell_kind kind = _i & 2 ? CG_CELL_GRU : CG_CELL_LSTM;
  double tolerance = _i & 4 ? 1e-5 : 1e-12;
  golden_run g = golden_begin(kind, layers, _i & 4 ? CG_F32 : CG_F64);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_result r = cg_rnn_forward_from(tape, g.rnn, g.x, g.first, NULL);
  cg_tensor *loss = golden_loss(tape, &g, r);
  fine(tape);
  near_golden(g.file, "", "h", r.h, tolerance);
  near_golden(g.file, "", "h_last", r.h_last, tolerance);
  ck_assert(!r.c_last == (kind == CG_CELL_GRU));
  if (r.c_last) near_golden(g.file, "", "c_last", r.c_last, tolerance);
  near_golden(g.file, "", "loss", loss, tolerance);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  golden_gradients(&g, tolerance);
  if (layers == 1) { /* its first state is zero: the default */
    cg_rnn_result zero = cg_rnn_forward(tape, g.rnn, g.x, NULL);
    near_golden(g.file, "", "h", zero.h, tolerance);
  }
  cg_tape_free(tape);
  golden_end(&g);
}
END_TEST

#endif

/* ---- against finite differences, first and second order ---- */

static cg_tensor *all_results(cg_tape *tape, cg_tensor *const *in, int n_in,
                              void *context) {
  (void)n_in;
  cg_rnn_result r = cg_rnn_forward(tape, context, in[0], NULL);
  cg_tensor *sum = cg_add(tape, cg_sum_all(tape, cg_square(tape, r.h)),
                          cg_sum_all(tape, r.h_last));
  return r.c_last ? cg_add(tape, sum, cg_sum_all(tape, r.c_last)) : sum;
}

/* With learned first states, over 2 layers; _i: bit 0 the cell, bit 1 the
 * order of x's axes and the biases. */
START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_cell_kind kind = _i & 1 ? CG_CELL_GRU : CG_CELL_LSTM;
  cg_rnn_config config = {.cell = kind, .input_size = 2, .hidden_size = 3,
                          .num_layers = 2, .learned_h0 = true,
                          .batch_first = _i & 2, .no_bias = _i & 2};
  cg_rnn *rnn = new_rnn(params, config, 5);
  cg_tensor *in[16] = {some_leaf(6, CG_DIMS(3, 2, 2))};
  int n = 1, states = kind == CG_CELL_LSTM ? 2 : 1;
  for (; n <= cg_params_count(params); n++) {
    in[n] = cg_params_at(params, n - 1);
    fill_some(in[n], 100 + (uint64_t)n);
  }
  ck_assert_int_eq(n, 1 + 2 * ((_i & 2 ? 2 : 4) + states));
  check_gradients(all_results, in, n, rnn);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

/* ---- states, steps, options ---- */

START_TEST(steps_make_the_sequence) {
  bench b = set_up(RNN(.cell = (cg_cell_kind)_i, .num_layers = 2), 15);
  cg_rnn_result r = cg_rnn_forward(b.tape, b.rnn, b.x, NULL);
  cg_rnn_state s = {0};
  for (int t = 0; t < T; t++) {
    s = cg_rnn_step_from(b.tape, b.rnn, cg_select(b.tape, b.x, 0, t), s);
    near_tensor("h_t", cg_select(b.tape, s.h, 0, -1),
                cg_select(b.tape, r.h, 0, t), 1e-14);
  }
  fine(b.tape);
  same_state(s, last_of(r));
  tear_down(&b);
}
END_TEST

/* Windows of 2, 2 and 1 steps, the state carried over a rewind. */
START_TEST(windows_make_the_sequence) {
  bench b = set_up(RNN(.cell = (cg_cell_kind)_i, .num_layers = 2), 25);
  cg_rnn_state whole = last_of(cg_rnn_forward(b.tape, b.rnn, b.x, NULL));
  cg_mark mark = cg_tape_mark(b.tape);
  cg_rnn_state s = {0};
  for (int t = 0; t < T; t += 2) {
    cg_tensor *window = cg_narrow(b.tape, b.x, 0, t, t + 2 <= T ? 2 : T - t);
    s = last_of(cg_rnn_forward_from(b.tape, b.rnn, window, s, NULL));
    ck_assert_int_eq(cg_rnn_state_keep(b.tape, mark, &s), CG_OK);
    ck_assert(!cg_tensor_requires_grad(s.h));
  }
  same_state(s, whole);
  ck_assert_int_eq(cg_rnn_state_keep(b.tape, mark, NULL), CG_ERR_ARG);
  s = (cg_rnn_state){0};
  ck_assert_int_eq(cg_rnn_state_keep(b.tape, mark, &s), CG_OK);
  ck_assert(!s.h && !s.c);
  cg_tape_fail(b.tape, CG_ERR_ARG, "test", "made up");
  s.h = b.x;
  ck_assert_int_eq(cg_rnn_state_keep(b.tape, mark, &s), CG_ERR_ARG);
  ck_assert(!s.h && !s.c);
  tear_down(&b);
}
END_TEST

START_TEST(batch_first_is_a_transposition) {
  cg_cell_kind kind = (cg_cell_kind)_i;
  bench a = set_up(RNN(.cell = kind), 35);
  bench b = set_up(RNN(.cell = kind, .batch_first = true), 35);
  cg_rnn_result r = cg_rnn_forward(a.tape, a.rnn, a.x, NULL);
  cg_rnn_result q = cg_rnn_forward(
      b.tape, b.rnn, cg_transpose(b.tape, b.x, 0, 1), NULL);
  has_shape(q.h, CG_DIMS(B, T, H));
  near_tensor("h", cg_transpose(b.tape, q.h, 0, 1), r.h, 1e-15);
  same_state(last_of(q), last_of(r));
  tear_down(&a);
  tear_down(&b);
}
END_TEST

/* Learned first states are found, are used, and give way to given ones. */
START_TEST(learned_and_given_states) {
  bool lstm = _i == CG_CELL_LSTM;
  bench b = set_up(RNN(.cell = (cg_cell_kind)_i, .learned_h0 = true), 45);
  cg_tensor *zero = cg_full(b.tape, CG_F64, CG_DIMS(1, B, H), 0.0);
  const cg_rnn_state zeros = {zero, lstm ? zero : NULL};
  const char *const names[] = {"rnn.h0_l0", "rnn.c0_l0"};
  ck_assert_int_eq(cg_params_count(b.params), lstm ? 6 : 5);
  cg_tensor *begun = cg_rnn_forward(b.tape, b.rnn, b.x, NULL).h;
  cg_tensor *before =
      cg_rnn_forward_from(b.tape, b.rnn, b.x, zeros, NULL).h;
  near_tensor("they begin at zero", begun, before, 0.0);
  for (int s = 0; s < (lstm ? 2 : 1); s++) {
    cg_tensor *learned = cg_params_find(b.params, names[s]);
    has_shape(learned, CG_DIMS(H));
    fill_some(learned, 46);
    cg_tensor *h = cg_rnn_forward(b.tape, b.rnn, b.x, NULL).h;
    ck_assert(fabs(cg_tensor_get(h, 0) - cg_tensor_get(before, 0)) > 1e-3);
    before = h;
  }
  cg_tensor *given = cg_rnn_forward_from(b.tape, b.rnn, b.x, zeros, NULL).h;
  near_tensor("given", given, begun, 0.0);
  tear_down(&b);
}
END_TEST

START_TEST(each_step_can_be_traced) {
  bench b = set_up(RNN(.cell = CG_CELL_LSTM, .num_layers = 2), 55);
  cg_tensor *z[2 * T], *h[2 * T], *c[2 * T];
  cg_rnn_result r =
      cg_rnn_forward_trace(b.tape, b.rnn, b.x, NULL,
                           &(cg_rnn_trace){.z = z, .h = h, .c = c});
  char path[64];
  ck_assert_str_eq(cg_scope_path(b.tape, c[T + 4], path, sizeof path),
                   "rnn/l1/t=4");
  near_tensor("h", h[T + 2], cg_select(b.tape, r.h, 0, 2), 0.0);
  near_tensor("c", c[T - 1], cg_select(b.tape, r.c_last, 0, 0), 0.0);
  has_shape(z[3], CG_DIMS(B, 4 * H));
  cg_tensor *o =
      cg_sigmoid(b.tape, cg_narrow(b.tape, z[T + 1], 1, 3 * H, H));
  near_tensor("h = o tanh(c)",
              cg_mul(b.tape, o, cg_tanh(b.tape, c[T + 1])), h[T + 1], 1e-15);
  ck_assert_int_eq(cg_retain_grad(b.tape, z[0]), CG_OK);
  ck_assert_int_eq(cg_retain_grad(b.tape, c[0]), CG_OK);
  ck_assert_int_eq(cg_backward(b.tape, cg_sum_all(b.tape, r.h)), CG_OK);
  has_shape(cg_tensor_grad(z[0]), CG_DIMS(B, 4 * H));
  ck_assert(fabs(cg_tensor_get(cg_tensor_grad(c[0]), 0)) > 1e-4);
  tear_down(&b);
}
END_TEST

START_TEST(streams_and_training_settle) {
  bench b = set_up(RNN(.cell = (cg_cell_kind)_i, .num_layers = 2), 65);
  size_t calls = 0;
  cg_mark mark = cg_tape_mark(b.tape);
  cg_rnn_state s = {0};
  for (int step = 0; step < 60; step++) {
    cg_rnn_result r = cg_rnn_forward_from(b.tape, b.rnn, b.x, s, NULL);
    ck_assert_int_eq(cg_backward(b.tape, cg_sum_all(b.tape, r.h)), CG_OK);
    s = last_of(r);
    ck_assert_int_eq(cg_rnn_state_keep(b.tape, mark, &s), CG_OK);
    if (step == 10) calls = cg_tape_get_stats(b.tape).system_allocs;
  }
  ck_assert_uint_eq(cg_tape_get_stats(b.tape).system_allocs, calls);
  tear_down(&b);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("lstm_gru");
  const int first = CG_CELL_LSTM, end = CG_CELL_COUNT;
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, parameters_are_pytorch_s, first, end);
  tcase_add_loop_test(tc, the_forget_bias_is_set, 0, 2);
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, forward_and_gradients_are_pytorch_s, 0, 8);
#endif
  tcase_add_loop_test(tc, gradients_are_those_of_finite_differences, 0, 4);
  tcase_add_loop_test(tc, steps_make_the_sequence, 0, end);
  tcase_add_loop_test(tc, windows_make_the_sequence, 0, end);
  tcase_add_loop_test(tc, batch_first_is_a_transposition, first, end);
  tcase_add_loop_test(tc, learned_and_given_states, first, end);
  tcase_add_test(tc, each_step_can_be_traced);
  tcase_add_loop_test(tc, streams_and_training_settle, 0, end);
  return run_case("lstm_gru", tc);
}
