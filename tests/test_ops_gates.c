/* test_ops_gates.c - the gates of an LSTM and of a GRU as one op: the same as
 * composed of ops, for whole blocks and rests of units, for operands that are
 * views; and what they refuse. */
#include "engine_test.h"

enum { MOST = 6 };

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

static cg_tensor *part(cg_tensor *x, int k, int64_t H) {
  return cg_narrow(tape, x, 1, k * H, H);
}

static cg_tensor *composed_lstm(cg_tensor *const *x, int64_t H) {
  cg_tensor *i = cg_sigmoid(tape, part(x[0], 0, H));
  cg_tensor *f = cg_sigmoid(tape, part(x[0], 1, H));
  cg_tensor *g = cg_tanh(tape, part(x[0], 2, H));
  cg_tensor *o = cg_sigmoid(tape, part(x[0], 3, H));
  cg_tensor *c = cg_add(tape, cg_mul(tape, f, x[1]), cg_mul(tape, i, g));
  cg_tensor *h = cg_mul(tape, o, cg_tanh(tape, c));
  return cg_concat(tape, (cg_tensor *[]){h, c, i, f, g, o}, 6, 1);
}

static cg_tensor *composed_gru(cg_tensor *const *x, int64_t H) {
  cg_tensor *r = cg_sigmoid(tape, cg_add(tape, part(x[0], 0, H),
                                         part(x[1], 0, H)));
  cg_tensor *u = cg_sigmoid(tape, cg_add(tape, part(x[0], 1, H),
                                         part(x[1], 1, H)));
  cg_tensor *n = cg_tanh(tape, cg_add(tape, part(x[0], 2, H),
                                      cg_mul(tape, r, part(x[1], 2, H))));
  cg_tensor *h = cg_add(tape, cg_mul(tape, cg_rsub_scalar(tape, u, 1), n),
                        cg_mul(tape, u, x[2]));
  return cg_concat(tape, (cg_tensor *[]){h, n, r, u, part(x[1], 2, H)}, 5,
                   1);
}

/* Operand k [B, parts[k] H] is a leaf, or a part of a wider one. */
static cg_tensor *operand(cg_rng *rng, cg_dtype dtype, int64_t B, int64_t width,
                          bool view, cg_tensor **leaf) {
  int64_t wide = view ? width + 5 : width;
  *leaf = cg_leaf_new(NULL, dtype, CG_DIMS(B, wide), NULL);
  ck_assert_ptr_nonnull(*leaf);
  void *data = cg_leaf_data(*leaf);
  for (int64_t i = 0; i < B * wide; i++) {
    double value = 4 * cg_rng_uniform(rng) - 2;
    if (dtype == CG_F64)
      ((double *)data)[i] = value;
    else
      ((float *)data)[i] = (float)value;
  }
  cg_leaf_set_requires_grad(*leaf, true);
  return view ? cg_narrow(tape, *leaf, 1, 3, width) : *leaf;
}

/* |a - b| <= tolerance max(|a|, |b|); each element to the bit for 0. */
static void same(const cg_tensor *a, const cg_tensor *b, double tolerance) {
  ck_assert_ptr_nonnull(a);
  ck_assert_ptr_nonnull(b);
  ck_assert_int_eq(cg_tensor_numel(a), cg_tensor_numel(b));
  double aa = 0, bb = 0, dd = 0;
  for (int64_t i = 0; i < cg_tensor_numel(a); i++) {
    double x = cg_tensor_get(a, i), y = cg_tensor_get(b, i);
    if (tolerance == 0) ck_assert_msg(x == y, "%.17g, not %.17g", x, y);
    aa += x * x;
    bb += y * y;
    dd += (x - y) * (x - y);
  }
  double error = dd > 0 ? sqrt(dd / fmax(aa, bb)) : dd;
  ck_assert_msg(error <= tolerance, "a relative error of %g", error);
}

/* Value and gradients of the op and of what it is composed of. */
static void compare(bool gru, cg_dtype dtype, int64_t B, int64_t H, bool view) {
  static const int parts[2][3] = {{4, 1, 0}, {3, 3, 1}};
  const double tolerance = dtype == CG_F64 ? 1e-14 : 3e-6;
  int n = gru ? 3 : 2;
  cg_rng rng = cg_rng_seed(2385);
  cg_tensor *leaf[3], *x[3], *g[2][3];
  for (int k = 0; k < n; k++)
    x[k] = operand(&rng, dtype, B, parts[gru][k] * H, view, &leaf[k]);
  cg_tensor *y[2] = {gru ? cg_gru_gates(tape, x[0], x[1], x[2])
                         : cg_lstm_gates(tape, x[0], x[1]),
                     gru ? composed_gru(x, H) : composed_lstm(x, H)};
  cg_tensor *seed = cg_rand_normal(tape, &rng, dtype, cg_tensor_rank(y[0]),
                                   cg_tensor_shape(y[0]));
  fine(tape);
  same(y[0], y[1], tolerance);
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(cg_grad(tape, &y[i], 1, &seed, x, n, g[i], 0), CG_OK);
  for (int k = 0; k < n; k++) same(g[0][k], g[1][k], tolerance);
  cg_tape_reset(tape);
  for (int k = 0; k < n; k++) cg_leaf_free(leaf[k]);
}

START_TEST(as_composed) {
  static const int64_t sizes[] = {1, 3, 16, 37, 48};
  for (int i = 0; i < N_OF(sizes) * 8; i++)
    compare(i & 1, i & 2 ? CG_F32 : CG_F64, 3, sizes[i / 8], i & 4);
}
END_TEST

/* ---- lstm_affine and gru_affine ---- */

enum { LSTM_IN = 6, GRU_IN = 7, AFFINE_ALL = 1 + 2 * GRU_IN };

/* y, its gradients for gy = w, and those of the sum of the cubes of all. */
static void derive(cg_tensor *y, cg_tensor *w, cg_tensor *const *in, int n,
                   cg_tensor **all) {
  cg_tensor *sum = cg_scalar(tape, cg_tensor_dtype(y), 0);
  all[0] = y;
  ck_assert_int_eq(
      cg_grad(tape, &y, 1, &w, in, n, all + 1, CG_CREATE_GRAPH), CG_OK);
  for (int i = 0; i <= n; i++)
    sum = cg_add(tape, sum, cg_sum_all(tape, cg_pow_scalar(tape, all[i], 3)));
  ck_assert_int_eq(cg_grad(tape, &sum, 1, NULL, in, n, all + 1 + n, 0), CG_OK);
  fine(tape);
}

typedef cg_tensor *affine_fn(cg_tensor *const *in, int n);

/* in = z, h, W, c, x, V, of which the last two may be left out. */
static cg_tensor *affine_of(cg_tensor *const *in, int n) {
  bool input = n == LSTM_IN;
  return cg_lstm_affine(tape, in[0], input ? in[4] : NULL,
                        input ? in[5] : NULL, in[1], in[2], in[3]);
}

static cg_tensor *gates_of_sum(cg_tensor *const *in, int n) {
  cg_tensor *z = in[0];
  if (n == LSTM_IN) z = cg_addmm(tape, z, in[4], in[5], false, true);
  z = cg_addmm(tape, z, in[1], in[2], false, true);
  return cg_lstm_gates(tape, z, in[3]);
}

/* One node or several, which may add in another order, in derivatives of
 * derivatives too. */
static void compare_affine(int i, int n, const int64_t *rows,
                           const int64_t *columns, affine_fn *fast,
                           affine_fn *slow) {
  const bool f32 = i & 1, view = i & 2;
  cg_dtype dtype = f32 ? CG_F32 : CG_F64;
  cg_rng rng = cg_rng_seed(60 + (uint64_t)i);
  cg_tensor *leaf[GRU_IN], *in[GRU_IN], *one[AFFINE_ALL], *two[AFFINE_ALL];
  for (int k = 0; k < n; k++)
    in[k] = operand(&rng, dtype, rows[k], columns[k], view, &leaf[k]);
  if (n == GRU_IN) in[3] = cg_select(tape, in[3], 0, 0);
  cg_tensor *y = fast(in, n), *z = slow(in, n);
  ck_assert_ptr_nonnull(y);
  cg_tensor *w = cg_rand_normal(tape, &rng, dtype, 2, cg_tensor_shape(y));
  derive(y, w, in, n, one);
  derive(z, w, in, n, two);
  for (int k = 0; k <= n; k++) same(one[k], two[k], f32 ? 1e-6 : 1e-14);
  for (int k = n + 1; k <= 2 * n; k++)
    same(one[k], two[k], f32 ? 1e-5 : 1e-13);
  cg_tape_reset(tape);
  for (int k = 0; k < n; k++) cg_leaf_free(leaf[k]);
}

START_TEST(lstm_affine_is_gates_of_a_sum) {
  enum { B = 19, H = 17, R = 13, I = 5 };
  static const int64_t rows[] = {1, B, 4 * H, B, B, 4 * H},
                       columns[] = {4 * H, R, R, H, I, I};
  compare_affine(_i, _i & 4 ? LSTM_IN : LSTM_IN - 2, rows, columns, affine_of,
                 gates_of_sum);
}
END_TEST

/* in = z, x, V, d, h, W, h'. */
static cg_tensor *gru_affine_of(cg_tensor *const *in, int n) {
  const cg_gru_maps maps = {.z = in[0], .x = in[1], .V = in[2],
                            .d = in[3], .h = in[4], .W = in[5]};
  ck_assert_int_eq(n, GRU_IN);
  return cg_gru_affine(tape, &maps, in[6]);
}

static cg_tensor *gru_gates_of_sums(cg_tensor *const *in, int n) {
  ck_assert_int_eq(n, GRU_IN);
  return cg_gru_gates(tape, cg_addmm(tape, in[0], in[1], in[2], false, true),
                      cg_addmm(tape, in[3], in[4], in[5], false, true), in[6]);
}

START_TEST(gru_affine_is_gates_of_sums) {
  enum { B = 19, H = 17, R = 13, I = 5 };
  static const int64_t rows[] = {1, B, 3 * H, 1, B, 3 * H, B},
                       columns[] = {3 * H, I, I, 3 * H, R, R, H};
  compare_affine(_i, GRU_IN, rows, columns, gru_affine_of, gru_gates_of_sums);
}
END_TEST

/* ---- places, strides, errors ---- */

/* A unit's result does not depend on where in a row it lies. */
START_TEST(position_does_not_matter) {
  enum { H = 21 };
  cg_tensor *z = cg_full(tape, CG_F32, CG_DIMS(2, 4 * H), 0.7385);
  cg_tensor *c = cg_full(tape, CG_F32, CG_DIMS(2, H), -1.238);
  cg_tensor *y = cg_lstm_gates(tape, z, c);
  cg_tensor *p = cg_full(tape, CG_F32, CG_DIMS(2, 3 * H), 0.481);
  cg_tensor *u = cg_gru_gates(tape, p, p, c);
  fine(tape);
  for (int j = 0; j < H; j++) {
    ck_assert(cg_tensor_get(y, j) == cg_tensor_get(y, 0));
    ck_assert(cg_tensor_get(u, j) == cg_tensor_get(u, 5 * H));
  }
}
END_TEST

/* Inner strides that are not 1 are copied, not misread. */
START_TEST(transposed_operands) {
  double v[MOST * 4];
  for (int i = 0; i < MOST * 4; i++) v[i] = 0.31 * i - 3.17;
  cg_tensor *zt = cg_input(tape, CG_F64, CG_DIMS(12, 2), v);
  cg_tensor *ct = cg_input(tape, CG_F64, CG_DIMS(3, 2), v);
  cg_tensor *z = cg_transpose(tape, zt, 0, 1);
  cg_tensor *c = cg_transpose(tape, ct, 0, 1);
  same(cg_lstm_gates(tape, z, c),
       cg_lstm_gates(tape, cg_contiguous(tape, z), cg_contiguous(tape, c)), 0);
  fine(tape);
}
END_TEST

#define FULL(dtype, ...) cg_full(tape, dtype, CG_DIMS(__VA_ARGS__), 0.5)

START_TEST(what_does_not_fit) {
  cg_tensor *c = FULL(CG_F64, 2, 3), *y = FULL(CG_F64, 2, 18);
  ck_assert_ptr_null(cg_lstm_gates(tape, FULL(CG_F64, 2, 11), c));
  failed(tape, CG_ERR_SHAPE, "lstm_gates",
         "[2, 11], [2, 3], number 0 is not [B, 4 H]");
  ck_assert_ptr_null(cg_lstm_gates(tape, FULL(CG_F64, 2, 12),
                                   FULL(CG_F64, 3)));
  failed(tape, CG_ERR_SHAPE, "lstm_gates", "number 1 is not [B, 1 H]");
  ck_assert_ptr_null(cg_lstm_gates(tape, FULL(CG_F32, 2, 12), c));
  failed(tape, CG_ERR_DTYPE, "lstm_gates", "f32 and f64");
  ck_assert_ptr_null(cg_lstm_gates(tape, y, FULL(CG_I64, 2, 3)));
  failed(tape, CG_ERR_DTYPE, "lstm_gates", "i64");
  ck_assert_ptr_null(cg_lstm_gates_grad(tape, FULL(CG_F64, 3, 18), y, c));
  failed(tape, CG_ERR_SHAPE, "lstm_gates_grad", "[3, 18]");
  cg_tensor *p = FULL(CG_F64, 2, 9);
  ck_assert_ptr_null(cg_gru_gates(tape, p, FULL(CG_F64, 2, 8), c));
  failed(tape, CG_ERR_SHAPE, "gru_gates", "number 1 is not [B, 3 H]");
  ck_assert_ptr_null(
      cg_gru_gates_grad(tape, FULL(CG_F64, 2, 15), p, c));
  failed(tape, CG_ERR_SHAPE, "gru_gates_grad", "number 1 is not [B, 5 H]");
}
END_TEST

START_TEST(what_does_not_fit_a_step) {
  cg_tensor *c = FULL(CG_F64, 2, 3), *z = FULL(CG_F64, 12);
  cg_tensor *h = FULL(CG_F64, 2, 5), *W = FULL(CG_F64, 12, 5);
  cg_tensor *x = FULL(CG_F64, 2, 7), *V = FULL(CG_F64, 12, 7);
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, NULL, h, W, c));
  failed(tape, CG_ERR_ARG, "lstm_affine", "NULL");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, V, NULL, W, c));
  failed(tape, CG_ERR_ARG, "lstm_affine", "NULL");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, V, h, V, c));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "[2, 5] times [12, 7]^T");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, h, V, h, W, c));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "[2, 5] times [12, 7]^T");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, FULL(CG_F64, 8, 7), h, W, c));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "V is [8, 7] where z + h W^T is");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, V, h, W, FULL(CG_F64, 2, 4)));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "c is [2, 4] where");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, V, h, W, FULL(CG_F64, 3, 3)));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "c is [3, 3] where");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, x, V, h, W, FULL(CG_F32, 2, 3)));
  failed(tape, CG_ERR_DTYPE, "lstm_affine", "c has type f32");
  ck_assert_ptr_null(cg_lstm_affine(tape, z, FULL(CG_F32, 2, 7),
                                    FULL(CG_F32, 12, 7), h, W, c));
  failed(tape, CG_ERR_DTYPE, "lstm_affine", "x has type f32");
  ck_assert_ptr_null(
      cg_lstm_affine(tape, FULL(CG_F64, 3, 12), x, V, h, W, c));
  failed(tape, CG_ERR_SHAPE, "lstm_affine", "does not broadcast");
}
END_TEST

/* As above, with operand k in the place of what fits. */
static void gru_refuses(int k, cg_tensor *bad, cg_status status,
                        const char *text) {
  cg_tensor *in[GRU_IN] = {FULL(CG_F64, 9),    FULL(CG_F64, 2, 7),
                           FULL(CG_F64, 9, 7), FULL(CG_F64, 9),
                           FULL(CG_F64, 2, 5), FULL(CG_F64, 9, 5),
                           FULL(CG_F64, 2, 3)};
  ck_assert_ptr_nonnull(gru_affine_of(in, GRU_IN));
  in[k] = bad;
  ck_assert_ptr_null(gru_affine_of(in, GRU_IN));
  failed(tape, status, "gru_affine", text);
}

START_TEST(what_does_not_fit_a_gru) {
  for (int k = 0; k < GRU_IN; k++) gru_refuses(k, NULL, CG_ERR_ARG, "NULL");
  const cg_status shape = CG_ERR_SHAPE;
  gru_refuses(0, FULL(CG_F64, 8), shape, "does not broadcast");
  gru_refuses(1, FULL(CG_F64, 2, 6), shape, "[2, 6] times [9, 7]^T");
  gru_refuses(4, FULL(CG_F64, 2, 6), shape, "[2, 6] times [9, 5]^T");
  gru_refuses(5, FULL(CG_F64, 6, 5), shape, "W is [6, 5] where z + x V^T is");
  gru_refuses(3, FULL(CG_F64, 1), shape, "d is [1] where");
  gru_refuses(6, FULL(CG_F64, 2, 4), shape, "h' is [2, 4] where");
  gru_refuses(6, FULL(CG_F32, 2, 3), CG_ERR_DTYPE, "h' have f64, f64 and f32");
  ck_assert_ptr_null(cg_gru_affine(tape, NULL, FULL(CG_F64, 2, 3)));
  failed(tape, CG_ERR_ARG, "gru_affine", "no maps");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("gates");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, as_composed);
  tcase_add_loop_test(tc, lstm_affine_is_gates_of_a_sum, 0, 8);
  tcase_add_loop_test(tc, gru_affine_is_gates_of_sums, 0, 4);
  tcase_add_test(tc, position_does_not_matter);
  tcase_add_test(tc, transposed_operands);
  tcase_add_test(tc, what_does_not_fit);
  tcase_add_test(tc, what_does_not_fit_a_step);
  tcase_add_test(tc, what_does_not_fit_a_gru);
  return run_case("gates", tc);
}
