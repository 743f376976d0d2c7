/* test_rnn_jacobian.c - statement 6: recurrent Jacobians as products and from
 * the tape, and Lyapunov exponents. */
#include "bptt_twin.h"

/* ---- recurrent Jacobians ---- */

static void check_gap(twin *w, int64_t t, int64_t k) {
  double J[16];
  cg_tensor *x = cg_narrow(w->tape, w->x, 0, k, t - k);
  const double *h_k = k ? w->r.h + (k - 1) * 4 : w->n.h0;
  cg_rnn_state from = {
      .h = cg_input(w->tape, CG_F64, CG_DIMS(1, 1, 4), h_k)};
  cg_tensor *tape_J = cg_rnn_jacobian(w->tape, w->rnn, x, from);
  fine(w->tape);
  has_shape(tape_J, CG_DIMS(4, 4));
  ck_assert_int_eq(cg_bptt_jacobian(&w->n.p, &w->r, 0, t, k, J, NULL), CG_OK);
  near_all(tape_J, J, 16, 1e-14);
}

START_TEST(jacobians_are_products) {
  twin w;
  twin_init(&w, 7, 1, (cg_activation)_i);
  for (int64_t t = 1; t <= 7; t++)
    for (int64_t k = 0; k < t; k++) check_gap(&w, t, k);
  double J[16];
  cg_bptt_jacobian(&w.n.p, &w.r, 0, 3, 3, J, NULL);
  for (int i = 0; i < 16; i++) ck_assert(J[i] == (i % 5 == 0));
  twin_free(&w);
}
END_TEST

/* Without activation: the powers of W_hh, whatever the input. */
START_TEST(linear_jacobians_are_powers) {
  bptt_net n;
  double J[16], power[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  net_init(&n, 7, 3, CG_ACT_IDENTITY);
  cg_bptt_result r = run(cg_bptt_batch, &n.p);
  for (int64_t gap = 0; gap <= 5; gap++) {
    double next[16] = {0};
    cg_bptt_jacobian(&n.p, &r, 2, 1 + gap, 1, J, NULL);
    near_n("power", J, power, 16, 1.0, 1e-15);
    for (int i = 0; i < 64; i++)
      next[i / 16 * 4 + i % 4] +=
          n.W_hh[i / 16 * 4 + i / 4 % 4] * power[i / 4 % 4 * 4 + i % 4];
    memcpy(power, next, sizeof power);
  }
  cg_bptt_free(&r);
}
END_TEST

/* Of each sequence its own, and of both sides: the vector-Jacobian product is
 * what the recursion does to an error signal. */
START_TEST(jacobians_carry_error_signals) {
  bptt_net n;
  double J[16], want[4];
  net_init(&n, 7, 3, CG_ACT_TANH);
  cg_bptt_result r = run(cg_bptt_batch, &n.p);
  for (int64_t b = 0; b < 3; b++) {
    const int64_t at = (5 * 3 + b) * 4; /* t = 6; z_7 adds what comes back */
    cg_bptt_jacobian(&n.p, &r, b, 7, 6, J, NULL);
    for (int i = 0; i < 4; i++) {
      want[i] = 0;
      for (int k = 0; k < 5; k++)
        want[i] += n.W_hy[k * 4 + i] * r.delta_o[(5 * 3 + b) * 5 + k];
      for (int j = 0; j < 4; j++)
        want[i] += J[j * 4 + i] * r.delta_h[(6 * 3 + b) * 4 + j];
    }
    near_n("delta_h", r.delta_h + at, want, 4, 1.0, 1e-15);
  }
  cg_bptt_free(&r);
}
END_TEST

/* Any cell, several layers: against difference quotients of the state. */
START_TEST(jacobians_of_any_cell) {
  const bool projected = _i == CG_CELL_COUNT;
  const bool lstm = projected || _i == CG_CELL_LSTM;
  const int64_t R = projected ? 2 : 3, S = 2 * R + (lstm ? 6 : 0);
  cg_params *params = cg_params_new(NULL, CG_F64, NULL);
  cg_rng rng = cg_rng_seed(31);
  cg_rnn *rnn = cg_rnn_new(params, "rnn",
                           &(cg_rnn_config){.cell = lstm ? CG_CELL_LSTM
                                                         : (cg_cell_kind)_i,
                                            .input_size = 2, .hidden_size = 3,
                                            .proj_size = projected ? 2 : 0,
                                            .num_layers = 2},
                           &rng, NULL);
  double x[10], s[12], *c = s + 2 * R;
  for (int i = 0; i < 10; i++) x[i] = cg_rng_normal(&rng);
  for (int i = 0; i < 12; i++) s[i] = 0.6 * cg_rng_normal(&rng);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *input = cg_borrow(tape, CG_F64, CG_DIMS(5, 1, 2), x);
  cg_rnn_state from = {cg_input(tape, CG_F64, CG_DIMS(2, 1, R), s),
                       lstm ? cg_input(tape, CG_F64, CG_DIMS(2, 1, 3), c)
                            : NULL};
  cg_tensor *J = cg_rnn_jacobian(tape, rnn, input, from);
  fine(tape);
  has_shape(J, CG_DIMS(S, S));
  cg_mark mark = cg_tape_mark(tape);
  for (int64_t j = 0; j < S; j++) {
    double value[2][12], at = s[j];
    for (int side = 0; side < 2; side++) {
      s[j] = at + (side ? -1e-6 : 1e-6);
      cg_rnn_state q = {cg_input(tape, CG_F64, CG_DIMS(2, 1, R), s),
                        lstm ? cg_input(tape, CG_F64, CG_DIMS(2, 1, 3), c)
                             : NULL};
      cg_rnn_result r = cg_rnn_forward_from(tape, rnn, input, q, NULL);
      for (int64_t i = 0; i < S; i++)
        value[side][i] = i < 2 * R ? cg_tensor_get(r.h_last, i)
                                    : cg_tensor_get(r.c_last, i - 2 * R);
      cg_tape_rewind(tape, mark);
    }
    s[j] = at;
    for (int64_t i = 0; i < S; i++)
      near(cg_tensor_get(J, i * S + j), (value[0][i] - value[1][i]) / 2e-6,
           1e-9);
  }
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

/* ---- Lyapunov exponents ---- */

/* A matrix whose directions are kept apart: log |w_ii|. */
START_TEST(exponents_of_diagonals) {
  double J[3 * 9] = {0}, got[3];
  const double w[] = {1.31, -0.77, 0.125};
  for (int t = 0; t < 3; t++)
    for (int i = 0; i < 3; i++) J[t * 9 + i * 4] = w[i];
  ck_assert_int_eq(cg_lyapunov_exponents(J, 3, 3, got, NULL, NULL), CG_OK);
  for (int i = 0; i < 3; i++) near(got[i], log(fabs(w[i])), 1e-15);
}
END_TEST

/* The sum is the mean of log |det|; here of 2 x 2 matrices. */
START_TEST(exponents_add_up_to_determinants) {
  double J[40 * 4], got[2], logs = 0;
  uint64_t seed = 2385;
  fill_net(J, 160, 1.3, &seed);
  for (int t = 0; t < 40; t++)
    logs += log(fabs(J[4 * t] * J[4 * t + 3] - J[4 * t + 1] * J[4 * t + 2]));
  ck_assert_int_eq(cg_lyapunov_exponents(J, 40, 2, got, NULL, NULL), CG_OK);
  near(got[0] + got[1], logs / 40, 1e-13);
  ck_assert(got[0] > got[1]);
}
END_TEST

/* A rotation times r: both exponents are log r. A triangle: those of its
 * diagonal in the long run, however far above it things reach; 400 steps would
 * have under- and overflowed. */
START_TEST(exponents_in_the_long_run) {
  enum { N = 4000 };
  static double J[N * 4];
  double got[2];
  for (int t = 0; t < N; t++) {
    const double turn[] = {0.6, -0.8, 0.8, 0.6};
    for (int i = 0; i < 4; i++) J[4 * t + i] = 0.01 * turn[i];
  }
  cg_lyapunov_exponents(J, N, 2, got, NULL, NULL);
  near(got[0], log(0.01), 1e-13);
  near(got[1], log(0.01), 1e-13);
  for (int t = 0; t < N; t++)
    memcpy(J + 4 * t, (double[]){0.5, 0.0, 3.7, 2.0}, 4 * sizeof *J);
  cg_lyapunov_exponents(J, N, 2, got, NULL, NULL);
  near(got[0], log(2.0), 1e-3);
  near(got[1], log(0.5), 2e-3);
}
END_TEST

START_TEST(exponents_of_what_dies) {
  const double J[] = {1.7, 0, 0, 0};
  double got[2];
  cg_lyapunov_exponents(J, 1, 2, got, NULL, NULL);
  near(got[0], log(1.7), 1e-15);
  ck_assert(isinf(got[1]) && got[1] < 0);
}
END_TEST

/* The rate at which the gradient of a linear net grows is the spectral radius
 * of W_hh: here a triangular one, 1.25. */
START_TEST(exponents_tell_vanishing_from_exploding) {
  enum { N = 600 };
  static double J[N * 16], x[N * 3];
  static int64_t y[N];
  double got[4];
  bptt_net n;
  net_init(&n, 1, 1, CG_ACT_IDENTITY);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      n.W_hh[i * 4 + j] = i == j ? 1.25 - 0.2 * i : i > j ? 0.3 : 0.0;
  n.p.T = N;
  n.p.x = x;
  n.p.y = y;
  cg_bptt_result r = run(cg_bptt_batch, &n.p);
  for (int64_t t = 1; t <= N; t++)
    cg_bptt_jacobian(&n.p, &r, 0, t, t - 1, J + (t - 1) * 16, NULL);
  cg_lyapunov_exponents(J, N, 4, got, NULL, NULL);
  for (int i = 0; i < 4; i++) near(got[i], log(1.25 - 0.2 * i), 0.02);
  cg_bptt_free(&r);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(jacobians_refused) {
  twin w;
  double J[16];
  cg_error err = {0};
  twin_init(&w, 3, 3, CG_ACT_TANH);
  const cg_bptt_problem *p = &w.n.p;
  cg_tape *tape = w.tape;
  ck_assert_int_eq(cg_bptt_jacobian(p, &w.r, 3, 2, 1, J, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "sequence 3"));
  ck_assert_int_eq(cg_bptt_jacobian(p, &w.r, 0, 1, 2, J, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_jacobian(p, &w.r, 0, 4, 2, J, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_jacobian(p, &w.r, 0, 2, -1, J, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_jacobian(p, &w.r, 0, 2, 1, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_lyapunov_exponents(J, 0, 4, J, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_lyapunov_exponents(NULL, 1, 4, J, NULL, &err),
                   CG_ERR_ARG);
  ck_assert_int_ne(
      cg_lyapunov_exponents(J, 1, INT64_C(1) << 40, J, NULL, &err), CG_OK);
  ck_assert_ptr_null(cg_rnn_jacobian(tape, w.rnn, w.x, w.first));
  failed(tape, CG_ERR_SHAPE, "rnn_jacobian", "one sequence");
  cg_tensor *one = cg_narrow(tape, w.x, 1, 0, 1);
  ck_assert_ptr_null(cg_rnn_jacobian(tape, NULL, one, w.first));
  failed(tape, CG_ERR_ARG, "rnn_jacobian", "no net");
  ck_assert_ptr_null(cg_rnn_jacobian(tape, w.rnn, one, w.first));
  failed(tape, CG_ERR_SHAPE, "rnn", "the state h");
  ck_assert(cg_tape_recording(tape));
  twin_free(&w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_jacobian");
  tcase_add_loop_test(tc, jacobians_are_products, 0, CG_ACT_COUNT);
  tcase_add_test(tc, linear_jacobians_are_powers);
  tcase_add_test(tc, jacobians_carry_error_signals);
  tcase_add_loop_test(tc, jacobians_of_any_cell, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, exponents_of_diagonals);
  tcase_add_test(tc, exponents_add_up_to_determinants);
  tcase_add_test(tc, exponents_in_the_long_run);
  tcase_add_test(tc, exponents_of_what_dies);
  tcase_add_test(tc, exponents_tell_vanishing_from_exploding);
  tcase_add_test(tc, jacobians_refused);
  return run_case("rnn_jacobian", tc);
}
