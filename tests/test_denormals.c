/* test_denormals.c - gradients that vanish: denormal by the rules of IEEE 754,
 * zero where the thread says so, and each thread for itself. */
#include "engine_test.h"

#include <fenv.h>
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

enum { PRODUCTS = 20000 };

/* Two numbers with a product about as small as the least normal one and the
 * denormal ones are, now and then special ones, or so few bits that the product
 * lies in the middle between two numbers. */
static void pick(cg_rng *rng, cg_dtype dtype, double x[2]) {
  static const double special[] = {0, -0.0, INFINITY, NAN, 1, -1};
  const int least = dtype == CG_F64 ? -1080 : -152;
  const int at = (int)cg_rng_below(rng, -least);
  const int sum = least + (int)cg_rng_below(rng, 70);
  for (int i = 0; i < 2; i++) {
    const int64_t kind = cg_rng_below(rng, 8);
    double m = kind == 1 ? 1 + (double)cg_rng_below(rng, 16) / 8
                         : 1 + cg_rng_uniform(rng);
    if (cg_rng_below(rng, 2)) m = -m;
    x[i] = ldexp(m, i ? sum + at : -at);
    if (kind == 0) x[i] = special[cg_rng_below(rng, 6)];
    if (dtype == CG_F32) x[i] = (float)x[i];
  }
}

static bool same_bits(const cg_tensor *x, double y) {
  const double z = cg_tensor_get(x, 0);
  return memcmp(&z, &y, sizeof y) == 0 || (isnan(z) && isnan(y));
}

/* Products of scalars have the bits of products in arrays, which the processor
 * computes, whatever it has been told about rounding and denormal numbers. */
static void compare_products(cg_dtype dtype, const double *a, const double *b,
                             int rounding, bool flush) {
  static cg_tensor *z[PRODUCTS], *z_number[PRODUCTS];
  cg_tape *tape = cg_tape_new(NULL);
  const int64_t n = PRODUCTS;
  cg_tensor *x = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(n), a), dtype);
  cg_tensor *y = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(n), b), dtype);
  fesetround(rounding);
  const bool on = flush && cg_flush_denormals(true);
  cg_tensor *want = cg_mul(tape, x, y);
  for (int i = 0; i < PRODUCTS; i++) {
    cg_tensor *p = cg_select(tape, x, 0, i);
    z[i] = cg_mul(tape, p, cg_select(tape, y, 0, i));
    z_number[i] = cg_mul_scalar(tape, p, b[i]);
  }
  if (on) cg_flush_denormals(false);
  fesetround(FE_TONEAREST);
  ck_assert_int_eq(cg_tape_status(tape), CG_OK);
  for (int i = 0; i < PRODUCTS; i++) {
    const double exact = cg_tensor_get(want, i);
    ck_assert_msg(same_bits(z[i], exact), "%a * %a is %a, not %a", a[i], b[i],
                  exact, cg_tensor_get(z[i], 0));
    ck_assert_msg(same_bits(z_number[i], exact),
                  "%a times the number %a is %a", a[i], b[i], exact);
  }
  cg_tape_free(tape);
}

START_TEST(products_of_scalars) {
  static double a[PRODUCTS], b[PRODUCTS];
  const cg_dtype dtype = _i ? CG_F64 : CG_F32;
  const double least = _i ? DBL_MIN : (double)FLT_MIN;
  cg_rng rng = cg_rng_seed(29);
  int small = 0;
  for (int i = 0; i < PRODUCTS; i++) {
    double x[2];
    pick(&rng, dtype, x);
    a[i] = x[0];
    b[i] = x[1];
    const double z = fabs(a[i] * b[i]);
    small += z > 0 && z < least;
  }
  ck_assert_int_gt(small, PRODUCTS / 4);
  compare_products(dtype, a, b, FE_TONEAREST, false);
  compare_products(dtype, a, b, FE_UPWARD, false);
  compare_products(dtype, a, b, FE_DOWNWARD, false);
  compare_products(dtype, a, b, FE_TOWARDZERO, false);
  compare_products(dtype, a, b, FE_TONEAREST, true);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_loop_test(tc, vanishing_gradients, 0, 2);
  tcase_add_loop_test(tc, products_of_scalars, 0, 2);
  tcase_add_test(tc, each_thread_for_itself);
  return run_case("denormals", tc);
}
