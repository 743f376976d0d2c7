/* test_ops_f32.c - every op of the list in float32, at each of its cases: value
 * and gradients against the same op in float64 on the same numbers. */
#include "engine_test.h"

enum { MAX_IN = 16 };

typedef struct side {
  cg_tensor *in[MAX_IN], *y, *g[MAX_IN];
} side;

static bool is_float(const cg_tensor *x) {
  return cg_tensor_dtype(x) == CG_F32 || cg_tensor_dtype(x) == CG_F64;
}

/* A leaf of another type with x's numbers, rounded to float32. */
static cg_tensor *leaf_like(const cg_tensor *x, cg_dtype dtype) {
  cg_tensor *y = cg_leaf_new(NULL, dtype, cg_tensor_rank(x),
                             cg_tensor_shape(x), NULL);
  ck_assert_ptr_nonnull(y);
  void *data = cg_leaf_data(y);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    float value = (float)cg_tensor_get(x, i);
    if (dtype == CG_F32)
      ((float *)data)[i] = value;
    else
      ((double *)data)[i] = (double)value;
  }
  cg_leaf_set_requires_grad(y, cg_tensor_requires_grad(x));
  return y;
}

/* The op and the gradient of the sum of y^2. */
static void apply(cg_tape *tape, const cg_op *op, const cg_op_case *c, side *s,
                  int n) {
  s->y = cg_record(tape, op, s->in, n, c->attr);
  fine(tape);
  if (!cg_tensor_requires_grad(s->y)) return;
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, s->y));
  for (int k = 0; k < n; k++)
    if (cg_tensor_requires_grad(s->in[k]))
      cg_grad(tape, &loss, 1, NULL, &s->in[k], 1, &s->g[k], CG_ALLOW_UNUSED);
  fine(tape);
}

static void compare(const cg_op *op, const char *what, const cg_tensor *a,
                    const cg_tensor *b) {
  ck_assert_int_eq(cg_tensor_numel(a), cg_tensor_numel(b));
  for (int64_t i = 0; i < cg_tensor_numel(a); i++) {
    double x = cg_tensor_get(a, i), y = cg_tensor_get(b, i);
    bool same = x == y || (isnan(x) && isnan(y));
    ck_assert_msg(same || fabs(x - y) <= 2e-5 * fmax(1, fabs(y)),
                  "%s: %s[%d] is %.9g in float32, %.9g in float64", op->name,
                  what, (int)i, x, y);
  }
}

static int64_t compare_case(cg_tape *tape, const cg_op *op,
                            const cg_op_case *c, cg_rng *rng) {
  cg_tensor *drawn[MAX_IN];
  side s32 = {.y = NULL}, s64 = {.y = NULL};
  int n = cg_op_case_leaves(op, c, rng, drawn, MAX_IN, NULL);
  ck_assert_int_gt(n, 0);
  for (int k = 0; k < n; k++) {
    bool real = is_float(drawn[k]);
    if (op->n_diff && k >= op->n_diff && real)
      cg_leaf_set_requires_grad(drawn[k], false);
    s32.in[k] = real ? leaf_like(drawn[k], CG_F32) : drawn[k];
    s64.in[k] = real ? leaf_like(drawn[k], CG_F64) : drawn[k];
  }
  apply(tape, op, c, &s32, n);
  apply(tape, op, c, &s64, n);
  compare(op, "y", s32.y, s64.y);
  for (int k = 0; k < n; k++)
    if (s64.g[k]) compare(op, "gradient", s32.g[k], s64.g[k]);
  int64_t compared = cg_tensor_numel(s64.y);
  cg_tape_reset(tape);
  for (int k = 0; k < n; k++) {
    if (s32.in[k] != drawn[k]) cg_leaf_free(s32.in[k]);
    if (s64.in[k] != drawn[k]) cg_leaf_free(s64.in[k]);
    cg_leaf_free(drawn[k]);
  }
  return compared;
}

START_TEST(float32_agrees) {
  const cg_op *op = cg_op_at(_i);
  cg_tape *tape = cg_tape_new(NULL);
  cg_rng rng = cg_rng_seed((uint64_t)_i + 71);
  int64_t compared = 0;
  for (int c = 0; c < op->n_cases; c++)
    compared += compare_case(tape, op, &op->cases[c], &rng);
  ck_assert_int_gt(compared, 0);
  cg_tape_free(tape);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, float32_agrees, 0, cg_op_count());
  return run_case("ops in float32", tc);
}
