/* test_ops_values.c - what the elementwise ops, reductions, views and joins
 * compute, against numbers from elsewhere: the C library in a wider type, or
 * index arithmetic written out. */
#include "engine_test.h"

static cg_tape *tape;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static void teardown(void) { cg_tape_free(tape); }

/* ---- operands: one array of values seen in several ways ---- */

/* How an operand of a shape [R, C] lies in memory. */
enum { PLAIN, TRANSPOSED, NARROWED, EVERY_OTHER, N_LAYOUTS };

/* A tensor [R, C] of `dtype` with element (r, c) = values[r * C + c]. */
static cg_tensor *laid_out(const double *values, int64_t R, int64_t C,
                           cg_dtype dtype, int layout) {
  int64_t n = R * C;
  double *buf = calloc((size_t)(4 * n + 1), sizeof *buf);
  cg_tensor *x;
  if (layout == TRANSPOSED) {
    for (int64_t i = 0; i < n; i++) buf[i % C * R + i / C] = values[i];
    x = cg_transpose(tape, cg_input(tape, CG_F64, CG_DIMS(C, R), buf), 0, 1);
  } else if (layout == NARROWED) {
    for (int64_t i = 0; i < n; i++)
      buf[i / C * (C + 2) + i % C + 1] = values[i];
    x = cg_narrow(tape, cg_input(tape, CG_F64, CG_DIMS(R, C + 2), buf), 1, 1,
                  C);
  } else if (layout == EVERY_OTHER) {
    for (int64_t i = 0; i < n; i++) buf[2 * i + 1] = values[i];
    x = cg_select(tape, cg_input(tape, CG_F64, CG_DIMS(R, C, 2), buf), -1, 1);
  } else {
    x = cg_input(tape, CG_F64, CG_DIMS(R, C), values);
  }
  free(buf);
  fine(tape);
  if (dtype == CG_F64) return x;
  /* A float32 original of the same layout: cast the base, not the view. */
  cg_tensor *y = cg_cast(tape, x, CG_F32);
  if (layout == TRANSPOSED)
    return cg_transpose(
        tape, cg_contiguous(tape, cg_transpose(tape, y, 0, 1)), 0, 1);
  return y;
}

static double rounded(double x, cg_dtype dtype) {
  return dtype == CG_F32 ? (double)(float)x : x;
}

/* ---- elementwise, one operand ---- */

typedef struct unary {
  const char *name;
  cg_tensor *(*op)(cg_tape *, cg_tensor *);
  long double (*f)(long double);
  double lo, hi;
} unary;

static long double f_neg(long double x) { return -x; }
static long double f_square(long double x) { return x * x; }
static long double f_sigmoid(long double x) { return 1 / (1 + expl(-x)); }
static long double f_relu(long double x) { return x > 0 ? x : 0; }

static const unary unaries[] = {
    {"neg", cg_neg, f_neg, -9, 9},
    {"exp", cg_exp, expl, -80, 80},
    {"log", cg_log, logl, 1e-30, 1e3},
    {"sqrt", cg_sqrt, sqrtl, 0, 1e6},
    {"square", cg_square, f_square, -9, 9},
    {"tanh", cg_tanh, tanhl, -12, 12},
    {"sigmoid", cg_sigmoid, f_sigmoid, -60, 60},
    {"relu", cg_relu, f_relu, -2, 2},
};

/* Error in units of the result; libraries of vector maths allow 4 ulp. */
static double accuracy(cg_dtype dtype) {
  return dtype == CG_F32 ? 8 * 0x1p-23 : 8 * 0x1p-52;
}

static void check_unary(const unary *u, cg_dtype dtype, int layout) {
  enum { R = 5, C = 37 };
  double v[R * C];
  cg_rng rng = cg_rng_seed(5);
  for (int i = 0; i < R * C; i++)
    v[i] = rounded(u->lo + (u->hi - u->lo) * cg_rng_uniform(&rng), dtype);
  cg_tensor *y = u->op(tape, laid_out(v, R, C, dtype, layout));
  fine(tape);
  has_shape(y, CG_DIMS(R, C));
  ck_assert_int_eq(cg_tensor_dtype(y), dtype);
  ck_assert_str_eq(cg_tensor_op_name(y), u->name);
  for (int i = 0; i < R * C; i++) {
    double want = (double)u->f((long double)v[i]);
    ck_assert_msg(fabs(cg_tensor_get(y, i) - want) <=
                      accuracy(dtype) * fabs(want),
                  "%s(%.17g) = %.17g, not %.17g", u->name, v[i],
                  cg_tensor_get(y, i), want);
  }
}

START_TEST(functions_of_one_operand) {
  for (int layout = 0; layout < N_LAYOUTS; layout++) {
    check_unary(&unaries[_i], CG_F64, layout);
    check_unary(&unaries[_i], CG_F32, layout);
  }
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(3, 0), 1);
  has_shape(unaries[_i].op(tape, none), CG_DIMS(3, 0));
  ck_assert_ptr_null(unaries[_i].op(tape, cg_full(tape, CG_I64, 0, NULL, 1)));
  failed(tape, CG_ERR_DTYPE, unaries[_i].name, "i64");
}
END_TEST

START_TEST(special_values) {
  const double v[] = {0, -0.0, INFINITY, -INFINITY, NAN, -3, 1e4, -1e4};
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(8), v),
                           d ? CG_F32 : CG_F64);
    double t = 1e-6;
    NEAR_ALL(cg_sqrt(tape, x), t, 0, 0, INFINITY, NAN, NAN, NAN, 100, NAN);
    ck_assert(signbit(cg_tensor_get(cg_sqrt(tape, x), 1)));
    NEAR_ALL(cg_log(tape, x), t, -INFINITY, -INFINITY, INFINITY, NAN, NAN, NAN,
             log(1e4), NAN);
    NEAR_ALL(cg_exp(tape, x), t, 1, 1, INFINITY, 0, NAN, exp(-3), INFINITY, 0);
    NEAR_ALL(cg_tanh(tape, x), t, 0, 0, 1, -1, NAN, tanh(-3), 1, -1);
    NEAR_ALL(cg_sigmoid(tape, x), t, 0.5, 0.5, 1, 0, NAN, 1 / (1 + exp(3)), 1,
             0);
    NEAR_ALL(cg_relu(tape, x), 0, 0, 0, INFINITY, 0, NAN, 0, 1e4, 0);
    NEAR_ALL(cg_pow_scalar(tape, x, 0), 0, 1, 1, 1, 1, 1, 1, 1, 1);
    NEAR_ALL(cg_pow_scalar(tape, x, 3), t, 0, 0, INFINITY, -INFINITY, NAN, -27,
             1e12, -1e12);
    NEAR_ALL(cg_pow_scalar(tape, x, -1), t, INFINITY, -INFINITY, 0, 0, NAN,
             -1.0 / 3, 1e-4, -1e-4);
  }
}
END_TEST

/* Same bits wherever an element lies and however long the array is. */
START_TEST(results_do_not_depend_on_position) {
  enum { N = 70 };
  double v[N];
  cg_rng rng = cg_rng_seed(11);
  for (int i = 0; i < N; i++) v[i] = 6 * cg_rng_uniform(&rng) + 1e-3;
  const unary *u = &unaries[_i];
  for (int d = 0; d < 2; d++) {
    cg_tensor *x = cg_cast(tape, cg_input(tape, CG_F64, CG_DIMS(N), v),
                           d ? CG_F32 : CG_F64);
    cg_tensor *all = u->op(tape, x);
    for (int start = 0; start < 20; start++)
      for (int n = 1; start + n <= N; n += 1 + n / 8) {
        cg_tensor *y = u->op(tape, cg_narrow(tape, x, 0, start, n));
        for (int i = 0; i < n; i++)
          ck_assert(cg_tensor_get(y, i) == cg_tensor_get(all, start + i));
      }
    /* Strided: the last column of pairs. */
    cg_tensor *pair[] = {x, x};
    cg_tensor *col = cg_select(tape, cg_stack(tape, pair, 2, 1), 1, 1);
    ck_assert(!cg_tensor_contiguous(col));
    cg_tensor *y = u->op(tape, col);
    for (int i = 0; i < N; i++)
      ck_assert(cg_tensor_get(y, i) == cg_tensor_get(all, i));
  }
  fine(tape);
}
END_TEST

/* ---- elementwise, two operands ---- */

typedef struct binary {
  const char *name;
  cg_tensor *(*op)(cg_tape *, cg_tensor *, cg_tensor *);
  long double (*f)(long double, long double);
} binary;

static long double f_add(long double a, long double b) { return a + b; }
static long double f_sub(long double a, long double b) { return a - b; }
static long double f_mul(long double a, long double b) { return a * b; }
static long double f_div(long double a, long double b) { return a / b; }
static long double f_tg(long double a, long double b) {
  return a * (1 - b * b);
}
static long double f_sg(long double a, long double b) {
  return a * b * (1 - b);
}
static long double f_rg(long double a, long double b) { return b > 0 ? a : 0; }

static const binary binaries[] = {
    {"add", cg_add, f_add},
    {"sub", cg_sub, f_sub},
    {"mul", cg_mul, f_mul},
    {"div", cg_div, f_div},
    {"pow", cg_pow, powl},
    {"tanh_grad", cg_tanh_grad, f_tg},
    {"sigmoid_grad", cg_sigmoid_grad, f_sg},
    {"relu_grad", cg_relu_grad, f_rg},
};

/* a [Ra, Ca] and b [Rb, Cb], where sizes are R, C or 1. */
static void check_binary(const binary *u, const int64_t *s, cg_dtype dtype,
                         int la, int lb) {
  double a[64], b[64];
  cg_rng rng = cg_rng_seed(23);
  for (int i = 0; i < 64; i++) {
    a[i] = rounded(0.2 + 2 * cg_rng_uniform(&rng), dtype);
    b[i] = rounded(0.1 + 0.7 * cg_rng_uniform(&rng), dtype);
  }
  int64_t R = s[0] > s[2] ? s[0] : s[2], C = s[1] > s[3] ? s[1] : s[3];
  cg_tensor *y = u->op(tape, laid_out(a, s[0], s[1], dtype, la),
                       laid_out(b, s[2], s[3], dtype, lb));
  fine(tape);
  has_shape(y, CG_DIMS(R, C));
  for (int64_t i = 0; i < R; i++)
    for (int64_t j = 0; j < C; j++) {
      double x = a[(s[0] > 1 ? i : 0) * s[1] + (s[1] > 1 ? j : 0)];
      double z = b[(s[2] > 1 ? i : 0) * s[3] + (s[3] > 1 ? j : 0)];
      double want = (double)u->f((long double)x, (long double)z);
      near(cg_tensor_get(y, i * C + j), want, accuracy(dtype));
    }
}

START_TEST(functions_of_two_operands) {
  const int64_t shapes[][4] = {{3, 19, 3, 19}, {3, 19, 1, 19}, {1, 19, 3, 19},
                               {3, 19, 3, 1},  {3, 1, 1, 19},  {1, 1, 3, 19},
                               {3, 19, 1, 1},  {1, 1, 1, 1},   {2, 1, 2, 1}};
  for (int k = 0; k < N_OF(shapes); k++)
    for (int la = 0; la < N_LAYOUTS; la++)
      for (int lb = 0; lb < N_LAYOUTS; lb++) {
        check_binary(&binaries[_i], shapes[k], CG_F64, la, lb);
        check_binary(&binaries[_i], shapes[k], CG_F32, la, lb);
      }
}
END_TEST

START_TEST(broadcasting_of_ranks_and_empties) {
  const binary *u = &binaries[_i];
  cg_tensor *s = cg_scalar(tape, CG_F64, 0.5);
  cg_tensor *v = cg_input(tape, CG_F64, CG_DIMS(3), (double[]){1, 2, 3});
  cg_tensor *t = cg_full(tape, CG_F64, CG_DIMS(2, 1, 4, 1), 0.25);
  has_shape(u->op(tape, s, v), CG_DIMS(3));
  has_shape(u->op(tape, v, t), CG_DIMS(2, 1, 4, 3));
  cg_tensor *y = u->op(tape, t, v);
  for (int i = 0; i < 24; i++)
    near(cg_tensor_get(y, i), (double)u->f(0.25L, i % 3 + 1), 1e-15);
  cg_tensor *none = cg_full(tape, CG_F64, CG_DIMS(0, 3), 1);
  has_shape(u->op(tape, none, v), CG_DIMS(0, 3));
  has_shape(u->op(tape, s, none), CG_DIMS(0, 3));
  fine(tape);
  cg_tensor *full = cg_full(tape, CG_F64, CG_DIMS(2, 3), 1);
  ck_assert_ptr_null(u->op(tape, none, full));
  failed(tape, CG_ERR_SHAPE, u->name, "[0, 3] and [2, 3]");
  ck_assert_ptr_null(u->op(tape, t, cg_full(tape, CG_F64, CG_DIMS(3, 5), 1)));
  failed(tape, CG_ERR_SHAPE, u->name, "[2, 1, 4, 1] and [3, 5]");
  ck_assert_ptr_null(u->op(tape, v, cg_full(tape, CG_F32, CG_DIMS(3), 1)));
  failed(tape, CG_ERR_DTYPE, u->name, "f64 and f32");
  ck_assert_ptr_null(u->op(tape, cg_full(tape, CG_U8, CG_DIMS(3), 1), v));
  failed(tape, CG_ERR_DTYPE, u->name, "u8");
  ck_assert_ptr_null(u->op(tape, v, NULL));
  failed(tape, CG_ERR_ARG, u->name, "operand 1");
}
END_TEST

/* Sizes whose product has no end are refused before memory is asked for. */
START_TEST(huge_results_are_refused) {
  cg_tensor *one = cg_scalar(tape, CG_F64, 1);
  const int64_t big = INT64_C(1) << 35;
  cg_tensor *a = cg_expand(tape, one, CG_DIMS(big, 1));
  cg_tensor *b = cg_expand(tape, one, CG_DIMS(1, big));
  ck_assert_ptr_null(cg_add(tape, a, b));
  failed(tape, CG_ERR_SHAPE, "add", "too many elements");
  ck_assert_ptr_null(cg_matmul(tape, a, b));
  failed(tape, CG_ERR_SHAPE, "matmul", "too many elements");
  ck_assert_ptr_null(cg_expand(tape, one, CG_DIMS(big, big)));
  failed(tape, CG_ERR_SHAPE, "expand", "34359738368");
}
END_TEST

START_TEST(functions_with_a_number) {
  const double v[] = {2.385, 0.71, 13.5, 0.04, 5.5, 1.9};
  for (int layout = 0; layout < N_LAYOUTS; layout++)
    for (int d = 0; d < 2; d++) {
      cg_dtype t = d ? CG_F32 : CG_F64;
      cg_tensor *x = laid_out(v, 2, 3, t, layout);
      const double c[] = {-1.7, 2, 0.5, 0};
      for (int k = 0; k < N_OF(c); k++)
        for (int i = 0; i < 6; i++) {
          double a = rounded(v[i], t), b = rounded(c[k], t);
          near(cg_tensor_get(cg_add_scalar(tape, x, c[k]), i), a + b,
               accuracy(t));
          near(cg_tensor_get(cg_mul_scalar(tape, x, c[k]), i), a * b,
               accuracy(t));
          near(cg_tensor_get(cg_pow_scalar(tape, x, c[k]), i), pow(a, b),
               accuracy(t));
        }
    }
}
END_TEST

START_TEST(casts) {
  const double v[] = {2.385, -1e40, 1e-50, 0.1};
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(2, 2), v);
  cg_tensor *y = cg_cast(tape, cg_transpose(tape, x, 0, 1), CG_F32);
  NEAR_ALL(y, 0, (double)2.385f, 0, -INFINITY, (double)0.1f);
  cg_tensor *i = cg_input(tape, CG_I64, CG_DIMS(2), (int64_t[]){-7, 1 << 30});
  NEAR_ALL(cg_cast(tape, i, CG_F64), 0, -7, 1 << 30);
  cg_tensor *m = cg_input(tape, CG_U8, CG_DIMS(2), (uint8_t[]){1, 0});
  NEAR_ALL(cg_cast(tape, m, CG_F32), 0, 1, 0);
  ck_assert_ptr_null(cg_cast(tape, x, CG_I64));
  failed(tape, CG_ERR_DTYPE, "cast", "i64");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, functions_of_one_operand, 0, N_OF(unaries));
  tcase_add_test(tc, special_values);
  tcase_add_loop_test(tc, results_do_not_depend_on_position, 0, N_OF(unaries));
  tcase_add_loop_test(tc, functions_of_two_operands, 0, N_OF(binaries));
  tcase_add_loop_test(tc, broadcasting_of_ranks_and_empties, 0, N_OF(binaries));
  tcase_add_test(tc, huge_results_are_refused);
  tcase_add_test(tc, functions_with_a_number);
  tcase_add_test(tc, casts);
  return run_case("ops_values", tc);
}
