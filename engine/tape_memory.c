/* tape_memory.c - memory for tensors: results, temporaries, scratch. */
#include <string.h>

#include "kernel.h"
#include "tape_impl.h"

#if defined(__GNUC__)
#define INLINE __attribute__((always_inline)) static inline
#else
#define INLINE static inline
#endif

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

/* The header's block and the data, from the pool or the arenas. */
static inline cg_tensor *allocate(cg_tape *tape, const char *op,
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
  return tape_fail_mem(tape, status, op);
}

static inline void set_dims(cg_tensor *x, const cg_spec *spec) {
  int rank = spec->rank;
  bool contiguous = true;
  for (int i = 0; i < rank; i++) x->dims[i] = spec->shape[i];
  if (!spec->is_view) {
    if (rank) shape_strides(rank, spec->shape, x->dims + rank);
  } else {
    for (int i = 0; i < rank; i++) x->dims[rank + i] = spec->strides[i];
    contiguous = shape_contiguous(rank, spec->shape, spec->strides);
  }
  if (contiguous) x->flags |= T_CONTIGUOUS;
}

/* Attributes are a few words as a rule: not worth a call. */
static inline void copy_attr(void *to, const void *attr, size_t size) {
  if (size == sizeof(uint64_t))
    memcpy(to, attr, sizeof(uint64_t));
  else
    memcpy(to, attr, size);
}

/* Makes x a temporary of the current frame. */
static inline void become_temp(cg_tape *tape, cg_tensor *x) {
  x->flags |= T_TEMP;
  x->refs = 1; /* the frame's */
  x->prev = tape->frame;
  tape->frame = x;
  if (x->flags & T_VIEW) tape_retain(t_in(x)[0]);
}

/* `scalar` is what the caller knows at compile time: rank 0 and no view. */
INLINE cg_tensor *make(cg_tape *tape, const cg_op *op, const cg_spec *spec,
                       cg_tensor *const *in, int n_in, const void *attr,
                       bool scalar) {
  const int rank = scalar ? 0 : spec->rank;
  const bool is_view = scalar ? false : spec->is_view;
  const char *name = op ? op->name : "input";
  bool pooled = tape->mode == MODE_TEMP;
  size_t bytes;
  if (scalar)
    bytes = dtype_size(spec->dtype);
  else if (!spec_bytes(spec, &bytes))
    return cg_tape_fail(tape, CG_ERR_SHAPE, name,
                        "the result would have too many elements");
  if (tape->serial == UINT32_MAX)
    return cg_tape_fail(tape, CG_ERR_STATE, name, "the tape is full");
  /* A temporary has no history; a view must know whose data it shows. */
  if (pooled) n_in = is_view ? 1 : 0;
  layout l = plan(op, rank, is_view, n_in, bytes, pooled);
  void *data;
  cg_tensor *x = allocate(tape, name, &l, is_view ? 0 : bytes, pooled, &data);
  if (!x) return NULL;
  if (is_view) { /* an empty one may begin anywhere, and need not */
    int64_t offset = bytes ? spec->offset : 0;
    data = (char *)in[0]->data + offset * (int64_t)dtype_size(spec->dtype);
  }
  *x = (cg_tensor){
      .data = data,
      .tape = tape,
      .op = op,
      .serial = tape->serial,
      .check = tape_check_word(tape, x),
      .scope = tape->scope,
      .n_in = (uint32_t)n_in,
      .flags = (uint16_t)((is_view ? T_VIEW : scalar ? T_CONTIGUOUS : 0) |
                          (tape->walking ? T_BACKWARD : 0)),
      .dtype = (uint8_t)spec->dtype,
      .rank = (uint8_t)rank,
  };
  if (!scalar) set_dims(x, spec);
  cg_tensor **operands = (cg_tensor **)(void *)(x->dims + 2 * rank);
  for (int i = 0; i < n_in; i++) operands[i] = in[i];
  if (pooled) {
    become_temp(tape, x);
    return x;
  }
  if (op && op->attr_size) copy_attr(operands + n_in, attr, op->attr_size);
  tape->serial++;
  tape->position++;
  return x;
}

cg_tensor *tape_new_tensor(cg_tape *tape, const cg_op *op, const cg_spec *spec,
                           cg_tensor *const *in, int n_in, const void *attr) {
  if (spec->rank == 0 && !spec->is_view)
    return make(tape, op, spec, in, n_in, attr, true);
  return make(tape, op, spec, in, n_in, attr, false);
}

size_t tape_bytes_of(const cg_tensor *x) {
  bool is_view = x->flags & T_VIEW;
  size_t bytes = (size_t)t_numel(x) * dtype_size(x->dtype);
  layout l = plan(x->op, x->rank, is_view, (int)x->n_in, bytes, false);
  return l.total + (is_view || l.data_inside ? 0 : bytes);
}

static cg_tensor *new_plain(cg_tape *tape, tape_mode mode, cg_dtype dtype,
                            int rank, const int64_t *shape) {
  cg_spec spec;
  cg_spec_set(&spec, dtype, rank, shape);
  tape_mode was = tape->mode;
  tape->mode = mode;
  cg_tensor *x = tape_new_tensor(tape, NULL, &spec, NULL, 0, NULL);
  tape->mode = was;
  return x;
}

cg_tensor *tape_new_value(cg_tape *tape, cg_dtype dtype, int rank,
                          const int64_t *shape) {
  return new_plain(tape, MODE_VALUE, dtype, rank, shape);
}

cg_tensor *tape_new_temp(cg_tape *tape, cg_dtype dtype, int rank,
                         const int64_t *shape) {
  return new_plain(tape, MODE_TEMP, dtype, rank, shape);
}

cg_tensor *tape_copy(cg_tape *tape, const cg_tensor *x) {
  cg_tensor *y =
      new_plain(tape, tape->mode == MODE_TEMP ? MODE_TEMP : MODE_VALUE,
                x->dtype, x->rank, t_shape(x));
  if (y)
    kernel_copy(x->dtype, x->rank, t_shape(x), y->data, x->data, t_strides(x));
  return y;
}

void *cg_tape_alloc(cg_tape *tape, size_t bytes) {
  if (!tape || tape->error.status) return NULL;
  void *block = NULL;
  cg_status status =
      arena_alloc(&tape->data, bytes ? bytes : 1, CG_ALIGNMENT, &block);
  if (status) tape_fail_mem(tape, status, "tape_alloc");
  tape->position++;
  return block;
}

cg_status cg_tape_reserve(cg_tape *tape, size_t bytes) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  cg_status status = arena_reserve(&tape->data, bytes);
  if (status) tape_fail_mem(tape, status, "tape_reserve");
  return status;
}

/* ---- temporaries ---- */

/* Frees x, to which nobody refers any more; then what it showed, if it was a
 * view that was the last to do so, and so on. */
void tape_free_temp(cg_tape *tape, cg_tensor *x) {
  for (cg_tensor *base; x; x = base) {
    base = x->flags & T_VIEW ? t_in(x)[0] : NULL;
    size_t bytes = (size_t)t_numel(x) * dtype_size(x->dtype);
    layout l = plan(x->op, x->rank, base, (int)x->n_in, bytes, true);
    x->check = 0;
    pool_put(&tape->pool, x, l.total);
    if (base && (!(base->flags & T_TEMP) || --base->refs)) return;
  }
}

/* ---- scratch ---- */

struct scratch_block {
  struct scratch_block *next;
  size_t size;
};

#define SCRATCH_HEADER ((size_t)CG_ALIGNMENT)

void *tape_scratch(cg_tape *tape, size_t bytes, const char *op) {
  size_t size;
  void *block;
  cg_status status = CG_ERR_NOMEM;
  if (size_add(bytes, SCRATCH_HEADER, &size))
    status = pool_get(&tape->pool, size, &block);
  if (status) {
    tape_fail_mem(tape, status, op);
    return NULL;
  }
  struct scratch_block *s = block;
  *s = (struct scratch_block){tape->scratch, size};
  tape->scratch = s;
  return (char *)block + SCRATCH_HEADER;
}

void tape_drop_scratch(cg_tape *tape) {
  while (tape->scratch) {
    struct scratch_block *s = tape->scratch;
    tape->scratch = s->next;
    pool_put(&tape->pool, s, s->size);
  }
}

struct scratch_block *tape_scratch_begin(cg_tape *tape) {
  struct scratch_block *outer = tape->scratch;
  tape->scratch = NULL;
  return outer;
}

void tape_scratch_end(cg_tape *tape, struct scratch_block *outer) {
  tape_drop_scratch(tape);
  tape->scratch = outer;
}
