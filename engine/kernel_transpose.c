/* kernel_transpose.c - transposing matrices, tile by tile. The last tiles
 * overlap those before them, unless they are added to what is there. */
#include "kernel.h"

enum { TILE = 16 };

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
/* As many rows as a register has elements are transposed by swapping the
 * off-diagonal quarters of the whole, then those of its quarters, and so on. */

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LIST(...) __VA_ARGS__
#define PICK(T, a, b, ...) __builtin_shuffle(a, b, (T##_mask){__VA_ARGS__})

typedef float float_lanes
    __attribute__((vector_size(64), aligned(sizeof(float)), may_alias));
typedef double double_lanes
    __attribute__((vector_size(64), aligned(sizeof(double)), may_alias));
typedef uint32_t float_mask __attribute__((vector_size(64)));
typedef uint64_t double_mask __attribute__((vector_size(64)));

/* Quarters of n rows and columns: FIRST are what row r has afterwards, of its
 * own elements and those of row r + n, and SECOND what that one has. */
#define SWAP(T, n, FIRST, SECOND)                                            \
  for (int r = 0; r < (int)(64 / sizeof(T)); r++)                            \
    if (!(r & n)) {                                                          \
      const T##_lanes a = x[r], b = x[r + n];                                \
      x[r] = PICK(T, a, b, FIRST);                                           \
      x[r + n] = PICK(T, a, b, SECOND);                                      \
    }

ALWAYS_INLINE void float_swaps(float_lanes *x) {
  SWAP(float, 8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
       LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
  SWAP(float, 4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
       LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  SWAP(float, 2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
       LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  SWAP(float, 1,
       LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
       LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
}

ALWAYS_INLINE void double_swaps(double_lanes *x) {
  SWAP(double, 4, LIST(0, 1, 2, 3, 8, 9, 10, 11),
       LIST(4, 5, 6, 7, 12, 13, 14, 15))
  SWAP(double, 2, LIST(0, 1, 8, 9, 4, 5, 12, 13),
       LIST(2, 3, 10, 11, 6, 7, 14, 15))
  SWAP(double, 1, LIST(0, 8, 2, 10, 4, 12, 6, 14),
       LIST(1, 9, 3, 11, 5, 13, 7, 15))
}

#define TILE_WIDE(T)                                                         \
  ALWAYS_INLINE void registers_##T(const T *in, int64_t ld, T *out,          \
                                   int64_t ldo, bool add) {                  \
    enum { N = 64 / sizeof(T) };                                             \
    T##_lanes x[N];                                                          \
    for (int i = 0; i < N; i++) x[i] = *(const T##_lanes *)(in + i * ld);    \
    T##_swaps(x);                                                            \
    for (int i = 0; i < N; i++) {                                            \
      T##_lanes *y = (T##_lanes *)(out + i * ldo);                           \
      if (add) x[i] += *y;                                                   \
      *y = x[i];                                                             \
    }                                                                        \
  }                                                                          \
  CG_WIDE static void wide_##T(const T *in, int64_t ld, T *out, int64_t ldo, \
                               bool add) {                                   \
    enum { N = 64 / sizeof(T) };                                             \
    for (int i = 0; i < TILE; i += N)                                        \
      for (int j = 0; j < TILE; j += N)                                      \
        registers_##T(in + i * ld + j, ld, out + j * ldo + i, ldo, add);     \
  }

TILE_WIDE(float)
TILE_WIDE(double)
#else
#define wide_float tile_float
#define wide_double tile_double
#endif

/* ---- matrices ---- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#define TRANSPOSE(T)                                                         \
  static void part_##T(int64_t rows, int64_t cols, const T *in, int64_t ld,  \
                       T *out, int64_t ldo, bool add) {                      \
    for (int64_t j = 0; j < cols; j++)                                       \
      for (int64_t i = 0; i < rows; i++)                                     \
        out[j * ldo + i] = in[i * ld + j] + (add ? out[j * ldo + i] : 0);    \
  }                                                                          \
  /* By whole tiles, a row and a column of them at least; the last of either  \
     may overlap those before. */                                            \
  static void tiles_##T(int64_t rows, int64_t cols, const T *in, int64_t ld, \
                        T *out, int64_t ldo, bool add) {                     \
    const bool wide = kernel_has_wide();                                     \
    for (int64_t j = 0; j < cols; j += TILE) {                               \
      const int64_t at_j = least(j, cols - TILE);                            \
      for (int64_t i = 0; i < rows; i += TILE) {                             \
        const int64_t at_i = least(i, rows - TILE);                          \
        (wide ? wide_##T : tile_##T)(in + at_i * ld + at_j, ld,              \
                                     out + at_j * ldo + at_i, ldo, add);     \
      }                                                                      \
    }                                                                        \
  }                                                                          \
  static void transpose_##T(int64_t rows, int64_t cols, const T *in,         \
                            int64_t ld, T *out, int64_t ldo, bool add) {     \
    const bool overlap = !add && rows >= TILE && cols >= TILE;               \
    const int64_t r = overlap ? rows : rows / TILE * TILE;                   \
    const int64_t c = overlap ? cols : cols / TILE * TILE;                   \
    tiles_##T(r, c, in, ld, out, ldo, add);                                  \
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
