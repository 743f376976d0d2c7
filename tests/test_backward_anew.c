/* test_backward_anew.c - a walk that writes over the gradients of before gives
 * what one gives that adds to zeros: nothing of the old is left, here NaN. */
#include "tape_test.h"

enum { MAX_IN = 16, MANY = 1 << 12 };

static void poison(cg_tensor *leaf) {
  if (!cg_tensor_requires_grad(leaf)) return;
  cg_tensor *g = cg_leaf_grad(leaf);
  ck_assert_ptr_nonnull(g);
  cg_leaf_fill(g, NAN);
}

static bool is_gone(const cg_tensor *leaf) {
  const cg_tensor *g = cg_tensor_grad(leaf);
  for (int64_t i = 0; i < cg_tensor_numel(g); i++)
    if (isnan(cg_tensor_get(g, i))) return false;
  return true;
}

/* ---- every op, at every case ---- */

/* A loss to which the op contributes twice. */
static cg_tensor *loss_of(const cg_op *op, const cg_op_case *c,
                          cg_tensor *const *leaf, int n) {
  cg_tensor *a = cg_record(tape, op, leaf, n, c->attr), *b = a;
  if (!op->once) b = cg_record(tape, op, leaf, n, c->attr);
  fine(tape);
  if (!cg_tensor_requires_grad(a)) return NULL;
  return cg_add(tape, cg_sum_all(tape, cg_square(tape, a)),
                cg_mul_scalar(tape, cg_sum_all(tape, b), 2.385));
}

static void check_case(const cg_op *op, const cg_op_case *c, uint64_t seed) {
  static double want[MAX_IN][MANY];
  cg_tensor *leaf[MAX_IN];
  cg_rng rng = cg_rng_seed(seed);
  cg_error err = {0};
  int n = cg_op_case_leaves(op, c, &rng, leaf, MAX_IN, &err);
  ck_assert_msg(n > 0, "%s: %s", op->name, err.message);
  cg_tensor *loss = loss_of(op, c, leaf, n);
  if (loss) ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int i = 0; loss && i < n; i++) {
    const cg_tensor *g = cg_tensor_grad(leaf[i]); /* NULL: nothing was given */
    ck_assert_int_le(cg_tensor_numel(leaf[i]), MANY);
    for (int64_t e = 0; e < cg_tensor_numel(leaf[i]); e++)
      want[i][e] = g ? cg_tensor_get(g, e) : 0;
    poison(leaf[i]);
  }
  if (loss) ck_assert_int_eq(cg_backward_anew(tape, loss), CG_OK);
  for (int i = 0; loss && i < n; i++) {
    const cg_tensor *g = cg_tensor_grad(leaf[i]);
    for (int64_t e = 0; e < cg_tensor_numel(g); e++)
      ck_assert_msg(cg_tensor_get(g, e) == want[i][e],
                    "%s, \"%s\": operand %d has %.17g for %.17g", op->name,
                    c->in, i, cg_tensor_get(g, e), want[i][e]);
  }
  cg_tape_reset(tape);
  for (int i = 0; i < n; i++) cg_leaf_free(leaf[i]);
}

START_TEST(every_op) {
  const cg_op *op = cg_op_at(_i);
  for (int k = 0; k < op->n_cases; k++)
    check_case(op, &op->cases[k], (uint64_t)(1000 * _i + k));
}
END_TEST

/* ---- which gradients ---- */

START_TEST(of_all_leaves_on_the_tape) {
  cg_tensor *w = scalar_leaf(0.7), *idle = scalar_leaf(1.3),
            *away = scalar_leaf(0.4), *fixed = scalar_leaf(2.1);
  cg_tensor *all[] = {w, idle, away, fixed};
  for (int i = 0; i < N_OF(all); i++) poison(all[i]);
  cg_leaf_set_requires_grad(fixed, false);
  cg_mul(tape, idle, idle);
  cg_tensor *loss = cg_mul(tape, cg_mul(tape, w, w), fixed);
  for (int round = 0; round < 2; round++) {
    ck_assert_int_eq(cg_backward_anew(tape, loss), CG_OK);
    near(cg_tensor_item(cg_tensor_grad(w)), 2 * 0.7 * 2.1, 1e-14);
    ck_assert_double_eq(cg_tensor_item(cg_tensor_grad(idle)), 0);
    ck_assert(!is_gone(away));
    ck_assert(!is_gone(fixed));
  }
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK); /* this one adds */
  near(cg_tensor_item(cg_tensor_grad(w)), 4 * 0.7 * 2.1, 1e-14);
  for (int i = 0; i < N_OF(all); i++) cg_leaf_free(all[i]);
}
END_TEST

static cg_tensor *leave_it(cg_tape *t, cg_tensor *x, cg_tensor *g,
                           void *context) {
  (void)t, (void)x, (void)g, (void)context;
  return NULL;
}

/* Versions of a leaf, a part of it, and what waits until the end of the walk:
 * <v, W[1]> + sum(W^2), and a modification between the two. */
START_TEST(by_several_ways) {
  const double values[6] = {0.3, -1.2, 0.7, 2.1, -0.4, 0.9};
  cg_tensor *W = leaf_of(values, CG_DIMS(2, 3));
  cg_tensor *row = cg_sum_all(tape, cg_select(tape, W, 0, 1));
  cg_leaf_touch(W);
  cg_tensor *loss = cg_add(tape, row, cg_sum_all(tape, cg_square(tape, W)));
  for (int hooks = 0; hooks < 2; hooks++) {
    poison(W);
    ck_assert_int_eq(cg_backward_anew(tape, loss), CG_OK);
    for (int i = 0; i < 6; i++)
      near(cg_tensor_get(cg_tensor_grad(W), i), 2 * values[i] + (i > 2), 1e-14);
    cg_hook(tape, W, leave_it, NULL);
  }
  cg_leaf_free(W);
}
END_TEST

/* ---- what else happens ---- */

static cg_tensor *give_up(cg_tape *t, cg_tensor *x, cg_tensor *g,
                          void *context) {
  (void)x, (void)g;
  if ((*(int *)context)++) return NULL;
  return cg_tape_fail(t, CG_ERR_NONFINITE, "my hook", "gives up");
}

/* The walk ends before it has come to v: v's gradient is zero then, and the
 * next walk adds to it. */
START_TEST(after_an_error) {
  cg_tensor *w = scalar_leaf(0.7), *v = scalar_leaf(1.3);
  int calls = 0;
  cg_tensor *inner = cg_square(tape, v), *loss = cg_mul(tape, inner, w);
  ck_assert_int_eq(cg_hook(tape, inner, give_up, &calls), CG_OK);
  poison(w);
  poison(v);
  ck_assert_int_eq(cg_backward_anew(tape, loss), CG_ERR_NONFINITE);
  ck_assert_double_eq(cg_tensor_item(cg_tensor_grad(v)), 0);
  ck_assert(is_gone(w));
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(v)), 2 * 1.3 * 0.7, 1e-14);
  ck_assert_int_ne(cg_backward_anew(tape, NULL), CG_OK);
  cg_tape_clear_error(tape);
  near(cg_tensor_item(cg_tensor_grad(v)), 2 * 1.3 * 0.7, 1e-14);
  ck_assert_int_eq(cg_backward_anew(NULL, loss), CG_ERR_ARG);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

/* A walk runs out of memory in a product that would be written over the
 * gradient of W, or before it comes to that: nothing of the old is left. */
START_TEST(out_of_memory) {
  enum { ROWS = 600, M = 300, N = 20 };
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, CG_DIMS(ROWS, M), NULL);
  cg_tensor *W = cg_leaf_new(NULL, CG_F32, CG_DIMS(M, N), NULL);
  cg_tensor *v = cg_leaf_new(NULL, CG_F32, 0, NULL, NULL);
  cg_leaf_set_requires_grad(W, true);
  cg_leaf_set_requires_grad(v, true);
  cg_status status = CG_ERR_LIMIT;
  for (size_t limit = 1 << 16; status; limit += 1 << 12) {
    cg_tape *t = cg_tape_new(&(cg_tape_options){.byte_limit = limit});
    cg_tensor *y = cg_square(t, cg_matmul(t, x, W));
    cg_tensor *loss = cg_mul(t, cg_sum_all(t, y), v);
    poison(W);
    poison(v);
    status = cg_backward_anew(t, loss);
    ck_assert(status == CG_OK || status == CG_ERR_LIMIT);
    if (is_gone(v)) ck_assert_msg(is_gone(W), "%zu bytes", limit);
    cg_tape_free(t);
  }
  cg_leaf_free(x);
  cg_leaf_free(W);
  cg_leaf_free(v);
}
END_TEST

static cg_tensor *walk_inside(cg_tape *t, cg_tensor *x, cg_tensor *g,
                              void *context) {
  (void)x, (void)g;
  ck_assert_int_eq(cg_backward(t, context), CG_OK);
  return NULL;
}

/* A walk inside adds to the gradients, whichever of the two comes first. */
START_TEST(with_a_walk_inside) {
  cg_tensor *w = scalar_leaf(0.7), *v = scalar_leaf(1.3);
  cg_tensor *aside = cg_mul(tape, w, v), *below = cg_square(tape, v);
  cg_tensor *loss = cg_mul(tape, below, w);
  ck_assert_int_eq(cg_hook(tape, below, walk_inside, aside), CG_OK);
  poison(w);
  poison(v);
  ck_assert_int_eq(cg_backward_anew(tape, loss), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(w)), 1.3 * 1.3 + 1.3, 1e-14);
  near(cg_tensor_item(cg_tensor_grad(v)), 2 * 1.3 * 0.7 + 0.7, 1e-14);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

static cg_tensor *fix_it(cg_tape *t, cg_tensor *x, cg_tensor *g,
                         void *context) {
  (void)t, (void)x, (void)g;
  ck_assert_int_eq(cg_leaf_set_requires_grad(context, false), CG_OK);
  return NULL;
}

/* A hook has v require no gradient any more: an error, which leaves v's zero,
 * and what later walks give is added to that. */
START_TEST(with_a_leaf_that_is_fixed) {
  cg_tensor *w = scalar_leaf(0.7), *v = scalar_leaf(1.3);
  cg_tensor *inner = cg_square(tape, v), *loss = cg_mul(tape, inner, w);
  ck_assert_int_eq(cg_hook(tape, inner, fix_it, v), CG_OK);
  poison(w);
  poison(v);
  ck_assert_int_eq(cg_backward_anew(tape, loss), CG_ERR_STALE);
  ck_assert_double_eq(cg_tensor_item(cg_tensor_grad(v)), 0);
  cg_leaf_set_requires_grad(v, true);
  cg_tape_reset(tape);
  cg_leaf_fill(cg_leaf_grad(v), 0.5);
  ck_assert_int_eq(cg_backward(tape, cg_square(tape, v)), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(v)), 0.5 + 2 * 1.3, 1e-14);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 60);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, every_op, 0, cg_op_count());
  tcase_add_test(tc, of_all_leaves_on_the_tape);
  tcase_add_test(tc, by_several_ways);
  tcase_add_test(tc, after_an_error);
  tcase_add_test(tc, out_of_memory);
  tcase_add_test(tc, with_a_walk_inside);
  tcase_add_test(tc, with_a_leaf_that_is_fixed);
  return run_case("backward anew", tc);
}
