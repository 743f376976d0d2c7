/* kernel_transpose.c - transposing matrices, tile by tile. The last tiles
 * overlap those before them, unless they are added to what is there. */
#include "kernel.h"

enum { TILE = 16 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- a whole tile: out = in^T, or += if `add` ---- */

#define TILE_LOOPS(T)                                                        \
  CG_CLONES static void tile_##T(const T *restrict in, int64_t ld,           \
                                 T *restrict out, int64_t ldo, bool add) {   \
    for (int j = 0; j < TILE; j++)                                           \
      if (add)                                                               \
        for (int i = 0; i < TILE; i++) out[j * ldo + i] += in[i * ld + j];   \
      else                                                                   \
        for (int i = 0; i < TILE; i++) out[j * ldo + i] = in[i * ld + j];    \
  }

TILE_LOOPS(float)
TILE_LOOPS(double)

#if CG_CLONED
/* A register's worth of rows by 16 bytes of their columns: each quarter of a
 * register takes those of another row, from memory, and within the quarters
 * squares are transposed by swapping what is off the diagonal. */

#include <immintrin.h>

#define ALWAYS_INLINE CG_WIDE static inline __attribute__((always_inline))
#define PICK(T, a, b, ...) __builtin_shuffle(a, b, (T##_mask){__VA_ARGS__})

typedef float float_lanes
    __attribute__((vector_size(64), aligned(sizeof(float)), may_alias));
typedef double double_lanes
    __attribute__((vector_size(64), aligned(sizeof(double)), may_alias));
typedef uint32_t float_mask __attribute__((vector_size(64)));
typedef uint64_t double_mask __attribute__((vector_size(64)));

#define FIRST_HALVES \
  0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define SECOND_HALVES \
  2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31

/* Elements of x and y by turns, of either half of each quarter. */
ALWAYS_INLINE void float_zip(float_lanes x, float_lanes y, float_lanes *to,
                             float_lanes *other) {
  *to = PICK(float, x, y, FIRST_HALVES);
  *other = PICK(float, x, y, SECOND_HALVES);
}

ALWAYS_INLINE void float_squares(float_lanes *x) {
  float_lanes even[2], odd[2];
  float_zip(x[0], x[2], &even[0], &even[1]);
  float_zip(x[1], x[3], &odd[0], &odd[1]);
  float_zip(even[0], odd[0], &x[0], &x[1]);
  float_zip(even[1], odd[1], &x[2], &x[3]);
}

ALWAYS_INLINE void double_squares(double_lanes *x) {
  const double_lanes first = x[0], second = x[1];
  x[0] = PICK(double, first, second, 0, 8, 2, 10, 4, 12, 6, 14);
  x[1] = PICK(double, first, second, 1, 9, 3, 11, 5, 13, 7, 15);
}

/* A row's quarter, and x with one more, q. */
#define QUARTER(from) _mm_loadu_ps((const float *)(from))
#define AND_QUARTER(x, from, q) _mm512_insertf32x4(x, QUARTER(from), q)

#define TILE_WIDE(T)                                                         \
  ALWAYS_INLINE void columns_##T(const T *in, int64_t ld, T *out,            \
                                 int64_t ldo, bool add) {                    \
    enum { N = 16 / sizeof(T) };                                             \
    T##_lanes x[N];                                                          \
    for (int r = 0; r < N; r++) {                                            \
      __m512 rows = _mm512_castps128_ps512(QUARTER(in + r * ld));            \
      rows = AND_QUARTER(rows, in + (N + r) * ld, 1);                        \
      rows = AND_QUARTER(rows, in + (2 * N + r) * ld, 2);                    \
      x[r] = (T##_lanes)AND_QUARTER(rows, in + (3 * N + r) * ld, 3);         \
    }                                                                        \
    T##_squares(x);                                                          \
    for (int i = 0; i < N; i++) {                                            \
      T##_lanes *y = (T##_lanes *)(out + i * ldo);                           \
      if (add) x[i] += *y;                                                   \
      *y = x[i];                                                             \
    }                                                                        \
  }                                                                          \
  /* Down all rows; the last may overlap those before. */                    \
  ALWAYS_INLINE void strip_##T(int64_t rows, int64_t cols, const T *in,      \
                               int64_t ld, T *out, int64_t ldo, bool add) {  \
    enum { N = 64 / sizeof(T), M = 16 / sizeof(T) };                         \
    for (int64_t i = 0; i < rows; i += N) {                                  \
      const int64_t at = least(i, rows - N);                                 \
      const T *from = in + at * ld;                                          \
      T *to = out + at;                                                      \
      for (int64_t j = 0; j < cols; j += M, from += M, to += M * ldo)        \
        columns_##T(from, ld, to, ldo, add);                                 \
    }                                                                        \
  }                                                                          \
  ALWAYS_INLINE void strips_##T(int64_t rows, int64_t cols, const T *in,     \
                                int64_t ld, T *out, int64_t ldo, bool add) { \
    enum { M = 16 / sizeof(T) };                                             \
    const int64_t rest = cols % M, last = cols - M;                          \
    for (int64_t j = 0; j < cols - rest; j += TILE)                          \
      strip_##T(rows, least(TILE, cols - rest - j), in + j, ld,              \
                out + j * ldo, ldo, add);                                    \
    if (rest) strip_##T(rows, M, in + last, ld, out + last * ldo, ldo, add); \
  }                                                                          \
  CG_WIDE static void wide_##T(int64_t rows, int64_t cols, const T *in,      \
                               int64_t ld, T *out, int64_t ldo, bool add) {  \
    if (add)                                                                 \
      strips_##T(rows, cols, in, ld, out, ldo, true);                        \
    else                                                                     \
      strips_##T(rows, cols, in, ld, out, ldo, false);                       \
  }

TILE_WIDE(float)
TILE_WIDE(double)
#else
#define wide_float tiles_float
#define wide_double tiles_double
#endif

/* ---- matrices ---- */

/* So many of n rows or columns go by `some` at once: all of them where those may
 * overlap. */
static int64_t whole(int64_t n, int64_t some, bool add) {
  return add || n < some ? n / some * some : n;
}

#define TRANSPOSE(T)                                                         \
  static void part_##T(int64_t rows, int64_t cols, const T *in, int64_t ld,  \
                       T *out, int64_t ldo, bool add) {                      \
    for (int64_t i = 0; i < rows; i++)                                       \
      for (int64_t j = 0; j < cols; j++) {                                   \
        const T x = in[i * ld + j];                                          \
        out[j * ldo + i] = add ? out[j * ldo + i] + x : x;                   \
      }                                                                      \
  }                                                                          \
  /* By whole tiles, a row and a column of them at least; the last of either  \
     may overlap those before. */                                            \
  static void tiles_##T(int64_t rows, int64_t cols, const T *in, int64_t ld, \
                        T *out, int64_t ldo, bool add) {                     \
    for (int64_t j = 0; j < cols; j += TILE) {                               \
      const int64_t at_j = least(j, cols - TILE);                            \
      for (int64_t i = 0; i < rows; i += TILE) {                             \
        const int64_t at_i = least(i, rows - TILE);                          \
        tile_##T(in + at_i * ld + at_j, ld, out + at_j * ldo + at_i, ldo,    \
                 add);                                                       \
      }                                                                      \
    }                                                                        \
  }                                                                          \
  static void transpose_##T(int64_t rows, int64_t cols, const T *in,         \
                            int64_t ld, T *out, int64_t ldo, bool add) {     \
    const bool wide = kernel_has_wide();                                     \
    const int64_t r = whole(rows, wide ? 64 / sizeof(T) : TILE, add);        \
    const int64_t c = whole(cols, wide ? 16 / sizeof(T) : TILE, add);        \
    if (r && c) (wide ? wide_##T : tiles_##T)(r, c, in, ld, out, ldo, add);  \
    part_##T(rows, cols - c, in + c, ld, out + c * ldo, ldo, add);           \
    part_##T(rows - r, c, in + r * ld, ld, out + r, ldo, add);               \
  }

TRANSPOSE(float)
TRANSPOSE(double)

void kernel_transpose(cg_dtype dtype, int64_t rows, int64_t cols,
                      const void *in, int64_t ld, void *out, int64_t ldo,
                      bool add) {
  if (dtype == CG_F32)
    transpose_float(rows, cols, in, ld, out, ldo, add);
  else
    transpose_double(rows, cols, in, ld, out, ldo, add);
}
