/* test_ngram.c - the baselines of the character model: counts done by hand, and
 * what holds for every distribution; vocabularies and streams beside it. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "../demos/cli.h"
#include "../demos/ngram.h"
#include "../demos/text_stream.h"

const char *const cli_program = "test_ngram";

/* a b a c a b b, with a = 0, b = 1, c = 2. */
static const uint8_t text[] = {0, 1, 0, 2, 0, 1, 1};
enum { N = sizeof text, V = 3 };

static double p(const ngram *g, int order, ngram_smoothing s, int a, int b,
                int c) {
  return ngram_probability(g, order, s, a, b, c);
}

START_TEST(add_one_by_hand) {
  ngram *g = ngram_new(text, N, V);
  ck_assert_double_eq_tol(p(g, 1, NGRAM_ADD_ONE, 0, 0, 1), 4.0 / 10, 1e-15);
  ck_assert_double_eq_tol(p(g, 2, NGRAM_ADD_ONE, 0, 0, 1), 3.0 / 6, 1e-15);
  ck_assert_double_eq_tol(p(g, 2, NGRAM_ADD_ONE, 0, 2, 1), 1.0 / 4, 1e-15);
  ck_assert_double_eq_tol(p(g, 3, NGRAM_ADD_ONE, 0, 1, 0), 2.0 / 5, 1e-15);
  ck_assert_double_eq_tol(p(g, 3, NGRAM_ADD_ONE, 2, 2, 0), 1.0 / 3, 1e-15);
  ngram_free(g);
}
END_TEST

START_TEST(witten_bell_by_hand) {
  ngram *g = ngram_new(text, N, V);
  /* 7 symbols of 3 types; after a: b b c; after b: a b; after ab: a b. */
  double b1 = (3 + 3 / 3.0) / 10, a1 = (3 + 3 / 3.0) / 10;
  double b2 = (2 + 2 * b1) / 5, a2 = (1 + 2 * a1) / 4;
  double a3 = (1 + 2 * a2) / 4;
  ck_assert_double_eq_tol(p(g, 1, NGRAM_WITTEN_BELL, 0, 0, 1), b1, 1e-15);
  ck_assert_double_eq_tol(p(g, 2, NGRAM_WITTEN_BELL, 0, 0, 1), b2, 1e-15);
  ck_assert_double_eq_tol(p(g, 3, NGRAM_WITTEN_BELL, 0, 1, 0), a3, 1e-15);
  /* c c was never seen: what follows c decides. */
  ck_assert_double_eq(p(g, 3, NGRAM_WITTEN_BELL, 2, 2, 0),
                      p(g, 2, NGRAM_WITTEN_BELL, 2, 2, 0));
  ngram_free(g);
}
END_TEST

START_TEST(probabilities_sum_to_one) {
  ngram *g = ngram_new(text, N, V);
  for (int s = NGRAM_ADD_ONE; s <= NGRAM_WITTEN_BELL; s++)
    for (int order = 1; order <= 3; order++)
      for (int context = 0; context < V * V; context++) {
        double sum = 0;
        for (int c = 0; c < V; c++)
          sum += p(g, order, (ngram_smoothing)s, context / V, context % V, c);
        ck_assert_double_eq_tol(sum, 1, 1e-14);
      }
  ngram_free(g);
}
END_TEST

START_TEST(entropy_is_the_mean_of_log_p) {
  const uint8_t other[] = {2, 0, 1, 0};
  ngram *g = ngram_new(text, N, V);
  ngram_smoothing s = NGRAM_WITTEN_BELL;
  double want = -(log(p(g, 2, s, 0, 2, 0)) + log(p(g, 3, s, 2, 0, 1)) +
                  log(p(g, 3, s, 0, 1, 0))) /
                3;
  ck_assert_double_eq_tol(ngram_entropy(g, 3, s, other, 4), want, 1e-14);
  want = -log((4.0 / 10) * (4.0 / 10) * (4.0 / 10)) / 3;
  ck_assert_double_eq_tol(ngram_entropy(g, 1, NGRAM_ADD_ONE, other, 4), want,
                          1e-14);
  ck_assert(isnan(ngram_entropy(g, 1, s, other, 1)));
  ngram_free(g);
}
END_TEST

START_TEST(vocabulary_round_trip) {
  unsigned char set[256] = {['\n'] = 1, ['a'] = 1, [0xe4] = 1};
  vocabulary v, w;
  char digits[VOCABULARY_TEXT];
  vocabulary_from_set(&v, set);
  vocabulary_print(&v, digits);
  ck_assert_str_eq(digits, "0a61e4");
  ck_assert_int_eq(vocabulary_parse(&w, digits), 1);
  ck_assert_int_eq(w.size, 3);
  ck_assert_int_eq(w.symbol[0xe4], 2);
  ck_assert_int_eq(w.symbol['b'], -1);
}
END_TEST

START_TEST(vocabulary_refuses) {
  static const char *const bad[] = {"", "6", "6g", "6161", "6261", "0A", "616"};
  vocabulary v;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_int_eq(vocabulary_parse(&v, bad[i]), 0);
}
END_TEST

/* Each symbol but the first is predicted once, by the symbol before it. */
START_TEST(measuring_covers_a_text) {
  uint8_t at[23];
  for (int i = 0; i < 23; i++) at[i] = (uint8_t)i;
  symbols all = {at, 23};
  int seen[23] = {0};
  text_stream s;
  ck_assert(text_stream_init(&s, &all, 4, 4, 7));
  text_stream_rewind(&s);
  for (int64_t T; (T = text_stream_measure(&s)) > 0;)
    for (int64_t i = 0; i < T * 4; i++) {
      if (s.next[i] < 0) continue;
      ck_assert_int_eq(s.next[i], s.in[i] + 1);
      seen[s.next[i]]++;
    }
  for (int i = 0; i < 23; i++) ck_assert_int_eq(seen[i], i > 0);
  text_stream_free(&s);
}
END_TEST

START_TEST(training_windows_are_contiguous) {
  uint8_t at[100];
  for (int i = 0; i < 100; i++) at[i] = (uint8_t)i;
  symbols all = {at, 100};
  text_stream s;
  ck_assert(text_stream_init(&s, &all, 3, 5, 11));
  int passes = 0;
  int64_t last[3] = {0};
  for (int window = 0; window < 60; window++) {
    bool begins = text_stream_next(&s);
    passes += begins;
    ck_assert(begins == (window % 6 == 0)); /* 33 symbols a stream: 6 windows */
    for (int b = 0; b < 3; b++) {
      if (!begins) ck_assert_int_eq(s.in[b], last[b]);
      for (int t = 0; t < 5; t++)
        ck_assert_int_eq(s.next[t * 3 + b], (s.in[t * 3 + b] + 1) % 100);
      last[b] = s.next[4 * 3 + b];
    }
  }
  ck_assert_int_eq(passes, 10);
  text_stream_free(&s);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("ngram");
  TCase *tc = tcase_create("ngram");
  tcase_add_test(tc, add_one_by_hand);
  tcase_add_test(tc, witten_bell_by_hand);
  tcase_add_test(tc, probabilities_sum_to_one);
  tcase_add_test(tc, entropy_is_the_mean_of_log_p);
  tcase_add_test(tc, vocabulary_round_trip);
  tcase_add_test(tc, vocabulary_refuses);
  tcase_add_test(tc, measuring_covers_a_text);
  tcase_add_test(tc, training_windows_are_contiguous);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
