/* bptt_rows.h - the products of the row convention, as plain loops: a matrix
 * holds one example per row. Private to nn. */
#ifndef CHRONOGRAD_BPTT_ROWS_H
#define CHRONOGRAD_BPTT_ROWS_H

#include <stdint.h>

/* Y += X A^T, with Y [rows, n], X [rows, m], A [n, m]. */
void cg_rows_add_x_at(double *Y, const double *X, const double *A, int64_t rows,
                      int64_t m, int64_t n);
/* Y += X A, with Y [rows, n], X [rows, m], A [m, n]. */
void cg_rows_add_x_a(double *Y, const double *X, const double *A, int64_t rows,
                     int64_t m, int64_t n);
/* A += U^T V, with A [m, n], U [rows, m], V [rows, n]. U^T V is complete before
 * it is added: the same to the last bit as if it had been kept by itself. */
void cg_rows_add_ut_v(double *A, const double *U, const double *V, int64_t rows,
                      int64_t m, int64_t n);
/* Y += 1 v^T, with Y [rows, n]: v added to each row. */
void cg_rows_add_to_rows(double *Y, const double *v, int64_t rows, int64_t n);
/* v += U^T 1, with U [rows, n]: the sum of the rows, complete before it is
 * added. */
void cg_rows_add_row_sum(double *v, const double *U, int64_t rows, int64_t n);

#endif
