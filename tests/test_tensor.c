/* test_tensor.c - leaves and accessors: what they answer, and what they
 * refuse. */
#include "engine_test.h"

START_TEST(types_have_sizes_and_names) {
  const size_t size[] = {4, 8, 8, 1};
  const char *const name[] = {"f32", "f64", "i64", "u8"};
  for (int i = 0; i < CG_DTYPE_COUNT; i++) {
    ck_assert_uint_eq(cg_dtype_size((cg_dtype)i), size[i]);
    ck_assert_str_eq(cg_dtype_name((cg_dtype)i), name[i]);
  }
  ck_assert_uint_eq(cg_dtype_size((cg_dtype)-1), 0);
  ck_assert_uint_eq(cg_dtype_size(CG_DTYPE_COUNT), 0);
  ck_assert_str_eq(cg_dtype_name((cg_dtype)17), "?");
}
END_TEST

START_TEST(accessors_accept_null) {
  char text[8] = "x";
  ck_assert_int_eq(cg_tensor_rank(NULL), 0);
  ck_assert_int_eq(cg_tensor_dim(NULL, 0), 0);
  ck_assert_ptr_null(cg_tensor_shape(NULL));
  ck_assert_ptr_null(cg_tensor_strides(NULL));
  ck_assert_int_eq(cg_tensor_numel(NULL), 0);
  ck_assert(!cg_tensor_contiguous(NULL) && !cg_tensor_is_leaf(NULL));
  ck_assert(!cg_tensor_requires_grad(NULL));
  ck_assert_ptr_null(cg_tensor_data(NULL));
  ck_assert(isnan(cg_tensor_get(NULL, 0)) && isnan(cg_tensor_item(NULL)));
  ck_assert_int_eq(cg_tensor_read(NULL, text, 1), CG_ERR_ARG);
  ck_assert_str_eq(cg_tensor_shape_text(NULL, text, sizeof text), "[]");
  ck_assert_ptr_nonnull(cg_tensor_op_name(NULL));
  ck_assert_ptr_null(cg_tensor_grad(NULL));
}
END_TEST

START_TEST(leaf_functions_accept_null) {
  double v = 2.385;
  cg_leaf_free(NULL);
  cg_leaf_touch(NULL);
  cg_leaf_zero_grad(NULL);
  ck_assert_ptr_null(cg_leaf_data(NULL));
  ck_assert_ptr_null(cg_leaf_grad(NULL));
  ck_assert_str_eq(cg_leaf_name(NULL), "");
  ck_assert_int_eq(cg_leaf_write(NULL, &v, 8), CG_ERR_ARG);
  ck_assert_int_eq(cg_leaf_fill(NULL, v), CG_ERR_ARG);
  ck_assert_int_eq(cg_leaf_set_requires_grad(NULL, true), CG_ERR_ARG);
  ck_assert_int_eq(cg_leaf_set_name(NULL, "W"), CG_ERR_ARG);
}
END_TEST

START_TEST(a_new_leaf_is_zeros) {
  for (int d = 0; d < CG_DTYPE_COUNT; d++) {
    cg_error e = {0};
    cg_tensor *x = cg_leaf_new(NULL, (cg_dtype)d, CG_DIMS(2, 3, 5), &e);
    ck_assert_ptr_nonnull(x);
    ck_assert_int_eq(e.status, CG_OK);
    ck_assert_int_eq(cg_tensor_dtype(x), d);
    has_shape(x, CG_DIMS(2, 3, 5));
    ck_assert_int_eq(cg_tensor_dim(x, -1), 5);
    ck_assert_int_eq(cg_tensor_dim(x, -3), 2);
    ck_assert_int_eq(cg_tensor_dim(x, 3), 0);
    ck_assert_int_eq(cg_tensor_dim(x, -4), 0);
    ck_assert_int_eq(cg_tensor_strides(x)[0], 15);
    ck_assert_int_eq(cg_tensor_strides(x)[1], 5);
    ck_assert_int_eq(cg_tensor_strides(x)[2], 1);
    ck_assert(cg_tensor_is_leaf(x) && cg_tensor_contiguous(x));
    ck_assert(!cg_tensor_requires_grad(x));
    ck_assert_uint_eq((uintptr_t)cg_tensor_data(x) % CG_ALIGNMENT, 0);
    ck_assert_str_eq(cg_tensor_op_name(x), "leaf");
    for (int i = 0; i < 30; i++) ck_assert(cg_tensor_get(x, i) == 0);
    ck_assert(isnan(cg_tensor_get(x, 30)) && isnan(cg_tensor_get(x, -1)));
    ck_assert(isnan(cg_tensor_item(x)));
    cg_leaf_free(x);
  }
}
END_TEST

START_TEST(scalars_and_empty_leaves) {
  cg_tensor *s = cg_leaf_new(NULL, CG_F32, 0, NULL, NULL);
  ck_assert_int_eq(cg_tensor_numel(s), 1);
  ck_assert_int_eq(cg_leaf_fill(s, 2.385), CG_OK);
  ck_assert(cg_tensor_item(s) == (double)2.385f);
  cg_tensor *none = cg_leaf_new(NULL, CG_F64, CG_DIMS(3, 0, 2), NULL);
  ck_assert_ptr_nonnull(none);
  ck_assert_int_eq(cg_tensor_numel(none), 0);
  ck_assert_int_eq(cg_leaf_fill(none, 1), CG_OK);
  ck_assert(isnan(cg_tensor_get(none, 0)) && isnan(cg_tensor_item(none)));
  double out;
  ck_assert_int_eq(cg_tensor_read(none, &out, 0), CG_OK);
  ck_assert_int_eq(cg_tensor_read(none, &out, 8), CG_ERR_SHAPE);
  cg_leaf_free(s);
  cg_leaf_free(none);
}
END_TEST

static void refused(cg_dtype dtype, int rank, const int64_t *shape,
                    cg_status status, const char *part) {
  cg_error e = {0};
  ck_assert_ptr_null(cg_leaf_new(NULL, dtype, rank, shape, &e));
  ck_assert_int_eq(e.status, status);
  ck_assert_msg(strstr(e.message, part) != NULL, "%s", e.message);
  ck_assert_ptr_null(cg_leaf_new(NULL, dtype, rank, shape, NULL));
}

START_TEST(bad_shapes_are_refused) {
  const int64_t big = INT64_C(1) << 40, nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  refused(CG_F64, -1, nine, CG_ERR_SHAPE, "-1");
  refused(CG_F64, 9, nine, CG_ERR_SHAPE, "9");
  refused(CG_F64, 2, NULL, CG_ERR_SHAPE, "2");
  refused(CG_F64, CG_DIMS(3, -7), CG_ERR_SHAPE, "[3, -7]");
  refused(CG_U8, CG_DIMS(big, big), CG_ERR_SHAPE, "1099511627776");
  refused(CG_U8, CG_DIMS(INT64_MAX), CG_ERR_SHAPE, "9223372036854775807");
  refused((cg_dtype)9, CG_DIMS(2), CG_ERR_DTYPE, "9");
}
END_TEST

/* A size of 0 does not excuse others whose product overflows. */
START_TEST(empty_shapes_overflow_too) {
  const int64_t big = INT64_C(1) << 40;
  refused(CG_F64, CG_DIMS(0, big, big), CG_ERR_SHAPE, "[0, ");
  refused(CG_F64, CG_DIMS(big, big, 0), CG_ERR_SHAPE, ", 0]");
}
END_TEST

START_TEST(data_goes_in_and_comes_out) {
  const float in[] = {2.385f, -0.71f, 13.25f, 1e-30f, -8.5f, 0.125f};
  float out[6];
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, CG_DIMS(3, 2), NULL);
  ck_assert_int_eq(cg_leaf_write(x, in, sizeof in), CG_OK);
  ck_assert_int_eq(cg_leaf_write(x, in, sizeof in - 4), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_leaf_write(x, in, sizeof in + 4), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_leaf_write(x, NULL, sizeof in), CG_ERR_ARG);
  ck_assert_int_eq(cg_tensor_read(x, out, sizeof out), CG_OK);
  ck_assert_mem_eq(in, out, sizeof in);
  ck_assert_int_eq(cg_tensor_read(x, out, 5), CG_ERR_SHAPE);
  ck_assert_int_eq(cg_tensor_read(x, NULL, sizeof out), CG_ERR_ARG);
  ((float *)cg_leaf_data(x))[4] = 7.75f;
  ck_assert(cg_tensor_get(x, 4) == 7.75);
  cg_leaf_free(x);
}
END_TEST

START_TEST(integers_have_no_gradient) {
  cg_tensor *i = cg_leaf_new(NULL, CG_I64, CG_DIMS(3), NULL);
  ck_assert_int_eq(cg_leaf_set_requires_grad(i, true), CG_ERR_DTYPE);
  ck_assert_int_eq(cg_leaf_set_requires_grad(i, false), CG_OK);
  ck_assert(!cg_tensor_requires_grad(i));
  ck_assert_int_eq(cg_leaf_fill(i, 2), CG_ERR_DTYPE);
  ck_assert_ptr_null(cg_leaf_grad(i));
  const int64_t v[] = {-5, 17, INT64_C(1) << 52};
  ck_assert_int_eq(cg_leaf_write(i, v, sizeof v), CG_OK);
  NEAR_ALL(i, 0, -5, 17, 4503599627370496.0);
  cg_leaf_free(i);
}
END_TEST

START_TEST(gradients_of_leaves) {
  cg_tensor *w = cg_leaf_new(NULL, CG_F64, CG_DIMS(2), NULL);
  ck_assert_ptr_null(cg_leaf_grad(w));
  cg_leaf_set_requires_grad(w, true);
  ck_assert_ptr_null(cg_tensor_grad(w));
  cg_tensor *g = cg_leaf_grad(w);
  ck_assert_ptr_eq(g, cg_tensor_grad(w));
  ck_assert_ptr_eq(g, cg_leaf_grad(w));
  NEAR_ALL(g, 0, 0, 0);
  cg_leaf_fill(g, 3.25);
  NEAR_ALL(cg_tensor_grad(w), 0, 3.25, 3.25);
  cg_leaf_zero_grad(w);
  NEAR_ALL(g, 0, 0, 0);
  cg_leaf_free(w);
}
END_TEST

START_TEST(names_are_copied_and_cut) {
  char name[200];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  cg_tensor *w = cg_leaf_new(NULL, CG_F64, 0, NULL, NULL);
  ck_assert_str_eq(cg_leaf_name(w), "");
  ck_assert_int_eq(cg_leaf_set_name(w, name), CG_OK);
  ck_assert_uint_eq(strlen(cg_leaf_name(w)), 63);
  ck_assert_int_eq(cg_leaf_set_name(w, "rnn.weight_hh_l0"), CG_OK);
  ck_assert_str_eq(cg_leaf_name(w), "rnn.weight_hh_l0");
  cg_leaf_set_name(w, NULL);
  ck_assert_str_eq(cg_leaf_name(w), "");
  cg_leaf_free(w);
}
END_TEST

START_TEST(shape_texts_are_cut) {
  char text[64], tiny[4];
  cg_tensor *x = cg_leaf_new(NULL, CG_U8, CG_DIMS(12, 0, 7), NULL);
  ck_assert_str_eq(cg_tensor_shape_text(x, text, sizeof text), "[12, 0, 7]");
  ck_assert_str_eq(cg_tensor_shape_text(x, tiny, sizeof tiny), "[12");
  tiny[0] = 'q';
  ck_assert_ptr_eq(cg_tensor_shape_text(x, tiny, 0), tiny);
  ck_assert_int_eq(tiny[0], 'q');
  cg_leaf_free(x);
}
END_TEST

/* What a tape made is no leaf: functions of leaves refuse it. */
START_TEST(results_are_no_leaves) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2), 1.5);
  double v[2] = {0};
  ck_assert(!cg_tensor_is_leaf(x));
  ck_assert_str_eq(cg_tensor_op_name(x), "input");
  ck_assert_ptr_null(cg_leaf_data(x));
  ck_assert_ptr_null(cg_leaf_grad(x));
  ck_assert_int_eq(cg_leaf_write(x, v, sizeof v), CG_ERR_ARG);
  ck_assert_int_eq(cg_leaf_fill(x, 2), CG_ERR_ARG);
  ck_assert_int_eq(cg_leaf_set_requires_grad(x, true), CG_ERR_ARG);
  ck_assert_str_eq(cg_leaf_name(x), "");
  cg_leaf_free(x);
  NEAR_ALL(x, 0, 1.5, 1.5);
  cg_tape_free(tape);
}
END_TEST

START_TEST(leaf_memory_is_the_callers) {
  counter c;
  counter_init(&c);
  cg_error e;
  size_t calls = 0;
  for (;; calls++) {
    c.calls = 0;
    c.fail_at = calls + 1;
    cg_tensor *w = cg_leaf_new(&c.allocator, CG_F64, CG_DIMS(5, 7), &e);
    if (w) {
      cg_leaf_set_requires_grad(w, true);
      c.calls = 0;
      c.fail_at = 1;
      ck_assert_ptr_null(cg_leaf_grad(w));
      c.fail_at = 0;
      ck_assert_ptr_nonnull(cg_leaf_grad(w));
      cg_leaf_free(w);
      break;
    }
    ck_assert_int_eq(e.status, CG_ERR_NOMEM);
    ck_assert_ptr_nonnull(strstr(e.message, "280")); /* 5 * 7 * 8 bytes */
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert_uint_gt(calls, 0);
  ck_assert_uint_eq(c.live_blocks, 0);
  ck_assert_uint_eq(c.live_bytes, 0);
}
END_TEST

/* ---- a freed leaf's address ---- */

/* A heap that begins anew, at the same place, when all is released. */
typedef struct recycler {
  _Alignas(64) char memory[8192];
  size_t used, live;
} recycler;

static void *recycler_alloc(void *context, size_t size) {
  recycler *r = context;
  if (r->used + size > sizeof r->memory) return NULL;
  void *p = r->memory + r->used;
  r->used += (size + 63) & ~(size_t)63;
  r->live++;
  return p;
}

static void recycler_release(void *context, void *block, size_t size) {
  recycler *r = context;
  (void)block, (void)size;
  if (--r->live == 0) r->used = 0;
}

/* Freed too early, by a bug in the program: a later leaf at the same place must
 * not pass for it. */
START_TEST(a_leaf_at_a_freed_ones_place) {
  static recycler r;
  cg_allocator a = {recycler_alloc, recycler_release, &r};
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *x = cg_leaf_new(&a, CG_F64, CG_DIMS(2, 3), NULL);
  cg_leaf_set_requires_grad(x, true);
  cg_leaf_fill(x, 0.7);
  cg_tensor *sum = cg_sum_all(tape, x);
  cg_tensor *squares = cg_sum_all(tape, cg_square(tape, x));
  cg_leaf_free(x);
  cg_tensor *y = cg_leaf_new(&a, CG_F64, CG_DIMS(2), NULL);
  ck_assert_ptr_eq(x, y);
  cg_leaf_set_requires_grad(y, true);
  cg_leaf_fill(y, 2.385);
  near(cg_tensor_item(cg_sum_all(tape, y)), 4.77, 1e-15);
  has_shape(cg_neg(tape, y), CG_DIMS(2));
  ck_assert_int_eq(cg_backward(tape, squares), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "square", "modified since");
  ck_assert_int_eq(cg_backward(tape, sum), CG_ERR_STALE);
  failed(tape, CG_ERR_STALE, "backward", "another one lies at its place");
  cg_tape_free(tape);
  cg_leaf_free(y);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, a_leaf_at_a_freed_ones_place);
  tcase_add_test(tc, types_have_sizes_and_names);
  tcase_add_test(tc, accessors_accept_null);
  tcase_add_test(tc, leaf_functions_accept_null);
  tcase_add_test(tc, a_new_leaf_is_zeros);
  tcase_add_test(tc, scalars_and_empty_leaves);
  tcase_add_test(tc, bad_shapes_are_refused);
  tcase_add_test(tc, empty_shapes_overflow_too);
  tcase_add_test(tc, data_goes_in_and_comes_out);
  tcase_add_test(tc, integers_have_no_gradient);
  tcase_add_test(tc, gradients_of_leaves);
  tcase_add_test(tc, names_are_copied_and_cut);
  tcase_add_test(tc, shape_texts_are_cut);
  tcase_add_test(tc, results_are_no_leaves);
  tcase_add_test(tc, leaf_memory_is_the_callers);
  return run_case("tensor", tc);
}
