/* test_sequence_loss.c - the loss of a whole sequence by one call: against its
 * parts, at lengths where it is taken in one and in several stretches; the
 * memory that the walk back needs; and what it refuses. */
#include "rnn_test.h"

enum { LONG = 1100, MANY = 4 }; /* three stretches, the last one short */

typedef struct shape {
  cg_rnn_config rnn;
  int64_t T, B;
  bool generator;
} shape;

#define NET(...) {.input_size = I, .hidden_size = H, __VA_ARGS__}

static const shape shapes[] = {
    {NET(.num_layers = 1), LONG, MANY, false},
    {NET(.cell = CG_CELL_LSTM, .num_layers = 2), LONG, MANY, false},
    {NET(.cell = CG_CELL_GRU, .batch_first = true, .learned_h0 = true), LONG,
     MANY, false},
    {NET(.bidirectional = true), LONG, MANY, false},
    {NET(.zoneout = 0.2), LONG, MANY, true},
    {NET(.num_layers = 1), 2, 5000, false},
    {NET(.num_layers = 1), 3, 5000, false},
    {NET(.num_layers = 2), T, B, false},
};

typedef struct work {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *x, *h0;
  int64_t *y, shape[2];
} work;

static work new_work(const shape *s) {
  work w = {.params = registry(CG_F64)};
  cg_rng rng = cg_rng_seed(17);
  bool turned = s->rnn.batch_first;
  int directions = s->rnn.bidirectional ? 2 : 1;
  int layers = s->rnn.num_layers ? s->rnn.num_layers : 1;
  w.rnn = new_rnn(w.params, s->rnn, 18);
  w.fc = cg_linear_layer_new(
      w.params, "fc",
      &(cg_linear_config){.in_features = H * directions, .out_features = K},
      &rng, NULL);
  w.shape[turned] = s->T;
  w.shape[!turned] = s->B;
  w.x = some_leaf(19, CG_DIMS(w.shape[0], w.shape[1], I));
  w.h0 = some_leaf(20, CG_DIMS(layers * directions, s->B, H));
  w.y = malloc((size_t)(s->T * s->B) * sizeof *w.y);
  ck_assert_ptr_nonnull(w.y);
  for (int64_t i = 0; i < s->T * s->B; i++) w.y[i] = cg_rng_below(&rng, K);
  return w;
}

static void free_work(work *w) {
  free(w->y);
  cg_leaf_free(w->x);
  cg_leaf_free(w->h0);
  cg_params_free(w->params);
}

/* The loss in one call or by its parts, and the state after it. */
static cg_tensor *loss_of(cg_tape *tape, const work *w, bool parts,
                          const cg_rnn_run *run, int over, cg_rnn_state *last) {
  cg_reduction steps = over & 1 ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  cg_reduction batch = over & 2 ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  cg_tensor *y = cg_borrow(tape, CG_I64, 2, w->shape, w->y);
  if (!parts)
    return cg_many_to_many_loss(tape, w->rnn, w->fc, w->x, run, y, steps,
                                batch, last);
  cg_rnn_result r = cg_rnn_forward_with(tape, w->rnn, w->x, run);
  *last = (cg_rnn_state){r.h_last, r.c_last};
  bool turned = cg_rnn_get_config(w->rnn).batch_first;
  return cg_cross_entropy_loss(tape, cg_linear_layer_forward(tape, w->fc, r.h),
                               y, turned ? batch : steps,
                               turned ? steps : batch);
}

/* The gradients of the loss and of something of the last state by all leaves;
 * returns how many. */
static int derive(cg_tape *tape, const work *w, cg_tensor *loss,
                  cg_rnn_state last, cg_tensor **g) {
  cg_tensor *in[40];
  int n = cg_params_count(w->params);
  ck_assert_int_lt(n, 38);
  for (int i = 0; i < n; i++) in[i] = cg_params_at(w->params, i);
  in[n++] = w->x;
  if (cg_rnn_get_config(w->rnn).cell == CG_CELL_RNN) in[n++] = w->h0;
  cg_tensor *h = cg_sum_all(tape, cg_square(tape, last.h));
  cg_tensor *sum = cg_add(tape, loss, h);
  if (last.c) sum = cg_add(tape, sum, cg_mean_all(tape, last.c));
  ck_assert_msg(!cg_grad(tape, &sum, 1, NULL, in, n, g, 0), "%s",
                cg_tape_error(tape)->message);
  return n;
}

START_TEST(is_the_loss_of_its_parts) {
  const shape *s = &shapes[_i / 4];
  work w = new_work(s);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *loss[2], *g[2][40];
  cg_rnn_state last[2];
  int n = 0;
  for (int parts = 0; parts < 2; parts++) {
    cg_rng rng = cg_rng_seed(3);
    cg_rnn_run run = {.rng = s->generator ? &rng : NULL};
    if (s->rnn.cell == CG_CELL_RNN) run.state.h = w.h0;
    loss[parts] = loss_of(tape, &w, parts, &run, _i % 4, &last[parts]);
    n = derive(tape, &w, loss[parts], last[parts], g[parts]);
    ck_assert_int_eq(run.first_step, 0);
  }
  fine(tape);
  near(cg_tensor_item(loss[0]), cg_tensor_item(loss[1]), 1e-13);
  near_tensor("h", last[0].h, last[1].h, 1e-12);
  ck_assert((last[0].c == NULL) == (last[1].c == NULL));
  if (last[0].c) near_tensor("c", last[0].c, last[1].c, 1e-12);
  for (int i = 0; i < n; i++) near_tensor("gradient", g[0][i], g[1][i], 1e-12);
  cg_tape_free(tape);
  free_work(&w);
}
END_TEST

/* Gradients of a stretch make room for those of the next. */
START_TEST(stretches_need_less_memory) {
  const shape s = {NET(.num_layers = 1), 4000, 16, false};
  work w = new_work(&s);
  size_t kept[2], walked[2];
  for (int parts = 0; parts < 2; parts++) {
    cg_tape *tape = cg_tape_new(NULL);
    cg_rnn_state last;
    cg_rnn_run run = {.state = {0}};
    cg_tensor *loss = loss_of(tape, &w, parts, &run, 0, &last);
    kept[parts] = cg_tape_get_stats(tape).bytes_held;
    ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
    walked[parts] = cg_tape_get_stats(tape).bytes_held - kept[parts];
    cg_tape_free(tape);
  }
  ck_assert_uint_lt(6 * walked[0], walked[1]);
  free_work(&w);
}
END_TEST

/* The scopes of a window count from where it begins. */
START_TEST(steps_are_numbered_from_the_first) {
  work w = new_work(&shapes[7]);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *h[2 * T];
  char path[64];
  cg_rnn_trace trace = {.h = h};
  cg_rnn_run run = {.trace = &trace, .first_step = 40};
  cg_rnn_forward_with(tape, w.rnn, w.x, &run);
  fine(tape);
  ck_assert_str_eq(cg_scope_path(tape, h[T + 2], path, sizeof path),
                   "rnn/l1/t=42");
  const int64_t bad[] = {-1, INT64_MAX - T + 1, INT64_MAX};
  for (int k = 0; k < N_OF(bad); k++) {
    run.first_step = bad[k];
    ck_assert_ptr_null(cg_rnn_forward_with(tape, w.rnn, w.x, &run).h);
    failed(tape, CG_ERR_ARG, "rnn", "numbered from");
  }
  cg_tensor *y = cg_borrow(tape, CG_I64, 2, w.shape, w.y);
  run.trace = NULL;
  ck_assert_ptr_null(cg_many_to_many_loss(tape, w.rnn, w.fc, w.x, &run, y,
                                          CG_REDUCE_SUM, CG_REDUCE_SUM, NULL));
  failed(tape, CG_ERR_ARG, "rnn", "numbered from");
  cg_tape_free(tape);
  free_work(&w);
}
END_TEST

static void refuse(cg_tape *tape, const work *w, cg_tensor *x, cg_tensor *y,
                   int steps, const cg_rnn_run *run) {
  cg_rnn_state last = {.h = w->x, .c = w->x};
  ck_assert_ptr_null(cg_many_to_many_loss(tape, w->rnn, w->fc, x, run, y,
                                          (cg_reduction)steps, CG_REDUCE_MEAN,
                                          &last));
  ck_assert_ptr_null(last.h);
  ck_assert_ptr_null(last.c);
}

START_TEST(refuses_what_does_not_fit) {
  work w = new_work(&shapes[7]);
  const char *fn = "many_to_many_loss";
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run ragged = {.lengths = (const int64_t[]){1, 2, 3}};
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(T, B), w.y);
  cg_tensor *turned = cg_borrow(tape, CG_I64, CG_DIMS(B, T), w.y);
  cg_tensor *flat = cg_borrow(tape, CG_I64, CG_DIMS(T * B), w.y);
  cg_tensor *real = cg_full(tape, CG_F64, CG_DIMS(T, B), 1);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, B, I), 1);
  refuse(tape, &w, w.x, turned, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_SHAPE, fn, "[3, 5] do not fit the input [5, 3, 4]");
  refuse(tape, &w, w.x, flat, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_SHAPE, fn, "[15]");
  refuse(tape, &w, w.x, NULL, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_ARG, fn, "NULL");
  refuse(tape, &w, w.x, real, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_DTYPE, "cross_entropy", "");
  refuse(tape, &w, w.x, y, CG_REDUCE_NONE, NULL);
  failed(tape, CG_ERR_ARG, fn, "no reduction");
  refuse(tape, &w, w.x, y, CG_REDUCE_SUM, &ragged);
  failed(tape, CG_ERR_ARG, fn, "cg_masked_loss");
  refuse(tape, &w, NULL, y, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_ARG, "rnn", "no input");
  refuse(tape, &w, none, y, CG_REDUCE_SUM, NULL);
  failed(tape, CG_ERR_SHAPE, "rnn", "0 steps");
  ck_assert_ptr_null(cg_many_to_many_loss(tape, NULL, w.fc, w.x, NULL, y,
                                          CG_REDUCE_SUM, CG_REDUCE_SUM, NULL));
  failed(tape, CG_ERR_ARG, fn, "no net");
  refuse(NULL, &w, w.x, y, CG_REDUCE_SUM, NULL);
  cg_tape_free(tape);
  free_work(&w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, is_the_loss_of_its_parts, 0, 4 * N_OF(shapes));
  tcase_add_test(tc, stretches_need_less_memory);
  tcase_add_test(tc, steps_are_numbered_from_the_first);
  tcase_add_test(tc, refuses_what_does_not_fit);
  return run_case("sequence_loss", tc);
}
