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
          for (int64_t k = 0; k < g->k; k++)                                 \
            sum += a[i * ai + k * ak] * row[k];                              \
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

#ifdef CG_HAVE_XSMM
/* A product with a few rows is bound by reading the matrix once: transposing it
 * first would double that. */
static bool suits_xsmm(const gemm_args *g) {
  return !tiny(g) && (!g->tb || g->m >= 8) && (!g->ta || g->n >= 8) &&
         g->lda <= INT_MAX && g->ldb <= INT_MAX && g->ldc <= INT_MAX &&
         kernel_gemm_xsmm_usable();
}
#endif

#ifdef CG_HAVE_CBLAS

static bool suits_cblas(const gemm_args *g) {
  return !tiny(g) && g->m <= INT_MAX && g->n <= INT_MAX && g->k <= INT_MAX &&
         g->lda <= INT_MAX && g->ldb <= INT_MAX && g->ldc <= INT_MAX;
}

/* OpenBLAS gives a product to several threads from this many multiplications
 * on, and the bits then depend on their number. So it gets blocks, one after
 * the other in an order that the sizes fix. */
enum { ALONE = 64 * 64 * 64, SIDE = 64 };

static void call_cblas(const gemm_args *g, int64_t m, int64_t n, int64_t k,
                       const void *a, const void *b, void *c,
                       bool accumulate) {
  CBLAS_TRANSPOSE ta = g->ta ? CblasTrans : CblasNoTrans;
  CBLAS_TRANSPOSE tb = g->tb ? CblasTrans : CblasNoTrans;
  int M = (int)m, N = (int)n, K = (int)k;
  int lda = (int)g->lda, ldb = (int)g->ldb, ldc = (int)g->ldc;
  if (g->dtype == CG_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, M, N, K, 1, a, lda, b, ldb, accumulate,
                c, ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, M, N, K, 1, a, lda, b, ldb, accumulate,
                c, ldc);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Element i, j of op(matrix). */
static void *at(const void *matrix, int64_t i, int64_t j, int64_t ld,
                bool transposed, size_t size) {
  int64_t place = transposed ? j * ld + i : i * ld + j;
  return (char *)(uintptr_t)matrix + place * (int64_t)size;
}

static void gemm_cblas(const gemm_args *g) {
  const size_t size = g->dtype == CG_F32 ? 4 : 8;
  const int64_t mb = least(g->m, SIDE), kb = least(g->k, SIDE);
  const int64_t nb = least(g->n, ALONE / (mb * kb));
  for (int64_t i = 0; i < g->m; i += mb)
    for (int64_t j = 0; j < g->n; j += nb)
      for (int64_t p = 0; p < g->k; p += kb)
        call_cblas(g, least(mb, g->m - i), least(nb, g->n - j),
                   least(kb, g->k - p), at(g->a, i, p, g->lda, g->ta, size),
                   at(g->b, p, j, g->ldb, g->tb, size),
                   at(g->c, i, j, g->ldc, false, size),
                   g->accumulate || p > 0);
}

#endif

/* What the sum of no terms leaves; matrices without elements have no memory
 * that the kernels could point to. */
static void gemm_of_nothing(const gemm_args *g) {
  const size_t size = g->dtype == CG_F32 ? 4 : 8;
  char *row = g->c;
  if (g->accumulate || g->n == 0) return;
  for (int64_t i = 0; i < g->m; i++, row += (size_t)g->ldc * size)
    memset(row, 0, (size_t)g->n * size);
}

static gemm_kernel choice(const gemm_args *g) {
  if (g->m == 0 || g->n == 0 || g->k == 0) return GEMM_NONE;
  if (kernel_gemm_dots_suits(g)) return GEMM_DOTS;
  if (kernel_gemm_small_suits(g)) return GEMM_SMALL;
  if (kernel_gemm_far_suits(g)) return GEMM_FAR;
#ifdef CG_HAVE_XSMM
  if (suits_xsmm(g)) return GEMM_XSMM;
#endif
#ifdef CG_HAVE_CBLAS
  if (suits_cblas(g)) return GEMM_CBLAS;
#endif
  return GEMM_PLAIN;
}

void kernel_gemm_choose(gemm_args *g) { g->by = choice(g); }

void kernel_gemm(const gemm_args *g) {
  switch (g->by) {
    case GEMM_NONE: gemm_of_nothing(g); break;
    case GEMM_DOTS: kernel_gemm_dots(g); break;
    case GEMM_SMALL: kernel_gemm_small(g); break;
    case GEMM_FAR: kernel_gemm_far(g); break;
#ifdef CG_HAVE_XSMM
    case GEMM_XSMM: kernel_gemm_xsmm(g); break;
#endif
#ifdef CG_HAVE_CBLAS
    case GEMM_CBLAS: gemm_cblas(g); break;
#endif
    default: kernel_gemm_plain(g);
  }
}

/* ---- the memory they need ---- */

size_t kernel_gemm_scratch(const gemm_args *g) {
  switch (g->by) {
    case GEMM_SMALL: return kernel_gemm_small_form_bytes(g);
    case GEMM_FAR: return kernel_gemm_far_scratch(g);
#ifdef CG_HAVE_XSMM
    case GEMM_XSMM: return kernel_gemm_xsmm_scratch(g);
#endif
    default: return 0;
  }
}

size_t kernel_gemm_form_bytes(const gemm_args *g) {
  if (g->by == GEMM_SMALL) return kernel_gemm_small_form_bytes(g);
#ifdef CG_HAVE_XSMM
  if (g->by == GEMM_XSMM || (g->by == GEMM_FAR && suits_xsmm(g)))
    return kernel_gemm_xsmm_form_bytes(g);
#endif
  return 0;
}

/* The forms of both are the same where both use a matrix. */
void kernel_gemm_form(const gemm_args *g, void *form) {
#ifdef CG_HAVE_XSMM
  if (g->by != GEMM_SMALL) {
    kernel_gemm_xsmm_form(g, form);
    return;
  }
#endif
  kernel_gemm_small_form(g, form);
}

void kernel_gemm_use(gemm_args *g, const void *form) {
#ifdef CG_HAVE_XSMM
  if (g->by != GEMM_SMALL) {
    kernel_gemm_xsmm_use(g, form);
    return;
  }
#endif
  kernel_gemm_small_use(g, form);
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
