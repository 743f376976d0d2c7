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

enum { ROWS = 8, BYTES = 64, HALF = BYTES / 2, QUARTER = BYTES / 4 };

#ifdef __clang__
#define PICK(U, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(U, a, b, ...) __builtin_shuffle(a, b, (U){__VA_ARGS__})
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A register, and what is left when its halves are added once and again. */
#define LANES(name, T, U)                                                    \
  typedef T name##_lanes __attribute__((vector_size(BYTES),                  \
                                        aligned(sizeof(T)), may_alias));     \
  typedef U name##_mask __attribute__((vector_size(BYTES)));                 \
  typedef T name##_half __attribute__((vector_size(HALF)));                  \
  typedef T name##_quarter __attribute__((vector_size(QUARTER)));            \
  typedef U name##_order __attribute__((vector_size(QUARTER)));              \
  ALWAYS_INLINE name##_quarter name##_folded(const name##_lanes *x) {        \
    name##_half low, high;                                                   \
    memcpy(&low, x, HALF);                                                   \
    memcpy(&high, (const char *)x + HALF, HALF);                             \
    low += high;                                                             \
    name##_quarter first, second;                                            \
    memcpy(&first, &low, QUARTER);                                           \
    memcpy(&second, (const char *)&low + QUARTER, QUARTER);                  \
    return first + second;                                                   \
  }

LANES(f32, float, uint32_t)
LANES(f64, double, uint64_t)

/* The sums of four registers' elements, and of two. */
ALWAYS_INLINE f32_quarter f32_sums(const f32_lanes *x) {
  f32_quarter a = f32_folded(x), b = f32_folded(x + 1);
  f32_quarter c = f32_folded(x + 2), d = f32_folded(x + 3);
  a = PICK(f32_order, a, b, 0, 1, 4, 5) + PICK(f32_order, a, b, 2, 3, 6, 7);
  c = PICK(f32_order, c, d, 0, 1, 4, 5) + PICK(f32_order, c, d, 2, 3, 6, 7);
  return PICK(f32_order, a, c, 0, 2, 4, 6) + PICK(f32_order, a, c, 1, 3, 5, 7);
}

ALWAYS_INLINE f64_quarter f64_sums(const f64_lanes *x) {
  f64_quarter a = f64_folded(x), b = f64_folded(x + 1);
  return PICK(f64_order, a, b, 0, 2) + PICK(f64_order, a, b, 1, 3);
}

#define DOTS(S, T, U)                                                        \
  /* sum[r] = sum_l a[l] b[r * ldb + l] for 0 <= r < rows, k a register at   \
     least, of the last of which *keep is taken if it is no whole one. */    \
  ALWAYS_INLINE void some_##S(int rows, int64_t k, const S##_mask *keep,     \
                              const T *a, const T *b, int64_t ldb,           \
                              S##_quarter *sum) {                            \
    enum { N = BYTES / sizeof(T), AT_ONCE = QUARTER / sizeof(T) };           \
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
  ALWAYS_INLINE void put_##S(const S##_quarter *sum, int from, int to, T *c, \
                             int64_t apart, bool add) {                      \
    T each[ROWS];                                                            \
    memcpy(each, sum, sizeof each);                                          \
    for (int i = from; i < to; i++)                                          \
      c[i * apart] = add ? c[i * apart] + each[i] : each[i];                 \
  }                                                                          \
  ALWAYS_INLINE void put_all_##S(const S##_quarter *sum, T *c, bool add) {   \
    enum { AT_ONCE = QUARTER / sizeof(T) };                                  \
    for (int r = 0; r < ROWS; r += AT_ONCE) {                                \
      S##_quarter y = sum[r / AT_ONCE], before = {0};                        \
      if (add) memcpy(&before, c + r, QUARTER);                              \
      if (add) y += before;                                                  \
      memcpy(c + r, &y, QUARTER);                                            \
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
  CG_CLONES static void times_##S(int64_t n, int64_t k, const T *a,          \
                                  const T *b, int64_t ldb, T *c,             \
                                  int64_t apart, bool add) {                 \
    enum { N = BYTES / sizeof(T) };                                          \
    if (k < N) {                                                             \
      short_##S(n, k, a, b, ldb, c, apart, add);                             \
      return;                                                                \
    }                                                                        \
    S##_mask keep;                                                           \
    for (int i = 0; i < N; i++) keep[i] = i < N - k % N ? 0 : (U)-1;         \
    S##_quarter sum[ROWS * sizeof(T) / QUARTER];                             \
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

DOTS(f32, float, uint32_t)
DOTS(f64, double, uint64_t)

bool kernel_gemm_dots_suits(const gemm_args *g) {
  return !g->ta && g->tb && g->m < 8;
}

void kernel_gemm_dots(const gemm_args *g) {
  for (int64_t i = 0; i < g->m; i++)
    if (g->dtype == CG_F32)
      times_f32(g->n, g->k, (const float *)g->a + i * g->lda, g->b, g->ldb,
                (float *)g->c + i * g->ldc, 1, g->accumulate);
    else
      times_f64(g->n, g->k, (const double *)g->a + i * g->lda, g->b, g->ldb,
                (double *)g->c + i * g->ldc, 1, g->accumulate);
}

void kernel_gemm_column(const gemm_args *g, const void *column) {
  if (g->dtype == CG_F32)
    times_f32(g->m, g->k, column, g->a, g->lda, g->c, g->ldc, g->accumulate);
  else
    times_f64(g->m, g->k, column, g->a, g->lda, g->c, g->ldc, g->accumulate);
}
