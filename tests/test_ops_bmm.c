/* test_ops_bmm.c - batched matrix products against a sum written out, over
 * layouts, types and broadcast batches; dot and outer; and refusals. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

enum { B = 3, M = 5, K = 11, N = 13 };

/* Element (b, i, j) of x [b or 1, ..], or of its transpose. */
static double at(const cg_tensor *x, int b, int i, int j, bool transposed) {
  int64_t cols = cg_tensor_dim(x, -1), rows = cg_tensor_dim(x, -2);
  int64_t r = transposed ? j : i, c = transposed ? i : j;
  bool many = cg_tensor_rank(x) > 2 && cg_tensor_dim(x, 0) > 1;
  return cg_tensor_get(x, ((many ? b : 0) * rows + r) * cols + c);
}

/* Random, of a shape whose memory is in another order: 0 plain, 1 transposed,
 * 2 every other column, 3 reversed. */
static cg_tensor *operand(cg_rng *rng, cg_dtype dtype, int64_t batch,
                          int64_t rows, int64_t cols, int layout) {
  if (layout == 1)
    return cg_transpose(
        tape, cg_rand_normal(tape, rng, dtype, CG_DIMS(batch, cols, rows)), 1,
        2);
  if (layout == 2)
    return cg_slice(
        tape, cg_rand_normal(tape, rng, dtype, CG_DIMS(batch, rows, 2 * cols)),
        2, 1, 2, cols);
  cg_tensor *x = cg_rand_normal(tape, rng, dtype, CG_DIMS(batch, rows, cols));
  return layout == 3 ? cg_flip(tape, x, (const int[]){0, 1, 2}, 3) : x;
}

static void check_product(cg_tensor *a, cg_tensor *b, bool ta, bool tb) {
  cg_tensor *y = cg_bmm(tape, a, b, ta, tb);
  fine(tape);
  has_shape(y, CG_DIMS(B, M, N));
  double tolerance = cg_tensor_dtype(a) == CG_F32 ? 1e-5 : 1e-14;
  for (int k = 0; k < B; k++)
    for (int i = 0; i < M; i++)
      for (int j = 0; j < N; j++) {
        double want = 0;
        for (int l = 0; l < K; l++)
          want += at(a, k, i, l, ta) * at(b, k, l, j, tb);
        near(cg_tensor_get(y, (k * M + i) * N + j), want, tolerance);
      }
}

START_TEST(products_of_all_layouts) {
  bool ta = _i & 1, tb = _i & 2;
  cg_dtype dtype = _i & 4 ? CG_F32 : CG_F64;
  cg_rng rng = cg_rng_seed(3);
  for (int la = 0; la < 4; la++)
    for (int lb = 0; lb < 4; lb++) {
      int64_t one = la == 2 ? 1 : B; /* some batches are broadcast */
      check_product(operand(&rng, dtype, one, ta ? K : M, ta ? M : K, la),
                    operand(&rng, dtype, B, tb ? N : K, tb ? K : N, lb), ta,
                    tb);
    }
}
END_TEST

START_TEST(batches_broadcast) {
  cg_rng rng = cg_rng_seed(4);
  cg_tensor *a = cg_rand_normal(tape, &rng, CG_F64, CG_DIMS(4, 1, 2, 3));
  cg_tensor *b = cg_rand_normal(tape, &rng, CG_F64, CG_DIMS(5, 3, 2));
  cg_tensor *y = cg_bmm(tape, a, b, false, false);
  has_shape(y, CG_DIMS(4, 5, 2, 2));
  for (int p = 0; p < 4; p++)
    for (int q = 0; q < 5; q++) {
      cg_tensor *ap = cg_select(tape, cg_select(tape, a, 0, p), 0, 0);
      cg_tensor *one = cg_matmul(tape, ap, cg_select(tape, b, 0, q));
      for (int i = 0; i < 4; i++)
        near(cg_tensor_get(y, (p * 5 + q) * 4 + i), cg_tensor_get(one, i),
             1e-15);
    }
}
END_TEST

START_TEST(empty_products) {
  cg_tensor *a = cg_full(tape, CG_F32, CG_DIMS(2, 3, 0), 1);
  cg_tensor *b = cg_full(tape, CG_F32, CG_DIMS(2, 0, 2), 1);
  NEAR_ALL(cg_bmm(tape, a, b, false, false), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
           0, 0);
  cg_tensor *none = cg_full(tape, CG_F32, CG_DIMS(0, 0, 5), 1);
  has_shape(cg_bmm(tape, none, cg_full(tape, CG_F32, CG_DIMS(5, 4), 1), false,
                   false),
            CG_DIMS(0, 0, 4));
  fine(tape);
}
END_TEST

START_TEST(vectors) {
  const double v[] = {1.5, -2, 4}, w[] = {0.25, 8, -1};
  cg_tensor *a = cg_input(tape, CG_F64, CG_DIMS(3), v);
  cg_tensor *b = cg_input(tape, CG_F64, CG_DIMS(3), w);
  cg_tensor *y = cg_dot(tape, a, b);
  has_shape(y, 0, NULL);
  NEAR_ALL(y, 1e-15, 0.375 - 16 - 4);
  cg_tensor *back = cg_flip(tape, b, (const int[]){0}, 1);
  NEAR_ALL(cg_dot(tape, a, back), 1e-15, -1.5 - 16 + 1);
  NEAR_ALL(cg_outer(tape, a, cg_narrow(tape, b, 0, 0, 2)), 1e-15, 0.375, 12,
           -0.5, -16, 1, 32);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0), 1);
  NEAR_ALL(cg_dot(tape, none, none), 0, 0);
  has_shape(cg_outer(tape, a, none), CG_DIMS(3, 0));
}
END_TEST

START_TEST(refusals) {
  cg_tensor *a = cg_full(tape, CG_F64, CG_DIMS(2, 3, 4), 1);
  cg_tensor *b = cg_full(tape, CG_F64, CG_DIMS(3, 4, 2), 1);
  cg_tensor *v = cg_full(tape, CG_F64, CG_DIMS(4), 1);
  ck_assert_ptr_null(cg_bmm(tape, a, a, false, false));
  failed(tape, CG_ERR_SHAPE, "bmm",
         "[2, 3, 4] times [2, 3, 4]: the inner sizes differ");
  ck_assert_ptr_null(cg_bmm(tape, a, b, false, false));
  failed(tape, CG_ERR_SHAPE, "bmm", "leading axes do not broadcast");
  ck_assert_ptr_null(cg_bmm(tape, a, b, true, true));
  failed(tape, CG_ERR_SHAPE, "bmm", "[2, 3, 4]^T times [3, 4, 2]^T");
  ck_assert_ptr_null(cg_bmm(tape, a, v, false, false));
  failed(tape, CG_ERR_SHAPE, "bmm", "[4]: a rank is below 2");
  ck_assert_ptr_null(cg_bmm(tape, a, cg_cast(tape, b, CG_F32), false, false));
  failed(tape, CG_ERR_DTYPE, "bmm", "f64 and f32");
  ck_assert_ptr_null(cg_dot(tape, v, cg_full(tape, CG_F64, CG_DIMS(3), 1)));
  failed(tape, CG_ERR_SHAPE, "dot", "[4] and [3]");
  ck_assert_ptr_null(cg_outer(tape, v, a));
  failed(tape, CG_ERR_SHAPE, "outer", "[4] and [2, 3, 4]");
  ck_assert_ptr_null(cg_dot(tape, NULL, v));
  failed(tape, CG_ERR_ARG, "dot", "NULL");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("bmm");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, products_of_all_layouts, 0, 8);
  tcase_add_test(tc, batches_broadcast);
  tcase_add_test(tc, empty_products);
  tcase_add_test(tc, vectors);
  tcase_add_test(tc, refusals);
  return run_case("batched products", tc);
}
