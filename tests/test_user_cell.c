/* test_user_cell.c - a cell of a user's own (mgu_cell.c) trains, stacks, steps,
 * is checked, named, drawn from a file and refused like the library's; and
 * descriptions that make no sense. */
#include <unistd.h>

#include "mgu_cell.h"
#include "rnn_test.h"

/* ---- parameters ---- */

START_TEST(parameters_have_names_shapes_and_first_values) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.custom = &mgu_cell, .num_layers = 2), 3);
  const char *const order[] = {"rnn.weight_ih_l0", "rnn.weight_hh_l0",
                               "rnn.bias_l0",      "rnn.weight_ih_l1",
                               "rnn.weight_hh_l1", "rnn.bias_l1"};
  ck_assert_int_eq(cg_params_count(params), N_OF(order));
  for (int i = 0; i < N_OF(order); i++)
    ck_assert_str_eq(cg_params_name(params, i), order[i]);
  has_shape(cg_params_at(params, 0), CG_DIMS(2 * H, I));
  has_shape(cg_params_at(params, 3), CG_DIMS(2 * H, H));
  const cg_tensor *bias = cg_params_at(params, 5);
  has_shape(bias, CG_DIMS(2 * H));
  for (int64_t j = 0; j < 2 * H; j++) {
    double b = cg_tensor_get(bias, j);
    ck_assert(j < H ? b == -1.0 : b != 0.0 && fabs(b) <= 1 / sqrt(H));
  }
  ck_assert_ptr_eq(cg_rnn_get_config(rnn).custom, &mgu_cell);
  cg_params_free(params);
}
END_TEST

START_TEST(a_net_without_biases_has_none) {
  cg_params *params = registry(CG_F64);
  new_rnn(params, RNN(.custom = &mgu_cell, .no_bias = true), 3);
  ck_assert_int_eq(cg_params_count(params), 2);
  cg_params_free(params);
}
END_TEST

/* ---- values ---- */

static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* sum_j W[row, j] v_j */
static double row_times(const cg_tensor *W, int row, const double *v, int n) {
  double sum = 0;
  for (int j = 0; j < n; j++) sum += cg_tensor_get(W, row * n + j) * v[j];
  return sum;
}

/* One step of one sequence, written out. */
static void by_hand(const cg_params *p, const double *x, double h[H]) {
  const cg_tensor *W_ih = cg_params_at(p, 0), *W_hh = cg_params_at(p, 1);
  const cg_tensor *b = cg_params_at(p, 2);
  double f[H], fh[H], n[H];
  for (int i = 0; i < H; i++)
    f[i] = sigmoid(row_times(W_ih, i, x, I) + cg_tensor_get(b, i) +
                   row_times(W_hh, i, h, H));
  for (int i = 0; i < H; i++) fh[i] = f[i] * h[i];
  for (int i = 0; i < H; i++)
    n[i] = tanh(row_times(W_ih, H + i, x, I) + cg_tensor_get(b, H + i) +
                row_times(W_hh, H + i, fh, H));
  for (int i = 0; i < H; i++) h[i] = (1 - f[i]) * h[i] + f[i] * n[i];
}

START_TEST(values_are_those_of_the_formula) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.custom = &mgu_cell), 7);
  cg_tensor *x = some_leaf(8, CG_DIMS(T, 1, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *h = cg_rnn_forward(tape, rnn, x, NULL).h, *stepped = NULL;
  double want[H] = {0};
  for (int t = 0; t < T; t++) {
    by_hand(params, (const double *)cg_tensor_data(x) + t * I, want);
    stepped = cg_rnn_step(tape, rnn, cg_select(tape, x, 0, t), stepped);
    for (int i = 0; i < H; i++) {
      near(cg_tensor_get(h, t * H + i), want[i], 1e-14);
      near(cg_tensor_get(stepped, i), want[i], 1e-14);
    }
  }
  fine(tape);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* ---- gradients ---- */

static cg_tensor *result(cg_tape *tape, cg_tensor *const *in, int n_in,
                         void *context) {
  (void)n_in;
  cg_rnn_result r = cg_rnn_forward(tape, context, in[0], NULL);
  return cg_concat(tape, (cg_tensor *[]){r.h, r.h_last}, 2, 0);
}

START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = {.custom = &mgu_cell, .input_size = 3,
                          .hidden_size = 3, .num_layers = 2,
                          .learned_h0 = true};
  cg_rnn *rnn = new_rnn(params, config, 9);
  cg_tensor *in[16] = {some_leaf(10, CG_DIMS(3, 2, 3))};
  int n = 1;
  for (; n <= cg_params_count(params); n++) in[n] = cg_params_at(params, n - 1);
  ck_assert_int_eq(n, 9);
  check_gradients(result, in, n, rnn);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

/* ---- training: which of 3 symbols was seen 2 steps ago? ---- */

enum { STEPS = 10, ROWS = 16, SYMBOLS = 3, DELAY = 2 };

static void draw_data(cg_rng *rng, int64_t *seen, int64_t *wanted) {
  for (int i = 0; i < STEPS * ROWS; i++) {
    seen[i] = cg_rng_below(rng, SYMBOLS);
    wanted[i] = i < DELAY * ROWS ? 0 : seen[i - DELAY * ROWS];
  }
}

static double train_step(cg_tape *tape, cg_params *params, const cg_rnn *rnn,
                         const cg_linear_layer *fc, cg_rng *rng) {
  int64_t seen[STEPS * ROWS], wanted[STEPS * ROWS];
  draw_data(rng, seen, wanted);
  cg_tape_reset(tape);
  cg_tensor *x =
      cg_one_hot(tape, cg_input(tape, CG_I64, CG_DIMS(STEPS, ROWS), seen),
                 SYMBOLS, CG_F32);
  cg_tensor *h = cg_rnn_forward(tape, rnn, x, NULL).h;
  cg_tensor *loss = cg_cross_entropy_loss(
      tape, cg_linear_layer_forward(tape, fc, h),
      cg_input(tape, CG_I64, CG_DIMS(STEPS, ROWS), wanted), CG_REDUCE_MEAN,
      CG_REDUCE_MEAN);
  cg_params_zero_grad(params);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  return cg_tensor_item(loss);
}

START_TEST(it_trains) {
  cg_params *params = registry(CG_F32);
  cg_rng rng = cg_rng_seed(23);
  cg_rnn *rnn = new_rnn(params,
                        (cg_rnn_config){.custom = &mgu_cell,
                                        .input_size = SYMBOLS,
                                        .hidden_size = 16}, 24);
  cg_linear_layer *fc = cg_linear_layer_new(
      params, "fc", &(cg_linear_config){.in_features = 16,
                                        .out_features = SYMBOLS}, &rng, NULL);
  cg_optimizer *adam =
      cg_adam_new(params, &(cg_adam_config){.lr = 0.02}, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  double first = 0, loss = 0;
  for (int step = 0; step < 300; step++) {
    loss = train_step(tape, params, rnn, fc, &rng);
    if (step == 0) first = loss;
    ck_assert_int_eq(cg_optimizer_step(adam, NULL), CG_OK);
  }
  ck_assert_msg(first > 0.7 && loss < 0.1, "from %g to %g", first, loss);
  cg_tape_free(tape);
  cg_optimizer_free(adam);
  cg_params_free(params);
}
END_TEST

/* ---- files ---- */

#ifdef CG_HAVE_JANSSON

START_TEST(a_file_brings_it_back) {
  char path[] = "/tmp/chronograd-cell-XXXXXX";
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
  cg_params *a = registry(CG_F64), *b = registry(CG_F64);
  cg_rnn *p = new_rnn(a, RNN(.custom = &mgu_cell, .num_layers = 2), 33);
  cg_rnn *q = new_rnn(b, RNN(.custom = &mgu_cell, .num_layers = 2), 34);
  ck_assert_int_eq(cg_params_save(a, path, NULL, 0, NULL), CG_OK);
  ck_assert_int_eq(cg_params_load(b, path, 0, NULL), CG_OK);
  unlink(path);
  cg_tensor *x = some_leaf(35, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  near_tensor("h", cg_rnn_forward(tape, q, x, NULL).h,
              cg_rnn_forward(tape, p, x, NULL).h, 0.0);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(a);
  cg_params_free(b);
}
END_TEST

#endif

/* ---- two states, a context, and pre-activations ---- */

/* A running sum of what comes in, and how often something came: no parameter
 * but one, which scales. */
static cg_tensor *count_step(cg_tape *tape, const cg_cell_args *a,
                             cg_tensor *x, cg_tensor **state) {
  double step = *(const double *)a->context;
  state[0] = cg_add(tape, state[0], cg_mul(tape, x, a->w[0]));
  state[1] = cg_add_scalar(tape, state[1], step);
  return a->want_z ? state[0] : NULL;
}

static const cg_cell counter_cell = {
    .name = "counter", .gates = 2, .n_states = 2, .c_size = CG_SIZE_GH,
    .params = {{.name = "scale", .rows = CG_SIZE_H, .first = CG_FIRST_ONE}},
    .step = count_step, .whole_z = true};

START_TEST(a_context_a_wide_c_and_traces) {
  const double half = 0.5;
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = {.custom = &counter_cell, .custom_context = &half,
                          .input_size = 2, .hidden_size = 2};
  cg_rnn *rnn = new_rnn(params, config, 41);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(4, B, 2), 0.7), *z[4], *c[4];
  cg_rnn_result r = cg_rnn_forward_trace(
      tape, rnn, x, NULL, &(cg_rnn_trace){.z = z, .c = c});
  fine(tape);
  has_shape(r.c_last, CG_DIMS(1, B, 4));
  near(cg_tensor_get(r.h_last, 3), 2.8, 1e-15);
  near(cg_tensor_get(c[2], 7), 1.5, 0.0);
  near(cg_tensor_get(z[1], 0), 1.4, 1e-15);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

/* ---- refusals ---- */

static cg_tensor *no_step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                          cg_tensor **state) {
  (void)tape, (void)a, (void)x;
  state[0] = NULL;
  return NULL;
}

static cg_tensor *wide_step(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                            cg_tensor **state) {
  (void)a;
  state[0] = cg_concat(tape, (cg_tensor *[]){x, state[0]}, 2, 1);
  return NULL;
}

static cg_status no_init(const cg_cell_args *a, cg_rng *rng, cg_error *err) {
  (void)a, (void)rng;
  return cg_error_set(err, CG_ERR_ARG, "no_init", "not today");
}

START_TEST(descriptions_that_make_no_sense) {
  const struct {
    cg_cell cell;
    const char *part;
  } bad[] = {
      {{.name = "a", .gates = 1, .n_states = 1}, "no name or no step"},
      {{.gates = 1, .n_states = 1, .step = no_step}, "no name or no step"},
      {{.name = "a", .gates = 1, .step = no_step}, "number of states"},
      {{.name = "a", .gates = 1, .n_states = 3, .step = no_step},
       "number of states"},
      {{.name = "a", .n_states = 1, .step = no_step}, "no gates"},
      {{.name = "a", .gates = 1, .n_states = 2, .c_size = CG_SIZE_COUNT,
        .step = no_step}, "its cell's c"},
      {{.name = "a", .gates = 1, .n_states = 1, .step = no_step,
        .params = {{.name = "W"}}}, "no rows"},
      {{.name = "a", .gates = 1, .n_states = 1, .step = no_step,
        .params = {{.name = "W", .rows = CG_SIZE_H,
                    .columns = CG_SIZE_COUNT}}}, "no columns"},
      {{.name = "a", .gates = 1, .n_states = 1, .step = no_step,
        .params = {{.name = "W", .rows = CG_SIZE_H},
                   {.name = "W", .rows = CG_SIZE_H}}}, "already"},
      {{.name = "a", .gates = 1, .n_states = 1, .step = no_step,
        .init = no_init}, "not today"}};
  cg_params *params = registry(CG_F64);
  cg_rng rng = cg_rng_seed(3);
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    cg_rnn_config config = RNN(.custom = &bad[i].cell);
    ck_assert_ptr_null(cg_rnn_new(params, "rnn", &config, &rng, &err));
    has_error(&err, CG_ERR_ARG, bad[i].part);
    ck_assert_int_eq(cg_params_count(params), 0);
  }
  cg_error err = {0};
  cg_rnn_config config = RNN(.custom = &mgu_cell,
                             .nonlinearity = CG_ACT_RELU);
  ck_assert_ptr_null(cg_rnn_new(params, "rnn", &config, &rng, &err));
  has_error(&err, CG_ERR_ARG, "no nonlinearity");
  cg_params_free(params);
}
END_TEST

START_TEST(steps_that_make_no_state) {
  const cg_cell none = {.name = "none", .gates = 1, .n_states = 1,
                        .step = no_step};
  const cg_cell wide = {.name = "wide", .gates = 1, .n_states = 1,
                        .step = wide_step};
  cg_params *a = registry(CG_F64), *b = registry(CG_F64);
  cg_rnn *nets[] = {new_rnn(a, RNN(.custom = &none), 1),
                    new_rnn(b, RNN(.custom = &wide), 1)};
  const char *const parts[] = {"the cell none of rnn made a state h of shape "
                               "none, but [3, 6]",
                               "[3, 10]"};
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7);
  for (int i = 0; i < 2; i++) {
    ck_assert_ptr_null(cg_rnn_forward(tape, nets[i], x, NULL).h);
    failed(tape, CG_ERR_SHAPE, "rnn", parts[i]);
    ck_assert_ptr_null(
        cg_rnn_step(tape, nets[i], cg_select(tape, x, 0, 0), NULL));
    failed(tape, CG_ERR_SHAPE, "rnn", parts[i]);
  }
  cg_tape_free(tape);
  cg_params_free(a);
  cg_params_free(b);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("user_cell");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, parameters_have_names_shapes_and_first_values);
  tcase_add_test(tc, a_net_without_biases_has_none);
  tcase_add_test(tc, values_are_those_of_the_formula);
  tcase_add_test(tc, gradients_are_those_of_finite_differences);
  tcase_add_test(tc, it_trains);
#ifdef CG_HAVE_JANSSON
  tcase_add_test(tc, a_file_brings_it_back);
#endif
  tcase_add_test(tc, a_context_a_wide_c_and_traces);
  tcase_add_test(tc, descriptions_that_make_no_sense);
  tcase_add_test(tc, steps_that_make_no_state);
  return run_case("user_cell", tc);
}
