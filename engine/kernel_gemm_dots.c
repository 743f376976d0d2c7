/* kernel_gemm_dots.c - matrix products of few rows and a transposed matrix,
 * such as a step of one sequence: each element is the inner product of a row of
 * A and a row of B, both stored one element behind the other.
 *
 * A register of partial sums for each of as many rows of B as a register has
 * elements; then these are folded to one register of sums, halves being added
 * until one element is left. What a row has behind its last whole register is
 * added element by element.
 *
 * Reading B is what takes the time, and a register across two lines of the
 * cache takes twice as long. So a B that is used often gets a form in which
 * none lies so, and which has the ends of rows by columns
 * (kernel_gemm_rows.c).
 */
#include "kernel.h"

#include <string.h>

enum { WIDE = 64, NARROW = 32, SHORT = 6 * WIDE };

/* Rows taken at a time: a register has to wait for its last sum. Behind those
 * that fill a register of sums they are taken FEW at a time, then singly. */
enum { LEAST = 8, FEW = 4 };

/* Registers of a row that are taken one behind the other. */
enum { RUN = 6 };

#ifdef __clang__
#define PICK(S, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(S, a, b, ...) __builtin_shuffle(a, b, (S##_mask){__VA_ARGS__})
#endif
#define LIST(...) __VA_ARGS__

/* A loop over registers, each of which is to have a name. (With a sanitizer's
 * checks in each turn that takes long to compile.) */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__)
#define UNROLLED
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
/* Else the compiler keeps the distances of all these registers in memory. */
#define UNREMEMBERED(pointer) __asm__("" : "+r"(pointer))

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Registers that a machine does not have would be kept in memory, so that there
 * are two widths. */
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

/* x[to] = the elements FIRST of x[from] and x[from + apart], plus SECOND. */
#define ADD_PICKED(S, to, from, apart, FIRST, SECOND)     \
  {                                                       \
    const S##_lanes a = x[from], b = x[(from) + (apart)]; \
    x[to] = PICK(S, a, b, FIRST) + PICK(S, a, b, SECOND); \
  }

/* S_fold: x[0] = the sums of the elements of as many registers as that are;
 * S_sum: that of one. Both add in the same order. */
ALWAYS_INLINE void f64_narrow_fold(f64_narrow_lanes *x) {
  UNROLLED for (int i = 0; i < 2; i++)
    ADD_PICKED(f64_narrow, i, i, 2, LIST(0, 1, 4, 5), LIST(2, 3, 6, 7))
  ADD_PICKED(f64_narrow, 0, 0, 1, LIST(0, 4, 2, 6), LIST(1, 5, 3, 7))
}

ALWAYS_INLINE double f64_narrow_sum(f64_narrow_lanes x) {
  x += PICK(f64_narrow, x, x, 2, 3, 0, 1);
  return x[0] + x[1];
}

ALWAYS_INLINE void f32_narrow_fold(f32_narrow_lanes *x) {
  UNROLLED for (int i = 0; i < 4; i++)
    ADD_PICKED(f32_narrow, i, i, 4, LIST(0, 1, 2, 3, 8, 9, 10, 11),
               LIST(4, 5, 6, 7, 12, 13, 14, 15))
  UNROLLED for (int i = 0; i < 2; i++)
    ADD_PICKED(f32_narrow, i, 2 * i, 1, LIST(0, 1, 8, 9, 4, 5, 12, 13),
               LIST(2, 3, 10, 11, 6, 7, 14, 15))
  ADD_PICKED(f32_narrow, 0, 0, 1, LIST(0, 2, 8, 10, 4, 6, 12, 14),
             LIST(1, 3, 9, 11, 5, 7, 13, 15))
}

ALWAYS_INLINE float f32_narrow_sum(f32_narrow_lanes x) {
  x += PICK(f32_narrow, x, x, 4, 5, 6, 7, 0, 1, 2, 3);
  x += PICK(f32_narrow, x, x, 2, 3, 0, 1, 6, 7, 4, 5);
  return x[0] + x[1];
}

#if CG_CLONED
ALWAYS_INLINE void f64_fold(f64_lanes *x) {
  UNROLLED for (int i = 0; i < 4; i++)
    ADD_PICKED(f64, i, i / 2 * 4 + i % 2, 2, LIST(0, 1, 2, 3, 8, 9, 10, 11),
               LIST(4, 5, 6, 7, 12, 13, 14, 15))
  UNROLLED for (int i = 0; i < 2; i++)
    ADD_PICKED(f64, i, i, 2, LIST(0, 1, 4, 5, 8, 9, 12, 13),
               LIST(2, 3, 6, 7, 10, 11, 14, 15))
  ADD_PICKED(f64, 0, 0, 1, LIST(0, 8, 2, 10, 4, 12, 6, 14),
             LIST(1, 9, 3, 11, 5, 13, 7, 15))
}

ALWAYS_INLINE double f64_sum(f64_lanes x) {
  x += PICK(f64, x, x, 4, 5, 6, 7, 0, 1, 2, 3);
  x += PICK(f64, x, x, 2, 3, 0, 1, 6, 7, 4, 5);
  return x[0] + x[1];
}

ALWAYS_INLINE void f32_fold(f32_lanes *x) {
  UNROLLED for (int i = 0; i < 8; i++)
    ADD_PICKED(
        f32, i, i / 4 * 8 + i % 4, 4,
        LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
        LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  UNROLLED for (int i = 0; i < 4; i++)
    ADD_PICKED(
        f32, i, i, 4,
        LIST(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),
        LIST(4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31))
  UNROLLED for (int i = 0; i < 2; i++)
    ADD_PICKED(
        f32, i, 2 * i, 1,
        LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
        LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  ADD_PICKED(f32, 0, 0, 1,
             LIST(0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30),
             LIST(1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31))
}

ALWAYS_INLINE float f32_sum(f32_lanes x) {
  x += PICK(f32, x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  x += PICK(f32, x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  x += PICK(f32, x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return x[0] + x[1];
}
#endif

/* c[j * apart] (+)= sum_l a[l] b[j * ldb + l] for 0 <= j < n. */
#define DOTS(S, T, BYTES, CLONES)                                            \
  enum {                                                                     \
    N_##S = BYTES / sizeof(T),                                               \
    ROWS_##S = N_##S < LEAST ? LEAST : N_##S                                 \
  };                                                                         \
  typedef struct S##_job {                                                   \
    int64_t n, k, ldb, apart;                                                \
    const T *a, *b, *ends;                                                   \
    int64_t lde; /* of the ends */                                           \
    T *c;                                                                    \
    bool add;                                                                \
  } S##_job;                                                                 \
  /* `count` registers of a and of each of `rows` rows. */                   \
  ALWAYS_INLINE void run_##S(int rows, int count, const T *a, const T *b,    \
                             int64_t ldb, S##_lanes *lane) {                 \
    S##_lanes x[RUN];                                                        \
    UNROLLED for (int i = 0; i < count; i++)                                 \
      x[i] = *(const S##_lanes *)(a + i * N_##S);                            \
    UNROLLED for (int r = 0; r < rows; r++, b += ldb) {                      \
      UNREMEMBERED(b);                                                       \
      UNROLLED for (int i = 0; i < count; i++)                               \
        lane[r] += x[i] * *(const S##_lanes *)(b + i * N_##S);               \
    }                                                                        \
  }                                                                          \
  /* The whole registers of rows from j on. */                               \
  ALWAYS_INLINE void whole_##S(const S##_job *g, int rows, int64_t j,        \
                               S##_lanes *lane) {                            \
    const T *a = g->a, *b = g->b + j * g->ldb;                               \
    int64_t left = g->k / N_##S;                                             \
    UNROLLED for (int r = 0; r < rows; r++) lane[r] = (S##_lanes){0};        \
    for (; left >= RUN; left -= RUN, a += RUN * N_##S, b += RUN * N_##S)     \
      run_##S(rows, RUN, a, b, g->ldb, lane);                                \
    for (; left >= 2; left -= 2, a += 2 * N_##S, b += 2 * N_##S)             \
      run_##S(rows, 2, a, b, g->ldb, lane);                                  \
    if (left) run_##S(rows, 1, a, b, g->ldb, lane);                          \
  }                                                                          \
  /* Adds what is behind them, by registers, for the same bits everywhere;     \
     elements that are no row's stay 0. */                                   \
  ALWAYS_INLINE void end_##S(const S##_job *g, int rows, int64_t j,          \
                             S##_lanes *sum) {                               \
    const int64_t l = g->k / N_##S * N_##S, count = g->k - l;                \
    const T *a = g->a + l;                                                   \
    const T *b = g->ends ? g->ends + j : g->b + j * g->ldb + l;              \
    const int64_t br = g->ends ? 1 : g->ldb, bi = g->ends ? g->lde : 1;      \
    for (int64_t i = 0; i < count; i++, b += bi)                             \
      for (int r = 0; r < rows; r += N_##S) {                                \
        S##_lanes y = {0};                                                   \
        for (int e = 0; e < N_##S && r + e < rows; e++)                      \
          y[e] = b[(r + e) * br];                                            \
        sum[r / N_##S] += a[i] * y;                                          \
      }                                                                      \
  }                                                                          \
  /* The same for ROWS rows and ends whose columns are lde apart. */          \
  ALWAYS_INLINE void end_columns_##S(const S##_job *g, const T *b,           \
                                     int64_t lde, S##_lanes *sum) {          \
    for (int64_t l = g->k / N_##S * N_##S; l < g->k; l++, b += lde)          \
      for (int r = 0; r < ROWS_##S; r += N_##S)                              \
        sum[r / N_##S] += g->a[l] * *(const S##_lanes *)(b + r);             \
  }                                                                          \
  ALWAYS_INLINE void end_rows_##S(const S##_job *g, int64_t j,               \
                                  S##_lanes *sum) {                          \
    const int64_t l = g->k / N_##S * N_##S;                                  \
    T columns[ROWS_##S * N_##S];                                             \
    if (g->ends) {                                                           \
      end_columns_##S(g, g->ends + j, g->lde, sum);                          \
    } else if (g->k - l > FEW) {                                             \
      kernel_transpose(sizeof(T) == 4 ? CG_F32 : CG_F64, ROWS_##S, g->k - l, \
                       g->b + j * g->ldb + l, g->ldb, columns, ROWS_##S,     \
                       false);                                               \
      end_columns_##S(g, columns, ROWS_##S, sum);                            \
    } else {                                                                 \
      end_##S(g, ROWS_##S, j, sum);                                          \
    }                                                                        \
  }                                                                          \
  ALWAYS_INLINE void put_##S(const S##_job *g, int rows, int64_t j,          \
                             const S##_lanes *sum) {                         \
    T each[ROWS_##S], *c = g->c + j * g->apart;                              \
    for (int r = 0; r < rows; r += N_##S)                                    \
      memcpy(each + r, sum + r / N_##S, BYTES);                              \
    for (int r = 0; r < rows; r++, c += g->apart)                            \
      *c = g->add ? *c + each[r] : each[r];                                  \
  }                                                                          \
  ALWAYS_INLINE void put_all_##S(const S##_job *g, int64_t j,                \
                                 S##_lanes *sum) {                           \
    for (int r = 0; r < ROWS_##S; r += N_##S) {                              \
      S##_lanes *c = (S##_lanes *)(g->c + j + r);                            \
      if (g->add) sum[r / N_##S] += *c;                                      \
      *c = sum[r / N_##S];                                                   \
    }                                                                        \
  }                                                                          \
  ALWAYS_INLINE void few_##S(const S##_job *g, int rows, int64_t j) {        \
    S##_lanes lane[FEW], sum = {0};                                          \
    whole_##S(g, rows, j, lane);                                             \
    UNROLLED for (int r = 0; r < rows; r++) sum[r] = S##_sum(lane[r]);       \
    end_##S(g, rows, j, &sum);                                               \
    put_##S(g, rows, j, &sum);                                               \
  }                                                                          \
  ALWAYS_INLINE void rows_##S(const S##_job *g, int64_t j) {                 \
    S##_lanes lane[ROWS_##S], sum[ROWS_##S / N_##S];                         \
    whole_##S(g, ROWS_##S, j, lane);                                         \
    for (int r = 0; r < ROWS_##S; r += N_##S) {                              \
      S##_fold(lane + r);                                                    \
      sum[r / N_##S] = lane[r];                                              \
    }                                                                        \
    end_rows_##S(g, j, sum);                                                 \
    if (g->apart == 1)                                                       \
      put_all_##S(g, j, sum);                                                \
    else                                                                     \
      put_##S(g, ROWS_##S, j, sum);                                          \
  }                                                                          \
  CLONES static void times_##S(const S##_job *g) {                           \
    int64_t j = 0;                                                           \
    for (; j + ROWS_##S <= g->n; j += ROWS_##S) rows_##S(g, j);              \
    for (; j + FEW <= g->n; j += FEW) few_##S(g, FEW, j);                    \
    for (; j < g->n; j++) few_##S(g, 1, j);                                  \
  }                                                                          \
  static void dots_##S(const gemm_args *g, int64_t i) {                      \
    times_##S(&(S##_job){.n = g->n, .k = g->k, .ldb = g->ldb, .apart = 1,    \
                         .a = (const T *)g->a + i * g->lda, .b = g->b,       \
                         .ends = g->ends,                                    \
                         .lde = kernel_gemm_rows_column(g),                  \
                         .c = (T *)g->c + i * g->ldc,                        \
                         .add = g->accumulate});                             \
  }                                                                          \
  static void column_##S(const gemm_args *g, const void *column) {           \
    times_##S(&(S##_job){.n = g->m, .k = g->k, .ldb = g->lda,                \
                         .apart = g->ldc, .a = column, .b = g->a,            \
                         .c = g->c, .add = g->accumulate});                  \
  }

DOTS(f32_narrow, float, NARROW, CG_CLONES)
DOTS(f64_narrow, double, NARROW, CG_CLONES)
#if CG_CLONED
DOTS(f32, float, WIDE, CG_WIDE)
DOTS(f64, double, WIDE, CG_WIDE)
#else
#define dots_f32 dots_f32_narrow
#define dots_f64 dots_f64_narrow
#define column_f32 column_f32_narrow
#define column_f64 column_f64_narrow
#endif

/* The sums over registers take longer than short rows. If the transpose is kept
 * these are better off without. */
bool kernel_gemm_dots_suits(const gemm_args *g) {
  const int64_t size = g->dtype == CG_F32 ? 4 : 8;
  const bool is_short = g->k * size < SHORT && kernel_gemm_small_suits(g);
  return !g->ta && g->tb && g->m < 8 && !(g->often && is_short);
}

void kernel_gemm_dots(const gemm_args *g) {
  const bool wide = kernel_has_wide();
  for (int64_t i = 0; i < g->m; i++)
    if (g->dtype == CG_F32)
      (wide ? dots_f32 : dots_f32_narrow)(g, i);
    else
      (wide ? dots_f64 : dots_f64_narrow)(g, i);
}

void kernel_gemm_column(const gemm_args *g, const void *column) {
  const bool wide = kernel_has_wide();
  if (g->dtype == CG_F32)
    (wide ? column_f32 : column_f32_narrow)(g, column);
  else
    (wide ? column_f64 : column_f64_narrow)(g, column);
}
