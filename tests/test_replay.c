/* test_replay.c - a recording that runs again gives what recording anew does;
 * what is refused, and what becomes of a replay that fails. */
#include "tape_test.h"

/* ---- graphs ---- */

static cg_tensor *w, *v;

static void setup_two(void) {
  setup();
  w = leaf_of((const double[]){0.3, -1.7, 0.9}, CG_DIMS(3));
  v = leaf_of((const double[]){2.385, 0.25, -0.6}, CG_DIMS(3));
}

static void teardown_two(void) {
  teardown();
  cg_leaf_free(w);
  cg_leaf_free(v);
}

static void set(cg_tensor *leaf, double a, double b, double c) {
  cg_leaf_write(leaf, (const double[]){a, b, c}, 3 * sizeof(double));
}

/* Views, a result used twice, borrowed memory. */
static double memory[3] = {1.5, 0.125, -3};

static cg_tensor *some_loss(cg_tape *t) {
  cg_tensor *x = cg_borrow(t, CG_F64, CG_DIMS(3), memory);
  cg_tensor *h = cg_tanh(t, cg_mul(t, cg_add(t, w, x), v));
  cg_tensor *turned = cg_flip(t, cg_reshape(t, h, CG_DIMS(3)), (int[]){0},
                              1);
  return cg_sum_all(t, cg_mul(t, cg_add(t, h, turned),
                              cg_narrow(t, cg_concat(t, (cg_tensor *[]){h, v},
                                                     2, 0), 0, 1, 3)));
}

START_TEST(leaves_and_borrowed_memory_as_they_are_now) {
  cg_tensor *loss = some_loss(tape);
  double before = cg_tensor_item(loss);
  set(w, -0.4, 0.8, 1.1);
  memory[0] = 0.7;
  memory[2] = 0.55;
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  cg_tape *fresh = cg_tape_new(NULL);
  double want = cg_tensor_item(some_loss(fresh));
  ck_assert_double_eq(cg_tensor_item(loss), want);
  ck_assert_double_ne(want, before);
  cg_tape_free(fresh);
}
END_TEST

START_TEST(walks_back_after_an_update) {
  cg_tensor *loss = some_loss(tape);
  set(v, -0.4, 0.8, 1.1);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STALE);
  cg_leaf_zero_grad(w);
  cg_leaf_zero_grad(v);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  cg_tensor *in[] = {w, v}, *g[2];
  cg_tape *fresh = cg_tape_new(NULL);
  loss = some_loss(fresh);
  ck_assert_int_eq(cg_grad(fresh, &loss, 1, NULL, in, 2, g, 0), CG_OK);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 3; k++)
      ck_assert_double_eq(cg_tensor_get(cg_tensor_grad(in[i]), k),
                          cg_tensor_get(g[i], k));
  cg_tape_free(fresh);
}
END_TEST

/* A leaf that was modified while it was recorded is the same one now. */
START_TEST(one_leaf_has_one_value) {
  cg_tensor *a = cg_mul_scalar(tape, w, 2);
  set(w, 1, 2, 3);
  cg_tensor *b = cg_mul_scalar(tape, w, 2);
  ck_assert_double_ne(cg_tensor_get(a, 0), cg_tensor_get(b, 0));
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(a, 0, 2, 4, 6);
  NEAR_ALL(b, 0, 2, 4, 6);
}
END_TEST

START_TEST(what_is_recorded_later_runs_too) {
  cg_tensor *a = cg_square(tape, w);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *b = cg_add(tape, a, v);
  set(w, 3, 4, 5);
  set(v, 0.5, 0.5, 0.5);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(b, 0, 9.5, 16.5, 25.5);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  set(w, 2, 1, 0);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(a, 0, 4, 1, 0);
  cg_tensor *c = cg_sub(tape, a, v);
  set(v, 1, 1, 1);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(c, 0, 3, 0, -1);
  cg_tape_reset(tape);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK); /* nothing is there */
}
END_TEST

START_TEST(constants_stay) {
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *r = cg_rand_uniform(tape, &rng, CG_F64, CG_DIMS(3));
  cg_tape_set_recording(tape, false);
  cg_tensor *off = cg_square(tape, w);
  cg_tape_set_recording(tape, true);
  cg_tensor *y = cg_mul(tape, cg_add(tape, r, off), w);
  double c[3], old[3];
  for (int i = 0; i < 3; i++) {
    old[i] = cg_tensor_get(off, i);
    c[i] = cg_tensor_get(r, i) + old[i];
  }
  set(w, 2, 3, 4);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(y, 1e-15, 2 * c[0], 3 * c[1], 4 * c[2]);
  near_all(off, old, 3, 0);
}
END_TEST

START_TEST(retained_gradients_begin_anew) {
  cg_tensor *h = cg_square(tape, w), *view = cg_reshape(tape, h, 2,
                                                        (int64_t[]){3, 1});
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, view));
  cg_retain_grad(tape, h);
  cg_retain_grad(tape, view);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  set(w, 1, 2, 3);
  size_t nodes = cg_tape_get_stats(tape).nodes;
  for (int k = 0; k < 3; k++) {
    ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
    NEAR_ALL(cg_tensor_grad(h), 0, 0, 0, 0);
    ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
    NEAR_ALL(cg_tensor_grad(h), 1e-15, 2, 8, 18);
    NEAR_ALL(cg_tensor_grad(view), 1e-15, 2, 8, 18);
  }
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, nodes);
}
END_TEST

START_TEST(asks_the_system_for_nothing) {
  cg_tensor *loss = some_loss(tape);
  cg_tape_stats s = {0};
  for (int k = 0; k < 5; k++) {
    ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
    set(w, 0.1 * k, 0.2, 0.3);
    ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
    if (k == 1) s = cg_tape_get_stats(tape);
  }
  ck_assert_uint_eq(cg_tape_get_stats(tape).system_allocs, s.system_allocs);
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, s.nodes);
  ck_assert_uint_eq(cg_tape_get_stats(tape).bytes_held, s.bytes_held);
}
END_TEST

/* ---- those who look ---- */

START_TEST(profiled_and_traced) {
  cg_tensor *y = cg_log(tape, w);
  set(w, 1, 2, 3);
  cg_profile_begin(tape);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  cg_profile_end(tape);
  int count = 0;
  const cg_profile_row *row = cg_profile_rows(tape, &count);
  ck_assert_int_eq(count, 1);
  ck_assert_str_eq(row->name, "log");
  cg_tape_trace_nonfinite(tape, true);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  set(w, 1, -2, 3);
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_NONFINITE);
  failed(tape, CG_ERR_NONFINITE, "log", "");
  ck_assert(isnan(cg_tensor_get(y, 1)));
}
END_TEST

/* ---- what is refused ---- */

START_TEST(no_tape) { ck_assert_int_eq(cg_tape_replay(NULL), CG_ERR_ARG); }
END_TEST

START_TEST(an_error_stays) {
  cg_tape_fail(tape, CG_ERR_ARG, "mine", "a failure");
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "mine", "a failure");
}
END_TEST

START_TEST(dropout_would_repeat_itself) {
  cg_rng rng = cg_rng_seed(1);
  cg_mark mark = cg_tape_mark(tape);
  cg_scope_push(tape, "net");
  cg_dropout(tape, w, 0.5, &rng);
  cg_scope_pop(tape);
  cg_tensor *y = cg_square(tape, w);
  set(w, 1, 2, 3);
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_replay", "dropout (scope \"net\")");
  near(cg_tensor_get(y, 0), 0.3 * 0.3, 1e-15); /* nothing ran */
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_STATE);
  cg_tape_rewind(tape, mark);
  y = cg_square(tape, w);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
}
END_TEST

static void twice(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  out[0] = cg_mul_scalar(t, in[0], 2);
}

START_TEST(segments_were_called) {
  cg_tensor *y;
  cg_checkpoint(tape, twice, NULL, 0, &w, 1, &y, 1);
  fine(tape);
  cg_tape_replay(tape);
  failed(tape, CG_ERR_STATE, "tape_replay", "checkpoint");
}
END_TEST

static cg_tensor *twice_of(cg_tape *t, cg_tensor *const *in, int n_in,
                           void *context) {
  (void)n_in, (void)context;
  return cg_mul_scalar(t, in[0], 2);
}

START_TEST(callbacks_were_called) {
  cg_custom(tape, "doubled", twice_of, NULL, NULL, &w, 1);
  fine(tape);
  cg_tape_replay(tape);
  failed(tape, CG_ERR_STATE, "tape_replay", "doubled");
}
END_TEST

START_TEST(another_need_of_a_gradient) {
  cg_leaf_set_name(w, "W_hh");
  cg_square(tape, w);
  cg_leaf_set_requires_grad(w, false);
  cg_tape_replay(tape);
  failed(tape, CG_ERR_STATE, "tape_replay", "W_hh");
  cg_leaf_set_requires_grad(w, true);
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
}
END_TEST

static cg_status inside;

static cg_tensor *replay_in_walk(cg_tape *t, cg_tensor *x, cg_tensor *g,
                                 void *context) {
  (void)x, (void)g, (void)context;
  inside = cg_tape_replay(t);
  return NULL;
}

START_TEST(not_from_inside_of_a_walk) {
  cg_tensor *h = cg_square(tape, w), *loss = cg_sum_all(tape, h);
  cg_hook(tape, h, replay_in_walk, NULL);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STATE);
  ck_assert_int_eq(inside, CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_replay", "walk");
}
END_TEST

START_TEST(an_op_fails_and_runs_again) {
  int64_t index[2] = {0, 2};
  cg_tensor *i = cg_borrow(tape, CG_I64, CG_DIMS(2), index);
  cg_scope_push(tape, "table");
  cg_tensor *y = cg_index_select(tape, w, 0, i);
  cg_scope_pop(tape);
  cg_tensor *z = cg_mul_scalar(tape, y, 10);
  fine(tape);
  set(w, 1, 2, 3);
  index[1] = 3;
  ck_assert_int_ne(cg_tape_replay(tape), CG_OK);
  ck_assert_str_eq(cg_tape_error(tape)->scope, "table");
  ck_assert_str_eq(cg_tape_error(tape)->op, "embedding");
  cg_tape_clear_error(tape);
  index[1] = 1;
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  NEAR_ALL(z, 0, 10, 20);
}
END_TEST

/* Values behind the op that failed are of other operands than those before. */
START_TEST(no_walk_over_half_a_replay) {
  int64_t index[1] = {2};
  cg_tensor *before = cg_sum_all(tape, cg_square(tape, w));
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *i = cg_borrow(tape, CG_I64, CG_DIMS(1), index);
  cg_tensor *loss = cg_mul(tape, before, cg_index_select(tape, v, 0, i));
  loss = cg_sum_all(tape, loss);
  set(w, 1, 2, 3);
  index[0] = 3;
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "backward", "last replay");
  ck_assert_int_eq(cg_backward(tape, cg_neg(tape, loss)), CG_ERR_STATE);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_backward(tape, before), CG_OK); /* as computed */
  NEAR_ALL(cg_tensor_grad(w), 0, 2, 4, 6);
  index[0] = 0;
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near(cg_tensor_get(cg_tensor_grad(v), 0), 14, 1e-15);
  index[0] = -1;
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  ck_assert_int_eq(cg_backward(tape, cg_square(tape, before)), CG_OK);
}
END_TEST

/* A refusal leaves all as it was: w's new value is none of the recording's. */
START_TEST(a_refusal_is_none_by_halves) {
  cg_tensor *loss = cg_sum_all(tape, cg_add(tape, cg_square(tape, w), v));
  set(w, 1, 2, 3);
  cg_leaf_set_requires_grad(v, false);
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_STATE);
  cg_tape_clear_error(tape);
  cg_leaf_set_requires_grad(v, true);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STALE);
}
END_TEST

static int depth;

static cg_status again_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static cg_status again_forward(const cg_call *call, cg_tensor *out) {
  (void)out;
  if (depth++ > 3) return CG_OK;
  return cg_tape_replay(call->tape);
}

START_TEST(not_from_inside_of_a_replay) {
  static const cg_op again = {.name = "again", .min_in = 1, .max_in = 1,
                              .infer = again_infer, .forward = again_forward};
  depth = 1;
  cg_record(tape, &again, &w, 1, NULL);
  fine(tape);
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_replay", "a replay, is running");
  ck_assert_int_eq(depth, 3);
}
END_TEST

/* Targets are looked at again, if as many count. */
START_TEST(losses_with_other_targets) {
  int64_t y[3] = {1, CG_IGNORE_INDEX, 0};
  cg_tensor *o = leaf_of((const double[]){0.5, -1, 2, 0.25, -0.7, 1.3},
                         CG_DIMS(3, 2));
  cg_tensor *at = cg_borrow(tape, CG_I64, CG_DIMS(3), y), *old[3], *now[3];
  for (int k = 0; k < 6; k++) {
    cg_tensor **loss = k < 3 ? old : now;
    if (k == 3) {
      y[0] = CG_IGNORE_INDEX, y[1] = 0, y[2] = 1;
      ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
    }
    loss[k % 3] =
        k % 3 == 2 ? cg_nll(tape, o, at, CG_IGNORE_INDEX, CG_REDUCE_MEAN)
                   : cg_cross_entropy_ignore(tape, o, at, CG_IGNORE_INDEX,
                                             (cg_reduction)(k % 3));
  }
  fine(tape);
  for (int k = 0; k < 3; k++)
    for (int i = 0; i < cg_tensor_numel(old[k]); i++)
      ck_assert_double_eq(cg_tensor_get(old[k], i), cg_tensor_get(now[k], i));
  y[0] = 1;
  ck_assert_int_eq(cg_tape_replay(tape), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "kept_targets", "3 targets count, and 2 did");
  cg_leaf_free(o);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("replay");
  tcase_add_checked_fixture(tc, setup_two, teardown_two);
  tcase_add_test(tc, leaves_and_borrowed_memory_as_they_are_now);
  tcase_add_test(tc, walks_back_after_an_update);
  tcase_add_test(tc, one_leaf_has_one_value);
  tcase_add_test(tc, what_is_recorded_later_runs_too);
  tcase_add_test(tc, constants_stay);
  tcase_add_test(tc, retained_gradients_begin_anew);
  tcase_add_test(tc, asks_the_system_for_nothing);
  tcase_add_test(tc, profiled_and_traced);
  tcase_add_test(tc, no_tape);
  tcase_add_test(tc, an_error_stays);
  tcase_add_test(tc, dropout_would_repeat_itself);
  tcase_add_test(tc, segments_were_called);
  tcase_add_test(tc, callbacks_were_called);
  tcase_add_test(tc, another_need_of_a_gradient);
  tcase_add_test(tc, not_from_inside_of_a_walk);
  tcase_add_test(tc, an_op_fails_and_runs_again);
  tcase_add_test(tc, no_walk_over_half_a_replay);
  tcase_add_test(tc, a_refusal_is_none_by_halves);
  tcase_add_test(tc, not_from_inside_of_a_replay);
  tcase_add_test(tc, losses_with_other_targets);
  return run_case("replay", tc);
}
