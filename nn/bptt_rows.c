/* bptt_rows.c - the products of the row convention, as plain loops. */
#include "bptt_rows.h"

/* Entry (b, i) is the inner product of row b of X and row i of A, both
 * contiguous. */
void cg_rows_add_x_at(double *Y, const double *X, const double *A, int64_t rows,
                      int64_t m, int64_t n) {
  for (int64_t b = 0; b < rows; b++)
    for (int64_t i = 0; i < n; i++) {
      double sum = 0.0;
      for (int64_t j = 0; j < m; j++)
        sum += X[b * m + j] * A[i * m + j];
      Y[b * n + i] += sum;
    }
}

/* The middle index stands outside the last one, so that the innermost loop runs
 * along rows. */
void cg_rows_add_x_a(double *Y, const double *X, const double *A, int64_t rows,
                     int64_t m, int64_t n) {
  for (int64_t b = 0; b < rows; b++)
    for (int64_t i = 0; i < m; i++) {
      const double x_bi = X[b * m + i];
      for (int64_t j = 0; j < n; j++)
        Y[b * n + j] += x_bi * A[i * n + j];
    }
}

void cg_rows_add_ut_v(double *A, const double *U, const double *V, int64_t rows,
                      int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0.0;
      for (int64_t b = 0; b < rows; b++)
        sum += U[b * m + i] * V[b * n + j];
      A[i * n + j] += sum;
    }
}

void cg_rows_add_to_rows(double *Y, const double *v, int64_t rows, int64_t n) {
  for (int64_t b = 0; b < rows; b++)
    for (int64_t j = 0; j < n; j++)
      Y[b * n + j] += v[j];
}

void cg_rows_add_row_sum(double *v, const double *U, int64_t rows, int64_t n) {
  for (int64_t j = 0; j < n; j++) {
    double sum = 0.0;
    for (int64_t b = 0; b < rows; b++)
      sum += U[b * n + j];
    v[j] += sum;
  }
}
