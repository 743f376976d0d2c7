/* kernel.h - loops over plain arrays: no tensor, no tape.
 *
 * Arrays have an element type, a shape and strides in elements. "Contiguous"
 * is row-major without gaps. Every kernel accepts sizes of 0.
 */
#ifndef CG_ENGINE_KERNEL_H
#define CG_ENGINE_KERNEL_H

#include <chronograd/tensor.h>

/* Loops written once, compiled for several instruction sets, chosen at load
 * time. CG_ISA_AVX2 leaves out AVX-512; CG_ISA_BASELINE keeps the baseline
 * only, and so does the thread sanitizer, which is not ready yet when the
 * choice is made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && \
    __GNUC__ >= 12 && !defined(__clang__) && !defined(CG_ISA_BASELINE) && \
    !defined(__SANITIZE_THREAD__)
#ifdef CG_ISA_AVX2
#define CG_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CG_CLONES                                                     \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3",    \
                               "default")))
#endif
#define CG_CLONED 1
/* A loop over registers of 64 bytes, for machines that have such. */
#define CG_WIDE __attribute__((target("arch=x86-64-v4")))
static inline bool kernel_has_wide(void) {
#ifdef CG_ISA_AVX2
  return false;
#else
  return __builtin_cpu_supports("x86-64-v4");
#endif
}
#else
#define CG_CLONES
#define CG_CLONED 0
static inline bool kernel_has_wide(void) { return false; }
#endif

/* ---- moving (kernel_move.c) ---- */

/* out (contiguous) = a (strided), any type. */
void kernel_copy(cg_dtype dtype, int rank, const int64_t *shape, void *out,
                 const void *a, const int64_t *a_strides);
/* out (strided) = a (strided), any type. */
void kernel_copy_strided(cg_dtype dtype, int rank, const int64_t *shape,
                         void *out, const int64_t *out_strides, const void *a,
                         const int64_t *a_strides);
/* out (strided) += a (strided), float types. Repeated places in `out` (strides
 * of 0) add up, so this also sums over axes: in an order that shape and strides
 * fix. Rows that fall on one place are summed first, and many that fall on one
 * row in halves. */
void kernel_add_strided(cg_dtype dtype, int rank, const int64_t *shape,
                        void *out, const int64_t *out_strides, const void *a,
                        const int64_t *a_strides);
/* `rows` rows of some bytes each: `apart` bytes from one to the next, and `far`
 * in the copy. */
void kernel_gather(int64_t rows, int64_t bytes, const void *from,
                   int64_t apart, void *to, int64_t far);
/* n elements of out = value. */
void kernel_fill(cg_dtype dtype, int64_t n, void *out, double value);

/* out (strided) = the larger (or smaller) of out and a (strided), float types;
 * NaN beats every number. Repeated places in `out` make it a reduction
 * (kernel_scan.c). */
void kernel_extreme_strided(cg_dtype dtype, bool smallest, int rank,
                            const int64_t *shape, void *out,
                            const int64_t *out_strides, const void *a,
                            const int64_t *a_strides);

/* ---- elementwise (kernel_map.c) ---- */

/* One row: y[i] = f(a[i * sa], b[i * sb]; c) for 0 <= i < n. */
typedef void (*kernel_row)(int64_t n, void *y, const void *a, int64_t sa,
                           const void *b, int64_t sb, double c);

/* An elementwise function: a row loop per float type. */
typedef struct kernel_map {
  kernel_row f32, f64;
} kernel_map;

/* y (contiguous) = f(a, b; c); b may be NULL. Strides are already broadcast to
 * the shape. */
void kernel_map_run(const kernel_map *f, cg_dtype dtype, int rank,
                    const int64_t *shape, void *y, const void *a,
                    const int64_t *a_strides, const void *b,
                    const int64_t *b_strides, double c);

/* [a = b]; a / b, 0 where b = 0; e^(a - b), 0 where a = -inf; and
 * max(a, 0) - a b + log(1 + e^-|a|). */
extern const kernel_map kernel_is_equal, kernel_div0, kernel_exp_sub,
    kernel_bce_with_logits;

extern const kernel_map kernel_add, kernel_sub, kernel_mul, kernel_div,
    kernel_pow, kernel_add_scalar, kernel_mul_scalar, kernel_pow_scalar,
    kernel_neg, kernel_exp, kernel_log, kernel_sqrt, kernel_square,
    kernel_tanh, kernel_sigmoid, kernel_relu, kernel_tanh_grad,
    kernel_sigmoid_grad, kernel_relu_grad, kernel_pow_da, kernel_pow_db,
    kernel_abs, kernel_sign, kernel_reciprocal, kernel_rsqrt, kernel_log1p,
    kernel_expm1, kernel_sin, kernel_cos, kernel_softplus, kernel_leaky_relu,
    kernel_leaky_relu_grad, kernel_elu, kernel_elu_grad, kernel_gelu,
    kernel_gelu_grad, kernel_clamp, kernel_maximum, kernel_minimum;

/* ---- activations in place (kernel_phi.c) ---- */

/* y = phi(y), n elements. */
typedef void (*kernel_phi_row)(int64_t n, void *y);

typedef struct kernel_phi {
  kernel_phi_row f32, f64;
} kernel_phi;

extern const kernel_phi kernel_phi_tanh, kernel_phi_sigmoid, kernel_phi_relu;

/* a = a phi'(z), of y = phi(z), n elements (kernel_phi_grad.c). */
typedef void (*kernel_phi_grad_row)(int64_t n, void *a, const void *y);

typedef struct kernel_phi_grad {
  kernel_phi_grad_row f32, f64;
} kernel_phi_grad;

extern const kernel_phi_grad kernel_phi_tanh_grad, kernel_phi_sigmoid_grad,
    kernel_phi_relu_grad;

/* ---- comparing and choosing (kernel_select.c) ---- */

/* An array of a known type, with strides broadcast to the result's shape. */
typedef struct kernel_operand {
  const void *data;
  const int64_t *strides; /* in elements */
  size_t size;            /* bytes of an element */
} kernel_operand;

/* One row: y[i] = f(a[i * sa], b[i * sb], x[i * sx]; c) for 0 <= i < n. */
typedef void (*kernel_row3)(int64_t n, void *y, const void *a, int64_t sa,
                            const void *b, int64_t sb, const void *x,
                            int64_t sx, double c);

/* A comparison: masks (U8) of a ? b, by the operands' type. */
typedef struct kernel_compare {
  kernel_row by_dtype[CG_DTYPE_COUNT];
} kernel_compare;

extern const kernel_compare kernel_eq, kernel_ne, kernel_lt, kernel_le;

void kernel_compare_run(const kernel_compare *f, cg_dtype dtype, int rank,
                        const int64_t *shape, uint8_t *y, const void *a,
                        const int64_t *a_strides, const void *b,
                        const int64_t *b_strides);

/* y = a where a mask (U8) is not 0, else b, for elements of any type; the mask
 * is operand a of the row. */
kernel_row3 kernel_where_row(cg_dtype dtype);
/* y = a where b > x, a / 2 where b = x, 0 where b < x, else (NaN) a. */
kernel_row3 kernel_maximum_grad_row(cg_dtype dtype);
/* y = a where x <= b <= c, else 0. */
kernel_row3 kernel_clamp_grad_row(cg_dtype dtype);

/* Runs a row over three operands; y is contiguous with elements of y_size. */
void kernel_map3_run(kernel_row3 row, int rank, const int64_t *shape, void *y,
                     size_t y_size, const kernel_operand operand[3], double c);

/* ---- matrix products (kernel_matmul.c) ---- */

/* out [cols, rows] = in^T, or += if `add`, for a float matrix in [rows, cols];
 * rows of `in` are ld apart, those of `out` ldo (kernel_transpose.c). */
void kernel_transpose(cg_dtype dtype, int64_t rows, int64_t cols,
                      const void *in, int64_t ld, void *out, int64_t ldo,
                      bool add);

/* What computes a product: nothing, where there is nothing to add up, or as the
 * files below say. */
typedef enum gemm_kernel {
  GEMM_NONE,
  GEMM_DOTS,
  GEMM_SMALL,
  GEMM_FAR,
  GEMM_XSMM,
  GEMM_CBLAS,
  GEMM_PLAIN
} gemm_kernel;

/* What was compiled last, and for which products. */
typedef struct gemm_memo {
  void (*kernel)(void); /* NULL: nothing */
  cg_dtype dtype;
  bool ta, accumulate;
  int64_t m, n, k, lda, ldb, ldc;
} gemm_memo;

/* C [m, n] = op(A) op(B), or C += if `accumulate`; op(A) [m, k] is A or, if ta,
 * A^T, and so for B. Rows of the stored matrices are lda, ldb, ldc apart. */
typedef struct gemm_args {
  cg_dtype dtype;
  bool ta, tb, accumulate;
  bool often;  /* B is used in many products, so that a form may be kept */
  bool panels; /* B is a form that was kept */
  int64_t m, n, k;
  const void *a, *b;
  void *c;
  int64_t lda, ldb, ldc;
  const void *ends; /* B's rows are a form's (kernel_gemm_rows_form): what is
                       behind them, for dots by columns, else the register that
                       ends with the first row; NULL: they are whole */
  void *scratch; /* kernel_gemm_scratch(g) bytes, or NULL if that is 0 */
  gemm_kernel by;
  gemm_memo *memo; /* for the next product like this one, or NULL */
} gemm_args;

/* Chooses g->by for the rest of *g, but for c, accumulate and scratch; the
 * functions below want it chosen. */
void kernel_gemm_choose(gemm_args *g);
void kernel_gemm(const gemm_args *g);
/* How much scratch memory the product needs. */
size_t kernel_gemm_scratch(const gemm_args *g);
/* For a B that is used in many products: the bytes of the form of op(B) that
 * these read fastest, 0 if that is B as it is; that form, into memory of that
 * size; and *g with the form in the place of B, to be chosen for anew. */
size_t kernel_gemm_form_bytes(const gemm_args *g);
void kernel_gemm_form(const gemm_args *g, void *form);
void kernel_gemm_use(gemm_args *g, const void *form);
/* The same as kernel_gemm by plain loops: the reference, and the portable
 * path. */
void kernel_gemm_plain(const gemm_args *g);
/* The same for a few rows times a transposed matrix (kernel_gemm_dots.c). */
bool kernel_gemm_dots_suits(const gemm_args *g);
void kernel_gemm_dots(const gemm_args *g);
/* For a B that is used in many products of few rows, and still would be as it
 * is: like the three functions above, with the same bits as without the form,
 * which serves B and its transpose (kernel_gemm_rows.c). */
size_t kernel_gemm_rows_bytes(const gemm_args *g);
void kernel_gemm_rows_form(const gemm_args *g, void *form);
void kernel_gemm_rows_use(gemm_args *g, const void *form);
/* How far apart columns are of what is behind the rows, in elements. */
int64_t kernel_gemm_rows_column(const gemm_args *g);
/* The same for small products (kernel_gemm_small.c), and the rest as above. */
bool kernel_gemm_small_suits(const gemm_args *g);
void kernel_gemm_small(const gemm_args *g);
size_t kernel_gemm_small_form_bytes(const gemm_args *g);
void kernel_gemm_small_form(const gemm_args *g, void *form);
void kernel_gemm_small_use(gemm_args *g, const void *form);
/* The same where one matrix does not fit the cache (kernel_gemm_far.c): a B in
 * panels, or C. */
bool kernel_gemm_far_suits(const gemm_args *g);
size_t kernel_gemm_far_scratch(const gemm_args *g);
void kernel_gemm_far(const gemm_args *g);
/* One column of C from an A that is not transposed and the column of B, which
 * is contiguous; g->c points to it. */
void kernel_gemm_column(const gemm_args *g, const void *column);
/* What kernel_gemm uses for products that are not tiny: "libxsmm", "cblas",
 * "plain". */
const char *kernel_gemm_backend(void);

/* By libxsmm (kernel_gemm_xsmm.c), and of B as it is, by one kernel of it
 * (kernel_gemm_block.c). */
void kernel_gemm_block(const gemm_args *g);
void kernel_gemm_xsmm(const gemm_args *g);
size_t kernel_gemm_xsmm_scratch(const gemm_args *g);
size_t kernel_gemm_xsmm_form_bytes(const gemm_args *g);
void kernel_gemm_xsmm_form(const gemm_args *g, void *form);
void kernel_gemm_xsmm_use(gemm_args *g, const void *form);
/* Can libxsmm make kernels on this processor? */
bool kernel_gemm_xsmm_usable(void);

/* ---- rows of exponentials (kernel_softmax.c) ---- */

/* One row: y[i * sy] from x[i * sx] for 0 <= i < n, not in place. */
typedef void (*kernel_normalise)(int64_t n, void *y, int64_t sy, const void *x,
                                 int64_t sx);

typedef struct kernel_softmax {
  kernel_normalise f32, f64;
} kernel_softmax;

extern const kernel_softmax kernel_softmax_row, kernel_log_softmax_row;

/* One number: log sum_i e^x[i]. */
extern const kernel_softmax kernel_logsumexp_row;

/* loss[r] = -log softmax(o[r])[y[r]] for `rows` rows of n logits; targets are
 * in range. All arrays contiguous. */
void kernel_cross_entropy(cg_dtype dtype, int64_t rows, int64_t n, void *loss,
                          const void *o, const int64_t *y);
/* go[r] = gy[r] (softmax(o[r]) - onehot(y[r])). `loss` is what the function
 * above computed, or NULL. */
void kernel_cross_entropy_grad(cg_dtype dtype, int64_t rows, int64_t n,
                               void *go, const void *gy, const void *o,
                               const int64_t *y, const void *loss);

/* ---- rows of other kinds (kernel_scan.c) ---- */

/* One index (int64_t): of the first largest, or smallest, element of n >= 1. */
extern const kernel_softmax kernel_argmax_row, kernel_argmin_row;
/* y[i] = sum of x[j] over j <= i, or over j >= i. */
extern const kernel_softmax kernel_cumsum_row, kernel_cumsum_reverse_row;

/* ---- rows of mean 0 and variance 1 (kernel_norm.c), contiguous ---- */

/* y = (x - mean) r and r = 1 / sqrt(variance + eps) of each row. */
void kernel_layer_norm(cg_dtype dtype, int64_t rows, int64_t n, void *y,
                       const void *x, double eps);
void kernel_layer_norm_rstd(cg_dtype dtype, int64_t rows, int64_t n, void *r,
                            const void *x, double eps);
/* gx = r (gy - mean(gy) - y mean(gy y)). */
void kernel_layer_norm_grad(cg_dtype dtype, int64_t rows, int64_t n, void *gx,
                            const void *gy, const void *y, const void *r);

/* ---- gates of recurrent cells (kernel_gates.c) ---- */

/* A matrix whose rows are ld elements apart, their elements side by side. */
typedef struct kernel_rows {
  const void *data;
  int64_t ld;
} kernel_rows;

/* y (contiguous) = (h, c, i, f, g, o) of each row, see cg_lstm_gates, from z + a
 * (or z, if a has no data) and c. And g = (gz, gc') from the first `given` parts
 * of gy, the others being zero, y and c. */
void kernel_lstm(cg_dtype dtype, int64_t rows, int64_t H, void *y,
                 kernel_rows z, kernel_rows a, kernel_rows c);
void kernel_lstm_grad(cg_dtype dtype, int64_t rows, int64_t H, void *g,
                      kernel_rows gy, int given, kernel_rows y,
                      kernel_rows c);
/* y (contiguous) = (h, n, r, u, p_n) of each row, see cg_gru_gates, from x + z,
 * p + d (z and d as a above) and h'. And g = (gx, gp, gh') from gy as above, y
 * and h'. */
typedef struct kernel_gru_maps {
  kernel_rows x, z, p, d;
} kernel_gru_maps;

void kernel_gru(cg_dtype dtype, int64_t rows, int64_t H, void *y,
                const kernel_gru_maps *maps, kernel_rows h);
void kernel_gru_grad(cg_dtype dtype, int64_t rows, int64_t H, void *g,
                     kernel_rows gy, int given, kernel_rows y,
                     kernel_rows h);

/* ---- random numbers (kernel_random.c), contiguous ---- */

/* Number counter + i of the stream `seed`, as uniform in [0, 1). */
void kernel_uniform(cg_dtype dtype, int64_t n, void *out, uint64_t seed,
                    uint64_t counter);
/* out[i] = x[i] / (1 - p) where that number is >= p, else x[i] * 0. */
void kernel_dropout(cg_dtype dtype, int64_t n, void *out, const void *x,
                    double p, uint64_t seed, uint64_t counter);

#endif
