/* test_bptt_study.c - the statements of the derivation that plain loops can
 * tell: each fails if the statement is broken. */
#include "engine_test.h"

#define fill fill_net /* its own generator of numbers */
#include "bptt_net.h"

#include <chronograd/nn.h>

#undef I
#undef F

static cg_bptt_result batch(const net *n) { return run(cg_bptt_batch, &n->p); }

/* ---- 1. delta_o = p - y ---- */

static const double logits[] = {0.731, -1.217, 2.385, 0.0625, -0.417};

START_TEST(softmax_jacobian_is_that_of_the_tape) {
  double J[25];
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *o = leaf_of(logits, CG_DIMS(5)), *want;
  cg_jacobian(tape, cg_softmax(tape, o, 0), o, &want, 0);
  ck_assert_int_eq(cg_bptt_softmax_jacobian(logits, 5, J, NULL), CG_OK);
  fine(tape);
  near_all(want, J, 25, 1e-15);
  for (int j = 0; j < 5; j++) { /* sum_k p_k = 1 whatever o_j does */
    double sum = 0.0;
    for (int k = 0; k < 5; k++) sum += J[k * 5 + j];
    near(sum, 0.0, 1e-16);
  }
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

START_TEST(delta_o_is_p_minus_y) {
  net n;
  net_init(&n, 7, 3, CG_ACT_TANH);
  cg_bptt_result r = batch(&n);
  for (int64_t i = 0; i < 21; i++) {
    double chain[5], p[5], sum = 0.0;
    const double *o = r.o + i * 5;
    ck_assert_int_eq(cg_bptt_delta_o_by_chain(o, 5, n.y[i], chain, NULL),
                     CG_OK);
    for (int k = 0; k < 5; k++) sum += exp(o[k]);
    for (int k = 0; k < 5; k++) p[k] = exp(o[k]) / sum - (k == n.y[i]);
    near_n("p - y", chain, p, 5, 1.0, 1e-15);
    near_n("delta_o", r.delta_o + i * 5, chain, 5, 1.0, 1e-15);
  }
  cg_bptt_free(&r);
}
END_TEST

/* Where p_y vanishes, the long way has nothing to divide by. */
START_TEST(the_cancellation_is_needed) {
  const double far[] = {0.0, 2385.0};
  double delta_o[2], J[4];
  cg_error err = {0};
  ck_assert_int_eq(cg_bptt_delta_o_by_chain(far, 2, 0, delta_o, &err),
                   CG_ERR_NONFINITE);
  ck_assert_ptr_nonnull(strstr(err.message, "p_y is 0"));
  ck_assert_int_eq(cg_bptt_delta_o_by_chain(far, 2, 1, delta_o, &err), CG_OK);
  ck_assert_int_eq(cg_bptt_softmax_jacobian(far, 2, J, NULL), CG_OK);
  for (int i = 0; i < 4; i++) ck_assert(J[i] == 0.0);
}
END_TEST

START_TEST(local_refusals) {
  double v[4] = {0.1, 0.2}, J[4];
  cg_error err = {0};
  ck_assert_int_eq(cg_bptt_softmax_jacobian(NULL, 2, J, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_softmax_jacobian(v, 0, J, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "size is 0"));
  ck_assert_int_eq(cg_bptt_delta_o_by_chain(v, 2, 2, J, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "target is 2"));
  ck_assert_int_eq(cg_bptt_delta_o_by_chain(v, 2, -1, J, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_bptt_delta_o_by_chain(v, 2, 0, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(
      cg_bptt_activation_jacobian(CG_ACT_COUNT, v, 2, J, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "no activation"));
  ck_assert_int_eq(cg_bptt_activation_jacobian(CG_ACT_TANH, v, -3, J, &err),
                   CG_ERR_ARG);
  ck_assert(isnan(cg_activation_prime(CG_ACT_COUNT, 0.5)));
}
END_TEST

/* ---- 2. the recursion ---- */

/* The mean of the sequences' gradients is the gradient of the batch's mean
 * loss; the sum over steps is T times the mean over steps, and nothing else. */
START_TEST(means_of_batches_and_steps) {
  net all, one;
  double mean[FIELDS][MAX_N] = {{0}};
  field f[FIELDS];
  net_init(&all, 7, 3, (cg_activation)_i);
  all.p.over_batch = CG_REDUCE_MEAN;
  cg_bptt_result summed = batch(&all);
  all.p.over_steps = CG_REDUCE_MEAN;
  cg_bptt_result averaged = batch(&all);
  for (int64_t b = 0; b < 3; b++) {
    net_pick(&one, &all, b);
    cg_bptt_result r = run(cg_bptt_sequence, &one.p);
    fields_of(f, &r, &one.p);
    for (int i = PER_STEP; i < FIELDS - 1; i++)
      for (int64_t j = 0; j < f[i].n; j++) mean[i][j] += f[i].v[j] / 3;
    cg_bptt_free(&r);
  }
  fields_of(f, &summed, &all.p);
  for (int i = PER_STEP; i < FIELDS - 1; i++)
    near_n(f[i].name, f[i].v, mean[i], f[i].n, 1.0, 1e-14);
  near_result(&summed, &averaged, &all.p, 7.0, 1e-14);
  cg_bptt_free(&summed);
  cg_bptt_free(&averaged);
}
END_TEST

/* delta_h_T has nothing but its own loss: delta_z_{T+1} = 0. */
static void last_delta_h_is_local(bptt_fn f, const net *n) {
  cg_bptt_result r = run(f, &n->p);
  const int64_t H = n->p.H, K = n->p.K, B = n->p.B;
  const double *delta_o_T = r.delta_o + (n->p.T - 1) * B * K;
  const double *delta_h_T = r.delta_h + (n->p.T - 1) * B * H;
  for (int64_t b = 0; b < B; b++)
    for (int64_t i = 0; i < H; i++) {
      double want = 0.0;
      for (int64_t k = 0; k < K; k++)
        want += n->W_hy[k * H + i] * delta_o_T[b * K + k];
      near(delta_h_T[b * H + i], want, 1e-15);
    }
  cg_bptt_free(&r);
}

START_TEST(the_recursion_begins_with_nothing) {
  net n;
  net_init(&n, 7, 3, (cg_activation)_i);
  last_delta_h_is_local(cg_bptt_batch, &n);
  net_init(&n, 7, 1, (cg_activation)_i);
  last_delta_h_is_local(cg_bptt_batch, &n);
  last_delta_h_is_local(cg_bptt_sequence, &n);
}
END_TEST

/* ---- 3. the activation's Jacobian is diagonal ---- */

START_TEST(activation_jacobian_is_diagonal) {
  const cg_activation phi = (cg_activation)_i;
  const double z[] = {0.617, -1.173, 2.239, -0.081};
  const double v[] = {1.37, -0.29, 0.83, 2.11};
  double J[16], h[4];
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = leaf_of(z, CG_DIMS(4)), *want;
  cg_tensor *y = cg_activate(tape, phi, phi == CG_ACT_IDENTITY
                                            ? cg_mul_scalar(tape, x, 1.0)
                                            : x);
  cg_jacobian(tape, y, x, &want, 0);
  fine(tape);
  for (int i = 0; i < 4; i++) h[i] = cg_tensor_get(y, i);
  ck_assert_int_eq(cg_bptt_activation_jacobian(phi, h, 4, J, NULL), CG_OK);
  near_all(want, J, 16, 1e-15);
  for (int j = 0; j < 4; j++) { /* (dh/dz)^T v = phi'(z) * v, to the last bit */
    double product = 0.0;
    for (int i = 0; i < 4; i++) product += J[i * 4 + j] * v[i];
    ck_assert(product == cg_activation_prime(phi, h[j]) * v[j]);
  }
  cg_tape_free(tape);
  cg_leaf_free(x);
}
END_TEST

START_TEST(tanh_prime_comes_from_the_state) {
  for (double z = -3.117; z < 3; z += 0.371) {
    const double h = tanh(z);
    ck_assert(cg_activation_prime(CG_ACT_TANH, h) == 1.0 - h * h);
    near(1.0 - h * h, 1.0 / (cosh(z) * cosh(z)), 1e-15);
  }
}
END_TEST

/* ---- 4. sums of outer products: the ledger ---- */

static void add_up(const double *parts, int64_t T, int64_t n,
                   const double *total, const char *name) {
  double sum[MAX_N] = {0};
  for (int64_t t = T - 1; t >= 0; t--)
    for (int64_t i = 0; i < n; i++) sum[i] += parts[t * n + i];
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(sum[i] == total[i], "%s[%d]: %.17g, not %.17g", name, (int)i,
                  sum[i], total[i]);
}

START_TEST(the_ledger_adds_up) {
  const int64_t B = _i % 2 ? 3 : 1;
  net n;
  cg_bptt_ledger l;
  net_init(&n, 7, B, (cg_activation)(_i / 2));
  n.p.over_batch = CG_REDUCE_MEAN;
  cg_bptt_result r = batch(&n);
  ck_assert_int_eq(cg_bptt_ledger_make(&n.p, &r, &l, NULL), CG_OK);
  add_up(l.dW_xh, 7, 12, r.dW_xh, "dW_xh");
  add_up(l.dW_hh, 7, 16, r.dW_hh, "dW_hh");
  add_up(l.dW_hy, 7, 20, r.dW_hy, "dW_hy");
  add_up(l.db_h, 7, 4, r.db_h, "db_h");
  add_up(l.db_y, 7, 5, r.db_y, "db_y");
  cg_bptt_ledger_free(&l);
  ck_assert_ptr_null(l.dW_hh);
  cg_bptt_ledger_free(&l);
  cg_bptt_ledger_free(NULL);
  cg_bptt_free(&r);
}
END_TEST

/* Entry by entry: the outer product of step t. */
START_TEST(ledger_entries_are_outer_products) {
  net n;
  cg_bptt_ledger l;
  net_init(&n, 7, 1, CG_ACT_SIGMOID);
  cg_bptt_result r = batch(&n);
  ck_assert_int_eq(cg_bptt_ledger_make(&n.p, &r, &l, NULL), CG_OK);
  for (int64_t t = 0; t < 7; t++) {
    const double *h_prev = t ? r.h + (t - 1) * 4 : n.h0;
    const double *dz = r.delta_z + t * 4, *d_o = r.delta_o + t * 5;
    for (int i = 0; i < 4; i++) {
      for (int j = 0; j < 4; j++)
        ck_assert(l.dW_hh[t * 16 + i * 4 + j] == dz[i] * h_prev[j]);
      for (int j = 0; j < 3; j++)
        ck_assert(l.dW_xh[t * 12 + i * 3 + j] == dz[i] * n.x[t * 3 + j]);
      for (int k = 0; k < 5; k++)
        ck_assert(l.dW_hy[t * 20 + k * 4 + i] == d_o[k] * r.h[t * 4 + i]);
      ck_assert(l.db_h[t * 4 + i] == dz[i]);
    }
  }
  cg_bptt_ledger_free(&l);
  cg_bptt_free(&r);
}
END_TEST

/* ---- 9. one step is a feedforward net ---- */

START_TEST(one_step_is_an_mlp) {
  net n;
  net_init(&n, 1, 3, (cg_activation)_i);
  n.p.h0 = NULL;
  cg_bptt_result r = batch(&n);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *W1 = leaf_of(n.W_xh, CG_DIMS(4, 3)), *b1 = leaf_of(n.b_h,
                                                                CG_DIMS(4));
  cg_tensor *W2 = leaf_of(n.W_hy, CG_DIMS(5, 4)), *b2 = leaf_of(n.b_y,
                                                                CG_DIMS(5));
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(3, 3), n.x);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(3), n.y);
  cg_tensor *h = cg_activate(tape, n.p.phi, cg_linear(tape, x, W1, b1));
  cg_tensor *o = cg_linear(tape, h, W2, b2);
  cg_tensor *loss = cg_sum_all(tape, cg_cross_entropy(tape, o, y));
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near(cg_tensor_item(loss), r.loss, 1e-15);
  near_all(cg_tensor_grad(W1), r.dW_xh, 12, 1e-14);
  near_all(cg_tensor_grad(b1), r.db_h, 4, 1e-14);
  near_all(cg_tensor_grad(W2), r.dW_hy, 20, 1e-14);
  near_all(cg_tensor_grad(b2), r.db_y, 5, 1e-14);
  for (int i = 0; i < 16; i++) ck_assert(r.dW_hh[i] == 0.0);
  cg_tape_free(tape);
  cg_leaf_free(W1);
  cg_leaf_free(b1);
  cg_leaf_free(W2);
  cg_leaf_free(b2);
  cg_bptt_free(&r);
}
END_TEST

/* Columns, z = W x, and rows, Z = X W^T: each sequence of the batch by itself.
 */
START_TEST(columns_and_rows_agree) {
  net all, one;
  net_init(&all, 7, 3, (cg_activation)_i);
  cg_bptt_result rows = batch(&all);
  for (int64_t b = 0; b < 3; b++) {
    net_pick(&one, &all, b);
    cg_bptt_result columns = run(cg_bptt_sequence, &one.p);
    for (int64_t t = 0; t < 7; t++) {
      const int64_t at = t * 3 + b;
      near_n("h", rows.h + at * 4, columns.h + t * 4, 4, 1.0, 1e-15);
      near_n("o", rows.o + at * 5, columns.o + t * 5, 5, 1.0, 1e-15);
      near_n("delta_z", rows.delta_z + at * 4, columns.delta_z + t * 4, 4, 1.0,
             1e-14);
    }
    near_n("dh_0", rows.dh_0 + b * 4, columns.dh_0, 4, 1.0, 1e-14);
    cg_bptt_free(&columns);
  }
  cg_bptt_free(&rows);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("bptt_study");
  tcase_add_test(tc, softmax_jacobian_is_that_of_the_tape);
  tcase_add_test(tc, delta_o_is_p_minus_y);
  tcase_add_test(tc, the_cancellation_is_needed);
  tcase_add_test(tc, local_refusals);
  tcase_add_loop_test(tc, means_of_batches_and_steps, 0, CG_ACT_COUNT);
  tcase_add_loop_test(tc, the_recursion_begins_with_nothing, 0, CG_ACT_COUNT);
  tcase_add_loop_test(tc, activation_jacobian_is_diagonal, 0, CG_ACT_COUNT);
  tcase_add_test(tc, tanh_prime_comes_from_the_state);
  tcase_add_loop_test(tc, the_ledger_adds_up, 0, CG_ACT_COUNT * 2);
  tcase_add_test(tc, ledger_entries_are_outer_products);
  tcase_add_loop_test(tc, one_step_is_an_mlp, 0, CG_ACT_COUNT);
  tcase_add_loop_test(tc, columns_and_rows_agree, 0, CG_ACT_COUNT);
  return run_case("bptt_study", tc);
}
