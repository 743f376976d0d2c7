/* spectrum.h - singular values, by LAPACK where it was found. */
#ifndef CHRONOGRAD_DEMOS_SPECTRUM_H
#define CHRONOGRAD_DEMOS_SPECTRUM_H

#include <stdbool.h>
#include <stdint.h>

/* Was the program built with LAPACKE? */
bool spectrum_available(void);

/* Writes the singular values of A [n, n], in descending order, to values [n];
 * `room` has n * n numbers. By one-sided Jacobi rotations (dgesvj), to which
 * small values are as accurate as large ones. False without LAPACKE, or if they
 * did not converge: all values are then NaN. */
bool spectrum_singular_values(const double *A, int64_t n, double *values,
                              double *room);

/* The Frobenius norm, without overflow. */
double spectrum_norm(const double *A, int64_t numel);

#endif
