/* test_scope_stats.c - what each top-level scope holds: exact nodes and bytes,
 * also of scopes opened again, of nested ones, and after a rewind. */
#include "engine_test.h"

enum { ROWS = 8 };

static cg_tape *tape;
static cg_scope_stats rows[ROWS];

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

static int get(void) {
  int n = -1;
  ck_assert_int_eq(cg_tape_scope_stats(tape, rows, ROWS, &n), CG_OK);
  return n;
}

static void row(int i, const char *name, size_t nodes, size_t bytes) {
  ck_assert_str_eq(rows[i].name, name);
  ck_assert_uint_eq(rows[i].nodes, nodes);
  ck_assert_uint_eq(rows[i].bytes, bytes);
}

/* Records `count` times tanh of 16 x 8 doubles; the bytes that this took. */
static size_t record(cg_tensor *x, int count) {
  cg_scalar(tape, CG_F64, 0.5); /* a scope's name ends at any byte */
  size_t before = cg_tape_get_stats(tape).bytes_used;
  for (int i = 0; i < count; i++) ck_assert_ptr_nonnull(cg_tanh(tape, x));
  size_t bytes = cg_tape_get_stats(tape).bytes_used - before;
  ck_assert_uint_ge(bytes, (size_t)count * 16 * 8 * sizeof(double));
  return bytes;
}

START_TEST(exact_figures) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(16, 8), 0.385);
  size_t outside = record(x, 1), rnn, step, deep;
  cg_scope_push(tape, "rnn");
  rnn = record(x, 2);
  cg_scope_push_index(tape, "t", 1);
  cg_scope_push(tape, "cell");
  deep = record(x, 3);
  cg_scope_pop(tape);
  cg_scope_pop(tape);
  cg_scope_pop(tape);
  cg_scope_push_index(tape, "t", 1); /* not the one inside rnn */
  step = record(x, 1);
  cg_scope_pop(tape);
  cg_scope_push_index(tape, "t", 2);
  cg_scope_pop(tape);
  ck_assert_int_eq(get(), 4);
  row(0, "", 1, outside);
  row(1, "rnn", 5, rnn + deep);
  row(2, "t=1", 1, step);
  row(3, "t=2", 0, 0);
}
END_TEST

START_TEST(small_results_and_views) {
  cg_tensor *x = cg_full(tape, CG_F32, CG_DIMS(2, 3), 0.385);
  size_t before = cg_tape_get_stats(tape).bytes_used;
  cg_tensor *y = cg_permute(tape, x, (int[]){1, 0});
  y = cg_sum_all(tape, cg_add_scalar(tape, y, 2.5));
  ck_assert_ptr_nonnull(y);
  size_t bytes = cg_tape_get_stats(tape).bytes_used - before;
  ck_assert_int_eq(get(), 1);
  row(0, "", 3, bytes);
}
END_TEST

START_TEST(opened_again) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(16, 8), 0.385);
  size_t a = 0, b = 0;
  for (int i = 0; i < 3; i++) {
    cg_scope_push(tape, "a");
    a += record(x, 2);
    cg_scope_pop(tape);
    cg_scope_push(tape, "b");
    b += record(x, 1);
    cg_scope_pop(tape);
  }
  ck_assert_int_eq(get(), 3);
  row(1, "a", 6, a);
  row(2, "b", 3, b);
}
END_TEST

START_TEST(after_a_rewind) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(16, 8), 0.385);
  cg_scope_push(tape, "kept");
  size_t kept = record(x, 1);
  cg_mark mark = cg_tape_mark(tape);
  record(x, 4);
  cg_scope_pop(tape);
  cg_scope_push(tape, "dropped");
  record(x, 1);
  ck_assert_int_eq(get(), 3);
  cg_tape_rewind(tape, mark);
  ck_assert_int_eq(get(), 2);
  row(1, "kept", 1, kept);
  cg_tape_reset(tape);
  ck_assert_int_eq(get(), 1);
  row(0, "", 0, 0);
}
END_TEST

START_TEST(more_scopes_than_rows) {
  enum { SCOPES = 2000 };
  cg_tensor *x = cg_scalar(tape, CG_F64, 0.385);
  for (int t = 0; t < SCOPES; t++) {
    cg_scope_push_index(tape, "t", t % (SCOPES / 2));
    cg_tanh(tape, x);
    cg_scope_pop(tape);
  }
  ck_assert_int_eq(get(), 1 + SCOPES / 2);
  ck_assert_str_eq(rows[ROWS - 1].name, "t=6");
  ck_assert_uint_eq(rows[ROWS - 1].nodes, 2);
  int n = 0;
  ck_assert_int_eq(cg_tape_scope_stats(tape, NULL, 0, &n), CG_OK);
  ck_assert_int_eq(n, 1 + SCOPES / 2);
}
END_TEST

START_TEST(longest_name) {
  char name[64];
  memset(name, 'n', 63);
  name[63] = '\0';
  cg_scope_push_index(tape, name, INT64_MIN);
  ck_assert_int_eq(get(), 2);
  ck_assert_uint_eq(strlen(rows[1].name), 63 + 1 + 20);
}
END_TEST

START_TEST(bad_arguments) {
  int n;
  ck_assert_int_eq(cg_tape_scope_stats(NULL, rows, ROWS, &n), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_scope_stats(tape, NULL, 1, &n), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_scope_stats(tape, rows, -1, &n), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_scope_stats(tape, rows, ROWS, NULL), CG_ERR_ARG);
}
END_TEST

START_TEST(without_memory) {
  cg_tape *t = cg_tape_new(&(cg_tape_options){.byte_limit = 1});
  int n = -7;
  ck_assert_int_eq(cg_tape_scope_stats(t, rows, ROWS, &n), CG_ERR_LIMIT);
  ck_assert_int_eq(n, -7);
  fine(t);
  cg_tape_free(t);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("scope_stats");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, exact_figures);
  tcase_add_test(tc, small_results_and_views);
  tcase_add_test(tc, opened_again);
  tcase_add_test(tc, after_a_rewind);
  tcase_add_test(tc, more_scopes_than_rows);
  tcase_add_test(tc, longest_name);
  tcase_add_test(tc, bad_arguments);
  tcase_add_test(tc, without_memory);
  return run_case("scope_stats", tc);
}
