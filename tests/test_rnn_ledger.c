/* test_rnn_ledger.c - statements 4 and 5 from the tape: the ledger of a
 * gradient, and paths. */
#include "bptt_twin.h"

static int64_t only = -1; /* the step whose loss counts; -1: all */

static cg_tensor *step_loss(cg_tape *tape, cg_tensor *h_t, int64_t t,
                            void *context) {
  const twin *w = context;
  const cg_bptt_problem *p = &w->n.p;
  if (only >= 0 && t != only) return NULL;
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
  for (only = 0; only < 7; only++) {
    cg_rnn_ledger l = ledger_of(&w);
    const double *part = part_of(&w, &l, "rnn.weight_hh_l0");
    for (int64_t k = 1; k <= 7; k++) {
      memset(C, 0, sizeof C);
      if (k <= only + 1)
        cg_bptt_path(&w.n.p, &w.r, CG_BPTT_W_HH, only + 1, k, C, NULL);
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

START_TEST(ledgers_refused) {
  twin w;
  cg_rnn_ledger l;
  twin_init(&w, 3, 3, CG_ACT_TANH);
  cg_tape *tape = w.tape;
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
  TCase *tc = tcase_create("rnn_ledger");
  tcase_add_loop_test(tc, ledgers_agree, 0, CG_ACT_COUNT);
  tcase_add_test(tc, paths_from_the_tape);
  tcase_add_loop_test(tc, ledgers_of_any_cell, 0, CG_CELL_COUNT + 1);
  tcase_add_test(tc, ledgers_refused);
  tcase_add_test(tc, ledger_memory_runs_out);
  return run_case("rnn_ledger", tc);
}
