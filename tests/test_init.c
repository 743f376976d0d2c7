/* test_init.c - first values: distributions, determinism, refusals. */
#include "nn_test.h"

static const cg_dtype floats[] = {CG_F32, CG_F64};

static cg_tensor *new_leaf(cg_dtype dtype, int rank, const int64_t *shape) {
  cg_tensor *x = cg_leaf_new(NULL, dtype, rank, shape, NULL);
  ck_assert_ptr_nonnull(x);
  return x;
}

/* Mean, standard deviation, least and greatest. */
typedef struct moments {
  double mean, std, min, max;
} moments;

static moments moments_of(const cg_tensor *x) {
  moments m = {0, 0, INFINITY, -INFINITY};
  double n = (double)cg_tensor_numel(x);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    double v = cg_tensor_get(x, i);
    m.mean += v / n;
    m.std += v * v / n;
    m.min = fmin(m.min, v);
    m.max = fmax(m.max, v);
  }
  m.std = sqrt(m.std - m.mean * m.mean);
  return m;
}

/* `m` looks like 20000 draws of a uniform distribution in [a, b). */
static void looks_uniform(moments m, double a, double b) {
  double w = b - a;
  near((m.mean - a) / w, 0.5, 0.01);
  near(m.std / w, sqrt(1.0 / 12.0), 0.01);
  ck_assert(m.min >= a && m.min < a + 0.001 * w);
  ck_assert(m.max <= b && m.max > b - 0.001 * w);
}

START_TEST(uniform_and_its_relatives) {
  cg_tensor *x = new_leaf(floats[_i], CG_DIMS(100, 200));
  cg_rng rng = cg_rng_seed(5);
  ck_assert_int_eq(cg_init_uniform(x, &rng, -0.31, 1.7, NULL), CG_OK);
  looks_uniform(moments_of(x), -0.31, 1.7);
  ck_assert_int_eq(cg_init_fan(x, &rng, 16, NULL), CG_OK);
  looks_uniform(moments_of(x), -0.25, 0.25);
  ck_assert_int_eq(cg_init_xavier_uniform(x, &rng, 1.3, NULL), CG_OK);
  double bound = 1.3 * sqrt(6.0 / 300.0);
  looks_uniform(moments_of(x), -bound, bound);
  cg_leaf_free(x);
}
END_TEST

START_TEST(normal_and_its_relative) {
  cg_tensor *x = new_leaf(floats[_i], CG_DIMS(100, 200));
  cg_rng rng = cg_rng_seed(6);
  ck_assert_int_eq(cg_init_normal(x, &rng, 3.7, 0.21, NULL), CG_OK);
  moments m = moments_of(x);
  near(m.mean, 3.7, 0.002);
  near(m.std / 0.21, 1.0, 0.02);
  ck_assert(m.min < 3.7 - 3 * 0.21 && m.max > 3.7 + 3 * 0.21);
  ck_assert_int_eq(cg_init_xavier_normal(x, &rng, 1.3, NULL), CG_OK);
  m = moments_of(x);
  near(m.mean, 0.0, 0.003);
  near(m.std / (1.3 * sqrt(2.0 / 300.0)), 1.0, 0.02);
  ck_assert_int_eq(cg_init_constant(x, -2.5, NULL), CG_OK);
  m = moments_of(x);
  ck_assert(m.min == -2.5 && m.max == -2.5);
  cg_leaf_free(x);
}
END_TEST

/* The scalar product of two rows (or columns) of x. */
static double product(const cg_tensor *x, bool rows, int64_t i, int64_t j) {
  int64_t R = cg_tensor_dim(x, 0), C = cg_tensor_dim(x, 1);
  double sum = 0;
  for (int64_t k = 0; k < (rows ? C : R); k++)
    sum += rows ? cg_tensor_get(x, i * C + k) * cg_tensor_get(x, j * C + k)
                : cg_tensor_get(x, k * C + i) * cg_tensor_get(x, k * C + j);
  return sum;
}

START_TEST(orthogonal_is_orthogonal) {
  const int64_t shapes[][2] = {{1, 1}, {7, 7}, {5, 9}, {9, 5}, {64, 64}};
  for (int s = 0; s < N_OF(shapes); s++) {
    cg_tensor *x = new_leaf(floats[_i], 2, shapes[s]);
    cg_rng rng = cg_rng_seed(8);
    ck_assert_int_eq(cg_init_orthogonal(x, &rng, 1.7, NULL, NULL), CG_OK);
    bool rows = shapes[s][0] <= shapes[s][1];
    int64_t n = shapes[s][rows ? 0 : 1];
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++)
        near(product(x, rows, i, j), i == j ? 1.7 * 1.7 : 0.0,
             floats[_i] == CG_F32 ? 1e-6 : 1e-14);
    cg_leaf_free(x);
  }
}
END_TEST

/* Uniform among orthogonal matrices: no sign or place is preferred. (Without
 * the sign correction of QR, element 0 would be biased.) */
START_TEST(orthogonal_has_no_preferred_sign) {
  enum { N = 4000 };
  cg_tensor *x = new_leaf(CG_F64, CG_DIMS(3, 3));
  cg_rng rng = cg_rng_seed(9);
  double mean[9] = {0}, square[9] = {0};
  for (int k = 0; k < N; k++) {
    ck_assert_int_eq(cg_init_orthogonal(x, &rng, 1.0, NULL, NULL), CG_OK);
    for (int i = 0; i < 9; i++) {
      double v = cg_tensor_get(x, i);
      mean[i] += v / N;
      square[i] += v * v / N;
    }
  }
  for (int i = 0; i < 9; i++) {
    near(mean[i], 0.0, 0.04);
    near(square[i], 1.0 / 3.0, 0.03);
  }
  cg_leaf_free(x);
}
END_TEST

START_TEST(same_seed_same_values) {
  cg_tensor *a = new_leaf(CG_F32, CG_DIMS(6, 4));
  cg_tensor *b = new_leaf(CG_F64, CG_DIMS(6, 4));
  cg_rng ra = cg_rng_seed(41), rb = cg_rng_seed(41), other = cg_rng_seed(42);
  for (int k = 0; k < 2; k++) {
    if (k == 0) {
      cg_init_orthogonal(a, &ra, 1.0, NULL, NULL);
      cg_init_orthogonal(b, &rb, 1.0, NULL, NULL);
    } else {
      cg_init_normal(a, &ra, 0.0, 1.0, NULL);
      cg_init_normal(b, &rb, 0.0, 1.0, NULL);
    }
    for (int i = 0; i < 24; i++)
      ck_assert(cg_tensor_get(a, i) == (double)(float)cg_tensor_get(b, i));
    ck_assert(ra.counter == rb.counter);
  }
  cg_init_normal(a, &other, 0.0, 1.0, NULL);
  ck_assert(cg_tensor_get(a, 0) != (double)(float)cg_tensor_get(b, 0));
  cg_leaf_free(a);
  cg_leaf_free(b);
}
END_TEST

START_TEST(refuses_bad_arguments) {
  cg_tensor *x = new_leaf(CG_F64, CG_DIMS(6));
  cg_tensor *index = new_leaf(CG_I64, CG_DIMS(6));
  cg_rng rng = cg_rng_seed(1);
  cg_error err = {0};
  ck_assert_int_eq(cg_init_uniform(x, &rng, 2.0, 1.0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "[2, 1)");
  ck_assert_int_eq(cg_init_uniform(x, &rng, NAN, 1.0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_init_normal(x, &rng, 0.0, -1.0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_init_fan(x, &rng, 0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_init_uniform(NULL, &rng, 0, 1, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_init_uniform(x, NULL, 0, 1, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_init_constant(index, 1.0, &err), CG_ERR_DTYPE);
  ck_assert_int_eq(cg_init_normal(index, &rng, 0, 1, &err), CG_ERR_DTYPE);
  has_error(&err, CG_ERR_DTYPE, "i64");
  ck_assert_int_eq(cg_init_xavier_normal(x, &rng, 1, &err), CG_ERR_SHAPE);
  has_error(&err, CG_ERR_SHAPE, "[6]");
  ck_assert_int_eq(cg_init_xavier_uniform(x, &rng, 1, NULL), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_init_orthogonal(x, &rng, 1, NULL, NULL), CG_ERR_SHAPE);
  ck_assert_uint_eq(rng.counter, 0);
  near(moments_of(x).max, 0.0, 0.0);
  cg_leaf_free(x);
  cg_leaf_free(index);
}
END_TEST

START_TEST(orthogonal_without_memory_changes_nothing) {
  for (size_t n = 1; n <= 3; n++) {
    cg_tensor *x = new_leaf(CG_F64, CG_DIMS(3, 3));
    counter c;
    counter_init(&c);
    c.fail_at = n;
    cg_rng rng = cg_rng_seed(1);
    cg_error err = {0};
    ck_assert_int_eq(cg_init_orthogonal(x, &rng, 1, &c.allocator, &err),
                     CG_ERR_NOMEM);
    ck_assert_int_eq(err.status, CG_ERR_NOMEM);
    ck_assert_uint_eq(c.live_blocks, 0);
    near(moments_of(x).max, 0.0, 0.0);
    cg_leaf_free(x);
  }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("init");
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, uniform_and_its_relatives, 0, 2);
  tcase_add_loop_test(tc, normal_and_its_relative, 0, 2);
  tcase_add_loop_test(tc, orthogonal_is_orthogonal, 0, 2);
  tcase_add_test(tc, orthogonal_has_no_preferred_sign);
  tcase_add_test(tc, same_seed_same_values);
  tcase_add_test(tc, refuses_bad_arguments);
  tcase_add_test(tc, orthogonal_without_memory_changes_nothing);
  return run_case("init", tc);
}
