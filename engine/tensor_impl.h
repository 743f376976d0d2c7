/* tensor_impl.h - what a tensor is made of.
 *
 * One block of memory: this header, then `rank` sizes, `rank` strides, `n_in`
 * operands, the op's attributes and, for a very small result, its data.
 *
 * Kinds (flags):
 *   LEAF   owned by the caller; tape == NULL, `leaf` points to the rest of it.
 *   PROXY  stands for a leaf on one tape: its data, its version when first
 *          used, and the place where a walk finds the leaf. Walks write only to
 *          proxies, so threads can share leaves that they read.
 *   TEMP   made while a backward walk runs without being recorded; counted by
 *          `refs`, in the pool.
 *   others live in the tape's arena.
 */
#ifndef CG_ENGINE_TENSOR_IMPL_H
#define CG_ENGINE_TENSOR_IMPL_H

#include <chronograd/op.h>
#include <chronograd/tensor.h>

#include "shape.h"

enum {
  T_LEAF = 1 << 0,
  T_PROXY = 1 << 1,
  T_TEMP = 1 << 2,
  T_VIEW = 1 << 3,       /* shares the data of in[0] */
  T_CONTIGUOUS = 1 << 4, /* row-major without gaps */
  T_GRAD = 1 << 5,       /* wants a gradient: depends on a leaf that does */
  T_RETAIN = 1 << 6,     /* keep the gradient in `grad` */
  T_PATH = 1 << 7,       /* cg_grad: lies between inputs and outputs */
  T_PARTS = 1 << 8,      /* `slot` is a list (slot_parts.c) */
  T_TARGET = 1 << 9,     /* cg_grad: one of the inputs */
  T_BORROWED = 1 << 10,  /* data is the caller's */
  T_HOOK = 1 << 12,      /* has hooks; PROXY: its leaf has */
  T_HISTORY = 1 << 11,   /* was recorded: in[0..n_in) are its operands */
  T_BACKWARD = 1 << 13,  /* made while a backward walk ran */
  T_OUTPUT = 1 << 14,    /* an output of a segment (segment.h) */
  T_PIECE = 1 << 15,     /* TEMP: a view that no other piece overlaps */
  T_OLD = 1 << 15        /* LEAF: a gradient that a walk is to write over */
};

struct gemm_forms;

struct leaf_info {
  const cg_allocator *allocator;
  size_t bytes; /* of the data block */
  char name[64];
};

/* A graph of scalars is little else than these, written once and read back once,
 * so their size is time; what a walk back writes to lies together. */
struct cg_tensor {
  void *data;
  cg_tape *tape;
  const cg_op *op; /* NULL for leaves, proxies and constants */
  union {
    cg_tensor *prev; /* recorded before this one; TEMP: frame list;
                        PROXY: an older proxy of the same leaf */
    struct leaf_info *leaf;
  };
  cg_tensor *slot; /* the gradient under accumulation during a walk */
  union {
    uint32_t stamp; /* the last walk that reached it */
    struct {        /* TEMP: */
      uint16_t pieces;    /* so many views of it are pieces */
      uint8_t axis_given; /* see `given` */
      uint8_t pool_class; /* of its block */
    };
  };
  uint16_t flags;
  uint8_t dtype;
  uint8_t rank;
  union {
    cg_tensor *grad;  /* the gradient of a leaf, or the retained one */
    struct gemm_forms *forms; /* PROXY: see gemm_operand.h, or NULL */
    struct {
      uint32_t begin, end; /* along axis_given */
    } given; /* TEMP in a slot: what is written (slot_narrow.c); 0, 0: all */
  };
  uint32_t serial; /* position in the recording */
  uint32_t check;  /* tells a live tensor from other memory */
  union {
    uint32_t scope;   /* that it was recorded in */
    uint32_t version; /* LEAF, PROXY: grows with every modification */
    uint32_t refs;    /* TEMP: who still needs it */
  };
  uint32_t n_in;
  int64_t dims[];
};

static inline const int64_t *t_shape(const cg_tensor *x) { return x->dims; }
static inline const int64_t *t_strides(const cg_tensor *x) {
  return x->dims + x->rank;
}
static inline cg_tensor **t_in(const cg_tensor *x) {
  return (cg_tensor **)(uintptr_t)(x->dims + 2 * x->rank);
}
static inline void *t_attr(const cg_tensor *x) { return t_in(x) + x->n_in; }

static inline int64_t t_numel(const cg_tensor *x) {
  int64_t n = 1;
  for (int i = 0; i < x->rank; i++) n *= x->dims[i];
  return n;
}

static inline bool t_same_shape(const cg_tensor *a, const cg_tensor *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i]) return false;
  return true;
}

static inline bool dtype_is_float(int dtype) {
  return dtype == CG_F32 || dtype == CG_F64;
}

/* Bytes of an element of a known type. */
static inline size_t dtype_size(int dtype) {
  const unsigned sizes =
      4 << 4 * CG_F32 | 8 << 4 * CG_F64 | 8 << 4 * CG_I64 | 1 << 4 * CG_U8;
  return sizes >> 4 * dtype & 15;
}

/* The leaf that a proxy stands for. */
static inline cg_tensor *t_proxied(const cg_tensor *proxy) {
  return t_in(proxy)[0];
}

/* The leaf whose data x shows, directly or through views; NULL if none. */
const cg_tensor *t_source_proxy(const cg_tensor *x);

/* What an error calls it: the leaf's name, or the op's. */
const char *t_label(const cg_tensor *x);

#endif
