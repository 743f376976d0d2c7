/* test_matmul_large.c - matrix products of sizes at which libraries cut them
 * into blocks, copy panels or turn them round: y = op(A) op(B) for leaves A and
 * B, and both gradients, against three loops over doubles. */
#include "engine_test.h"

#include <math.h>
#include <stdlib.h>

typedef struct matrix {
  int64_t rows, cols;
  double *at;
} matrix;

static matrix matrix_of(cg_rng *rng, int64_t rows, int64_t cols) {
  matrix x = {rows, cols, malloc(sizeof(double) * (size_t)(rows * cols))};
  ck_assert_ptr_nonnull(x.at);
  for (int64_t i = 0; i < rows * cols; i++) /* a float32, exactly */
    x.at[i] = (double)(float)(cg_rng_normal(rng) + 0.385);
  return x;
}

static void put(cg_tensor *leaf, int64_t i, double value) {
  if (cg_tensor_dtype(leaf) == CG_F32)
    ((float *)cg_leaf_data(leaf))[i] = (float)value;
  else
    ((double *)cg_leaf_data(leaf))[i] = value;
}

static cg_tensor *leaf_like(const matrix *x, cg_dtype dtype) {
  cg_tensor *leaf =
      cg_leaf_new(NULL, dtype, CG_DIMS(x->rows, x->cols), NULL);
  ck_assert_ptr_nonnull(leaf);
  for (int64_t i = 0; i < x->rows * x->cols; i++) put(leaf, i, x->at[i]);
  cg_leaf_set_requires_grad(leaf, true);
  return leaf;
}

/* Element (i, j) of op(a) op(b) to rounding, `times` over. */
static void check_element(const cg_tensor *got, const matrix *a, bool ta,
                          const matrix *b, bool tb, int64_t i, int64_t j,
                          int times) {
  int64_t k = ta ? a->rows : a->cols, n = tb ? b->rows : b->cols;
  double sum = 0, size = 0;
  for (int64_t l = 0; l < k; l++) {
    double term = a->at[ta ? l * a->cols + i : i * a->cols + l] *
                  b->at[tb ? j * b->cols + l : l * b->cols + j];
    sum += term;
    size += fabs(term);
  }
  double tolerance = cg_tensor_dtype(got) == CG_F32 ? 1e-5 : 2e-14;
  double have = cg_tensor_get(got, i * n + j);
  ck_assert_msg(fabs(have - times * sum) <= tolerance * times * size,
                "(%d, %d): %.9g, but %.9g", (int)i, (int)j, have, times * sum);
}

/* The border and, inside, every element of some rows and columns. */
static void check(const cg_tensor *got, const matrix *a, bool ta,
                  const matrix *b, bool tb, int times) {
  int64_t m = ta ? a->cols : a->rows, n = tb ? b->rows : b->cols;
  has_shape(got, CG_DIMS(m, n));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      if (i % 61 < 2 || j % 53 < 2 || i == m - 1 || j == n - 1)
        check_element(got, a, ta, b, tb, i, j, times);
}

static void check_gradients(const cg_tensor *A, const cg_tensor *B,
                            const matrix *a, bool ta, const matrix *b, bool tb,
                            const matrix *g, int times) {
  const cg_tensor *gA = cg_tensor_grad(A), *gB = cg_tensor_grad(B);
  if (ta)
    check(gA, b, tb, g, true, times);
  else
    check(gA, g, false, b, !tb, times);
  if (tb)
    check(gB, g, true, a, ta, times);
  else
    check(gB, a, !ta, g, false, times);
}

/* m, n, k; what they are for is said from libxsmm's side. */
static const int64_t shapes[][3] = {
    {9, 300, 200},   /* a matrix that fits the cache */
    {10, 530, 520},  /* one that does not: kept as panels */
    {140, 130, 2060}, /* one whose panels are cut */
    {600, 520, 40},  /* more rows than a chunk has */
    {13, 832, 320},  /* no cache holds B, nor its gradient, whose sizes are */
    {520, 832, 320}, /* those of whole panels; the same with many rows */
    {130, 65, 300},  /* a column beyond whole registers */
    {65, 130, 300},
    {200, 65, 50},   /* the same, with few products to add up */
    {130, 66, 90},
    {520, 65, 150},  /* more rows than are completed by odd columns at once */
    {130, 2100, 40}, /* more columns than are near at once */
    {2048, 140, 40}, /* A^T's rows on different pages */
    {2080, 140, 300}, /* the same, of several blocks and half a panel */
    {520, 140, 33},  /* rows far apart, on either side */
    {140, 520, 33},
    {3, 600, 500},   /* few rows */
    {600, 3, 500},
    {1, 257, 129},
    {257, 1, 129},
    {25, 65, 41},    /* one tile over another, and a row beyond tiles */
};

START_TEST(products_and_gradients) {
  bool f64 = _i & 1, ta = _i & 2, tb = _i & 4;
  const int64_t *s = shapes[_i / 8];
  cg_rng rng = cg_rng_seed(90 + (uint64_t)_i);
  matrix a = matrix_of(&rng, ta ? s[2] : s[0], ta ? s[0] : s[2]);
  matrix b = matrix_of(&rng, tb ? s[1] : s[2], tb ? s[2] : s[1]);
  matrix g = matrix_of(&rng, s[0], s[1]);
  cg_dtype dtype = f64 ? CG_F64 : CG_F32;
  cg_tensor *A = leaf_like(&a, dtype), *B = leaf_like(&b, dtype);
  cg_tensor *G = leaf_like(&g, dtype);
  cg_tape *tape = cg_tape_new(NULL);
  for (int round = 1; round <= 2; round++) {
    /* Used twice, so that what is kept for B is used, too. */
    cg_tensor *y[2], *gy[2] = {G, G};
    for (int i = 0; i < 2; i++) {
      y[i] = cg_matmul_t(tape, A, B, ta, tb);
      check(y[i], &a, ta, &b, tb, 1);
    }
    ck_assert_int_eq(cg_backward_from(tape, y, gy, 2), CG_OK);
    fine(tape);
    check_gradients(A, B, &a, ta, &b, tb, &g, 2 * round);
    cg_tape_reset(tape);
  }
  cg_tape_free(tape);
  cg_leaf_free(A);
  cg_leaf_free(B);
  cg_leaf_free(G);
  free(a.at);
  free(b.at);
  free(g.at);
}
END_TEST

/* op(a) [m, k] and op(b) [k, n], and leaves with their values. */
typedef struct operands {
  matrix a, b;
  cg_tensor *A, *B;
} operands;

static operands operands_of(cg_rng *rng, const int64_t *m_n_k, bool tb,
                            cg_dtype dtype) {
  const int64_t m = m_n_k[0], n = m_n_k[1], k = m_n_k[2];
  operands x = {.a = matrix_of(rng, m, k)};
  x.b = matrix_of(rng, tb ? n : k, tb ? k : n);
  x.A = leaf_like(&x.a, dtype);
  x.B = leaf_like(&x.b, dtype);
  return x;
}

static void operands_free(operands *x) {
  cg_leaf_free(x->A);
  cg_leaf_free(x->B);
  free(x->a.at);
  free(x->b.at);
}

static void same_bits(const cg_tensor *x, const cg_tensor *y) {
  ck_assert_int_eq(cg_tensor_numel(x), cg_tensor_numel(y));
  for (int64_t e = 0; e < cg_tensor_numel(x); e++)
    ck_assert(cg_tensor_get(x, e) == cg_tensor_get(y, e));
}

/* What is kept of a weight is not used for its next version. */
START_TEST(a_new_version_is_read_anew) {
  cg_rng rng = cg_rng_seed(5);
  operands x = operands_of(&rng, (int64_t[]){16, 530, 520}, true, CG_F32);
  cg_tape *tape = cg_tape_new(NULL);
  check(cg_matmul_t(tape, x.A, x.B, false, true), &x.a, false, &x.b, true, 1);
  put(x.B, 700, x.b.at[700] = 2.5);
  check(cg_matmul_t(tape, x.A, x.B, false, true), &x.a, false, &x.b, true, 1);
  fine(tape);
  cg_tape_free(tape);
  operands_free(&x);
}
END_TEST

/* A weight over a megabyte in products of one row and of several, which read the
 * same form. */
START_TEST(products_of_all_sizes_share_a_form) {
  const int64_t rows[] = {1, 16, 1, 5, 16}, n = 3400, k = 40;
  bool ta = _i;
  cg_rng rng = cg_rng_seed(7);
  matrix b = matrix_of(&rng, n, k);
  cg_tensor *B = leaf_like(&b, CG_F64);
  cg_tape *tape = cg_tape_new(NULL);
  for (int i = 0; i < N_OF(rows); i++) {
    matrix a = matrix_of(&rng, ta ? k : rows[i], ta ? rows[i] : k);
    cg_tensor *A = cg_input(tape, CG_F64, CG_DIMS(a.rows, a.cols), a.at);
    check(cg_matmul_t(tape, A, B, ta, true), &a, ta, &b, true, 1);
    free(a.at);
  }
  fine(tape);
  cg_tape_free(tape);
  cg_leaf_free(B);
  free(b.at);
}
END_TEST

/* m, n, k: rows of B, or of B^T, that cross lines of the cache in all ways,
 * ends of rows of all kinds, and sizes up to which forms of rows are made. */
static const int64_t few_rows[][3] = {
    {1, 100, 100}, {1, 65, 128}, {1, 128, 65},  {2, 79, 81},  {3, 67, 97},
    {7, 34, 66},   {1, 200, 36}, {1, 700, 111}, {1, 3, 1030}, {5, 64, 64},
};

/* A weight gets a form when it has been used a few times, which nothing else
 * shows than the time; and it is not used for the next version. */
START_TEST(few_rows_have_the_same_bits_each_time) {
  bool f64 = _i & 1, tb = _i & 2;
  cg_rng rng = cg_rng_seed(30 + (uint64_t)_i);
  operands x = operands_of(&rng, few_rows[_i / 4], tb, f64 ? CG_F64 : CG_F32);
  cg_tape *tape = cg_tape_new(NULL);
  for (int version = 0; version < 2; version++) {
    cg_tensor *first = cg_matmul_t(tape, x.A, x.B, false, tb);
    for (int i = 0; i < 6; i++) {
      cg_tensor *y = cg_matmul_t(tape, x.A, x.B, false, tb);
      check(y, &x.a, false, &x.b, tb, 1);
      same_bits(y, first);
    }
    int64_t last = x.b.rows * x.b.cols - 1;
    put(x.B, last, x.b.at[last] = -1.5);
  }
  fine(tape);
  cg_tape_free(tape);
  operands_free(&x);
}
END_TEST

/* What the tape remembers of a weight's products is not used for others: of
 * other sizes, or of a transposed matrix. */
START_TEST(the_same_bits_after_other_products) {
  const int64_t rows[] = {3, 3, 40, 1, 40, 1}, n = 90, k = 130;
  const bool f64 = _i & 1, tb = _i & 2;
  const cg_dtype dtype = f64 ? CG_F64 : CG_F32;
  cg_rng rng = cg_rng_seed(90 + (uint64_t)_i);
  matrix b = matrix_of(&rng, tb ? n : k, tb ? k : n);
  cg_tensor *B = leaf_like(&b, dtype);
  cg_tape *tape = cg_tape_new(NULL);
  for (int i = 0; i < 6 * N_OF(rows); i++) {
    const int64_t m = rows[i % N_OF(rows)];
    const bool ta = i % 2;
    matrix a = matrix_of(&rng, ta ? k : m, ta ? m : k);
    cg_tensor *A = leaf_like(&a, dtype);
    cg_tape *other = cg_tape_new(NULL);
    same_bits(cg_matmul_t(tape, A, B, ta, tb),
              cg_matmul_t(other, A, B, ta, tb));
    fine(tape);
    cg_tape_free(other);
    cg_leaf_free(A);
    free(a.at);
  }
  cg_tape_free(tape);
  cg_leaf_free(B);
  free(b.at);
}
END_TEST

/* Sizes of which the larger matrix fits no cache. */
static const int64_t far[][3] = {
    {50, 1024, 260}, {25, 320, 832}, {6, 576, 512}};

/* A leaf's form serves, or the memory that is no leaf's. */
START_TEST(the_same_bits_with_a_form_and_without) {
  bool f64 = _i & 1, tb = _i & 2;
  cg_rng rng = cg_rng_seed(70 + (uint64_t)_i);
  operands x = operands_of(&rng, far[_i / 4], tb, f64 ? CG_F64 : CG_F32);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *other =
      cg_borrow(tape, cg_tensor_dtype(x.B), CG_DIMS(x.b.rows, x.b.cols),
                cg_tensor_data(x.B));
  same_bits(cg_matmul_t(tape, x.A, x.B, false, tb),
            cg_matmul_t(tape, x.A, other, false, tb));
  fine(tape);
  cg_tape_free(tape);
  operands_free(&x);
}
END_TEST

/* No leaf's, so that no form is made, and nothing is added to. */
START_TEST(products_of_values) {
  bool f64 = _i & 1, ta = _i & 2, tb = _i & 4;
  cg_dtype dtype = f64 ? CG_F64 : CG_F32;
  cg_rng rng = cg_rng_seed(40 + (uint64_t)_i);
  matrix a = ta ? matrix_of(&rng, 320, 528) : matrix_of(&rng, 528, 320);
  matrix b = tb ? matrix_of(&rng, 832, 320) : matrix_of(&rng, 320, 832);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *A = cg_input(tape, CG_F64, CG_DIMS(a.rows, a.cols), a.at);
  cg_tensor *B = cg_input(tape, CG_F64, CG_DIMS(b.rows, b.cols), b.at);
  check(cg_matmul_t(tape, cg_cast(tape, A, dtype), cg_cast(tape, B, dtype), ta,
                    tb), &a, ta, &b, tb, 1);
  fine(tape);
  cg_tape_free(tape);
  free(a.at);
  free(b.at);
}
END_TEST

/* n, k of a weight that is near enough for whole forms, or just not, and has so
 * short rows that a single row takes such a form, too. */
static const int64_t shared[][2] = {{3000, 40}, {3500, 40}, {5000, 64}};

/* A weight keeps one form for products of no row, one and many, whichever comes
 * first. */
START_TEST(few_rows_and_many_share_a_form) {
  const bool f64 = _i & 1, many_first = _i & 2, tb = _i & 4, ta = _i & 8;
  const int64_t n = shared[_i / 32][0], k = shared[_i / 32][1];
  const int64_t few = _i & 16 ? 1 : 0;
  const int64_t rows[2] = {many_first ? 9 : few, many_first ? few : 9};
  cg_rng rng = cg_rng_seed(60 + (uint64_t)_i);
  matrix b = matrix_of(&rng, tb ? n : k, tb ? k : n);
  cg_tensor *B = leaf_like(&b, f64 ? CG_F64 : CG_F32);
  cg_tensor *A[2];
  cg_tape *tape = cg_tape_new(NULL);
  for (int i = 0; i < 2; i++) {
    matrix a = matrix_of(&rng, ta ? k : rows[i], ta ? rows[i] : k);
    A[i] = leaf_like(&a, f64 ? CG_F64 : CG_F32);
    check(cg_matmul_t(tape, A[i], B, ta, tb), &a, ta, &b, tb, 1);
    free(a.at);
  }
  fine(tape);
  cg_tape_free(tape);
  cg_leaf_free(A[0]);
  cg_leaf_free(A[1]);
  cg_leaf_free(B);
  free(b.at);
}
END_TEST

/* Parts of rows that are a multiple of 1024 bytes apart, as the parts of an
 * LSTM's state are. */
START_TEST(products_of_parts_of_rows) {
  enum { K = 50, M = 200, N = 70, ALL = 768 };
  cg_dtype dtype = _i ? CG_F64 : CG_F32;
  cg_rng rng = cg_rng_seed(50);
  matrix a = matrix_of(&rng, K, ALL), b = matrix_of(&rng, K, ALL);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *A = cg_input(tape, CG_F64, CG_DIMS(K, ALL), a.at);
  cg_tensor *B = cg_input(tape, CG_F64, CG_DIMS(K, ALL), b.at);
  A = cg_narrow(tape, cg_cast(tape, A, dtype), 1, 100, M);
  B = cg_narrow(tape, cg_cast(tape, B, dtype), 1, 3, N);
  cg_tensor *y = cg_matmul_t(tape, A, B, true, false);
  fine(tape);
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) {
      double want = 0;
      for (int l = 0; l < K; l++)
        want += a.at[l * ALL + 100 + i] * b.at[l * ALL + 3 + j];
      double have = cg_tensor_get(y, i * N + j);
      ck_assert(fabs(have - want) <= (_i ? 1e-12 : 1e-3));
    }
  cg_tape_free(tape);
  free(a.at);
  free(b.at);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, products_and_gradients, 0, 8 * N_OF(shapes));
  tcase_add_test(tc, a_new_version_is_read_anew);
  tcase_add_loop_test(tc, the_same_bits_with_a_form_and_without, 0,
                      4 * N_OF(far));
  tcase_add_loop_test(tc, products_of_values, 0, 8);
  tcase_add_loop_test(tc, products_of_parts_of_rows, 0, 2);
  tcase_add_loop_test(tc, products_of_all_sizes_share_a_form, 0, 2);
  tcase_add_loop_test(tc, few_rows_have_the_same_bits_each_time, 0,
                      4 * N_OF(few_rows));
  tcase_add_loop_test(tc, the_same_bits_after_other_products, 0, 4);
  tcase_add_loop_test(tc, few_rows_and_many_share_a_form, 0,
                      32 * N_OF(shared));
  return run_case("matmul_large", tc);
}
