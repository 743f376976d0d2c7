/* test_ops_elementwise.c - the elementwise ops beyond the first few: values
 * against the C library in a wider type, layouts, and what happens at the ends
 * of the domain and at NaN. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

/* Values that f32 and f64 both have. */
static cg_tensor *row(const double *v, int n, cg_dtype dtype) {
  return cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(n), v), dtype);
}

#define ROW(dtype, ...)              \
  row((const double[]){__VA_ARGS__}, \
      N_OF(((const double[]){__VA_ARGS__})), (dtype))

static cg_tensor *masks(const uint8_t *m, int n) {
  return cg_input(tape, CG_U8, CG_DIMS(n), m);
}

#define MASK(...)                     \
  masks((const uint8_t[]){__VA_ARGS__}, \
        N_OF(((const uint8_t[]){__VA_ARGS__})))

static const cg_dtype floats[] = {CG_F64, CG_F32};

/* ---- functions of one operand ---- */

static cg_tensor *leaky(cg_tape *t, cg_tensor *x) {
  return cg_leaky_relu(t, x, 0.375);
}
static cg_tensor *elu(cg_tape *t, cg_tensor *x) { return cg_elu(t, x, 0.625); }
static cg_tensor *clamp(cg_tape *t, cg_tensor *x) {
  return cg_clamp(t, x, -1.25, 2.375);
}
static cg_tensor *rsub(cg_tape *t, cg_tensor *x) {
  return cg_rsub_scalar(t, x, 13.75);
}
static cg_tensor *rdiv(cg_tape *t, cg_tensor *x) {
  return cg_rdiv_scalar(t, x, 2.375);
}

typedef long double ld;
static ld f_sign(ld x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
static ld f_reciprocal(ld x) { return 1 / x; }
static ld f_rsqrt(ld x) { return 1 / sqrtl(x); }
static ld f_softplus(ld x) { return log1pl(expl(x)); }
static ld f_leaky(ld x) { return x > 0 ? x : 0.375L * x; }
static ld f_elu(ld x) { return x > 0 ? x : 0.625L * expm1l(x); }
static ld f_gelu(ld x) { return x * erfcl(-x * sqrtl(0.5L)) / 2; }
static ld f_silu(ld x) { return x / (1 + expl(-x)); }
static ld f_clamp(ld x) { return fminl(fmaxl(x, -1.25L), 2.375L); }
static ld f_rsub(ld x) { return 13.75L - x; }
static ld f_rdiv(ld x) { return 2.375L / x; }

/* `ulps` is the error allowed, in units of the last place of the result. */
static const struct unary {
  const char *name;
  cg_tensor *(*op)(cg_tape *, cg_tensor *);
  ld (*f)(ld);
  double lo, hi, ulps;
} unaries[] = {
    {"abs", cg_abs, fabsl, -9, 9, 0},
    {"sign", cg_sign, f_sign, -9, 9, 0},
    {"reciprocal", cg_reciprocal, f_reciprocal, -9, 9, 1},
    {"rsqrt", cg_rsqrt, f_rsqrt, 1e-20, 1e6, 2},
    {"log1p", cg_log1p, log1pl, -0.999, 1e3, 8},
    {"log1p", cg_log1p, log1pl, -1e-9, 1e-9, 8},
    {"expm1", cg_expm1, expm1l, -30, 30, 8},
    {"expm1", cg_expm1, expm1l, -1e-9, 1e-9, 8},
    {"sin", cg_sin, sinl, -3, 3, 8},
    {"cos", cg_cos, cosl, -1.5, 1.5, 8},
    {"softplus", cg_softplus, f_softplus, -60, 60, 8},
    {"leaky_relu", leaky, f_leaky, -9, 9, 1},
    {"elu", elu, f_elu, -30, 9, 8},
    {"gelu", cg_gelu, f_gelu, -4, 9, 40},
    {"silu", cg_silu, f_silu, -60, 60, 8},
    {"clamp", clamp, f_clamp, -4, 4, 0},
    {"rsub", rsub, f_rsub, -9, 9, 1},
    {"rdiv", rdiv, f_rdiv, -9, 9, 2},
};

enum { R = 5, C = 37, N = R * C };

static void check_values(const struct unary *u, const double *v,
                         cg_tensor *y, cg_dtype dtype) {
  double unit = dtype == CG_F32 ? 0x1p-23 : 0x1p-52;
  for (int i = 0; i < N; i++) {
    double x = dtype == CG_F32 ? (double)(float)v[i] : v[i];
    double want = (double)u->f((ld)x), got = cg_tensor_get(y, i);
    double bound = (u->ulps + 0.5) * unit * fabs(want);
    ck_assert_msg(fabs(got - want) <= bound, "%s(%.17g) = %.17g, not %.17g",
                  u->name, x, got, want);
  }
}

/* The same values however they lie in memory: to the bit, whatever the op. */
static void check_layouts(const struct unary *u, cg_tensor *x, cg_tensor *y) {
  cg_tensor *pair[] = {cg_neg(tape, x), x};
  cg_tensor *turned = cg_contiguous(tape, cg_transpose(tape, x, 0, 1));
  cg_tensor *seen[] = {
      cg_transpose(tape, turned, 0, 1),
      cg_select(tape, cg_stack(tape, pair, 2, 2), -1, 1),
      cg_narrow(tape, cg_concat(tape, pair, 2, 1), 1, C, C),
  };
  for (int k = 0; k < N_OF(seen); k++) {
    ck_assert(!cg_tensor_contiguous(seen[k]));
    cg_tensor *z = u->op(tape, seen[k]);
    for (int i = 0; i < N; i++)
      ck_assert(cg_tensor_get(z, i) == cg_tensor_get(y, i));
  }
  cg_tensor *one = cg_select(tape, cg_select(tape, x, 0, 3), 0, 11);
  ck_assert(cg_tensor_item(u->op(tape, one)) == cg_tensor_get(y, 3 * C + 11));
}

START_TEST(functions_of_one_operand) {
  const struct unary *u = &unaries[_i];
  double v[N];
  cg_rng rng = cg_rng_seed(2385);
  for (int i = 0; i < N; i++)
    v[i] = u->lo + (u->hi - u->lo) * cg_rng_uniform(&rng);
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(R, C), v),
                           floats[d]);
    cg_tensor *y = u->op(tape, x);
    fine(tape);
    has_shape(y, CG_DIMS(R, C));
    ck_assert_int_eq(cg_tensor_dtype(y), floats[d]);
    check_values(u, v, y, floats[d]);
    check_layouts(u, x, y);
    has_shape(u->op(tape, cg_full(tape, floats[d], CG_DIMS(3, 0), 1)),
              CG_DIMS(3, 0));
  }
  fine(tape);
  ck_assert_ptr_null(u->op(tape, cg_full(tape, CG_I64, CG_DIMS(2), 1)));
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_DTYPE);
  ck_assert_ptr_nonnull(strstr(cg_tape_error(tape)->message, "i64"));
}
END_TEST

/* Where 1 + erf(x) would be all cancellation. */
START_TEST(gelu_far_left) {
  cg_tensor *x = cg_scalar(tape, CG_F64, -9.375);
  double want = (double)f_gelu(-9.375L);
  ck_assert(want < 0 && want > -1e-18);
  ck_assert_double_le(fabs(cg_tensor_item(cg_gelu(tape, x)) / want - 1), 1e-12);
}
END_TEST

START_TEST(ends_of_the_domain) {
  const double inf = INFINITY;
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = ROW(floats[d], 0, -0.0, inf, -inf, NAN, -1, 1e4, -1e4);
    const double t = 1e-6, l = log1p(1e4), e = exp(-1) - 1;
    NEAR_ALL(cg_abs(tape, x), 0, 0, 0, inf, inf, NAN, 1, 1e4, 1e4);
    ck_assert(!signbit(cg_tensor_get(cg_abs(tape, x), 1)));
    NEAR_ALL(cg_sign(tape, x), 0, 0, 0, 1, -1, 0, -1, 1, -1);
    NEAR_ALL(cg_reciprocal(tape, x), t, inf, -inf, 0, 0, NAN, -1, 1e-4, -1e-4);
    NEAR_ALL(cg_rsqrt(tape, x), t, inf, -inf, 0, NAN, NAN, NAN, 1e-2, NAN);
    NEAR_ALL(cg_log1p(tape, x), t, 0, 0, inf, NAN, NAN, -inf, l, NAN);
    NEAR_ALL(cg_expm1(tape, x), t, 0, 0, inf, -1, NAN, e, inf, -1);
    NEAR_ALL(cg_sin(tape, x), t, 0, 0, NAN, NAN, NAN, -sin(1), sin(1e4),
             -sin(1e4));
    NEAR_ALL(cg_cos(tape, x), t, 1, 1, NAN, NAN, NAN, cos(1), cos(1e4),
             cos(1e4));
    NEAR_ALL(cg_softplus(tape, x), t, log(2), log(2), inf, 0, NAN,
             log1p(exp(-1)), 1e4, 0);
    NEAR_ALL(leaky(tape, x), t, 0, 0, inf, -inf, NAN, -0.375, 1e4, -3750);
    NEAR_ALL(elu(tape, x), t, 0, 0, inf, -0.625, NAN, 0.625 * e, 1e4, -0.625);
    NEAR_ALL(cg_gelu(tape, x), t, 0, 0, inf, NAN, NAN, -0.15865525393145705,
             1e4, 0);
    NEAR_ALL(cg_silu(tape, x), t, 0, 0, inf, NAN, NAN, -1 / (1 + exp(1)), 1e4,
             0);
    NEAR_ALL(clamp(tape, x), 0, 0, 0, 2.375, -1.25, NAN, -1, 2.375, -1.25);
  }
  fine(tape);
}
END_TEST

START_TEST(bounds_of_clamp) {
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = ROW(floats[d], -7.5, 0.25, 13.5, NAN);
    NEAR_ALL(cg_clamp(tape, x, -INFINITY, 2.5), 0, -7.5, 0.25, 2.5, NAN);
    NEAR_ALL(cg_clamp(tape, x, -2.5, INFINITY), 0, -2.5, 0.25, 13.5, NAN);
    NEAR_ALL(cg_clamp(tape, x, 2.5, -1.5), 0, -1.5, -1.5, -1.5, NAN);
    NEAR_ALL(cg_clamp(tape, x, NAN, 2.5), 0, NAN, NAN, NAN, NAN);
    NEAR_ALL(cg_clamp(tape, x, -2.5, NAN), 0, NAN, NAN, NAN, NAN);
  }
}
END_TEST

/* ---- maximum and minimum ---- */

START_TEST(greater_and_lesser) {
  for (int d = 0; d < 2; d++) {
    cg_tensor *a = ROW(floats[d], 2.5, -1.75, NAN, 3.25, INFINITY, -0.5);
    cg_tensor *b = ROW(floats[d], 0.5, 4.125, 1, NAN, 7, -INFINITY);
    NEAR_ALL(cg_maximum(tape, a, b), 0, 2.5, 4.125, NAN, NAN, INFINITY, -0.5);
    NEAR_ALL(cg_minimum(tape, a, b), 0, 0.5, -1.75, NAN, NAN, 7, -INFINITY);
    cg_tensor *column = ROW(floats[d], 0.25, 3);
    column = cg_reshape(tape, column, CG_DIMS(2, 1));
    cg_tensor *y = cg_maximum(tape, column, ROW(floats[d], 1.5, -2, 9));
    has_shape(y, CG_DIMS(2, 3));
    NEAR_ALL(y, 0, 1.5, 0.25, 9, 3, 3, 9);
    cg_tensor *none = cg_full(tape, floats[d], CG_DIMS(0, 3), 1);
    has_shape(cg_minimum(tape, none, ROW(floats[d], 1.5, -2, 9)),
              CG_DIMS(0, 3));
  }
  fine(tape);
}
END_TEST

/* ---- comparisons ---- */

typedef cg_tensor *(*compare_fn)(cg_tape *, cg_tensor *, cg_tensor *);

/* What holds for a < b, a = b, a > b, and where one of them is NaN. */
static const struct comparison {
  const char *name;
  compare_fn op;
  int less, equal, greater, unordered;
} comparisons[] = {
    {"eq", cg_eq, 0, 1, 0, 0}, {"ne", cg_ne, 1, 0, 1, 1},
    {"lt", cg_lt, 1, 0, 0, 0}, {"le", cg_le, 1, 1, 0, 0},
    {"gt", cg_gt, 0, 0, 1, 0}, {"ge", cg_ge, 0, 1, 1, 0},
};

static int verdict(const struct comparison *c, double a, double b) {
  if (isnan(a) || isnan(b)) return c->unordered;
  return a < b ? c->less : a > b ? c->greater : c->equal;
}

/* a [3, C] against b in several shapes and strides. */
static void compare_all(const struct comparison *c, cg_tensor *a,
                        cg_tensor *b) {
  cg_tensor *y = c->op(tape, a, b);
  fine(tape);
  has_shape(y, CG_DIMS(3, C));
  ck_assert_int_eq(cg_tensor_dtype(y), CG_U8);
  ck_assert(!cg_tensor_requires_grad(y));
  cg_tensor *wide = cg_expand(tape, b, CG_DIMS(3, C));
  for (int i = 0; i < 3 * C; i++)
    ck_assert_int_eq((int)cg_tensor_get(y, i),
                     verdict(c, cg_tensor_get(a, i), cg_tensor_get(wide, i)));
}

START_TEST(masks_of_two_operands) {
  const struct comparison *c = &comparisons[_i];
  double v[6 * C];
  int64_t k[6 * C];
  uint8_t m[6 * C];
  cg_rng rng = cg_rng_seed(4117);
  for (int i = 0; i < 6 * C; i++) { /* few values, so that some are equal */
    k[i] = cg_rng_below(&rng, 5) - 2;
    v[i] = k[i] == -2 ? NAN : 0.125 * (double)k[i];
    m[i] = (uint8_t)(k[i] + 2);
  }
  const struct {
    cg_dtype dtype;
    const void *data;
  } kinds[] = {{CG_F64, v}, {CG_F32, v}, {CG_I64, k}, {CG_U8, m}};
  for (int d = 0; d < N_OF(kinds); d++) {
    bool cast = kinds[d].dtype == CG_F32;
    cg_dtype made = cast ? CG_F64 : kinds[d].dtype;
    cg_tensor *x = cg_input(tape, made, CG_DIMS(6, C), kinds[d].data);
    if (cast) x = cg_cast(tape, x, CG_F32);
    cg_tensor *a = cg_narrow(tape, x, 0, 0, 3);
    cg_tensor *b = cg_narrow(tape, x, 0, 3, 3);
    compare_all(c, a, b);
    compare_all(c, a, cg_select(tape, b, 0, 1));
    compare_all(c, a, cg_narrow(tape, b, 1, 5, 1));
    compare_all(c, a, cg_select(tape, cg_select(tape, b, 0, 1), 0, 7));
    cg_tensor *turned = cg_contiguous(tape, cg_transpose(tape, a, 0, 1));
    compare_all(c, cg_transpose(tape, turned, 0, 1), b);
  }
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, 3), 1);
  has_shape(c->op(tape, none, cg_scalar(tape, CG_F64, 2)), CG_DIMS(0, 3));
}
END_TEST

START_TEST(comparisons_refuse) {
  const struct comparison *c = &comparisons[_i];
  cg_tensor *a = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  ck_assert_ptr_null(c->op(tape, a, cg_full(tape, CG_F64, CG_DIMS(4), 1)));
  failed(tape, CG_ERR_SHAPE, c->name, "[2, 3] and [4]");
  ck_assert_ptr_null(c->op(tape, a, cg_full(tape, CG_I64, CG_DIMS(3), 1)));
  failed(tape, CG_ERR_DTYPE, c->name, "f64 and i64");
  ck_assert_ptr_null(c->op(tape, NULL, a));
  failed(tape, CG_ERR_ARG, c->name, "operand 0");
}
END_TEST

/* ---- where, masked_fill ---- */

START_TEST(choices) {
  cg_tensor *mask = MASK(1, 0, 2, 0); /* not 0 counts */
  for (int d = 0; d < 2; d++) {
    cg_tensor *a = ROW(floats[d], 2.375, NAN, -1.5, 0.25);
    cg_tensor *b = ROW(floats[d], NAN, 7.5, NAN, -INFINITY);
    NEAR_ALL(cg_where(tape, mask, a, b), 0, 2.375, 7.5, -1.5, -INFINITY);
    NEAR_ALL(cg_masked_fill(tape, a, mask, 0.5), 0, 0.5, NAN, 0.5, 0.25);
  }
  cg_tensor *i = cg_input(tape, CG_I64, CG_DIMS(4), (int64_t[]){5, 6, 7, 8});
  NEAR_ALL(cg_masked_fill(tape, i, mask, -100), 0, -100, 6, -100, 8);
  NEAR_ALL(cg_where(tape, mask, MASK(1, 1, 0, 0), MASK(1, 0, 0, 1)), 0, 1, 0, 0,
           1);
  fine(tape);
}
END_TEST

/* Every operand with every stride, against index arithmetic. */
START_TEST(choices_broadcast) {
  const int64_t shapes[][2] = {{3, 19}, {1, 19}, {3, 1}, {1, 1}};
  uint8_t m[57];
  double v[114];
  cg_rng rng = cg_rng_seed(61);
  for (int i = 0; i < 57; i++) m[i] = (uint8_t)cg_rng_below(&rng, 2);
  for (int i = 0; i < 114; i++) v[i] = cg_rng_normal(&rng);
  for (int k = 0; k < 64; k++) {
    const int64_t *s = shapes[k % 4], *sa = shapes[k / 4 % 4],
                  *sb = shapes[k / 16];
    cg_tensor *y = cg_where(
        tape, cg_input(tape, CG_U8, CG_DIMS(s[0], s[1]), m),
        cg_input(tape, CG_F64, CG_DIMS(sa[0], sa[1]), v),
        cg_input(tape, CG_F64, CG_DIMS(sb[0], sb[1]), v + 57));
    fine(tape);
    int64_t rows = cg_tensor_dim(y, 0), cols = cg_tensor_dim(y, 1);
    ck_assert_int_eq(rows, s[0] * sa[0] * sb[0] > 1 ? 3 : 1);
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < cols; j++) {
        bool on = m[(i % s[0]) * s[1] + j % s[1]];
        double want = on ? v[(i % sa[0]) * sa[1] + j % sa[1]]
                         : v[57 + (i % sb[0]) * sb[1] + j % sb[1]];
        ck_assert(cg_tensor_get(y, i * cols + j) == want);
      }
  }
  cg_tensor *none = cg_full(tape, CG_U8, CG_DIMS(0, 3), 1);
  cg_tensor *x = ROW(CG_F64, 1.5, 2.5, 3.5);
  has_shape(cg_where(tape, none, x, x), CG_DIMS(0, 3));
}
END_TEST

START_TEST(choices_refuse) {
  cg_tensor *mask = MASK(1, 0, 1), *x = ROW(CG_F64, 1.5, 2.5, 3.5);
  ck_assert_ptr_null(cg_where(tape, x, x, x));
  failed(tape, CG_ERR_DTYPE, "where", "f64; masks are u8");
  ck_assert_ptr_null(cg_where(tape, mask, x, ROW(CG_F32, 1, 2, 3)));
  failed(tape, CG_ERR_DTYPE, "where", "f64 and f32");
  ck_assert_ptr_null(cg_where(tape, mask, x, ROW(CG_F64, 1, 2)));
  failed(tape, CG_ERR_SHAPE, "where", "[3] and [3] and [2]");
  ck_assert_ptr_null(cg_masked_fill(tape, ROW(CG_F64, 1, 2), mask, 0));
  failed(tape, CG_ERR_SHAPE, "where", "[3] and [] and [2]");
  ck_assert_ptr_null(cg_masked_fill(tape, NULL, mask, 0));
  failed(tape, CG_ERR_ARG, "where", "operand 2");
  ck_assert_ptr_null(cg_maximum(tape, mask, x));
  failed(tape, CG_ERR_DTYPE, "maximum", "u8");
  ck_assert_ptr_null(cg_minimum(tape, x, ROW(CG_F64, 1, 2)));
  failed(tape, CG_ERR_SHAPE, "minimum", "[3] and [2]");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, functions_of_one_operand, 0, N_OF(unaries));
  tcase_add_test(tc, gelu_far_left);
  tcase_add_test(tc, ends_of_the_domain);
  tcase_add_test(tc, bounds_of_clamp);
  tcase_add_test(tc, greater_and_lesser);
  tcase_add_loop_test(tc, masks_of_two_operands, 0, N_OF(comparisons));
  tcase_add_loop_test(tc, comparisons_refuse, 0, N_OF(comparisons));
  tcase_add_test(tc, choices);
  tcase_add_test(tc, choices_broadcast);
  tcase_add_test(tc, choices_refuse);
  return run_case("ops_elementwise", tc);
}
