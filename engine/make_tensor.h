/* make_tensor.h - memory and header of a tensor: inline, for every record of
 * an op makes one, and much of the work is known where that is called. */
#ifndef CG_ENGINE_MAKE_TENSOR_H
#define CG_ENGINE_MAKE_TENSOR_H

#include <string.h>

#include "inline.h"
#include "tape_impl.h"

/* Graphs of scalars fill memory faster than the processor fetches what is to be
 * written by itself: that many bytes ahead are asked for. */
enum { WRITTEN_SOON = 4096 };

/* The bytes of the described result; false if they cannot be counted. */
static inline bool spec_bytes(const cg_spec *spec, size_t *bytes) {
  int64_t numel = 1;
  if (spec->rank && !shape_numel(spec->rank, spec->shape, &numel)) return false;
  *bytes = (size_t)numel * dtype_size(spec->dtype);
  return true;
}

/* Where the parts of a tensor's block lie, from its start. */
typedef struct layout {
  size_t data, total;
  bool data_inside;
} layout;

static inline layout plan(const cg_op *op, int rank, bool is_view, int n_in,
                          size_t bytes, bool pooled) {
  layout l;
  size_t end = sizeof(cg_tensor) + 2 * (size_t)rank * sizeof(int64_t) +
               (size_t)n_in * sizeof(cg_tensor *);
  if (op && !pooled) end += op->attr_size;
  l.data_inside = !is_view && (pooled || bytes <= INLINE_BYTES);
  l.data = round_up(end, bytes > INLINE_BYTES ? CG_ALIGNMENT : 8);
  l.total = l.data_inside ? l.data + bytes : round_up(end, 8);
  return l;
}

/* What an error calls the maker. */
static inline const char *maker(const cg_op *op) {
  return op ? op->name : "input";
}

/* The header's block and the data, from the pool or the arenas. */
static inline cg_tensor *allocate(cg_tape *tape, const cg_op *op,
                                  const layout *l, size_t bytes, bool pooled,
                                  void **data) {
  void *block = NULL;
  cg_status status = pooled
                         ? pool_get(&tape->pool, l->total, &block)
                         : arena_alloc(&tape->nodes, l->total, 8, &block);
  *data = NULL;
  if (!status && l->data_inside)
    *data = (char *)block + l->data;
  else if (!status && bytes)
    status = arena_alloc(&tape->data, bytes, CG_ALIGNMENT, data);
  if (!status) return block;
  if (block) memset(block, 0, l->total); /* see tape_resolve: what was dropped
                                            there must not look alive */
  return tape_fail_mem(tape, status, maker(op));
}

/* Sizes and strides of a result or, `is_view`, of a view. Do they walk over it
 * in row-major order without gaps? */
static inline bool set_dims(cg_tensor *x, const cg_spec *spec, bool is_view) {
  const int rank = spec->rank;
  int64_t *strides = x->dims + rank, step = 1;
  bool dense = true, empty = false;
  for (int i = rank - 1; i >= 0; i--) {
    const int64_t size = x->dims[i] = spec->shape[i];
    strides[i] = is_view ? spec->strides[i] : step;
    dense &= (size == 1) | (strides[i] == step);
    empty |= size == 0;
    if (size > 0) step *= size;
  }
  return !is_view || dense || empty;
}

/* Attributes are a few words as a rule: not worth a call. */
static inline void copy_attr(void *to, const void *attr, size_t size) {
  char *y = to;
  const char *x = attr;
  for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
    memcpy(y, x, sizeof(uint64_t));
    x += sizeof(uint64_t);
    y += sizeof(uint64_t);
  }
  for (; size; size--) *y++ = *x++;
}

/* Makes x, a block of so many bytes, a temporary of the current frame. */
static inline void become_temp(cg_tape *tape, cg_tensor *x, size_t bytes) {
  x->pool_class = (uint8_t)pool_class(bytes);
  x->flags |= T_TEMP;
  x->refs = 1; /* the frame's */
  x->prev = tape->frame;
  tape->frame = x;
  if (x->flags & T_VIEW) tape_retain(t_in(x)[0]);
}

/* `pooled` says that the tape's mode is MODE_TEMP, `scalar` is what the caller
 * knows when it is compiled: rank 0 and no view. */
INLINE cg_tensor *make(cg_tape *tape, const cg_op *op, const cg_spec *spec,
                       cg_tensor *const *in, int n_in, const void *attr,
                       bool scalar, bool pooled) {
  const int rank = scalar ? 0 : spec->rank;
  const bool is_view = scalar ? false : spec->is_view;
  size_t bytes;
  if (scalar)
    bytes = dtype_size(spec->dtype);
  else if (!spec_bytes(spec, &bytes))
    return cg_tape_fail(tape, CG_ERR_SHAPE, maker(op),
                        "the result would have too many elements");
  const uint32_t serial = tape->serial;
  if (serial == UINT32_MAX)
    return cg_tape_fail(tape, CG_ERR_STATE, maker(op), "the tape is full");
  /* A temporary has no history; a view must know whose data it shows. */
  if (pooled) n_in = is_view ? 1 : 0;
  layout l = plan(op, rank, is_view, n_in, bytes, pooled);
  void *data;
  cg_tensor *x = allocate(tape, op, &l, is_view ? 0 : bytes, pooled, &data);
  if (!x) return NULL;
  if (is_view) { /* an empty one may begin anywhere, and need not */
    int64_t offset = bytes ? spec->offset : 0;
    data = (char *)in[0]->data + offset * (int64_t)dtype_size(spec->dtype);
  }
  unsigned flags = tape->walking ? T_BACKWARD : 0;
  if (is_view) flags |= T_VIEW;
  if (scalar || set_dims(x, spec, is_view)) flags |= T_CONTIGUOUS;
  *x = (cg_tensor){
      .data = data,
      .tape = tape,
      .op = op,
      .serial = serial,
      .check = tape_check_word(tape, x),
      .scope = tape->scope,
      .n_in = (uint32_t)n_in,
      .flags = (uint16_t)flags,
      .dtype = (uint8_t)spec->dtype,
      .rank = (uint8_t)rank,
  };
  cg_tensor **operands = (cg_tensor **)(void *)(x->dims + 2 * rank);
  for (int i = 0; i < n_in; i++) operands[i] = in[i];
  if (pooled) {
    become_temp(tape, x, l.total);
    return x;
  }
  if (scalar) {
    __builtin_prefetch((char *)x + WRITTEN_SOON, 1);
    __builtin_prefetch((char *)x + WRITTEN_SOON + 64, 1);
  }
  if (op && op->attr_size) copy_attr(operands + n_in, attr, op->attr_size);
  tape->serial = serial + 1;
  tape->position++;
  return x;
}

#endif
