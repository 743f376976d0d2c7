/* kernel_move.c - copying, adding into, and filling strided arrays. */
#include <math.h>
#include <string.h>

#include "kernel.h"
#include "nd.h"

/* ---- rows ---- */

#define COPY_ROW(name, T)                                                  \
  static void name(int64_t n, void *y, int64_t sy, const void *a,          \
                   int64_t sa) {                                           \
    T *yy = y;                                                             \
    const T *aa = a;                                                       \
    if (sy == 1 && sa == 1) {                                              \
      memcpy(yy, aa, (size_t)n * sizeof(T));                               \
      return;                                                              \
    }                                                                      \
    for (int64_t i = 0; i < n; i++) yy[i * sy] = aa[i * sa];               \
  }

COPY_ROW(copy_row_1, uint8_t)
COPY_ROW(copy_row_4, uint32_t)
COPY_ROW(copy_row_8, uint64_t)

/* Sums of contiguous rows run in blocks of 16 lanes whose totals are added in
 * float64: a fixed order, and an error that hardly grows with n. */
enum { LANES = 16, SUM_BLOCK = 512 };

#define SUM_ROW(name, T)                                                   \
  CG_CLONES static double name##_block(const T *a) {                       \
    T lane[LANES] = {0};                                                   \
    for (int i = 0; i < SUM_BLOCK; i += LANES)                             \
      for (int j = 0; j < LANES; j++) lane[j] += a[i + j];                 \
    double total = 0;                                                      \
    for (int j = 0; j < LANES; j++) total += (double)lane[j];              \
    return total;                                                          \
  }                                                                        \
  static double name(int64_t n, const T *a, int64_t sa) {                  \
    double total = 0;                                                      \
    int64_t i = 0;                                                         \
    if (sa == 1)                                                           \
      for (; i + SUM_BLOCK <= n; i += SUM_BLOCK) total += name##_block(a + i); \
    for (; i < n; i++) total += (double)a[i * sa];                         \
    return total;                                                          \
  }

SUM_ROW(sum_row_f32, float)
SUM_ROW(sum_row_f64, double)

#define ADD_ROW(name, T, sum)                                              \
  CG_CLONES static void name##_dense(int64_t n, T *y, const T *a) {        \
    for (int64_t i = 0; i < n; i++) y[i] += a[i];                          \
  }                                                                        \
  static void name(int64_t n, void *y, int64_t sy, const void *a,          \
                   int64_t sa) {                                           \
    T *yy = y;                                                             \
    const T *aa = a;                                                       \
    if (sy == 0)                                                           \
      *yy = (T)((double)*yy + sum(n, aa, sa));                             \
    else if (sy == 1 && sa == 1)                                           \
      name##_dense(n, yy, aa);                                             \
    else                                                                   \
      for (int64_t i = 0; i < n; i++) yy[i * sy] += aa[i * sa];            \
  }

ADD_ROW(add_row_f32, float, sum_row_f32)
ADD_ROW(add_row_f64, double, sum_row_f64)

/* Adds rows of `a`, which are ld apart, to the row y: so the sums over columns
 * are computed. FEW rows are added one after the other, some in one pass over
 * y; of more, the later half is summed up by itself, STRIP columns at a time, so
 * that rounding errors grow with the logarithm of their number. (A single column
 * is better summed up as a row.) */
enum { ROWS = 4, FEW = 128, STRIP = 256 };

#define ADD_ROWS(name, T, dense)                                           \
  CG_CLONES static void name##_4(int64_t n, T *y, const T *a,              \
                                 int64_t ld) {                             \
    for (int64_t i = 0; i < n; i++)                                        \
      y[i] = y[i] + a[i] + a[ld + i] + a[2 * ld + i] + a[3 * ld + i];      \
  }                                                                        \
  static void name##_few(int64_t rows, int64_t n, T *y, const T *a,        \
                         int64_t ld) {                                     \
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * ld)                     \
      name##_4(n, y, a, ld);                                               \
    for (; rows > 0; rows--, a += ld) dense(n, y, a);                      \
  }                                                                        \
  static void name##_strip(int64_t rows, int64_t n, T *y, const T *a,      \
                           int64_t ld) {                                   \
    if (rows <= FEW) {                                                     \
      name##_few(rows, n, y, a, ld);                                       \
      return;                                                              \
    }                                                                      \
    const int64_t half = rows / 2;                                         \
    T later[STRIP];                                                        \
    memset(later, 0, (size_t)n * sizeof *later);                           \
    name##_strip(half, n, y, a, ld);                                       \
    name##_strip(rows - half, n, later, a + half * ld, ld);                \
    dense(n, y, later);                                                    \
  }                                                                        \
  static void name(int64_t rows, int64_t n, void *yy, const void *aa,      \
                   int64_t ld) {                                           \
    T *y = yy;                                                             \
    const T *a = aa;                                                       \
    if (rows <= FEW) {                                                     \
      name##_few(rows, n, y, a, ld);                                       \
      return;                                                              \
    }                                                                      \
    for (int64_t j = 0; j < n; j += STRIP)                                 \
      name##_strip(rows, n - j < STRIP ? n - j : STRIP, y + j, a + j, ld); \
  }

ADD_ROWS(add_rows_f32, float, add_row_f32_dense)
ADD_ROWS(add_rows_f64, double, add_row_f64_dense)

/* ---- whole arrays ---- */

typedef void (*move_row)(int64_t n, void *y, int64_t sy, const void *a,
                         int64_t sa);

/* The elements of all axes as one row, if out and a are that; -1 if not. */
static int64_t one_row(int rank, const int64_t *shape,
                       const int64_t *out_strides, const int64_t *a_strides) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    if (shape[i] == 1) continue;
    if (a_strides && a_strides[i] != step) return -1;
    if (out_strides && out_strides[i] != step) return -1;
    step *= shape[i];
  }
  return step;
}

/* Is it a matrix whose rows are long enough, and cannot be merged into one? */
static bool is_matrix(int rank, const int64_t *shape, const int64_t *out,
                      const int64_t *a) {
  enum { LONG = 16 };
  return rank == 2 && out && a && shape[1] >= LONG && shape[0] > 1 &&
         (out[0] != shape[1] * out[1] || a[0] != shape[1] * a[1]);
}

static void run(move_row row, size_t size, int rank, const int64_t *shape,
                void *out, const int64_t *out_strides, const void *a,
                const int64_t *a_strides) {
  const int64_t whole = one_row(rank, shape, out_strides, a_strides);
  if (whole >= 0) {
    if (whole) row(whole, out, 1, a, 1);
    return;
  }
  if (is_matrix(rank, shape, out_strides, a_strides)) {
    const int64_t next_out = out_strides[0] * (int64_t)size;
    const int64_t next_a = a_strides[0] * (int64_t)size;
    char *y = out;
    const char *x = a;
    for (int64_t i = 0; i < shape[0]; i++, y += next_out, x += next_a)
      row(shape[1], y, out_strides[1], x, a_strides[1]);
    return;
  }
  nd it;
  void *data[ND_ARRAYS] = {out, (void *)(uintptr_t)a, NULL};
  const int64_t *strides[ND_ARRAYS] = {out_strides, a_strides, NULL};
  if (!nd_begin(&it, rank, shape, size, data, strides)) return;
  do row(it.n, it.at[0], it.step[0], it.at[1], it.step[1]);
  while (nd_next(&it));
}

void kernel_copy_strided(cg_dtype dtype, int rank, const int64_t *shape,
                         void *out, const int64_t *out_strides, const void *a,
                         const int64_t *a_strides) {
  size_t size = cg_dtype_size(dtype);
  move_row row = size == 8 ? copy_row_8 : size == 4 ? copy_row_4 : copy_row_1;
  run(row, size, rank, shape, out, out_strides, a, a_strides);
}

void kernel_copy(cg_dtype dtype, int rank, const int64_t *shape, void *out,
                 const void *a, const int64_t *a_strides) {
  kernel_copy_strided(dtype, rank, shape, out, NULL, a, a_strides);
}

/* Sums over an axis before those that become one row: as sums over rows, for
 * each place along the axes before it. False if there is no such axis. */
static bool add_blocks(cg_dtype dtype, int rank, const int64_t *shape,
                       void *out, const int64_t *out_strides, const void *a,
                       const int64_t *a_strides) {
  const int64_t size = (int64_t)cg_dtype_size(dtype);
  nd it;
  void *data[ND_ARRAYS] = {out, (void *)(uintptr_t)a, NULL};
  const int64_t *strides[ND_ARRAYS] = {out_strides, a_strides, NULL};
  if (!nd_begin(&it, rank, shape, (size_t)size, data, strides)) return true;
  const int axis = it.rank - 1;
  if (axis < 0 || it.step[0] != 1 || it.step[1] != 1 || it.strides[0][axis])
    return false;
  it.rank--;
  do (dtype == CG_F32 ? add_rows_f32 : add_rows_f64)(
      it.shape[axis], it.n, it.at[0], it.at[1], it.strides[1][axis] / size);
  while (nd_next(&it));
  return true;
}

void kernel_add_strided(cg_dtype dtype, int rank, const int64_t *shape,
                        void *out, const int64_t *out_strides, const void *a,
                        const int64_t *a_strides) {
  const bool f32 = dtype == CG_F32;
  if (rank == 2 && shape[1] > 1 && out_strides && out_strides[0] == 0 &&
      out_strides[1] == 1 && a_strides[1] == 1) {
    (f32 ? add_rows_f32 : add_rows_f64)(shape[0], shape[1], out, a,
                                        a_strides[0]);
    return;
  }
  if (rank > 2 && add_blocks(dtype, rank, shape, out, out_strides, a, a_strides))
    return;
  move_row row = f32 ? add_row_f32 : add_row_f64;
  run(row, cg_dtype_size(dtype), rank, shape, out, out_strides, a, a_strides);
}

/* Out of range a conversion is undefined: such values become the nearest. */
static int64_t to_integer(double value, double lo, double hi) {
  if (isnan(value)) return 0;
  if (value >= 0x1p63) return hi < 0x1p63 ? (int64_t)hi : INT64_MAX;
  return (int64_t)fmin(fmax(value, lo), hi);
}

enum { LANES_BYTES = 64 };
typedef char byte_lanes
    __attribute__((vector_size(LANES_BYTES), aligned(1), may_alias));

/* Rows of a register at least: the last one overlaps the one before. (A memcpy
 * takes longer to begin than to copy a row; of a size with a small bound it
 * becomes a string instruction, which takes longer still.) */
CG_CLONES static void gather_lanes(int64_t rows, int64_t bytes,
                                   const char *from, int64_t apart, char *to,
                                   int64_t far) {
  const int64_t last = bytes - LANES_BYTES;
  for (int64_t i = 0; i < rows; i++, from += apart, to += far) {
    for (int64_t b = 0; b < last; b += LANES_BYTES)
      *(byte_lanes *)(to + b) = *(const byte_lanes *)(from + b);
    *(byte_lanes *)(to + last) = *(const byte_lanes *)(from + last);
  }
}

void kernel_gather(int64_t rows, int64_t bytes, const void *from,
                   int64_t apart, void *to, int64_t far) {
  if (bytes >= LANES_BYTES) {
    gather_lanes(rows, bytes, from, apart, to, far);
    return;
  }
  if (bytes == 0) return;
  for (int64_t i = 0; i < rows; i++)
    memcpy((char *)to + i * far, (const char *)from + i * apart,
           (size_t)bytes);
}

void kernel_fill(cg_dtype dtype, int64_t n, void *out, double value) {
  if (n == 0) return;
  if (value == 0 && !signbit(value))
    memset(out, 0, (size_t)n * cg_dtype_size(dtype));
  else if (dtype == CG_F32)
    for (int64_t i = 0; i < n; i++) ((float *)out)[i] = (float)value;
  else if (dtype == CG_F64)
    for (int64_t i = 0; i < n; i++) ((double *)out)[i] = value;
  else if (dtype == CG_I64) {
    int64_t whole = to_integer(value, -0x1p63, 0x1p63);
    for (int64_t i = 0; i < n; i++) ((int64_t *)out)[i] = whole;
  } else {
    memset(out, (int)to_integer(value, 0, UINT8_MAX), (size_t)n);
  }
}
