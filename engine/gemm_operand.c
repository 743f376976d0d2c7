/* gemm_operand.c - seeing strided tensors as operands of a matrix product. */
#include "gemm_operand.h"

bool gemm_stored(const int64_t *shape, const int64_t *strides,
                 bool *transposed, int64_t *ld) {
  int64_t rows = shape[0], cols = shape[1];
  int64_t sr = strides[0], sc = strides[1];
  if (rows <= 1) sr = cols > 1 ? cols * sc : 1;
  if (cols <= 1) sc = 1;
  if (rows <= 1 && cols <= 1) sr = 1;
  if (sc == 1 && sr >= (cols > 1 ? cols : 1)) {
    *ld = sr;
    return true;
  }
  if (rows <= 1 && sc > 1) { /* a strided row: one column per stored row */
    *transposed = !*transposed;
    *ld = sc;
    return true;
  }
  if (sr == 1 && sc >= (rows > 1 ? rows : 1)) {
    *transposed = !*transposed;
    *ld = sc;
    return true;
  }
  return false;
}

bool gemm_operands(const cg_tensor *a, bool ta, const cg_tensor *b, bool tb,
                   gemm_args *g) {
  if (a->rank != 2 || b->rank != 2 || a->dtype != b->dtype ||
      !dtype_is_float(a->dtype) || a->dims[!ta] != b->dims[tb])
    return false;
  *g = (gemm_args){
      .dtype = a->dtype,
      .ta = ta,
      .tb = tb,
      .m = a->dims[ta],
      .k = a->dims[!ta],
      .n = b->dims[!tb],
      .a = a->data,
      .b = b->data,
  };
  return gemm_stored(t_shape(a), t_strides(a), &g->ta, &g->lda) &&
         gemm_stored(t_shape(b), t_strides(b), &g->tb, &g->ldb);
}
