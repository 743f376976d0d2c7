/* test_loss.c - the cross entropy of a sequence, and its four reductions. */
#include "nn_test.h"

enum { T = 3, B = 4, K = 5 };

static const int64_t targets[T * B] = {2, 0, 4, 1, 3, 3, 0, 2, 1, 4, 4, 0};

/* -log softmax(o)[y], the long way. */
static double loss_of(const cg_tensor *o, int row) {
  double sum = 0;
  for (int k = 0; k < K; k++) sum += exp(cg_tensor_get(o, row * K + k));
  return log(sum) - cg_tensor_get(o, row * K + targets[row]);
}

static double total(const cg_tensor *o) {
  double sum = 0;
  for (int row = 0; row < T * B; row++) sum += loss_of(o, row);
  return sum;
}

START_TEST(four_reductions) {
  const cg_reduction over_steps = (cg_reduction)(_i / 2),
                     over_batch = (cg_reduction)(_i % 2);
  double n = (over_steps == CG_REDUCE_MEAN ? T : 1) *
             (over_batch == CG_REDUCE_MEAN ? B : 1);
  cg_tensor *o = some_leaf(3, CG_DIMS(T, B, K));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, B), targets);
  cg_tensor *L = cg_cross_entropy_loss(tape, o, y, over_steps, over_batch);
  fine(tape);
  has_shape(L, 0, NULL);
  near(cg_tensor_item(L), total(o) / n, 1e-14);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  for (int row = 0; row < T * B; row++)
    for (int k = 0; k < K; k++) {
      double p = exp(cg_tensor_get(o, row * K + k) -
                     cg_tensor_get(o, row * K + targets[row]) -
                     loss_of(o, row));
      near(cg_tensor_get(cg_tensor_grad(o), row * K + k),
           (p - (k == targets[row])) / n, 1e-14);
    }
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

START_TEST(other_ranks) {
  cg_tensor *o = some_leaf(4, CG_DIMS(T, B, K));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *flat = cg_reshape(tape, o, CG_DIMS(T * B, K));
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T * B), targets);
  cg_tensor *batch =
      cg_cross_entropy_loss(tape, flat, y, CG_REDUCE_SUM, CG_REDUCE_MEAN);
  near(cg_tensor_item(batch), total(o) / (T * B), 1e-14);
  cg_tensor *one =
      cg_cross_entropy_loss(tape, cg_select(tape, flat, 0, 7),
                            cg_select(tape, y, 0, 7), CG_REDUCE_MEAN,
                            CG_REDUCE_MEAN);
  fine(tape);
  near(cg_tensor_item(one), loss_of(o, 7), 1e-14);
  cg_tensor *deep =
      cg_cross_entropy_loss(tape, cg_reshape(tape, o, CG_DIMS(T, 2, 2, K)),
                            cg_reshape(tape, y, CG_DIMS(T, 2, 2)),
                            CG_REDUCE_SUM, CG_REDUCE_MEAN);
  fine(tape);
  near(cg_tensor_item(deep), total(o) / B, 1e-14);
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

START_TEST(no_losses) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *o = cg_full(tape, CG_F64, CG_DIMS(T, 0, K), 0.0);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, 0), NULL);
  near(cg_tensor_item(cg_cross_entropy_loss(tape, o, y, CG_REDUCE_MEAN,
                                            CG_REDUCE_SUM)),
       0.0, 0.0);
  ck_assert(isnan(cg_tensor_item(
      cg_cross_entropy_loss(tape, o, y, CG_REDUCE_SUM, CG_REDUCE_MEAN))));
  fine(tape);
  cg_tape_free(tape);
}
END_TEST

START_TEST(refuses_what_does_not_fit) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *o = cg_full(tape, CG_F64, CG_DIMS(T, B, K), 0.3);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, B), targets);
  ck_assert_ptr_null(
      cg_cross_entropy_loss(tape, o, y, (cg_reduction)2, CG_REDUCE_SUM));
  failed(tape, CG_ERR_ARG, "cross_entropy_loss", "2 over steps");
  ck_assert_ptr_null(
      cg_cross_entropy_loss(tape, o, y, CG_REDUCE_SUM, (cg_reduction)-1));
  failed(tape, CG_ERR_ARG, "cross_entropy_loss", "-1 over the batch");
  ck_assert_ptr_null(cg_cross_entropy_loss(tape, o, cg_select(tape, y, 0, 0),
                                           CG_REDUCE_SUM, CG_REDUCE_SUM));
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_SHAPE);
  cg_tape_clear_error(tape);
  int64_t high[T * B] = {[5] = K};
  ck_assert_ptr_null(cg_cross_entropy_loss(
      tape, o, cg_input(tape, CG_I64, CG_DIMS(T, B), high), CG_REDUCE_SUM,
      CG_REDUCE_SUM));
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_ARG);
  cg_tape_free(tape);
}
END_TEST

/* ---- activations ---- */

START_TEST(activations_on_the_tape) {
  const double z[] = {-1.7, 0.3, 2.385};
  cg_tensor *x = leaf_of(z, CG_DIMS(3));
  cg_tape *tape = cg_tape_new(NULL);
  NEAR_ALL(cg_activate(tape, CG_ACT_TANH, x), 1e-15, tanh(z[0]), tanh(z[1]),
           tanh(z[2]));
  NEAR_ALL(cg_activate(tape, CG_ACT_RELU, x), 0, 0.0, z[1], z[2]);
  NEAR_ALL(cg_activate(tape, CG_ACT_SIGMOID, x), 1e-15, 1 / (1 + exp(-z[0])),
           1 / (1 + exp(-z[1])), 1 / (1 + exp(-z[2])));
  ck_assert_ptr_eq(cg_activate(tape, CG_ACT_IDENTITY, x), x);
  fine(tape);
  ck_assert_ptr_null(cg_activate(tape, CG_ACT_COUNT, x));
  failed(tape, CG_ERR_ARG, "activate", "no activation");
  cg_tape_free(tape);
  cg_leaf_free(x);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("loss");
  tcase_add_loop_test(tc, four_reductions, 0, 4);
  tcase_add_test(tc, other_ranks);
  tcase_add_test(tc, no_losses);
  tcase_add_test(tc, refuses_what_does_not_fit);
  tcase_add_test(tc, activations_on_the_tape);
  return run_case("loss", tc);
}
