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

/* ---- masks ---- */

static const int64_t lengths[B] = {3, 0, 2, 1};

START_TEST(lengths_make_a_mask) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *mask = cg_length_mask(tape, lengths, B, T);
  fine(tape);
  ck_assert_int_eq(cg_tensor_dtype(mask), CG_U8);
  has_shape(mask, CG_DIMS(T, B));
  NEAR_ALL(mask, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0);
  has_shape(cg_length_mask(tape, NULL, 0, T), CG_DIMS(T, 0));
  has_shape(cg_length_mask(tape, (int64_t[]){0, 0}, 2, 0), CG_DIMS(0, 2));
  fine(tape);
  const int64_t high[] = {1, T + 1}, low[] = {-1};
  ck_assert_ptr_null(cg_length_mask(tape, high, 2, T));
  failed(tape, CG_ERR_ARG, "length_mask", "lengths[1] is 4");
  ck_assert_ptr_null(cg_length_mask(tape, low, 1, T));
  failed(tape, CG_ERR_ARG, "length_mask", "lengths[0] is -1");
  ck_assert_ptr_null(cg_length_mask(tape, NULL, 1, T));
  failed(tape, CG_ERR_ARG, "length_mask", "1 lengths");
  cg_tape_free(tape);
}
END_TEST

/* Sum and mean over the valid steps, whatever the others hold. */
START_TEST(masked_losses) {
  const cg_reduction reduction = _i ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  cg_tensor *o = some_leaf(5, CG_DIMS(T, B, K));
  double *raw = cg_leaf_data(o), want = 0, n = 0;
  for (int t = 0; t < T; t++)
    for (int b = 0; b < B; b++) {
      bool valid = t < lengths[b];
      if (valid) want += loss_of(o, t * B + b);
      n += valid;
      if (!valid) raw[(t * B + b) * K + 2] = 1e300;
    }
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, B), targets);
  cg_tensor *mask = cg_length_mask(tape, lengths, B, T);
  cg_tensor *L =
      cg_masked_loss(tape, cg_cross_entropy(tape, o, y), mask, reduction);
  fine(tape);
  has_shape(L, 0, NULL);
  near(cg_tensor_item(L), want / (_i ? n : 1), 1e-14);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  for (int t = 0; t < T; t++)
    for (int b = 0; b < B; b++) {
      int row = t * B + b;
      double p = exp(cg_tensor_get(o, row * K) - loss_of(o, row) -
                     cg_tensor_get(o, row * K + targets[row]));
      double due = (p - (targets[row] == 0)) / (_i ? n : 1);
      near(cg_tensor_get(cg_tensor_grad(o), row * K),
           t < lengths[b] ? due : 0, 1e-14);
    }
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

/* The same number by a mask and by targets that are ignored. */
START_TEST(masks_and_ignored_targets_agree) {
  cg_tensor *o = some_leaf(6, CG_DIMS(T, B, K));
  int64_t y[T * B];
  for (int i = 0; i < T * B; i++)
    y[i] = i / B < lengths[i % B] ? targets[i] : CG_IGNORE_INDEX;
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *mask = cg_length_mask(tape, lengths, B, T);
  cg_tensor *by_mask = cg_masked_loss(
      tape,
      cg_cross_entropy(tape, o, cg_input(tape, CG_I64, CG_DIMS(T, B), targets)),
      mask, CG_REDUCE_MEAN);
  cg_tensor *by_target = cg_cross_entropy_ignore(
      tape, o, cg_input(tape, CG_I64, CG_DIMS(T, B), y), CG_IGNORE_INDEX,
      CG_REDUCE_MEAN);
  fine(tape);
  near(cg_tensor_item(by_mask), cg_tensor_item(by_target), 1e-15);
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

START_TEST(masks_broadcast) {
  cg_tensor *a = some_leaf(7, CG_DIMS(T, B, K));
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *mask = cg_unsqueeze(tape, cg_length_mask(tape, lengths, B, T), 2);
  cg_tensor *L =
      cg_masked_loss(tape, cg_square(tape, a), mask, CG_REDUCE_MEAN);
  fine(tape);
  double want = 0;
  for (int i = 0; i < T * B * K; i++)
    if (i / (B * K) < lengths[i / K % B]) want += pow(cg_tensor_get(a, i), 2);
  near(cg_tensor_item(L), want / (6 * K), 1e-14);
  ((double *)cg_leaf_data(a))[K + 2] = NAN; /* t = 0, b = 1: masked */
  L = cg_masked_loss(tape, a, mask, CG_REDUCE_SUM);
  ck_assert(isfinite(cg_tensor_item(L)));
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  near(cg_tensor_get(cg_tensor_grad(a), K + 2), 0, 0);
  near(cg_tensor_get(cg_tensor_grad(a), 2 * K + 2), 1, 0);
  const int64_t none[B] = {0};
  cg_tensor *empty = cg_unsqueeze(tape, cg_length_mask(tape, none, B, T), 2);
  near(cg_tensor_item(cg_masked_loss(tape, a, empty, CG_REDUCE_SUM)), 0, 0);
  ck_assert(isnan(
      cg_tensor_item(cg_masked_loss(tape, a, empty, CG_REDUCE_MEAN))));
  fine(tape);
  cg_tensor *row = cg_select(tape, cg_select(tape, a, 0, 0), 0, 0);
  ck_assert_ptr_null(cg_masked_loss(tape, row, mask, CG_REDUCE_SUM));
  failed(tape, CG_ERR_SHAPE, "masked_loss", "does not broadcast to losses [5]");
  ck_assert_ptr_null(cg_masked_loss(tape, a, mask, CG_REDUCE_NONE));
  failed(tape, CG_ERR_ARG, "masked_loss", "2 is no reduction");
  ck_assert_ptr_null(cg_masked_loss(tape, a, a, CG_REDUCE_SUM));
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_DTYPE);
  cg_tape_free(tape);
  cg_leaf_free(a);
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

/* A mask of which another number of places is set, in either type. */
START_TEST(masks_are_counted_in_a_replay) {
  const cg_reduction reduction = _i % 2 ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  uint8_t mask[T] = {1, 2, 0};
  cg_tensor *o = some_leaf(8, CG_DIMS(T, B, K)), *L[2];
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *losses =
      cg_square(tape, cg_cast(tape, o, _i / 2 ? CG_F32 : CG_F64));
  cg_tensor *m = cg_borrow(tape, CG_U8, CG_DIMS(T, 1, 1), mask);
  for (int k = 0; k < 2; k++) {
    L[k] = cg_masked_loss(tape, losses, m, reduction);
    mask[1] = 0;
  }
  fine(tape);
  ck_assert_double_ne(cg_tensor_item(L[0]), cg_tensor_item(L[1]));
  ck_assert_int_eq(cg_tape_replay(tape), CG_OK);
  ck_assert_double_eq(cg_tensor_item(L[0]), cg_tensor_item(L[1]));
  cg_tape_free(tape);
  cg_leaf_free(o);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("loss");
  tcase_add_loop_test(tc, four_reductions, 0, 4);
  tcase_add_test(tc, other_ranks);
  tcase_add_test(tc, no_losses);
  tcase_add_test(tc, refuses_what_does_not_fit);
  tcase_add_test(tc, lengths_make_a_mask);
  tcase_add_loop_test(tc, masked_losses, 0, 2);
  tcase_add_test(tc, masks_and_ignored_targets_agree);
  tcase_add_test(tc, masks_broadcast);
  tcase_add_loop_test(tc, masks_are_counted_in_a_replay, 0, 4);
  tcase_add_test(tc, activations_on_the_tape);
  return run_case("loss", tc);
}
