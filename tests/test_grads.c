/* test_grads.c - gradients with a home of their own: the same sums as in the
 * leaves, none of which is written; threads over shared leaves. */
#include "engine_test.h"

#include <pthread.h>

enum { H = 6, T = 5, ROUNDS = 50 };

static cg_tensor *W, *X;
static double w[H * H], x[T * H];

static void setup(void) {
  cg_rng rng = cg_rng_seed(99);
  for (int i = 0; i < H * H; i++) w[i] = cg_rng_normal(&rng) / H;
  for (int i = 0; i < T * H; i++) x[i] = cg_rng_normal(&rng);
  W = leaf_of(w, CG_DIMS(H, H));
  X = leaf_of(x, CG_DIMS(T, H));
}

static void teardown(void) {
  cg_leaf_free(W);
  cg_leaf_free(X);
}

/* The loss of a small recurrent net. */
static cg_tensor *net(cg_tape *tape, double start) {
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(1, H), start);
  for (int t = 0; t < T; t++) {
    cg_tensor *xt = cg_narrow(tape, X, 0, t, 1);
    h = cg_tanh(tape, cg_addmm(tape, xt, h, W, false, true));
  }
  return cg_mean_all(tape, cg_square(tape, h));
}

static cg_status into(cg_tape *tape, cg_tensor *root, cg_grads *grads) {
  return cg_backward_into(tape, &root, NULL, 1, grads);
}

/* ---- one thread ---- */

START_TEST(same_bits_as_in_leaves) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_grads *grads = cg_grads_new(NULL);
  ck_assert_ptr_null(cg_grads_get(grads, W));
  for (int i = 0; i < 3; i++) { /* they accumulate */
    cg_tensor *L = net(tape, 0.1 * i);
    ck_assert_int_eq(into(tape, L, grads), CG_OK);
    if (i == 0) ck_assert_ptr_null(cg_tensor_grad(W));
    ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  }
  ck_assert_ptr_null(cg_grads_get(grads, NULL));
  const cg_tensor *leaf[] = {W, X};
  for (int i = 0; i < 2; i++) {
    const cg_tensor *g = cg_grads_get(grads, leaf[i]);
    ck_assert_ptr_nonnull(g);
    size_t bytes = sizeof(double) * (size_t)cg_tensor_numel(leaf[i]);
    ck_assert_mem_eq(cg_tensor_data(g),
                     cg_tensor_data(cg_tensor_grad(leaf[i])), bytes);
    ck_assert(cg_tensor_get(g, 3) != 0);
  }
  cg_grads_zero(grads);
  near(cg_tensor_get(cg_grads_get(grads, W), 3), 0, 0);
  cg_grads_free(grads);
  cg_tape_free(tape);
}
END_TEST

START_TEST(added_to_leaves) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_grads *grads = cg_grads_new(NULL);
  cg_tensor *a = scalar_leaf(0.7), *b = scalar_leaf(1.3);
  cg_tensor *y = cg_mul(tape, cg_square(tape, a), b);
  ck_assert_int_eq(cg_backward(tape, y), CG_OK);
  ck_assert_int_eq(into(tape, y, grads), CG_OK);
  ck_assert_int_eq(cg_grads_add_to_leaves(grads), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(a)), 2 * 1.82, 1e-14);
  near(cg_tensor_item(cg_tensor_grad(b)), 2 * 0.49, 1e-14);
  cg_leaf_set_requires_grad(b, false);
  ck_assert_int_eq(cg_grads_add_to_leaves(grads), CG_ERR_STATE);
  near(cg_tensor_item(cg_tensor_grad(a)), 2 * 1.82, 1e-14);
  cg_grads_free(grads);
  cg_tape_free(tape);
  cg_leaf_free(a);
  cg_leaf_free(b);
}
END_TEST

/* More leaves than the first table has room for. */
START_TEST(many_leaves) {
  enum { N = 100 };
  cg_tape *tape = cg_tape_new(NULL);
  cg_grads *grads = cg_grads_new(NULL);
  cg_tensor *leaf[N], *y = cg_scalar(tape, CG_F64, 0);
  for (int i = 0; i < N; i++) {
    leaf[i] = scalar_leaf(i / 7.0);
    y = cg_add(tape, y, cg_square(tape, leaf[i]));
  }
  ck_assert_int_eq(into(tape, y, grads), CG_OK);
  for (int i = 0; i < N; i++)
    near(cg_tensor_item(cg_grads_get(grads, leaf[i])), 2 * i / 7.0, 1e-14);
  cg_grads_free(grads);
  cg_tape_free(tape);
  for (int i = 0; i < N; i++) cg_leaf_free(leaf[i]);
}
END_TEST

START_TEST(warm_steps_allocate_nothing) {
  counter c;
  counter_init(&c);
  cg_tape *tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  cg_grads *grads = cg_grads_new(&c.allocator);
  cg_mark start = cg_tape_mark(tape);
  for (int i = 0; i < 6; i++) {
    size_t before = c.calls;
    cg_grads_zero(grads);
    ck_assert_int_eq(into(tape, net(tape, 0.1), grads), CG_OK);
    cg_tape_rewind(tape, start);
    if (i > 1) ck_assert_uint_eq(c.calls, before);
  }
  cg_grads_free(grads);
  cg_tape_free(tape);
  ck_assert_uint_eq(c.live_blocks, 0);
}
END_TEST

START_TEST(bad_calls) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *L = net(tape, 0.1);
  ck_assert_int_eq(into(tape, L, NULL), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "backward", "NULL");
  ck_assert_int_eq(cg_grads_add_to_leaves(NULL), CG_ERR_ARG);
  cg_grads_zero(NULL);
  cg_grads_free(NULL);
  ck_assert_ptr_null(cg_grads_get(NULL, W));
  cg_grads *grads = cg_grads_new(NULL);
  ck_assert_int_eq(into(NULL, L, grads), CG_ERR_ARG);
  L = cg_sum_all(tape, W);
  cg_leaf_set_requires_grad(W, false); /* since it was used */
  ck_assert_int_eq(into(tape, L, grads), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "backward", "required a gradient");
  cg_leaf_set_requires_grad(W, true);
  ck_assert_int_eq(into(tape, net(tape, 0.1), grads), CG_OK);
  cg_leaf_set_requires_grad(W, false); /* since the walk */
  ck_assert_int_eq(cg_grads_add_to_leaves(grads), CG_ERR_STATE);
  ck_assert_ptr_null(cg_tensor_grad(W));
  cg_grads_free(grads);
  cg_tape_free(tape);
}
END_TEST

START_TEST(allocation_fails) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *L = net(tape, 0.1);
  counter c;
  bool ok = false;
  for (size_t n = 1; !ok; n++) {
    counter_init(&c);
    c.fail_at = n;
    cg_grads *grads = cg_grads_new(&c.allocator);
    if (grads) {
      ok = into(tape, L, grads) == CG_OK;
      if (!ok) failed(tape, CG_ERR_NOMEM, "backward", "no memory");
      if (ok) ck_assert_uint_lt(c.calls, n);
      cg_grads_free(grads);
    }
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  cg_tape_free(tape);
}
END_TEST

/* ---- threads ---- */

typedef struct job {
  double start;
  cg_grads *grads;
  cg_status status;
} job;

static void *run(void *argument) {
  job *j = argument;
  cg_tape *tape = cg_tape_new(NULL);
  cg_mark start = cg_tape_mark(tape);
  for (int i = 0; i < ROUNDS && !j->status; i++) {
    cg_tensor *L = net(tape, j->start + 0.01 * i);
    j->status = into(tape, L, j->grads);
    if (!j->status) j->status = cg_tape_rewind(tape, start);
  }
  cg_tape_free(tape);
  return NULL;
}

/* What all jobs add to W; `at_once`: in threads. */
static void sum_of_jobs(bool at_once, double out[H * H]) {
  enum { N = 3 };
  job jobs[N];
  pthread_t thread[N];
  cg_leaf_zero_grad(W);
  for (int i = 0; i < N; i++) {
    jobs[i] = (job){.start = 0.3 * i - 0.2, .grads = cg_grads_new(NULL)};
    if (!at_once)
      run(&jobs[i]);
    else
      ck_assert_int_eq(pthread_create(&thread[i], NULL, run, &jobs[i]), 0);
  }
  for (int i = 0; at_once && i < N; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < N; i++) {
    ck_assert_int_eq(jobs[i].status, CG_OK);
    ck_assert_int_eq(cg_grads_add_to_leaves(jobs[i].grads), CG_OK);
    cg_grads_free(jobs[i].grads);
  }
  cg_tensor_read(cg_tensor_grad(W), out, sizeof(double) * H * H);
}

START_TEST(threads_share_leaves) {
  double one[H * H], many[H * H];
  sum_of_jobs(false, one);
  sum_of_jobs(true, many);
  ck_assert_mem_eq(one, many, sizeof one);
  ck_assert(one[0] != 0);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, same_bits_as_in_leaves);
  tcase_add_test(tc, added_to_leaves);
  tcase_add_test(tc, many_leaves);
  tcase_add_test(tc, warm_steps_allocate_nothing);
  tcase_add_test(tc, bad_calls);
  tcase_add_test(tc, allocation_fails);
  tcase_add_test(tc, threads_share_leaves);
  return run_case("grads", tc);
}
