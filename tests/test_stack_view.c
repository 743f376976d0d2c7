/* test_stack_view.c - stacks of results that lie one behind the other already,
 * as those of a time loop do after cg_tape_reserve. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

enum { STEPS = 1500, STEP = 8 * sizeof(double) };

/* h_t = tanh(c + h_{t-1} W), stacked; with `apart`, something lies between. */
static cg_tensor *time_loop(cg_tensor *const *in, cg_tensor **h, bool apart) {
  ck_assert_int_eq(cg_tape_reserve(tape, STEPS * STEP), CG_OK);
  for (int t = 0; t < STEPS; t++) {
    h[t] = cg_affine(tape, CG_ACT_TANH, in[0], t ? h[t - 1] : in[1], in[2],
                     false, false);
    if (apart && t % 100 == 0) cg_tape_alloc(tape, 1);
  }
  return cg_stack(tape, h, STEPS, 0);
}

/* The last state's and all states' part, and what a second derivative says. */
static void derive_loop(cg_tensor *y, cg_tensor *const *in, cg_tensor **all) {
  cg_tensor *last = cg_sum_all(tape, cg_select(tape, y, 0, -1));
  cg_tensor *loss =
      cg_add(tape, last, cg_mean_all(tape, cg_pow_scalar(tape, y, 3)));
  ck_assert_int_eq(
      cg_grad(tape, &loss, 1, NULL, in, 3, all, CG_CREATE_GRAPH), CG_OK);
  cg_tensor *sum = cg_sum_all(tape, cg_square(tape, all[2]));
  ck_assert_int_eq(cg_grad(tape, &sum, 1, NULL, in, 3, all + 3, 0), CG_OK);
}

START_TEST(a_stack_of_what_lies_in_order_is_a_view) {
  cg_rng rng = cg_rng_seed(77);
  cg_tensor *in[3], *h[STEPS], *y[2], *all[2][6];
  double x[16];
  for (int i = 0; i < 3; i++) {
    for (int k = 0; k < 16; k++) x[k] = 0.4 * cg_rng_normal(&rng);
    in[i] = leaf_of(x, CG_DIMS(i < 2 ? 2 : 4, 4));
  }
  for (int apart = 0; apart < 2; apart++) {
    y[apart] = time_loop(in, h, apart);
    has_shape(y[apart], CG_DIMS(STEPS, 2, 4));
    ck_assert((cg_tensor_data(y[apart]) == cg_tensor_data(h[0])) == !apart);
    ck_assert(cg_tensor_get(y[apart], 8 * 700 + 3) == cg_tensor_get(h[700], 3));
    derive_loop(y[apart], in, all[apart]);
  }
  for (int i = 0; i < 6; i++)
    for (int64_t k = 0; k < cg_tensor_numel(all[0][i]); k++)
      ck_assert(cg_tensor_get(all[0][i], k) == cg_tensor_get(all[1][i], k));
  fine(tape);
  for (int i = 0; i < 3; i++) cg_leaf_free(in[i]);
}
END_TEST

START_TEST(no_room_for_what_comes_is_an_error) {
  cg_tape *small = cg_tape_new(&(cg_tape_options){.byte_limit = 1 << 20});
  ck_assert_int_eq(cg_tape_reserve(small, 0), CG_OK); /* no block yet */
  ck_assert_int_eq(cg_tape_reserve(small, 1000), CG_OK);
  ck_assert_int_eq(cg_tape_reserve(small, 0), CG_OK);
  ck_assert_int_eq(cg_tape_reserve(small, 1 << 21), CG_ERR_LIMIT);
  failed(small, CG_ERR_LIMIT, "tape_reserve", "");
  ck_assert_int_eq(cg_tape_reserve(small, SIZE_MAX), CG_ERR_NOMEM);
  ck_assert_int_eq(cg_tape_reserve(small, 1), CG_ERR_NOMEM);
  char bytes[32];
  snprintf(bytes, sizeof bytes, "%zu", (size_t)SIZE_MAX);
  failed(small, CG_ERR_NOMEM, "tape_reserve", bytes);
  cg_tape_free(small);
  ck_assert_int_eq(cg_tape_reserve(NULL, 1), CG_ERR_ARG);
}
END_TEST

/* In another order, along another axis, or of memory that is not the tape's. */
START_TEST(other_stacks_are_copies) {
  double mine[16] = {2.385, -1.25};
  cg_tensor *zeros = cg_full(tape, CG_F64, CG_DIMS(2, 4), 0);
  cg_tensor *of_mine[2], *h[2];
  cg_tape_reserve(tape, 2 * STEP);
  for (int i = 0; i < 2; i++) h[i] = cg_add_scalar(tape, zeros, i);
  for (int i = 0; i < 2; i++)
    of_mine[i] = cg_borrow(tape, CG_F64, CG_DIMS(2, 4), mine + 8 * i);
  cg_tensor *swapped[2] = {h[1], h[0]}, *twice[2] = {h[0], h[0]};
  cg_tensor *rows[2] = {cg_select(tape, h[0], 0, 0),
                        cg_select(tape, h[0], 0, 1)};
  cg_tensor *y = cg_stack(tape, of_mine, 2, 0);
  mine[0] = 0;
  near(cg_tensor_get(y, 0), 2.385, 0);
  ck_assert_ptr_eq(cg_tensor_data(cg_stack(tape, h, 2, 0)),
                   cg_tensor_data(h[0]));
  y = cg_stack(tape, h, 2, 1);
  ck_assert_ptr_ne(cg_tensor_data(y), cg_tensor_data(h[0]));
  near(cg_tensor_get(y, 4), 1, 0);
  y = cg_stack(tape, swapped, 2, 0);
  near(cg_tensor_get(y, 0), 1, 0);
  near(cg_tensor_get(y, 8), 0, 0);
  near(cg_tensor_get(cg_stack(tape, twice, 2, 0), 8), 0, 0);
  ck_assert_ptr_ne(cg_tensor_data(cg_stack(tape, rows, 2, 0)),
                   cg_tensor_data(h[0]));
  fine(tape);
}
END_TEST

/* To retained gradients a second walk adds; a stack of them stays what it was.
 * The walk keeps that of the newer tensor first. */
START_TEST(a_stack_of_gradients_is_a_copy) {
  cg_tensor *w = leaf_of((double[8]){2.385, -1.25}, CG_DIMS(2, 4)), *g[2];
  cg_tensor *a = cg_square(tape, w), *b = cg_tanh(tape, a);
  ck_assert_int_eq(cg_retain_grad(tape, a), CG_OK);
  ck_assert_int_eq(cg_retain_grad(tape, b), CG_OK);
  cg_tensor *loss = cg_sum_all(tape, b);
  cg_tape_reserve(tape, 2 * STEP);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  g[0] = (cg_tensor *)(uintptr_t)cg_tensor_grad(b);
  g[1] = (cg_tensor *)(uintptr_t)cg_tensor_grad(a);
  ck_assert_ptr_eq((const char *)cg_tensor_data(g[0]) + STEP,
                   cg_tensor_data(g[1]));
  cg_tensor *y = cg_stack(tape, g, 2, 0);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near(cg_tensor_get(g[0], 0), 2, 0);
  near(cg_tensor_get(y, 0), 1, 0);
  fine(tape);
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, a_stack_of_what_lies_in_order_is_a_view);
  tcase_add_test(tc, other_stacks_are_copies);
  tcase_add_test(tc, a_stack_of_gradients_is_a_copy);
  tcase_add_test(tc, no_room_for_what_comes_is_an_error);
  return run_case("stack_view", tc);
}
