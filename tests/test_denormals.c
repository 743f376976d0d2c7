/* test_denormals.c - gradients that vanish: denormal by the rules of IEEE 754,
 * zero where the thread says so, and each thread for itself. */
#include "engine_test.h"

#include <float.h>
#include <pthread.h>

/* The largest element of dL/dW, L = sum (2.385 W x) factor^4, whose last steps
 * back are products with a tiny matrix. */
static double gradient_scale(cg_dtype dtype, double factor, bool flush) {
  enum { M = 32, K = 64, N = 48 };
  cg_rng rng = cg_rng_seed(17);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *W = cg_leaf_new(NULL, dtype, CG_DIMS(M, K), NULL);
  cg_leaf_set_requires_grad(W, true);
  cg_tensor *x = cg_rand_normal(tape, &rng, dtype, CG_DIMS(K, N));
  cg_tensor *y = cg_matmul(tape, cg_mul_scalar(tape, W, 2.385), x);
  cg_flush_denormals(flush);
  for (int i = 0; i < 4; i++) y = cg_mul_scalar(tape, y, factor);
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, y)), CG_OK);
  cg_flush_denormals(false); /* or the comparisons below would flush, too */
  double most = 0;
  for (int i = 0; i < M * K; i++)
    most = fmax(most, fabs(cg_tensor_get(cg_tensor_grad(W), i)));
  cg_tape_free(tape);
  cg_leaf_free(W);
  return most;
}

START_TEST(vanishing_gradients) {
  const cg_dtype dtype = _i ? CG_F64 : CG_F32;
  const double factor = _i ? 1e-78 : 1e-10;
  const double least = _i ? DBL_MIN : (double)FLT_MIN;
  ck_assert(!cg_flushes_denormals());
  double exact = gradient_scale(dtype, factor, false);
  ck_assert(exact > 0 && exact < least);
  if (!cg_flush_denormals(true)) return; /* no such processor */
  ck_assert(cg_flushes_denormals());
  ck_assert(cg_flush_denormals(false));
  ck_assert(!cg_flushes_denormals());
  ck_assert(gradient_scale(dtype, factor, true) == 0);
  ck_assert(gradient_scale(dtype, factor, false) == exact);
  double plain = gradient_scale(dtype, 0.5, false);
  ck_assert(gradient_scale(dtype, 0.5, true) == plain);
}
END_TEST

/* Turns it on where it was off, and off where it was on. */
static void *turn(void *was) {
  *(bool *)was = cg_flushes_denormals();
  cg_flush_denormals(!*(bool *)was);
  return NULL;
}

START_TEST(each_thread_for_itself) {
  for (int mine = 0; mine < 2; mine++) {
    if (!cg_flush_denormals(mine)) continue;
    pthread_t thread;
    bool was;
    ck_assert_int_eq(pthread_create(&thread, NULL, turn, &was), 0);
    pthread_join(thread, NULL);
#ifdef __linux__
    ck_assert(was == mine);
#endif
    ck_assert(cg_flushes_denormals() == mine);
  }
  cg_flush_denormals(false);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_loop_test(tc, vanishing_gradients, 0, 2);
  tcase_add_test(tc, each_thread_for_itself);
  return run_case("denormals", tc);
}
