/* orthogonal.c - orthonormal vectors by the method of Gram and Schmidt, twice:
 * what the first projection leaves may be short, and then mostly rounding
 * error. */
#include "orthogonal.h"

#include <math.h>

static double dot(const double *u, const double *v, int64_t m) {
  double sum = 0;
  for (int64_t i = 0; i < m; i++) sum += u[i] * v[i];
  return sum;
}

/* v -= (q . v) q for each of the k vectors q before it. */
static void project_out(double *v, const double *q, int64_t k, int64_t m) {
  for (int64_t j = 0; j < k; j++, q += m) {
    double along = dot(q, v, m);
    for (int64_t i = 0; i < m; i++) v[i] -= along * q[i];
  }
}

double cg_length(const double *v, int64_t m) { return sqrt(dot(v, v, m)); }

double cg_orthonormalise(double *q, int64_t k, int64_t m) {
  double *v = q + k * m;
  project_out(v, q, k, m);
  project_out(v, q, k, m);
  double length = cg_length(v, m);
  for (int64_t i = 0; i < m && length > 0; i++) v[i] /= length;
  return length;
}
