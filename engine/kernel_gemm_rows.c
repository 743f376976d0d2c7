/* kernel_gemm_rows.c - a form of a matrix that products of few rows read often,
 * by kernel_gemm_dots.c, or the one row of kernel_gemm_small.c.
 *
 * It has the whole registers of each row, so that none of them lies across two
 * lines of the cache, and behind all of these what remains of the rows, their
 * ends, for padded rows would be more to read: row by row, where the last
 * register of a row is the one that ends with it, and column by column, each in
 * whole registers.
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

/* Columns are whole registers apart. */
int64_t kernel_gemm_rows_column(const gemm_args *g) {
  const size_t row = WIDE / size_of(g);
  return (int64_t)((rows_of(g) + row - 1) / row * row);
}

/* The start of each part in a form, and its end. */
typedef struct layout {
  size_t columns, ends, bytes;
} layout;

static layout layout_of(const gemm_args *g) {
  const size_t end = end_bytes(g), begin = row_bytes(g) - end;
  layout at = {.columns = rows_of(g) * begin};
  at.ends = at.columns + end * (size_t)kernel_gemm_rows_column(g);
  at.bytes = at.ends + rows_of(g) * end;
  return at;
}

size_t kernel_gemm_rows_bytes(const gemm_args *g) {
  const bool one_row = g->m == 1 && !g->tb && g->by == GEMM_SMALL;
  const size_t bytes = row_bytes(g);
  if (bytes < SHORTEST) return 0; /* or nothing: no inner size */
  if (!one_row && g->by != GEMM_DOTS) return 0;
  if ((size_t)g->ldb * size_of(g) % LINE == 0 && (uintptr_t)g->b % LINE == 0)
    return 0;
  return rows_of(g) <= NEAR / bytes ? layout_of(g).bytes : 0;
}

typedef char lane __attribute__((vector_size(NARROW), aligned(1), may_alias));
typedef uint32_t word __attribute__((aligned(1), may_alias));

/* Calls of memcpy for each row would take longer. */
#define COPY_ROWS(T)                                                         \
  CG_CLONES static void copy_rows_##T(size_t rows, size_t bytes,             \
                                      const char *from, size_t ld,           \
                                      char *to) {                            \
    for (; rows > 0; rows--, from += ld, to += bytes)                        \
      for (size_t i = 0; i < bytes; i += sizeof(T))                          \
        *(T *)(to + i) = *(const T *)(from + i);                             \
  }

COPY_ROWS(lane)
COPY_ROWS(word)

void kernel_gemm_rows_form(const gemm_args *g, void *form) {
  const size_t rows = rows_of(g), ld = (size_t)g->ldb * size_of(g);
  const size_t end = end_bytes(g), begin = row_bytes(g) - end;
  const int64_t end_cols = (int64_t)(end / size_of(g));
  const layout at = layout_of(g);
  const char *ends = (const char *)g->b + begin;
  char *to = form;
  copy_rows_lane(rows, begin, g->b, ld, to);
  copy_rows_word(rows, end, ends, ld, to + at.ends);
  kernel_transpose(g->dtype, (int64_t)rows, end_cols, ends, g->ldb,
                   to + at.columns, kernel_gemm_rows_column(g), false);
}

void kernel_gemm_rows_use(gemm_args *g, const void *form) {
  const size_t end = end_bytes(g), begin = row_bytes(g) - end;
  const size_t width = kernel_has_wide() ? WIDE : NARROW;
  const layout at = layout_of(g);
  g->b = form;
  g->ldb = (int64_t)(begin / size_of(g));
  g->ends = NULL;
  if (end && g->tb) g->ends = (const char *)form + at.columns;
  if (end && !g->tb) g->ends = (const char *)form + at.ends + end - width;
}
