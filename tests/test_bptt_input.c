/* test_bptt_input.c - what the manual BPTT refuses, and how: the right status,
 * a sentence that names the culprit, an empty result. */
#include "bptt_net.h"

#include <stdint.h>
#include <stdlib.h>

/* One refused allocation must come back as NULL under the sanitizer too. */
#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "allocator_may_return_null=1";
}
#endif

/* Both functions refuse `p`; the message contains `words`. */
static void refused(const cg_bptt_problem *p, cg_status status,
                    const char *words) {
  const bptt_fn both[] = {cg_bptt_sequence, cg_bptt_batch};
  const cg_bptt_result empty = {0};
  for (int i = 0; i < 2; i++) {
    double stray = 2.385;
    cg_bptt_result r = {.loss = stray, .h = &stray, .o = &stray};
    cg_error err = {0};
    ck_assert_int_eq(both[i](p, &r, &err), status);
    ck_assert_int_eq(err.status, status);
    ck_assert_str_eq(err.op, "bptt");
    ck_assert_msg(strstr(err.message, words), "\"%s\" lacks \"%s\"",
                  err.message, words);
    ck_assert_mem_eq(&r, &empty, sizeof(r));
    ck_assert_int_eq(both[i](p, &r, NULL), status);
  }
}

START_TEST(missing_arrays) {
  static const char *const names[] = {"x is NULL",    "y is NULL",
                                      "W_xh is NULL", "W_hh is NULL",
                                      "W_hy is NULL", "b_h is NULL",
                                      "b_y is NULL"};
  net n;
  net_init(&n, 2, 1, CG_ACT_TANH);
  cg_bptt_problem *p = &n.p;
  const double **arrays[] = {&p->x,    NULL,    &p->W_xh, &p->W_hh,
                             &p->W_hy, &p->b_h, &p->b_y};
  if (arrays[_i])
    *arrays[_i] = NULL;
  else
    p->y = NULL;
  refused(p, CG_ERR_ARG, names[_i]);
}
END_TEST

START_TEST(missing_problem_or_result) {
  net n;
  cg_error err = {0};
  net_init(&n, 2, 1, CG_ACT_TANH);
  refused(NULL, CG_ERR_ARG, "problem is NULL");
  ck_assert_int_eq(cg_bptt_sequence(&n.p, NULL, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "result"));
  err = (cg_error){0};
  ck_assert_int_eq(cg_bptt_batch(&n.p, NULL, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "result"));
  ck_assert_int_eq(cg_bptt_batch(NULL, NULL, NULL), CG_ERR_ARG);
}
END_TEST

static int64_t *size_of(cg_bptt_problem *p, int i) {
  int64_t *const sizes[] = {&p->T, &p->B, &p->D, &p->H, &p->K};
  return sizes[i];
}

START_TEST(sizes_below_one) {
  static const char *const names[] = {"T is ", "B is ", "D is ", "H is ",
                                      "K is "};
  const int64_t bad[] = {0, -1, INT64_MIN};
  net n;
  for (int i = 0; i < 3; i++) {
    net_init(&n, 2, 1, CG_ACT_TANH);
    *size_of(&n.p, _i) = bad[i];
    refused(&n.p, CG_ERR_ARG, names[_i]);
  }
}
END_TEST

/* One huge size, and pairs whose product alone overflows; 2^32 squared wraps
 * to 0 in 64 bits, 2^31 squared times 8 bytes does, too. */
START_TEST(sizes_beyond_memory) {
  const int64_t huge[] = {INT64_MAX, INT64_MAX / 8, INT64_C(1) << 61,
                          INT64_C(1) << 32, INT64_C(1) << 31};
  net n;
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 5; j++) {
      net_init(&n, 2, 1, CG_ACT_TANH);
      *size_of(&n.p, _i) = huge[i];
      *size_of(&n.p, (_i + 1) % 5) = huge[j];
      refused(&n.p, CG_ERR_ARG, "larger than any memory");
    }
}
END_TEST

/* Each array fits alone, but not their sum. */
START_TEST(sum_beyond_memory) {
  net n;
  net_init(&n, 1, 1, CG_ACT_TANH);
  n.p.D = n.p.H = 1;
  n.p.K = PTRDIFF_MAX / (ptrdiff_t)sizeof(double) - 3;
  refused(&n.p, CG_ERR_ARG, "larger than any memory");
}
END_TEST

START_TEST(memory_refused) {
  net n;
  net_init(&n, 1, 1, CG_ACT_TANH);
  n.p.D = n.p.H = 1;
  n.p.K = PTRDIFF_MAX / (ptrdiff_t)sizeof(double) / 5;
  refused(&n.p, CG_ERR_NOMEM, "no memory");
}
END_TEST

START_TEST(targets_out_of_range) {
  const int64_t bad[] = {-1, 5, INT64_MIN, INT64_MAX};
  static const char *const words[] = {"is -1,", "is 5,", "is -9223372036854775",
                                      "is 9223372036854775807,"};
  net n;
  for (int64_t t = 0; t < 7; t += 6) {
    net_init(&n, 7, 1, CG_ACT_TANH);
    n.y[t] = bad[_i];
    refused(&n.p, CG_ERR_ARG, words[_i]);
    refused(&n.p, CG_ERR_ARG, t == 0 ? "y[0, 0]" : "y[6, 0]");
  }
  net_init(&n, 2, 3, CG_ACT_TANH);
  n.y[5] = bad[_i];
  refused(&n.p, CG_ERR_ARG, "y[1, 2]");
}
END_TEST

START_TEST(unknown_choices) {
  const int bad[] = {-1, CG_ACT_COUNT, 99};
  net n;
  for (int i = 0; i < 3; i++) {
    net_init(&n, 2, 1, (cg_activation)bad[i]);
    refused(&n.p, CG_ERR_ARG, "phi is");
    n.p.phi = CG_ACT_TANH;
    n.p.over_steps = (cg_reduction)bad[i];
    refused(&n.p, CG_ERR_ARG, "over_steps is");
    n.p.over_steps = CG_REDUCE_MEAN;
    n.p.over_batch = (cg_reduction)bad[i];
    refused(&n.p, CG_ERR_ARG, "over_batch is");
  }
}
END_TEST

START_TEST(sequence_takes_no_batch) {
  net n;
  cg_error err = {0};
  cg_bptt_result r = {.loss = 2.385};
  const cg_bptt_result empty = {0};
  net_init(&n, 2, 3, CG_ACT_TANH);
  ck_assert_int_eq(cg_bptt_sequence(&n.p, &r, &err), CG_ERR_ARG);
  ck_assert_ptr_nonnull(strstr(err.message, "B is 3"));
  ck_assert_mem_eq(&r, &empty, sizeof(r));
}
END_TEST

START_TEST(activation_names) {
  static const char *const names[] = {"tanh", "relu", "sigmoid", "identity"};
  ck_assert_int_eq(CG_ACT_COUNT, 4);
  for (int i = 0; i < CG_ACT_COUNT; i++) {
    cg_activation phi = CG_ACT_COUNT;
    ck_assert_str_eq(cg_activation_name((cg_activation)i), names[i]);
    ck_assert(cg_activation_parse(names[i], &phi));
    ck_assert_int_eq(phi, i);
  }
  ck_assert_str_eq(cg_activation_name(CG_ACT_COUNT), "?");
  ck_assert_str_eq(cg_activation_name((cg_activation)-1), "?");
}
END_TEST

START_TEST(activation_names_refused) {
  static const char *const bad[] = {"", "Tanh", "tanh ", "tan", "?", "softmax"};
  cg_activation phi = CG_ACT_RELU;
  for (int i = 0; i < 6; i++)
    ck_assert(!cg_activation_parse(bad[i], &phi));
  ck_assert(!cg_activation_parse(NULL, &phi));
  ck_assert(!cg_activation_parse("tanh", NULL));
  ck_assert_int_eq(phi, CG_ACT_RELU);
}
END_TEST

START_TEST(free_twice_or_nothing) {
  net n;
  const cg_bptt_result empty = {0};
  net_init(&n, 2, 3, CG_ACT_TANH);
  cg_bptt_result r = run(cg_bptt_batch, &n.p);
  cg_bptt_free(&r);
  ck_assert_mem_eq(&r, &empty, sizeof(r));
  cg_bptt_free(&r);
  cg_bptt_free(NULL);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("bptt_input");
  TCase *tc = tcase_create("all");
  tcase_add_loop_test(tc, missing_arrays, 0, 7);
  tcase_add_test(tc, missing_problem_or_result);
  tcase_add_loop_test(tc, sizes_below_one, 0, 5);
  tcase_add_loop_test(tc, sizes_beyond_memory, 0, 5);
  tcase_add_test(tc, sum_beyond_memory);
  tcase_add_test(tc, memory_refused);
  tcase_add_loop_test(tc, targets_out_of_range, 0, 4);
  tcase_add_test(tc, unknown_choices);
  tcase_add_test(tc, sequence_takes_no_batch);
  tcase_add_test(tc, activation_names);
  tcase_add_test(tc, activation_names_refused);
  tcase_add_test(tc, free_twice_or_nothing);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
