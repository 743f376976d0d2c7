/* kernel.h - loops over plain arrays: no tensor, no tape.
 *
 * Arrays have an element type, a shape and strides in elements. "Contiguous"
 * is row-major without gaps. Every kernel accepts sizes of 0.
 */
#ifndef CG_ENGINE_KERNEL_H
#define CG_ENGINE_KERNEL_H

#include <chronograd/tensor.h>

/* Loops written once, compiled for several instruction sets, chosen at load
 * time. CG_ISA_BASELINE keeps the baseline only, and so does the thread
 * sanitizer, which is not ready yet when the choice is made. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && \
    __GNUC__ >= 12 && !defined(__clang__) && !defined(CG_ISA_BASELINE) && \
    !defined(__SANITIZE_THREAD__)
#define CG_CLONES                                                     \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3",    \
                               "default")))
#else
#define CG_CLONES
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
 * of 0) add up, so this also sums over axes: in row-major order of the shape,
 * but rows that fall on one place are summed first. */
void kernel_add_strided(cg_dtype dtype, int rank, const int64_t *shape,
                        void *out, const int64_t *out_strides, const void *a,
                        const int64_t *a_strides);
/* n elements of out = value. */
void kernel_fill(cg_dtype dtype, int64_t n, void *out, double value);

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

extern const kernel_map kernel_add, kernel_sub, kernel_mul, kernel_div,
    kernel_pow, kernel_add_scalar, kernel_mul_scalar, kernel_pow_scalar,
    kernel_neg, kernel_exp, kernel_log, kernel_sqrt, kernel_square,
    kernel_tanh, kernel_sigmoid, kernel_relu, kernel_tanh_grad,
    kernel_sigmoid_grad, kernel_relu_grad, kernel_pow_da, kernel_pow_db;

/* out [cols, rows] = in^T for a float matrix in [rows, cols] whose rows are ld
 * apart (kernel_transpose.c). */
void kernel_transpose(cg_dtype dtype, int64_t rows, int64_t cols,
                      const void *in, int64_t ld, void *out);

/* ---- matrix products (kernel_matmul.c) ---- */

/* C [m, n] = op(A) op(B), or C += if `accumulate`; op(A) [m, k] is A or, if ta,
 * A^T, and so for B. Rows of the stored matrices are lda, ldb, ldc apart. */
typedef struct gemm_args {
  cg_dtype dtype;
  bool ta, tb, accumulate;
  int64_t m, n, k;
  const void *a, *b;
  void *c;
  int64_t lda, ldb, ldc;
  void *scratch; /* kernel_gemm_scratch(g) bytes, or NULL if that is 0 */
} gemm_args;

void kernel_gemm(const gemm_args *g);
/* How much scratch memory the product needs. */
size_t kernel_gemm_scratch(const gemm_args *g);
/* The same by plain loops: the reference, and the portable path. */
void kernel_gemm_plain(const gemm_args *g);
/* What kernel_gemm uses for products that are not tiny: "libxsmm", "cblas",
 * "plain". */
const char *kernel_gemm_backend(void);

/* By libxsmm (kernel_gemm_xsmm.c); false if it has no kernel for the shape, in
 * which case C is as it was. */
bool kernel_gemm_xsmm(const gemm_args *g);
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

/* loss[r] = -log softmax(o[r])[y[r]] for `rows` rows of n logits; targets are
 * in range. All arrays contiguous. */
void kernel_cross_entropy(cg_dtype dtype, int64_t rows, int64_t n, void *loss,
                          const void *o, const int64_t *y);
/* go[r] = gy[r] (softmax(o[r]) - onehot(y[r])). `loss` is what the function
 * above computed, or NULL. */
void kernel_cross_entropy_grad(cg_dtype dtype, int64_t rows, int64_t n,
                               void *go, const void *gy, const void *o,
                               const int64_t *y, const void *loss);

#endif
