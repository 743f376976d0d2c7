/* kernel_gemm_dots.c - matrix products of few rows and a transposed matrix,
 * such as a step of one sequence: each element is the inner product of a row of
 * A and a row of B, both stored one element behind the other.
 *
 * A register of partial sums, folded in a fixed order, for ROWS rows of B at a
 * time. What remains of a row is the end of its last whole register; the
 * elements before it, which were summed already, are masked away there. The
 * last rows are taken together with some that were done before.
 */
#include "kernel.h"

#include <string.h>

enum { ROWS = 8, WIDE = 64, NARROW = 32, PART = 16 };

#ifdef __clang__
#define PICK(U, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(U, a, b, ...) __builtin_shuffle(a, b, (U){__VA_ARGS__})
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A register, and part of one. Registers that a machine does not have would be
 * kept in memory, so that there are two widths. */
#define LANES(S, T, U, BYTES)                                                \
  typedef T S##_lanes __attribute__((vector_size(BYTES), aligned(sizeof(T)), \
                                     may_alias));                            \
  typedef U S##_mask __attribute__((vector_size(BYTES)));

LANES(f32_narrow, float, uint32_t, NARROW)
LANES(f64_narrow, double, uint64_t, NARROW)
#if CG_CLONED
LANES(f32, float, uint32_t, WIDE)
LANES(f64, double, uint64_t, WIDE)
#endif

typedef float f32_part __attribute__((vector_size(PART)));
typedef uint32_t f32_order __attribute__((vector_size(PART)));
typedef double f64_part __attribute__((vector_size(PART)));
typedef uint64_t f64_order __attribute__((vector_size(PART)));

/* What is left of a register when its halves are added until it is a part. */
#define FOLD_NARROW(S)                                                       \
  ALWAYS_INLINE S##_part S##_narrow_folded(const void *x) {                  \
    S##_part first, second;                                                  \
    memcpy(&first, x, PART);                                                 \
    memcpy(&second, (const char *)x + PART, PART);                           \
    return first + second;                                                   \
  }
#define FOLD_WIDE(S, T)                                                      \
  typedef T S##_half __attribute__((vector_size(NARROW)));                   \
  ALWAYS_INLINE S##_part S##_folded(const void *x) {                         \
    S##_half low, high;                                                      \
    memcpy(&low, x, NARROW);                                                 \
    memcpy(&high, (const char *)x + NARROW, NARROW);                         \
    low += high;                                                             \
    return S##_narrow_folded(&low);                                          \
  }

FOLD_NARROW(f32)
FOLD_NARROW(f64)
#if CG_CLONED
FOLD_WIDE(f32, float)
FOLD_WIDE(f64, double)
#endif

/* The sums of four registers' elements, and of two. */
#define SUMS(S)                                                              \
  ALWAYS_INLINE f32_part f32##S##_sums(const f32##S##_lanes *x) {            \
    f32_part a = f32##S##_folded(x), b = f32##S##_folded(x + 1);             \
    f32_part c = f32##S##_folded(x + 2), d = f32##S##_folded(x + 3);         \
    a = PICK(f32_order, a, b, 0, 1, 4, 5) +                                  \
        PICK(f32_order, a, b, 2, 3, 6, 7);                                   \
    c = PICK(f32_order, c, d, 0, 1, 4, 5) +                                  \
        PICK(f32_order, c, d, 2, 3, 6, 7);                                   \
    return PICK(f32_order, a, c, 0, 2, 4, 6) +                               \
           PICK(f32_order, a, c, 1, 3, 5, 7);                                \
  }                                                                          \
  ALWAYS_INLINE f64_part f64##S##_sums(const f64##S##_lanes *x) {            \
    f64_part a = f64##S##_folded(x), b = f64##S##_folded(x + 1);             \
    return PICK(f64_order, a, b, 0, 2) + PICK(f64_order, a, b, 1, 3);        \
  }

SUMS(_narrow)
#if CG_CLONED
SUMS()
#endif

#define DOTS(S, P, T, U, BYTES, CLONES)                                      \
  /* sum[r] = sum_l a[l] b[r * ldb + l] for 0 <= r < rows, k a register at   \
     least, of the last of which *keep is taken if it is no whole one. */    \
  ALWAYS_INLINE void some_##S(int rows, int64_t k, const S##_mask *keep,     \
                              const T *a, const T *b, int64_t ldb,           \
                              P *sum) {                                      \
    enum { N = BYTES / sizeof(T), AT_ONCE = PART / sizeof(T) };              \
    S##_lanes lane[ROWS];                                                    \
    for (int r = 0; r < ROWS; r++) lane[r] = (S##_lanes){0};                 \
    int64_t l = 0;                                                           \
    for (; l + N <= k; l += N) {                                             \
      const S##_lanes x = *(const S##_lanes *)(a + l);                       \
      for (int r = 0; r < rows; r++)                                         \
        lane[r] += x * *(const S##_lanes *)(b + r * ldb + l);                \
    }                                                                        \
    if (l < k) {                                                             \
      S##_mask x = (S##_mask) * (const S##_lanes *)(a + k - N) & *keep;      \
      for (int r = 0; r < rows; r++) {                                       \
        S##_mask y =                                                         \
            (S##_mask) * (const S##_lanes *)(b + r * ldb + k - N) & *keep;   \
        lane[r] += (S##_lanes)x * (S##_lanes)y;                              \
      }                                                                      \
    }                                                                        \
    for (int r = 0; r < rows; r += AT_ONCE)                                  \
      sum[r / AT_ONCE] = S##_sums(lane + r);                                 \
  }                                                                          \
  /* c[i * apart] (+)= sum[i] for from <= i < to. */                         \
  ALWAYS_INLINE void put_##S(const P *sum, int from, int to, T *c, \
                             int64_t apart, bool add) {                      \
    T each[ROWS];                                                            \
    memcpy(each, sum, sizeof each);                                          \
    for (int i = from; i < to; i++)                                          \
      c[i * apart] = add ? c[i * apart] + each[i] : each[i];                 \
  }                                                                          \
  ALWAYS_INLINE void put_all_##S(const P *sum, T *c, bool add) {   \
    enum { AT_ONCE = PART / sizeof(T) };                                     \
    for (int r = 0; r < ROWS; r += AT_ONCE) {                                \
      P y = sum[r / AT_ONCE], before = {0};                                  \
      if (add) memcpy(&before, c + r, PART);                                 \
      if (add) y += before;                                                  \
      memcpy(c + r, &y, PART);                                               \
    }                                                                        \
  }                                                                          \
  /* The same as times_##S for short rows. */                                \
  static void short_##S(int64_t n, int64_t k, const T *a, const T *b,        \
                      int64_t ldb, T *c, int64_t apart, bool add) {          \
    for (int64_t j = 0; j < n; j++) {                                        \
      T sum = 0;                                                             \
      for (int64_t l = 0; l < k; l++) sum += a[l] * b[j * ldb + l];          \
      c[j * apart] = add ? c[j * apart] + sum : sum;                         \
    }                                                                        \
  }                                                                          \
  /* c[j * apart] (+)= sum_l a[l] b[j * ldb + l] for 0 <= j < n. */          \
  CLONES static void times_##S(int64_t n, int64_t k, const T *a,             \
                                  const T *b, int64_t ldb, T *c,             \
                                  int64_t apart, bool add) {                 \
    enum { N = BYTES / sizeof(T) };                                          \
    if (k < N) {                                                             \
      short_##S(n, k, a, b, ldb, c, apart, add);                             \
      return;                                                                \
    }                                                                        \
    S##_mask keep;                                                           \
    for (int i = 0; i < N; i++) keep[i] = i < N - k % N ? 0 : (U)-1;         \
    P sum[ROWS * sizeof(T) / PART];                                          \
    int64_t j = 0;                                                           \
    for (; j + ROWS <= n; j += ROWS) {                                       \
      some_##S(ROWS, k, &keep, a, b + j * ldb, ldb, sum);                    \
      if (apart == 1)                                                        \
        put_all_##S(sum, c + j, add);                                        \
      else                                                                   \
        put_##S(sum, 0, ROWS, c + j * apart, apart, add);                    \
    }                                                                        \
    if (j < n && n >= ROWS) { /* some of them once more */                   \
      const int64_t at = n - ROWS;                                           \
      some_##S(ROWS, k, &keep, a, b + at * ldb, ldb, sum);                   \
      put_##S(sum, (int)(j - at), ROWS, c + at * apart, apart, add);         \
      return;                                                                \
    }                                                                        \
    for (; j < n; j++) {                                                     \
      some_##S(1, k, &keep, a, b + j * ldb, 0, sum);                         \
      put_##S(sum, 0, 1, c + j * apart, apart, add);                         \
    }                                                                        \
  }

DOTS(f32_narrow, f32_part, float, uint32_t, NARROW, CG_CLONES)
DOTS(f64_narrow, f64_part, double, uint64_t, NARROW, CG_CLONES)
#if CG_CLONED
DOTS(f32, f32_part, float, uint32_t, WIDE, CG_WIDE)
DOTS(f64, f64_part, double, uint64_t, WIDE, CG_WIDE)
#else
#define times_f32 times_f32_narrow
#define times_f64 times_f64_narrow
#endif

bool kernel_gemm_dots_suits(const gemm_args *g) {
  return !g->ta && g->tb && g->m < 8;
}

/* times_<type> of the machine's width: c from vector a and matrix b. */
static void times(cg_dtype dtype, int64_t n, int64_t k, const void *a,
                  const void *b, int64_t ldb, void *c, int64_t apart,
                  bool add) {
  if (dtype == CG_F32)
    (kernel_has_wide() ? times_f32 : times_f32_narrow)(n, k, a, b, ldb, c,
                                                       apart, add);
  else
    (kernel_has_wide() ? times_f64 : times_f64_narrow)(n, k, a, b, ldb, c,
                                                       apart, add);
}

void kernel_gemm_dots(const gemm_args *g) {
  const int64_t size = g->dtype == CG_F32 ? 4 : 8;
  for (int64_t i = 0; i < g->m; i++)
    times(g->dtype, g->n, g->k, (const char *)g->a + i * g->lda * size, g->b,
          g->ldb, (char *)g->c + i * g->ldc * size, 1, g->accumulate);
}

void kernel_gemm_column(const gemm_args *g, const void *column) {
  times(g->dtype, g->m, g->k, column, g->a, g->lda, g->c, g->ldc,
        g->accumulate);
}
