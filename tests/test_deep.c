/* test_deep.c - a chain of ten million scalar nodes, forward and backward, on a
 * stack of 64 KiB (1 MiB at most, see below): nothing recurses, and all memory
 * comes back.
 * usage: test_deep [--all]   without: a thousand nodes only */
#include "engine_test.h"

#include <errno.h>
#include <pthread.h>

enum { NODES = 10000000, STACK = 1 << 16, SHORT = 1000 };

/* A heap that counts, but does not touch what nobody uses. */
static void *count_alloc(void *context, size_t size) {
  counter *c = context;
  void *p;
  if (posix_memalign(&p, CG_ALIGNMENT, size)) return NULL;
  c->live_blocks++;
  c->live_bytes += size;
  return p;
}

static void count_release(void *context, void *block, size_t size) {
  counter *c = context;
  c->live_blocks--;
  c->live_bytes -= size;
  free(block);
}

typedef struct chain {
  int n;
  bool views;
  double y, w_grad, g;
  cg_status status;
  size_t nodes, live_blocks;
} chain;

/* x_0 = w, x_{k+1} = +-(x_k w): |x_n| = w^(n+1), with w near 1. */
static cg_tensor *build(cg_tape *tape, cg_tensor *w, int n) {
  cg_tensor *x = w;
  for (int k = 0; k < n; k += 2) x = cg_neg(tape, cg_mul(tape, x, w));
  return x;
}

/* The gradient of each is a view of that of the next. */
static cg_tensor *build_views(cg_tape *tape, cg_tensor *w, int n) {
  cg_tensor *x = w;
  for (int k = 0; k < n; k++)
    x = cg_reshape(tape, x, k % 2, (const int64_t[]){1});
  return x;
}

static void *run(void *argument) {
  chain *c = argument;
  counter heap = {.allocator = {count_alloc, count_release, &heap}};
  cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &heap.allocator});
  cg_tensor *w = cg_leaf_new(&heap.allocator, CG_F64, 0, NULL, NULL);
  cg_leaf_set_requires_grad(w, true);
  cg_leaf_fill(w, 1 + 1e-8);
  cg_tensor *y = (c->views ? build_views : build)(tape, w, c->n);
  cg_tensor *const *order;
  c->y = cg_tensor_item(y);
  c->status = cg_backward(tape, y);
  c->w_grad = cg_tensor_item(cg_tensor_grad(w));
  cg_tensor *g = NULL;
  if (!c->status) c->status = cg_grad(tape, &y, 1, NULL, &w, 1, &g, 0);
  c->g = cg_tensor_item(g);
  if (!c->status) c->status = cg_tape_toposort(tape, y, &order, &c->nodes);
  cg_tape_free(tape);
  cg_leaf_free(w);
  c->live_blocks = heap.live_blocks;
  return NULL;
}

static void check(const chain *c) {
  double p = c->n / 2 + 1, w = 1 + 1e-8, sign = c->n / 2 % 2 ? -1 : 1;
  ck_assert_int_eq(c->status, CG_OK);
  near(c->y, sign * pow(w, p), 1e-8);
  near(c->w_grad / p, sign * pow(w, p - 1), 1e-8);
  ck_assert(c->g == c->w_grad);
  ck_assert_uint_eq(c->nodes, (size_t)c->n);
  ck_assert_uint_eq(c->live_blocks, 0);
}

/* In a thread whose stack is far smaller than any main thread's; libraries that
 * keep much per thread (OpenBLAS) have a larger least size. */
static void run_on_small_stack(chain *c) {
  pthread_attr_t attr;
  pthread_t thread;
  int status = EINVAL;
  ck_assert_int_eq(pthread_attr_init(&attr), 0);
  for (size_t size = STACK; status == EINVAL && size <= 16 * STACK; size *= 2) {
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, size), 0);
    status = pthread_create(&thread, &attr, run, c);
  }
  ck_assert_int_eq(status, 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attr);
}

START_TEST(a_chain) {
  chain c = {.n = _i ? NODES : SHORT};
  run_on_small_stack(&c);
  check(&c);
}
END_TEST

START_TEST(a_chain_of_views) {
  chain c = {.n = 100000, .views = true};
  run_on_small_stack(&c);
  ck_assert_int_eq(c.status, CG_OK);
  ck_assert_double_eq(c.w_grad, 1);
  ck_assert_double_eq(c.g, 1);
  ck_assert_uint_eq(c.nodes, (size_t)c.n);
  ck_assert_uint_eq(c.live_blocks, 0);
}
END_TEST

int main(int argc, char **argv) {
  bool all = argc > 1 && !strcmp(argv[1], "--all");
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, a_chain, 0, all ? 2 : 1);
  tcase_add_test(tc, a_chain_of_views);
  return run_case("deep", tc);
}
