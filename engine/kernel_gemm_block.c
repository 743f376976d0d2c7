/* kernel_gemm_block.c - a matrix product that is one kernel of libxsmm, which
 * compiles it when it is first asked for.
 *
 * libxsmm's matrices are column-major: see kernel_gemm_xsmm.c. Finding again
 * what it has compiled takes it a while; so that is remembered where there is a
 * place for it.
 */
#include "kernel.h"

#ifdef CG_HAVE_XSMM

#include <immintrin.h>
#include <libxsmm.h>

typedef libxsmm_blasint xint;

static bool is_known(const gemm_args *g) {
  const gemm_memo *o = g->memo;
  return o && o->kernel && o->m == g->m && o->n == g->n && o->k == g->k &&
         o->lda == g->lda && o->ldb == g->ldb && o->ldc == g->ldc &&
         o->ta == g->ta && o->accumulate == g->accumulate &&
         o->dtype == g->dtype;
}

static void remember(const gemm_args *g, void (*kernel)(void)) {
  if (g->memo)
    *g->memo = (gemm_memo){.kernel = kernel,
                           .dtype = g->dtype,
                           .ta = g->ta,
                           .accumulate = g->accumulate,
                           .m = g->m,
                           .n = g->n,
                           .k = g->k,
                           .lda = g->lda,
                           .ldb = g->ldb,
                           .ldc = g->ldc};
}

/* C (+)= op(A) B by one kernel; false if libxsmm has none. */
#define BLOCK(name, T, t)                                                    \
  static libxsmm_##t##mmfunction name##_kernel(const gemm_args *g) {         \
    int flags = g->ta ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;  \
    xint m = (xint)g->m, n = (xint)g->n, k = (xint)g->k;                     \
    xint lda = (xint)g->lda, ldb = (xint)g->ldb, ldc = (xint)g->ldc;         \
    T alpha = 1, beta = g->accumulate;                                       \
    if (is_known(g)) return (libxsmm_##t##mmfunction)g->memo->kernel;        \
    libxsmm_##t##mmfunction f = libxsmm_##t##mmdispatch(                     \
        n, m, k, &ldb, &lda, &ldc, &alpha, &beta, &flags, NULL);             \
    remember(g, (void (*)(void))f);                                          \
    return f;                                                                \
  }                                                                          \
  static bool name(const gemm_args *g) {                                     \
    libxsmm_##t##mmfunction f = name##_kernel(g);                            \
    if (f) f(g->b, g->a, g->c);                                              \
    return f;                                                                \
  }

BLOCK(block_f32, float, s)
BLOCK(block_f64, double, d)

/* The kernels leave the upper halves of registers in use, and then the next
 * instruction that is compiled for any processor waits for what was begun
 * before it. */
__attribute__((target("avx"))) static void clear_upper_halves(void) {
  _mm256_zeroupper();
}

void kernel_gemm_block(const gemm_args *g) {
  if (g->dtype == CG_F32 ? block_f32(g) : block_f64(g))
    clear_upper_halves();
  else
    kernel_gemm_plain(g);
}

#endif
