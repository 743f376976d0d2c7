/* test_status_rng.c - error codes and records; the random number generator
 * against its published vectors and against itself. */
#include "engine_test.h"

/* ---- status ---- */

START_TEST(codes_have_names_and_sentences) {
  ck_assert_int_eq(CG_OK, 0);
  ck_assert_str_eq(cg_status_name(CG_OK), "OK");
  ck_assert_str_eq(cg_status_name(CG_ERR_SHAPE), "SHAPE");
  ck_assert_str_eq(cg_status_sentence(CG_ERR_NOMEM), "out of memory");
  for (int i = 0; i < CG_STATUS_COUNT; i++)
    for (int j = 0; j < i; j++) {
      ck_assert_str_ne(cg_status_name((cg_status)i),
                       cg_status_name((cg_status)j));
      ck_assert_str_ne(cg_status_sentence((cg_status)i),
                       cg_status_sentence((cg_status)j));
    }
}
END_TEST

START_TEST(unknown_codes_are_named_so) {
  const int bad[] = {-1, CG_STATUS_COUNT, 2385};
  for (int i = 0; i < N_OF(bad); i++) {
    ck_assert_str_eq(cg_status_name((cg_status)bad[i]), "UNKNOWN");
    ck_assert_ptr_nonnull(cg_status_sentence((cg_status)bad[i]));
  }
}
END_TEST

START_TEST(an_error_is_filled_in) {
  cg_error e;
  memset(&e, 0x7f, sizeof e);
  ck_assert_int_eq(cg_error_set(&e, CG_ERR_SHAPE, "concat", "%d by %s", 17,
                                "[2, 3]"),
                   CG_ERR_SHAPE);
  ck_assert_int_eq(e.status, CG_ERR_SHAPE);
  ck_assert_str_eq(e.op, "concat");
  ck_assert_str_eq(e.scope, "");
  ck_assert_str_eq(e.message, "17 by [2, 3]");
  cg_error_set(&e, CG_ERR_IO, NULL, NULL);
  ck_assert_str_eq(e.op, "");
  ck_assert_str_eq(e.message, cg_status_sentence(CG_ERR_IO));
  ck_assert_int_eq(cg_error_set(NULL, CG_ERR_ARG, "x", "%d", 1), CG_ERR_ARG);
}
END_TEST

START_TEST(long_error_texts_are_cut) {
  char text[1000];
  memset(text, 'w', sizeof text);
  text[sizeof text - 1] = '\0';
  cg_error e;
  cg_error_set(&e, CG_ERR_ARG, text, "%s", text);
  ck_assert_uint_eq(strlen(e.op), sizeof e.op - 1);
  ck_assert_uint_eq(strlen(e.message), sizeof e.message - 1);
}
END_TEST

/* ---- rng ---- */

/* The known answer of the authors' Random123 library for Philox4x32-10 with
 * key 0 and counter 0, as four 32-bit words in order. */
START_TEST(philox_known_answer) {
  cg_rng rng = cg_rng_seed(0);
  ck_assert_uint_eq(cg_rng_next(&rng), 0xe169c58d6627e8d5u);
  ck_assert_uint_eq(cg_rng_next(&rng), 0x9b00dbd8bc57ac4cu);
}
END_TEST

START_TEST(a_number_depends_on_seed_and_position_only) {
  cg_rng a = cg_rng_seed(2385), b = a;
  uint64_t first[20];
  for (int i = 0; i < 20; i++) first[i] = cg_rng_next(&a);
  ck_assert_uint_eq(a.counter, 20);
  for (int i = 19; i >= 0; i--) {
    cg_rng jump = {.seed = 2385, .counter = (uint64_t)i};
    ck_assert_uint_eq(cg_rng_next(&jump), first[i]);
  }
  cg_rng c = cg_rng_seed(2386);
  for (int i = 0; i < 20; i++) {
    ck_assert_uint_eq(cg_rng_next(&b), first[i]);
    ck_assert_uint_ne(cg_rng_next(&c), first[i]);
    for (int j = 0; j < i; j++) ck_assert_uint_ne(first[i], first[j]);
  }
}
END_TEST

enum { DRAWS = 200000 };

START_TEST(uniform_moments) {
  cg_rng rng = cg_rng_seed(41);
  double sum = 0, squares = 0, low = 1, high = 0;
  for (int i = 0; i < DRAWS; i++) {
    double u = cg_rng_uniform(&rng);
    ck_assert(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
    low = fmin(low, u);
    high = fmax(high, u);
  }
  near(sum / DRAWS, 0.5, 4 * 0.2887 / sqrt(DRAWS));
  near(squares / DRAWS, 1.0 / 3, 4 * 0.2981 / sqrt(DRAWS));
  ck_assert(low < 1e-4 && high > 1 - 1e-4);
}
END_TEST

START_TEST(normal_moments) {
  cg_rng rng = cg_rng_seed(43);
  double m[5] = {0};
  for (int i = 0; i < DRAWS; i++) {
    double z = cg_rng_normal(&rng), p = 1;
    ck_assert(isfinite(z));
    for (int k = 1; k <= 4; k++) m[k] += p *= z;
  }
  ck_assert_uint_eq(rng.counter, 2u * DRAWS);
  near(m[1] / DRAWS, 0, 4 / sqrt(DRAWS));
  near(m[2] / DRAWS, 1, 4 * 1.414 / sqrt(DRAWS));
  near(m[3] / DRAWS, 0, 4 * 3.873 / sqrt(DRAWS));
  near(m[4] / DRAWS, 3, 4 * 9.798 / sqrt(DRAWS));
}
END_TEST

START_TEST(below_is_uniform) {
  cg_rng rng = cg_rng_seed(47);
  int count[7] = {0};
  for (int i = 0; i < 70000; i++) {
    int64_t k = cg_rng_below(&rng, 7);
    ck_assert(k >= 0 && k < 7);
    count[k]++;
  }
  double chi2 = 0; /* 6 degrees of freedom: 0.001 of all seeds exceed 22.5 */
  for (int k = 0; k < 7; k++) chi2 += pow(count[k] - 10000, 2) / 10000;
  ck_assert(chi2 < 22.5);
  ck_assert_int_eq(cg_rng_below(&rng, 1), 0);
  ck_assert_int_eq(cg_rng_below(&rng, 0), 0);
  ck_assert_int_eq(cg_rng_below(&rng, -5), 0);
  int64_t big = cg_rng_below(&rng, INT64_MAX);
  ck_assert(big >= 0 && big < INT64_MAX);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, codes_have_names_and_sentences);
  tcase_add_test(tc, unknown_codes_are_named_so);
  tcase_add_test(tc, an_error_is_filled_in);
  tcase_add_test(tc, long_error_texts_are_cut);
  tcase_add_test(tc, philox_known_answer);
  tcase_add_test(tc, a_number_depends_on_seed_and_position_only);
  tcase_add_test(tc, uniform_moments);
  tcase_add_test(tc, normal_moments);
  tcase_add_test(tc, below_is_uniform);
  return run_case("status_rng", tc);
}
