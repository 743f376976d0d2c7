/* test_tape.c - the tape: marks and rewinding, recording or not, constants. */
#include "tape_test.h"

/* ---- marks ---- */

START_TEST(rewinding_drops_what_came_after) {
  cg_tensor *x = number(2.385);
  cg_mark mark = cg_tape_mark(tape);
  cg_tape_stats before = cg_tape_get_stats(tape);
  cg_tensor *y = cg_mul(tape, x, x);
  near(cg_tensor_item(y), 2.385 * 2.385, 1e-15);
  ck_assert_uint_gt(cg_tape_get_stats(tape).nodes, before.nodes);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, before.nodes);
  near(cg_tensor_item(x), 2.385, 0);
  near(cg_tensor_item(cg_neg(tape, x)), -2.385, 0);
  fine(tape);
}
END_TEST

START_TEST(marks_nest_and_are_used_again) {
  cg_mark outer = cg_tape_mark(tape);
  cg_tensor *a = number(0.5);
  cg_mark inner = cg_tape_mark(tape);
  for (int i = 0; i < 20; i++) {
    number(i);
    ck_assert_int_eq(cg_tape_rewind(tape, inner), CG_OK);
    near(cg_tensor_item(cg_exp(tape, a)), exp(0.5), 1e-15);
  }
  for (int i = 0; i < 20; i++) {
    ck_assert_int_eq(cg_tape_rewind(tape, outer), CG_OK);
    number(i);
    cg_mark fresh = cg_tape_mark(tape);
    number(-i);
    ck_assert_int_eq(cg_tape_rewind(tape, fresh), CG_OK);
  }
  fine(tape);
}
END_TEST

START_TEST(dropped_marks_are_refused) {
  cg_mark outer = cg_tape_mark(tape);
  number(1.25);
  cg_mark inner = cg_tape_mark(tape);
  ck_assert_int_eq(cg_tape_rewind(tape, outer), CG_OK);
  ck_assert_int_eq(cg_tape_rewind(tape, inner), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_rewind", "dropped");
  number(1.25); /* the position is the same again; the mark is not */
  number(1.5);
  ck_assert_int_eq(cg_tape_rewind(tape, inner), CG_ERR_STATE);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_tape_rewind(tape, outer), CG_OK);
}
END_TEST

/* Random marks and rewinds against a model: a mark lives until a rewind goes
 * to a place before it. */
START_TEST(random_marks_against_a_model) {
  enum { MARKS = 12 };
  cg_rng rng = cg_rng_seed(77);
  cg_mark mark[MARKS];
  int64_t at[MARKS], length = 0;
  bool alive[MARKS] = {false};
  for (int step = 0; step < 20000; step++) {
    int k = (int)cg_rng_below(&rng, MARKS);
    int64_t what = cg_rng_below(&rng, 10);
    if (what < 5) {
      number((double)step);
      length++;
    } else if (what < 8) {
      mark[k] = cg_tape_mark(tape);
      at[k] = length;
      alive[k] = true;
    } else if (alive[k]) {
      ck_assert_int_eq(cg_tape_rewind(tape, mark[k]), CG_OK);
      length = at[k];
      for (int i = 0; i < MARKS; i++)
        if (alive[i] && at[i] > length) alive[i] = false, at[i] = -1;
      ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, (size_t)length);
    } else if (at[k] == -1 && step > 100) {
      ck_assert_int_eq(cg_tape_rewind(tape, mark[k]), CG_ERR_STATE);
      cg_tape_clear_error(tape);
    }
  }
}
END_TEST

START_TEST(foreign_marks_are_refused) {
  cg_tape *other = cg_tape_new(NULL);
  cg_mark none = {{0}}, foreign = cg_tape_mark(other);
  ck_assert_int_eq(cg_tape_rewind(tape, foreign), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_rewind", "another tape");
  ck_assert_int_eq(cg_tape_rewind(tape, none), CG_ERR_STATE);
  ck_assert_int_eq(cg_tape_rewind(NULL, foreign), CG_ERR_ARG);
  cg_tape_mark(NULL);
  cg_tape_free(other);
}
END_TEST

START_TEST(reset_starts_over) {
  number(3);
  cg_mark late = cg_tape_mark(tape);
  cg_scope_push(tape, "open");
  cg_tape_set_recording(tape, false);
  cg_add(tape, NULL, NULL);
  cg_tape_reset(tape);
  fine(tape);
  char path[32];
  ck_assert_str_eq(cg_scope_path(tape, NULL, path, sizeof path), "");
  ck_assert(cg_tape_recording(tape));
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, 0);
  ck_assert_int_eq(cg_tape_rewind(tape, late), CG_ERR_STATE);
  cg_tape_reset(NULL);
}
END_TEST

/* ---- carrying values over ---- */

START_TEST(rewind_keep_carries_values) {
  cg_tensor *w = scalar_leaf(0.75);
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *h = number(0.1);
  double want = 0.1;
  cg_tape_stats warm = {0};
  for (int i = 0; i < 300; i++) {
    cg_tensor *m = cg_expand(tape, cg_tanh(tape, cg_add(tape, h, w)),
                             CG_DIMS(2, 3));
    cg_tensor *keep[] = {m, w, cg_cast(tape, w, CG_F32)};
    ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, keep, 3), CG_OK);
    want = tanh(want + 0.75);
    has_shape(keep[0], CG_DIMS(2, 3));
    for (int k = 0; k < 6; k++) near(cg_tensor_get(keep[0], k), want, 1e-13);
    ck_assert(!cg_tensor_requires_grad(keep[0]));
    ck_assert(!cg_tensor_requires_grad(keep[1]));
    near(cg_tensor_item(keep[1]), 0.75, 0);
    ck_assert_int_eq(cg_tensor_dtype(keep[2]), CG_F32);
    h = cg_select(tape, cg_select(tape, keep[0], 0, 1), 0, 2);
    if (i == 20) warm = cg_tape_get_stats(tape);
  }
  cg_tape_stats end = cg_tape_get_stats(tape);
  ck_assert_uint_eq(end.nodes, warm.nodes);
  ck_assert_uint_eq(end.bytes_held, warm.bytes_held);
  ck_assert_uint_eq(end.system_allocs, warm.system_allocs);
  cg_leaf_free(w);
}
END_TEST

START_TEST(rewind_keep_does_not_lose_an_error) {
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *x = cg_scalar(tape, CG_F64, 2.385);
  ck_assert_ptr_null(cg_exp(tape, NULL));
  ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, &x, 1), CG_ERR_ARG);
  ck_assert_ptr_null(x);
  failed(tape, CG_ERR_ARG, "exp", "operand 0 is NULL");
}
END_TEST

START_TEST(rewind_keep_of_nothing_or_rubbish) {
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *x = number(1);
  ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, NULL, 0), CG_OK);
  ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, NULL, 2), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, &x, -1), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  cg_tensor *keep[] = {number(2), NULL};
  ck_assert_int_eq(cg_tape_rewind_keep(tape, mark, keep, 2), CG_ERR_ARG);
  ck_assert_ptr_null(keep[0]);
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, 0);
  failed(tape, CG_ERR_ARG, "tape_rewind_keep", "operand 1");
}
END_TEST

/* ---- recording off ---- */

START_TEST(recording_off_computes_values_only) {
  cg_tensor *w = scalar_leaf(2.385);
  ck_assert(cg_tape_recording(tape));
  ck_assert(cg_tape_set_recording(tape, false));
  ck_assert(!cg_tape_recording(tape));
  cg_tensor *y = cg_square(tape, w);
  near(cg_tensor_item(y), 2.385 * 2.385, 1e-15);
  ck_assert(!cg_tensor_requires_grad(y));
  ck_assert(!cg_tape_set_recording(tape, true));
  cg_tensor *z = cg_mul(tape, y, w);
  ck_assert(cg_tensor_requires_grad(z));
  ck_assert_int_eq(cg_backward(tape, z), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(w)), 2.385 * 2.385, 1e-15);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "backward", "root 0");
  cg_leaf_free(w);
  ck_assert(!cg_tape_set_recording(NULL, true));
  ck_assert(!cg_tape_recording(NULL));
}
END_TEST

/* ---- constants ---- */

START_TEST(constants_hold_what_was_given) {
  const float data[] = {2.385f, -1.5f, 0.75f, 8.125f};
  cg_tensor *x = cg_input(tape, CG_F32, CG_DIMS(2, 2), data);
  NEAR_ALL(x, 0, (double)2.385f, -1.5, 0.75, 8.125);
  ck_assert_ptr_ne(cg_tensor_data(x), data);
  NEAR_ALL(cg_input(tape, CG_I64, CG_DIMS(3), NULL), 0, 0, 0, 0);
  cg_tensor *b = cg_borrow(tape, CG_F32, CG_DIMS(4), data);
  ck_assert_ptr_eq(cg_tensor_data(b), data);
  NEAR_ALL(cg_neg(tape, b), 0, -(double)2.385f, 1.5, -0.75, -8.125);
  NEAR_ALL(cg_full(tape, CG_U8, CG_DIMS(2), 1), 0, 1, 1);
  ck_assert_int_eq(cg_tensor_numel(cg_full(tape, CG_F64, CG_DIMS(0), 1)), 0);
  ck_assert(signbit(cg_tensor_item(number(-0.0))));
  fine(tape);
  ck_assert_ptr_null(cg_borrow(tape, CG_F32, CG_DIMS(4), NULL));
  failed(tape, CG_ERR_ARG, "borrow", "NULL");
  ck_assert_ptr_null(cg_input(tape, CG_F32, 9, NULL, NULL));
  failed(tape, CG_ERR_SHAPE, "input", "9");
  ck_assert_ptr_null(cg_full(tape, CG_F32, CG_DIMS(2, -3), 1));
  failed(tape, CG_ERR_SHAPE, "full", "[2, -3]");
  ck_assert_ptr_null(cg_scalar(tape, CG_DTYPE_COUNT, 1));
  failed(tape, CG_ERR_DTYPE, "full", "4");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("tape");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, rewinding_drops_what_came_after);
  tcase_add_test(tc, marks_nest_and_are_used_again);
  tcase_add_test(tc, dropped_marks_are_refused);
  tcase_add_test(tc, random_marks_against_a_model);
  tcase_add_test(tc, foreign_marks_are_refused);
  tcase_add_test(tc, reset_starts_over);
  tcase_add_test(tc, rewind_keep_carries_values);
  tcase_add_test(tc, rewind_keep_does_not_lose_an_error);
  tcase_add_test(tc, rewind_keep_of_nothing_or_rubbish);
  tcase_add_test(tc, recording_off_computes_values_only);
  tcase_add_test(tc, constants_hold_what_was_given);
  return run_case("tape", tc);
}
