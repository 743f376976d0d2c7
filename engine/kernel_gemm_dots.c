/* kernel_gemm_dots.c - matrix products of few rows and a transposed matrix,
 * such as a step of one sequence: each element is the inner product of a row of
 * A and a row of B, both stored one element behind the other.
 *
 * A register of partial sums, folded in a fixed order, for some rows of B at a
 * time. What remains of a row is the end of its last whole register; the
 * elements before it, which were summed already, are masked away there. The
 * last rows are taken together with some that were done before.
 *
 * Reading B is what takes the time, and a register across two lines of the
 * cache takes twice as long. So a B that is used often gets a form in which
 * none lies so (kernel_gemm_rows.c).
 */
#include "kernel.h"

#include <string.h>

enum { WIDE = 64, NARROW = 32, SHORT = 6 * WIDE };

/* Rows of B whose sums are put together, and the rows taken at a time: a
 * register is soon done with a row, and has to wait for its sum. */
enum { ROWS = 4, AT_ONCE = 8 };

#ifdef __clang__
#define PICK(S, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(S, a, b, ...) __builtin_shuffle(a, b, (S##_mask){__VA_ARGS__})
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A register, and the sums of ROWS of them. Registers that a machine does not
 * have would be kept in memory, so that there are two widths. */
#define LANES(S, T, U, BYTES)                                                \
  typedef T S##_lanes __attribute__((vector_size(BYTES), aligned(sizeof(T)), \
                                     may_alias));                            \
  typedef U S##_mask __attribute__((vector_size(BYTES)));                    \
  typedef T S##_part __attribute__((vector_size(ROWS * sizeof(T))));

LANES(f32_narrow, float, uint32_t, NARROW)
LANES(f64_narrow, double, uint64_t, NARROW)
#if CG_CLONED
LANES(f32, float, uint32_t, WIDE)
LANES(f64, double, uint64_t, WIDE)
#endif

/* The sums of ROWS registers' elements: halves are added until none is left,
 * those of several registers in one. */
ALWAYS_INLINE void f64_narrow_sums(const f64_narrow_lanes *x,
                                   f64_narrow_part *sum) {
  f64_narrow_lanes a = PICK(f64_narrow, x[0], x[1], 0, 1, 4, 5) +
                       PICK(f64_narrow, x[0], x[1], 2, 3, 6, 7);
  f64_narrow_lanes b = PICK(f64_narrow, x[2], x[3], 0, 1, 4, 5) +
                       PICK(f64_narrow, x[2], x[3], 2, 3, 6, 7);
  a = PICK(f64_narrow, a, b, 0, 2, 4, 6) + PICK(f64_narrow, a, b, 1, 3, 5, 7);
  memcpy(sum, &a, sizeof *sum);
}

#define SUMS_OF_8(S)                                                         \
  ALWAYS_INLINE void S##_sums(const S##_lanes *x, S##_part *sum) {           \
    S##_lanes a = PICK(S, x[0], x[1], 0, 1, 2, 3, 8, 9, 10, 11) +            \
                  PICK(S, x[0], x[1], 4, 5, 6, 7, 12, 13, 14, 15);           \
    S##_lanes b = PICK(S, x[2], x[3], 0, 1, 2, 3, 8, 9, 10, 11) +            \
                  PICK(S, x[2], x[3], 4, 5, 6, 7, 12, 13, 14, 15);           \
    a = PICK(S, a, b, 0, 1, 4, 5, 8, 9, 12, 13) +                            \
        PICK(S, a, b, 2, 3, 6, 7, 10, 11, 14, 15);                           \
    a += PICK(S, a, a, 1, 0, 3, 2, 5, 4, 7, 6);                              \
    a = PICK(S, a, a, 0, 2, 4, 6, 0, 2, 4, 6);                               \
    memcpy(sum, &a, sizeof *sum);                                            \
  }

SUMS_OF_8(f32_narrow)
#if CG_CLONED
SUMS_OF_8(f64)

ALWAYS_INLINE void f32_sums(const f32_lanes *x, f32_part *sum) {
#define LOW 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define EVEN 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
  f32_lanes a = PICK(f32, x[0], x[1], LOW) + PICK(f32, x[0], x[1], HIGH);
  f32_lanes b = PICK(f32, x[2], x[3], LOW) + PICK(f32, x[2], x[3], HIGH);
  a = PICK(f32, a, b, EVEN) + PICK(f32, a, b, ODD);
#undef LOW
#undef HIGH
#undef EVEN
#undef ODD
  a += PICK(f32, a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  a += PICK(f32, a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  a = PICK(f32, a, a, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  memcpy(sum, &a, sizeof *sum);
}
#endif

#define DOTS(S, T, U, BYTES, CLONES)                                         \
  /* sum[r] = sum_l a[l] b[r * ldb + l] for 0 <= r < rows, k a register at   \
     least, of the last of which, at end[r * lde], *keep is taken if it is   \
     no whole one. */                                                        \
  ALWAYS_INLINE void some_##S(int rows, int64_t k, const S##_mask *keep,     \
                              const T *a, const T *b, int64_t ldb,           \
                              const T *end, int64_t lde, S##_part *sum) {    \
    enum { N = BYTES / sizeof(T) };                                          \
    S##_lanes lane[AT_ONCE];                                                 \
    for (int r = 0; r < AT_ONCE; r++) lane[r] = (S##_lanes){0};              \
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
            (S##_mask) * (const S##_lanes *)(end + r * lde) & *keep;         \
        lane[r] += (S##_lanes)x * (S##_lanes)y;                              \
      }                                                                      \
    }                                                                        \
    for (int r = 0; r < rows; r += ROWS)                                     \
      S##_sums(lane + r, sum + r / ROWS);                                    \
  }                                                                          \
  /* c[i * apart] (+)= sum[i] for from <= i < to. */                         \
  ALWAYS_INLINE void put_##S(const S##_part *sum, int from, int to, T *c,    \
                             int64_t apart, bool add) {                      \
    T each[AT_ONCE];                                                         \
    memcpy(each, sum, sizeof each);                                          \
    for (int i = from; i < to; i++)                                          \
      c[i * apart] = add ? c[i * apart] + each[i] : each[i];                 \
  }                                                                          \
  ALWAYS_INLINE void put_all_##S(const S##_part *sum, T *c, bool add) {      \
    for (int r = 0; r < AT_ONCE; r += ROWS) {                                \
      S##_part y = sum[r / ROWS], before = {0};                              \
      if (add) memcpy(&before, c + r, sizeof y);                             \
      if (add) y += before;                                                  \
      memcpy(c + r, &y, sizeof y);                                           \
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
  CLONES static void times_##S(int64_t n, int64_t k, const T *a, const T *b, \
                               int64_t ldb, const T *ends, T *c,             \
                               int64_t apart, bool add) {                    \
    enum { N = BYTES / sizeof(T) };                                          \
    if (k < N) {                                                             \
      short_##S(n, k, a, b, ldb, c, apart, add);                             \
      return;                                                                \
    }                                                                        \
    const T *end = ends ? ends : b + k - N;                                  \
    const int64_t lde = ends ? k % N : ldb;                                  \
    S##_mask keep;                                                           \
    for (int i = 0; i < N; i++) keep[i] = i < N - k % N ? 0 : (U)-1;         \
    S##_part sum[AT_ONCE / ROWS] = {0};                                      \
    int64_t j = 0;                                                           \
    for (; j + AT_ONCE <= n; j += AT_ONCE) {                                 \
      some_##S(AT_ONCE, k, &keep, a, b + j * ldb, ldb, end + j * lde, lde,   \
               sum);                                                         \
      if (apart == 1)                                                        \
        put_all_##S(sum, c + j, add);                                        \
      else                                                                   \
        put_##S(sum, 0, AT_ONCE, c + j * apart, apart, add);                 \
    }                                                                        \
    if (j < n && n >= AT_ONCE) { /* some of them once more */                \
      const int64_t at = n - AT_ONCE;                                        \
      some_##S(AT_ONCE, k, &keep, a, b + at * ldb, ldb, end + at * lde, lde, \
               sum);                                                         \
      put_##S(sum, (int)(j - at), AT_ONCE, c + at * apart, apart, add);      \
      return;                                                                \
    }                                                                        \
    for (; j < n; j++) {                                                     \
      some_##S(1, k, &keep, a, b + j * ldb, 0, end + j * lde, 0, sum);       \
      put_##S(sum, 0, 1, c + j * apart, apart, add);                         \
    }                                                                        \
  }

DOTS(f32_narrow, float, uint32_t, NARROW, CG_CLONES)
DOTS(f64_narrow, double, uint64_t, NARROW, CG_CLONES)
#if CG_CLONED
DOTS(f32, float, uint32_t, WIDE, CG_WIDE)
DOTS(f64, double, uint64_t, WIDE, CG_WIDE)
#else
#define times_f32 times_f32_narrow
#define times_f64 times_f64_narrow
#endif

/* The sums over registers take longer than short rows. If the transpose is kept
 * these are better off without. */
bool kernel_gemm_dots_suits(const gemm_args *g) {
  const int64_t size = g->dtype == CG_F32 ? 4 : 8;
  const bool is_short = g->k * size < SHORT && kernel_gemm_small_suits(g);
  return !g->ta && g->tb && g->m < 8 && !(g->often && is_short);
}

/* times_<type> of the machine's width: c from vector a and matrix b. */
static void times(cg_dtype dtype, int64_t n, int64_t k, const void *a,
                  const void *b, int64_t ldb, const void *ends, void *c,
                  int64_t apart, bool add) {
  if (dtype == CG_F32)
    (kernel_has_wide() ? times_f32 : times_f32_narrow)(n, k, a, b, ldb, ends, c,
                                                       apart, add);
  else
    (kernel_has_wide() ? times_f64 : times_f64_narrow)(n, k, a, b, ldb, ends, c,
                                                       apart, add);
}

void kernel_gemm_dots(const gemm_args *g) {
  const int64_t size = g->dtype == CG_F32 ? 4 : 8;
  for (int64_t i = 0; i < g->m; i++)
    times(g->dtype, g->n, g->k, (const char *)g->a + i * g->lda * size, g->b,
          g->ldb, g->ends, (char *)g->c + i * g->ldc * size, 1, g->accumulate);
}

void kernel_gemm_column(const gemm_args *g, const void *column) {
  times(g->dtype, g->m, g->k, column, g->a, g->lda, NULL, g->c, g->ldc,
        g->accumulate);
}
