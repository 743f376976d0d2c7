/* test_bptt_manual.c - the manual BPTT against scalar formulas, central
 * differences, the long form of the derivation, and itself. */
#include "bptt_net.h"

#include <stdlib.h>

/* ---- T = 2, written out ------------------------------------------------ */

/* D = H = 1, K = 2, tanh: each symbol is a number, each line one derivative
 * worked out on paper. */
static void check_two_steps(bptt_fn f) {
  const double x1 = 0.731, x2 = -1.217, h0 = 0.389, a = 0.613, w = -1.171;
  const double u0 = 0.877, u1 = -0.529, b = 0.243, c0 = -0.167, c1 = 0.359;
  const double x[] = {x1, x2}, u[] = {u0, u1}, c[] = {c0, c1};
  const int64_t y[] = {1, 0};
  const cg_bptt_problem p = {.T = 2, .B = 1, .D = 1, .H = 1, .K = 2, .x = x,
                             .y = y, .h0 = &h0, .W_xh = &a, .W_hh = &w,
                             .W_hy = u, .b_h = &b, .b_y = c};
  const double h1 = tanh(a * x1 + w * h0 + b);
  const double h2 = tanh(a * x2 + w * h1 + b);
  /* Two classes: p[0] = 1 / (1 + exp(o[1] - o[0])). */
  const double q1 = 1 / (1 + exp((u1 - u0) * h1 + c1 - c0));
  const double q2 = 1 / (1 + exp((u1 - u0) * h2 + c1 - c0));
  /* y_1 = 1: dL_1/do = (q1, -q1).  y_2 = 0: dL_2/do = (q2 - 1, 1 - q2). */
  const double dh2 = (u0 - u1) * (q2 - 1), dz2 = (1 - h2 * h2) * dh2;
  const double dh1 = (u0 - u1) * q1 + w * dz2, dz1 = (1 - h1 * h1) * dh1;
  const double loss = -log(1 - q1) - log(q2);
  const double db_y = q1 + q2 - 1, dW_hy = q1 * h1 + (q2 - 1) * h2;
  const cg_bptt_result want = {
      .loss = loss,
      .h = (double[]){h1, h2},
      .o = (double[]){u0 * h1 + c0, u1 * h1 + c1, u0 * h2 + c0, u1 * h2 + c1},
      .delta_o = (double[]){q1, -q1, q2 - 1, 1 - q2},
      .delta_h = (double[]){dh1, dh2},
      .delta_z = (double[]){dz1, dz2},
      .dW_xh = (double[]){dz1 * x1 + dz2 * x2},
      .dW_hh = (double[]){dz1 * h0 + dz2 * h1},
      .dW_hy = (double[]){dW_hy, -dW_hy},
      .db_h = (double[]){dz1 + dz2},
      .db_y = (double[]){db_y, -db_y},
      .dh_0 = (double[]){w * dz1},
  };
  cg_bptt_result got = run(f, &p);
  near_result(&got, &want, &p, 1.0, 4e-16 * 4);
  cg_bptt_free(&got);
}

START_TEST(two_steps_by_hand) {
  check_two_steps(cg_bptt_sequence);
  check_two_steps(cg_bptt_batch);
}
END_TEST

/* ---- central differences ----------------------------------------------- */

static double loss_of(bptt_fn f, const cg_bptt_problem *p) {
  cg_bptt_result r = run(f, p);
  const double loss = r.loss;
  cg_bptt_free(&r);
  return loss;
}

/* dL/dv[i] = (L(v[i] + eps) - L(v[i] - eps)) / (2 eps), for each i. */
static void check_differences(bptt_fn f, const cg_bptt_problem *p,
                              const char *name, double *v, const double *dv,
                              int64_t n) {
  const double eps = 1e-5;
  for (int64_t i = 0; i < n; i++) {
    const double at = v[i];
    v[i] = at + eps;
    const double above = loss_of(f, p);
    v[i] = at - eps;
    const double below = loss_of(f, p);
    v[i] = at;
    const double slope = (above - below) / (2 * eps);
    ck_assert_msg(fabs(dv[i] - slope) <= 2e-8 * fmax(1.0, fabs(slope)),
                  "%s[%d]: %.12g, by differences %.12g", name, (int)i, dv[i],
                  slope);
  }
}

static void check_gradients(bptt_fn f, net *n) {
  const cg_bptt_problem *p = &n->p;
  cg_bptt_result r = run(f, p);
  check_differences(f, p, "dW_xh", n->W_xh, r.dW_xh, p->H * p->D);
  check_differences(f, p, "dW_hh", n->W_hh, r.dW_hh, p->H * p->H);
  check_differences(f, p, "dW_hy", n->W_hy, r.dW_hy, p->K * p->H);
  check_differences(f, p, "db_h", n->b_h, r.db_h, p->H);
  check_differences(f, p, "db_y", n->b_y, r.db_y, p->K);
  check_differences(f, p, "dh_0", n->h0, r.dh_0, p->B * p->H);
  cg_bptt_free(&r);
}

static const int64_t lengths[] = {1, 2, 7};

/* _i counts the activations times the lengths. */
START_TEST(gradients_are_differences) {
  const cg_activation phi = (cg_activation)(_i / 3);
  net n;
  for (int reduce = 0; reduce < 4; reduce++) {
    net_init(&n, lengths[_i % 3], 1, phi);
    n.p.over_steps = (cg_reduction)(reduce & 1);
    n.p.over_batch = (cg_reduction)(reduce >> 1);
    check_gradients(cg_bptt_sequence, &n);
    check_gradients(cg_bptt_batch, &n);
    const cg_bptt_problem one = n.p;
    net_init(&n, lengths[_i % 3], 3, phi);
    n.p.over_steps = one.over_steps;
    n.p.over_batch = one.over_batch;
    check_gradients(cg_bptt_batch, &n);
  }
}
END_TEST

/* ---- one implementation against the other, sums against means ---------- */

START_TEST(sequence_equals_batch_of_one) {
  net n;
  net_init(&n, lengths[_i % 3], 1, (cg_activation)(_i / 3));
  cg_bptt_result columns = run(cg_bptt_sequence, &n.p);
  cg_bptt_result rows = run(cg_bptt_batch, &n.p);
  near_result(&columns, &rows, &n.p, 1.0, 1e-14);
  cg_bptt_free(&columns);
  cg_bptt_free(&rows);
}
END_TEST

static void add_n(double *sum, const double *v, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    sum[i] += v[i];
}

/* The gradient of a sum over the batch is the sum of the sequences' gradients;
 * what belongs to one sequence alone appears in the batch as it is. */
START_TEST(batch_is_sum_of_sequences) {
  net all, one;
  field batch[FIELDS], seq[FIELDS];
  double sums[FIELDS][MAX_N] = {{0}}, loss = 0.0;
  net_init(&all, lengths[_i % 3], 3, (cg_activation)(_i / 3));
  cg_bptt_result rb = run(cg_bptt_batch, &all.p);
  fields_of(batch, &rb, &all.p);
  for (int64_t b = 0; b < 3; b++) {
    net_pick(&one, &all, b);
    cg_bptt_result rs = run(cg_bptt_sequence, &one.p);
    fields_of(seq, &rs, &one.p);
    loss += rs.loss;
    for (int i = PER_STEP; i < FIELDS - 1; i++)
      add_n(sums[i], seq[i].v, seq[i].n);
    for (int i = 0; i < PER_STEP; i++) {
      const int64_t w = seq[i].n / one.p.T;
      for (int64_t t = 0; t < one.p.T; t++)
        near_n(seq[i].name, batch[i].v + (t * 3 + b) * w, seq[i].v + t * w, w,
               1.0, 1e-14);
    }
    near_n("dh_0", rb.dh_0 + b * one.p.H, rs.dh_0, one.p.H, 1.0, 1e-14);
    cg_bptt_free(&rs);
  }
  near_n("loss", &rb.loss, &loss, 1, 1.0, 1e-14);
  for (int i = PER_STEP; i < FIELDS - 1; i++)
    near_n(batch[i].name, batch[i].v, sums[i], batch[i].n, 1.0, 1e-14);
  cg_bptt_free(&rb);
}
END_TEST

static void check_means(bptt_fn f, net *n) {
  const double T = (double)n->p.T, B = (double)n->p.B;
  const double factors[] = {1.0, 1.0 / T, 1.0 / B, 1.0 / (T * B)};
  cg_bptt_result sum = run(f, &n->p);
  for (int reduce = 0; reduce < 4; reduce++) {
    n->p.over_steps = reduce & 1 ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
    n->p.over_batch = reduce & 2 ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
    cg_bptt_result r = run(f, &n->p);
    near_result(&r, &sum, &n->p, factors[reduce], 1e-14);
    cg_bptt_free(&r);
  }
  cg_bptt_free(&sum);
}

START_TEST(means_are_scaled_sums) {
  net n;
  net_init(&n, 7, 3, CG_ACT_TANH);
  check_means(cg_bptt_batch, &n);
  net_init(&n, 7, 1, CG_ACT_TANH);
  check_means(cg_bptt_sequence, &n);
}
END_TEST

/* ---- the derivation itself --------------------------------------------- */

/* phi' written down a second time, from z rather than from h. */
static double slope_at(cg_activation phi, double z) {
  switch (phi) {
  case CG_ACT_TANH:
    return 1.0 / (cosh(z) * cosh(z));
  case CG_ACT_RELU:
    return z > 0.0;
  case CG_ACT_SIGMOID:
    return 0.25 / (cosh(z / 2) * cosh(z / 2));
  default:
    return 1.0;
  }
}

/* phi'(z_t[i]) for B = 1, with z_t from the definition and the saved states. */
static double slope(const net *n, const cg_bptt_result *r, int64_t t,
                    int64_t i) {
  const cg_bptt_problem *p = &n->p;
  const double *h_prev = t > 0 ? r->h + (t - 1) * p->H : n->h0;
  double z = n->b_h[i];
  for (int64_t j = 0; j < p->D; j++)
    z += n->W_xh[i * p->D + j] * n->x[t * p->D + j];
  for (int64_t j = 0; j < p->H; j++)
    z += n->W_hh[i * p->H + j] * h_prev[j];
  return slope_at(p->phi, z);
}

/* (A^T v)[j], with A [rows, cols]. */
static double transposed(const double *A, const double *v, int64_t rows,
                         int64_t cols, int64_t j) {
  double sum = 0.0;
  for (int64_t i = 0; i < rows; i++)
    sum += A[i * cols + j] * v[i];
  return sum;
}

/* delta_h_t and delta_z_t as stored fulfil their two equations. */
START_TEST(deltas_fulfil_the_recursion) {
  net n;
  net_init(&n, 7, 1, (cg_activation)_i);
  const int64_t H = n.p.H, K = n.p.K, T = n.p.T;
  cg_bptt_result r = run(cg_bptt_sequence, &n.p);
  for (int64_t t = 0; t < T; t++)
    for (int64_t i = 0; i < H; i++) {
      const double *later = t + 1 < T ? r.delta_z + (t + 1) * H : NULL;
      double want = transposed(n.W_hy, r.delta_o + t * K, K, H, i);
      want += later ? transposed(n.W_hh, later, H, H, i) : 0.0;
      near_n("delta_h", r.delta_h + t * H + i, &want, 1, 1.0, 1e-14);
      want *= slope(&n, &r, t, i);
      near_n("delta_z", r.delta_z + t * H + i, &want, 1, 1.0, 1e-14);
    }
  cg_bptt_free(&r);
}
END_TEST

/* dW_hh = sum_t sum_{k<=t} [(d h_t/d h_k)^T W_hy^T delta_o_t * phi'(z_k)]
 * h_{k-1}^T: each local loss is carried back on its own, without recursion. */
START_TEST(long_form_equals_recursion) {
  net n;
  net_init(&n, 7, 1, (cg_activation)_i);
  const int64_t H = n.p.H, K = n.p.K;
  double dW_hh[MAX_N] = {0}, g[MAX_N], v[MAX_N];
  cg_bptt_result r = run(cg_bptt_sequence, &n.p);
  for (int64_t t = 0; t < n.p.T; t++) {
    for (int64_t i = 0; i < H; i++)
      g[i] = transposed(n.W_hy, r.delta_o + t * K, K, H, i);
    for (int64_t k = t; k >= 0; k--) {
      const double *h_prev = k > 0 ? r.h + (k - 1) * H : n.h0;
      for (int64_t i = 0; i < H; i++)
        v[i] = slope(&n, &r, k, i) * g[i];
      for (int64_t i = 0; i < H * H; i++)
        dW_hh[i] += v[i / H] * h_prev[i % H];
      for (int64_t i = 0; i < H; i++)
        g[i] = transposed(n.W_hh, v, H, H, i);
    }
  }
  near_n("dW_hh", r.dW_hh, dW_hh, H * H, 1.0, 1e-13);
  cg_bptt_free(&r);
}
END_TEST

START_TEST(no_h0_is_zeros) {
  net n;
  net_init(&n, 2, 3, CG_ACT_SIGMOID);
  memset(n.h0, 0, sizeof(n.h0));
  cg_bptt_result zeros = run(cg_bptt_batch, &n.p);
  n.p.h0 = NULL;
  cg_bptt_result none = run(cg_bptt_batch, &n.p);
  near_result(&none, &zeros, &n.p, 1.0, 0.0);
  cg_bptt_free(&none);
  cg_bptt_free(&zeros);
}
END_TEST

/* Logits far apart: exp of them would overflow, log of p_t would be -inf. */
START_TEST(softmax_is_stable) {
  const bptt_fn both[] = {cg_bptt_sequence, cg_bptt_batch};
  net n;
  net_init(&n, 1, 1, CG_ACT_TANH);
  memset(n.W_hy, 0, sizeof(n.W_hy));
  const double b_y[] = {-2385.0, 7411.5, 7410.25, 13.0, -9000.0};
  n.p.b_y = b_y;
  n.y[0] = 3;
  for (int i = 0; i < 2; i++) {
    cg_bptt_result r = run(both[i], &n.p);
    const double e = exp(-1.25), loss = 7398.5 + log1p(e);
    const double want[] = {0, 1 / (1 + e), e / (1 + e), -1, 0};
    near_n("loss", &r.loss, &loss, 1, 1.0, 1e-15);
    near_n("delta_o", r.delta_o, want, 5, 1.0, 1e-15);
    cg_bptt_free(&r);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("bptt_manual");
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, two_steps_by_hand);
  tcase_add_loop_test(tc, gradients_are_differences, 0, CG_ACT_COUNT * 3);
  tcase_add_loop_test(tc, sequence_equals_batch_of_one, 0, CG_ACT_COUNT * 3);
  tcase_add_loop_test(tc, batch_is_sum_of_sequences, 0, CG_ACT_COUNT * 3);
  tcase_add_test(tc, means_are_scaled_sums);
  tcase_add_loop_test(tc, deltas_fulfil_the_recursion, 0, CG_ACT_COUNT);
  tcase_add_loop_test(tc, long_form_equals_recursion, 0, CG_ACT_COUNT);
  tcase_add_test(tc, no_h0_is_zeros);
  tcase_add_test(tc, softmax_is_stable);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
