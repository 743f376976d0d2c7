/* kernel_matmul.c - matrix products: plain loops, and the choice between them
 * and the libraries that were found. */
#include "kernel.h"

#include <limits.h>
#include <string.h>

#ifdef CG_HAVE_CBLAS
#include <cblas.h>
#endif

/* ---- plain loops ---- */

/* Each element of C is a sum in the order of the inner index, whatever the
 * sizes; the innermost loop runs along a row of C where B's rows are stored,
 * and along the inner index otherwise. */
#define PLAIN(name, T)                                                       \
  CG_CLONES static void name(const gemm_args *g) {                           \
    const T *a = g->a, *b = g->b;                                            \
    int64_t ai = g->ta ? 1 : g->lda, ak = g->ta ? g->lda : 1;                \
    for (int64_t i = 0; i < g->m; i++) {                                     \
      T *restrict c = (T *)g->c + i * g->ldc;                                \
      if (!g->accumulate) memset(c, 0, (size_t)g->n * sizeof(T));            \
      if (!g->tb) {                                                          \
        for (int64_t k = 0; k < g->k; k++) {                                 \
          const T x = a[i * ai + k * ak], *row = b + k * g->ldb;             \
          for (int64_t j = 0; j < g->n; j++) c[j] += x * row[j];             \
        }                                                                    \
      } else {                                                               \
        for (int64_t j = 0; j < g->n; j++) {                                 \
          const T *row = b + j * g->ldb;                                     \
          T sum = 0;                                                         \
          for (int64_t k = 0; k < g->k; k++) sum += a[i * ai + k * ak] * row[k]; \
          c[j] += sum;                                                       \
        }                                                                    \
      }                                                                      \
    }                                                                        \
  }

PLAIN(plain_f32, float)
PLAIN(plain_f64, double)

void kernel_gemm_plain(const gemm_args *g) {
  if (g->dtype == CG_F32)
    plain_f32(g);
  else
    plain_f64(g);
}

/* ---- choice ---- */

#if defined(CG_HAVE_XSMM) || defined(CG_HAVE_CBLAS)
/* Products of fewer multiplications are not worth a call. */
#define TINY 256

static bool tiny(const gemm_args *g) {
  return g->m * g->n * g->k < TINY;
}
#endif

/* A product with a vector is bound by reading the matrix once: transposing it
 * first would double that. */
static bool suits_xsmm(const gemm_args *g) {
#ifdef CG_HAVE_XSMM
  return kernel_gemm_xsmm_usable() && !tiny(g) && (!g->tb || g->m >= 8) &&
         (!g->ta || g->n >= 8) && g->lda <= INT_MAX && g->ldb <= INT_MAX &&
         g->ldc <= INT_MAX;
#else
  (void)g;
  return false;
#endif
}

size_t kernel_gemm_scratch(const gemm_args *g) {
  if (!suits_xsmm(g)) return 0;
  int64_t n = (g->ta ? g->m * g->k : 0) + (g->tb ? g->k * g->n : 0);
  return (size_t)n * (g->dtype == CG_F32 ? 4 : 8);
}

#ifdef CG_HAVE_CBLAS

static bool suits_cblas(const gemm_args *g) {
  return !tiny(g) && g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX &&
         g->lda <= INT_MAX && g->ldb <= INT_MAX && g->ldc <= INT_MAX;
}

static void gemm_cblas(const gemm_args *g) {
  CBLAS_TRANSPOSE ta = g->ta ? CblasTrans : CblasNoTrans;
  CBLAS_TRANSPOSE tb = g->tb ? CblasTrans : CblasNoTrans;
  int m = (int)g->m, n = (int)g->n, k = (int)g->k;
  int lda = (int)g->lda, ldb = (int)g->ldb, ldc = (int)g->ldc;
  if (g->dtype == CG_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb,
                g->accumulate, g->c, ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, g->a, lda, g->b, ldb,
                g->accumulate, g->c, ldc);
}

#endif

void kernel_gemm(const gemm_args *g) {
#ifdef CG_HAVE_XSMM
  if (suits_xsmm(g) && kernel_gemm_xsmm(g)) return;
#endif
#ifdef CG_HAVE_CBLAS
  if (suits_cblas(g)) {
    gemm_cblas(g);
    return;
  }
#endif
  kernel_gemm_plain(g);
}

const char *kernel_gemm_backend(void) {
#ifdef CG_HAVE_XSMM
  if (kernel_gemm_xsmm_usable()) return "libxsmm";
#endif
#ifdef CG_HAVE_CBLAS
  return "cblas";
#else
  return "plain";
#endif
}
