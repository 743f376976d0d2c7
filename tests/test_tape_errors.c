/* test_tape_errors.c - errors that stick to a tape and name the scope; and that
 * dropped tensors are not taken for live ones. */
#include "tape_test.h"

/* ---- scopes ---- */

static void path_is(const cg_tensor *x, const char *want) {
  char path[96];
  ck_assert_str_eq(cg_scope_path(tape, x, path, sizeof path), want);
}

START_TEST(scopes_nest_and_name_tensors) {
  cg_tensor *a = number(1);
  ck_assert_int_eq(cg_scope_push(tape, "rnn"), CG_OK);
  cg_tensor *b[3];
  for (int t = 0; t < 3; t++) {
    ck_assert_int_eq(cg_scope_push_index(tape, "t", t), CG_OK);
    b[t] = number(t);
    path_is(NULL, t == 0 ? "rnn/t=0" : t == 1 ? "rnn/t=1" : "rnn/t=2");
    ck_assert_int_eq(cg_scope_pop(tape), CG_OK);
  }
  cg_tensor *c = number(2);
  ck_assert_int_eq(cg_scope_pop(tape), CG_OK);
  path_is(a, "");
  path_is(b[1], "rnn/t=1");
  path_is(c, "rnn");
  path_is(NULL, "");
  char small[6];
  ck_assert_str_eq(cg_scope_path(tape, b[2], small, sizeof small), "rnn/t");
  ck_assert_int_eq(cg_scope_pop(tape), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "scope_pop", "no scope");
  ck_assert_int_eq(cg_scope_push(tape, NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_scope_push(NULL, "x"), CG_ERR_ARG);
  ck_assert_int_eq(cg_scope_pop(NULL), CG_ERR_ARG);
}
END_TEST

START_TEST(rewinding_closes_scopes) {
  cg_scope_push(tape, "outer");
  cg_mark mark = cg_tape_mark(tape);
  for (int i = 0; i < 100; i++) {
    cg_scope_push(tape, "inner");
    number(i);
    cg_scope_push_index(tape, "deep", i);
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    path_is(NULL, "outer");
  }
  ck_assert_int_eq(cg_scope_pop(tape), CG_OK);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  path_is(NULL, "outer");
}
END_TEST

/* ---- errors ---- */

START_TEST(the_first_error_sticks) {
  cg_scope_push(tape, "rnn");
  cg_scope_push_index(tape, "t", 3);
  cg_tensor *a = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  cg_tensor *b = cg_full(tape, CG_F64, CG_DIMS(4), 1);
  ck_assert_ptr_null(cg_tanh(tape, cg_mul(tape, cg_add(tape, a, b), a)));
  ck_assert_ptr_null(cg_add(tape, a, a));
  ck_assert_ptr_null(cg_reshape(tape, a, CG_DIMS(6)));
  ck_assert_ptr_null(cg_contiguous(tape, a));
  ck_assert_ptr_null(number(1));
  ck_assert_int_eq(cg_backward(tape, a), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_scope_pop(tape), CG_ERR_SHAPE);
  const cg_error *e = cg_tape_error(tape);
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_SHAPE);
  ck_assert_str_eq(e->op, "add");
  ck_assert_str_eq(e->scope, "rnn/t=3");
  ck_assert_ptr_nonnull(strstr(e->message, "[2, 3]"));
  ck_assert_ptr_nonnull(strstr(e->message, "[4]"));
  cg_tape_clear_error(tape);
  ck_assert_ptr_nonnull(cg_add(tape, a, a));
  ck_assert_ptr_null(cg_tape_fail(tape, CG_ERR_IO, "mine", "%d", 17));
  ck_assert_ptr_null(cg_tape_fail(tape, CG_ERR_ARG, "later", NULL));
  failed(tape, CG_ERR_IO, "mine", "17");
}
END_TEST

START_TEST(no_tape_is_an_error) {
  ck_assert_int_eq(cg_tape_status(NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_error(NULL)->status, CG_ERR_ARG);
  cg_tape_clear_error(NULL);
  cg_tape_free(NULL);
  cg_tensor *x = number(1.5), *g;
  ck_assert_ptr_null(cg_add(NULL, x, x));
  ck_assert_ptr_null(cg_sum(NULL, x, NULL, 0, false));
  ck_assert_ptr_null(cg_sum_to(NULL, x, 0, NULL));
  ck_assert_ptr_null(cg_reshape(NULL, x, 0, NULL));
  ck_assert_ptr_null(cg_permute(NULL, x, NULL));
  cg_tensor *m = cg_full(tape, CG_F64, CG_DIMS(2, 2), 1);
  ck_assert_ptr_null(cg_transpose(NULL, m, 0, 1));
  ck_assert_ptr_null(cg_transpose(NULL, m, 7, 0));
  ck_assert_ptr_null(cg_contiguous(NULL, x));
  ck_assert_ptr_null(cg_linear(NULL, x, x, NULL));
  ck_assert_ptr_null(cg_stack(NULL, &x, 1, 0));
  ck_assert_ptr_null(cg_scalar(NULL, CG_F64, 1));
  ck_assert_ptr_null(cg_input(NULL, CG_F64, 0, NULL, NULL));
  ck_assert_ptr_null(cg_tape_fail(NULL, CG_ERR_ARG, "x", NULL));
  ck_assert_int_eq(cg_backward(NULL, x), CG_ERR_ARG);
  ck_assert_int_eq(cg_grad(NULL, &x, 1, NULL, &x, 1, &g, 0), CG_ERR_ARG);
  ck_assert_int_eq(cg_retain_grad(NULL, x), CG_ERR_ARG);
}
END_TEST

/* ---- tensors of other times and places ---- */

/* However far the tape went on: nothing recorded since, something, or many
 * rewinds, with tensors of every size at the old one's place. */
START_TEST(rewound_tensors_are_stale) {
  cg_mark mark = cg_tape_mark(tape);
  for (int rewinds = 1; rewinds < 20; rewinds++)
    for (int more = 0; more < 4; more++) {
      cg_tape_rewind(tape, mark);
      cg_tensor *first = number(1.5);
      cg_tensor *old = cg_full(tape, CG_F64, CG_DIMS(3, 2), 2.385);
      for (int i = 0; i < rewinds; i++) cg_tape_rewind(tape, mark);
      if (rewinds % 8 == 0 && more) continue; /* the place comes again */
      for (int i = 0; i < more; i++) number(i);
      ck_assert_ptr_null(cg_neg(tape, old));
      failed(tape, CG_ERR_STALE, "neg", "rewound");
      ck_assert_ptr_null(cg_neg(tape, first));
      failed(tape, CG_ERR_STALE, "neg", "rewound");
    }
}
END_TEST

/* These look at an operand before they record it; a dropped one's header may
 * hold anything by then. */
START_TEST(builders_look_at_live_tensors_only) {
  cg_tape *other = cg_tape_new(NULL);
  cg_tensor *foreign = cg_full(other, CG_F64, CG_DIMS(2, 3), 2.385);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 1, 2), 0.7);
  ck_assert_ptr_null(cg_contiguous(tape, foreign));
  failed(tape, CG_ERR_STALE, "contiguous", "another tape");
  ck_assert_ptr_null(cg_transpose(tape, foreign, 0, 5));
  failed(tape, CG_ERR_STALE, "transpose", "another tape");
  ck_assert_ptr_null(cg_permute(tape, foreign, NULL));
  failed(tape, CG_ERR_STALE, "permute", "another tape");
  ck_assert_ptr_null(cg_linear(tape, x, foreign, NULL));
  failed(tape, CG_ERR_STALE, "linear", "operand 1");
  ck_assert_ptr_null(cg_linear(tape, foreign, x, NULL));
  failed(tape, CG_ERR_STALE, "linear", "operand 0");
  cg_tape_free(other);
}
END_TEST

START_TEST(integer_constants_stay_in_range) {
  const double value[] = {-2.9, 1e300, -1e300, INFINITY, -INFINITY, NAN, 255.7};
  const double i64[] = {-2, 0x1p63, -0x1p63, 0x1p63, -0x1p63, 0, 255};
  const double u8[] = {0, 255, 0, 255, 0, 0, 255};
  for (int i = 0; i < N_OF(value); i++) {
    near(cg_tensor_item(cg_scalar(tape, CG_I64, value[i])), i64[i], 0);
    near(cg_tensor_item(cg_scalar(tape, CG_U8, value[i])), u8[i], 0);
  }
  fine(tape);
}
END_TEST

START_TEST(tensors_of_another_tape_are_refused) {
  cg_tape *other = cg_tape_new(NULL);
  cg_tensor *foreign = cg_scalar(other, CG_F64, 1), *mine = number(2), *g;
  ck_assert_ptr_null(cg_add(tape, mine, foreign));
  failed(tape, CG_ERR_STALE, "add", "operand 1");
  ck_assert_int_eq(cg_backward(tape, foreign), CG_ERR_STALE);
  cg_tape_clear_error(tape);
  cg_tensor *w = scalar_leaf(1);
  cg_tensor *y = cg_neg(tape, w);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &foreign, 1, &g, 0),
                   CG_ERR_STALE);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &y, 1, &foreign, &w, 1, &g, 0), CG_ERR_STALE);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_retain_grad(tape, foreign), CG_ERR_STALE);
  cg_tape_free(other);
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("tape_errors");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, scopes_nest_and_name_tensors);
  tcase_add_test(tc, rewinding_closes_scopes);
  tcase_add_test(tc, the_first_error_sticks);
  tcase_add_test(tc, no_tape_is_an_error);
  tcase_add_test(tc, rewound_tensors_are_stale);
  tcase_add_test(tc, builders_look_at_live_tensors_only);
  tcase_add_test(tc, integer_constants_stay_in_range);
  tcase_add_test(tc, tensors_of_another_tape_are_refused);
  return run_case("tape_errors", tc);
}
