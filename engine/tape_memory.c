/* tape_memory.c - memory for tensors: results, temporaries, scratch. */
#include <string.h>

#include "kernel.h"
#include "make_tensor.h"

cg_tensor *tape_new_tensor(cg_tape *tape, const cg_op *op, const cg_spec *spec,
                           cg_tensor *const *in, int n_in, const void *attr) {
  const bool pooled = tape->mode == MODE_TEMP;
  if (spec->rank == 0 && !spec->is_view)
    return make(tape, op, spec, in, n_in, attr, true, pooled);
  return make(tape, op, spec, in, n_in, attr, false, pooled);
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
    x->check = 0;
    if (x->flags & T_PIECE) base->pieces--;
    pool_put_class(&tape->pool, x, x->pool_class);
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
