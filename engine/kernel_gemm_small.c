/* kernel_gemm_small.c - products too small for a library, whose start costs
 * more than they do: a tile of C in registers, C as rows of whole registers.
 *
 * Each element is a sum in the order of the inner index, wherever its tile
 * lies. The last columns are a tile that overlaps the one before.
 */
#include "kernel.h"

#include <string.h>

enum {
  ROWS = 4,  /* of a tile that is MOST registers wide, */
  MORE = 8,  /* of one that is less: sums enough not to wait for one */
  MOST = 4,
  ALONE = 8, /* registers of a single row */
  WIDE = 64, /* bytes of a register */
  NARROW = 32,
  /* Multiplications; fewer if there is only the oldest instruction set. */
  SMALL = CG_CLONED ? 144 * 1024 : 8 * 1024
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Registers that a machine does not have would be kept in memory, so that there
 * are two widths. */
#define SMALL_GEMM(S, T, I, BYTES, CLONES)                                   \
  typedef T S##_lanes __attribute__((vector_size(BYTES),                     \
                                     aligned(sizeof(T)), may_alias));        \
  typedef I S##_mask __attribute__((vector_size(BYTES)));                    \
  /* Rows [i, i + rows) and `wide` registers of columns from j on; the first \
     `known` of these were written before. */                                \
  ALWAYS_INLINE void tile_##S(const gemm_args *g, int rows, int wide,        \
                              int64_t i, int64_t j, int64_t known) {         \
    enum { N = BYTES / sizeof(T) };                                          \
    const int64_t ai = g->ta ? 1 : g->lda, ak = g->ta ? g->lda : 1;          \
    const T *a = (const T *)g->a + i * ai, *b = (const T *)g->b + j;         \
    S##_lanes sum[MORE][MOST];                                               \
    for (int r = 0; r < rows; r++)                                           \
      for (int w = 0; w < wide; w++) sum[r][w] = (S##_lanes){0};             \
    for (int64_t l = 0; l < g->k; l++, a += ak, b += g->ldb)                 \
      for (int r = 0; r < rows; r++)                                         \
        for (int w = 0; w < wide; w++)                                       \
          sum[r][w] += a[r * ai] * *(const S##_lanes *)(b + w * N);          \
    S##_mask old;                                                            \
    for (int w = 0; w < N; w++) old[w] = w < known ? -1 : 0;                 \
    for (int r = 0; r < rows; r++) {                                         \
      T *c = (T *)g->c + (i + r) * g->ldc + j;                               \
      for (int w = 0; w < wide; w++, c += N) {                               \
        S##_lanes y = sum[r][w], x = {0};                                    \
        if (g->accumulate || known) x = *(S##_lanes *)c;                     \
        if (g->accumulate) y += x;                                           \
        if (known)                                                           \
          y = (S##_lanes)(((S##_mask)x & old) | ((S##_mask)y & ~old));       \
        *(S##_lanes *)c = y;                                                 \
      }                                                                      \
    }                                                                        \
  }                                                                          \
  /* Some columns of rows [0, m), a multiple of ROWS. */                     \
  ALWAYS_INLINE void columns_##S(const gemm_args *g, int rows, int wide,     \
                                 int64_t m, int64_t j, int64_t known) {      \
    int64_t i = 0;                                                           \
    for (; i + rows <= m; i += rows) tile_##S(g, rows, wide, i, j, known);   \
    if (i < m) tile_##S(g, ROWS, wide, i, j, known);                         \
  }                                                                          \
  ALWAYS_INLINE void rows_##S(const gemm_args *g, int64_t m) {               \
    enum { N = BYTES / sizeof(T), TWO = BYTES == WIDE ? MORE : ROWS };       \
    int64_t j = 0;                                                           \
    if (BYTES == WIDE)                                                       \
      for (; j + 4 * N <= g->n; j += 4 * N) columns_##S(g, ROWS, 4, m, j, 0);\
    for (; j + 2 * N <= g->n; j += 2 * N) columns_##S(g, TWO, 2, m, j, 0);   \
    for (; j + N <= g->n; j += N) columns_##S(g, MORE, 1, m, j, 0);          \
    if (j < g->n) columns_##S(g, MORE, 1, m, g->n - N, j - (g->n - N));      \
  }                                                                          \
  /* `wide` registers of row i from column j on, or fewer columns if C ends  \
     before: then the last register begins so that it ends with C. A register\
     has to wait for its sum, so that a row is as many of them as there are. */\
  ALWAYS_INLINE void row_part_##S(const gemm_args *g, int wide, int64_t i,   \
                                  int64_t j) {                               \
    enum { N = BYTES / sizeof(T) };                                          \
    const int64_t ak = g->ta ? g->lda : 1;                                   \
    const T *a = (const T *)g->a + i * (g->ta ? 1 : g->lda);                 \
    const T *b = (const T *)g->b + j;                                        \
    const int w_last = wide - 1;                                             \
    int64_t last = w_last * N, known = j + last - (g->n - N);                \
    if (known < 0) known = 0;                                                \
    const bool end = known && g->ends;                                       \
    const T *b_last = end ? (const T *)g->ends : b + last - known;           \
    const int64_t ld_last = end ? g->n % N : g->ldb;                         \
    last -= known;                                                           \
    S##_lanes sum[ALONE];                                                    \
    for (int w = 0; w < wide; w++) sum[w] = (S##_lanes){0};                  \
    for (int64_t l = 0; l < g->k; l++, a += ak) {                            \
      const T x = *a;                                                        \
      for (int w = 0; w < w_last; w++)                                       \
        sum[w] += x * *(const S##_lanes *)(b + w * N);                       \
      sum[w_last] += x * *(const S##_lanes *)b_last;                         \
      b += g->ldb;                                                           \
      b_last += ld_last;                                                     \
    }                                                                        \
    T *c = (T *)g->c + i * g->ldc + j;                                       \
    if (g->accumulate)                                                       \
      for (int w = 0; w < w_last; w++) sum[w] += *(S##_lanes *)(c + w * N);  \
    for (int w = 0; w < w_last; w++) *(S##_lanes *)(c + w * N) = sum[w];     \
    S##_lanes y = sum[w_last];                                               \
    c += last;                                                               \
    if (g->accumulate) y += *(S##_lanes *)c;                                 \
    memcpy(c + known, (const T *)&y + known,                                 \
           (size_t)(N - known) * sizeof(T));                                 \
  }                                                                          \
  ALWAYS_INLINE void row_##S(const gemm_args *g, int64_t i) {                \
    enum { N = BYTES / sizeof(T) };                                          \
    int64_t j = 0;                                                           \
    for (; j + ALONE * N <= g->n; j += ALONE * N) row_part_##S(g, ALONE, i, j);\
    switch ((g->n - j + N - 1) / N) {                                        \
      case 1: row_part_##S(g, 1, i, j); break;                               \
      case 2: row_part_##S(g, 2, i, j); break;                               \
      case 3: row_part_##S(g, 3, i, j); break;                               \
      case 4: row_part_##S(g, 4, i, j); break;                               \
      case 5: row_part_##S(g, 5, i, j); break;                               \
      case 6: row_part_##S(g, 6, i, j); break;                               \
      case 7: row_part_##S(g, 7, i, j); break;                               \
      case 8: row_part_##S(g, 8, i, j); break;                               \
    }                                                                        \
  }                                                                          \
  CLONES static void small_##S(const gemm_args *g) {                         \
    const int64_t m = g->m / ROWS * ROWS;                                    \
    if (m) rows_##S(g, m);                                                   \
    for (int64_t i = m; i < g->m; i++) row_##S(g, i);                        \
  }

SMALL_GEMM(f32_narrow, float, int32_t, NARROW, CG_CLONES)
SMALL_GEMM(f64_narrow, double, int64_t, NARROW, CG_CLONES)
#if CG_CLONED
SMALL_GEMM(f32, float, int32_t, WIDE, CG_WIDE)
SMALL_GEMM(f64, double, int64_t, WIDE, CG_WIDE)
#else
#define small_f32 small_f32_narrow
#define small_f64 small_f64_narrow
#endif

static int64_t size_of(const gemm_args *g) {
  return g->dtype == CG_F32 ? 4 : 8;
}

/* A kept form of B^T has to be the one that larger products use, too. */
bool kernel_gemm_small_suits(const gemm_args *g) {
  return g->n >= WIDE / size_of(g) && g->m * g->n * g->k <= SMALL &&
         !(g->tb && g->n * g->k * size_of(g) > KERNEL_GEMM_NEAR_BYTES);
}

size_t kernel_gemm_small_form_bytes(const gemm_args *g) {
  return g->tb ? (size_t)(g->n * g->k * size_of(g)) : 0;
}

void kernel_gemm_small_form(const gemm_args *g, void *out) {
  kernel_transpose(g->dtype, g->n, g->k, g->b, g->ldb, out, g->n, false);
}

void kernel_gemm_small_use(gemm_args *g, const void *form) {
  g->b = form;
  g->ldb = g->n;
  g->tb = false;
}

void kernel_gemm_small(const gemm_args *g) {
  gemm_args s = *g;
  if (g->tb) {
    kernel_gemm_small_form(g, g->scratch);
    kernel_gemm_small_use(&s, g->scratch);
  }
  if (s.dtype == CG_F32)
    (kernel_has_wide() ? small_f32 : small_f32_narrow)(&s);
  else
    (kernel_has_wide() ? small_f64 : small_f64_narrow)(&s);
}
