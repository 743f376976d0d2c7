/* tensor.c - looking at tensors. */
#include "tensor_impl.h"

#include <math.h>
#include <string.h>

#include "kernel.h"

static const struct {
  size_t size;
  const char *name;
} dtypes[CG_DTYPE_COUNT] = {
    [CG_F32] = {4, "f32"},
    [CG_F64] = {8, "f64"},
    [CG_I64] = {8, "i64"},
    [CG_U8] = {1, "u8"},
};

size_t cg_dtype_size(cg_dtype dtype) {
  return (unsigned)dtype < CG_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *cg_dtype_name(cg_dtype dtype) {
  return (unsigned)dtype < CG_DTYPE_COUNT ? dtypes[dtype].name : "?";
}

int cg_tensor_rank(const cg_tensor *x) { return x ? x->rank : 0; }

int64_t cg_tensor_dim(const cg_tensor *x, int axis) {
  if (!x) return 0;
  axis = shape_axis(axis, x->rank);
  return axis < 0 ? 0 : x->dims[axis];
}

const int64_t *cg_tensor_shape(const cg_tensor *x) {
  return x ? t_shape(x) : NULL;
}

const int64_t *cg_tensor_strides(const cg_tensor *x) {
  return x ? t_strides(x) : NULL;
}

int64_t cg_tensor_numel(const cg_tensor *x) { return x ? t_numel(x) : 0; }

cg_dtype cg_tensor_dtype(const cg_tensor *x) {
  return x ? (cg_dtype)x->dtype : CG_F32;
}

bool cg_tensor_contiguous(const cg_tensor *x) {
  return x && (x->flags & T_CONTIGUOUS);
}

bool cg_tensor_is_leaf(const cg_tensor *x) { return x && (x->flags & T_LEAF); }

bool cg_tensor_requires_grad(const cg_tensor *x) {
  return x && (x->flags & T_GRAD);
}

const void *cg_tensor_data(const cg_tensor *x) { return x ? x->data : NULL; }

/* Where row-major element `index` lies, in elements from the data pointer. */
static int64_t element_offset(const cg_tensor *x, int64_t index) {
  int64_t offset = 0;
  for (int i = x->rank - 1; i >= 0; i--) {
    offset += index % x->dims[i] * t_strides(x)[i];
    index /= x->dims[i];
  }
  return offset;
}

double cg_tensor_get(const cg_tensor *x, int64_t index) {
  if (!x || index < 0 || index >= t_numel(x)) return NAN;
  int64_t at = element_offset(x, index);
  switch ((cg_dtype)x->dtype) {
    case CG_F32: return (double)((const float *)x->data)[at];
    case CG_F64: return ((const double *)x->data)[at];
    case CG_I64: return (double)((const int64_t *)x->data)[at];
    case CG_U8: return (double)((const uint8_t *)x->data)[at];
    default: return NAN;
  }
}

double cg_tensor_item(const cg_tensor *x) {
  return x && t_numel(x) == 1 ? cg_tensor_get(x, 0) : NAN;
}

cg_status cg_tensor_read(const cg_tensor *x, void *out, size_t bytes) {
  if (!x || !out) return CG_ERR_ARG;
  int64_t n = t_numel(x);
  if (bytes != (size_t)n * cg_dtype_size(x->dtype)) return CG_ERR_SHAPE;
  if (n) kernel_copy(x->dtype, x->rank, t_shape(x), out, x->data, t_strides(x));
  return CG_OK;
}

const char *cg_tensor_shape_text(const cg_tensor *x, char *buf, size_t size) {
  return shape_text(x ? x->rank : 0, x ? t_shape(x) : NULL, buf, size);
}

const char *cg_tensor_op_name(const cg_tensor *x) {
  if (!x) return "none";
  if (x->flags & (T_LEAF | T_PROXY)) return "leaf";
  return x->op ? x->op->name : "input";
}

const cg_tensor *t_source_proxy(const cg_tensor *x) {
  while (x->flags & T_VIEW) x = t_in(x)[0];
  return x->flags & T_PROXY ? x : NULL;
}

const char *t_label(const cg_tensor *x) {
  if (x->flags & T_PROXY) x = t_proxied(x);
  if (x->flags & T_LEAF && x->leaf->name[0]) return x->leaf->name;
  return cg_tensor_op_name(x);
}
