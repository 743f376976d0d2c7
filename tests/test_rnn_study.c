/* test_rnn_study.c - recurrent Jacobians as products and from the tape,
 * Lyapunov exponents, and the ledger of a gradient from the tape. */
#include "engine_test.h"

#undef F
#undef I

#define fill fill_net
#define net bptt_net
#include "bptt_net.h"
#undef net

#include <chronograd/nn.h>

/* ---- a problem of bptt_net.h as a net of nn ---- */

typedef struct twin {
  bptt_net n;
  cg_bptt_result r;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  cg_tensor *x;
  cg_rnn_state first;
  int64_t only; /* the step whose loss counts, or -1 */
} twin;

static void write_to(twin *w, const char *name, const double *from) {
  cg_tensor *leaf = cg_params_find(w->params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  ck_assert_int_eq(cg_leaf_write(leaf, from, bytes), CG_OK);
}

static void twin_init(twin *w, int64_t T, int64_t B, cg_activation phi) {
  *w = (twin){.only = -1, .tape = cg_tape_new(NULL)};
  net_init(&w->n, T, B, phi);
  w->r = run(cg_bptt_batch, &w->n.p);
  w->params = cg_params_new(NULL, CG_F64, NULL);
  w->rnn = cg_rnn_new(w->params, "rnn",
                      &(cg_rnn_config){.input_size = 3, .hidden_size = 4,
                                       .nonlinearity = phi},
                      NULL, NULL);
  w->fc = cg_linear_layer_new(
      w->params, "fc", &(cg_linear_config){.in_features = 4, .out_features = 5},
      NULL, NULL);
  write_to(w, "rnn.weight_ih_l0", w->n.W_xh);
  write_to(w, "rnn.weight_hh_l0", w->n.W_hh);
  write_to(w, "rnn.bias_ih_l0", w->n.b_h);
  write_to(w, "fc.weight", w->n.W_hy);
  write_to(w, "fc.bias", w->n.b_y);
  w->x = cg_borrow(w->tape, CG_F64, CG_DIMS(T, B, 3), w->n.x);
  w->first.h = cg_borrow(w->tape, CG_F64, CG_DIMS(1, B, 4), w->n.h0);
}

static void twin_free(twin *w) {
  cg_tape_free(w->tape);
  cg_params_free(w->params);
  cg_bptt_free(&w->r);
}

/* ---- 6. recurrent Jacobians ---- */

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

/* ---- 4. and 5. from the tape: the ledger ---- */

static cg_tensor *step_loss(cg_tape *tape, cg_tensor *h_t, int64_t t,
                            void *context) {
  const twin *w = context;
  const cg_bptt_problem *p = &w->n.p;
  if (w->only >= 0 && t != w->only) return NULL;
  cg_tensor *y =
      cg_input(tape, CG_I64, CG_DIMS(p->B), p->y + t * p->B);
  cg_tensor *o = cg_linear_layer_forward(tape, w->fc, h_t);
  return cg_sum_all(tape, cg_cross_entropy(tape, o, y));
}

static cg_rnn_ledger ledger_of(twin *w) {
  cg_rnn_ledger l;
  cg_tape_stats before = cg_tape_get_stats(w->tape);
  cg_rnn_ledger_make(w->tape, w->rnn, w->params, w->x, w->first, step_loss, w,
                     &l);
  fine(w->tape);
  ck_assert_uint_eq(cg_tape_get_stats(w->tape).nodes, before.nodes);
  return l;
}

static const double *part_of(const twin *w, const cg_rnn_ledger *l,
                             const char *name) {
  for (int i = 0; i < l->count; i++)
    if (strcmp(cg_params_name(w->params, i), name) == 0) return l->part[i];
  ck_abort_msg("no %s", name);
  return NULL;
}

START_TEST(ledgers_agree) {
  twin w;
  cg_bptt_ledger hand;
  twin_init(&w, 7, 3, (cg_activation)_i);
  cg_rnn_ledger l = ledger_of(&w);
  ck_assert_int_eq(l.steps, 7);
  near(l.loss, w.r.loss, 1e-14);
  cg_bptt_ledger_make(&w.n.p, &w.r, &hand, NULL);
  near_n("W_xh", part_of(&w, &l, "rnn.weight_ih_l0"), hand.dW_xh, 7 * 12, 1.0,
         1e-14);
  near_n("W_hh", part_of(&w, &l, "rnn.weight_hh_l0"), hand.dW_hh, 7 * 16, 1.0,
         1e-14);
  near_n("W_hy", part_of(&w, &l, "fc.weight"), hand.dW_hy, 7 * 20, 1.0, 1e-14);
  near_n("b_h", part_of(&w, &l, "rnn.bias_ih_l0"), hand.db_h, 7 * 4, 1.0,
         1e-14);
  near_n("b_y", part_of(&w, &l, "fc.bias"), hand.db_y, 7 * 5, 1.0, 1e-14);
  cg_bptt_ledger_free(&hand);
  cg_rnn_ledger_free(&l);
  ck_assert_ptr_null(l.part);
  cg_rnn_ledger_free(&l);
  cg_rnn_ledger_free(NULL);
  twin_free(&w);
}
END_TEST

/* With the loss of step t alone, what step k contributes is path (k -> t). */
START_TEST(paths_from_the_tape) {
  twin w;
  double C[16];
  twin_init(&w, 7, 3, CG_ACT_TANH);
  for (w.only = 0; w.only < 7; w.only++) {
    cg_rnn_ledger l = ledger_of(&w);
    const double *part = part_of(&w, &l, "rnn.weight_hh_l0");
    for (int64_t k = 1; k <= 7; k++) {
      memset(C, 0, sizeof C);
      if (k <= w.only + 1)
        cg_bptt_path(&w.n.p, &w.r, CG_BPTT_W_HH, w.only + 1, k, C, NULL);
      near_n("path", part + (k - 1) * 16, C, 16, 1.0, 1e-14);
    }
    cg_rnn_ledger_free(&l);
  }
  twin_free(&w);
}
END_TEST

static cg_tensor *square_loss(cg_tape *tape, cg_tensor *h_t, int64_t t,
                              void *context) {
  (void)context;
  if (t % 2) return NULL;
  return cg_sum_all(tape, cg_square(tape, cg_add_scalar(tape, h_t, -0.37)));
}

/* Every cell, two layers, a learned first state, batch first: the parts add up
 * to what one walk over the whole graph computes. */
START_TEST(ledgers_of_any_cell) {
  const bool projected = _i == CG_CELL_COUNT;
  cg_params *params = cg_params_new(NULL, CG_F64, NULL);
  cg_rng rng = cg_rng_seed(37);
  cg_rnn *rnn = cg_rnn_new(
      params, "rnn",
      &(cg_rnn_config){.cell = projected ? CG_CELL_LSTM : (cg_cell_kind)_i,
                       .input_size = 2, .hidden_size = 3, .num_layers = 2,
                       .proj_size = projected ? 2 : 0, .learned_h0 = true,
                       .batch_first = true},
      &rng, NULL);
  double x[24];
  for (int i = 0; i < 24; i++) x[i] = cg_rng_normal(&rng);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *input = cg_borrow(tape, CG_F64, CG_DIMS(2, 6, 2), x);
  cg_rnn_ledger l;
  ck_assert_int_eq(cg_rnn_ledger_make(tape, rnn, params, input,
                                      (cg_rnn_state){0}, square_loss, NULL, &l),
                   CG_OK);
  cg_tensor *h = cg_rnn_forward(tape, rnn, input, NULL).h, *loss = NULL;
  for (int64_t t = 0; t < 6; t += 2) {
    cg_tensor *L_t = square_loss(tape, cg_select(tape, h, 1, t), t, NULL);
    loss = loss ? cg_add(tape, loss, L_t) : L_t;
  }
  cg_backward(tape, loss);
  fine(tape);
  near(l.loss, cg_tensor_item(loss), 1e-14);
  for (int i = 0; i < l.count; i++) {
    const cg_tensor *g = cg_tensor_grad(cg_params_at(params, i));
    int64_t n = cg_tensor_numel(g);
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t t = 5; t >= 0; t--) sum += l.part[i][t * n + j];
      near(sum, cg_tensor_get(g, j), 1e-14);
    }
  }
  cg_rnn_ledger_free(&l);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

/* ---- what is refused ---- */

static cg_tensor *bad_loss(cg_tape *tape, cg_tensor *h_t, int64_t t,
                           void *context) {
  (void)context;
  return t == 1 ? cg_reshape(tape, h_t, CG_DIMS(17)) : NULL;
}

START_TEST(rnn_study_refusals) {
  twin w;
  cg_rnn_ledger l;
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
  cg_rnn_ledger_make(tape, w.rnn, w.params, w.x, w.first, NULL, NULL, &l);
  failed(tape, CG_ERR_ARG, "rnn_ledger", "no loss");
  cg_rnn_ledger_make(tape, w.rnn, w.params, cg_select(tape, w.x, 0, 0), w.first,
                     step_loss, &w, &l);
  failed(tape, CG_ERR_SHAPE, "rnn_ledger", "rank 3");
  cg_rnn_ledger_make(tape, w.rnn, w.params, w.x, w.first, bad_loss, NULL, &l);
  ck_assert_ptr_null(l.part);
  failed(tape, CG_ERR_SHAPE, "reshape", "");
  ck_assert_int_eq(cg_rnn_ledger_make(tape, w.rnn, w.params, w.x, w.first,
                                      step_loss, &w, NULL),
                   CG_ERR_ARG);
  ck_assert(cg_tape_recording(tape));
  twin_free(&w);
}
END_TEST

/* The registry's allocator fails at each of its calls in turn. */
START_TEST(ledger_memory_runs_out) {
  counter c;
  counter_init(&c);
  cg_rng rng = cg_rng_seed(37);
  cg_params *params = cg_params_new(&c.allocator, CG_F64, NULL);
  cg_rnn *rnn = cg_rnn_new(
      params, "rnn",
      &(cg_rnn_config){.cell = CG_CELL_LSTM, .input_size = 2, .hidden_size = 3},
      &rng, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(3, 2, 2), 0.417);
  size_t live = c.live_blocks, fail_at = 1;
  for (;; fail_at++) {
    cg_rnn_ledger l;
    c.calls = 0;
    c.fail_at = fail_at;
    cg_status status = cg_rnn_ledger_make(tape, rnn, params, x,
                                          (cg_rnn_state){0}, square_loss, NULL,
                                          &l);
    cg_tape_clear_error(tape);
    cg_rnn_ledger_free(&l);
    ck_assert_uint_eq(c.live_blocks, live);
    if (status == CG_OK) break;
    ck_assert_int_eq(status, CG_ERR_NOMEM);
  }
  ck_assert_uint_ge(fail_at, 7);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_study");
  tcase_add_loop_test(tc, jacobians_are_products, 0, CG_ACT_COUNT);
  tcase_add_test(tc, linear_jacobians_are_powers);
  tcase_add_test(tc, jacobians_carry_error_signals);
  tcase_add_loop_test(tc, jacobians_of_any_cell, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, exponents_of_diagonals);
  tcase_add_test(tc, exponents_add_up_to_determinants);
  tcase_add_test(tc, exponents_in_the_long_run);
  tcase_add_test(tc, exponents_of_what_dies);
  tcase_add_test(tc, exponents_tell_vanishing_from_exploding);
  tcase_add_loop_test(tc, ledgers_agree, 0, CG_ACT_COUNT);
  tcase_add_test(tc, paths_from_the_tape);
  tcase_add_loop_test(tc, ledgers_of_any_cell, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, rnn_study_refusals);
  tcase_add_test(tc, ledger_memory_runs_out);
  return run_case("rnn_study", tc);
}
