/* kernel_softmax.c - rows of exponentials: softmax and its relatives.
 *
 * A row x of n elements is seen relative to its largest, m, so that no
 * exponential overflows and one of them is 1. A row that holds a NaN or an
 * infinity above, or nothing but -inf, has no softmax: it becomes NaN.
 *
 * Exponentials are taken of whole blocks, the last one padded (see
 * kernel_map.c), and are summed in a fixed order: a row's result does not
 * depend on where the row lies, nor on its strides.
 */
#include <math.h>

#include "inline.h"
#include "kernel.h"

#ifdef CG_HAVE_LIBMVEC
#define CG_VECTOR __attribute__((simd("notinbranch")))
CG_VECTOR float expf(float);
CG_VECTOR double exp(double);
#endif

/* A row is worked through in chunks that stay in the nearest cache; a chunk's
 * sum is kept in LANES sums, the row's in float64. */
enum { LANES = 16, CHUNK = 512 };

/* A loop over j that stays a loop, and so becomes whole vectors: unrolled, GCC
 * would vectorise the loop around it instead. */
#if defined(__GNUC__) && !defined(__clang__)
#define IN_LANES _Pragma("GCC unroll 1") for (int j = 0; j < LANES; j++)
#else
#define IN_LANES for (int j = 0; j < LANES; j++)
#endif

/* The first, if it is larger; never a NaN unless the second is. */
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

/* The largest loss from which softmax is still recovered: p_k is
 * e^(o_k - o_y - loss), and rounding of the loss is a relative error of p. */
#define TRUSTED_LOSS 16

/* ---- one row, for type T with exponential EXP ---- */

/*   max     the largest element, -inf if there is none
 *   exps    e[k] = exp(x[k] - m - c) for 0 <= k < n <= CHUNK; returns the sum
 *   chunk   the same for x with steps
 *   sum     the sum of exp(x[k] - m) over the whole row */
#define ROW_PARTS(S, T, EXP)                                                 \
  INLINE T max_##S(int64_t n, const T *x, int64_t sx) {                      \
    T lane[LANES], m = (T)-INFINITY;                                         \
    int64_t i = 0;                                                           \
    if (sx == 1 && n >= LANES) {                                             \
      IN_LANES lane[j] = x[j];                                               \
      for (i = LANES; i + LANES <= n; i += LANES)                            \
        IN_LANES lane[j] = LARGER(x[i + j], lane[j]);                        \
      for (int j = 0; j < 8; j++) lane[j] = LARGER(lane[j], lane[j + 8]);    \
      for (int j = 0; j < 4; j++) lane[j] = LARGER(lane[j], lane[j + 4]);    \
      m = LARGER(LARGER(lane[0], lane[1]), LARGER(lane[2], lane[3]));        \
    }                                                                        \
    for (; i < n; i++) m = LARGER(x[i * sx], m);                             \
    return m;                                                                \
  }                                                                          \
  INLINE double exps_##S(int64_t n, T *restrict e, const T *restrict x, T m, \
                         T c) {                                              \
    const int64_t whole = n / LANES * LANES;                                 \
    T lane[LANES] = {0}, rest[LANES], four[4];                               \
    for (int64_t k = 0; k < whole; k += LANES)                               \
      IN_LANES e[k + j] = EXP(x[k + j] - m - c);                             \
    if (whole < n) {                                                         \
      const int left = (int)(n - whole);                                     \
      IN_LANES rest[j] = j < left ? x[whole + j] : m;                        \
      IN_LANES rest[j] = EXP(rest[j] - m - c);                               \
      IN_LANES lane[j] = j < left ? rest[j] : 0;                             \
      for (int j = 0; j < left; j++) e[whole + j] = rest[j];                 \
    }                                                                        \
    for (int64_t k = 0; k < whole; k += LANES)                               \
      IN_LANES lane[j] += e[k + j];                                          \
    for (int j = 0; j < 4; j++)                                              \
      four[j] = (lane[j] + lane[j + 4]) + (lane[j + 8] + lane[j + 12]);      \
    return (double)((four[0] + four[1]) + (four[2] + four[3]));              \
  }                                                                          \
  INLINE double chunk_##S(int64_t n, T *e, const T *x, int64_t sx, T m,      \
                          T c) {                                             \
    T dense[CHUNK];                                                          \
    if (sx == 1) return exps_##S(n, e, x, m, c);                             \
    for (int64_t i = 0; i < n; i++) dense[i] = x[i * sx];                    \
    return exps_##S(n, e, dense, m, c);                                      \
  }                                                                          \
  INLINE double sum_##S(int64_t n, const T *x, int64_t sx, T m) {            \
    T e[CHUNK];                                                              \
    double total = 0;                                                        \
    for (int64_t k = 0; k < n; k += CHUNK) {                                 \
      int64_t length = n - k < CHUNK ? n - k : CHUNK;                        \
      total += chunk_##S(length, e, x + k * sx, sx, m, 0);                   \
    }                                                                        \
    return total;                                                            \
  }

ROW_PARTS(f32, float, expf)
ROW_PARTS(f64, double, exp)

/* ---- softmax and log softmax ---- */

#define SOFTMAX_ROWS(S, T, LOG)                                              \
  CG_CLONES static void softmax_##S(int64_t n, void *yy, int64_t sy,         \
                                    const void *xx, int64_t sx) {            \
    T *y = yy, e[CHUNK];                                                     \
    const T *x = xx, m = max_##S(n, x, sx);                                  \
    double total = 0;                                                        \
    for (int64_t k = 0; k < n; k += CHUNK) {                                 \
      int64_t length = n - k < CHUNK ? n - k : CHUNK;                        \
      T *at = sy == 1 ? y + k : e;                                           \
      total += chunk_##S(length, at, x + k * sx, sx, m, 0);                  \
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
    const T log_s = LOG((T)sum_##S(n, x, sx, m));                            \
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
      result = m + LOG((T)sum_##S(n, x, sx, m));                             \
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

/* The gradient of a row is gy (e^(o_k - a - b) - [k = y]) where a + b is the
 * log of the sum of exponentials: a = o_y, b = loss if the loss is known and
 * small enough, else a = m and b = log sum e^(o_k - m). */
#define CROSS_ENTROPY_ROWS(S, T, LOG)                                        \
  CG_CLONES static void losses_##S(int64_t rows, int64_t n, T *loss,         \
                                   const T *o, const int64_t *y) {           \
    for (int64_t r = 0; r < rows; r++, o += n) {                             \
      const T m = max_##S(n, o, 1);                                          \
      loss[r] = LOG((T)sum_##S(n, o, 1, m)) + (m - o[y[r]]);                 \
    }                                                                        \
  }                                                                          \
  INLINE void scale_##S(int64_t n, T *restrict y, const T *restrict e,       \
                        T c) {                                               \
    for (int64_t i = 0; i < n; i++) y[i] = c * e[i];                         \
  }                                                                          \
  CG_CLONES static void losses_grad_##S(int64_t rows, int64_t n, T *go,      \
                                        const T *gy, const T *o,             \
                                        const int64_t *y, const T *loss) {   \
    T e[CHUNK];                                                              \
    for (int64_t r = 0; r < rows; r++, o += n, go += n) {                    \
      T a = o[y[r]], b = loss ? loss[r] : (T)INFINITY;                       \
      if (!(b <= TRUSTED_LOSS)) {                                            \
        a = max_##S(n, o, 1);                                                \
        b = LOG((T)sum_##S(n, o, 1, a));                                     \
      }                                                                      \
      for (int64_t k = 0; k < n; k += CHUNK) {                               \
        int64_t length = n - k < CHUNK ? n - k : CHUNK;                      \
        chunk_##S(length, e, o + k, 1, a, b);                                \
        if (y[r] >= k && y[r] - k < length) e[y[r] - k] -= 1;                \
        scale_##S(length, go + k, e, gy[r]);                                 \
      }                                                                      \
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
