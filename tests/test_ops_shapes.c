/* test_ops_shapes.c - reductions, views, joins and matrix products against
 * index arithmetic written out, over operands of every layout. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

/* A tensor of `shape` with random elements. */
static cg_tensor *random_tensor(cg_rng *rng, cg_dtype dtype, int rank,
                                const int64_t *shape) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= shape[i];
  double *v = calloc((size_t)n + 1, sizeof *v);
  for (int64_t i = 0; i < n; i++) v[i] = cg_rng_normal(rng);
  cg_tensor *x = cg_input(tape, CG_F64, rank, shape, v);
  free(v);
  return dtype == CG_F64 ? x : cg_cast(tape, x, dtype);
}

/* Row-major `flat` of `shape` as an index per axis. */
static void unravel(int64_t flat, int rank, const int64_t *shape,
                    int64_t *index) {
  for (int i = rank - 1; i >= 0; i--) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
}

static int64_t ravel(int rank, const int64_t *shape, const int64_t *index) {
  int64_t flat = 0;
  for (int i = 0; i < rank; i++) flat = flat * shape[i] + index[i];
  return flat;
}

/* ---- reductions ---- */

static void check_sum(cg_tensor *x, const int *axes, int n_axes, bool keep,
                      double tolerance) {
  bool gone[CG_MAX_RANK] = {false};
  int rank = cg_tensor_rank(x);
  int64_t shape[CG_MAX_RANK], left[CG_MAX_RANK];
  double sums[2000] = {0};
  for (int i = 0; i < rank; i++) {
    shape[i] = left[i] = cg_tensor_dim(x, i);
    gone[i] = n_axes == 0;
  }
  for (int i = 0; i < n_axes; i++) gone[(axes[i] + rank) % rank] = true;
  double count = 1;
  for (int i = 0; i < rank; i++)
    if (gone[i]) count *= (double)shape[i], left[i] = 1;
  for (int64_t k = 0; k < cg_tensor_numel(x); k++) {
    int64_t index[CG_MAX_RANK];
    unravel(k, rank, shape, index);
    for (int i = 0; i < rank; i++)
      if (gone[i]) index[i] = 0;
    sums[ravel(rank, left, index)] += cg_tensor_get(x, k);
  }
  cg_tensor *y = cg_sum(tape, x, axes, n_axes, keep);
  cg_tensor *m = cg_mean(tape, x, axes, n_axes, keep);
  fine(tape);
  int out = 0;
  for (int i = 0; i < rank; i++)
    if (!gone[i] || keep) ck_assert_int_eq(cg_tensor_dim(y, out++), left[i]);
  ck_assert_int_eq(cg_tensor_rank(y), out);
  for (int64_t k = 0; k < cg_tensor_numel(y); k++) {
    near(cg_tensor_get(y, k), sums[k], tolerance);
    near(cg_tensor_get(m, k), sums[k] / count, tolerance);
  }
}

START_TEST(sums_over_any_axes) {
  cg_rng rng = cg_rng_seed(3);
  const int axes[][3] = {{0}, {1}, {-1}, {0, 1}, {2, 0}, {-1, -2}, {0, 1, 2}};
  const int n[] = {1, 1, 1, 2, 2, 2, 3}, order[] = {2, 0, 1};
  for (int d = 0; d < 2; d++) {
    cg_dtype t = d ? CG_F32 : CG_F64;
    cg_tensor *x = random_tensor(&rng, t, CG_DIMS(3, 5, 7));
    cg_tensor *layout[] = {x, cg_permute(tape, x, order),
                           cg_narrow(tape, x, 2, 1, 5),
                           cg_expand(tape, cg_narrow(tape, x, 1, 2, 1),
                                     CG_DIMS(3, 4, 7))};
    for (int l = 0; l < 4; l++)
      for (int k = 0; k < N_OF(n); k++)
        for (int keep = 0; keep < 2; keep++) {
          check_sum(layout[l], axes[k], n[k], keep, d ? 1e-5 : 1e-13);
          check_sum(layout[l], NULL, 0, keep, d ? 1e-5 : 1e-13);
        }
  }
}
END_TEST

START_TEST(sums_of_much_and_of_nothing) {
  cg_tensor *many = cg_full(tape, CG_F32, CG_DIMS(1 << 22), 0.1);
  near(cg_tensor_item(cg_sum_all(tape, many)), (double)0.1f * (1 << 22), 1e-6);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(2, 0, 3), 1);
  const int axis = 1;
  NEAR_ALL(cg_sum(tape, none, &axis, 1, false), 0, 0, 0, 0, 0, 0, 0);
  near(cg_tensor_item(cg_sum_all(tape, none)), 0, 0);
  near(cg_tensor_item(cg_mean_all(tape, none)), NAN, 0);
  const int two = 2;
  has_shape(cg_mean(tape, none, &two, 1, false), CG_DIMS(2, 0));
  near(cg_tensor_item(cg_sum_all(tape, cg_scalar(tape, CG_F64, 2.5))), 2.5, 0);
  fine(tape);
}
END_TEST

START_TEST(bad_axes_are_refused) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  const int out[] = {2}, twice[] = {1, -1};
  ck_assert_ptr_null(cg_sum(tape, x, out, 1, false));
  failed(tape, CG_ERR_ARG, "sum", "axis 2 of [2, 3]");
  ck_assert_ptr_null(cg_sum(tape, x, twice, 2, false));
  failed(tape, CG_ERR_ARG, "sum", "twice");
  ck_assert_ptr_null(cg_sum(tape, x, NULL, 1, false));
  failed(tape, CG_ERR_ARG, "sum", "1");
  ck_assert_ptr_null(cg_sum(tape, x, twice, 9, false));
  failed(tape, CG_ERR_ARG, "sum", "9");
  ck_assert_ptr_null(cg_sum_all(tape, cg_full(tape, CG_I64, 0, NULL, 1)));
  failed(tape, CG_ERR_DTYPE, "sum", "i64");
  ck_assert_ptr_null(cg_sum_to(tape, x, CG_DIMS(3, 3)));
  failed(tape, CG_ERR_SHAPE, "sum_to", "[3, 3]");
  ck_assert_ptr_null(cg_sum_to(tape, x, CG_DIMS(1, 2, 3)));
  failed(tape, CG_ERR_SHAPE, "sum_to", "[1, 2, 3]");
}
END_TEST

START_TEST(sum_to_undoes_broadcasting) {
  const double v[] = {1.5, -2, 0.25, 4, 8.5, -1};
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(2, 3), v);
  NEAR_ALL(cg_sum_to(tape, x, CG_DIMS(3)), 0, 5.5, 6.5, -0.75);
  NEAR_ALL(cg_sum_to(tape, x, CG_DIMS(1, 3)), 0, 5.5, 6.5, -0.75);
  NEAR_ALL(cg_sum_to(tape, x, CG_DIMS(2, 1)), 0, -0.25, 11.5);
  NEAR_ALL(cg_sum_to(tape, x, 0, NULL), 0, 11.25);
  NEAR_ALL(cg_sum_to(tape, x, CG_DIMS(2, 3)), 0, 1.5, -2, 0.25, 4, 8.5, -1);
  NEAR_ALL(cg_sum_to(tape, cg_transpose(tape, x, 0, 1), CG_DIMS(2)), 0, -0.25,
           11.5);
}
END_TEST

/* ---- views ---- */

/* Random permuted, narrowed and expanded tensors: element by element. */
START_TEST(random_views) {
  cg_rng rng = cg_rng_seed(400 + (uint64_t)_i);
  int rank = 1 + (int)cg_rng_below(&rng, 5);
  int64_t s[CG_MAX_RANK], t[CG_MAX_RANK], index[CG_MAX_RANK];
  int axes[CG_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    s[i] = 1 + cg_rng_below(&rng, 5);
    axes[i] = i;
  }
  for (int i = rank - 1; i > 0; i--) {
    int j = (int)cg_rng_below(&rng, i + 1), a = axes[i];
    axes[i] = axes[j];
    axes[j] = a;
  }
  cg_tensor *x = random_tensor(&rng, _i % 2 ? CG_F32 : CG_F64, rank, s);
  cg_tensor *p = cg_permute(tape, x, axes);
  int axis = (int)cg_rng_below(&rng, rank);
  for (int i = 0; i < rank; i++) t[i] = s[axes[i]];
  int64_t start = cg_rng_below(&rng, t[axis]);
  int64_t length = 1 + cg_rng_below(&rng, t[axis] - start);
  cg_tensor *y = cg_narrow(tape, p, axis, start, length);
  t[axis] = length;
  has_shape(y, rank, t);
  for (int64_t k = 0; k < cg_tensor_numel(y); k++) {
    int64_t back[CG_MAX_RANK];
    unravel(k, rank, t, index);
    index[axis] += start;
    for (int i = 0; i < rank; i++) back[axes[i]] = index[i];
    ck_assert(cg_tensor_get(y, k) == cg_tensor_get(x, ravel(rank, s, back)));
  }
  /* Reshaped at random: the same elements in the same order. */
  int64_t shape[CG_MAX_RANK], left = cg_tensor_numel(y);
  int n = 0;
  while (n < CG_MAX_RANK - 1 && (left > 1 || cg_rng_below(&rng, 3) == 0)) {
    int64_t f = 1 + cg_rng_below(&rng, left);
    while (left % f) f--;
    shape[n++] = f;
    left /= f;
  }
  shape[n++] = left;
  cg_tensor *r = cg_reshape(tape, y, n, shape);
  has_shape(r, n, shape);
  for (int64_t k = 0; k < cg_tensor_numel(y); k++)
    ck_assert(cg_tensor_get(r, k) == cg_tensor_get(y, k));
  float out[4000];
  double out64[4000];
  size_t bytes = (size_t)cg_tensor_numel(y) * (_i % 2 ? 4 : 8);
  ck_assert_int_eq(
      cg_tensor_read(r, _i % 2 ? (void *)out : (void *)out64, bytes), CG_OK);
  for (int64_t k = 0; k < cg_tensor_numel(y); k++)
    ck_assert(cg_tensor_get(y, k) == (_i % 2 ? (double)out[k] : out64[k]));
  cg_tensor *c = cg_contiguous(tape, y);
  ck_assert(cg_tensor_contiguous(c));
  if (cg_tensor_contiguous(y)) ck_assert_ptr_eq(c, y);
  fine(tape);
}
END_TEST

START_TEST(reshape_copies_only_where_it_must) {
  cg_rng rng = cg_rng_seed(9);
  cg_tensor *x = random_tensor(&rng, CG_F64, CG_DIMS(4, 6));
  cg_tensor *t = cg_transpose(tape, x, 0, 1);
  cg_tensor *part = cg_narrow(tape, x, 1, 0, 4);
  const void *data = cg_tensor_data(x);
  ck_assert_ptr_eq(cg_tensor_data(cg_reshape(tape, x, CG_DIMS(-1))), data);
  cg_tensor *split = cg_reshape(tape, t, CG_DIMS(2, 3, 2, 2)); /* in place */
  ck_assert_ptr_eq(cg_tensor_data(split), data);
  ck_assert_ptr_eq(
      cg_tensor_data(cg_reshape(tape, part, CG_DIMS(2, 2, 1, 2, 2))), data);
  ck_assert_ptr_ne(cg_tensor_data(cg_reshape(tape, t, CG_DIMS(24))), data);
  ck_assert_ptr_ne(cg_tensor_data(cg_reshape(tape, part, CG_DIMS(16))), data);
  cg_tensor *wide = cg_expand(tape, cg_scalar(tape, CG_F64, 2.385),
                              CG_DIMS(2, 3));
  NEAR_ALL(cg_reshape(tape, wide, CG_DIMS(6)), 0, 2.385, 2.385, 2.385, 2.385,
           2.385, 2.385);
  fine(tape);
}
END_TEST

/* No element, but strides as of a transposed part. */
START_TEST(reshape_of_empty_views) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(3, 5), 1);
  cg_tensor *none = cg_narrow(tape, cg_transpose(tape, x, 0, 1), 0, 2, 0);
  has_shape(none, CG_DIMS(0, 3));
  has_shape(cg_reshape(tape, none, CG_DIMS(3, 0)), CG_DIMS(3, 0));
  has_shape(cg_reshape(tape, none, CG_DIMS(5, 0, 2)), CG_DIMS(5, 0, 2));
  has_shape(cg_reshape(tape, none, CG_DIMS(0)), CG_DIMS(0));
  has_shape(cg_reshape(tape, none, CG_DIMS(-1, 3)), CG_DIMS(0, 3));
  fine(tape);
  ck_assert_ptr_null(cg_reshape(tape, none, CG_DIMS(-1, 0)));
  failed(tape, CG_ERR_SHAPE, "reshape", "[0, 3] has no form [-1, 0]");
}
END_TEST

START_TEST(bad_views_are_refused) {
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  const int64_t big = INT64_C(1) << 62;
  ck_assert_ptr_null(cg_reshape(tape, x, CG_DIMS(4)));
  failed(tape, CG_ERR_SHAPE, "reshape", "[2, 3] has no form [4]");
  ck_assert_ptr_null(cg_reshape(tape, x, CG_DIMS(-1, -1)));
  failed(tape, CG_ERR_SHAPE, "reshape", "[-1, -1]");
  ck_assert_ptr_null(cg_reshape(tape, x, CG_DIMS(-1, 4)));
  failed(tape, CG_ERR_SHAPE, "reshape", "[-1, 4]");
  ck_assert_ptr_null(cg_reshape(tape, x, CG_DIMS(-2, -3)));
  failed(tape, CG_ERR_SHAPE, "reshape", "[-2, -3]");
  ck_assert_ptr_null(cg_reshape(tape, x, CG_DIMS(big, 4, 6)));
  failed(tape, CG_ERR_SHAPE, "reshape", "4611686018427387904");
  ck_assert_ptr_null(cg_reshape(tape, x, 9, cg_tensor_shape(x)));
  failed(tape, CG_ERR_SHAPE, "reshape", "9");
  ck_assert_ptr_null(cg_permute(tape, x, (int[]){0, 0}));
  failed(tape, CG_ERR_ARG, "permute", "axis 0");
  ck_assert_ptr_null(cg_permute(tape, x, (int[]){0, 2}));
  failed(tape, CG_ERR_ARG, "permute", "axis 2");
  ck_assert_ptr_null(cg_permute(tape, x, NULL));
  failed(tape, CG_ERR_ARG, "permute", "NULL");
  ck_assert_ptr_null(cg_transpose(tape, x, 0, 2));
  failed(tape, CG_ERR_ARG, "transpose", "2");
  const int64_t bad[][2] = {{-1, 1}, {4, 0}, {0, 4}, {3, 1}, {1, -1},
                            {1, INT64_MAX}, {INT64_MAX, 1}};
  for (int i = 0; i < N_OF(bad); i++) {
    ck_assert_ptr_null(cg_narrow(tape, x, 1, bad[i][0], bad[i][1]));
    failed(tape, CG_ERR_ARG, "narrow", "axis 1 with 3");
  }
  ck_assert_ptr_null(cg_narrow(tape, x, 2, 0, 1));
  failed(tape, CG_ERR_ARG, "narrow", "no axis 2");
  ck_assert_ptr_null(cg_select(tape, x, 0, 2));
  failed(tape, CG_ERR_ARG, "select", "index 2");
  ck_assert_ptr_null(cg_select(tape, x, 0, -3));
  failed(tape, CG_ERR_ARG, "select", "index -3");
  ck_assert_ptr_null(cg_select(tape, cg_scalar(tape, CG_F64, 1), 0, 0));
  failed(tape, CG_ERR_ARG, "select", "no axis 0");
  ck_assert_ptr_null(cg_expand(tape, x, CG_DIMS(3)));
  failed(tape, CG_ERR_SHAPE, "expand", "[2, 3]");
  ck_assert_ptr_null(cg_expand(tape, x, CG_DIMS(2, 6)));
  failed(tape, CG_ERR_SHAPE, "expand", "[2, 6]");
  ck_assert_ptr_null(cg_expand(tape, x, CG_DIMS(-1, 2, 3)));
  failed(tape, CG_ERR_SHAPE, "expand", "[-1, 2, 3]");
  ck_assert_ptr_null(cg_transpose(tape, NULL, 0, 1));
  failed(tape, CG_ERR_ARG, "transpose", "NULL");
}
END_TEST

/* ---- joins ---- */

START_TEST(stack_and_concat_along_each_axis) {
  cg_rng rng = cg_rng_seed(8);
  cg_tensor *a = random_tensor(&rng, CG_F64, CG_DIMS(2, 3, 4));
  cg_tensor *b = cg_transpose(tape, random_tensor(&rng, CG_F64,
                                                  CG_DIMS(4, 3, 2)), 0, 2);
  cg_tensor *both[] = {a, b, a};
  for (int axis = -4; axis < 4; axis++) {
    cg_tensor *s = cg_stack(tape, both, 3, axis);
    for (int i = 0; i < 3; i++) {
      cg_tensor *back = cg_select(tape, s, axis, i);
      has_shape(back, CG_DIMS(2, 3, 4));
      for (int k = 0; k < 24; k++)
        ck_assert(cg_tensor_get(back, k) == cg_tensor_get(both[i], k));
    }
  }
  for (int axis = -3; axis < 3; axis++) {
    cg_tensor *p[] = {a, cg_narrow(tape, b, axis, 1, 1),
                      cg_narrow(tape, b, axis, 1, 0), b};
    cg_tensor *c = cg_concat(tape, p, 4, axis);
    int64_t start = 0;
    for (int i = 0; i < 4; i++) {
      int64_t length = cg_tensor_dim(p[i], axis);
      cg_tensor *back = cg_narrow(tape, c, axis, start, length);
      for (int64_t k = 0; k < cg_tensor_numel(p[i]); k++)
        ck_assert(cg_tensor_get(back, k) == cg_tensor_get(p[i], k));
      start += length;
    }
    ck_assert_int_eq(cg_tensor_dim(c, axis), start);
  }
  cg_tensor *ints[20];
  for (int i = 0; i < 20; i++) ints[i] = cg_full(tape, CG_I64, 0, NULL, i * i);
  near(cg_tensor_get(cg_stack(tape, ints, 20, 0), 17), 289, 0);
  fine(tape);
}
END_TEST

START_TEST(bad_joins_are_refused) {
  cg_tensor *x[] = {cg_full(tape, CG_F64, CG_DIMS(2, 3), 1),
                    cg_full(tape, CG_F64, CG_DIMS(2, 4), 1), NULL};
  cg_tensor *mixed[] = {x[0], cg_full(tape, CG_F32, CG_DIMS(2, 3), 1)};
  ck_assert_ptr_null(cg_stack(tape, x, 2, 0));
  failed(tape, CG_ERR_SHAPE, "stack",
         "operand 0 is [2, 3] and operand 1 is [2, 4]");
  ck_assert_ptr_null(cg_concat(tape, x, 2, 0));
  failed(tape, CG_ERR_SHAPE, "concat", "[2, 4]");
  ck_assert_ptr_null(cg_concat(tape, mixed, 2, 0));
  failed(tape, CG_ERR_DTYPE, "concat", "f32");
  ck_assert_ptr_null(cg_concat(tape, x, 1, 2));
  failed(tape, CG_ERR_ARG, "concat", "axis 2");
  ck_assert_ptr_null(cg_stack(tape, x, 1, 4));
  failed(tape, CG_ERR_ARG, "stack", "axis 4");
  ck_assert_ptr_null(cg_stack(tape, x, 0, 0));
  failed(tape, CG_ERR_ARG, "stack", "0 operands");
  ck_assert_ptr_null(cg_stack(tape, x, -3, 0));
  failed(tape, CG_ERR_ARG, "stack", "-3 operands");
  ck_assert_ptr_null(cg_concat(tape, x, 3, 1));
  failed(tape, CG_ERR_ARG, "concat", "operand 2");
  ck_assert_ptr_null(cg_concat(tape, NULL, 3, 1));
  failed(tape, CG_ERR_ARG, "concat", "missing");
  cg_tensor *deep = cg_reshape(tape, x[0], CG_DIMS(1, 1, 1, 1, 1, 1, 2, 3));
  ck_assert_ptr_null(cg_stack(tape, &deep, 1, 0));
  failed(tape, CG_ERR_ARG, "stack", "rank 9");
}
END_TEST

START_TEST(slices_add_up) {
  const double p[] = {1.5, 2.5, -4}, q[] = {0.25, 8};
  cg_tensor *parts[] = {cg_input(tape, CG_F64, CG_DIMS(3, 1), p),
                        cg_input(tape, CG_F64, CG_DIMS(2, 1), q)};
  const int64_t starts[] = {1, 2}, wrong[] = {1, 4}, shape[] = {5, 1};
  NEAR_ALL(cg_sum_slices(tape, parts, starts, 2, 0, 2, shape), 0, 0, 1.5, 2.75,
           4, 0);
  ck_assert_ptr_null(cg_sum_slices(tape, parts, wrong, 2, 0, 2, shape));
  failed(tape, CG_ERR_SHAPE, "sum_slices", "[2, 1] does not fit into [5, 1]");
  ck_assert_ptr_null(cg_sum_slices(tape, parts, starts, 2, 1, 2, shape));
  failed(tape, CG_ERR_SHAPE, "sum_slices", "axis 1");
  ck_assert_ptr_null(cg_sum_slices(tape, parts, starts, 0, 0, 2, shape));
  failed(tape, CG_ERR_ARG, "sum_slices", "0 parts");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, sums_over_any_axes);
  tcase_add_test(tc, sums_of_much_and_of_nothing);
  tcase_add_test(tc, bad_axes_are_refused);
  tcase_add_test(tc, sum_to_undoes_broadcasting);
  tcase_add_loop_test(tc, random_views, 0, 200);
  tcase_add_test(tc, reshape_copies_only_where_it_must);
  tcase_add_test(tc, reshape_of_empty_views);
  tcase_add_test(tc, bad_views_are_refused);
  tcase_add_test(tc, stack_and_concat_along_each_axis);
  tcase_add_test(tc, bad_joins_are_refused);
  tcase_add_test(tc, slices_add_up);
  return run_case("ops_shapes", tc);
}
