/* test_sequence.c - tasks on sequences by one call: what they are composed of,
 * their gradients, lengths, and what they refuse. */
#include "sequence_test.h"

/* ---- what they are composed of ---- */

static void same_bits(const cg_tensor *a, const cg_tensor *b) {
  near_tensor("logits", a, b, 0.0);
}

/* With lengths, dropout and a state: all that a run can be told. */
START_TEST(many_to_many_is_composed) {
  cg_params *params = registry(CG_F64);
  cg_rng rng = cg_rng_seed(31), once = cg_rng_seed(32), twice = once;
  cg_rnn *rnn = new_rnn(
      params, RNN(.num_layers = 2, .bidirectional = true, .dropout = 0.3), 33);
  cg_linear_layer *fc = new_head(params, "fc", 2 * H, &rng);
  cg_tensor *x = some_leaf(34, CG_DIMS(T, B, I));
  cg_tensor *h0 = some_leaf(35, CG_DIMS(4, B, H));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.state = {.h = h0}, .lengths = ragged, .rng = &once};
  cg_tensor *got = cg_many_to_many(tape, rnn, fc, x, &run);
  run.rng = &twice;
  cg_tensor *h = cg_rnn_forward_with(tape, rnn, x, &run).h;
  same_bits(got, cg_linear_layer_forward(tape, fc, h));
  has_shape(got, CG_DIMS(T, B, K));
  has_shape(cg_many_to_many(tape, rnn, fc, x, NULL), CG_DIMS(T, B, K));
  fine(tape);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_leaf_free(h0);
  cg_params_free(params);
}
END_TEST

/* h_t of the last layer where each sequence ends, for each direction. */
START_TEST(many_to_one_is_composed) {
  bool both = _i % 2, batch_first = _i / 2;
  cg_params *params = registry(CG_F64);
  cg_rng rng = cg_rng_seed(41);
  cg_rnn *rnn = new_rnn(params,
                        RNN(.num_layers = 2, .cell = CG_CELL_LSTM,
                            .bidirectional = both, .batch_first = batch_first),
                        42);
  cg_linear_layer *fc = new_head(params, "fc", both ? 2 * H : H, &rng);
  cg_tensor *x = some_leaf(43, CG_DIMS(T, B, I));
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = ragged};
  cg_tensor *in = batch_first ? cg_transpose(tape, x, 0, 1) : x;
  cg_tensor *got = cg_many_to_one(tape, rnn, fc, in, &run);
  cg_tensor *h = cg_rnn_forward_with(tape, rnn, in, &run).h;
  if (batch_first) h = cg_transpose(tape, h, 0, 1);
  cg_tensor *rows[B];
  for (int b = 0; b < B; b++) {
    cg_tensor *row = cg_select(tape, h, 1, b);
    cg_tensor *last = cg_select(tape, row, 0, ragged[b] - 1);
    cg_tensor *first = cg_select(tape, row, 0, 0);
    cg_tensor *parts[2] = {cg_narrow(tape, last, 0, 0, H),
                           both ? cg_narrow(tape, first, 0, H, H) : NULL};
    rows[b] = cg_concat(tape, parts, both ? 2 : 1, 0);
  }
  cg_tensor *due =
      cg_linear_layer_forward(tape, fc, cg_stack(tape, rows, B, 0));
  fine(tape);
  has_shape(got, CG_DIMS(B, K));
  same_bits(got, due);
  cg_tape_free(tape);
  cg_leaf_free(x);
  cg_params_free(params);
}
END_TEST

/* The encoder's state as the decoder's, put together layer by layer. */
static cg_tensor *handed_over(cg_tape *tape, cg_tensor *last, int L, int D) {
  cg_tensor *layer[4];
  if (!last || D == 1) return last;
  for (int k = 0; k < L; k++) {
    cg_tensor *both[2] = {cg_select(tape, last, 0, 2 * k),
                          cg_select(tape, last, 0, 2 * k + 1)};
    layer[k] = cg_concat(tape, both, 2, 1);
  }
  return cg_stack(tape, layer, L, 0);
}

START_TEST(encode_decode_is_composed) {
  task s = new_task(&forms[_i]);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = ragged};
  cg_tensor *fed = fed_of(tape, &s);
  cg_tensor *got = cg_encode_decode(tape, &s.net, s.x, &run, fed);
  fine(tape);
  cg_rnn_config c = cg_rnn_get_config(s.encoder);
  int D = c.bidirectional ? 2 : 1;
  cg_rnn_result r = cg_rnn_forward_with(tape, s.encoder, s.x, &run);
  cg_rnn_state state = {.h = handed_over(tape, r.h_last, c.num_layers, D),
                        .c = handed_over(tape, r.c_last, c.num_layers, D)};
  cg_tensor *numbers =
      s.net.embedding ? cg_embedding_layer_forward(tape, s.net.embedding, fed)
                      : cg_one_hot(tape, fed, K, CG_F64);
  cg_tensor *h =
      cg_rnn_forward_from(tape, s.net.decoder, numbers, state, NULL).h;
  has_shape(got, CG_DIMS(U, B, K));
  same_bits(got, cg_linear_layer_forward(tape, s.net.fc, h));
  if (!s.net.embedding)
    same_bits(got, cg_encode_decode(tape, &s.net, s.x, &run, numbers));
  fine(tape);
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

START_TEST(batch_first_is_a_transposition) {
  form f = forms[1];
  task s = new_task(&f);
  f.encoder.batch_first = f.decoder.batch_first = true;
  task z = new_task(&f);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = ragged};
  cg_tensor *x = cg_transpose(tape, s.x, 0, 1), *fed = fed_of(tape, &s);
  cg_tensor *a = cg_encode_decode(tape, &s.net, s.x, &run, fed);
  cg_tensor *b = cg_encode_decode(tape, &z.net, x, &run,
                                  cg_transpose(tape, fed, 0, 1));
  same_bits(cg_transpose(tape, b, 0, 1), a);
  int64_t said[U * B], turned[B * U];
  cg_greedy_config g = {.steps = U};
  ck_assert(!cg_decode_greedy(tape, &s.net, s.x, &run, &g, said, NULL));
  ck_assert(!cg_decode_greedy(tape, &z.net, x, &run, &g, turned, NULL));
  for (int i = 0; i < U * B; i++)
    ck_assert_int_eq(said[i], turned[i % B * U + i / B]);
  cg_tape_free(tape);
  free_task(&s);
  free_task(&z);
}
END_TEST

/* ---- lengths ---- */

/* Each sequence on its own, with what follows in x made NaN. */
START_TEST(lengths_are_those_one_by_one) {
  task s = new_task(&forms[_i]);
  cg_rng rng = cg_rng_seed(51);
  cg_linear_layer *fc =
      new_head(s.params, "fc_enc", outputs(forms[_i].encoder), &rng);
  double *x = cg_leaf_data(s.x);
  for (int b = 0; b < B; b++)
    for (int64_t i = ragged[b] * B * I; i < T * B * I; i++)
      if (i / I % B == b) x[i] = NAN;
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = ragged};
  cg_tensor *all = cg_many_to_many(tape, s.encoder, fc, s.x, &run);
  cg_tensor *one = cg_many_to_one(tape, s.encoder, fc, s.x, &run);
  cg_tensor *fed = fed_of(tape, &s);
  cg_tensor *told = cg_encode_decode(tape, &s.net, s.x, &run, fed);
  for (int b = 0; b < B; b++) {
    cg_tensor *row = cg_narrow(tape, s.x, 1, b, 1);
    row = cg_narrow(tape, row, 0, 0, ragged[b]);
    cg_tensor *part = cg_narrow(tape, all, 1, b, 1);
    near_tensor("many to many", cg_narrow(tape, part, 0, 0, ragged[b]),
                cg_many_to_many(tape, s.encoder, fc, row, NULL), 1e-14);
    near_tensor("many to one", cg_narrow(tape, one, 0, b, 1),
                cg_many_to_one(tape, s.encoder, fc, row, NULL), 1e-14);
    near_tensor("decoder", cg_narrow(tape, told, 1, b, 1),
                cg_encode_decode(tape, &s.net, row, NULL,
                                 cg_narrow(tape, fed, 1, b, 1)), 1e-14);
  }
  fine(tape);
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

/* ---- gradients, from the input through a masked loss ---- */

typedef enum kind { ALL, LAST, DECODED, N_KINDS } kind;

typedef struct graded {
  const task *s;
  kind kind;
} graded;

static cg_tensor *loss_of(cg_tape *tape, cg_tensor *const *in, int n_in,
                          void *context) {
  const graded *g = context;
  const task *s = g->s;
  (void)n_in;
  static const int64_t y[U * B] = {2, 0, 6, 1, 5, 3, 4, 2, 2, 0, 1, 6};
  static const int64_t wanted[B] = {3, 4, 1};
  cg_rnn_run run = {.lengths = ragged};
  if (g->kind == LAST)
    return cg_cross_entropy_loss(
        tape, cg_many_to_one(tape, s->net.encoder, s->net.fc, in[0], &run),
        cg_borrow(tape, CG_I64, CG_DIMS(B), y), CG_REDUCE_SUM, CG_REDUCE_MEAN);
  if (g->kind == ALL) {
    cg_tensor *o =
        cg_many_to_many(tape, s->net.encoder, s->net.fc, in[0], &run);
    return cg_masked_loss(tape, cg_square(tape, o),
                          cg_unsqueeze(tape, cg_length_mask(tape, ragged, B, T),
                                       2), CG_REDUCE_MEAN);
  }
  cg_tensor *o = cg_encode_decode(tape, &s->net, in[0], &run, fed_of(tape, s));
  cg_tensor *losses =
      cg_cross_entropy(tape, o, cg_borrow(tape, CG_I64, CG_DIMS(U, B), y));
  return cg_masked_loss(tape, losses, cg_length_mask(tape, wanted, B, U),
                        CG_REDUCE_MEAN);
}

START_TEST(gradients_are_right) {
  task s = new_task(&forms[_i / N_KINDS ? 2 : 0]);
  graded g = {&s, (kind)(_i % N_KINDS)};
  int n = cg_params_count(s.params);
  cg_tensor *in[24] = {s.x};
  ck_assert_int_lt(n, 24);
  for (int i = 0; i < n; i++) in[i + 1] = cg_params_at(s.params, i);
  check_gradients(loss_of, in, n + 1, &g);
  free_task(&s);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refuses_what_does_not_fit) {
  task s = new_task(&forms[0]);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rng rng = cg_rng_seed(61);
  cg_linear_layer *wide = new_head(s.params, "wide", H + 1, &rng);
  const char *many = "many_to_many", *one = "many_to_one";
  ck_assert_ptr_null(cg_many_to_many(tape, s.encoder, wide, s.x, NULL));
  failed(tape, CG_ERR_SHAPE, many, "[7, 7] takes 7 numbers, but enc gives 6");
  ck_assert_ptr_null(cg_many_to_one(tape, s.encoder, wide, s.x, NULL));
  failed(tape, CG_ERR_SHAPE, one, "takes 7 numbers, but enc gives 6");
  ck_assert_ptr_null(cg_many_to_many(tape, NULL, wide, s.x, NULL));
  failed(tape, CG_ERR_ARG, many, "no net");
  ck_assert_ptr_null(cg_many_to_one(tape, s.encoder, NULL, s.x, NULL));
  failed(tape, CG_ERR_ARG, one, "no linear layer");
  ck_assert_ptr_null(cg_many_to_one(tape, s.encoder, s.net.fc, NULL, NULL));
  failed(tape, CG_ERR_ARG, "rnn", "no input");
  cg_rnn_run run = {.lengths = (const int64_t[]){2, 6, 1}};
  ck_assert_ptr_null(cg_many_to_one(tape, s.encoder, s.net.fc, s.x, &run));
  failed(tape, CG_ERR_ARG, "rnn", "sequence 1 of enc is 6");
  ck_assert_ptr_null(cg_many_to_one(NULL, s.encoder, s.net.fc, s.x, NULL));
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

START_TEST(refuses_nets_that_are_no_pair) {
  const struct {
    cg_rnn_config encoder, decoder;
    cg_status status;
    const char *part;
  } bad[] = {
      {RNN(.num_layers = 2), RNN(.num_layers = 1), CG_ERR_SHAPE,
       "enc ends in a state h of 2 x 6 (layers, all directions), but dec "
       "begins in one of 1 x 6"},
      {RNN(.bidirectional = true), RNN(.num_layers = 1), CG_ERR_SHAPE,
       "enc ends in a state h of 1 x 12"},
      {RNN(.cell = CG_CELL_LSTM, .proj_size = 5),
       {.cell = CG_CELL_LSTM, .input_size = I, .hidden_size = H + 1,
        .proj_size = 5},
       CG_ERR_SHAPE, "state c of 1 x 6"},
      {RNN(.cell = CG_CELL_LSTM), RNN(.cell = CG_CELL_GRU), CG_ERR_ARG,
       "a state of 2 parts, but dec"},
      {RNN(.num_layers = 1), RNN(.bidirectional = true), CG_ERR_ARG,
       "dec is bidirectional"},
  };
  cg_tape *tape = cg_tape_new(NULL);
  int64_t said[U * B];
  for (int i = 0; i < N_OF(bad); i++) {
    task s = new_task(&(form){bad[i].encoder, bad[i].decoder, false});
    cg_tensor *fed = fed_of(tape, &s);
    ck_assert_ptr_null(cg_encode_decode(tape, &s.net, s.x, NULL, fed));
    failed(tape, bad[i].status, "encode_decode", bad[i].part);
    cg_greedy_config g = {.steps = U};
    ck_assert_int_eq(
        cg_decode_greedy(tape, &s.net, s.x, NULL, &g, said, NULL),
        bad[i].status);
    failed(tape, bad[i].status, "decode_greedy", bad[i].part);
    cg_tape_reset(tape);
    free_task(&s);
  }
  cg_tape_free(tape);
}
END_TEST

START_TEST(refuses_bad_decoder_inputs) {
  task s = new_task(&forms[1]);
  const char *fn = "encode_decode";
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *fed = fed_of(tape, &s);
  cg_encoder_decoder pair = s.net;
  ck_assert_ptr_null(cg_encode_decode(tape, NULL, s.x, NULL, fed));
  failed(tape, CG_ERR_ARG, fn, "no net");
  pair.encoder = NULL;
  ck_assert_ptr_null(cg_encode_decode(tape, &pair, s.x, NULL, fed));
  failed(tape, CG_ERR_ARG, fn, "no encoder");
  pair = s.net;
  pair.fc = NULL;
  ck_assert_ptr_null(cg_encode_decode(tape, &pair, s.x, NULL, fed));
  failed(tape, CG_ERR_ARG, fn, "no linear layer");
  ck_assert_ptr_null(cg_encode_decode(tape, &s.net, NULL, NULL, fed));
  failed(tape, CG_ERR_ARG, fn, "no input of enc");
  ck_assert_ptr_null(cg_encode_decode(tape, &s.net, s.x, NULL, NULL));
  failed(tape, CG_ERR_ARG, fn, "no input of dec");
  cg_tensor *few = cg_narrow(tape, fed, 1, 0, 2);
  ck_assert_ptr_null(cg_encode_decode(tape, &s.net, s.x, NULL, few));
  failed(tape, CG_ERR_SHAPE, fn, "enc reads [5, 3, 4] and dec reads [4, 2]");
  cg_tensor *numbers = cg_full(tape, CG_F64, CG_DIMS(U, B, 3), 0.7);
  ck_assert_ptr_null(cg_encode_decode(tape, &s.net, s.x, NULL, numbers));
  failed(tape, CG_ERR_SHAPE, fn, "dec cannot read [4, 3, 3]");
  cg_rng rng = cg_rng_seed(71);
  pair.fc = s.net.fc;
  pair.embedding = cg_embedding_layer_new(
      s.params, "narrow",
      &(cg_embedding_config){.num_embeddings = K, .embedding_dim = 2}, &rng,
      NULL);
  ck_assert_ptr_null(cg_encode_decode(tape, &pair, s.x, NULL, fed));
  failed(tape, CG_ERR_SHAPE, fn, "gives 2 numbers, but dec reads 3");
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("sequence");
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, many_to_many_is_composed);
  tcase_add_loop_test(tc, many_to_one_is_composed, 0, 4);
  tcase_add_loop_test(tc, encode_decode_is_composed, 0, N_OF(forms));
  tcase_add_test(tc, batch_first_is_a_transposition);
  tcase_add_loop_test(tc, lengths_are_those_one_by_one, 0, N_OF(forms));
  tcase_add_loop_test(tc, gradients_are_right, 0, 2 * N_KINDS);
  tcase_add_test(tc, refuses_what_does_not_fit);
  tcase_add_test(tc, refuses_nets_that_are_no_pair);
  tcase_add_test(tc, refuses_bad_decoder_inputs);
  return run_case("sequence", tc);
}
