/* test_replay.c - a recording that runs again gives the bits of recording
 * anew: every op of the list, gradients recorded or not; and what is refused. */
#include "tape_test.h"

enum { MAX_IN = 16, BITS = 1 << 14 };

/* ---- every op, at every case ---- */

typedef struct bits {
  double at[BITS];
  int n;
} bits;

static void see(bits *b, const cg_tensor *x) {
  for (int64_t i = 0; x && i < cg_tensor_numel(x); i++) {
    ck_assert_int_lt(b->n, BITS);
    b->at[b->n++] = cg_tensor_get(x, i);
  }
}

static bool same(const bits *a, const bits *b) {
  return a->n == b->n &&
         !memcmp(a->at, b->at, sizeof *a->at * (size_t)a->n);
}

typedef struct operands {
  cg_tensor *leaf[MAX_IN];
  int n;
} operands;

static operands draw(const cg_op *op, const cg_op_case *c, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  cg_error err = {0};
  operands o = {.n = 0};
  o.n = cg_op_case_leaves(op, c, &rng, o.leaf, MAX_IN, &err);
  ck_assert_msg(o.n > 0, "%s: %s", op->name, err.message);
  return o;
}

static void release(operands *o) {
  for (int i = 0; i < o->n; i++) {
    cg_leaf_free(o->leaf[i]);
    o->leaf[i] = NULL;
  }
}

/* Ops whose derivative rule reads an operand that is no float when it is
 * recorded: a recorded gradient keeps to what that was. */
static bool keeps_index(const cg_op *op) {
  return !strcmp(op->name, "sum_slices");
}

/* The leaves of `to`, or those that hold indices, take the numbers of `from`. */
static void assign(const operands *to, const operands *from,
                   bool only_indices) {
  for (int i = 0; i < to->n; i++) {
    cg_dtype dtype = cg_tensor_dtype(to->leaf[i]);
    size_t bytes = (size_t)cg_tensor_numel(to->leaf[i]) * cg_dtype_size(dtype);
    if (!bytes || (only_indices && dtype == CG_F64)) continue;
    ck_assert_int_eq(cg_leaf_write(to->leaf[i], cg_tensor_data(from->leaf[i]),
                                   bytes),
                     CG_OK);
  }
}

/* y, a loss, and the gradients of it, recorded, by the leaves that have one. */
typedef struct graph {
  cg_tensor *y, *loss, *in[MAX_IN], *g[MAX_IN];
  int n;
} graph;

static graph record(cg_tape *t, const cg_op *op, const cg_op_case *c,
                    const operands *o) {
  graph r = {.y = cg_record(t, op, o->leaf, o->n, c->attr)};
  fine(t);
  if (!cg_tensor_requires_grad(r.y)) return r;
  r.loss = cg_sum_all(t, cg_square(t, r.y));
  for (int i = 0; i < o->n; i++)
    if (cg_tensor_requires_grad(o->leaf[i])) r.in[r.n++] = o->leaf[i];
  cg_grad(t, &r.loss, 1, NULL, r.in, r.n, r.g, CG_CREATE_GRAPH);
  fine(t);
  return r;
}

/* The values of r, and what cg_backward gives its leaves now. */
static void look(cg_tape *t, const graph *r, bits *b) {
  b->n = 0;
  see(b, r->y);
  if (!r->loss) return;
  for (int i = 0; i < r->n; i++) {
    see(b, r->g[i]);
    cg_leaf_zero_grad(r->in[i]);
  }
  ck_assert_int_eq(cg_backward(t, r->loss), CG_OK);
  for (int i = 0; i < r->n; i++) see(b, cg_tensor_grad(r->in[i]));
}

static int check_case(const cg_op *op, const cg_op_case *c, uint64_t seed) {
  static bits first, want, got;
  operands a = draw(op, c, seed), b = draw(op, c, seed + 1);
  if (keeps_index(op)) assign(&b, &a, true);
  cg_tape *fresh = cg_tape_new(NULL);
  graph expected = record(fresh, op, c, &b), r = record(tape, op, c, &a);
  look(fresh, &expected, &want);
  look(tape, &r, &first);
  assign(&a, &b, false);
  ck_assert_msg(!cg_tape_replay(tape), "%s, \"%s\": %s", op->name, c->in,
                cg_tape_error(tape)->message);
  look(tape, &r, &got);
  ck_assert_msg(same(&got, &want), "%s, \"%s\": other bits", op->name, c->in);
  bool moved = !same(&got, &first);
  cg_tape_free(fresh);
  cg_tape_reset(tape);
  release(&a);
  release(&b);
  return moved;
}

START_TEST(every_op_as_recorded_anew) {
  const cg_op *op = cg_op_at(_i);
  int moved = 0;
  if (op->once) return;
  for (int k = 0; k < op->n_cases; k++)
    moved += check_case(op, &op->cases[k], (uint64_t)(1000 * _i + 2 * k));
  /* (Comparisons may well come out the same.) */
  ck_assert_msg(moved || !op->vjp, "%s: no case has other values for other operands",
                op->name);
}
END_TEST

static int overwrite_indices(const operands *o, int64_t value) {
  int n = 0;
  for (int i = 0; i < o->n; i++) {
    if (cg_tensor_dtype(o->leaf[i]) != CG_I64) continue;
    int64_t *index = cg_leaf_data(o->leaf[i]);
    for (int64_t e = 0; e < cg_tensor_numel(o->leaf[i]); e++, n++)
      index[e] = value;
  }
  return n;
}

/* Indices that were in range when they were looked at first. */
START_TEST(wild_indices_are_refused) {
  static const int64_t wild[] = {INT64_MIN, -1000000, 1000000, INT64_MAX};
  const cg_op *op = cg_op_at(_i);
  for (int k = 0; k < op->n_cases && !op->once; k++)
    for (int j = 0; j < N_OF(wild); j++) {
      operands o = draw(op, &op->cases[k], (uint64_t)(7 * _i + k));
      cg_record(tape, op, o.leaf, o.n, op->cases[k].attr);
      fine(tape);
      int n_wild = overwrite_indices(&o, wild[j]);
      cg_tape_replay(tape);
      ck_assert_msg(!n_wild || cg_tape_status(tape), "%s, \"%s\": %lld is fine",
                    op->name, op->cases[k].in, (long long)wild[j]);
      cg_tape_reset(tape);
      release(&o);
    }
}
END_TEST

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

int main(void) {
  TCase *tc = tcase_create("replay");
  tcase_add_checked_fixture(tc, setup_two, teardown_two);
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, every_op_as_recorded_anew, 0, cg_op_count());
  tcase_add_loop_test(tc, wild_indices_are_refused, 0, cg_op_count());
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
  return run_case("replay", tc);
}
