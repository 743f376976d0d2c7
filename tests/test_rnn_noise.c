/* test_rnn_noise.c - dropout and zoneout: what they do in training, what in
 * other runs, and that the same seed does the same. */
#include "rnn_test.h"

typedef struct bench {
  cg_params *params;
  cg_rnn *rnn;
  cg_tensor *x;
  cg_tape *tape;
} bench;

static bench set_up(cg_rnn_config config) {
  bench b = {.params = registry(CG_F64), .tape = cg_tape_new(NULL)};
  b.rnn = new_rnn(b.params, config, 5);
  b.x = some_leaf(6, CG_DIMS(T, B, I));
  return b;
}

static void tear_down(bench *b) {
  cg_tape_free(b->tape);
  cg_leaf_free(b->x);
  cg_params_free(b->params);
}

static cg_rnn_result train(const bench *b, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  return cg_rnn_forward_with(b->tape, b->rnn, b->x,
                             &(cg_rnn_run){.rng = &rng});
}

static bool equal(const cg_tensor *a, const cg_tensor *b) {
  for (int64_t i = 0; i < cg_tensor_numel(a); i++)
    if (cg_tensor_get(a, i) != cg_tensor_get(b, i)) return false;
  return true;
}

static cg_rnn_config noisy(int i) {
  const cg_rnn_config kinds[] = {
      RNN(.num_layers = 2, .dropout = 0.5),
      RNN(.num_layers = 2, .dropout = 0.5, .same_dropout = true),
      RNN(.cell = CG_CELL_GRU, .state_dropout = 0.5),
      RNN(.zoneout = 0.5),
      RNN(.cell = CG_CELL_LSTM, .zoneout_c = 0.5)};
  return kinds[i];
}

START_TEST(a_seed_decides_and_without_one_nothing_drops) {
  bench noise = set_up(noisy(_i));
  cg_rnn_config still = noisy(_i);
  still.dropout = still.state_dropout = 0;
  bench plain = set_up(still);
  cg_tensor *a = train(&noise, 1).h;
  ck_assert(equal(a, train(&noise, 1).h));
  ck_assert(!equal(a, train(&noise, 2).h));
  cg_tensor *out = cg_rnn_forward(noise.tape, noise.rnn, noise.x, NULL).h;
  ck_assert(equal(out,
                  cg_rnn_forward(plain.tape, plain.rnn, plain.x, NULL).h));
  ck_assert(!equal(a, out));
  tear_down(&noise);
  tear_down(&plain);
}
END_TEST

/* A rng that moves on makes other masks in the next run. */
START_TEST(the_generator_moves_on) {
  bench b = set_up(noisy(_i));
  cg_rng rng = cg_rng_seed(1);
  const cg_rnn_run run = {.rng = &rng};
  cg_tensor *first = cg_rnn_forward_with(b.tape, b.rnn, b.x, &run).h;
  ck_assert_uint_gt(rng.counter, 0);
  ck_assert(!equal(first, cg_rnn_forward_with(b.tape, b.rnn, b.x, &run).h));
  tear_down(&b);
}
END_TEST

/* The second layer takes nothing but its input, as its W_ih is the identity and
 * its W_hh is 0, and passes it on: h shows the masks. */
START_TEST(dropout_between_layers_has_its_mask) {
  bool same = _i;
  bench b = set_up(RNN(.num_layers = 2, .dropout = 0.4, .no_bias = true,
                       .same_dropout = same,
                       .nonlinearity = CG_ACT_IDENTITY));
  cg_tensor *W_ih = cg_params_find(b.params, "rnn.weight_ih_l1");
  cg_leaf_fill(cg_params_find(b.params, "rnn.weight_hh_l1"), 0.0);
  cg_leaf_fill(W_ih, 0.0);
  for (int i = 0; i < H; i++) ((double *)cg_leaf_data(W_ih))[i * H + i] = 1;
  cg_tensor *h[2 * T];
  cg_rng rng = cg_rng_seed(7);
  cg_rnn_forward_with(b.tape, b.rnn, b.x,
                      &(cg_rnn_run){.rng = &rng,
                                    .trace = &(cg_rnn_trace){.h = h}});
  fine(b.tape);
  int dropped = 0, differs = 0;
  for (int t = 0; t < T; t++)
    for (int64_t i = 0; i < B * H; i++) {
      double below = cg_tensor_get(h[t], i), above = cg_tensor_get(h[T + t], i);
      bool zero = above == 0.0;
      if (!zero) near(above, below / 0.6, 1e-14);
      dropped += zero;
      differs += zero != (cg_tensor_get(h[T], i) == 0.0);
    }
  ck_assert_int_gt(dropped, T * B * H / 5);
  ck_assert_int_lt(dropped, T * B * H * 3 / 5);
  ck_assert(same == (differs == 0));
  tear_down(&b);
}
END_TEST

/* Without any of h, a step sees its input only. */
START_TEST(a_dropped_state_leaves_the_input) {
  cg_cell_kind kind = (cg_cell_kind)_i;
  bench none = set_up(RNN(.cell = kind, .state_dropout = 1));
  bench cut = set_up(RNN(.cell = kind));
  cg_leaf_fill(cg_params_find(cut.params, "rnn.weight_hh_l0"), 0.0);
  near_tensor("h", train(&none, 3).h,
              cg_rnn_forward(cut.tape, cut.rnn, cut.x, NULL).h, 1e-15);
  tear_down(&none);
  tear_down(&cut);
}
END_TEST

START_TEST(zoneout_keeps_what_was) {
  bench all = set_up(RNN(.zoneout = 1));
  cg_tensor *h0 = some_leaf(8, CG_DIMS(1, B, H));
  cg_rng rng = cg_rng_seed(3);
  const cg_rnn_run run = {.state.h = h0, .rng = &rng};
  near_tensor("h", cg_rnn_forward_with(all.tape, all.rnn, all.x, &run).h_last,
              h0, 0.0);
  tear_down(&all);
  /* Of a step in training each element is the old one or the new one; of
   * another step their mean, weighted. */
  bench some = set_up(RNN(.zoneout = 0.3)), plain = set_up(RNN());
  cg_tensor *x_0 = cg_narrow(some.tape, some.x, 0, 0, 1);
  cg_tensor *after = cg_rnn_step(plain.tape, plain.rnn,
                                 cg_select(plain.tape, plain.x, 0, 0), h0);
  cg_tensor *now =
      cg_rnn_forward_with(some.tape, some.rnn, x_0, &run).h_last;
  cg_tensor *mean =
      cg_rnn_step(some.tape, some.rnn, cg_select(some.tape, some.x, 0, 0), h0);
  int stay = 0;
  for (int64_t i = 0; i < B * H; i++) {
    double was = cg_tensor_get(h0, i), is = cg_tensor_get(after, i);
    double found = cg_tensor_get(now, i);
    ck_assert(found == was || fabs(found - is) < 1e-15);
    stay += found == was;
    near(cg_tensor_get(mean, i), 0.3 * was + 0.7 * is, 1e-15);
  }
  ck_assert(stay > 0 && stay < B * H * 2 / 3);
  cg_leaf_free(h0);
  tear_down(&some);
  tear_down(&plain);
}
END_TEST

/* The masks are the same each time: only then there is a derivative. */
static cg_tensor *noisy_result(cg_tape *tape, cg_tensor *const *in, int n_in,
                               void *context) {
  (void)n_in;
  cg_rng rng = cg_rng_seed(11);
  const cg_rnn_run run = {.rng = &rng, .lengths = (const int64_t[]){4, 2}};
  return cg_rnn_forward_with(tape, context, in[0], &run).h;
}

START_TEST(gradients_are_those_of_finite_differences) {
  cg_params *params = registry(CG_F64);
  cg_rnn_config config = {.cell = (cg_cell_kind)_i, .input_size = 2,
                          .hidden_size = 3, .num_layers = 2, .dropout = 0.3,
                          .same_dropout = _i == 1, .state_dropout = 0.2,
                          .zoneout = 0.25,
                          .zoneout_c = _i == CG_CELL_LSTM ? 0.25 : 0};
  cg_rnn *rnn = new_rnn(params, config, 35);
  cg_tensor *in[20] = {some_leaf(37, CG_DIMS(4, 2, 2))};
  int n = 1;
  for (; n <= cg_params_count(params); n++) in[n] = cg_params_at(params, n - 1);
  check_gradients(noisy_result, in, n, rnn);
  cg_leaf_free(in[0]);
  cg_params_free(params);
}
END_TEST

/* It would draw the same numbers again. */
START_TEST(noise_is_not_replayed) {
  bench b = set_up(noisy(_i));
  train(&b, 1);
  fine(b.tape);
  ck_assert_int_eq(cg_tape_replay(b.tape), CG_ERR_STATE);
  failed(b.tape, CG_ERR_STATE, "tape_replay", "dropout");
  cg_tape_reset(b.tape);
  cg_rnn_forward(b.tape, b.rnn, b.x, NULL);
  ck_assert_int_eq(cg_tape_replay(b.tape), CG_OK);
  tear_down(&b);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("rnn_noise");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, a_seed_decides_and_without_one_nothing_drops, 0, 5);
  tcase_add_loop_test(tc, the_generator_moves_on, 0, 5);
  tcase_add_loop_test(tc, dropout_between_layers_has_its_mask, 0, 2);
  tcase_add_loop_test(tc, a_dropped_state_leaves_the_input, 0, 3);
  tcase_add_test(tc, zoneout_keeps_what_was);
  tcase_add_loop_test(tc, gradients_are_those_of_finite_differences, 0, 3);
  tcase_add_loop_test(tc, noise_is_not_replayed, 0, 5);
  return run_case("rnn_noise", tc);
}
