/* kernel_norm.c - rows brought to mean 0 and variance 1.
 *
 * With the mean m and the variance v of a row of n elements,
 *   r = 1 / sqrt(v + eps),   y_i = (x_i - m) r,
 * and the transpose of dy/dx, which is symmetric, applied to gy is
 *   gx_i = r (gy_i - mean(gy) - y_i mean(gy y)).
 * All sums are taken in float64, in LANES sums of a fixed order.
 */
#include "inline.h"
#include "kernel.h"

#include <math.h>

enum { LANES = 8 };

/* The sum of TERM over 0 <= i < n. */
#define SUM(total, TERM)                                    \
  do {                                                      \
    double lane[LANES] = {0};                               \
    int64_t i = 0;                                          \
    for (int64_t k = 0; k + LANES <= n; k += LANES)         \
      for (int j = 0; j < LANES; j++) {                     \
        i = k + j;                                          \
        lane[j] += (TERM);                                  \
      }                                                     \
    for (i = n / LANES * LANES; i < n; i++) lane[0] += (TERM); \
    total = 0;                                              \
    for (int j = 0; j < LANES; j++) total += lane[j];       \
  } while (0)

#define NORM_ROWS(S, T)                                                      \
  INLINE double moments_##S(int64_t n, const T *x, double eps,               \
                            double *mean) {                                  \
    double sum, squares;                                                     \
    SUM(sum, (double)x[i]);                                                  \
    const double m = *mean = sum / (double)n;                                \
    SUM(squares, ((double)x[i] - m) * ((double)x[i] - m));                   \
    return 1 / sqrt(squares / (double)n + eps);                              \
  }                                                                          \
  CG_CLONES static void norm_##S(int64_t rows, int64_t n, T *restrict y,     \
                                 const T *restrict x, double eps) {          \
    for (; rows > 0; rows--, x += n, y += n) {                               \
      double m;                                                              \
      const double r = moments_##S(n, x, eps, &m);                           \
      for (int64_t i = 0; i < n; i++) y[i] = (T)(((double)x[i] - m) * r);    \
    }                                                                        \
  }                                                                          \
  CG_CLONES static void rstd_##S(int64_t rows, int64_t n, T *r, const T *x,  \
                                 double eps) {                               \
    double m;                                                                \
    for (; rows > 0; rows--, x += n) *r++ = (T)moments_##S(n, x, eps, &m);   \
  }                                                                          \
  CG_CLONES static void grad_##S(int64_t rows, int64_t n, T *restrict gx,    \
                                 const T *restrict gy, const T *restrict y,  \
                                 const T *r) {                               \
    for (; rows > 0; rows--, gx += n, gy += n, y += n, r++) {                \
      double a, b;                                                           \
      SUM(a, (double)gy[i]);                                                 \
      SUM(b, (double)gy[i] * (double)y[i]);                                  \
      const double R = (double)*r, A = a / (double)n, B = b / (double)n;     \
      for (int64_t i = 0; i < n; i++)                                        \
        gx[i] = (T)(R * ((double)gy[i] - A - (double)y[i] * B));             \
    }                                                                        \
  }

NORM_ROWS(f32, float)
NORM_ROWS(f64, double)

void kernel_layer_norm(cg_dtype dtype, int64_t rows, int64_t n, void *y,
                       const void *x, double eps) {
  if (dtype == CG_F32)
    norm_f32(rows, n, y, x, eps);
  else
    norm_f64(rows, n, y, x, eps);
}

void kernel_layer_norm_rstd(cg_dtype dtype, int64_t rows, int64_t n, void *r,
                            const void *x, double eps) {
  if (dtype == CG_F32)
    rstd_f32(rows, n, r, x, eps);
  else
    rstd_f64(rows, n, r, x, eps);
}

void kernel_layer_norm_grad(cg_dtype dtype, int64_t rows, int64_t n, void *gx,
                            const void *gy, const void *y, const void *r) {
  if (dtype == CG_F32)
    grad_f32(rows, n, gx, gy, y, r);
  else
    grad_f64(rows, n, gx, gy, y, r);
}
