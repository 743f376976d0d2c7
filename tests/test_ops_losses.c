/* test_ops_losses.c - losses and layer_norm: extreme values, ignored targets,
 * empty operands, and what they refuse. Figures of PyTorch are in
 * test_ops_torch_other.c. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

#define V(dims, ...) \
  cg_input(tape, CG_F64, dims, (const double[]){__VA_ARGS__})

/* ---- binary cross entropy ---- */

/* No overflow, and no loss of a small one beside a large logit. */
START_TEST(logits_of_any_size) {
  cg_tensor *o = V(CG_DIMS(6), 1000, 1000, -1000, -40, 40, 0);
  cg_tensor *y = V(CG_DIMS(6), 1, 0, 1, 0, 1, 0.25);
  const double tiny = exp(-40);
  cg_tensor *loss = cg_bce_with_logits(tape, o, y, CG_REDUCE_NONE);
  NEAR_ALL(loss, 1e-15, 0, 1000, 1000, tiny, tiny, log(2));
  near(cg_tensor_get(loss, 3) / tiny, 1, 1e-14);
  near(cg_tensor_get(loss, 4) / tiny, 1, 1e-14);
  near(cg_tensor_item(cg_bce_with_logits(tape, o, y, CG_REDUCE_SUM)),
       2000 + log(2), 1e-15);
  cg_tensor *f32 = cg_bce_with_logits(tape, cg_cast(tape, o, CG_F32),
                                      cg_cast(tape, y, CG_F32),
                                      CG_REDUCE_NONE);
  for (int i = 0; i < 6; i++)
    near(cg_tensor_get(f32, i), cg_tensor_get(loss, i), 1e-6);
}
END_TEST

/* ---- reductions ---- */

START_TEST(reductions_of_nothing) {
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, 3), 1);
  cg_tensor *y = cg_full(tape, CG_I64, CG_DIMS(0), 1);
  near(cg_tensor_item(cg_l1(tape, none, none, CG_REDUCE_SUM)), 0, 0);
  near(cg_tensor_item(cg_huber(tape, none, none, 1, CG_REDUCE_MEAN)), NAN, 0);
  has_shape(cg_bce_with_logits(tape, none, none, CG_REDUCE_NONE),
            CG_DIMS(0, 3));
  near(cg_tensor_item(cg_nll(tape, none, y, -100, CG_REDUCE_MEAN)), NAN, 0);
  has_shape(cg_nll(tape, none, y, -100, CG_REDUCE_NONE), CG_DIMS(0));
  ck_assert_ptr_null(cg_l1(tape, none, none, (cg_reduction)7));
  failed(tape, CG_ERR_ARG, "l1", "7 is not a reduction");
  ck_assert_ptr_null(cg_huber(tape, none, none, 0, CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "huber", "delta is 0");
  ck_assert_ptr_null(cg_huber(tape, none, none, NAN, CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "huber", "must be positive");
}
END_TEST

START_TEST(differences) {
  cg_tensor *a = V(CG_DIMS(2, 2), 0.5, -3, 2, 8), *b = V(CG_DIMS(2), 0.5, 2);
  NEAR_ALL(cg_l1(tape, a, b, CG_REDUCE_NONE), 0, 0, 5, 1.5, 6);
  near(cg_tensor_item(cg_l1(tape, a, b, CG_REDUCE_MEAN)), 12.5 / 4, 1e-15);
  NEAR_ALL(cg_huber(tape, a, b, 2, CG_REDUCE_NONE), 1e-15, 0, 8, 1.125, 10);
  ck_assert_ptr_null(cg_l1(tape, a, V(CG_DIMS(3), 1, 2, 3), CG_REDUCE_SUM));
  failed(tape, CG_ERR_SHAPE, "sub", "[2, 2] and [3]");
}
END_TEST

/* ---- ignored targets ---- */

/* An ignored row may hold anything. */
START_TEST(ignored_rows_touch_nothing) {
  const double v[] = {0.5, -1, 2, NAN, INFINITY, NAN, -2, 0.25, 1};
  cg_tensor *o = leaf_of(v, CG_DIMS(3, 3));
  cg_tensor *y = I(CG_DIMS(3), 2, -100, 0), *g;
  cg_tensor *each =
      cg_cross_entropy_ignore(tape, o, y, CG_IGNORE_INDEX, CG_REDUCE_NONE);
  double first = log(exp(0.5) + exp(-1) + exp(2)) - 2;
  double third = log(exp(-2) + exp(0.25) + exp(1)) + 2;
  NEAR_ALL(each, 1e-14, first, 0, third);
  cg_tensor *mean =
      cg_cross_entropy_ignore(tape, o, y, CG_IGNORE_INDEX, CG_REDUCE_MEAN);
  near(cg_tensor_item(mean), (first + third) / 2, 1e-14);
  for (int k = 0; k < 2; k++) {
    cg_tensor *loss = k ? mean : cg_sum_all(tape, each);
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &o, 1, &g, 0), CG_OK);
    double scale = k ? 0.5 : 1;
    near(cg_tensor_get(g, 2), scale * expm1(-first), 1e-14);
    near(cg_tensor_get(g, 6), scale * expm1(-third), 1e-14);
    for (int i = 3; i < 6; i++) ck_assert_double_eq(cg_tensor_get(g, i), 0);
  }
  cg_leaf_free(o);
}
END_TEST

START_TEST(all_or_none_ignored) {
  cg_tensor *p = V(CG_DIMS(2, 1, 2), -0.5, -2, -1.5, -0.25);
  cg_tensor *y = I(CG_DIMS(2, 1), 1, 1), *n = I(CG_DIMS(2, 1), 7, 7);
  cg_tensor *each = cg_nll(tape, p, y, -100, CG_REDUCE_NONE);
  has_shape(each, CG_DIMS(2, 1));
  NEAR_ALL(each, 1e-15, 2, 0.25);
  near(cg_tensor_item(cg_nll(tape, p, n, 7, CG_REDUCE_MEAN)), NAN, 0);
  near(cg_tensor_item(cg_nll(tape, p, n, 7, CG_REDUCE_SUM)), 0, 0);
  NEAR_ALL(cg_nll(tape, p, n, 7, CG_REDUCE_NONE), 0, 0, 0);
  /* Class 1 can be the ignored one; strided targets. */
  cg_tensor *turned = cg_transpose(tape, I(CG_DIMS(2, 2), 1, 0, 0, 1), 0, 1);
  cg_tensor *q = V(CG_DIMS(2, 2, 2), -1, -2, -3, -4, -5, -6, -7, -8);
  NEAR_ALL(cg_nll(tape, q, turned, 1, CG_REDUCE_NONE), 0, 0, 3, 5, 0);
}
END_TEST

START_TEST(targets_that_do_not_fit) {
  cg_tensor *o = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  ck_assert_ptr_null(cg_cross_entropy_ignore(tape, o, I(CG_DIMS(3), 0, 0, 0),
                                             -100, CG_REDUCE_SUM));
  failed(tape, CG_ERR_SHAPE, "cross_entropy", "targets [3] do not fit [2, 3]");
  ck_assert_ptr_null(cg_nll(tape, o, I(CG_DIMS(2), 0, 3), -100,
                            CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "gather", "index 3");
  ck_assert_ptr_null(cg_cross_entropy_ignore(tape, o, I(CG_DIMS(2), 0, -1),
                                             -100, CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "cross_entropy", "index -1");
  ck_assert_ptr_null(cg_nll(tape, o, V(CG_DIMS(2), 0, 1), -100,
                            CG_REDUCE_SUM));
  failed(tape, CG_ERR_DTYPE, "nll", "f64");
  ck_assert_ptr_null(cg_nll(tape, NULL, o, -100, CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "nll", "NULL");
}
END_TEST

/* ---- layer_norm ---- */

START_TEST(rows_of_mean_0_and_variance_1) {
  enum { R = 3, C = 37 };
  cg_dtype dtype = _i ? CG_F64 : CG_F32;
  cg_rng rng = cg_rng_seed(6);
  cg_tensor *x = cg_add_scalar(
      tape, cg_rand_normal(tape, &rng, dtype, CG_DIMS(C, R)), 100);
  cg_tensor *y = cg_layer_norm(tape, cg_transpose(tape, x, 0, 1), NULL, NULL,
                               0);
  has_shape(y, CG_DIMS(R, C));
  for (int r = 0; r < R; r++) {
    double sum = 0, squares = 0;
    for (int c = 0; c < C; c++) {
      double v = cg_tensor_get(y, r * C + c);
      sum += v;
      squares += v * v;
    }
    near(sum / C, 0, _i ? 1e-13 : 1e-6);
    near(squares / C, 1, _i ? 1e-13 : 1e-6);
  }
}
END_TEST

START_TEST(layer_norm_edges) {
  cg_tensor *x = V(CG_DIMS(2, 2), 3, 3, 1, -1);
  cg_tensor *w = V(CG_DIMS(2), 2, -4), *b = V(CG_DIMS(2), 0.5, 0.25);
  NEAR_ALL(cg_layer_norm(tape, x, w, b, 0.5625), 1e-15, 0.5, 0.25,
           0.5 + 2 / 1.25, 0.25 + 4 / 1.25);
  NEAR_ALL(cg_layer_norm(tape, V(CG_DIMS(1), 7), NULL, NULL, 1e-5), 0, 0);
  has_shape(cg_layer_norm(tape, cg_full(tape, CG_F32, CG_DIMS(2, 0), 0), NULL,
                          NULL, 1e-5),
            CG_DIMS(2, 0));
  ck_assert_ptr_null(cg_layer_norm(tape, x, V(CG_DIMS(1), 2), NULL, 1e-5));
  failed(tape, CG_ERR_SHAPE, "layer_norm",
         "the weight [1] does not suit the last axis of [2, 2]");
  ck_assert_ptr_null(cg_layer_norm(tape, x, w, x, 1e-5));
  failed(tape, CG_ERR_SHAPE, "layer_norm", "the bias [2, 2]");
  ck_assert_ptr_null(cg_layer_norm(tape, cg_scalar(tape, CG_F64, 1), NULL,
                                   NULL, 1e-5));
  failed(tape, CG_ERR_SHAPE, "layer_norm", "no last axis");
  ck_assert_ptr_null(cg_layer_norm(tape, I(CG_DIMS(1), 1), NULL, NULL, 0));
  failed(tape, CG_ERR_DTYPE, "layer_norm", "i64");
  ck_assert_ptr_null(cg_layer_norm_grad(tape, x, x, w));
  failed(tape, CG_ERR_SHAPE, "layer_norm_grad", "r [2]");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("losses");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, logits_of_any_size);
  tcase_add_test(tc, reductions_of_nothing);
  tcase_add_test(tc, differences);
  tcase_add_test(tc, ignored_rows_touch_nothing);
  tcase_add_test(tc, all_or_none_ignored);
  tcase_add_test(tc, targets_that_do_not_fit);
  tcase_add_loop_test(tc, rows_of_mean_0_and_variance_1, 0, 2);
  tcase_add_test(tc, layer_norm_edges);
  return run_case("losses and layer_norm", tc);
}
