/* test_ops_random.c - random constants and dropout: the numbers of the stream,
 * their distribution, and that a mask comes again in every derivative. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

/* Element i is number counter + i of the stream, wherever that begins. */
START_TEST(uniform_numbers_of_the_stream) {
  cg_rng rng = cg_rng_seed(0x123456789abcdefULL);
  for (int k = 0; k < 3; k++) {
    const int64_t n = k == 1 ? 101 : 7; /* even and odd beginnings */
    cg_rng copy = rng;
    cg_tensor *x = cg_rand_uniform(tape, &rng, CG_F64, 1, &n);
    ck_assert_uint_eq(rng.counter, copy.counter + (uint64_t)n);
    cg_rng narrow = copy;
    cg_tensor *y = cg_rand_uniform(tape, &narrow, CG_F32, 1, &n);
    for (int64_t i = 0; i < n; i++) {
      double u = cg_rng_uniform(&copy);
      ck_assert_double_eq(cg_tensor_get(x, i), u);
      ck_assert_double_eq(cg_tensor_get(y, i), floor(u * 0x1p24) * 0x1p-24);
    }
  }
  /* Far out, where the counter needs more than 32 bits. */
  cg_rng far = {7, 0x1ffffffffULL}, same = far;
  cg_tensor *x = cg_rand_uniform(tape, &far, CG_F64, CG_DIMS(3));
  for (int i = 0; i < 3; i++)
    ck_assert_double_eq(cg_tensor_get(x, i), cg_rng_uniform(&same));
}
END_TEST

START_TEST(distributions) {
  enum { N = 100000 };
  cg_rng rng = cg_rng_seed(99);
  const int64_t n = N;
  double sum[2] = {0}, squares[2] = {0};
  cg_tensor *x[] = {cg_rand_uniform(tape, &rng, CG_F64, 1, &n),
                    cg_rand_normal(tape, &rng, CG_F64, 1, &n)};
  ck_assert_uint_eq(rng.counter, 3 * N);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < N; i++) {
      double v = cg_tensor_get(x[k], i);
      sum[k] += v;
      squares[k] += v * v;
    }
  near(sum[0] / N, 0.5, 0.005);
  near(squares[0] / N, 1.0 / 3, 0.005);
  near(sum[1] / N, 0, 0.015);
  near(squares[1] / N, 1, 0.02);
}
END_TEST

START_TEST(refused_constants) {
  cg_rng rng = cg_rng_seed(5);
  ck_assert_ptr_null(cg_rand_uniform(tape, &rng, CG_I64, CG_DIMS(2)));
  failed(tape, CG_ERR_DTYPE, "rand_uniform", "i64");
  ck_assert_ptr_null(cg_rand_normal(tape, NULL, CG_F64, CG_DIMS(2)));
  failed(tape, CG_ERR_ARG, "rand_normal", "NULL");
  ck_assert_ptr_null(cg_rand_normal(tape, &rng, CG_F64, CG_DIMS(-2)));
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_SHAPE);
  cg_tape_clear_error(tape);
  has_shape(cg_rand_normal(tape, &rng, CG_F32, CG_DIMS(0, 3)), CG_DIMS(0, 3));
  ck_assert_uint_eq(rng.counter, 0);
}
END_TEST

/* ---- dropout ---- */

START_TEST(dropout_of_a_stream) {
  enum { N = 1000 };
  cg_dtype dtype = _i ? CG_F64 : CG_F32;
  cg_rng rng = {31, 5}, u = rng;
  const double p = 0.3;
  cg_tensor *x = cg_full(tape, dtype, CG_DIMS(10, N / 10), 1.75);
  cg_tensor *y = cg_dropout(tape, x, p, &rng);
  ck_assert_uint_eq(rng.counter, 5 + N);
  int dropped = 0;
  for (int i = 0; i < N; i++) {
    bool keep = cg_rng_uniform(&u) >= p;
    dropped += !keep;
    near(cg_tensor_get(y, i), keep ? 1.75 / (1 - p) : 0, _i ? 1e-15 : 1e-7);
  }
  ck_assert_int_gt(dropped, 230);
  ck_assert_int_lt(dropped, 370);
}
END_TEST

START_TEST(the_mask_comes_again) {
  enum { N = 40 };
  double v[N];
  for (int i = 0; i < N; i++) v[i] = 0.25 + i;
  cg_tensor *x = leaf_of(v, CG_DIMS(4, N / 4));
  cg_rng rng = cg_rng_seed(8), again = rng;
  cg_tensor *y = cg_dropout(tape, x, 0.5, &rng);
  cg_tensor *z = cg_dropout(tape, x, 0.5, &again);
  cg_tensor *other = cg_dropout(tape, x, 0.5, &rng);
  bool differs = false;
  for (int i = 0; i < N; i++) {
    ck_assert_double_eq(cg_tensor_get(y, i), cg_tensor_get(z, i));
    differs |= cg_tensor_get(y, i) != cg_tensor_get(other, i);
  }
  ck_assert(differs);
  /* d/dx of sum(dropout(x)^2) = 2 m^2 x, and of its sum 2 m^2. */
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y)), *g, *gg;
  cg_grad(tape, &loss, 1, NULL, &x, 1, &g, CG_CREATE_GRAPH);
  cg_tensor *s = cg_sum_all(tape, g);
  cg_grad(tape, &s, 1, NULL, &x, 1, &gg, 0);
  fine(tape);
  for (int i = 0; i < N; i++) {
    double m = cg_tensor_get(y, i) / v[i];
    near(cg_tensor_get(g, i), 2 * m * m * v[i], 1e-14);
    near(cg_tensor_get(gg, i), 2 * m * m, 1e-14);
  }
  cg_leaf_free(x);
}
END_TEST

START_TEST(dropout_at_its_ends) {
  cg_rng rng = cg_rng_seed(1);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(3), 2.385);
  NEAR_ALL(cg_dropout(tape, x, 0, &rng), 0, 2.385, 2.385, 2.385);
  NEAR_ALL(cg_dropout(tape, x, 1, &rng), 0, 0, 0, 0);
  ck_assert_uint_eq(rng.counter, 6);
  ck_assert_ptr_null(cg_dropout(tape, x, 1.5, &rng));
  failed(tape, CG_ERR_ARG, "dropout", "1.5");
  ck_assert_ptr_null(cg_dropout(tape, x, NAN, &rng));
  failed(tape, CG_ERR_ARG, "dropout", "must be in [0, 1]");
  ck_assert_ptr_null(cg_dropout(tape, x, 0.5, NULL));
  failed(tape, CG_ERR_ARG, "dropout", "NULL");
  ck_assert_uint_eq(rng.counter, 6);
  cg_tensor *turned = cg_transpose(
      tape, cg_rand_uniform(tape, &rng, CG_F64, CG_DIMS(3, 4)), 0, 1);
  cg_rng a = rng, b = rng;
  cg_tensor *y = cg_dropout(tape, turned, 0.4, &a);
  cg_tensor *z = cg_dropout(tape, cg_contiguous(tape, turned), 0.4, &b);
  for (int i = 0; i < 12; i++)
    ck_assert_double_eq(cg_tensor_get(y, i), cg_tensor_get(z, i));
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("random");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, uniform_numbers_of_the_stream);
  tcase_add_test(tc, distributions);
  tcase_add_test(tc, refused_constants);
  tcase_add_loop_test(tc, dropout_of_a_stream, 0, 2);
  tcase_add_test(tc, the_mask_comes_again);
  tcase_add_test(tc, dropout_at_its_ends);
  return run_case("random numbers and dropout", tc);
}
