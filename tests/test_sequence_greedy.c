/* test_sequence_greedy.c - decoders on their own: what they say, their memory,
 * a task that is learned, and what is refused. */
#include "sequence_test.h"

/* ---- decoding ---- */

/* What it says, when it is told so, is what it says. */
START_TEST(greedy_agrees_with_the_teacher) {
  task s = new_task(&forms[_i]);
  enum { STEPS = 9 };
  int64_t said[STEPS * B], fed[STEPS * B], lengths[B];
  cg_tape *tape = cg_tape_new(NULL);
  cg_rnn_run run = {.lengths = ragged};
  cg_greedy_config g = {.steps = STEPS, .start = s.net.embedding ? K : 4};
  cg_tape_stats before = cg_tape_get_stats(tape);
  ck_assert(!cg_decode_greedy(tape, &s.net, s.x, &run, &g, said, lengths));
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, before.nodes);
  ck_assert(cg_tape_recording(tape));
  for (int i = 0; i < STEPS * B; i++) fed[i] = i < B ? g.start : said[i - B];
  cg_tensor *o = cg_encode_decode(
      tape, &s.net, s.x, &run,
      cg_borrow(tape, CG_I64, CG_DIMS(STEPS, B), fed));
  cg_tensor *best = cg_argmax(tape, o, 2, false);
  fine(tape);
  for (int i = 0; i < STEPS * B; i++)
    ck_assert_int_eq(said[i], (int64_t)cg_tensor_get(best, i));
  for (int b = 0; b < B; b++) ck_assert_int_eq(lengths[b], STEPS);

  int64_t cut[STEPS * B]; /* the same up to the first `end` */
  g.has_end = true;
  g.end = said[3 * B + 1];
  ck_assert(!cg_decode_greedy(tape, &s.net, s.x, &run, &g, cut, lengths));
  ck_assert_int_le(lengths[1], 3);
  for (int b = 0; b < B; b++) {
    int64_t n = 0;
    while (n < STEPS && said[n * B + b] != g.end) n++;
    ck_assert_int_eq(lengths[b], n);
    for (int64_t t = 0; t < STEPS; t++)
      ck_assert_int_eq(cut[t * B + b], t < n ? said[t * B + b] : g.end);
  }
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

START_TEST(greedy_does_not_grow) {
  task s = new_task(&forms[1]);
  enum { LONG = 20000 };
  int64_t *said = malloc((size_t)LONG * B * sizeof *said);
  size_t peak[2];
  for (int i = 0; i < 2; i++) {
    cg_tape *tape = cg_tape_new(NULL);
    cg_greedy_config g = {.steps = i ? LONG : 20};
    ck_assert(!cg_decode_greedy(tape, &s.net, s.x, NULL, &g, said, NULL));
    peak[i] = cg_tape_get_stats(tape).bytes_peak;
    cg_tape_free(tape);
  }
  ck_assert_uint_eq(peak[0], peak[1]);
  free(said);
  free_task(&s);
}
END_TEST

START_TEST(greedy_survives_failing_allocations) {
  task s = new_task(&forms[_i]);
  int64_t said[U * B], want[U * B];
  cg_greedy_config g = {.steps = U};
  cg_status status = CG_ERR_NOMEM;
  for (size_t n = 0; status; n++) {
    counter c;
    counter_init(&c);
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_tape_stats before = cg_tape_get_stats(tape);
    ck_assert(n || !cg_decode_greedy(tape, &s.net, s.x, NULL, &g, want, NULL));
    if (n) {
      c.fail_at = c.calls + n;
      status = cg_decode_greedy(tape, &s.net, s.x, NULL, &g, said, NULL);
      ck_assert_int_eq(status, cg_tape_status(tape));
      ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, before.nodes);
      ck_assert(cg_tape_recording(tape));
    }
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert(memcmp(said, want, sizeof want) == 0);
  free_task(&s);
}
END_TEST

/* ---- learning: a short sequence, in reverse ---- */

enum { LONGEST = 4, SYMBOLS = 4, END = SYMBOLS, ROWS = 32, WIDTH = 32,
       STEPS = LONGEST + 1 };

typedef struct batch {
  int64_t seen[LONGEST * ROWS], lengths[ROWS];
  int64_t fed[STEPS * ROWS], wanted[STEPS * ROWS];
} batch;

/* 1 to 4 of 4 symbols; wanted: these from the back, then END. */
static void draw(batch *b, cg_rng *rng) {
  for (int i = 0; i < ROWS; i++) {
    int64_t n = b->lengths[i] = 1 + cg_rng_below(rng, LONGEST);
    for (int64_t t = 0; t < LONGEST; t++)
      b->seen[t * ROWS + i] = cg_rng_below(rng, SYMBOLS);
    for (int64_t t = 0; t < STEPS; t++) {
      int64_t k = t < n ? b->seen[(n - 1 - t) * ROWS + i] : END;
      b->wanted[t * ROWS + i] = k;
      if (t + 1 < STEPS) b->fed[(t + 1) * ROWS + i] = k;
    }
    b->fed[i] = END; /* serves as the start too */
  }
}

static cg_tensor *seen_of(cg_tape *tape, const batch *b) {
  return cg_one_hot(tape,
                    cg_borrow(tape, CG_I64, CG_DIMS(LONGEST, ROWS), b->seen),
                    SYMBOLS, CG_F32);
}

static void learn(cg_tape *tape, const cg_encoder_decoder *pair, const batch *b,
                  cg_params *params, cg_optimizer *adam) {
  int64_t counted[ROWS];
  for (int i = 0; i < ROWS; i++) counted[i] = b->lengths[i] + 1;
  cg_rnn_run run = {.lengths = b->lengths};
  cg_tape_reset(tape);
  cg_tensor *o = cg_encode_decode(
      tape, pair, seen_of(tape, b), &run,
      cg_borrow(tape, CG_I64, CG_DIMS(STEPS, ROWS), b->fed));
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(STEPS, ROWS), b->wanted);
  cg_tensor *L = cg_masked_loss(tape, cg_cross_entropy(tape, o, y),
                                cg_length_mask(tape, counted, ROWS, STEPS),
                                CG_REDUCE_MEAN);
  cg_params_zero_grad(params);
  cg_backward(tape, L);
  fine(tape);
  ck_assert(!cg_clip_grad_norm(params, 1.0, NULL, NULL));
  ck_assert(!cg_optimizer_step(adam, NULL));
}

/* How many of ROWS new sequences it reverses without a mistake. */
static int reversed(cg_tape *tape, const cg_encoder_decoder *pair,
                    cg_rng *rng) {
  batch b;
  draw(&b, rng);
  int64_t said[STEPS * ROWS], lengths[ROWS];
  cg_tape_reset(tape);
  cg_rnn_run run = {.lengths = b.lengths};
  cg_greedy_config g = {
      .steps = STEPS, .start = END, .has_end = true, .end = END};
  ck_assert(!cg_decode_greedy(tape, pair, seen_of(tape, &b), &run, &g, said,
                              lengths));
  int right = 0;
  for (int i = 0; i < ROWS; i++) {
    bool all = lengths[i] == b.lengths[i];
    for (int t = 0; t < STEPS; t++)
      all = all && said[t * ROWS + i] == b.wanted[t * ROWS + i];
    right += all;
  }
  return right;
}

START_TEST(learns_to_reverse) {
  cg_rng rng = cg_rng_seed(2385), held_out = cg_rng_seed(91);
  cg_params *params = registry(CG_F32);
  cg_rnn_config c = {.cell = CG_CELL_GRU, .input_size = SYMBOLS,
                     .hidden_size = WIDTH};
  cg_linear_config head = {.in_features = WIDTH, .out_features = END + 1};
  cg_encoder_decoder pair = {.encoder = named_rnn(params, "enc", c, &rng)};
  c.input_size = END + 1;
  pair.decoder = named_rnn(params, "dec", c, &rng);
  pair.fc = cg_linear_layer_new(params, "fc", &head, &rng, NULL);
  cg_optimizer *adam =
      cg_adam_new(params, &(cg_adam_config){.lr = 0.01}, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  int before = 0, after = 0;
  for (int i = 0; i < 8; i++) before += reversed(tape, &pair, &held_out);
  for (int step = 0; step < 700; step++) {
    batch b;
    draw(&b, &rng);
    learn(tape, &pair, &b, params, adam);
  }
  for (int i = 0; i < 8; i++) after += reversed(tape, &pair, &held_out);
  ck_assert_int_lt(before, 8 * ROWS / 10);
  ck_assert_msg(after >= 8 * ROWS * 95 / 100, "%d of %d", after, 8 * ROWS);
  cg_optimizer_free(adam);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refuses_bad_decoding) {
  task s = new_task(&forms[0]);
  const char *fn = "decode_greedy";
  cg_tape *tape = cg_tape_new(NULL);
  int64_t said[U * B];
  const cg_greedy_config bad[] = {{.steps = 0},
                                  {.steps = U, .start = -1},
                                  {.steps = U, .start = K},
                                  {.steps = U, .has_end = true, .end = K}};
  for (int i = 0; i < N_OF(bad); i++) {
    ck_assert_int_eq(
        cg_decode_greedy(tape, &s.net, s.x, NULL, &bad[i], said, NULL),
        CG_ERR_ARG);
    failed(tape, CG_ERR_ARG, fn, "dec reads 0 to 6 and says 0 to 6");
  }
  cg_greedy_config g = {.steps = U};
  cg_decode_greedy(tape, &s.net, s.x, NULL, NULL, said, NULL);
  failed(tape, CG_ERR_ARG, fn, "no configuration");
  cg_decode_greedy(tape, &s.net, s.x, NULL, &g, NULL, NULL);
  failed(tape, CG_ERR_ARG, fn, "no place");
  cg_decode_greedy(tape, &s.net, NULL, NULL, &g, said, NULL);
  failed(tape, CG_ERR_ARG, "rnn", "no input");
  ck_assert(cg_tape_recording(tape));
  cg_tape_free(tape);
  free_task(&s);
  s = new_task(&(form){RNN(.num_layers = 1), RNN(.num_layers = 1), false});
  tape = cg_tape_new(NULL);
  cg_decode_greedy(tape, &s.net, s.x, NULL, &g, said, NULL);
  failed(tape, CG_ERR_SHAPE, fn, "gives 7 symbols, but dec reads only 4");
  cg_tape_free(tape);
  free_task(&s);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("sequence_greedy");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, greedy_agrees_with_the_teacher, 0, N_OF(forms));
  tcase_add_test(tc, greedy_does_not_grow);
  tcase_add_loop_test(tc, greedy_survives_failing_allocations, 0, N_OF(forms));
  tcase_add_test(tc, learns_to_reverse);
  tcase_add_test(tc, refuses_bad_decoding);
  return run_case("sequence_greedy", tc);
}
