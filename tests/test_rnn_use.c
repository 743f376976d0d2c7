/* test_rnn_use.c - the recurrent net in use: states, single steps, memory,
 * scopes, and what it refuses. */
#include "rnn_test.h"

/* ---- states and steps ---- */

START_TEST(steps_make_the_sequence) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2), 15);
  cg_tensor *x = some_leaf(16, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_result r = cg_rnn_forward(tape, rnn, x, NULL);
  cg_tensor *h = NULL;
  for (int t = 0; t < T; t++) {
    h = cg_rnn_step(tape, rnn, cg_select(tape, x, 0, t), h);
    near_tensor("h_t", cg_select(tape, h, 0, -1), cg_select(tape, r.h, 0, t),
                1e-15);
  }
  fine(tape);
  near_tensor("h_last", h, r.h_last, 1e-15);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

START_TEST(windows_make_the_sequence) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2), 25);
  cg_tensor *x = some_leaf(26, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *whole = cg_rnn_forward(tape, rnn, x, NULL).h_last;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *h = NULL;
  for (int t = 0; t < T; t += 2) {
    int length = t + 2 <= T ? 2 : T - t;
    h = cg_rnn_forward(tape, rnn, cg_narrow(tape, x, 0, t, length), h).h_last;
    ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, &h, 1), CG_OK);
  }
  near_tensor("h_last", h, whole, 1e-15);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

START_TEST(batch_first_is_a_transposition) {
  cg_params *params = registry(CG_F64), *other = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 1), 35);
  cg_rnn *batch_first = new_rnn(other, RNN(.batch_first = true), 35);
  cg_tensor *x = some_leaf(36, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_result a = cg_rnn_forward(tape, rnn, x, NULL);
  cg_rnn_result b = cg_rnn_forward(tape, batch_first,
                                   cg_transpose(tape, x, 0, 1), NULL);
  has_shape(b.h, CG_DIMS(B, T, H));
  near_tensor("h", cg_transpose(tape, b.h, 0, 1), a.h, 1e-15);
  near_tensor("h_last", b.h_last, a.h_last, 1e-15);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
  cg_params_free(other);
}
END_TEST

START_TEST(learned_and_given_states) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.learned_h0 = true, .no_bias = true), 45);
  ck_assert_int_eq(cg_params_count(params), 3);
  cg_tensor *learned = cg_params_find(params, "rnn.h0_l0");
  has_shape(learned, CG_DIMS(H));
  near(cg_tensor_get(learned, 3), 0.0, 0.0);
  fill_some(learned, 46);
  cg_tensor *x = some_leaf(47, CG_DIMS(T, 1, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *same = cg_reshape(tape, learned, CG_DIMS(1, 1, H));
  cg_tensor *zero = cg_full(tape, CG_F64, CG_DIMS(1, 1, H), 0.0);
  cg_tensor *a = cg_rnn_forward(tape, rnn, x, NULL).h;
  cg_tensor *b = cg_rnn_forward(tape, rnn, x, same).h;
  cg_tensor *c = cg_rnn_forward(tape, rnn, x, zero).h;
  near_tensor("h", a, b, 1e-15);
  ck_assert(fabs(cg_tensor_get(a, 0) - cg_tensor_get(c, 0)) > 1e-3);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

START_TEST(sampling_does_not_grow) {
  cg_params *params = registry(CG_F32);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2), 55);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tape_set_recording(tape, false);
  cg_tensor *h = NULL;
  cg_mark mark = cg_tape_mark(tape);
  size_t held = 0;
  for (int step = 0; step < 3000; step++) {
    cg_tensor *x = cg_full(tape, CG_F32, CG_DIMS(B, I), 0.01 * step);
    h = cg_rnn_step(tape, rnn, x, h);
    ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, &h, 1), CG_OK);
    if (step == 100) held = cg_tape_get_stats(tape).bytes_held;
  }
  ck_assert(isfinite(cg_tensor_get(h, 0)));
  ck_assert_uint_eq(cg_tape_get_stats(tape).bytes_held, held);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(training_settles_without_allocations) {
  net n = new_net(CG_ACT_TANH);
  cg_tape *tape = cg_tape_new(NULL);
  size_t calls = 0;
  for (int step = 0; step < 50; step++) {
    cg_tape_reset(tape);
    cg_tensor *h = cg_rnn_forward(tape, n.rnn, n.x, n.h0).h;
    ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, h)), CG_OK);
    if (step == 10) calls = cg_tape_get_stats(tape).system_allocs;
  }
  ck_assert_uint_eq(cg_tape_get_stats(tape).system_allocs, calls);
  cg_tape_free(tape);
  free_net(&n);
}
END_TEST

START_TEST(scopes_name_the_steps) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 2), 65);
  cg_tensor *x = some_leaf(66, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *z[2 * T], *h[2 * T];
  char path[64];
  cg_rnn_result r = cg_rnn_forward_trace(tape, rnn, x, NULL,
                                         &(cg_rnn_trace){.z = z, .h = h});
  ck_assert_str_eq(cg_scope_path(tape, z[3], path, sizeof path),
                   "rnn/l0/t=3");
  ck_assert_str_eq(cg_scope_path(tape, h[T + 4], path, sizeof path),
                   "rnn/l1/t=4");
  ck_assert_str_eq(cg_scope_path(tape, r.h_last, path, sizeof path), "rnn");
  ck_assert_str_eq(cg_scope_path(tape, NULL, path, sizeof path), "");
  ck_assert_str_eq(cg_tensor_op_name(h[0]), "tanh");
  near_tensor("h", cg_select(tape, r.h, 0, 2), h[T + 2], 0.0);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* Without a look at z, few nodes do all that a step takes, in another order
 * where the batch is large. */
static void look_at_z(cg_rnn_config config, cg_dtype dtype, int64_t rows) {
  const double tolerance = dtype == CG_F32 ? 2e-5 : 1e-13;
  cg_params *params = registry(dtype), *other = registry(dtype);
  cg_rnn *plain = new_rnn(params, config, 67);
  cg_rnn *looked_at = new_rnn(other, config, 67);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rng rng = cg_rng_seed(68);
  cg_tensor *x = cg_rand_normal(tape, &rng, dtype, CG_DIMS(T, rows, I));
  cg_tensor *z[4 * T], *h[4 * T], *seen[4 * T];
  cg_rnn_result a = cg_rnn_forward_trace(tape, plain, x, NULL,
                                         &(cg_rnn_trace){.h = h});
  size_t nodes = cg_tape_get_stats(tape).nodes;
  cg_rnn_result b = cg_rnn_forward_trace(tape, looked_at, x, NULL,
                                         &(cg_rnn_trace){.z = z, .h = seen});
  fine(tape);
  ck_assert_str_eq(cg_tensor_op_name(z[T + 1]), "addmm");
  if (config.nonlinearity != CG_ACT_IDENTITY)
    ck_assert_uint_gt(cg_tape_get_stats(tape).nodes - nodes, nodes);
  near_tensor("h", b.h, a.h, tolerance);
  near_tensor("h_last", b.h_last, a.h_last, tolerance);
  cg_backward(tape, cg_mean_all(tape, cg_square(tape, a.h)));
  cg_backward(tape, cg_mean_all(tape, cg_square(tape, b.h)));
  fine(tape);
  for (int i = 0; i < cg_params_count(params); i++)
    near_tensor(cg_params_name(params, i),
                cg_tensor_grad(cg_params_at(other, i)),
                cg_tensor_grad(cg_params_at(params, i)), tolerance);
  cg_tape_free(tape);
  cg_params_free(params);
  cg_params_free(other);
}

START_TEST(a_look_at_z_changes_nothing) {
  const bool lstm = _i >= CG_ACT_COUNT;
  const cg_rnn_config c =
      RNN(.cell = lstm ? CG_CELL_LSTM : CG_CELL_RNN,
          .nonlinearity = lstm ? CG_ACT_TANH : (cg_activation)_i,
          .num_layers = 2, .bidirectional = true,
          .proj_size = _i > CG_ACT_COUNT ? 2 : 0);
  for (int k = 0; k < 4; k++)
    look_at_z(c, k % 2 ? CG_F32 : CG_F64, k < 2 ? B : 70);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refuses_bad_configurations) {
  cg_params *params = registry(CG_F64);
  const struct {
    cg_rnn_config config;
    const char *part;
  } bad[] = {{{.hidden_size = H}, "input_size"},
             {{.input_size = I}, "hidden_size"},
             {RNN(.num_layers = -1), "num_layers"},
             {RNN(.nonlinearity = CG_ACT_COUNT), "nonlinearity"},
             {RNN(.nonlinearity = (cg_activation)-1), "nonlinearity"}};
  for (int i = 0; i < N_OF(bad); i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_rnn_new(params, "rnn", &bad[i].config, NULL, &err));
    has_error(&err, CG_ERR_ARG, bad[i].part);
  }
  cg_error err = {0};
  ck_assert_ptr_null(cg_rnn_new(params, "rnn", NULL, NULL, &err));
  has_error(&err, CG_ERR_ARG, "configuration");
  cg_rnn_config huge = {.input_size = I, .hidden_size = INT64_MAX / 2};
  ck_assert_ptr_null(cg_rnn_new(params, "rnn", &huge, NULL, &err));
  has_error(&err, CG_ERR_SHAPE, "too many elements");
  ck_assert_int_eq(cg_params_count(params), 0);
  cg_params_free(params);
}
END_TEST

START_TEST(refuses_bad_inputs) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 1), 75);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, B, I), 0.7);
  cg_tensor *wide = cg_full(tape, CG_F64, CG_DIMS(T, B, I + 1), 0.7);
  cg_tensor *flat = cg_full(tape, CG_F64, CG_DIMS(B, I), 0.7);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, B, I), 0.7);
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(1, B + 1, H), 0.7);
  cg_tensor *single = cg_full(tape, CG_F32, CG_DIMS(T, B, I), 0.7);
  const struct {
    cg_tensor *x, *h;
    const char *part;
  } bad[] = {{wide, NULL, "[5, 3, 5]"},
             {flat, NULL, "[3, 4]"},
             {none, NULL, "0 steps"},
             {x, h, "[1, 4, 6]"}};
  for (int i = 0; i < N_OF(bad); i++) {
    cg_rnn_result r = cg_rnn_forward(tape, rnn, bad[i].x, bad[i].h);
    ck_assert(!r.h && !r.h_last);
    failed(tape, CG_ERR_SHAPE, "rnn", bad[i].part);
  }
  ck_assert_ptr_null(cg_rnn_step(tape, rnn, x, NULL));
  failed(tape, CG_ERR_SHAPE, "rnn", "rank 2");
  ck_assert_ptr_null(cg_rnn_step(tape, rnn, flat, h));
  failed(tape, CG_ERR_SHAPE, "rnn", "[1, 4, 6]");
  ck_assert_ptr_null(cg_rnn_forward(tape, NULL, x, NULL).h);
  failed(tape, CG_ERR_ARG, "rnn", "no net");
  ck_assert_ptr_null(cg_rnn_forward(tape, rnn, NULL, NULL).h);
  failed(tape, CG_ERR_ARG, "rnn", "no input");
  ck_assert_ptr_null(cg_rnn_forward(NULL, rnn, x, NULL).h);
  ck_assert_ptr_null(cg_rnn_forward(tape, rnn, single, NULL).h);
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_DTYPE);
  ck_assert_str_eq(cg_tape_error(tape)->scope, "rnn/l0");
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(an_empty_batch_is_fine) {
  cg_params *params = registry(CG_F64);
  cg_rnn *rnn = new_rnn(params, RNN(.num_layers = 1), 85);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(T, 0, I), 0.7);
  cg_rnn_result r = cg_rnn_forward(tape, rnn, x, NULL);
  fine(tape);
  has_shape(r.h, CG_DIMS(T, 0, H));
  has_shape(r.h_last, CG_DIMS(1, 0, H));
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, r.h)), CG_OK);
  near(cg_tensor_get(cg_tensor_grad(cg_params_at(params, 1)), 5), 0.0, 0.0);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(every_failing_allocation_is_an_error) {
  net n = new_net(CG_ACT_TANH);
  bool ok = false;
  size_t fails = 0;
  while (!ok) {
    counter c;
    counter_init(&c);
    c.fail_at = ++fails;
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_rnn_result r = cg_rnn_forward(tape, n.rnn, n.x, n.h0);
    ok = r.h != NULL;
    ck_assert_int_eq(cg_tape_status(tape), ok     ? CG_OK
                                           : tape ? CG_ERR_NOMEM
                                                  : CG_ERR_ARG);
    ck_assert(!r.h == !r.h_last);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert_uint_ge(fails, 4);
  free_net(&n);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_use");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, steps_make_the_sequence);
  tcase_add_test(tc, windows_make_the_sequence);
  tcase_add_test(tc, batch_first_is_a_transposition);
  tcase_add_test(tc, learned_and_given_states);
  tcase_add_test(tc, sampling_does_not_grow);
  tcase_add_test(tc, training_settles_without_allocations);
  tcase_add_test(tc, scopes_name_the_steps);
  tcase_add_loop_test(tc, a_look_at_z_changes_nothing, 0,
                      CG_ACT_COUNT + 2);
  tcase_add_test(tc, refuses_bad_configurations);
  tcase_add_test(tc, refuses_bad_inputs);
  tcase_add_test(tc, an_empty_batch_is_fine);
  tcase_add_test(tc, every_failing_allocation_is_an_error);
  return run_case("rnn_use", tc);
}
