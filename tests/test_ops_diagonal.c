/* test_ops_diagonal.c - diagonals, and matrices made of them; values and
 * gradients against PyTorch and differences are in the tests over all ops. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

START_TEST(a_diagonal_is_a_view) {
  double numbers[12];
  for (int i = 0; i < 12; i++) numbers[i] = i + 0.5;
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(2, 2, 3), numbers);
  cg_tensor *y = cg_diagonal(tape, x);
  has_shape(y, CG_DIMS(2, 2));
  NEAR_ALL(y, 0, 0.5, 4.5, 6.5, 10.5);
  ck_assert_ptr_eq(cg_tensor_data(y), cg_tensor_data(x));
  cg_tensor *turned = cg_transpose(tape, x, 0, 2); /* [3, 2, 2] */
  NEAR_ALL(cg_diagonal(tape, turned), 0, 0.5, 9.5, 1.5, 10.5, 2.5, 11.5);
  cg_tensor *back = cg_flip(tape, x, (const int[]){2}, 1);
  NEAR_ALL(cg_diagonal(tape, back), 0, 2.5, 4.5, 8.5, 10.5);
  fine(tape);
}
END_TEST

START_TEST(integers_have_diagonals) {
  cg_tensor *x = I(CG_DIMS(2, 2), 1, 2, 3, 4);
  NEAR_ALL(cg_diagonal(tape, x), 0, 1, 4);
}
END_TEST

START_TEST(embedded_and_taken_out_again) {
  const cg_dtype types[] = {CG_F32, CG_F64};
  for (int i = 0; i < 2; i++) {
    cg_tensor *x = F(types[i], CG_DIMS(2, 2), 1.5, -2, 0.25, 4);
    cg_tensor *X = cg_diag_embed(tape, x);
    has_shape(X, CG_DIMS(2, 2, 2));
    NEAR_ALL(X, 0, 1.5, 0, 0, -2, 0.25, 0, 0, 4);
    NEAR_ALL(cg_diagonal(tape, X), 0, 1.5, -2, 0.25, 4);
    cg_tensor *turned = cg_diag_embed(tape, cg_transpose(tape, x, 0, 1));
    NEAR_ALL(turned, 0, 1.5, 0, 0, 0.25, -2, 0, 0, 4);
  }
  fine(tape);
}
END_TEST

/* d tanh(z)_i / dz_j = diag(1 - h^2). */
START_TEST(the_jacobian_of_an_activation) {
  cg_tensor *z = leaf_of((const double[]){0.3, -1.2, 2.385}, CG_DIMS(3)), *J;
  cg_tensor *h = cg_tanh(tape, z);
  ck_assert_int_eq(cg_jacobian(tape, h, z, &J, 0), CG_OK);
  cg_tensor *slope = cg_add_scalar(tape, cg_neg(tape, cg_square(tape, h)), 1);
  cg_tensor *D = cg_diag_embed(tape, slope);
  has_shape(D, CG_DIMS(3, 3));
  for (int i = 0; i < 9; i++)
    near(cg_tensor_get(J, i), cg_tensor_get(D, i), 1e-15);
  cg_leaf_free(z);
}
END_TEST

START_TEST(refused) {
  ck_assert_ptr_null(cg_diagonal(tape, F(CG_F64, CG_DIMS(2), 1, 2)));
  failed(tape, CG_ERR_SHAPE, "diagonal", "[2] has no two axes");
  ck_assert_ptr_null(cg_diagonal(tape, cg_scalar(tape, CG_F64, 1)));
  failed(tape, CG_ERR_SHAPE, "diagonal", "[] has no two axes");
  ck_assert_ptr_null(cg_diagonal(tape, NULL));
  failed(tape, CG_ERR_ARG, "diagonal", "NULL");
  ck_assert_ptr_null(cg_diag_embed(tape, cg_scalar(tape, CG_F64, 1)));
  failed(tape, CG_ERR_SHAPE, "diag_embed", "[]: the rank must be 1 to 7");
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(1, 1, 1, 1, 1, 1, 1, 1), 1);
  ck_assert_ptr_null(cg_diag_embed(tape, x));
  failed(tape, CG_ERR_SHAPE, "diag_embed", "the rank must be 1 to 7");
  ck_assert_ptr_null(cg_diag_embed(tape, I(CG_DIMS(2), 1, 2)));
  failed(tape, CG_ERR_DTYPE, "diag_embed", "i64");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, a_diagonal_is_a_view);
  tcase_add_test(tc, integers_have_diagonals);
  tcase_add_test(tc, embedded_and_taken_out_again);
  tcase_add_test(tc, the_jacobian_of_an_activation);
  tcase_add_test(tc, refused);
  return run_case("ops_diagonal", tc);
}
