/* test_matmul.c - matrix products against three loops: all transpositions,
 * sizes from empty to odd, operands of every layout, forward and backward. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

static const int64_t sizes[] = {0, 1, 2, 5, 17};
enum { N_SIZES = N_OF(sizes), BIG = 17 * 17 };

/* How a matrix lies in memory. */
enum { DENSE, COLUMNS, ROWS_APART, SPARSE_COLUMNS, REPEATED, N_LAYOUTS };

static cg_tensor *matrix(cg_rng *rng, cg_dtype dtype, int64_t R, int64_t C,
                         int layout, double *values) {
  static double buf[4 * BIG + 100];
  for (int i = 0; i < N_OF(buf); i++) buf[i] = cg_rng_normal(rng);
  int64_t r = R, c = C;
  if (layout == COLUMNS) r = C, c = R;
  if (layout == ROWS_APART) c = C + 3;
  if (layout == SPARSE_COLUMNS) c = 2 * C;
  if (layout == REPEATED) r = 1;
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(r, c), buf);
  if (dtype == CG_F32) x = cg_cast(tape, x, CG_F32);
  if (layout == COLUMNS) x = cg_transpose(tape, x, 0, 1);
  if (layout == ROWS_APART) x = cg_narrow(tape, x, 1, 2, C);
  if (layout == REPEATED) x = cg_expand(tape, x, CG_DIMS(R, C));
  if (layout == SPARSE_COLUMNS)
    x = cg_select(tape, cg_reshape(tape, x, CG_DIMS(R, C, 2)), 2, 1);
  has_shape(x, CG_DIMS(R, C));
  for (int64_t i = 0; i < R * C; i++) values[i] = cg_tensor_get(x, i);
  return x;
}

/* C (+)= op(A) op(B), by the definition. */
static void product(const double *a, const double *b, double *c, int64_t m,
                    int64_t n, int64_t k, bool ta, bool tb) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t l = 0; l < k; l++)
        c[i * n + j] += (ta ? a[l * m + i] : a[i * k + l]) *
                        (tb ? b[j * k + l] : b[l * n + j]);
}

static void check(cg_rng *rng, cg_dtype dtype, int64_t m, int64_t n, int64_t k,
                  bool ta, bool tb, int la, int lb) {
  double a[BIG], b[BIG], add[17], want[BIG] = {0};
  double tolerance = dtype == CG_F32 ? 3e-5 : 1e-13;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *A = ta ? matrix(rng, dtype, k, m, la, a)
                    : matrix(rng, dtype, m, k, la, a);
  cg_tensor *B = tb ? matrix(rng, dtype, n, k, lb, b)
                    : matrix(rng, dtype, k, n, lb, b);
  cg_tensor *y = cg_matmul_t(tape, A, B, ta, tb);
  product(a, b, want, m, n, k, ta, tb);
  fine(tape);
  has_shape(y, CG_DIMS(m, n));
  near_all(y, want, (int)(m * n), tolerance);
  cg_tensor *c = matrix(rng, dtype, 1, n, la, add);
  cg_tensor *z = cg_addmm(tape, c, A, B, ta, tb);
  for (int64_t i = 0; i < m * n; i++) want[i] += add[i % n];
  fine(tape);
  near_all(z, want, (int)(m * n), tolerance);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
}

START_TEST(products_of_all_sizes_and_layouts) {
  cg_rng rng = cg_rng_seed(60 + (uint64_t)_i);
  cg_dtype dtype = _i & 1 ? CG_F32 : CG_F64;
  bool ta = _i & 2, tb = _i & 4;
  for (int m = 0; m < N_SIZES; m++)
    for (int n = 0; n < N_SIZES; n++)
      for (int k = 0; k < N_SIZES; k++)
        for (int la = 0; la < N_LAYOUTS; la++) {
          /* A fifth of the pairs for each size, all pairs for some sizes. */
          int lb = (la + m + 2 * n + 3 * k) % N_LAYOUTS;
          check(&rng, dtype, sizes[m], sizes[n], sizes[k], ta, tb, la, lb);
        }
}
END_TEST

/* Gradients: with gy = G, sum <G, op(A) op(B)> is linear in A and in B, so its
 * gradient at element e is its value for the unit matrix of e. */
START_TEST(gradients_are_products) {
  cg_rng rng = cg_rng_seed(7 + (uint64_t)_i);
  const int64_t m = 5, n = 3, k = 4;
  bool ta = _i & 1, tb = _i & 2, transposed_leaf = _i & 4;
  double a[20], b[12], g[15];
  for (int i = 0; i < 20; i++) a[i] = cg_rng_normal(&rng);
  for (int i = 0; i < 12; i++) b[i] = cg_rng_normal(&rng);
  for (int i = 0; i < 15; i++) g[i] = cg_rng_normal(&rng);
  bool swap = transposed_leaf; /* the leaf is stored the other way round */
  bool sa = ta != swap;
  cg_tensor *A = leaf_of(a, 2, sa ? (int64_t[]){k, m}
                                   : (int64_t[]){m, k});
  cg_tensor *B = leaf_of(b, 2, tb ? (int64_t[]){n, k} : (int64_t[]){k, n});
  cg_tensor *G = cg_input(tape, CG_F64, CG_DIMS(m, n), g);
  cg_tensor *x = swap ? cg_transpose(tape, A, 0, 1) : A;
  cg_tensor *y = cg_matmul_t(tape, x, B, ta, tb);
  for (int round = 1; round <= 2; round++) { /* the second one accumulates */
    ck_assert_int_eq(cg_backward_from(tape, &y, &G, 1), CG_OK);
    for (int e = 0; e < 20 + 12; e++) {
      double unit[20] = {0}, c[15] = {0}, want = 0;
      unit[e < 20 ? e : e - 20] = 1;
      product(e < 20 ? unit : a, e < 20 ? b : unit, c, m, n, k, sa, tb);
      for (int i = 0; i < 15; i++) want += g[i] * c[i] * round;
      near(cg_tensor_get(cg_tensor_grad(e < 20 ? A : B), e < 20 ? e : e - 20),
           want, 1e-14);
    }
  }
  cg_leaf_free(A);
  cg_leaf_free(B);
}
END_TEST

/* ---- affine ---- */

static cg_tensor *normal_leaf(cg_rng *rng, int64_t rows, int64_t columns) {
  double x[BIG];
  for (int i = 0; i < BIG; i++) x[i] = cg_rng_normal(rng);
  return leaf_of(x, 2, (int64_t[]){rows, columns});
}

static void same_bits(const cg_tensor *a, const cg_tensor *b) {
  ck_assert_int_eq(cg_tensor_numel(a), cg_tensor_numel(b));
  for (int64_t i = 0; i < cg_tensor_numel(a); i++)
    ck_assert(cg_tensor_get(a, i) == cg_tensor_get(b, i));
}

/* y, its gradients by the n operands for gy = w, and those of the sum of the
 * cubes of them all. */
static void derive(cg_tensor *y, cg_tensor *w, cg_tensor *const *in, int n,
                   cg_tensor **all) {
  cg_tensor *sum = cg_scalar(tape, cg_tensor_dtype(y), 0);
  all[0] = y;
  ck_assert_int_eq(
      cg_grad(tape, &y, 1, &w, in, n, all + 1, CG_CREATE_GRAPH), CG_OK);
  for (int i = 0; i <= n; i++)
    sum = cg_add(tape, sum, cg_sum_all(tape, cg_pow_scalar(tape, all[i], 3)));
  ck_assert_int_eq(cg_grad(tape, &sum, 1, NULL, in, n, all + n + 1, 0), CG_OK);
  fine(tape);
}

static cg_tensor *activated(cg_activation phi, cg_tensor *z) {
  return phi == CG_ACT_TANH      ? cg_tanh(tape, z)
         : phi == CG_ACT_RELU    ? cg_relu(tape, z)
         : phi == CG_ACT_SIGMOID ? cg_sigmoid(tape, z)
                                 : z;
}

/* One node or two: the same bits, in gradients of gradients too. */
START_TEST(affine_is_activation_of_addmm) {
  enum { m = 17, n = 17, k = 13 }; /* pieces, the last one not whole */
  cg_rng rng = cg_rng_seed(90 + (uint64_t)_i);
  bool f32 = _i & 1, ta = _i & 2, tb = _i & 4;
  cg_activation phi = (cg_activation)(_i / 8);
  cg_tensor *leaf[] = {normal_leaf(&rng, 1, n),
                       normal_leaf(&rng, ta ? k : m, ta ? m : k),
                       normal_leaf(&rng, tb ? n : k, tb ? k : n)};
  cg_tensor *weight = normal_leaf(&rng, m, n), *in[4], *one[7], *two[7];
  for (int i = 0; i < 4; i++)
    in[i] = cg_cast(tape, i < 3 ? leaf[i] : weight, f32 ? CG_F32 : CG_F64);
  derive(cg_affine(tape, phi, in[0], in[1], in[2], ta, tb), in[3], in, 3, one);
  cg_tensor *z = cg_addmm(tape, in[0], in[1], in[2], ta, tb);
  derive(activated(phi, z), in[3], in, 3, two);
  for (int i = 0; i < 7; i++) same_bits(one[i], two[i]);
  for (int i = 0; i < 3; i++) cg_leaf_free(leaf[i]);
  cg_leaf_free(weight);
}
END_TEST

/* One node or three. Their walks take the gradients of gradients in another
 * order. */
START_TEST(affine2_is_activation_of_two_addmm) {
  enum { m = 17, n = 17, k = 13, l = 9 };
  cg_rng rng = cg_rng_seed(190 + (uint64_t)_i);
  bool ta = _i & 1, tb = _i & 2;
  cg_activation phi = (cg_activation)(_i / 4);
  cg_tensor *in[] = {normal_leaf(&rng, 1, n),
                     normal_leaf(&rng, ta ? k : m, ta ? m : k),
                     normal_leaf(&rng, tb ? n : k, tb ? k : n),
                     normal_leaf(&rng, ta ? l : m, ta ? m : l),
                     normal_leaf(&rng, tb ? n : l, tb ? l : n),
                     normal_leaf(&rng, m, n)};
  cg_tensor *a[2] = {in[1], in[3]}, *b[2] = {in[2], in[4]}, *one[11], *two[11];
  derive(cg_affine2(tape, phi, in[0], a, b, ta, tb), in[5], in, 5, one);
  cg_tensor *z = cg_addmm(tape, in[0], in[1], in[2], ta, tb);
  z = cg_addmm(tape, z, in[3], in[4], ta, tb);
  derive(activated(phi, z), in[5], in, 5, two);
  for (int i = 0; i < 6; i++) same_bits(one[i], two[i]);
  for (int i = 6; i < 11; i++)
    for (int64_t j = 0; j < cg_tensor_numel(one[i]); j++)
      near(cg_tensor_get(one[i], j), cg_tensor_get(two[i], j), 1e-10);
  for (int i = 0; i < 6; i++) cg_leaf_free(in[i]);
}
END_TEST

/* One node, or one more for the sum; with one product, or two. */
START_TEST(affine_sums_is_affine_of_a_sum) {
  enum { m = 3, n = 17, k = 13, l = 9 };
  cg_rng rng = cg_rng_seed(290 + (uint64_t)_i);
  cg_activation phi = (cg_activation)(_i / 2);
  const bool second = _i % 2;
  cg_tensor *in[] = {normal_leaf(&rng, 1, n), normal_leaf(&rng, m, k),
                     normal_leaf(&rng, n, k), normal_leaf(&rng, m, 1),
                     normal_leaf(&rng, m, l), normal_leaf(&rng, n, l),
                     normal_leaf(&rng, m, n)};
  const int count = second ? 6 : 4;
  cg_tensor *c[2] = {in[0], in[3]}, *sum = cg_add(tape, c[0], c[1]);
  cg_tensor *a[2] = {in[1], second ? in[4] : NULL};
  cg_tensor *b[2] = {in[2], second ? in[5] : NULL}, *one[13], *two[13];
  derive(cg_affine_sums(tape, phi, c, a, b, false, true), in[6], in, count,
         one);
  derive(second ? cg_affine2(tape, phi, sum, a, b, false, true)
                : cg_affine(tape, phi, sum, a[0], b[0], false, true),
         in[6], in, count, two);
  same_bits(one[0], two[0]);
  for (int i = 1; i < 2 * count + 1; i++)
    for (int64_t j = 0; j < cg_tensor_numel(one[i]); j++)
      near(cg_tensor_get(one[i], j), cg_tensor_get(two[i], j), 1e-10);
  for (int i = 0; i < 7; i++) cg_leaf_free(in[i]);
}
END_TEST

/* A plain walk computes in the memory of a gradient that nobody else has: it
 * gives what a recorded one gives, in which nothing is written over. Here y is
 * asked for too, or z has the same gradient. */
START_TEST(affine_spares_what_others_have) {
  cg_rng rng = cg_rng_seed(390 + (uint64_t)_i);
  const cg_activation phi = (cg_activation)(_i / 4);
  const bool f32 = _i & 1, ask = _i & 2;
  cg_tensor *leaf[] = {normal_leaf(&rng, 1, 17), normal_leaf(&rng, 3, 13),
                       normal_leaf(&rng, 17, 13)};
  cg_tensor *in[5], *plain[5], *recorded[5];
  for (int i = 0; i < 3; i++)
    in[i] = cg_cast(tape, leaf[i], f32 ? CG_F32 : CG_F64);
  cg_tensor *y = in[3] = cg_affine(tape, phi, in[0], in[1], in[2], false, true);
  cg_tensor *c = cg_scalar(tape, cg_tensor_dtype(y), 0.3);
  cg_tensor *z = in[4] = cg_affine(tape, phi, c, y, in[2], false, false);
  z = cg_affine(tape, phi, c, z, in[2], false, true);
  cg_tensor *sum = cg_sum_all(tape, cg_square(tape, cg_add(tape, y, z)));
  const int n = ask ? 5 : 3;
  cg_grad(tape, &sum, 1, NULL, in, n, plain, 0);
  cg_grad(tape, &sum, 1, NULL, in, n, recorded, CG_CREATE_GRAPH);
  fine(tape);
  for (int i = 0; i < n; i++)
    for (int64_t j = 0; j < cg_tensor_numel(plain[i]); j++)
      near(cg_tensor_get(plain[i], j), cg_tensor_get(recorded[i], j),
           f32 ? 1e-3 : 1e-12);
  for (int i = 0; i < 3; i++) cg_leaf_free(leaf[i]);
}
END_TEST

START_TEST(linear_over_the_last_axis) {
  cg_rng rng = cg_rng_seed(31);
  double w[6], x[24], bias[2] = {0.4, -1.1}, want[16];
  cg_tensor *W = matrix(&rng, CG_F64, 2, 3, DENSE, w);
  matrix(&rng, CG_F64, 8, 3, DENSE, x);
  cg_tensor *b = cg_input(tape, CG_F64, CG_DIMS(2), bias);
  for (int i = 0; i < 16; i++) want[i] = bias[i % 2];
  product(x, w, want, 8, 2, 3, false, true);
  const int64_t shapes[][4] = {{8, 3}, {2, 4, 3}, {2, 2, 2, 3}};
  for (int r = 2; r <= 4; r++) {
    cg_tensor *X = cg_input(tape, CG_F64, r, shapes[r - 2], x);
    cg_tensor *y = cg_linear(tape, X, W, b);
    near_all(y, want, 16, 1e-14);
    ck_assert_int_eq(cg_tensor_rank(y), r);
    ck_assert_int_eq(cg_tensor_dim(y, -1), 2);
    cg_tensor *none = cg_linear(tape, X, W, NULL);
    near(cg_tensor_get(none, 5), want[5] - bias[1], 1e-14);
  }
  cg_tensor *one = cg_input(tape, CG_F64, CG_DIMS(3), x);
  cg_tensor *y = cg_linear(tape, one, W, b);
  has_shape(y, CG_DIMS(2));
  near(cg_tensor_get(y, 1), want[1], 1e-14);
  has_shape(cg_linear(tape, cg_full(tape, CG_F64, CG_DIMS(4, 0, 3), 1), W, b),
            CG_DIMS(4, 0, 2));
  fine(tape);
}
END_TEST

/* Nothing times a weight without columns is zeros, however often. */
START_TEST(weight_without_columns) {
  cg_tensor *W = leaf_of(NULL, CG_DIMS(3, 0)), *g;
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 0), 0);
  for (int i = 0; i < 5; i++) {
    cg_tensor *y = cg_matmul_t(tape, x, W, false, true);
    NEAR_ALL(y, 0, 0, 0, 0, 0, 0, 0);
    cg_tensor *loss = cg_sum_all(tape, y);
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &W, 1, &g, 0), CG_OK);
    has_shape(g, CG_DIMS(3, 0));
  }
  cg_leaf_free(W);
}
END_TEST

START_TEST(bad_products_are_refused) {
  cg_tensor *a = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  cg_tensor *b = cg_full(tape, CG_F64, CG_DIMS(4, 5), 1);
  cg_tensor *v = cg_full(tape, CG_F64, CG_DIMS(3), 1);
  cg_tensor *f = cg_full(tape, CG_F32, CG_DIMS(3, 2), 1);
  ck_assert_ptr_null(cg_matmul(tape, a, b));
  failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3] times [4, 5]");
  ck_assert_ptr_null(cg_matmul_t(tape, a, b, true, true));
  failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3]^T times [4, 5]^T");
  ck_assert_ptr_null(cg_matmul(tape, a, v));
  failed(tape, CG_ERR_SHAPE, "matmul", "[3]");
  ck_assert_ptr_null(cg_matmul(tape, a, f));
  failed(tape, CG_ERR_DTYPE, "matmul", "f64 and f32");
  ck_assert_ptr_null(cg_addmm(tape, b, a, a, false, true));
  failed(tape, CG_ERR_SHAPE, "addmm", "[4, 5] does not broadcast");
  ck_assert_ptr_null(cg_addmm(tape, f, a, a, true, false));
  failed(tape, CG_ERR_DTYPE, "addmm", "f32");
  cg_activation none = CG_ACT_COUNT, phi = CG_ACT_TANH;
  ck_assert_ptr_null(cg_affine(tape, none, v, a, a, false, true));
  failed(tape, CG_ERR_ARG, "affine", "no activation");
  ck_assert_ptr_null(cg_affine(tape, phi, b, a, a, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[4, 5] does not broadcast");
  ck_assert_ptr_null(cg_affine(tape, phi, v, a, b, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[2, 3] times [4, 5]^T");
  ck_assert_ptr_null(cg_affine(tape, phi, f, a, a, true, false));
  failed(tape, CG_ERR_DTYPE, "affine", "f32");
  ck_assert_ptr_null(cg_affine(tape, phi, NULL, a, a, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  cg_tensor *aa[2] = {a, a}, *ab[2] = {a, b};
  cg_tensor *af[2] = {a, cg_cast(tape, a, CG_F32)}, *none2[2] = {a, NULL};
  cg_tensor *a1[2] = {a, cg_full(tape, CG_F64, CG_DIMS(1, 3), 1)};
  ck_assert_ptr_null(cg_affine2(tape, none, v, aa, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "no activation");
  cg_tensor *c = cg_full(tape, CG_F64, CG_DIMS(2), 1);
  ck_assert_ptr_null(cg_affine2(tape, phi, c, aa, ab, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[2, 3] times [4, 5]^T");
  ck_assert_ptr_null(cg_affine2(tape, phi, c, a1, aa, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[2, 2] and the other [1, 2]");
  ck_assert_ptr_null(cg_affine2(tape, phi, c, aa, af, false, true));
  failed(tape, CG_ERR_DTYPE, "affine", "f64 and f32");
  ck_assert_ptr_null(cg_affine2(tape, phi, c, none2, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  ck_assert_ptr_null(cg_affine2(tape, phi, c, NULL, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  ck_assert_ptr_null(cg_affine2(tape, phi, c, aa, NULL, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  cg_tensor *cb[2] = {c, b}, *c0[2] = {c, NULL}, *cf[2] = {c, af[1]};
  ck_assert_ptr_null(cg_affine_sums(tape, phi, cb, aa, aa, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[4, 5] does not broadcast");
  ck_assert_ptr_null(cg_affine_sums(tape, phi, cb, none2, none2, false, true));
  failed(tape, CG_ERR_SHAPE, "affine", "[4, 5] does not broadcast");
  ck_assert_ptr_null(cg_affine_sums(tape, phi, cf, none2, none2, false, true));
  failed(tape, CG_ERR_DTYPE, "affine", "f32");
  ck_assert_ptr_null(cg_affine_sums(tape, phi, c0, aa, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  ck_assert_ptr_null(cg_affine_sums(tape, phi, cb, none2, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  ck_assert_ptr_null(cg_affine_sums(tape, phi, NULL, aa, aa, false, true));
  failed(tape, CG_ERR_ARG, "affine", "NULL");
  ck_assert_ptr_null(cg_linear(tape, b, a, NULL));
  failed(tape, CG_ERR_SHAPE, "matmul", "[4, 5]");
  ck_assert_ptr_null(cg_linear(tape, cg_full(tape, CG_F64, CG_DIMS(2, 2, 2), 1),
                               a, NULL));
  failed(tape, CG_ERR_SHAPE, "linear", "[2, 2, 2]");
  ck_assert_ptr_null(cg_linear(tape, NULL, a, NULL));
  failed(tape, CG_ERR_ARG, "linear", "NULL");
  ck_assert_ptr_null(cg_linear(tape, cg_scalar(tape, CG_F64, 1), a, NULL));
  failed(tape, CG_ERR_SHAPE, "linear", "[]");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, products_of_all_sizes_and_layouts, 0, 8);
  tcase_add_loop_test(tc, gradients_are_products, 0, 8);
  tcase_add_loop_test(tc, affine_is_activation_of_addmm, 0, 8 * CG_ACT_COUNT);
  tcase_add_loop_test(tc, affine_sums_is_affine_of_a_sum, 0,
                      2 * CG_ACT_COUNT);
  tcase_add_loop_test(tc, affine2_is_activation_of_two_addmm, 0,
                      4 * CG_ACT_COUNT);
  tcase_add_loop_test(tc, affine_spares_what_others_have, 0, 4 * CG_ACT_COUNT);
  tcase_add_test(tc, linear_over_the_last_axis);
  tcase_add_test(tc, weight_without_columns);
  tcase_add_test(tc, bad_products_are_refused);
  return run_case("matmul", tc);
}
