/* test_op_direct.c - ops recorded by their descriptors, as code outside of the
 * library may: what the functions of ops.h would never pass on is refused. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) { tape = cg_tape_new(NULL); }
static void teardown(void) { cg_tape_free(tape); }

/* Records the op with the attributes of its first case. */
static void refused(const char *name, cg_tensor *const *in, int n,
                    cg_status status, const char *text) {
  const cg_op *op = cg_op_find(name);
  ck_assert_ptr_nonnull(op);
  cg_tensor *copy[8];
  memcpy(copy, in, sizeof *in * (size_t)n);
  ck_assert_ptr_null(cg_record(tape, op, copy, n, op->cases[0].attr));
  failed(tape, status, name, text);
}

#define FULL(dtype, ...)                         \
  cg_full(tape, dtype, CG_DIMS(__VA_ARGS__), 0.5)
#define REFUSED(name, status, text, ...)                               \
  do {                                                                 \
    cg_tensor *in_[] = {__VA_ARGS__};                                  \
    refused(name, in_, N_OF(in_), status, text);                       \
  } while (0)

START_TEST(numbers_of_operands) {
  cg_tensor *a = FULL(CG_F64, 12, 12), *c = FULL(CG_F64, 12, 3);
  REFUSED("lstm_affine", CG_ERR_ARG, "there is x, but no V", a, a, a, c, a);
  for (int i = 0; i < cg_op_count(); i++) {
    const cg_op *op = cg_op_at(i);
    cg_tensor *in[40];
    for (int k = 0; k < N_OF(in); k++) in[k] = a;
    const void *attr = op->n_cases ? op->cases[0].attr : NULL;
    if (op->max_in >= 0) {
      ck_assert_int_lt(op->max_in, N_OF(in));
      ck_assert_ptr_null(cg_record(tape, op, in, op->max_in + 1, attr));
      failed(tape, CG_ERR_ARG, op->name, "operands");
    }
    if (op->min_in > 0) {
      ck_assert_ptr_null(cg_record(tape, op, in, op->min_in - 1, attr));
      failed(tape, CG_ERR_ARG, op->name, "operands");
    }
  }
}
END_TEST

/* The parts are followed by one start for each. */
START_TEST(starts_of_slices) {
  const char *text = "the last operand must hold the 1 starts";
  cg_tensor *part = FULL(CG_F64, 2);
  REFUSED("sum_slices", CG_ERR_ARG, text, part, part);
  REFUSED("sum_slices", CG_ERR_ARG, text, part, FULL(CG_I64, 2));
  REFUSED("sum_slices", CG_ERR_ARG, text, part, FULL(CG_I64, 1, 1));
  const int64_t shape[] = {5};
  cg_tensor *many = cg_expand(tape, FULL(CG_I64, 1), CG_DIMS(2));
  REFUSED("sum_slices", CG_ERR_ARG, "hold the 2 starts", part, part, many);
  ck_assert_ptr_null(
      cg_sum_slices(tape, &part, (const int64_t[]){0}, 1, 7, 1, shape));
  failed(tape, CG_ERR_ARG, "sum_slices", "axis 7 of a result of rank 1");
}
END_TEST

START_TEST(missing_arguments) {
  cg_tensor *x = FULL(CG_F64, 2, 3), *i = FULL(CG_I64, 2), *part[2] = {x, x};
  const int64_t sizes[] = {1, 1};
  ck_assert_int_eq(cg_split(tape, x, 0, sizes, 0, part), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "split", "0 parts");
  ck_assert_int_eq(cg_split(tape, x, 0, NULL, 2, part), CG_ERR_ARG);
  ck_assert(part[0] == NULL && part[1] == NULL);
  failed(tape, CG_ERR_ARG, "split", "2 parts, or none given");
  ck_assert_int_eq(cg_split(tape, x, 0, sizes, 2, NULL), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "split", "2 parts, or none given");
  ck_assert_ptr_null(cg_flip(tape, x, NULL, 2));
  failed(tape, CG_ERR_ARG, "flip", "missing");
  ck_assert_ptr_null(cg_index_select(tape, NULL, 0, i));
  failed(tape, CG_ERR_ARG, "index_select", "NULL");
  ck_assert_ptr_null(cg_index_select(tape, x, 0, NULL));
  failed(tape, CG_ERR_ARG, "index_select", "NULL");
  ck_assert_ptr_null(cg_scatter_add(tape, x, 0, i, NULL));
  failed(tape, CG_ERR_ARG, "scatter_add", "NULL");
  ck_assert_ptr_null(cg_sum_to(tape, x, 2, NULL));
  failed(tape, CG_ERR_SHAPE, "sum_to", "rank 2");
  ck_assert_ptr_null(cg_sum_to(tape, x, -1, sizes));
  failed(tape, CG_ERR_SHAPE, "sum_to", "rank -1 is not in 0..8");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, numbers_of_operands);
  tcase_add_test(tc, starts_of_slices);
  tcase_add_test(tc, missing_arguments);
  return run_case("op_direct", tc);
}
