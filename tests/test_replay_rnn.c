/* test_replay_rnn.c - recurrent nets whose window or step is recorded once and
 * replayed: the parameters, losses and states of recording anew, to the bit. */
#include "nn_test.h"

enum { WINDOWS = 4, SYMBOLS = 17, MOST = 40 * 40 };

/* Sizes in which products take other ways: gradients collected or not, weights
 * kept in no form, in rows, in panels. */
static const struct {
  cg_cell_kind cell;
  cg_dtype dtype;
  int layers, T, B, H;
} nets[] = {
    {CG_CELL_RNN, CG_F32, 1, 12, 1, 100}, {CG_CELL_RNN, CG_F64, 2, 5, 3, 20},
    {CG_CELL_RNN, CG_F32, 1, 3, 33, 512}, {CG_CELL_LSTM, CG_F32, 2, 6, 20, 48},
    {CG_CELL_LSTM, CG_F64, 1, 9, 1, 40},  {CG_CELL_GRU, CG_F32, 1, 6, 20, 64},
    {CG_CELL_GRU, CG_F64, 2, 7, 2, 24},
};

/* ---- training ---- */

typedef struct job {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_optimizer *adam;
  cg_tape *tape;
  int T, B;
  int64_t x[MOST], y[MOST];
} job;

static job *new_job(int i) {
  job *j = calloc(1, sizeof *j);
  ck_assert_ptr_nonnull(j);
  cg_rng rng = cg_rng_seed((uint64_t)(40 + i));
  j->T = nets[i].T;
  j->B = nets[i].B;
  j->params = registry(nets[i].dtype);
  j->rnn = cg_rnn_new(j->params, "rnn",
                      &(cg_rnn_config){.cell = nets[i].cell,
                                       .input_size = SYMBOLS,
                                       .hidden_size = nets[i].H,
                                       .num_layers = nets[i].layers},
                      &rng, NULL);
  j->fc = cg_linear_layer_new(j->params, "fc",
                              &(cg_linear_config){.in_features = nets[i].H,
                                                  .out_features = SYMBOLS},
                              &rng, NULL);
  j->adam = cg_adam_new(j->params, &(cg_adam_config){.lr = 0.01}, NULL);
  j->tape = cg_tape_new(NULL);
  ck_assert(j->rnn && j->fc && j->adam && j->tape);
  return j;
}

static void free_job(job *j) {
  cg_tape_free(j->tape);
  cg_optimizer_free(j->adam);
  cg_params_free(j->params);
  free(j);
}

static void next_window(job *j, int k) {
  ck_assert_int_le(j->T * j->B, MOST);
  cg_rng rng = cg_rng_seed((uint64_t)(1000 + k));
  for (int i = 0; i < j->T * j->B; i++) {
    j->x[i] = cg_rng_below(&rng, SYMBOLS);
    j->y[i] = cg_rng_below(&rng, SYMBOLS);
  }
}

/* Inputs as dense one-hot vectors, made on the tape from borrowed symbols. */
static cg_tensor *record_loss(job *j) {
  cg_tape *t = j->tape;
  cg_tensor *x = cg_borrow(t, CG_I64, CG_DIMS(j->T, j->B), j->x);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(j->T, j->B), j->y);
  x = cg_one_hot(t, x, SYMBOLS, cg_params_dtype(j->params));
  cg_tensor *h = cg_rnn_forward(t, j->rnn, x, NULL).h;
  return cg_cross_entropy_loss(t, cg_linear_layer_forward(t, j->fc, h), y,
                               CG_REDUCE_MEAN, CG_REDUCE_MEAN);
}

static void update(job *j, cg_tensor *loss) {
  fine(j->tape);
  cg_params_zero_grad(j->params);
  ck_assert_int_eq(cg_backward(j->tape, loss), CG_OK);
  ck_assert_int_eq(cg_optimizer_step(j->adam, NULL), CG_OK);
}

START_TEST(trains_as_if_recorded_anew) {
  job *anew = new_job(_i), *again = new_job(_i);
  cg_tensor *replayed = NULL;
  for (int k = 0; k < WINDOWS; k++) {
    next_window(anew, k);
    next_window(again, k);
    cg_tape_reset(anew->tape);
    cg_tensor *loss = record_loss(anew);
    if (k)
      ck_assert_int_eq(cg_tape_replay(again->tape), CG_OK);
    else
      replayed = record_loss(again);
    ck_assert_double_eq(cg_tensor_item(replayed), cg_tensor_item(loss));
    update(anew, loss);
    update(again, replayed);
  }
  for (int i = 0; i < cg_params_count(anew->params); i++) {
    const cg_tensor *a = cg_params_at(anew->params, i);
    ck_assert_mem_eq(cg_tensor_data(a),
                     cg_tensor_data(cg_params_at(again->params, i)),
                     (size_t)cg_tensor_numel(a) *
                         cg_dtype_size(cg_tensor_dtype(a)));
  }
  free_job(anew);
  free_job(again);
}
END_TEST

/* ---- one symbol after the other ---- */

/* What a step reads and leaves: the caller's memory. */
typedef struct stream {
  job *net;
  double x[SYMBOLS], h[2 * 512], c[2 * 512];
  cg_rnn_state next;
  cg_tensor *p;
} stream;

static void record_step(stream *s, cg_dtype dtype, int64_t parts, int64_t H,
                        bool lstm) {
  cg_tape *t = s->net->tape;
  cg_rnn_state state = {
      .h = cg_borrow(t, dtype, CG_DIMS(parts, 1, H), s->h),
      .c = lstm ? cg_borrow(t, dtype, CG_DIMS(parts, 1, H), s->c) : NULL};
  cg_tensor *x = cg_borrow(t, dtype, CG_DIMS(1, SYMBOLS), s->x);
  s->next = cg_rnn_step_from(t, s->net->rnn, x, state);
  cg_tensor *h = cg_select(t, s->next.h, 0, -1);
  s->p = cg_softmax(t, cg_linear_layer_forward(t, s->net->fc, h), -1);
  fine(t);
}

static void carry(stream *s, size_t bytes) {
  memcpy(s->h, cg_tensor_data(s->next.h), bytes);
  if (s->next.c) memcpy(s->c, cg_tensor_data(s->next.c), bytes);
}

static void set_symbol(void *x, cg_dtype dtype, int symbol) {
  memset(x, 0, SYMBOLS * sizeof(double));
  if (dtype == CG_F32)
    ((float *)x)[symbol] = 1;
  else
    ((double *)x)[symbol] = 1;
}

START_TEST(streams_as_if_recorded_anew) {
  const cg_dtype dtype = nets[_i].dtype;
  const size_t size = cg_dtype_size(dtype);
  const size_t bytes = (size_t)(nets[_i].layers * nets[_i].H) * size;
  stream *s = calloc(1, sizeof *s);
  ck_assert_ptr_nonnull(s);
  s->net = new_job(_i);
  cg_tape *anew = cg_tape_new(NULL);
  cg_rnn_state state = {0};
  for (int k = 0; k < 3 * WINDOWS; k++) {
    cg_mark start = cg_tape_mark(anew);
    set_symbol(s->x, dtype, (5 * k + 3) % SYMBOLS);
    if (k)
      ck_assert_int_eq(cg_tape_replay(s->net->tape), CG_OK);
    else
      record_step(s, dtype, nets[_i].layers, nets[_i].H,
                  nets[_i].cell == CG_CELL_LSTM);
    carry(s, bytes);
    cg_tensor *x = cg_borrow(anew, dtype, CG_DIMS(1, SYMBOLS), s->x);
    state = cg_rnn_step_from(anew, s->net->rnn, x, state);
    cg_tensor *h = cg_select(anew, state.h, 0, -1);
    cg_tensor *p =
        cg_softmax(anew, cg_linear_layer_forward(anew, s->net->fc, h), -1);
    fine(anew);
    ck_assert_mem_eq(cg_tensor_data(p), cg_tensor_data(s->p), SYMBOLS * size);
    if (k) cg_rnn_state_keep(anew, start, &state);
  }
  cg_tape_free(anew);
  free_job(s->net);
  free(s);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("replay_rnn");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, trains_as_if_recorded_anew, 0, N_OF(nets));
  tcase_add_loop_test(tc, streams_as_if_recorded_anew, 0, N_OF(nets));
  return run_case("replay_rnn", tc);
}
