/* test_tape_memory.c - the tape's memory: flat in a loop, within its limit, and
 * every allocation that fails is an error that leaves the tape usable. */
#include "engine_test.h"

/* ---- a small training step that passes through most of the engine ---- */

typedef struct net {
  cg_tensor *W, *b, *x;
} net;

static net net_new(void) {
  static const double W[] = {0.31, -0.72, 0.55, 0.18, -0.93, 0.44};
  static const double b[] = {0.05, -0.27};
  static const double x[] = {1.3, -0.8, 0.6, 0.2, 2.1, -1.7, 0.9, 0.4, -0.5};
  return (net){leaf_of(W, CG_DIMS(2, 3)), leaf_of(b, CG_DIMS(2)),
               leaf_of(x, CG_DIMS(3, 3))};
}

static void net_free(net *n) {
  cg_leaf_free(n->W);
  cg_leaf_free(n->b);
  cg_leaf_free(n->x);
}

static cg_tensor *net_loss(cg_tape *tape, net *n) {
  cg_tensor *rows[3];
  for (int t = 0; t < 3; t++) {
    cg_scope_push_index(tape, "t", t);
    cg_tensor *x = cg_narrow(tape, n->x, 0, t, 1);
    rows[t] = cg_tanh(tape, cg_linear(tape, x, n->W, n->b));
    cg_scope_pop(tape);
  }
  cg_tensor *h = cg_concat(tape, rows, 3, 0);
  return cg_mean_all(tape, cg_square(tape, cg_mul(tape, h, h)));
}

/* Forward, backward, and |gradient|^2 of the gradient, walked back again. */
static cg_status net_step(cg_tape *tape, net *n) {
  cg_tensor *in[] = {n->W, n->b, n->x}, *g[3], *gg[3];
  cg_tensor *loss = net_loss(tape, n);
  if (cg_backward(tape, loss)) return cg_tape_status(tape);
  if (cg_grad(tape, &loss, 1, NULL, in, 3, g, CG_CREATE_GRAPH))
    return cg_tape_status(tape);
  cg_tensor *sum = NULL;
  for (int i = 0; i < 3; i++) {
    cg_tensor *s = cg_sum_all(tape, cg_square(tape, g[i]));
    sum = i ? cg_add(tape, sum, s) : s;
  }
  return cg_grad(tape, &sum, 1, NULL, in, 3, gg, 0);
}

/* ---- flat ---- */

START_TEST(a_loop_is_flat) {
  counter c;
  counter_init(&c);
  cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  net n = net_new();
  cg_mark mark = cg_tape_mark(tape);
  cg_tape_stats warm = {0}, now;
  size_t calls = 0;
  for (int i = 0; i < 1000; i++) {
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    if (i == 20) {
      warm = cg_tape_get_stats(tape);
      calls = c.calls;
    }
    ck_assert_int_eq(net_step(tape, &n), CG_OK);
  }
  cg_tape_rewind(tape, mark);
  now = cg_tape_get_stats(tape);
  ck_assert_uint_eq(now.nodes, warm.nodes);
  ck_assert_uint_le(now.bytes_used, warm.bytes_used + 128);
  ck_assert_uint_eq(now.bytes_held, warm.bytes_held);
  ck_assert_uint_eq(now.bytes_peak, warm.bytes_peak);
  ck_assert_uint_eq(now.system_allocs, warm.system_allocs);
  ck_assert_uint_eq(c.calls, calls);
  ck_assert_uint_eq(now.bytes_held, c.live_bytes);
  cg_tape_free(tape);
  ck_assert_uint_eq(c.live_blocks, 0);
  ck_assert_uint_eq(c.live_bytes, 0);
  net_free(&n);
}
END_TEST

/* A mark taken anew in each round must not creep forward. */
START_TEST(a_loop_of_new_marks_is_flat) {
  cg_tape *tape = cg_tape_new(NULL);
  size_t used = 0;
  for (int i = 0; i < 1000; i++) {
    cg_mark mark = cg_tape_mark(tape);
    cg_scalar(tape, CG_F64, i);
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    if (i == 8) used = cg_tape_get_stats(tape).bytes_used;
  }
  ck_assert_uint_le(cg_tape_get_stats(tape).bytes_used, used + 128);
  cg_tape_free(tape);
}
END_TEST

/* ---- failing ---- */

/* The results of a step are right: against a tape where nothing failed. */
static void step_is_right(cg_tape *tape, net *n) {
  cg_tape *fresh = cg_tape_new(NULL);
  cg_tensor *in[] = {n->W, n->b, n->x}, *a[3], *b[3];
  cg_tensor *la = net_loss(tape, n), *lb = net_loss(fresh, n);
  ck_assert_int_eq(cg_grad(tape, &la, 1, NULL, in, 3, a, 0), CG_OK);
  ck_assert_int_eq(cg_grad(fresh, &lb, 1, NULL, in, 3, b, 0), CG_OK);
  near(cg_tensor_item(la), cg_tensor_item(lb), 0);
  for (int i = 0; i < 3; i++)
    for (int64_t k = 0; k < cg_tensor_numel(a[i]); k++)
      near(cg_tensor_get(a[i], k), cg_tensor_get(b[i], k), 0);
  cg_tape_free(fresh);
}

START_TEST(each_allocation_may_fail) {
  net n = net_new();
  size_t fail_at = 1, failures = 0;
  for (bool done = false; !done; fail_at++) { /* until none is left to fail */
    counter c;
    counter_init(&c);
    c.fail_at = fail_at;
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    if (!tape) {
      ck_assert_uint_eq(c.live_blocks, 0);
      failures++;
      continue;
    }
    cg_mark mark = cg_tape_mark(tape);
    cg_status status = net_step(tape, &n);
    ck_assert(status == CG_OK || status == CG_ERR_NOMEM);
    done = c.calls < fail_at;
    ck_assert(status == CG_OK || !done);
    if (status) {
      failures++;
      ck_assert_ptr_nonnull(strstr(cg_tape_error(tape)->message, "memory"));
      ck_assert_ptr_null(net_loss(tape, &n));
    }
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    step_is_right(tape, &n);
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    ck_assert_int_eq(net_step(tape, &n), CG_OK);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
    ck_assert_uint_eq(c.live_bytes, 0);
  }
  ck_assert_uint_gt(failures, 5);
  net_free(&n);
}
END_TEST

/* The same when memory runs out for good, and comes back after the rewind. */
START_TEST(memory_may_end_anywhere) {
  net n = net_new();
  cg_tape *full = cg_tape_new(NULL);
  net_step(full, &n);
  size_t peak = cg_tape_get_stats(full).bytes_peak, failures = 0;
  cg_tape_free(full);
  cg_tape *small = cg_tape_new(NULL);
  size_t least = cg_tape_get_stats(small).bytes_held;
  cg_tape_free(small);
  for (size_t limit = least; limit < 2 * peak; limit += 509) {
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.byte_limit = limit});
    cg_mark mark = cg_tape_mark(tape);
    for (int round = 0; round < 3; round++) {
      cg_status status = net_step(tape, &n);
      ck_assert(status == CG_OK || status == CG_ERR_LIMIT);
      failures += status != CG_OK;
      if (status) {
        char text[32];
        snprintf(text, sizeof text, "may hold %zu", limit);
        ck_assert_ptr_nonnull(strstr(cg_tape_error(tape)->message, text));
      }
      ck_assert_uint_le(cg_tape_get_stats(tape).bytes_peak, limit);
      ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    }
    cg_tape_free(tape);
  }
  ck_assert_uint_gt(failures, 30);
  net_free(&n);
}
END_TEST

/* Without memory to note a rewind, dropped marks must be refused all the
 * same. */
START_TEST(dropped_marks_without_memory) {
  for (size_t fail_at = 1; fail_at < 12; fail_at++) {
    counter c;
    counter_init(&c);
    c.fail_at = fail_at;
    cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    if (!tape) continue;
    cg_mark mark[40];
    for (int i = 0; i < 40; i++) {
      mark[i] = cg_tape_mark(tape);
      cg_scalar(tape, CG_F64, i);
      cg_tape_clear_error(tape);
    }
    cg_mark last = cg_tape_mark(tape);
    cg_scalar(tape, CG_F64, 1);
    ck_assert_int_eq(cg_tape_rewind(tape, mark[3]), CG_OK);
    for (int i = 4; i < 40; i++) {
      ck_assert_int_eq(cg_tape_rewind(tape, mark[i]), CG_ERR_STATE);
      cg_tape_clear_error(tape);
    }
    ck_assert_int_eq(cg_tape_rewind(tape, last), CG_ERR_STATE);
    ck_assert_int_eq(cg_tape_rewind(tape, mark[0]), CG_OK);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
}
END_TEST

/* A header whose data found no room is memory of the tape, too: dropped tensors
 * that were there must not come to life again. */
START_TEST(dropped_tensors_under_a_failure) {
  enum { N = 100, OLD = 10 };
  counter c;
  counter_init(&c);
  cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  cg_tensor *x = leaf_of(NULL, CG_DIMS(64)), *in[N], *old[OLD];
  for (int i = 0; i < N; i++) in[i] = x;
  cg_mark mark = cg_tape_mark(tape);
  for (int i = 0; i < OLD; i++) old[i] = cg_scalar(tape, CG_F64, 0.7 + i);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  c.fail_at = c.calls + 4; /* the list, proxies, their table, the data */
  ck_assert_ptr_null(cg_stack(tape, in, N, 0));
  failed(tape, CG_ERR_NOMEM, "stack", "51264");
  for (int i = 0; i < OLD; i++) {
    ck_assert_ptr_null(cg_neg(tape, old[i]));
    failed(tape, CG_ERR_STALE, "neg", "does not live on this tape");
  }
  cg_tape_free(tape);
  cg_leaf_free(x);
}
END_TEST

/* Many rewinds, each further on than the one before. */
START_TEST(rewinds_further_and_further) {
  counter c;
  counter_init(&c);
  cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  enum { N = 200 };
  cg_mark mark[N + 1];
  for (int i = 0; i < N; i++) {
    cg_scalar(tape, CG_F64, i);
    mark[i] = cg_tape_mark(tape);
    cg_scalar(tape, CG_F64, i);
    mark[N] = cg_tape_mark(tape);
    if (i > 100) c.fail_at = c.calls + 1; /* forget, but never too little */
    ck_assert_int_eq(cg_tape_rewind(tape, mark[i]), CG_OK);
    c.fail_at = 0;
    ck_assert_int_eq(cg_tape_rewind(tape, mark[N]), CG_ERR_STATE);
    cg_tape_clear_error(tape);
  }
  ck_assert_int_eq(cg_tape_rewind(tape, mark[50]), CG_OK);
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, 51);
  cg_tape_free(tape);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_test(tc, a_loop_is_flat);
  tcase_add_test(tc, a_loop_of_new_marks_is_flat);
  tcase_add_test(tc, each_allocation_may_fail);
  tcase_add_test(tc, memory_may_end_anywhere);
  tcase_add_test(tc, dropped_marks_without_memory);
  tcase_add_test(tc, dropped_tensors_under_a_failure);
  tcase_add_test(tc, rewinds_further_and_further);
  return run_case("tape_memory", tc);
}
