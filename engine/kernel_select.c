/* kernel_select.c - elementwise functions that compare or choose: masks from
 * two operands, and functions of three. */
#include "kernel.h"

#include "nd.h"
#include "shape.h"

/* ---- comparisons ---- */

#define COMPARE_ROW(name, T, OP)                                             \
  CG_CLONES static void name(int64_t n, void *yy, const void *aa,            \
                             int64_t sa, const void *bb, int64_t sb,         \
                             double c) {                                     \
    uint8_t *restrict y = yy;                                                \
    const T *a = aa, *b = bb;                                                \
    (void)c;                                                                 \
    if (sa == 1 && sb == 1)                                                  \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] OP b[i];                   \
    else if (sa == 1 && sb == 0)                                             \
      for (int64_t i = 0; i < n; i++) y[i] = a[i] OP b[0];                   \
    else                                                                     \
      for (int64_t i = 0; i < n; i++) y[i] = a[i * sa] OP b[i * sb];         \
  }

#define COMPARE(name, OP)                                            \
  COMPARE_ROW(name##_f32, float, OP)                                 \
  COMPARE_ROW(name##_f64, double, OP)                                \
  COMPARE_ROW(name##_i64, int64_t, OP)                               \
  COMPARE_ROW(name##_u8, uint8_t, OP)                                \
  const kernel_compare kernel_##name = {                             \
      {[CG_F32] = name##_f32, [CG_F64] = name##_f64,                 \
       [CG_I64] = name##_i64, [CG_U8] = name##_u8}};

COMPARE(eq, ==)
COMPARE(ne, !=)
COMPARE(lt, <)
COMPARE(le, <=)

/* ---- functions of three operands ---- */

/* A, B and X are the elements, C the number. The first operand is as large as
 * the result as a rule; the others are often single elements. */
#define EACH(SA, SB, SX, EXPR)                                               \
  for (int64_t i = 0; i < n; i++) {                                          \
    const T_A A = a[i * (SA)];                                               \
    const T_B B = b[i * (SB)], X = x[i * (SX)];                              \
    y[i] = (EXPR);                                                           \
  }

#define ROW3(name, TA, TB, EXPR)                                             \
  CG_CLONES static void name(int64_t n, void *yy, const void *aa,            \
                             int64_t sa, const void *bb, int64_t sb,         \
                             const void *xx, int64_t sx, double cc) {        \
    typedef TA T_A;                                                          \
    typedef TB T_B;                                                          \
    T_B *restrict y = yy;                                                    \
    const T_A *a = aa;                                                       \
    const T_B *b = bb, *x = xx, C = (T_B)cc;                                 \
    (void)C;                                                                 \
    if (sa == 1 && sb == 1 && sx == 1)                                       \
      EACH(1, 1, 1, EXPR)                                                    \
    else if (sa == 1 && sb == 1 && sx == 0)                                  \
      EACH(1, 1, 0, EXPR)                                                    \
    else if (sa == 1 && sb == 0 && sx == 1)                                  \
      EACH(1, 0, 1, EXPR)                                                    \
    else                                                                     \
      EACH(sa, sb, sx, EXPR)                                                 \
  }

/* Elements are moved as the bytes they are. */
ROW3(where_1, uint8_t, uint8_t, A ? B : X)
ROW3(where_4, uint8_t, uint32_t, A ? B : X)
ROW3(where_8, uint8_t, uint64_t, A ? B : X)

#define MAXIMUM_GRAD(A, B, X) ((B) < (X) ? 0 : (B) == (X) ? (A) / 2 : (A))
ROW3(maximum_grad_f32, float, float, MAXIMUM_GRAD(A, B, X))
ROW3(maximum_grad_f64, double, double, MAXIMUM_GRAD(A, B, X))
ROW3(clamp_grad_f32, float, float, B >= X && B <= C ? A : 0)
ROW3(clamp_grad_f64, double, double, B >= X && B <= C ? A : 0)

kernel_row3 kernel_where_row(cg_dtype dtype) {
  switch (cg_dtype_size(dtype)) {
    case 1: return where_1;
    case 4: return where_4;
    default: return where_8;
  }
}

kernel_row3 kernel_maximum_grad_row(cg_dtype dtype) {
  return dtype == CG_F32 ? maximum_grad_f32 : maximum_grad_f64;
}

kernel_row3 kernel_clamp_grad_row(cg_dtype dtype) {
  return dtype == CG_F32 ? clamp_grad_f32 : clamp_grad_f64;
}

/* ---- whole arrays ---- */

/* A step between neighbours in elements, from one in bytes. */
static int64_t step_of(const nd *it, int k, size_t size) {
  return it->at[k] ? it->step[k] / (int64_t)size : 0;
}

/* nd walks arrays of one element size; ours differ, so it gets bytes. Of a
 * single row the steps do not matter, so long as they are whole elements. */
void kernel_map3_run(kernel_row3 row, int rank, const int64_t *shape, void *y,
                     size_t y_size, const kernel_operand operand[3],
                     double c) {
  int64_t s[ND_ARRAYS][CG_MAX_RANK];
  shape_strides(rank, shape, s[0]);
  for (int i = 0; i < rank; i++) {
    s[0][i] *= (int64_t)y_size;
    for (int k = 0; k < 3; k++)
      s[k + 1][i] = operand[k].strides[i] * (int64_t)operand[k].size;
  }
  void *data[ND_ARRAYS] = {y};
  const int64_t *strides[ND_ARRAYS] = {s[0], s[1], s[2], s[3]};
  for (int k = 0; k < 3; k++)
    data[k + 1] = (void *)(uintptr_t)operand[k].data;
  nd it;
  if (!nd_begin(&it, rank, shape, 1, data, strides)) return;
  do row(it.n, it.at[0], it.at[1], step_of(&it, 1, operand[0].size), it.at[2],
         step_of(&it, 2, operand[1].size), it.at[3],
         step_of(&it, 3, operand[2].size), c);
  while (nd_next(&it));
}

void kernel_compare_run(const kernel_compare *f, cg_dtype dtype, int rank,
                        const int64_t *shape, uint8_t *y, const void *a,
                        const int64_t *a_strides, const void *b,
                        const int64_t *b_strides) {
  int64_t s[ND_ARRAYS][CG_MAX_RANK];
  const int64_t size = (int64_t)cg_dtype_size(dtype);
  shape_strides(rank, shape, s[0]);
  for (int i = 0; i < rank; i++) {
    s[1][i] = a_strides[i] * size;
    s[2][i] = b_strides[i] * size;
  }
  void *data[ND_ARRAYS] = {y, (void *)(uintptr_t)a, (void *)(uintptr_t)b};
  const int64_t *strides[ND_ARRAYS] = {s[0], s[1], s[2]};
  nd it;
  if (!nd_begin(&it, rank, shape, 1, data, strides)) return;
  do f->by_dtype[dtype](it.n, it.at[0], it.at[1], it.step[1] / size, it.at[2],
                        it.step[2] / size, 0);
  while (nd_next(&it));
}
