/* test_rnn.c - the recurrent net's values and gradients: equal to PyTorch's, to
 * the manual BPTT's and to finite differences. test_rnn_use.c has the rest. */
#include "rnn_test.h"

/* Where results differ from others', sums were added in another order. */
#define TIGHT 1e-12

static void has_param(const cg_params *params, const char *name, int rank,
                      const int64_t *shape) {
  ck_assert_msg(cg_params_find(params, name) != NULL, "no %s", name);
  has_shape(cg_params_find(params, name), rank, shape);
}

START_TEST(parameters_are_pytorch_s) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2), 1);
  const char *const order[] = {
      "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0",
      "rnn.bias_hh_l0",   "rnn.weight_ih_l1", "rnn.weight_hh_l1",
      "rnn.bias_ih_l1",   "rnn.bias_hh_l1"};
  ck_assert_int_eq(cg_params_count(params), N_OF(order));
  for (int i = 0; i < N_OF(order); i++)
    ck_assert_str_eq(cg_params_name(params, i), order[i]);
  has_param(params, "rnn.weight_ih_l0", CG_DIMS(H, I));
  has_param(params, "rnn.weight_ih_l1", CG_DIMS(H, H));
  has_param(params, "rnn.weight_hh_l1", CG_DIMS(H, H));
  has_param(params, "rnn.bias_hh_l1", CG_DIMS(H));
  for (int i = 0; i < cg_params_count(params); i++)
    for (int64_t j = 0; j < cg_tensor_numel(cg_params_at(params, i)); j++) {
      double w = cg_tensor_get(cg_params_at(params, i), j);
      ck_assert(w != 0.0 && fabs(w) <= 1.0 / sqrt(H));
    }
  cg_rnn_config config = cg_rnn_get_config(rnn);
  ck_assert_int_eq(config.num_layers, 2);
  ck_assert_int_eq(config.hidden_size, H);
  ck_assert_int_eq(cg_rnn_get_config(NULL).hidden_size, 0);
  cg_params_free(params);
}
END_TEST

#ifdef CG_HAVE_JANSSON

static const struct {
  const char *file;
  cg_activation phi;
  int layers;
} golden_nets[] = {{"rnn_tanh_1", CG_ACT_TANH, 1},
                   {"rnn_tanh_2", CG_ACT_TANH, 2},
                   {"rnn_relu_2", CG_ACT_RELU, 2}};

static cg_tensor *golden_leaf(const cg_safetensors *golden, const char *name) {
  const cg_array *a = golden_array(golden, "", name);
  return leaf_of(a->data, a->rank, a->shape);
}

START_TEST(forward_and_gradients_are_pytorch_s) {
  int layers = golden_nets[_i].layers;
  cg_safetensors *golden = golden_open(golden_nets[_i].file);
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(
      params,
      RNN(.num_layers = layers, .nonlinearity = golden_nets[_i].phi), 1);
  cg_linear_layer *fc = cg_linear_layer_new(
      params, "fc", &(cg_linear_config){.in_features = H, .out_features = K},
      NULL, NULL);
  load_golden(params, golden);
  cg_tensor *x = golden_leaf(golden, "x"), *h0 = golden_leaf(golden, "h0");
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_result r = cg_rnn_forward(tape, rnn, x, h0);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, B),
                          golden_array(golden, "", "y")->data);
  cg_tensor *loss = cg_cross_entropy_loss(
      tape, cg_linear_layer_forward(tape, fc, r.h), y, CG_REDUCE_SUM,
      CG_REDUCE_MEAN);
  fine(tape);
  near_golden(golden, "", "h", r.h, TIGHT);
  near_golden(golden, "", "h_last", r.h_last, TIGHT);
  near_golden(golden, "", "loss", loss, TIGHT);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_golden(golden, "grad.", "x", cg_tensor_grad(x), TIGHT);
  near_golden(golden, "grad.", "h0", cg_tensor_grad(h0), TIGHT);
  for (int i = 0; i < cg_params_count(params); i++)
    near_golden(golden, "grad.", cg_params_name(params, i),
                cg_tensor_grad(cg_params_at(params, i)), TIGHT);
  if (layers == 1) { /* its h0 is zero: the default */
    cg_rnn_result zero = cg_rnn_forward(tape, rnn, x, NULL);
    near_golden(golden, "", "h", zero.h, TIGHT);
  }
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_leaf_free(h0);
  cg_params_free(params);
  cg_safetensors_close(golden);
}
END_TEST

#endif

/* ---- against the manual BPTT, with the gradients of every step ---- */

static const double *data_of(const net *n, const char *name) {
  return cg_tensor_data(cg_params_find(n->params, name));
}

/* b_h stands for b_ih + b_hh. */
static cg_bptt_result by_hand(const net *n, double b_h[H]) {
  for (int i = 0; i < H; i++)
    b_h[i] = data_of(n, "rnn.bias_ih_l0")[i] + data_of(n, "rnn.bias_hh_l0")[i];
  cg_bptt_problem p = {
      .T = T, .B = B, .D = I, .H = H, .K = K,
      .phi = cg_rnn_get_config(n->rnn).nonlinearity,
      .over_steps = CG_REDUCE_MEAN,
      .x = cg_tensor_data(n->x), .y = n->y, .h0 = cg_tensor_data(n->h0),
      .W_xh = data_of(n, "rnn.weight_ih_l0"),
      .W_hh = data_of(n, "rnn.weight_hh_l0"),
      .W_hy = data_of(n, "fc.weight"), .b_h = b_h,
      .b_y = data_of(n, "fc.bias")};
  cg_bptt_result r;
  ck_assert_int_eq(cg_bptt_batch(&p, &r, NULL), CG_OK);
  return r;
}

static void param_grad_is(const net *n, const char *name, const double *want,
                          int count) {
  near_all(cg_tensor_grad(cg_params_find(n->params, name)), want, count,
           TIGHT);
}

static void gradients_are(const net *n, const cg_bptt_result *r) {
  param_grad_is(n, "rnn.weight_ih_l0", r->dW_xh, H * I);
  param_grad_is(n, "rnn.weight_hh_l0", r->dW_hh, H * H);
  param_grad_is(n, "rnn.bias_ih_l0", r->db_h, H);
  param_grad_is(n, "rnn.bias_hh_l0", r->db_h, H);
  param_grad_is(n, "fc.weight", r->dW_hy, K * H);
  param_grad_is(n, "fc.bias", r->db_y, K);
  near_all(cg_tensor_grad(n->h0), r->dh_0, B * H, TIGHT);
}

START_TEST(every_step_is_that_of_manual_bptt) {
  net n = new_net((cg_activation)_i);
  double b_h[H];
  cg_bptt_result want = by_hand(&n, b_h);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *z[T], *h[T];
  cg_rnn_result r = cg_rnn_forward_trace(tape, n.rnn, n.x, n.h0,
                                         &(cg_rnn_trace){.z = z, .h = h});
  for (int t = 0; t < T; t++) {
    ck_assert_int_eq(cg_retain_grad(tape, z[t]), CG_OK);
    ck_assert_int_eq(cg_retain_grad(tape, h[t]), CG_OK);
  }
  cg_tensor *loss = cg_cross_entropy_loss(
      tape, cg_linear_layer_forward(tape, n.fc, r.h),
      cg_input(tape, CG_I64, CG_DIMS(T, B), n.y), CG_REDUCE_MEAN,
      CG_REDUCE_SUM);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near(cg_tensor_item(loss), want.loss, TIGHT);
  for (int t = 0; t < T; t++) {
    near_all(h[t], want.h + t * B * H, B * H, TIGHT);
    near_all(cg_tensor_grad(h[t]), want.delta_h + t * B * H, B * H, TIGHT);
    near_all(cg_tensor_grad(z[t]), want.delta_z + t * B * H, B * H, TIGHT);
  }
  gradients_are(&n, &want);
  cg_bptt_free(&want);
  cg_tape_free(tape);
  free_net(&n);
}
END_TEST

/* ---- against finite differences, first and second order ---- */

static cg_tensor *both_results(cg_tape *tape, cg_tensor *const *in, int n_in,
                               void *context) {
  (void)n_in;
  cg_rnn_result r = cg_rnn_forward(tape, context, in[0], NULL);
  return cg_add(tape, cg_sum_all(tape, cg_square(tape, r.h)),
                cg_sum_all(tape, r.h_last));
}

START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2, .learned_h0 = true,
                                    .batch_first = _i == 1), 5);
  cg_tensor *in[16] = {some_leaf(6, CG_DIMS(2, 3, I))};
  int n = 1;
  for (; n <= cg_params_count(params); n++)
    in[n] = cg_params_at(params, n - 1);
  ck_assert_int_eq(n, 11);
  fill_some(cg_params_find(params, "rnn.h0_l0"), 7);
  fill_some(cg_params_find(params, "rnn.h0_l1"), 8);
  cg_tape *tape = cg_tape_new(NULL);
  cg_gradcheck_report report;
  ck_assert_int_eq(cg_gradcheck(tape, both_results, in, n, rnn, NULL, &report),
                   CG_OK);
  ck_assert_msg(report.passed, "input %d: error %g", report.input,
                report.worst);
  ck_assert_int_gt(report.compared, 2 * H * H);
  ck_assert_int_eq(
      cg_gradgradcheck(tape, both_results, in, n, rnn, NULL, &report), CG_OK);
  ck_assert_msg(report.passed, "second order, input %d: error %g",
                report.input, report.worst);
  cg_tape_free(tape);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, parameters_are_pytorch_s);
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, forward_and_gradients_are_pytorch_s, 0,
                      N_OF(golden_nets));
#endif
  tcase_add_loop_test(tc, every_step_is_that_of_manual_bptt, 0, CG_ACT_COUNT);
  tcase_add_loop_test(tc, gradients_are_those_of_finite_differences, 0, 2);
  return run_case("rnn", tc);
}
