/* kernel_transpose.c - transposing matrices, tile by tile. */
#include "kernel.h"

enum { TILE = 16 };

/* out = in^T, or += if `add`, for in [rows, cols]. */
#define TRANSPOSE(name, T)                                                   \
  static void name##_tile(int64_t r, int64_t c, const T *in, int64_t ld,     \
                          T *out, int64_t ldo, bool add) {                   \
    for (int64_t j = 0; j < c; j++)                                          \
      for (int64_t i = 0; i < r; i++)                                        \
        out[j * ldo + i] = in[i * ld + j] + (add ? out[j * ldo + i] : 0);    \
  }                                                                          \
  CG_CLONES static void name##_full(const T *restrict in, int64_t ld,        \
                                    T *restrict out, int64_t ldo) {          \
    for (int j = 0; j < TILE; j++)                                           \
      for (int i = 0; i < TILE; i++) out[j * ldo + i] = in[i * ld + j];      \
  }                                                                          \
  CG_CLONES static void name##_full_add(const T *restrict in, int64_t ld,    \
                                        T *restrict out, int64_t ldo) {      \
    for (int j = 0; j < TILE; j++)                                           \
      for (int i = 0; i < TILE; i++) out[j * ldo + i] += in[i * ld + j];     \
  }                                                                          \
  static void name(int64_t rows, int64_t cols, const T *in, int64_t ld,      \
                   T *out, int64_t ldo, bool add) {                          \
    for (int64_t i = 0; i < rows; i += TILE)                                 \
      for (int64_t j = 0; j < cols; j += TILE) {                             \
        int64_t r = rows - i < TILE ? rows - i : TILE;                       \
        int64_t c = cols - j < TILE ? cols - j : TILE;                       \
        const T *from = in + i * ld + j;                                     \
        T *to = out + j * ldo + i;                                           \
        if (r < TILE || c < TILE)                                            \
          name##_tile(r, c, from, ld, to, ldo, add);                         \
        else if (add)                                                        \
          name##_full_add(from, ld, to, ldo);                                \
        else                                                                 \
          name##_full(from, ld, to, ldo);                                    \
      }                                                                      \
  }

TRANSPOSE(transpose_f32, float)
TRANSPOSE(transpose_f64, double)

void kernel_transpose(cg_dtype dtype, int64_t rows, int64_t cols,
                      const void *in, int64_t ld, void *out, int64_t ldo,
                      bool add) {
  if (dtype == CG_F32)
    transpose_f32(rows, cols, in, ld, out, ldo, add);
  else
    transpose_f64(rows, cols, in, ld, out, ldo, add);
}
