/* spectrum.c - singular values, by LAPACK where it was found. */
#include "spectrum.h"

#include <math.h>
#include <string.h>

#ifdef CG_HAVE_LAPACKE
#include <lapacke.h>
#endif

bool spectrum_available(void) {
#ifdef CG_HAVE_LAPACKE
  return true;
#else
  return false;
#endif
}

bool spectrum_singular_values(const double *A, int64_t n, double *values,
                              double *room) {
  for (int64_t i = 0; i < n; i++) values[i] = NAN;
#ifdef CG_HAVE_LAPACKE
  double stat[6] = {0}, none;
  if (n > INT32_MAX || !isfinite(spectrum_norm(A, n * n))) return false;
  memcpy(room, A, (size_t)(n * n) * sizeof *room);
  lapack_int size = (lapack_int)n;
  if (LAPACKE_dgesvj(LAPACK_COL_MAJOR, 'G', 'N', 'N', size, size, room, size,
                     values, 0, &none, 1, stat) != 0)
    return false;
  for (int64_t i = 0; i < n; i++) values[i] *= stat[0]; /* LAPACK scaled them */
  return true;
#else
  (void)A;
  (void)room;
  return false;
#endif
}

double spectrum_norm(const double *A, int64_t numel) {
  double top = 0, sum = 0;
  for (int64_t i = 0; i < numel; i++) {
    if (isnan(A[i])) return A[i];
    top = fmax(top, fabs(A[i]));
  }
  if (top == 0 || isinf(top)) return top;
  for (int64_t i = 0; i < numel; i++) sum += (A[i] / top) * (A[i] / top);
  return top * sqrt(sum);
}
