/* kernel_softmax.c - rows of exponentials: softmax and its relatives.
 *
 * A row x of n elements is seen relative to its largest, m, so that no
 * exponential overflows and one of them is 1. A row that holds a NaN or an
 * infinity above, or nothing but -inf, has no softmax: it becomes NaN.
 *
 * Elements are taken in whole blocks, of which the last one overlaps the one
 * before, and exponentials are summed in a fixed order: a row's result does not
 * depend on where the row lies, nor on its strides.
 */
#include "inline.h"
#include "kernel.h"
#include "kernel_exp.h"
#include "kernel_lanes.h"

/* A row is worked through in chunks that stay in the nearest cache; a chunk's
 * sum is kept in LANES sums, the row's in float64. */
enum { CHUNK = 512 };

/* The first, if it is larger; never a NaN unless the second is. */
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

/* The largest loss from which softmax is still recovered: p_k is
 * e^(o_k - o_y - loss), and rounding of the loss is a relative error of p. */
#define TRUSTED_LOSS 16

/* ---- one row, for type T with exponential EXP ---- */

/* The sum of TERM, of an element X, over n > 0 elements, of which there are not
 * many; that of `other` is finite (see block). */
#define SUM(name, S, T, TERM, other)                                         \
  INLINE double name##_##S(int64_t n, const T *x, T m) {                     \
    T lane[LANES], block[LANES];                                             \
    const int some = n < LANES ? (int)n : LANES;                             \
    if (n < LANES) x = block_##S(n, x, block, other), n = LANES;             \
    const int before = (int)(-n & (LANES - 1)); /* that two blocks hold */   \
    (void)m;                                                                 \
    IN_LANES {                                                               \
      const T X = x[n - LANES + j];                                          \
      lane[j] = TERM;                                                        \
    }                                                                        \
    IN_LANES lane[j] = ((j < before) | (j >= some)) ? 0 : lane[j];           \
    for (int64_t k = 0; k < n - LANES; k += LANES)                           \
      IN_LANES {                                                             \
        const T X = x[k + j];                                                \
        lane[j] += TERM;                                                     \
      }                                                                      \
    FOR_J(8) lane[j] += lane[j + 8];                                         \
    FOR_J(4) lane[j] += lane[j + 4];                                         \
    return (double)((lane[0] + lane[2]) + (lane[1] + lane[3]));              \
  }

/*   block      n < LANES elements, and then others that do not matter, but for
 *              floating-point exceptions: of finite rows there shall be none
 *   chunk      n <= CHUNK elements side by side
 *   sum        their sum
 *   sum_exps   the sum of exp(x[k] - m)
 *   exps       e[k] = c exp(x[k] - a - b)
 * of a whole row:
 *   max        the largest element, -inf if there is none
 *   total      the sum of exp(x[k] - m) */
#define ROW_PARTS(S, T, EXP)                                                 \
  INLINE const T *block_##S(int64_t n, const T *x, T *block, T other) {      \
    const int some = (int)n;                                                 \
    IN_LANES block[j] = j < some ? x[j] : other;                             \
    return block;                                                            \
  }                                                                          \
  INLINE const T *chunk_##S(int64_t n, const T *x, int64_t sx, T *copy) {    \
    if (sx == 1) return x;                                                   \
    for (int64_t k = 0; k < n; k++) copy[k] = x[k * sx];                     \
    return copy;                                                             \
  }                                                                          \
  SUM(sum, S, T, X, 0)                                                       \
  SUM(sum_exps, S, T, EXP(X - m), m)                                         \
  INLINE void exps_##S(int64_t n, T *restrict e, const T *restrict x, T a,   \
                       T b, T c) {                                           \
    T block[LANES];                                                          \
    if (n < LANES) {                                                         \
      block_##S(n, x, block, a);                                             \
      IN_LANES block[j] = c * EXP(block[j] - a - b);                         \
      for (int64_t k = 0; k < n; k++) e[k] = block[k];                       \
      return;                                                                \
    }                                                                        \
    for (int64_t k = 0; k < n - LANES; k += LANES)                           \
      IN_LANES e[k + j] = c * EXP(x[k + j] - a - b);                         \
    IN_LANES e[n - LANES + j] = c * EXP(x[n - LANES + j] - a - b);           \
  }                                                                          \
  INLINE T max_##S(int64_t n, const T *x, int64_t sx) {                      \
    T top[LANES], block[LANES], m = (T)-INFINITY;                            \
    if (sx != 1) {                                                           \
      for (int64_t k = 0; k < n; k++) m = LARGER(x[k * sx], m);              \
      return m;                                                              \
    }                                                                        \
    if (n < LANES) x = block_##S(n, x, block, m), n = LANES;                 \
    IN_LANES top[j] = LARGER(x[n - LANES + j], m);                           \
    for (int64_t k = 0; k < n - LANES; k += LANES)                           \
      IN_LANES top[j] = LARGER(x[k + j], top[j]);                            \
    FOR_J(8) top[j] = LARGER(top[j], top[j + 8]);                            \
    FOR_J(4) top[j] = LARGER(top[j], top[j + 4]);                            \
    return LARGER(LARGER(top[0], top[2]), LARGER(top[1], top[3]));           \
  }                                                                          \
  INLINE double total_##S(int64_t n, const T *x, int64_t sx, T m) {          \
    T copy[CHUNK];                                                           \
    double total = 0;                                                        \
    for (int64_t k = 0; k < n; k += CHUNK) {                                 \
      const int64_t length = n - k < CHUNK ? n - k : CHUNK;                  \
      total += sum_exps_##S(length,                                          \
                            chunk_##S(length, x + k * sx, sx, copy), m);     \
    }                                                                        \
    return total;                                                            \
  }

ROW_PARTS(f32, float, exp_f32)
ROW_PARTS(f64, double, exp)

/* ---- softmax and log softmax ---- */

#define SOFTMAX_ROWS(S, T, LOG)                                              \
  CG_CLONES static void softmax_##S(int64_t n, void *yy, int64_t sy,         \
                                    const void *xx, int64_t sx) {            \
    T *y = yy, e[CHUNK], copy[CHUNK];                                        \
    const T *x = xx, m = max_##S(n, x, sx);                                  \
    double total = 0;                                                        \
    for (int64_t k = 0; k < n; k += CHUNK) {                                 \
      const int64_t length = n - k < CHUNK ? n - k : CHUNK;                  \
      T *at = sy == 1 ? y + k : e;                                           \
      exps_##S(length, at, chunk_##S(length, x + k * sx, sx, copy), m, 0,    \
               1);                                                           \
      total += sum_##S(length, at, 0);                                       \
      if (sy != 1)                                                           \
        for (int64_t i = 0; i < length; i++) y[(k + i) * sy] = e[i];         \
    }                                                                        \
    const T s = (T)total;                                                    \
    if (sy == 1)                                                             \
      for (int64_t i = 0; i < n; i++) y[i] /= s;                             \
    else                                                                     \
      for (int64_t i = 0; i < n; i++) y[i * sy] /= s;                        \
  }                                                                          \
  CG_CLONES static void log_softmax_##S(int64_t n, void *yy, int64_t sy,     \
                                        const void *xx, int64_t sx) {        \
    T *y = yy;                                                               \
    const T *x = xx, m = max_##S(n, x, sx);                                  \
    const T log_s = LOG((T)total_##S(n, x, sx, m));                          \
    if (sy == 1 && sx == 1)                                                  \
      for (int64_t i = 0; i < n; i++) y[i] = x[i] - m - log_s;               \
    else                                                                     \
      for (int64_t i = 0; i < n; i++) y[i * sy] = x[i * sx] - m - log_s;     \
  }

SOFTMAX_ROWS(f32, float, logf)
SOFTMAX_ROWS(f64, double, log)

/* Of a row whose largest element is infinite, that is the result, unless there
 * is a NaN in the row. */
#define LOGSUMEXP_ROW(S, T, LOG)                                             \
  CG_CLONES static void logsumexp_##S(int64_t n, void *y, int64_t sy,        \
                                      const void *xx, int64_t sx) {          \
    const T *x = xx, m = max_##S(n, x, sx);                                  \
    T result = m;                                                            \
    (void)sy;                                                                \
    if (isinf(m)) {                                                          \
      for (int64_t i = 0; i < n; i++)                                        \
        if (isnan(x[i * sx])) result = x[i * sx];                            \
    } else {                                                                 \
      result = m + LOG((T)total_##S(n, x, sx, m));                           \
    }                                                                        \
    *(T *)y = result;                                                        \
  }

LOGSUMEXP_ROW(f32, float, logf)
LOGSUMEXP_ROW(f64, double, log)

const kernel_softmax kernel_logsumexp_row = {logsumexp_f32, logsumexp_f64};
const kernel_softmax kernel_softmax_row = {softmax_f32, softmax_f64};
const kernel_softmax kernel_log_softmax_row = {log_softmax_f32,
                                               log_softmax_f64};

/* ---- cross entropy ---- */

/* Rows are taken together, LANES at a time, part by part: one row alone is a
 * chain of operations that wait for each other.
 *
 * The gradient of a row is gy (e^(o_k - a - b) - [k = y]) where a + b is the
 * log of the sum of exponentials: a = o_y, b = loss if the loss is known and
 * small enough, else a = m and b = log sum e^(o_k - m). */
#define CROSS_ENTROPY_ROWS(S, T, LOG)                                        \
  CG_CLONES static void losses_##S(int64_t rows, int64_t n, T *loss,         \
                                   const T *o, const int64_t *y) {           \
    T m[LANES] = {0}, s[LANES];                                              \
    IN_LANES s[j] = 1; /* has a logarithm, also where there is no row */     \
    for (int64_t r = 0; r < rows; r += LANES, o += LANES * n) {              \
      const int some = rows - r < LANES ? (int)(rows - r) : LANES;           \
      for (int i = 0; i < some; i++) m[i] = max_##S(n, o + i * n, 1);        \
      for (int i = 0; i < some; i++)                                         \
        s[i] = (T)total_##S(n, o + i * n, 1, m[i]);                          \
      IN_LANES s[j] = LOG(s[j]);                                             \
      for (int i = 0; i < some; i++)                                         \
        loss[r + i] = s[i] + (m[i] - o[i * n + y[r + i]]);                   \
    }                                                                        \
  }                                                                          \
  CG_CLONES static void losses_grad_##S(int64_t rows, int64_t n, T *go,      \
                                        const T *gy, const T *o,             \
                                        const int64_t *y, const T *loss) {   \
    for (int64_t r = 0; r < rows; r++, o += n, go += n) {                    \
      T a = o[y[r]], b = loss ? loss[r] : (T)INFINITY;                       \
      if (!(b <= TRUSTED_LOSS)) {                                            \
        a = max_##S(n, o, 1);                                                \
        b = LOG((T)total_##S(n, o, 1, a));                                   \
      }                                                                      \
      exps_##S(n, go, o, a, b, gy[r]);                                       \
      go[y[r]] -= gy[r];                                                     \
    }                                                                        \
  }

CROSS_ENTROPY_ROWS(f32, float, logf)
CROSS_ENTROPY_ROWS(f64, double, log)

void kernel_cross_entropy(cg_dtype dtype, int64_t rows, int64_t n, void *loss,
                          const void *o, const int64_t *y) {
  if (dtype == CG_F32)
    losses_f32(rows, n, loss, o, y);
  else
    losses_f64(rows, n, loss, o, y);
}

void kernel_cross_entropy_grad(cg_dtype dtype, int64_t rows, int64_t n,
                               void *go, const void *gy, const void *o,
                               const int64_t *y, const void *loss) {
  if (dtype == CG_F32)
    losses_grad_f32(rows, n, go, gy, o, y, loss);
  else
    losses_grad_f64(rows, n, go, gy, o, y, loss);
}
