/* leaf.c - tensors that the caller owns: parameters and inputs. */
#include "tensor_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mem.h"
#include "tape_impl.h"

static size_t header_bytes(int rank) {
  return sizeof(cg_tensor) + 2 * (size_t)rank * sizeof(int64_t);
}

/* Checks the arguments of a new leaf; *bytes is the size of its data. */
static cg_status check_new(cg_dtype dtype, int rank, const int64_t *shape,
                           size_t *bytes, cg_error *err) {
  const char *fn = "leaf_new";
  if (!cg_dtype_size(dtype))
    return cg_error_set(err, CG_ERR_DTYPE, fn, "unknown element type %d",
                        (int)dtype);
  if (rank < 0 || rank > CG_MAX_RANK || (rank > 0 && !shape))
    return cg_error_set(err, CG_ERR_SHAPE, fn, "rank %d is not in 0..%d", rank,
                        CG_MAX_RANK);
  int64_t numel;
  if (!shape_numel(rank, shape, &numel)) {
    char text[128];
    return cg_error_set(err, CG_ERR_SHAPE, fn,
                        "shape %s has a negative size or too many elements",
                        shape_text(rank, shape, text, sizeof text));
  }
  *bytes = (size_t)numel * cg_dtype_size(dtype);
  if (*bytes == 0) *bytes = 1; /* so that every leaf has an address */
  return CG_OK;
}

/* Where the count of modifications begins. A leaf may come to lie where one was
 * freed that a tape still remembers: it must not look like that one. */
static uint32_t first_version(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
  return (uint32_t)((ns * 0x9E3779B97F4A7C15u) >> 32);
}

static void fill_header(cg_tensor *x, cg_dtype dtype, int rank,
                        const int64_t *shape) {
  memset(x, 0, header_bytes(rank));
  x->flags = T_LEAF | T_CONTIGUOUS;
  x->dtype = (uint8_t)dtype;
  x->rank = (uint8_t)rank;
  x->check = LEAF_CHECK;
  x->version = first_version();
  for (int i = 0; i < rank; i++) x->dims[i] = shape[i];
  shape_strides(rank, shape, x->dims + rank);
}

cg_tensor *cg_leaf_new(const cg_allocator *allocator, cg_dtype dtype, int rank,
                       const int64_t *shape, cg_error *err) {
  size_t bytes = 0;
  if (check_new(dtype, rank, shape, &bytes, err)) return NULL;
  const cg_allocator *a = allocator ? allocator : cg_allocator_default();
  size_t header = header_bytes(rank);
  cg_tensor *x = a->alloc(a->context, header);
  struct leaf_info *info = x ? a->alloc(a->context, sizeof *info) : NULL;
  void *data = info ? a->alloc(a->context, bytes) : NULL;
  if (!data) {
    if (info) a->release(a->context, info, sizeof *info);
    if (x) a->release(a->context, x, header);
    cg_error_set(err, CG_ERR_NOMEM, "leaf_new", "no memory for %zu bytes",
                 bytes);
    return NULL;
  }
  fill_header(x, dtype, rank, shape);
  *info = (struct leaf_info){.allocator = a, .bytes = bytes};
  x->leaf = info;
  x->data = memset(data, 0, bytes);
  return x;
}

void cg_leaf_free(cg_tensor *leaf) {
  if (!leaf || !(leaf->flags & T_LEAF)) return;
  cg_leaf_free(leaf->grad);
  struct leaf_info info = *leaf->leaf;
  const cg_allocator *a = info.allocator;
  size_t header = header_bytes(leaf->rank);
  a->release(a->context, leaf->data, info.bytes);
  a->release(a->context, leaf->leaf, sizeof info);
  leaf->check = 0;
  a->release(a->context, leaf, header);
}

void cg_leaf_touch(cg_tensor *leaf) {
  if (leaf && leaf->flags & T_LEAF) leaf->version++;
}

void *cg_leaf_data(cg_tensor *leaf) {
  if (!cg_tensor_is_leaf(leaf)) return NULL;
  cg_leaf_touch(leaf);
  return leaf->data;
}

cg_status cg_leaf_write(cg_tensor *leaf, const void *data, size_t bytes) {
  if (!cg_tensor_is_leaf(leaf) || !data) return CG_ERR_ARG;
  if (bytes != (size_t)t_numel(leaf) * cg_dtype_size(leaf->dtype))
    return CG_ERR_SHAPE;
  memcpy(cg_leaf_data(leaf), data, bytes);
  return CG_OK;
}

cg_status cg_leaf_fill(cg_tensor *leaf, double value) {
  if (!cg_tensor_is_leaf(leaf)) return CG_ERR_ARG;
  if (!dtype_is_float(leaf->dtype)) return CG_ERR_DTYPE;
  int64_t n = t_numel(leaf);
  void *data = cg_leaf_data(leaf);
  if (leaf->dtype == CG_F32)
    for (int64_t i = 0; i < n; i++) ((float *)data)[i] = (float)value;
  else
    for (int64_t i = 0; i < n; i++) ((double *)data)[i] = value;
  return CG_OK;
}

cg_status cg_leaf_set_requires_grad(cg_tensor *leaf, bool on) {
  if (!cg_tensor_is_leaf(leaf)) return CG_ERR_ARG;
  if (on && !dtype_is_float(leaf->dtype)) return CG_ERR_DTYPE;
  uint16_t bit = T_GRAD;
  leaf->flags = (uint16_t)(on ? leaf->flags | bit : leaf->flags & ~bit);
  leaf->version++; /* what tapes remember of the leaf is out of date */
  return CG_OK;
}

cg_tensor *cg_leaf_grad(cg_tensor *leaf) {
  if (!cg_tensor_is_leaf(leaf) || !(leaf->flags & T_GRAD)) return NULL;
  if (!leaf->grad)
    leaf->grad = cg_leaf_new(leaf->leaf->allocator, leaf->dtype, leaf->rank,
                             t_shape(leaf), NULL);
  return leaf->grad;
}

void cg_leaf_zero_grad(cg_tensor *leaf) {
  if (!cg_tensor_is_leaf(leaf) || !leaf->grad) return;
  memset(leaf->grad->data, 0, leaf->grad->leaf->bytes);
  cg_leaf_touch(leaf->grad);
}

cg_status cg_leaf_set_name(cg_tensor *leaf, const char *name) {
  if (!cg_tensor_is_leaf(leaf)) return CG_ERR_ARG;
  snprintf(leaf->leaf->name, sizeof leaf->leaf->name, "%s", name ? name : "");
  return CG_OK;
}

const char *cg_leaf_name(const cg_tensor *leaf) {
  return cg_tensor_is_leaf(leaf) ? leaf->leaf->name : "";
}
