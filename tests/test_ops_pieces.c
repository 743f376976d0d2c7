/* test_ops_pieces.c - slices, flips, borders, splits, and selections by index:
 * against index arithmetic, through views of views, and what they refuse. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

#define AXES(...) \
  (const int[]){__VA_ARGS__}, N_OF(((const int[]){__VA_ARGS__}))
#define SIZES(...) (const int64_t[]){__VA_ARGS__}

/* 0, 1, 2, ... in a shape. */
static cg_tensor *counted(cg_dtype dtype, int rank, const int64_t *shape) {
  double v[256];
  for (int i = 0; i < 256; i++) v[i] = i;
  cg_tensor *x = cg_input(tape, CG_F64, rank, shape, v);
  return dtype == CG_F64 ? x : cg_cast(tape, x, dtype);
}

/* ---- slices ---- */

START_TEST(slices_with_steps) {
  cg_tensor *x = counted(_i ? CG_F64 : CG_F32, CG_DIMS(3, 5));
  cg_tensor *y = cg_slice(tape, x, 1, 4, -2, 3);
  has_shape(y, CG_DIMS(3, 3));
  ck_assert_ptr_eq(cg_tensor_data(y), (const char *)cg_tensor_data(x) +
                                          4 * cg_dtype_size(
                                                  cg_tensor_dtype(x)));
  NEAR_ALL(y, 0, 4, 2, 0, 9, 7, 5, 14, 12, 10);
  NEAR_ALL(cg_slice(tape, y, 0, 2, -2, 2), 0, 14, 12, 10, 4, 2, 0);
  NEAR_ALL(cg_slice(tape, y, -1, 2, -1, 3), 0, 0, 2, 4, 5, 7, 9, 10, 12, 14);
  NEAR_ALL(cg_slice(tape, x, 0, 1, INT64_MAX, 1), 0, 5, 6, 7, 8, 9);
  has_shape(cg_slice(tape, x, 0, -7, 1, 0), CG_DIMS(0, 5));
  fine(tape);
}
END_TEST

/* Every family of kernels reads a negative stride as any other. */
START_TEST(negative_strides_are_strides) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 3));
  cg_tensor *b = cg_flip(tape, x, AXES(0, 1));
  cg_tensor *d = cg_contiguous(tape, b);
  ck_assert(!cg_tensor_contiguous(b) && cg_tensor_contiguous(d));
  const struct {
    cg_tensor *strided, *dense;
  } pairs[] = {
      {cg_exp(tape, b), cg_exp(tape, d)},
      {cg_add(tape, b, x), cg_add(tape, d, x)},
      {cg_sum(tape, b, AXES(0), false), cg_sum(tape, d, AXES(0), false)},
      {cg_sum_all(tape, b), cg_sum_all(tape, d)},
      {cg_matmul_t(tape, b, x, false, true),
       cg_matmul_t(tape, d, x, false, true)},
      {cg_matmul_t(tape, b, b, true, false),
       cg_matmul_t(tape, d, d, true, false)},
      {cg_reshape(tape, b, CG_DIMS(6)), cg_reshape(tape, d, CG_DIMS(6))},
      {cg_reshape(tape, b, CG_DIMS(3, 2)), cg_reshape(tape, d, CG_DIMS(3, 2))},
      {cg_softmax(tape, b, 0), cg_softmax(tape, d, 0)},
      {cg_log_softmax(tape, b, 1), cg_log_softmax(tape, d, 1)},
      {cg_narrow(tape, b, 1, 1, 2), cg_narrow(tape, d, 1, 1, 2)},
      {cg_concat(tape, (cg_tensor *[]){b, x}, 2, 0),
       cg_concat(tape, (cg_tensor *[]){d, x}, 2, 0)},
      {cg_cumsum(tape, b, 1, false), cg_cumsum(tape, d, 1, false)},
      {cg_layer_norm(tape, b, NULL, NULL, 0), cg_layer_norm(tape, d, NULL,
                                                            NULL, 0)},
      {cg_expand(tape, b, CG_DIMS(2, 2, 3)),
       cg_expand(tape, d, CG_DIMS(2, 2, 3))},
  };
  fine(tape);
  for (int k = 0; k < N_OF(pairs); k++)
    for (int64_t i = 0; i < cg_tensor_numel(pairs[k].dense); i++)
      near(cg_tensor_get(pairs[k].strided, i),
           cg_tensor_get(pairs[k].dense, i), 1e-15);
}
END_TEST

START_TEST(flips) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 3));
  NEAR_ALL(cg_flip(tape, x, AXES(0, -1)), 0, 5, 4, 3, 2, 1, 0);
  NEAR_ALL(cg_flip(tape, x, AXES(0)), 0, 3, 4, 5, 0, 1, 2);
  NEAR_ALL(cg_flip(tape, x, NULL, 0), 0, 0, 1, 2, 3, 4, 5);
  has_shape(cg_flip(tape, counted(CG_F64, CG_DIMS(0, 3)), AXES(0, 1)),
            CG_DIMS(0, 3));
  ck_assert_ptr_null(cg_flip(tape, x, AXES(0, -2)));
  failed(tape, CG_ERR_ARG, "flip", "axis -2 of [2, 3] is named twice");
  ck_assert_ptr_null(cg_flip(tape, x, AXES(2)));
  failed(tape, CG_ERR_ARG, "flip", "axis 2 of [2, 3] is out of range");
}
END_TEST

START_TEST(slices_that_do_not_fit) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 5));
  const int64_t bad[][3] = {{0, 2, 4},  {3, 1, 3},         {5, 1, 1},
                            {-1, 1, 1}, {1, -1, 3},        {0, 0, 2},
                            {0, 1, -1}, {1, INT64_MAX, 3}, {0, INT64_MIN, 2}};
  for (int k = 0; k < N_OF(bad); k++) {
    ck_assert_ptr_null(cg_slice(tape, x, 1, bad[k][0], bad[k][1], bad[k][2]));
    failed(tape, CG_ERR_ARG, "slice", "of axis 1 with 5");
  }
  ck_assert_ptr_null(cg_slice(tape, x, 2, 0, 1, 1));
  failed(tape, CG_ERR_ARG, "slice", "axis 2 of shape [2, 5]");
  ck_assert_ptr_null(cg_slice_grad(tape, x, 1, 0, 2, 8));
  failed(tape, CG_ERR_ARG, "slice_grad", "5 elements from 0 on in steps of 2");
  ck_assert_ptr_null(cg_slice_grad(tape, x, 1, 0, 1, INT64_MAX));
  ck_assert_int_ne(cg_tape_status(tape), CG_OK);
}
END_TEST

/* ---- axes and borders ---- */

START_TEST(axes_come_and_go) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 1, 3));
  has_shape(cg_squeeze(tape, x, 1), CG_DIMS(2, 3));
  has_shape(cg_squeeze(tape, x, -2), CG_DIMS(2, 3));
  has_shape(cg_unsqueeze(tape, x, 0), CG_DIMS(1, 2, 1, 3));
  has_shape(cg_unsqueeze(tape, x, -1), CG_DIMS(2, 1, 3, 1));
  has_shape(cg_unsqueeze(tape, cg_scalar(tape, CG_F64, 2), 0), CG_DIMS(1));
  has_shape(cg_flatten(tape, x, 0, -1), CG_DIMS(6));
  has_shape(cg_flatten(tape, x, 1, 2), CG_DIMS(2, 3));
  has_shape(cg_flatten(tape, cg_scalar(tape, CG_F64, 2), 0, -1), CG_DIMS(1));
  has_shape(cg_flatten(tape, counted(CG_F64, CG_DIMS(2, 0, 3)), 1, 2),
            CG_DIMS(2, 0));
  cg_tensor *turned = cg_flatten(tape, cg_transpose(tape, x, 0, 2), 0, 2);
  NEAR_ALL(turned, 0, 0, 3, 1, 4, 2, 5);
  ck_assert_ptr_null(cg_squeeze(tape, x, 0));
  failed(tape, CG_ERR_SHAPE, "squeeze", "axis 0 of [2, 1, 3]");
  ck_assert_ptr_null(cg_squeeze(tape, x, 3));
  failed(tape, CG_ERR_ARG, "squeeze", "axis 3 does not suit [2, 1, 3]");
  ck_assert_ptr_null(cg_unsqueeze(tape, x, 4));
  failed(tape, CG_ERR_ARG, "unsqueeze", "axis 4");
  ck_assert_ptr_null(cg_flatten(tape, x, 2, 1));
  failed(tape, CG_ERR_ARG, "flatten", "axis 2 comes after axis 1");
  cg_tensor *deep = cg_full(tape, CG_F64, CG_DIMS(1, 1, 1, 1, 1, 1, 1, 1), 0);
  ck_assert_ptr_null(cg_unsqueeze(tape, deep, 0));
  failed(tape, CG_ERR_SHAPE, "reshape", "rank 9");
  ck_assert_ptr_null(cg_squeeze(tape, NULL, 0));
  failed(tape, CG_ERR_ARG, "squeeze", "NULL");
}
END_TEST

START_TEST(borders) {
  cg_tensor *x = counted(_i ? CG_F64 : CG_F32, CG_DIMS(2, 2));
  cg_tensor *y = cg_pad(tape, cg_transpose(tape, x, 0, 1), SIZES(1, 0),
                        SIZES(0, 2), 0.5);
  has_shape(y, CG_DIMS(3, 4));
  NEAR_ALL(y, 0, 0.5, 0.5, 0.5, 0.5, 0, 2, 0.5, 0.5, 1, 3, 0.5, 0.5);
  cg_tensor *none = counted(CG_F64, CG_DIMS(0, 1));
  NEAR_ALL(cg_pad(tape, none, SIZES(1, 0), SIZES(1, 0), -7), 0, -7, -7);
  NEAR_ALL(cg_pad(tape, x, NULL, NULL, 9), 0, 0, 1, 2, 3);
  ck_assert_ptr_null(cg_pad(tape, x, SIZES(0, -1), NULL, 0));
  failed(tape, CG_ERR_ARG, "pad", "[2, 2]");
  ck_assert_ptr_null(cg_pad(tape, x, SIZES(INT64_MAX, 0), NULL, 0));
  failed(tape, CG_ERR_ARG, "pad", "[2, 2]");
  ck_assert_ptr_null(cg_pad(tape, x, SIZES(INT64_MAX / 4, 0), NULL, 0));
  failed(tape, CG_ERR_SHAPE, "pad", "too many elements");
}
END_TEST

START_TEST(splits) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 5)), *part[4];
  ck_assert_int_eq(cg_split(tape, x, -1, SIZES(2, 0, 3), 3, part), CG_OK);
  NEAR_ALL(part[0], 0, 0, 1, 5, 6);
  has_shape(part[1], CG_DIMS(2, 0));
  NEAR_ALL(part[2], 0, 2, 3, 4, 7, 8, 9);
  ck_assert_int_eq(cg_chunk(tape, x, 1, 2, part), CG_OK);
  has_shape(part[0], CG_DIMS(2, 3));
  NEAR_ALL(part[1], 0, 3, 4, 8, 9);
  ck_assert_int_eq(cg_chunk(tape, x, 1, 4, part), CG_OK);
  has_shape(part[2], CG_DIMS(2, 1));
  has_shape(part[3], CG_DIMS(2, 0));
  ck_assert_int_eq(cg_split(tape, x, 1, SIZES(2, 2), 2, part), CG_ERR_SHAPE);
  ck_assert(part[0] == NULL && part[1] == NULL);
  failed(tape, CG_ERR_SHAPE, "split", "5 elements of axis 1");
  ck_assert_int_eq(cg_split(tape, x, 1, SIZES(7, -2), 2, part), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "split", "5 elements of axis 1");
  ck_assert_int_eq(cg_split(tape, x, 2, SIZES(5), 1, part), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "split", "axis 2 does not suit [2, 5]");
  ck_assert_int_eq(cg_chunk(tape, x, 1, 0, part), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "chunk", "0 parts");
}
END_TEST

/* ---- by index ---- */

START_TEST(selected_indices) {
  cg_tensor *x = counted(_i ? CG_F64 : CG_F32, CG_DIMS(2, 3, 2));
  cg_tensor *y = cg_index_select(tape, x, 1, I(CG_DIMS(4), 2, 0, 2, 1));
  has_shape(y, CG_DIMS(2, 4, 2));
  NEAR_ALL(y, 0, 4, 5, 0, 1, 4, 5, 2, 3, 10, 11, 6, 7, 10, 11, 8, 9);
  cg_tensor *turned = cg_transpose(tape, x, 0, 2); /* [2, 3, 2] */
  NEAR_ALL(cg_index_select(tape, turned, 0, I(CG_DIMS(1), 1)), 0, 1, 7, 3, 9,
           5, 11);
  cg_tensor *none = cg_full(tape, CG_I64, CG_DIMS(0), 0);
  has_shape(cg_index_select(tape, x, -1, none), CG_DIMS(2, 3, 0));
  ck_assert_ptr_null(cg_index_select(tape, x, 1, I(CG_DIMS(1), 3)));
  failed(tape, CG_ERR_ARG, "embedding", "index 3");
  ck_assert_ptr_null(cg_index_select(tape, x, 1, I(CG_DIMS(1, 1), 0)));
  failed(tape, CG_ERR_SHAPE, "index_select", "[2, 3, 2] by indices [1, 1]");
  ck_assert_ptr_null(cg_index_select(tape, x, 3, I(CG_DIMS(1), 0)));
  failed(tape, CG_ERR_ARG, "index_select", "axis 3");
}
END_TEST

START_TEST(scattered_sums) {
  cg_tensor *x = counted(CG_F64, CG_DIMS(2, 3));
  cg_tensor *src = cg_mul_scalar(tape, counted(CG_F64, CG_DIMS(2, 4)), 10);
  cg_tensor *index = I(CG_DIMS(2, 4), 2, 2, 0, 2, 1, 1, 1, 1);
  cg_tensor *y = cg_scatter_add(tape, x, 1, index, src);
  NEAR_ALL(y, 0, 20, 1, 42, 3, 224, 5);
  NEAR_ALL(x, 0, 0, 1, 2, 3, 4, 5);
  ck_assert_ptr_null(cg_scatter_add(tape, x, 0, index, src));
  failed(tape, CG_ERR_SHAPE, "scatter_add",
         "[2, 4] cannot be added to [2, 3] along axis 0");
  ck_assert_ptr_null(cg_scatter_add(tape, x, 2, index, src));
  failed(tape, CG_ERR_ARG, "scatter_add", "along axis 2");
  index = I(CG_DIMS(2, 4), 2, 2, 0, 3, 1, 1, 1, 1);
  ck_assert_ptr_null(cg_scatter_add(tape, x, 1, index, src));
  failed(tape, CG_ERR_ARG, "gather_grad", "index 3");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("pieces");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, slices_with_steps, 0, 2);
  tcase_add_test(tc, negative_strides_are_strides);
  tcase_add_test(tc, flips);
  tcase_add_test(tc, slices_that_do_not_fit);
  tcase_add_test(tc, axes_come_and_go);
  tcase_add_loop_test(tc, borders, 0, 2);
  tcase_add_test(tc, splits);
  tcase_add_loop_test(tc, selected_indices, 0, 2);
  tcase_add_test(tc, scattered_sums);
  return run_case("pieces", tc);
}
