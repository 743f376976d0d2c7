/* test_ops_index.c - embedding, gather, one_hot and their transposes: values by
 * hand, strided operands, and what they refuse. Derivatives are also checked
 * by test_ops_gradcheck. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

static const cg_dtype both[] = {CG_F32, CG_F64};

#define TABLE 2.385, -0.75, 1.125, 4.5, -3.25, 0.0625 /* [3, 2] */

/* ---- values ---- */

START_TEST(embedding_picks_rows) {
  cg_tensor *table = F(both[_i], CG_DIMS(3, 2), TABLE);
  cg_tensor *y = cg_embedding(tape, table, I(CG_DIMS(2, 2), 2, 0, 2, 1));
  has_shape(y, CG_DIMS(2, 2, 2));
  ck_assert_int_eq(cg_tensor_dtype(y), both[_i]);
  NEAR_ALL(y, 1e-7, -3.25, 0.0625, 2.385, -0.75, -3.25, 0.0625, 1.125, 4.5);
  cg_tensor *one = cg_embedding(tape, table, cg_input(tape, CG_I64, 0, NULL,
                                                      (int64_t[]){1}));
  has_shape(one, CG_DIMS(2));
  NEAR_ALL(one, 1e-7, 1.125, 4.5);
  fine(tape);
}
END_TEST

START_TEST(embedding_grad_adds_repeated_rows) {
  cg_tensor *g = F(both[_i], CG_DIMS(4, 2), 0.5, 1.5, -2, 8, 0.25, 3, 1, -1);
  cg_tensor *y = cg_embedding_grad(tape, g, I(CG_DIMS(4), 2, 0, 2, 2), 4);
  has_shape(y, CG_DIMS(4, 2));
  NEAR_ALL(y, 1e-7, -2, 8, 0, 0, 1.75, 3.5, 0, 0);
  fine(tape);
}
END_TEST

START_TEST(gather_picks_along_each_axis) {
  cg_tensor *x = F(both[_i], CG_DIMS(3, 2), TABLE);
  cg_tensor *rows = cg_gather(tape, x, 0, I(CG_DIMS(2, 2), 2, 1, 0, 1));
  NEAR_ALL(rows, 1e-7, -3.25, 4.5, 2.385, 4.5);
  cg_tensor *columns =
      cg_gather(tape, x, -1, I(CG_DIMS(3, 3), 1, 1, 0, 0, 1, 0, 1, 0, 0));
  has_shape(columns, CG_DIMS(3, 3));
  NEAR_ALL(columns, 1e-7, -0.75, -0.75, 2.385, 1.125, 4.5, 1.125, 0.0625,
           -3.25, -3.25);
  fine(tape);
}
END_TEST

START_TEST(gather_grad_adds_repeated_places) {
  cg_tensor *g = F(both[_i], CG_DIMS(3, 2), TABLE);
  cg_tensor *index = I(CG_DIMS(3, 2), 1, 0, 1, 3, 0, 3);
  cg_tensor *y = cg_gather_grad(tape, g, index, 0, 4);
  has_shape(y, CG_DIMS(4, 2));
  NEAR_ALL(y, 1e-7, -3.25, -0.75, 3.51, 0, 0, 0, 0, 4.5625);
  fine(tape);
}
END_TEST

START_TEST(one_hot_marks_the_index) {
  cg_tensor *y = cg_one_hot(tape, I(CG_DIMS(2, 1), 2, 0), 3, both[_i]);
  has_shape(y, CG_DIMS(2, 1, 3));
  ck_assert_int_eq(cg_tensor_dtype(y), both[_i]);
  NEAR_ALL(y, 0, 0, 0, 1, 1, 0, 0);
  ck_assert(!cg_tensor_requires_grad(y));
}
END_TEST

/* ---- strided operands ---- */

START_TEST(strides_do_not_matter) {
  cg_tensor *x = F(both[_i], CG_DIMS(2, 3), 2.385, 1.125, -3.25, -0.75, 4.5,
                   0.0625);
  cg_tensor *table = cg_transpose(tape, x, 0, 1); /* TABLE, columns first */
  cg_tensor *wide = I(CG_DIMS(3, 2), 2, 1, 0, 1, 1, 0);
  cg_tensor *index = cg_select(tape, wide, 1, 0); /* 2 0 1 */
  NEAR_ALL(cg_embedding(tape, table, index), 1e-7, -3.25, 0.0625, 2.385, -0.75,
           1.125, 4.5);
  NEAR_ALL(cg_embedding_grad(tape, table, index, 3), 1e-7, 1.125, 4.5, -3.25,
           0.0625, 2.385, -0.75);
  cg_tensor *across = cg_transpose(tape, wide, 0, 1); /* 2 0 1 | 1 1 0 */
  NEAR_ALL(cg_gather(tape, x, 1, across), 1e-7, -3.25, 2.385, 1.125, 4.5, 4.5,
           -0.75);
  NEAR_ALL(cg_gather(tape, table, 0, wide), 1e-7, -3.25, 4.5, 2.385, 4.5,
           1.125, -0.75);
  NEAR_ALL(cg_gather_grad(tape, table, wide, 0, 3), 1e-7, 1.125, 0.0625, -3.25,
           3.75, 2.385, 0);
  NEAR_ALL(cg_one_hot(tape, index, 3, both[_i]), 0, 0, 0, 1, 1, 0, 0, 0, 1, 0);
  fine(tape);
}
END_TEST

/* A repeated row, by a stride of 0. */
START_TEST(expanded_operands) {
  cg_tensor *row = F(CG_F64, CG_DIMS(1, 2), 2.385, -0.75);
  cg_tensor *x = cg_expand(tape, row, CG_DIMS(3, 2));
  cg_tensor *index = I(CG_DIMS(3), 1, 1, 0);
  NEAR_ALL(cg_embedding_grad(tape, x, index, 2), 1e-15, 2.385, -0.75, 4.77,
           -1.5);
  NEAR_ALL(cg_embedding(tape, x, index), 0, 2.385, -0.75, 2.385, -0.75, 2.385,
           -0.75);
}
END_TEST

/* ---- nothing ---- */

START_TEST(empty_operands) {
  cg_tensor *table = F(CG_F32, CG_DIMS(3, 2), TABLE);
  cg_tensor *none = cg_input(tape, CG_I64, CG_DIMS(0), NULL);
  has_shape(cg_embedding(tape, table, none), CG_DIMS(0, 2));
  has_shape(cg_one_hot(tape, none, 3, CG_F32), CG_DIMS(0, 3));
  has_shape(cg_one_hot(tape, none, 0, CG_F32), CG_DIMS(0, 0));
  cg_tensor *g = cg_input(tape, CG_F32, CG_DIMS(0, 2), NULL);
  NEAR_ALL(cg_embedding_grad(tape, g, none, 2), 0, 0, 0, 0, 0);
  cg_tensor *rows = cg_input(tape, CG_I64, CG_DIMS(0, 2), NULL);
  has_shape(cg_gather(tape, table, 0, rows), CG_DIMS(0, 2));
  NEAR_ALL(cg_gather_grad(tape, g, rows, 0, 1), 0, 0, 0);
  fine(tape);
}
END_TEST

/* ---- derivatives through a whole graph ---- */

/* L = sum(E^2), E = table[2, 0, 2]: dL/dtable = 2 n_r table_r, and the gradient
 * of its sum is 2 n_r. */
START_TEST(gradient_counts_uses) {
  cg_tensor *table = leaf_of((const double[]){TABLE}, CG_DIMS(3, 2)), *g, *gg;
  cg_tensor *e = cg_embedding(tape, table, I(CG_DIMS(3), 2, 0, 2));
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, e));
  cg_grad(tape, &loss, 1, NULL, &table, 1, &g, CG_CREATE_GRAPH);
  fine(tape);
  NEAR_ALL(g, 1e-15, 4.77, -1.5, 0, 0, -13, 0.25);
  cg_tensor *s = cg_sum_all(tape, g);
  cg_grad(tape, &s, 1, NULL, &table, 1, &gg, 0);
  fine(tape);
  NEAR_ALL(gg, 1e-15, 2, 2, 0, 0, 4, 4);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  NEAR_ALL(cg_tensor_grad(table), 1e-15, 4.77, -1.5, 0, 0, -13, 0.25);
  cg_leaf_free(table);
}
END_TEST

/* ---- refused ---- */

START_TEST(indices_out_of_range) {
  const int64_t bad[] = {3, -1, INT64_MAX, INT64_MIN};
  const char *const text[] = {"index 3,", "index -1,",
                              "index 9223372036854775807,",
                              "index -9223372036854775808,"};
  cg_tensor *x = F(CG_F64, CG_DIMS(3), 2.385, -0.75, 1.5);
  cg_tensor *index = I(CG_DIMS(3), 0, bad[_i], 7);
  ck_assert_ptr_null(cg_embedding(tape, x, index));
  ck_assert(strstr(cg_tape_error(tape)->message, "element 1") &&
            strstr(cg_tape_error(tape)->message, "size 3"));
  failed(tape, CG_ERR_ARG, "embedding", text[_i]);
  ck_assert_ptr_null(cg_embedding_grad(tape, x, index, 3));
  failed(tape, CG_ERR_ARG, "embedding_grad", text[_i]);
  ck_assert_ptr_null(cg_gather(tape, x, 0, index));
  failed(tape, CG_ERR_ARG, "gather", text[_i]);
  ck_assert_ptr_null(cg_gather_grad(tape, x, index, 0, 3));
  failed(tape, CG_ERR_ARG, "gather_grad", text[_i]);
  ck_assert_ptr_null(cg_one_hot(tape, index, 3, CG_F32));
  failed(tape, CG_ERR_ARG, "one_hot", text[_i]);
}
END_TEST

START_TEST(sizes_of_zero_have_no_index) {
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(0, 2), NULL);
  cg_tensor *index = I(CG_DIMS(1), 0);
  ck_assert_ptr_null(cg_embedding(tape, x, index));
  failed(tape, CG_ERR_ARG, "embedding", "out of range for size 0");
  ck_assert_ptr_null(cg_one_hot(tape, index, 0, CG_F64));
  failed(tape, CG_ERR_ARG, "one_hot", "out of range for size 0");
}
END_TEST

START_TEST(wrong_types) {
  cg_tensor *x = F(CG_F64, CG_DIMS(2), 0, 1), *index = I(CG_DIMS(2), 0, 1);
  ck_assert_ptr_null(cg_embedding(tape, x, x));
  failed(tape, CG_ERR_DTYPE, "embedding", "has type f64; indices are i64");
  ck_assert_ptr_null(cg_embedding(tape, index, index));
  failed(tape, CG_ERR_DTYPE, "embedding", "has type i64; f32 or f64");
  ck_assert_ptr_null(cg_embedding_grad(tape, x, x, 2));
  failed(tape, CG_ERR_DTYPE, "embedding_grad", "indices are i64");
  ck_assert_ptr_null(cg_gather(tape, x, 0, x));
  failed(tape, CG_ERR_DTYPE, "gather", "operand 1");
  ck_assert_ptr_null(cg_gather_grad(tape, index, index, 0, 2));
  failed(tape, CG_ERR_DTYPE, "gather_grad", "operand 0");
  ck_assert_ptr_null(cg_one_hot(tape, x, 2, CG_F64));
  failed(tape, CG_ERR_DTYPE, "one_hot", "indices are i64");
  ck_assert_ptr_null(cg_one_hot(tape, index, 2, CG_I64));
  failed(tape, CG_ERR_DTYPE, "one_hot", "cannot have type i64");
}
END_TEST

START_TEST(wrong_shapes) {
  cg_tensor *x = F(CG_F64, CG_DIMS(3, 2), TABLE);
  cg_tensor *index = I(CG_DIMS(2), 0, 1);
  ck_assert_ptr_null(
      cg_embedding(tape, cg_scalar(tape, CG_F64, 2.385), index));
  failed(tape, CG_ERR_SHAPE, "embedding", "scalar");
  ck_assert_ptr_null(cg_embedding_grad(tape, x, index, 3));
  ck_assert(strstr(cg_tape_error(tape)->message, "g [3, 2]"));
  failed(tape, CG_ERR_SHAPE, "embedding_grad", "indices, [2]");
  ck_assert_ptr_null(cg_embedding_grad(tape, cg_scalar(tape, CG_F64, 1), index,
                                       3));
  failed(tape, CG_ERR_SHAPE, "embedding_grad", "g []");
  ck_assert_ptr_null(cg_gather(tape, x, 0, index));
  failed(tape, CG_ERR_SHAPE, "gather", "indices [2] do not fit [3, 2]");
  cg_tensor *pairs = I(CG_DIMS(2, 2), 0, 1, 1, 0);
  ck_assert_ptr_null(cg_gather(tape, x, 1, pairs));
  failed(tape, CG_ERR_SHAPE, "gather", "indices [2, 2] do not fit [3, 2]");
  ck_assert_ptr_null(cg_gather_grad(tape, x, pairs, 0, 4));
  failed(tape, CG_ERR_SHAPE, "gather_grad", "indices [2, 2] do not fit [3, 2]");
}
END_TEST

START_TEST(wrong_attributes) {
  cg_tensor *x = F(CG_F64, CG_DIMS(2), 0, 1), *index = I(CG_DIMS(2), 0, 1);
  ck_assert_ptr_null(cg_gather(tape, x, 1, index));
  failed(tape, CG_ERR_ARG, "gather", "axis 1 of shape [2]");
  ck_assert_ptr_null(cg_gather(tape, x, -2, index));
  failed(tape, CG_ERR_ARG, "gather", "axis -2 of shape [2]");
  ck_assert_ptr_null(cg_gather_grad(tape, x, index, 0, -5));
  failed(tape, CG_ERR_ARG, "gather_grad", "size is -5");
  ck_assert_ptr_null(cg_embedding_grad(tape, x, index, -1));
  failed(tape, CG_ERR_ARG, "embedding_grad", "V is -1");
  ck_assert_ptr_null(cg_one_hot(tape, index, -7, CG_F64));
  failed(tape, CG_ERR_ARG, "one_hot", "K is -7");
  ck_assert_ptr_null(cg_one_hot(tape, index, INT64_MAX / 2, CG_F64));
  failed(tape, CG_ERR_SHAPE, "one_hot", "too many elements");
  ck_assert_ptr_null(cg_embedding_grad(tape, x, index, INT64_MAX));
  failed(tape, CG_ERR_SHAPE, "embedding_grad", "too many elements");
}
END_TEST

START_TEST(too_many_axes) {
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(1, 1, 1, 1, 1), NULL);
  cg_tensor *index = cg_input(tape, CG_I64, CG_DIMS(1, 1, 1, 1, 1), NULL);
  ck_assert_ptr_null(cg_embedding(tape, x, index));
  failed(tape, CG_ERR_SHAPE, "embedding", "rank 9; 8 is the largest");
  cg_tensor *full =
      cg_input(tape, CG_I64, CG_DIMS(1, 1, 1, 1, 1, 1, 1, 1), NULL);
  ck_assert_ptr_null(cg_one_hot(tape, full, 1, CG_F64));
  failed(tape, CG_ERR_SHAPE, "one_hot", "rank 9");
  cg_tensor *g = cg_input(tape, CG_F64, CG_DIMS(1, 1, 1, 1, 1, 1, 1, 1), NULL);
  cg_tensor *zero = cg_input(tape, CG_I64, 0, NULL, NULL);
  ck_assert_ptr_null(cg_embedding_grad(tape, g, zero, 1));
  failed(tape, CG_ERR_SHAPE, "embedding_grad", "rank 9");
}
END_TEST

START_TEST(missing_operands) {
  ck_assert_ptr_null(cg_embedding(tape, NULL, I(CG_DIMS(1), 0)));
  failed(tape, CG_ERR_ARG, "embedding", "NULL");
  ck_assert_ptr_null(cg_gather(tape, I(CG_DIMS(1), 0), 0, NULL));
  failed(tape, CG_ERR_ARG, "gather", "NULL");
  ck_assert_ptr_null(cg_one_hot(tape, NULL, 3, CG_F64));
  failed(tape, CG_ERR_ARG, "one_hot", "NULL");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("ops_index");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, embedding_picks_rows, 0, 2);
  tcase_add_loop_test(tc, embedding_grad_adds_repeated_rows, 0, 2);
  tcase_add_loop_test(tc, gather_picks_along_each_axis, 0, 2);
  tcase_add_loop_test(tc, gather_grad_adds_repeated_places, 0, 2);
  tcase_add_loop_test(tc, one_hot_marks_the_index, 0, 2);
  tcase_add_loop_test(tc, strides_do_not_matter, 0, 2);
  tcase_add_test(tc, expanded_operands);
  tcase_add_test(tc, empty_operands);
  tcase_add_test(tc, gradient_counts_uses);
  tcase_add_loop_test(tc, indices_out_of_range, 0, 4);
  tcase_add_test(tc, sizes_of_zero_have_no_index);
  tcase_add_test(tc, wrong_types);
  tcase_add_test(tc, wrong_shapes);
  tcase_add_test(tc, wrong_attributes);
  tcase_add_test(tc, too_many_axes);
  tcase_add_test(tc, missing_operands);
  return run_case("ops_index", tc);
}
