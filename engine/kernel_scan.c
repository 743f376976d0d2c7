/* kernel_scan.c - largest, smallest and running values of strided arrays.
 *
 * A NaN is larger and smaller than every number: it is the extreme of any row
 * that has one, as in PyTorch and NumPy.
 */
#include "kernel.h"

#include <math.h>

#include "nd.h"

/* The better one of the number so far and the next. (A | has no branch, which
 * would keep the loops over lanes from becoming vector instructions.) */
#define LARGER(next, so_far) \
  ((((next) > (so_far)) | ((next) != (next))) ? (next) : (so_far))
#define SMALLER(next, so_far) \
  ((((next) < (so_far)) | ((next) != (next))) ? (next) : (so_far))

enum { LANES = 64 };

/* ---- extremes ---- */

/* y[i * sy] = the better of y[i * sy] and a[i * sa], in order; long rows that
 * fall on one place go through lanes, which choose the same value. */
#define EXTREME_ROW(name, T, BETTER)                                         \
  CG_CLONES static T name##_dense(int64_t n, const T *a, T best) {           \
    T lane[LANES];                                                           \
    for (int j = 0; j < LANES; j++) lane[j] = best;                          \
    for (int64_t i = 0; i < n; i += LANES)                                   \
      for (int j = 0; j < LANES; j++) lane[j] = BETTER(a[i + j], lane[j]);   \
    for (int j = 0; j < LANES; j++) best = BETTER(lane[j], best);            \
    return best;                                                             \
  }                                                                          \
  static void name(int64_t n, void *yy, int64_t sy, const void *aa,          \
                   int64_t sa) {                                             \
    T *y = yy;                                                               \
    const T *a = aa;                                                         \
    int64_t i = 0;                                                           \
    if (sy == 0 && sa == 1 && n >= LANES) {                                  \
      i = n / LANES * LANES;                                                 \
      *y = name##_dense(i, a, *y);                                           \
    }                                                                        \
    for (; i < n; i++) y[i * sy] = BETTER(a[i * sa], y[i * sy]);             \
  }

EXTREME_ROW(max_f32, float, LARGER)
EXTREME_ROW(max_f64, double, LARGER)
EXTREME_ROW(min_f32, float, SMALLER)
EXTREME_ROW(min_f64, double, SMALLER)

void kernel_extreme_strided(cg_dtype dtype, bool smallest, int rank,
                            const int64_t *shape, void *out,
                            const int64_t *out_strides, const void *a,
                            const int64_t *a_strides) {
  bool f32 = dtype == CG_F32;
  kernel_normalise row =
      smallest ? (f32 ? min_f32 : min_f64) : (f32 ? max_f32 : max_f64);
  nd it;
  void *data[ND_ARRAYS] = {out, (void *)(uintptr_t)a, NULL};
  const int64_t *strides[ND_ARRAYS] = {out_strides, a_strides, NULL};
  if (!nd_begin(&it, rank, shape, cg_dtype_size(dtype), data, strides)) return;
  do row(it.n, it.at[0], it.step[0], it.at[1], it.step[1]);
  while (nd_next(&it));
}

/* ---- where the extreme is ---- */

/* The first place of the best, which is the first NaN if there is any. */
#define WHERE_ROW(name, T, BETTER)                                           \
  static void name(int64_t n, void *y, int64_t sy, const void *xx,           \
                   int64_t sx) {                                             \
    const T *x = xx;                                                         \
    int64_t at = 0;                                                          \
    (void)sy;                                                                \
    for (int64_t i = 1; i < n && x[at * sx] == x[at * sx]; i++) {            \
      const T next = x[i * sx];                                              \
      if (next BETTER x[at * sx] || next != next) at = i;                    \
    }                                                                        \
    *(int64_t *)y = at;                                                      \
  }

WHERE_ROW(argmax_f32, float, >)
WHERE_ROW(argmax_f64, double, >)
WHERE_ROW(argmin_f32, float, <)
WHERE_ROW(argmin_f64, double, <)

const kernel_softmax kernel_argmax_row = {argmax_f32, argmax_f64};
const kernel_softmax kernel_argmin_row = {argmin_f32, argmin_f64};

/* ---- running sums, in float64 ---- */

#define CUMSUM_ROW(name, T)                                                  \
  static void name(int64_t n, void *yy, int64_t sy, const void *xx,          \
                   int64_t sx) {                                             \
    T *y = yy;                                                               \
    const T *x = xx;                                                         \
    double total = 0;                                                        \
    for (int64_t i = 0; i < n; i++) {                                        \
      total += (double)x[i * sx];                                            \
      y[i * sy] = (T)total;                                                  \
    }                                                                        \
  }                                                                          \
  static void name##_reverse(int64_t n, void *yy, int64_t sy,                \
                             const void *xx, int64_t sx) {                   \
    if (n)                                                                   \
      name(n, (T *)yy + (n - 1) * sy, -sy, (const T *)xx + (n - 1) * sx,     \
           -sx);                                                             \
  }

CUMSUM_ROW(cumsum_f32, float)
CUMSUM_ROW(cumsum_f64, double)

const kernel_softmax kernel_cumsum_row = {cumsum_f32, cumsum_f64};
const kernel_softmax kernel_cumsum_reverse_row = {cumsum_f32_reverse,
                                                  cumsum_f64_reverse};
