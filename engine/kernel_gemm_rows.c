/* kernel_gemm_rows.c - a form of a matrix that products of few rows read often,
 * by kernel_gemm_dots.c, or the one row of kernel_gemm_small.c.
 *
 * It has the whole registers of each row, so that none of them lies across two
 * lines of the cache, and behind all of these what remains of each row: padded
 * rows would be more to read. The last register of a row is the one that ends
 * with it, for the same bits as without the form.
 */
#include "kernel.h"

#include <string.h>

enum { WIDE = 64, NARROW = 32, LINE = 64 };

/* Bytes of a row that is worth it, and of a form that is near to the processor:
 * what is farther takes its time however it is read. */
enum { SHORTEST = 4 * WIDE, NEAR = 256 * 1024 };

static size_t size_of(const gemm_args *g) {
  return g->dtype == CG_F32 ? sizeof(float) : sizeof(double);
}

/* The stored B's rows, their bytes, and those of the last part of a row. */
static size_t rows_of(const gemm_args *g) {
  return (size_t)(g->tb ? g->n : g->k);
}
static size_t row_bytes(const gemm_args *g) {
  return (size_t)(g->tb ? g->k : g->n) * size_of(g);
}
static size_t end_bytes(const gemm_args *g) {
  return row_bytes(g) % (kernel_has_wide() ? WIDE : NARROW);
}

size_t kernel_gemm_rows_bytes(const gemm_args *g) {
  const bool one_row = g->m == 1 && !g->tb && g->by == GEMM_SMALL;
  const size_t bytes = row_bytes(g);
  if (bytes < SHORTEST) return 0; /* or nothing: no inner size */
  if (!one_row && g->by != GEMM_DOTS) return 0;
  if ((size_t)g->ldb * size_of(g) % LINE == 0 && (uintptr_t)g->b % LINE == 0)
    return 0;
  return rows_of(g) <= NEAR / bytes ? rows_of(g) * bytes : 0;
}

void kernel_gemm_rows_form(const gemm_args *g, void *form) {
  const size_t end = end_bytes(g), begin = row_bytes(g) - end;
  const char *from = g->b;
  char *to = form, *to_end = to + rows_of(g) * begin;
  for (size_t i = 0; i < rows_of(g); i++) {
    memcpy(to, from, begin);
    memcpy(to_end, from + begin, end);
    from += (size_t)g->ldb * size_of(g);
    to += begin;
    to_end += end;
  }
}

void kernel_gemm_rows_use(gemm_args *g, const void *form) {
  const size_t end = end_bytes(g), begin = row_bytes(g) - end;
  const size_t width = kernel_has_wide() ? WIDE : NARROW;
  const char *ends = (const char *)form + rows_of(g) * begin;
  g->b = form;
  g->ldb = (int64_t)(begin / size_of(g));
  g->ends = end ? ends + end - width : NULL;
}
