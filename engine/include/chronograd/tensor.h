/* tensor.h - tensors: element type, shape, strides, data.
 *
 * There are two kinds, used alike as operands:
 *   - a LEAF (parameter, input) is made by cg_leaf_new, owns its storage,
 *     belongs to no tape and outlives them all; its owner frees it;
 *   - every other tensor is the result of an op, belongs to its TAPE and dies
 *     when the tape is rewound past it or freed (tape.h).
 * Tensors are row-major; views (ops.h) share data and differ in strides.
 *
 * Accessors accept NULL and answer with 0 or NULL, so that straight-line code
 * can check the tape's error once, at its end.
 */
#ifndef CHRONOGRAD_TENSOR_H
#define CHRONOGRAD_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <chronograd/mem.h>
#include <chronograd/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest number of axes. */
#define CG_MAX_RANK 8

/* A tensor; its members are the library's own. */
typedef struct cg_tensor cg_tensor;

/* Element types. Only F32 and F64 carry gradients; I64 holds indices, U8 masks
 * (0 or 1). There is no implicit conversion: the floating-point operands of an
 * op must agree, and cg_cast converts. */
typedef enum cg_dtype {
  CG_F32,        /* float */
  CG_F64,        /* double */
  CG_I64,        /* int64_t */
  CG_U8,         /* uint8_t */
  CG_DTYPE_COUNT /* how many there are */
} cg_dtype;

/* Bytes of one element; 0 for an unknown type. */
CG_API size_t cg_dtype_size(cg_dtype dtype);
/* "f32", "f64", "i64", "u8"; "?" for an unknown type. */
CG_API const char *cg_dtype_name(cg_dtype dtype);

/* Writes the two arguments `rank, shape` of the functions below:
 * CG_DIMS(2, 3) is `2, (const int64_t[]){2, 3}`. A scalar is `0, NULL`. */
#define CG_DIMS(...)                                                           \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                   \
      (const int64_t[]) { __VA_ARGS__ }

/* ---- looking at any tensor ---- */

/* The number of axes. */
CG_API int cg_tensor_rank(const cg_tensor *x);
/* Size along `axis`; a negative one counts from the end; 0 if there is none. */
CG_API int64_t cg_tensor_dim(const cg_tensor *x, int axis);
/* `rank` sizes, owned by the tensor; NULL for a NULL tensor. */
CG_API const int64_t *cg_tensor_shape(const cg_tensor *x);
/* `rank` strides in elements, owned by the tensor. */
CG_API const int64_t *cg_tensor_strides(const cg_tensor *x);
/* Number of elements: the product of the sizes, 1 for rank 0. */
CG_API int64_t cg_tensor_numel(const cg_tensor *x);
/* The element type. */
CG_API cg_dtype cg_tensor_dtype(const cg_tensor *x);
/* Are the elements in row-major order without gaps? */
CG_API bool cg_tensor_contiguous(const cg_tensor *x);
/* Is it a leaf? */
CG_API bool cg_tensor_is_leaf(const cg_tensor *x);
/* Would a backward walk compute a gradient for it? */
CG_API bool cg_tensor_requires_grad(const cg_tensor *x);
/* The first element; step to others with the strides. */
CG_API const void *cg_tensor_data(const cg_tensor *x);
/* Element `index` in row-major order, as double; NaN if there is none. */
CG_API double cg_tensor_get(const cg_tensor *x, int64_t index);
/* The value of a tensor with one element; NaN for any other. */
CG_API double cg_tensor_item(const cg_tensor *x);
/* Copies the elements to `out` in row-major order, in the tensor's own type;
 * `bytes` is the size of `out` and must be numel * element size exactly. */
CG_API cg_status cg_tensor_read(const cg_tensor *x, void *out, size_t bytes);
/* Writes the shape as "[2, 3]" ("[]" for rank 0); returns buf. */
CG_API const char *cg_tensor_shape_text(const cg_tensor *x, char *buf,
                                        size_t size);
/* The name of the op that made it ("tanh"), "leaf" or "input"; never NULL. */
CG_API const char *cg_tensor_op_name(const cg_tensor *x);
/* The gradient of a leaf (NULL before the first backward), or of a tensor that
 * cg_retain_grad was called for. It has the tensor's shape and type and is
 * owned by the tensor. */
CG_API const cg_tensor *cg_tensor_grad(const cg_tensor *x);

/* ---- leaves ---- */

/* A leaf filled with zeros, which requires no gradient yet. The caller owns it
 * (cg_leaf_free). NULL on a rank outside 0..CG_MAX_RANK, a negative size, an
 * element count that overflows, or lack of memory; *err says which. */
CG_API cg_tensor *cg_leaf_new(const cg_allocator *allocator, cg_dtype dtype,
                              int rank, const int64_t *shape, cg_error *err);
/* Frees a leaf and its gradient. No tape may use it any more: rewind tapes past
 * its uses first. (That is not checked: a walk over what was recorded with it,
 * or a replay, reads memory that is not there. Another leaf at its address is
 * not taken for it, though.) NULL is fine. */
CG_API void cg_leaf_free(cg_tensor *leaf);
/* The leaf's data for writing, row-major. The call counts as a modification:
 * a graph recorded before can no longer be walked back where it needs the old
 * values. Writing later through the same pointer needs cg_leaf_touch. NULL if
 * the tensor is not a leaf. */
CG_API void *cg_leaf_data(cg_tensor *leaf);
/* Declares that the data was changed through a pointer obtained earlier. */
CG_API void cg_leaf_touch(cg_tensor *leaf);
/* Copies `bytes` (numel * element size, exactly) from `data`. */
CG_API cg_status cg_leaf_write(cg_tensor *leaf, const void *data, size_t bytes);
/* Sets every element of a float leaf to `value`. */
CG_API cg_status cg_leaf_fill(cg_tensor *leaf, double value);
/* Whether tapes shall compute its gradient. Only F32 and F64 leaves can. */
CG_API cg_status cg_leaf_set_requires_grad(cg_tensor *leaf, bool on);
/* The gradient for writing, made (zero) if there is none yet. NULL when out of
 * memory or if the leaf requires no gradient. */
CG_API cg_tensor *cg_leaf_grad(cg_tensor *leaf);
/* Sets the gradient to zero, if there is one. Gradients accumulate over
 * backward walks until this is called. */
CG_API void cg_leaf_zero_grad(cg_tensor *leaf);
/* A name for errors and drawings, copied; NULL clears it. */
CG_API cg_status cg_leaf_set_name(cg_tensor *leaf, const char *name);
/* The name, or "" if it has none. Never NULL. */
CG_API const char *cg_leaf_name(const cg_tensor *leaf);

#ifdef __cplusplus
}
#endif
#endif
