/* test_backward.c - the reverse walk: what accumulates where, the topological
 * order, retained gradients, and what is refused. */
#include "engine_test.h"

#include <pthread.h>

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

static double grad_of(const cg_tensor *w) {
  return cg_tensor_item(cg_tensor_grad(w));
}

static void walk(cg_tensor *root) {
  cg_status status = cg_backward(tape, root);
  fine(tape);
  ck_assert_int_eq(status, CG_OK);
}

/* ---- accumulation ---- */

START_TEST(gradients_accumulate_until_zeroed) {
  cg_tensor *w = scalar_leaf(0.7);
  cg_tensor *y = cg_square(tape, w);
  walk(y);
  near(grad_of(w), 1.4, 1e-15);
  walk(y);
  near(grad_of(w), 2.8, 1e-15);
  cg_leaf_zero_grad(w);
  walk(cg_exp(tape, w));
  near(grad_of(w), exp(0.7), 1e-15);
  cg_leaf_free(w);
}
END_TEST

/* y = tanh(a b) + a b: the product is used twice, its operands once. */
START_TEST(fan_out_sums) {
  cg_tensor *a = scalar_leaf(0.83), *b = scalar_leaf(-1.27);
  cg_tensor *p = cg_mul(tape, a, b);
  walk(cg_add(tape, cg_tanh(tape, p), p));
  double t = tanh(0.83 * -1.27), d = 2 - t * t;
  near(grad_of(a), d * -1.27, 1e-15);
  near(grad_of(b), d * 0.83, 1e-15);
  cg_leaf_free(a);
  cg_leaf_free(b);
}
END_TEST

START_TEST(one_operand_twice) {
  const double v[] = {1.7, -0.6};
  cg_tensor *x = leaf_of(v, CG_DIMS(2));
  walk(cg_sum_all(tape, cg_add(tape, x, x)));
  NEAR_ALL(cg_tensor_grad(x), 1e-15, 2, 2);
  cg_leaf_zero_grad(x);
  cg_tensor *y = cg_exp(tape, x); /* the same for an intermediate result */
  walk(cg_sum_all(tape, cg_add(tape, cg_mul(tape, y, y), cg_add(tape, y, y))));
  NEAR_ALL(cg_tensor_grad(x), 1e-14, 2 * exp(3.4) + 2 * exp(1.7),
           2 * exp(-1.2) + 2 * exp(-0.6));
  cg_leaf_zero_grad(x);
  walk(cg_sum_all(tape, cg_sub(tape, x, x)));
  NEAR_ALL(cg_tensor_grad(x), 0, 0, 0);
  cg_leaf_zero_grad(x);
  cg_tensor *both[] = {x, y, x, x};
  walk(cg_sum_all(tape, cg_square(tape, cg_stack(tape, both, 4, 1))));
  NEAR_ALL(cg_tensor_grad(x), 1e-14, 3 * 3.4 + 2 * exp(3.4),
           3 * -1.2 + 2 * exp(-1.2));
  cg_leaf_free(x);
}
END_TEST

/* h = tanh(w h + x), T times: dh/dw by the forward recursion. */
START_TEST(a_leaf_used_many_times) {
  enum { T = 60 };
  cg_tensor *w = scalar_leaf(0.91);
  cg_tensor *h = cg_scalar(tape, CG_F64, 0.3);
  double v = 0.3, dv = 0;
  for (int t = 0; t < T; t++) {
    double x = sin(t);
    h = cg_tanh(tape, cg_add_scalar(tape, cg_mul(tape, w, h), x));
    double y = tanh(0.91 * v + x);
    dv = (1 - y * y) * (v + 0.91 * dv);
    v = y;
  }
  near(cg_tensor_item(h), v, 1e-14);
  walk(h);
  near(grad_of(w), dv, 1e-13);
  cg_leaf_free(w);
}
END_TEST

START_TEST(broadcast_gradients_are_summed) {
  const double a[] = {1.1, 2.3, -0.7, 0.4, 0.9, -1.6}, b[] = {0.5, -2, 3};
  cg_tensor *A = leaf_of(a, CG_DIMS(2, 3)), *B = leaf_of(b, CG_DIMS(3));
  cg_tensor *c = scalar_leaf(1.9);
  walk(cg_sum_all(tape, cg_mul(tape, cg_mul(tape, A, B), c)));
  NEAR_ALL(cg_tensor_grad(A), 1e-15, 0.95, -3.8, 5.7, 0.95, -3.8, 5.7);
  NEAR_ALL(cg_tensor_grad(B), 1e-14, 1.5 * 1.9, 3.2 * 1.9, -2.3 * 1.9);
  near(grad_of(c), 0.55 - 4.6 - 2.1 + 0.2 - 1.8 - 4.8, 1e-14);
  cg_leaf_free(A);
  cg_leaf_free(B);
  cg_leaf_free(c);
}
END_TEST

START_TEST(several_roots_with_seeds) {
  const double v[] = {0.4, -1.3}, s[] = {2.5, -0.25};
  cg_tensor *x = leaf_of(v, CG_DIMS(2));
  cg_tensor *e = cg_exp(tape, x), *q = cg_sum_all(tape, cg_square(tape, x));
  cg_tensor *roots[] = {e, q, q};
  cg_tensor *seeds[] = {cg_input(tape, CG_F64, CG_DIMS(2), s), NULL,
                        cg_scalar(tape, CG_F64, -3)};
  ck_assert_int_eq(cg_backward_from(tape, roots, seeds, 3), CG_OK);
  NEAR_ALL(cg_tensor_grad(x), 1e-15, 2.5 * exp(0.4) - 4 * 0.4,
           -0.25 * exp(-1.3) + 4 * 1.3);
  NEAR_ALL(seeds[0], 0, 2.5, -0.25); /* a seed is only read */
  NEAR_ALL(seeds[2], 0, -3);
  cg_leaf_free(x);
}
END_TEST

START_TEST(a_leaf_as_root) {
  cg_tensor *w = scalar_leaf(5);
  walk(w);
  near(grad_of(w), 1, 0);
  cg_tensor *s = scalar_leaf(2.5);
  ck_assert_int_eq(cg_backward_from(tape, &w, &s, 1), CG_OK);
  near(grad_of(w), 3.5, 0);
  ck_assert_ptr_null(cg_tensor_grad(s));
  cg_leaf_free(w);
  cg_leaf_free(s);
}
END_TEST

START_TEST(detach_cuts) {
  cg_tensor *w = scalar_leaf(1.5);
  cg_tensor *y = cg_square(tape, w), *d = cg_detach(tape, y);
  ck_assert(!cg_tensor_requires_grad(d));
  ck_assert_ptr_eq(cg_tensor_data(d), cg_tensor_data(y));
  walk(cg_mul(tape, y, d));
  near(grad_of(w), 2.25 * 3, 1e-15);
  cg_leaf_free(w);
}
END_TEST

/* ---- topological order ---- */

START_TEST(operands_come_before_results) {
  cg_tensor *w = scalar_leaf(0.3);
  cg_tensor *a = cg_exp(tape, w), *aside = cg_log(tape, a);
  cg_tensor *b = cg_mul(tape, a, a), *c = cg_add(tape, b, a);
  cg_tensor *constant = cg_scalar(tape, CG_F64, 2);
  cg_tensor *d = cg_mul(tape, cg_neg(tape, constant), c);
  cg_tensor *later = cg_exp(tape, d);
  cg_tensor *const want[] = {a, b, c, d}, *const *order;
  size_t n;
  for (int again = 0; again < 2; again++) {
    ck_assert_int_eq(cg_tape_toposort(tape, d, &order, &n), CG_OK);
    ck_assert_uint_eq(n, 4);
    for (int i = 0; i < 4; i++) ck_assert_ptr_eq(order[i], want[i]);
  }
  ck_assert_int_eq(cg_tape_toposort(tape, aside, &order, &n), CG_OK);
  ck_assert_uint_eq(n, 2);
  ck_assert_int_eq(cg_tape_toposort(tape, w, &order, &n), CG_OK);
  ck_assert_uint_eq(n, 0);
  ck_assert_int_eq(cg_tape_toposort(tape, constant, &order, &n), CG_OK);
  ck_assert_uint_eq(n, 0);
  ck_assert_int_eq(cg_tape_toposort(tape, later, &order, &n), CG_OK);
  ck_assert_uint_eq(n, 5);
  ck_assert_int_eq(cg_tape_toposort(tape, NULL, &order, &n), CG_ERR_ARG);
  ck_assert_int_eq(cg_tape_toposort(tape, d, NULL, &n), CG_ERR_ARG);
  cg_leaf_free(w);
}
END_TEST

/* 2^60 paths, 61 nodes: each is visited once. */
START_TEST(each_node_is_visited_once) {
  cg_tensor *w = scalar_leaf(1.25), *x = w;
  for (int i = 0; i < 60; i++) x = cg_add(tape, x, x);
  cg_tensor *const *order;
  size_t n;
  ck_assert_int_eq(cg_tape_toposort(tape, x, &order, &n), CG_OK);
  ck_assert_uint_eq(n, 60);
  walk(x);
  near(grad_of(w), 0x1p60, 0);
  cg_leaf_free(w);
}
END_TEST

static void *long_chain(void *result) {
  cg_tape *own = cg_tape_new(NULL);
  cg_tensor *w = cg_leaf_new(NULL, CG_F64, 0, NULL, NULL);
  cg_leaf_fill(w, 1e-6);
  cg_leaf_set_requires_grad(w, true);
  cg_tensor *x = w;
  for (int i = 0; i < 1000000; i++) x = cg_add(own, x, w);
  if (!cg_backward(own, x)) *(double *)result = grad_of(w);
  cg_tape_free(own);
  cg_leaf_free(w);
  return NULL;
}

START_TEST(a_long_chain_needs_little_stack) {
  pthread_attr_t attr;
  pthread_t thread;
  double result = NAN;
  pthread_attr_init(&attr);
  /* 64 KiB, if libraries leave that much beside their thread-local data. */
  int status = -1;
  for (size_t size = 64 << 10; status && size <= 1 << 20; size *= 2) {
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, size), 0);
    status = pthread_create(&thread, &attr, long_chain, &result);
  }
  ck_assert_int_eq(status, 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attr);
  near(result, 1000001, 0);
}
END_TEST

/* ---- retained gradients ---- */

START_TEST(retained_gradients) {
  cg_tensor *w = scalar_leaf(0.6);
  cg_tensor *a = cg_exp(tape, w), *b = cg_square(tape, a);
  ck_assert_int_eq(cg_retain_grad(tape, a), CG_OK);
  ck_assert_int_eq(cg_retain_grad(tape, w), CG_OK);
  ck_assert_ptr_null(cg_tensor_grad(a));
  walk(b);
  near(grad_of(a), 2 * exp(0.6), 1e-15);
  ck_assert_ptr_null(cg_tensor_grad(b));
  walk(b);
  near(grad_of(a), 4 * exp(0.6), 1e-15);
  ck_assert_int_eq(cg_retain_grad(tape, NULL), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_retain_grad(tape, cg_detach(tape, a)), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "retain_grad", "detach");
  cg_leaf_free(w);
}
END_TEST

/* The gradient was made behind the mark, the tensor before it. */
START_TEST(rewinding_drops_retained_gradients) {
  cg_tensor *w = scalar_leaf(0.6);
  cg_tensor *a = cg_exp(tape, w);
  cg_retain_grad(tape, a);
  cg_mark mark = cg_tape_mark(tape);
  for (int i = 0; i < 10; i++) {
    walk(cg_square(tape, a));
    near(grad_of(a), 2 * exp(0.6), 1e-15);
    cg_tape_rewind(tape, mark);
    ck_assert_ptr_null(cg_tensor_grad(a));
    cg_tensor *other = cg_full(tape, CG_F64, CG_DIMS(3), 2.385);
    cg_tensor *y = cg_neg(tape, a);
    ck_assert_ptr_null(cg_tensor_grad(a));
    walk(y);
    near(grad_of(a), -1, 0);
    NEAR_ALL(other, 0, 2.385, 2.385, 2.385);
    near(cg_tensor_item(y), -exp(0.6), 1e-15);
    cg_tape_rewind(tape, mark);
  }
  cg_leaf_free(w);
}
END_TEST

/* ---- modified leaves ---- */

START_TEST(modified_leaves_are_refused_where_needed) {
  cg_tensor *w = scalar_leaf(0.6), *v = scalar_leaf(1.7);
  cg_leaf_set_name(w, "rnn.weight");
  cg_scope_push(tape, "cell");
  cg_tensor *sum = cg_add(tape, w, v), *th = cg_tanh(tape, w);
  cg_tensor *cast = cg_cast(tape, w, CG_F32), *product = cg_mul(tape, w, v);
  cg_tensor *flat = cg_reshape(tape, w, CG_DIMS(1));
  cg_tensor *viewed = cg_mul(tape, flat, v);
  cg_scope_pop(tape);
  cg_leaf_fill(w, 9);
  walk(sum); /* needs no value at all */
  walk(th);  /* needs its result only */
  walk(cast);
  near(grad_of(w), 2 + 1 - tanh(0.6) * tanh(0.6), 1e-15);
  ck_assert_int_eq(cg_backward(tape, product), CG_ERR_STALE);
  ck_assert_str_eq(cg_tape_error(tape)->scope, "cell");
  failed(tape, CG_ERR_STALE, "mul", "rnn.weight");
  ck_assert_int_eq(cg_backward(tape, viewed), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "mul", "rnn.weight");
  cg_leaf_set_requires_grad(v, false);
  ck_assert_int_eq(cg_backward(tape, sum), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "backward", "gradient");
  near(cg_tensor_item(cg_mul(tape, w, w)), 81, 0); /* what is new is seen */
  walk(cg_mul(tape, w, w));
  fine(tape);
  cg_leaf_free(w);
  cg_leaf_free(v);
}
END_TEST

/* A walk that adds to a gradient modifies it: a graph that it is an operand of
 * is then out of date. */
START_TEST(gradients_as_operands_are_watched) {
  cg_tensor *w = scalar_leaf(3);
  walk(cg_square(tape, w));
  cg_tensor *y = cg_mul(tape, w, cg_leaf_grad(w));
  near(cg_tensor_item(y), 18, 0);
  walk(y);
  near(grad_of(w), 12, 0);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_STALE);
  cg_leaf_free(w);
}
END_TEST

/* ---- refused roots ---- */

START_TEST(bad_roots_are_refused) {
  cg_tensor *w = leaf_of((double[]){1, 2}, CG_DIMS(2));
  cg_tensor *y = cg_square(tape, w), *seed = cg_full(tape, CG_F32, 0, NULL, 1);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "backward", "[2]");
  ck_assert_int_eq(cg_backward(tape, NULL), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "backward", "NULL");
  ck_assert_int_eq(cg_backward(tape, cg_scalar(tape, CG_F64, 1)),
                   CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "backward", "requires a gradient");
  ck_assert_int_eq(cg_backward(tape, cg_full(tape, CG_I64, 0, NULL, 1)),
                   CG_ERR_DTYPE);
  failed(tape, CG_ERR_DTYPE, "backward", "i64");
  ck_assert_int_eq(cg_backward_from(tape, &y, &seed, 1), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "backward", "f32 [] where root 0 is f64 [2]");
  ck_assert_int_eq(cg_backward_from(tape, NULL, NULL, 1), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_backward_from(tape, &y, NULL, 0), CG_ERR_ARG);
  cg_tape_clear_error(tape);
  ck_assert_ptr_null(cg_tensor_grad(w));
  walk(cg_sum_all(tape, y));
  NEAR_ALL(cg_tensor_grad(w), 0, 2, 4);
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, gradients_accumulate_until_zeroed);
  tcase_add_test(tc, fan_out_sums);
  tcase_add_test(tc, one_operand_twice);
  tcase_add_test(tc, a_leaf_used_many_times);
  tcase_add_test(tc, broadcast_gradients_are_summed);
  tcase_add_test(tc, several_roots_with_seeds);
  tcase_add_test(tc, a_leaf_as_root);
  tcase_add_test(tc, detach_cuts);
  tcase_add_test(tc, operands_come_before_results);
  tcase_add_test(tc, each_node_is_visited_once);
  tcase_add_test(tc, a_long_chain_needs_little_stack);
  tcase_add_test(tc, retained_gradients);
  tcase_add_test(tc, rewinding_drops_retained_gradients);
  tcase_add_test(tc, modified_leaves_are_refused_where_needed);
  tcase_add_test(tc, gradients_as_operands_are_watched);
  tcase_add_test(tc, bad_roots_are_refused);
  return run_case("backward", tc);
}
