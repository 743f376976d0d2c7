/* kernel_gemm_xsmm.c - matrix products by libxsmm, which compiles kernels for
 * small shapes at run time.
 *
 * libxsmm's matrices are column-major and untransposed. A row-major product
 * C = A B is the column-major C^T = B^T A^T on the same memory, so only a
 * transposed operand has to be copied. Larger products are cut into blocks.
 */
#include "kernel.h"

#ifdef CG_HAVE_XSMM

#include <libxsmm.h>
#include <string.h>

/* Block sizes of the three loops: a block of C stays in the first-level cache,
 * the two operand blocks in the second. */
enum { M_BLOCK = 64, N_BLOCK = 64, K_BLOCK = 256 };

/* ---- one block ---- */

typedef libxsmm_blasint xint;

/* C [m, n] (+)= A [m, k] B [k, n], all row-major; false if libxsmm has no
 * kernel for it. */
static bool block_f32(xint m, xint n, xint k, const float *a, xint lda,
                      const float *b, xint ldb, float *c, xint ldc, bool add) {
  float alpha = 1, beta = add;
  libxsmm_smmfunction f = libxsmm_smmdispatch(n, m, k, &ldb, &lda, &ldc, &alpha,
                                              &beta, NULL, NULL);
  if (f) f(b, a, c);
  return f;
}

static bool block_f64(xint m, xint n, xint k, const double *a, xint lda,
                      const double *b, xint ldb, double *c, xint ldc,
                      bool add) {
  double alpha = 1, beta = add;
  libxsmm_dmmfunction f = libxsmm_dmmdispatch(n, m, k, &ldb, &lda, &ldc, &alpha,
                                              &beta, NULL, NULL);
  if (f) f(b, a, c);
  return f;
}

/* The block at (i, j, l) of untransposed operands. */
static bool block(const gemm_args *g, int64_t i, int64_t j, int64_t l) {
  xint m = (xint)(g->m - i < M_BLOCK ? g->m - i : M_BLOCK);
  xint n = (xint)(g->n - j < N_BLOCK ? g->n - j : N_BLOCK);
  xint k = (xint)(g->k - l < K_BLOCK ? g->k - l : K_BLOCK);
  xint lda = (xint)g->lda, ldb = (xint)g->ldb, ldc = (xint)g->ldc;
  int64_t at_a = i * g->lda + l, at_b = l * g->ldb + j, at_c = i * g->ldc + j;
  bool add = g->accumulate || l > 0;
  if (g->dtype == CG_F32)
    return block_f32(m, n, k, (const float *)g->a + at_a, lda,
                     (const float *)g->b + at_b, ldb, (float *)g->c + at_c, ldc,
                     add);
  return block_f64(m, n, k, (const double *)g->a + at_a, lda,
                   (const double *)g->b + at_b, ldb, (double *)g->c + at_c, ldc,
                   add);
}

/* ---- the whole product ---- */

/* Replaces transposed operands by transposes in scratch memory. */
static gemm_args untransposed(const gemm_args *g) {
  gemm_args u = *g;
  char *scratch = g->scratch;
  if (g->ta) {
    kernel_transpose(g->dtype, g->k, g->m, g->a, g->lda, scratch);
    u.a = scratch;
    u.lda = g->k;
    u.ta = false;
    scratch += (size_t)(g->m * g->k) * (g->dtype == CG_F32 ? 4 : 8);
  }
  if (g->tb) {
    kernel_transpose(g->dtype, g->n, g->k, g->b, g->ldb, scratch);
    u.b = scratch;
    u.ldb = g->n;
    u.tb = false;
  }
  return u;
}

bool kernel_gemm_xsmm(const gemm_args *g) {
  gemm_args u = untransposed(g);
  for (int64_t i = 0; i < u.m; i += M_BLOCK)
    for (int64_t j = 0; j < u.n; j += N_BLOCK)
      for (int64_t l = 0; l < u.k; l += K_BLOCK)
        if (!block(&u, i, j, l)) return false;
  return true;
}

bool kernel_gemm_xsmm_usable(void) {
  return libxsmm_get_target_archid() >= LIBXSMM_X86_AVX2;
}

#endif
