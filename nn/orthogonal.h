/* orthogonal.h - orthonormal vectors, one after another. Private to nn. */
#ifndef CHRONOGRAD_NN_ORTHOGONAL_H
#define CHRONOGRAD_NN_ORTHOGONAL_H

#include <stdint.h>

/* q [k + 1, m], rows 0 .. k-1 being orthonormal: makes row k orthogonal to
 * them, and of length 1. Returns its length in between: that of what was new in
 * it, R[k, k] of a QR decomposition. A row with nothing new becomes 0. */
double cg_orthonormalise(double *q, int64_t k, int64_t m);
/* The length of a vector. */
double cg_length(const double *v, int64_t m);

#endif
