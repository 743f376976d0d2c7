/* test_turns.c - cg_backward sorts and visits a turn of nodes at a time: graphs
 * of many turns, with edges over several of them, against cg_grad, which sorts
 * all at once. */
#include "engine_test.h"

enum { NODES = 700, FAR = 300 };

static cg_tape *tape;
static cg_tensor *w, *v;
static cg_tensor *x[NODES];

static void setup(void) {
  tape = cg_tape_new(NULL);
  w = scalar_leaf(0.7);
  v = scalar_leaf(1.3);
}

static void teardown(void) {
  cg_tape_free(tape);
  cg_leaf_free(w);
  cg_leaf_free(v);
}

/* x_k = tanh(x_{k-1} w) + v x_{k-FAR}: four nodes, and an edge over twelve
 * hundred. */
static cg_tensor *chain(cg_tape *t, cg_tensor *first) {
  x[0] = first;
  for (int k = 1; k < NODES; k++) {
    x[k] = cg_tanh(t, cg_mul(t, x[k - 1], w));
    if (k >= FAR) x[k] = cg_add(t, x[k], cg_mul(t, v, x[k - FAR]));
  }
  return x[NODES - 1];
}

static double grad_of(const cg_tensor *leaf) {
  return cg_tensor_item(cg_tensor_grad(leaf));
}

/* The gradients that cg_backward gave are those of cg_grad, bit for bit. */
static void check_gradients(cg_tensor *y) {
  cg_tensor *in[] = {w, v}, *g[2];
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, in, 2, g, 0), CG_OK);
  ck_assert_double_ne(cg_tensor_item(g[0]), 0);
  ck_assert_double_eq(grad_of(w), cg_tensor_item(g[0]));
  ck_assert_double_eq(grad_of(v), cg_tensor_item(g[1]));
}

START_TEST(as_if_sorted_at_once) {
  cg_tensor *y = chain(tape, cg_mul(tape, w, v));
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  check_gradients(y);
}
END_TEST

/* ---- walks inside ---- */

static int n_inner;

/* Sorts all that lies below, which the outer walk has reached in part; hooks
 * there do the same inside of it. */
static cg_tensor *walk_below(cg_tape *t, cg_tensor *at, cg_tensor *g,
                             void *context) {
  (void)at, (void)g;
  cg_tensor *in[] = {w, x[10]}, *d[2], *below = context;
  ck_assert_int_eq(cg_grad(t, &below, 1, NULL, in, 2, d, 0), CG_OK);
  n_inner++;
  return NULL;
}

START_TEST(inner_walks_restamp) {
  cg_tensor *y = chain(tape, cg_mul(tape, w, v));
  n_inner = 0;
  for (int k = 650; k > FAR + 40; k -= 40)
    ck_assert_int_eq(cg_hook(tape, x[k], walk_below, x[k - 1]), CG_OK);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  ck_assert_int_ge(n_inner, 8);
  double gw = grad_of(w), gv = grad_of(v);
  cg_tape_reset(tape);
  cg_leaf_zero_grad(w);
  cg_leaf_zero_grad(v);
  y = chain(tape, cg_mul(tape, w, v));
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  ck_assert_double_eq(grad_of(w), gw);
  ck_assert_double_eq(grad_of(v), gv);
}
END_TEST

/* Segments sort their interior while the walk over the rest is under way. */
static void piece(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  out[1] = cg_mul(t, in[0], v);
  out[0] = chain(t, out[1]);
}

static cg_tensor *pieces(bool segments) {
  cg_tensor *at = cg_mul(tape, w, v), *sum = at, *out[2];
  for (int i = 0; i < 4; i++) {
    if (segments)
      cg_checkpoint(tape, piece, NULL, 0, &at, 1, out, 2);
    else
      piece(tape, &at, 1, out, 2, NULL);
    at = chain(tape, out[0]);
    sum = cg_add(tape, cg_mul(tape, sum, at), out[i % 2]);
  }
  return sum;
}

START_TEST(segments_in_between) {
  cg_tensor *sum = pieces(true);
  ck_assert_int_eq(cg_backward(tape, sum), CG_OK);
  cg_tape_reset(tape);
  check_gradients(pieces(false));
}
END_TEST

/* ---- one recording, walked over again ---- */

enum { FEW = 20 };

/* FEW nodes, of which one turn sorts all: a w^n by the last n of them. */
static cg_tensor *power(cg_tensor *a, int n) {
  cg_tensor *y = a;
  for (int i = 0; i < FEW; i++) y = cg_mul(tape, i == FEW - n ? a : y, w);
  return y;
}

/* The walk over y gives w what it should, whatever was sorted before. */
static void check_power(cg_tensor *y, double a, int n) {
  cg_leaf_zero_grad(w);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  double want = a * n * pow(0.7, n - 1);
  ck_assert_double_eq_tol(grad_of(w), want, 1e-12 * fabs(want));
}

static int n_calls;

static cg_tensor *count_call(cg_tape *t, cg_tensor *at, cg_tensor *g,
                             void *context) {
  (void)t, (void)at, (void)g, (void)context;
  n_calls++;
  return NULL;
}

/* The order of the last walk serves again, unless something else was sorted or
 * recorded since. */
START_TEST(the_order_serves_again) {
  cg_tensor *const *order, *g;
  size_t count;
  cg_tensor *y = power(v, FEW), *root = NULL;
  cg_tensor *z = cg_mul(tape, power(w, FEW), v);
  cg_mark mark = cg_tape_mark(tape);
  check_power(y, 1.3, FEW);
  check_power(y, 1.3, FEW);
  ck_assert_int_eq(cg_tape_toposort(tape, y, &order, &count), CG_OK);
  ck_assert_uint_eq(count, FEW);
  ck_assert_ptr_eq(order[FEW - 1], y);
  check_power(y, 1.3, FEW);
  ck_assert_int_eq(cg_tape_toposort(tape, y, &order, &count), CG_OK);
  ck_assert_ptr_eq(order[FEW - 1], y);
  ck_assert_int_eq(cg_grad(tape, &z, 1, NULL, &v, 1, &g, 0), CG_OK);
  check_power(y, 1.3, FEW);
  cg_tape_rewind(tape, mark);
  for (int n = 3; n < 6; n += 2) { /* the second takes the first one's place */
    cg_tensor *other = power(cg_scalar(tape, CG_F64, 2), n);
    check_power(other, 2, n);
    if (root) ck_assert_int_eq(cg_hook(tape, other, count_call, NULL), CG_OK);
    check_power(other, 2, n);
    ck_assert_msg(!root || other == root, "rewinds leave other gaps");
    root = other;
    for (int i = 0; i < 8; i++) cg_tape_rewind(tape, mark);
  }
  ck_assert_int_eq(n_calls, 1);
  check_power(y, 1.3, FEW);
}
END_TEST

/* A sort that ends for want of memory has overwritten the order before. */
START_TEST(no_order_after_a_failed_sort) {
  cg_tensor *const *order;
  size_t count;
  static counter heap; /* until the tape ends */
  counter_init(&heap);
  cg_tape_free(tape);
  tape = cg_tape_new(&(cg_tape_options){.allocator = &heap.allocator});
  cg_tensor *y = power(v, 3), *z = chain(tape, cg_mul(tape, w, v));
  check_power(y, 1.3, 3);
  heap.fail_at = heap.calls + 1;
  ck_assert_int_eq(cg_tape_toposort(tape, z, &order, &count), CG_ERR_NOMEM);
  cg_tape_clear_error(tape);
  check_power(y, 1.3, 3);
}
END_TEST

/* ---- what an error leaves ---- */

static cg_tensor *give_up(cg_tape *t, cg_tensor *at, cg_tensor *g,
                          void *context) {
  (void)at, (void)g;
  if ((*(int *)context)++) return NULL;
  return cg_tape_fail(t, CG_ERR_NONFINITE, "my hook", "gives up");
}

/* The walk ends in its second turn, when nodes of later turns have slots; the
 * next walk over the same nodes finds them empty. */
START_TEST(slots_are_empty_after_an_error) {
  int calls = 0;
  cg_tensor *y = chain(tape, cg_mul(tape, w, v));
  ck_assert_int_eq(cg_hook(tape, x[NODES - 60], give_up, &calls), CG_OK);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_NONFINITE);
  cg_tape_clear_error(tape);
  cg_leaf_zero_grad(w);
  cg_leaf_zero_grad(v);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  ck_assert_int_eq(calls, 2);
  check_gradients(y);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, as_if_sorted_at_once);
  tcase_add_test(tc, inner_walks_restamp);
  tcase_add_test(tc, segments_in_between);
  tcase_add_test(tc, the_order_serves_again);
  tcase_add_test(tc, no_order_after_a_failed_sort);
  tcase_add_test(tc, slots_are_empty_after_an_error);
  return run_case("turns", tc);
}
