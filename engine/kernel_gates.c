/* kernel_gates.c - the elementwise part of a step of an LSTM and of a GRU, and
 * its derivative, a row of H units at a time.
 *
 * A row is worked through in blocks of LANES units, the last one padded, so
 * that the same vector function computes every unit (see kernel_map.c).
 */
#include "inline.h"
#include "kernel.h"
#include "kernel_lanes.h"

#include <string.h>

/* m elements of a block, the rest zero; and m elements back. */
INLINE void load(void *to, const void *from, int64_t m, size_t size) {
  if (m == LANES) {
    memcpy(to, from, LANES * size);
  } else {
    memset(to, 0, LANES * size);
    memcpy(to, from, (size_t)m * size);
  }
}

INLINE void store(void *to, const void *from, int64_t m, size_t size) {
  if (m == LANES)
    memcpy(to, from, LANES * size);
  else
    memcpy(to, from, (size_t)m * size);
}

/* Blocks k of the parts of a row, which are H apart. */
#define LOAD(a, from, parts)                                                 \
  for (int p = 0; p < (parts); p++)                                          \
    load((a)[p], (from) + p * H + k, m, sizeof **(a))
/* The same of the first n parts, the others zero. */
#define LOAD_HEAD(a, from, n, parts)                                         \
  for (int p = 0; p < (parts); p++)                                          \
    if (p < (n))                                                             \
      load((a)[p], (from) + p * H + k, m, sizeof **(a));                     \
    else                                                                     \
      memset((a)[p], 0, sizeof *(a));
#define STORE(to, a, parts)                                                  \
  for (int p = 0; p < (parts); p++)                                          \
    store((to) + p * H + k, (a)[p], m, sizeof **(a))

#define FOR_BLOCKS                                                           \
  for (int64_t k = 0, m; m = H - k < LANES ? H - k : LANES, k < H; k += LANES)

/* Adds the block of another operand, if there is one. */
#define ADD(T, a, from, parts)                                               \
  if (from)                                                                  \
    for (int p = 0; p < (parts); p++) {                                      \
      T more[LANES];                                                         \
      load(more, (from) + p * H + k, m, sizeof *more);                       \
      IN_LANES (a)[p][j] += more[j];                                         \
    }

/* Fetches where the blocks of the next row will be written: memory of the tape
 * that was last touched a whole pass ago. */
#define CLAIM(to, parts)                                                     \
  for (int p = 0; p < (parts); p++) __builtin_prefetch((to) + p * H + k, 1)

/* Fetches the blocks of the next row of an operand: the results of a step were
 * last touched when it was recorded. */
#define FETCH(x, ld, parts)                                                  \
  for (int p = 0; p < (parts); p++) __builtin_prefetch((x) + (ld) + p * H + k)

/* The row r of an operand, or NULL. */
#define ROW(T, x, r) \
  ((x).data ? (const T *)(x).data + (r) * (x).ld : NULL)

/* ---- lstm: y = (h, c, i, f, g, o) from z = (z_i, z_f, z_g, z_o), c' ---- */

#define LSTM(S, T, EXP, TANH)                                                \
  CG_CLONES static void lstm_##S(int64_t rows, int64_t H, T *y,              \
                                 kernel_rows zs, kernel_rows as,             \
                                 kernel_rows cs) {                           \
    for (int64_t r = 0; r < rows; r++, y += 6 * H) {                         \
      const T *z = ROW(T, zs, r), *b = ROW(T, as, r), *c = ROW(T, cs, r);    \
      FOR_BLOCKS {                                                           \
        T a[4][LANES], c0[1][LANES], out[6][LANES];                          \
        CLAIM(y + 6 * H, 6);                                                 \
        if (b) FETCH(b, as.ld, 4);                                           \
        LOAD(a, z, 4);                                                       \
        ADD(T, a, b, 4);                                                     \
        LOAD(c0, c, 1);                                                      \
        IN_LANES out[2][j] = SIGMOID(EXP, a[0][j]);                          \
        IN_LANES out[3][j] = SIGMOID(EXP, a[1][j]);                          \
        IN_LANES out[4][j] = TANH(a[2][j]);                                  \
        IN_LANES out[5][j] = SIGMOID(EXP, a[3][j]);                          \
        IN_LANES out[1][j] = out[3][j] * c0[0][j] + out[2][j] * out[4][j];   \
        IN_LANES out[0][j] = out[5][j] * TANH(out[1][j]);                    \
        STORE(y, out, 6);                                                    \
      }                                                                      \
    }                                                                        \
  }                                                                          \
  CG_CLONES static void lstm_grad_##S(int64_t rows, int64_t H, T *g,         \
                                      kernel_rows gys, int given,            \
                                      kernel_rows ys, kernel_rows cs) {      \
    for (int64_t r = 0; r < rows; r++, g += 5 * H) {                         \
      const T *gy = ROW(T, gys, r), *y = ROW(T, ys, r), *c = ROW(T, cs, r);  \
      FOR_BLOCKS {                                                           \
        T d[6][LANES], v[6][LANES], c0[1][LANES], q[LANES], out[5][LANES];   \
        FETCH(y, ys.ld, 6);                                                  \
        FETCH(c, cs.ld, 1);                                                  \
        LOAD_HEAD(d, gy, given, 6);                                          \
        LOAD(v, y, 6);                                                       \
        LOAD(c0, c, 1);                                                      \
        IN_LANES q[j] = TANH(v[1][j]);                                       \
        IN_LANES {                                                           \
          const T i = v[2][j], f = v[3][j], gg = v[4][j], o = v[5][j];       \
          const T gc = d[1][j] + d[0][j] * o * (1 - q[j] * q[j]);            \
          out[0][j] = (d[2][j] + gc * gg) * i * (1 - i);                     \
          out[1][j] = (d[3][j] + gc * c0[0][j]) * f * (1 - f);               \
          out[2][j] = (d[4][j] + gc * i) * (1 - gg * gg);                    \
          out[3][j] = (d[5][j] + d[0][j] * q[j]) * o * (1 - o);              \
          out[4][j] = gc * f;                                                \
        }                                                                    \
        STORE(g, out, 5);                                                    \
      }                                                                      \
    }                                                                        \
  }

LSTM(f32, float, expf, tanhf)
LSTM(f64, double, exp, tanh)

void kernel_lstm(cg_dtype dtype, int64_t rows, int64_t H, void *y,
                 kernel_rows z, kernel_rows a, kernel_rows c) {
  if (dtype == CG_F32)
    lstm_f32(rows, H, y, z, a, c);
  else
    lstm_f64(rows, H, y, z, a, c);
}

void kernel_lstm_grad(cg_dtype dtype, int64_t rows, int64_t H, void *g,
                      kernel_rows gy, int given, kernel_rows y,
                      kernel_rows c) {
  if (dtype == CG_F32)
    lstm_grad_f32(rows, H, g, gy, given, y, c);
  else
    lstm_grad_f64(rows, H, g, gy, given, y, c);
}

/* ---- gru: y = (h, n, r, u, p_n) from x and p of parts r, u, n; h' ---- */

#define GRU(S, T, EXP, TANH)                                                 \
  CG_CLONES static void gru_##S(int64_t rows, int64_t H, T *y,               \
                                kernel_gru_maps maps, kernel_rows hs) {      \
    for (int64_t r = 0; r < rows; r++, y += 5 * H) {                         \
      const T *x = ROW(T, maps.x, r), *hp = ROW(T, maps.p, r);               \
      const T *z = ROW(T, maps.z, r), *d = ROW(T, maps.d, r);                \
      const T *h = ROW(T, hs, r);                                            \
      FOR_BLOCKS {                                                           \
        T a[3][LANES], b[3][LANES], h0[1][LANES], out[5][LANES];             \
        CLAIM(y + 5 * H, 5);                                                 \
        LOAD(a, x, 3);                                                       \
        ADD(T, a, z, 3);                                                     \
        LOAD(b, hp, 3);                                                      \
        ADD(T, b, d, 3);                                                     \
        LOAD(h0, h, 1);                                                      \
        IN_LANES out[2][j] = SIGMOID(EXP, a[0][j] + b[0][j]);                \
        IN_LANES out[3][j] = SIGMOID(EXP, a[1][j] + b[1][j]);                \
        IN_LANES out[1][j] = TANH(a[2][j] + out[2][j] * b[2][j]);            \
        IN_LANES out[0][j] = out[1][j] + out[3][j] * (h0[0][j] - out[1][j]); \
        IN_LANES out[4][j] = b[2][j];                                        \
        STORE(y, out, 5);                                                    \
      }                                                                      \
    }                                                                        \
  }                                                                          \
  CG_CLONES static void gru_grad_##S(int64_t rows, int64_t H, T *g,          \
                                     kernel_rows gys, int given,             \
                                     kernel_rows ys, kernel_rows hs) {       \
    for (int64_t row = 0; row < rows; row++, g += 7 * H) {                   \
      const T *gy = ROW(T, gys, row), *y = ROW(T, ys, row);                  \
      const T *h = ROW(T, hs, row);                                          \
      FOR_BLOCKS {                                                           \
        T d[5][LANES], v[5][LANES], h0[1][LANES], out[7][LANES];             \
        CLAIM(g + 7 * H, 7);                                                 \
        FETCH(y, ys.ld, 5);                                                  \
        FETCH(h, hs.ld, 1);                                                  \
        LOAD_HEAD(d, gy, given, 5);                                          \
        LOAD(v, y, 5);                                                       \
        LOAD(h0, h, 1);                                                      \
        IN_LANES {                                                           \
          const T n = v[1][j], r = v[2][j], u = v[3][j];                     \
          const T gzn = (d[1][j] + d[0][j] * (1 - u)) * (1 - n * n);         \
          const T gzr = (d[2][j] + gzn * v[4][j]) * r * (1 - r);             \
          const T gzu = (d[3][j] + d[0][j] * (h0[0][j] - n)) * u * (1 - u);  \
          out[0][j] = out[3][j] = gzr;                                       \
          out[1][j] = out[4][j] = gzu;                                       \
          out[2][j] = gzn;                                                   \
          out[5][j] = gzn * r + d[4][j];                                     \
          out[6][j] = d[0][j] * u;                                           \
        }                                                                    \
        STORE(g, out, 7);                                                    \
      }                                                                      \
    }                                                                        \
  }

GRU(f32, float, expf, tanhf)
GRU(f64, double, exp, tanh)

void kernel_gru(cg_dtype dtype, int64_t rows, int64_t H, void *y,
                const kernel_gru_maps *maps, kernel_rows h) {
  if (dtype == CG_F32)
    gru_f32(rows, H, y, *maps, h);
  else
    gru_f64(rows, H, y, *maps, h);
}

void kernel_gru_grad(cg_dtype dtype, int64_t rows, int64_t H, void *g,
                     kernel_rows gy, int given, kernel_rows y,
                     kernel_rows h) {
  if (dtype == CG_F32)
    gru_grad_f32(rows, H, g, gy, given, y, h);
  else
    gru_grad_f64(rows, H, g, gy, given, y, h);
}
