/* record.c - applying an op: resolve operands, infer, allocate, compute, and
 * append the result to the tape. */
#include <string.h>

#include "kernel.h"
#include "make_tensor.h"
#include "op_impl.h"
#include "watch.h"

enum { FEW = 8 };

/* ---- helpers that descriptors use ---- */

cg_status cg_call_fail(const cg_call *call, cg_status status, const char *fmt,
                       ...) {
  va_list args;
  va_start(args, fmt);
  tape_vfail(call->tape, status, call->op->name, fmt, args);
  va_end(args);
  return status;
}

void cg_spec_set(cg_spec *spec, cg_dtype dtype, int rank,
                 const int64_t *shape) {
  spec->dtype = dtype;
  spec->rank = rank;
  spec->is_view = false;
  for (int i = 0; i < rank && i < CG_MAX_RANK; i++) spec->shape[i] = shape[i];
}

void cg_spec_like(cg_spec *spec, const cg_tensor *x) {
  spec_like(spec, x);
}

cg_status cg_call_want_float(const cg_call *call, int i) {
  if (dtype_is_float(call->in[i]->dtype)) return CG_OK;
  return cg_call_fail(call, CG_ERR_DTYPE,
                      "operand %d (%s) has type %s; f32 or f64 is needed", i,
                      t_label(call->in[i]), cg_dtype_name(call->in[i]->dtype));
}

/* Says that the operands' shapes do not broadcast: "[2, 3] and [4]". */
static cg_status fail_broadcast(const cg_call *call) {
  char text[256] = "";
  size_t at = 0;
  for (int i = 0; i < call->n_in && at < sizeof text; i++) {
    char shape[96];
    const cg_tensor *x = call->in[i];
    at += (size_t)snprintf(text + at, sizeof text - at, "%s%s",
                           i ? " and " : "",
                           cg_tensor_shape_text(x, shape, sizeof shape));
  }
  return cg_call_fail(call, CG_ERR_SHAPE, "shapes %s do not broadcast", text);
}

static inline cg_status broadcast(const cg_call *call, cg_dtype dtype,
                                  cg_spec *spec) {
  cg_tensor *const *in = call->in;
  spec_like(spec, in[0]);
  spec->dtype = dtype;
  for (int i = 1; i < call->n_in; i++) {
    if (t_same_shape(in[i], in[0])) continue;
    if (!shape_broadcast(&spec->rank, spec->shape, in[i]->rank,
                         t_shape(in[i])))
      return fail_broadcast(call);
  }
  return CG_OK;
}

cg_status call_broadcast(const cg_call *call, cg_dtype dtype, cg_spec *spec) {
  return broadcast(call, dtype, spec);
}

cg_status cg_spec_broadcast(const cg_call *call, cg_spec *spec) {
  cg_tensor *const *in = call->in;
  if (!dtype_is_float(in[0]->dtype)) return cg_call_want_float(call, 0);
  for (int i = 1; i < call->n_in; i++)
    if (in[i]->dtype != in[0]->dtype)
      return cg_call_fail(call, CG_ERR_DTYPE,
                          "operands have types %s and %s; use cg_cast",
                          cg_dtype_name(in[0]->dtype),
                          cg_dtype_name(in[i]->dtype));
  return broadcast(call, (cg_dtype)in[0]->dtype, spec);
}

void *cg_call_scratch(const cg_call *call, size_t bytes) {
  return tape_scratch(call->tape, bytes, call->op->name);
}

void *cg_out_data(cg_tensor *out) { return out->data; }

/* ---- recording ---- */

/* Is everything there that the op needs? */
static bool complete(cg_tape *tape, const cg_op *op, cg_tensor *const *in,
                     int n_in, const void *attr) {
  if (!op || !op->name || !op->infer || (n_in > 0 && !in) ||
      (op->attr_size && !attr))
    return cg_tape_fail(tape, CG_ERR_ARG, op && op->name ? op->name : "record",
                        "the op, its operands or attributes are missing");
  if (n_in >= op->min_in && (op->max_in < 0 || n_in <= op->max_in)) return true;
  cg_tape_fail(tape, CG_ERR_ARG, op->name, "%d operands given; %s%d are needed",
               n_in, op->max_in == op->min_in ? "" : "at least ", op->min_in);
  return false;
}

/* Appends the finished result to the tape's history. */
static inline void link_result(cg_tape *tape, const cg_op *op,
                               cg_tensor *const *in, int n_in, cg_tensor *y) {
  if (tape->mode != MODE_RECORD) {
    if (!(y->flags & T_VIEW)) y->n_in = 0;
    return;
  }
  unsigned any = 0;
  for (int i = 0; i < n_in; i++) any |= in[i]->flags;
  const bool derivable = op->vjp && dtype_is_float(y->dtype);
  y->flags |= (uint16_t)(T_HISTORY | (derivable ? any & T_GRAD : 0));
  y->prev = tape->last;
  tape->last = y;
}

/* Widens *lo..*hi, places in elements, by what an axis after the other reaches;
 * false if that cannot be counted. */
static bool reach(int rank, const int64_t *shape, const int64_t *strides,
                  int64_t *lo, int64_t *hi) {
  for (int i = 0; i < rank; i++) {
    int64_t far, *end = strides[i] < 0 ? lo : hi;
    if (__builtin_mul_overflow(shape[i] - 1, strides[i], &far) ||
        __builtin_add_overflow(*end, far, end))
      return false;
  }
  return true;
}

/* How many elements the operands that lie behind operand 0, and behind each
 * other, have: results of its type, of which nobody else changes the memory. */
static int64_t elements_behind(const cg_call *call) {
  const uint16_t other = T_PROXY | T_TEMP | T_VIEW | T_BORROWED;
  const cg_tensor *x = call->in[0];
  const size_t size = dtype_size(x->dtype);
  int64_t n = 0;
  const char *end = (const char *)x->data + (size_t)t_numel(x) * size;
  if (!(x->flags & T_CONTIGUOUS)) return 0;
  for (int i = 1; i < call->n_in; i++) {
    x = call->in[i];
    if (x->data != end || x->dtype != call->in[0]->dtype || x->flags & other ||
        !(x->flags & T_CONTIGUOUS))
      break;
    n += t_numel(x);
    end += (size_t)t_numel(x) * size;
  }
  return n;
}

/* Does the view stay between the first and the last element of its operand, or
 * of those that lie behind it? One without elements does, and one with a
 * senseless shape is refused when memory is sought. */
static bool view_stays_inside(const cg_call *call, const cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  int64_t n, first = 0, last = 0, lo = spec->offset, hi = spec->offset;
  if (!shape_numel(spec->rank, spec->shape, &n) || n == 0) return true;
  const int64_t n_x = t_numel(x);
  if (x->flags & T_CONTIGUOUS)
    last = n_x - 1;
  else if (!reach(x->rank, t_shape(x), t_strides(x), &first, &last))
    return false;
  return n_x &&
         reach(spec->rank, spec->shape, spec->strides, &lo, &hi) &&
         lo >= first &&
         (hi <= last || hi <= last + elements_behind(call));
}

/* Says what is wrong with a shape rule's answer, if anything is. */
static bool is_sound(const cg_call *call, const cg_spec *spec) {
  const char *what = NULL;
  if (spec->rank < 0 || spec->rank > CG_MAX_RANK)
    return cg_tape_fail(call->tape, CG_ERR_SHAPE, call->op->name,
                        "the shape rule gave rank %d, which is not in 0..%d",
                        spec->rank, CG_MAX_RANK);
  if ((unsigned)spec->dtype >= CG_DTYPE_COUNT)
    what = "the shape rule gave an unknown element type";
  else if (spec->is_view && call->n_in < 1)
    what = "the shape rule made a view of no operand";
  else if (!spec->is_view && !call->op->forward)
    what = "the op has no forward and its result is no view";
  else if (spec->is_view && spec->dtype != (cg_dtype)call->in[0]->dtype)
    what = "the shape rule made a view of another type than its operand's";
  else if (spec->is_view && !view_stays_inside(call, spec))
    what = "the shape rule made a view that leaves its operand's memory";
  return !what ||
         cg_tape_fail(call->tape, CG_ERR_ARG, call->op->name, "%s", what);
}

/* Can it be seen at a glance that the view stays inside? Of a contiguous
 * operand with sizes and strides whose products are no matter. */
static inline bool is_plain_view(const cg_call *call, const cg_spec *spec) {
  const uint64_t SMALL = (uint64_t)1 << 28;
  const cg_tensor *x = call->in[0];
  uint64_t any = (uint64_t)spec->offset, last = any;
  for (int i = 0; i < spec->rank; i++) {
    const uint64_t far = (uint64_t)spec->shape[i] - 1; /* huge for no size */
    const uint64_t stride = (uint64_t)spec->strides[i];
    any |= far | stride;
    last += far * stride;
  }
  return any < SMALL && x->flags & T_CONTIGUOUS &&
         last < (uint64_t)t_numel(x) && spec->dtype == (cg_dtype)x->dtype;
}

/* Can a shape rule's answer be true? Sizes are checked when memory is got. */
static inline bool sound(const cg_call *call, const cg_op *op,
                         const cg_spec *spec) {
  bool plain = (unsigned)spec->rank <= CG_MAX_RANK &&
               (unsigned)spec->dtype < CG_DTYPE_COUNT &&
               (spec->is_view ? call->n_in > 0 : op->forward != NULL);
  if (plain && spec->is_view) plain = is_plain_view(call, spec);
  return plain || is_sound(call, spec);
}

/* Makes the result that `spec` describes, computes and records it; `scalar` and
 * `pooled` as for make. */
INLINE cg_tensor *compute(cg_tape *tape, const cg_op *op, cg_tensor *const *in,
                          int n_in, const void *attr, const cg_spec *spec,
                          bool scalar, bool pooled) {
  const cg_call call = {tape, op, in, n_in, attr};
  cg_tensor *y = make(tape, op, spec, in, n_in, attr, scalar, pooled);
  if (!y) return NULL;
  if (scalar || !spec->is_view) {
    cg_status status = op->forward(&call, y);
    if (tape->scratch) tape_drop_scratch(tape);
    if (status) return cg_tape_fail(tape, status, op->name, NULL);
  }
  if (!pooled) link_result(tape, op, in, n_in, y);
  return y;
}

/* Are all operands scalars of one float type, and is the result another? */
static inline bool of_scalars(const cg_op *op, cg_tensor *const *in, int n_in) {
  if (n_in < 1 || op->infer != cg_spec_broadcast || !op->forward) return false;
  unsigned rank = 0, types = 0;
  for (int i = 0; i < n_in; i++) {
    rank |= in[i]->rank;
    types |= in[i]->dtype ^ in[0]->dtype;
  }
  return !(rank | types) && dtype_is_float(in[0]->dtype);
}

/* Have all operands one float type and one shape, which the result is to have,
 * too? */
static inline bool of_alike(const cg_op *op, cg_tensor *const *in, int n_in) {
  if (op->infer != cg_spec_broadcast || n_in < 1 || !op->forward ||
      !dtype_is_float(in[0]->dtype))
    return false;
  for (int i = 1; i < n_in; i++)
    if (in[i]->dtype != in[0]->dtype || !t_same_shape(in[i], in[0]))
      return false;
  return true;
}

/* One application to operands that are on the tape. Nearly all have one or two,
 * a number that the caller knows when it is compiled, and graphs of scalars
 * have no other results than scalars. */
INLINE cg_tensor *apply(cg_tape *tape, const cg_op *op, cg_tensor *const *in,
                        int n_in, const void *attr) {
  const bool pooled = tape->mode == MODE_TEMP;
  if (of_scalars(op, in, n_in)) {
    cg_spec scalar;
    scalar.dtype = (cg_dtype)in[0]->dtype;
    return pooled ? compute(tape, op, in, n_in, attr, &scalar, true, true)
                  : compute(tape, op, in, n_in, attr, &scalar, true, false);
  }
  const cg_call call = {tape, op, in, n_in, attr};
  cg_spec spec;
  if (of_alike(op, in, n_in)) {
    spec_like(&spec, in[0]);
  } else {
    spec.rank = -1; /* a rule that says nothing is refused */
    spec.is_view = false;
    cg_status status = op->infer(&call, &spec);
    if (status) return cg_tape_fail(tape, status, op->name, NULL);
    if (!sound(&call, op, &spec)) return NULL;
  }
  return compute(tape, op, in, n_in, attr, &spec, false, pooled);
}

static cg_tensor *apply_watched(cg_tape *tape, const cg_op *op,
                                cg_tensor *const *in, int n_in,
                                const void *attr) {
  const cg_call call = {tape, op, in, n_in, attr};
  if (!tape->watch) return apply(tape, op, in, n_in, attr);
  uint64_t start = watch_begin(tape);
  cg_tensor *y = apply(tape, op, in, n_in, attr);
  return y ? watch_result(&call, y, start) : NULL;
}

static cg_tensor *record_many(cg_tape *tape, const cg_op *op,
                              cg_tensor *const *in, int n_in,
                              const void *attr) {
  cg_tensor *few[FEW], **resolved = few, *y = NULL;
  size_t bytes = (size_t)n_in * sizeof *resolved;
  if (n_in > FEW) {
    void *block;
    cg_status status = pool_get(&tape->pool, bytes, &block);
    if (status) return tape_fail_mem(tape, status, op->name);
    resolved = block;
  }
  int i = 0;
  while (i < n_in && (resolved[i] = tape_operand(tape, in[i], op->name, i)))
    i++;
  if (i == n_in) y = apply_watched(tape, op, resolved, n_in, attr);
  if (n_in > FEW) pool_put(&tape->pool, resolved, bytes);
  return y;
}

/* Of one or two operands nearly all ops are, on tapes that nobody watches. */
cg_tensor *record_one(cg_tape *tape, const cg_op *op, cg_tensor *x,
                      const void *attr) {
  if (!tape || tape->error.status) return NULL;
  if (tape->watch) return record_many(tape, op, &x, 1, attr);
  cg_tensor *const in[] = {tape_operand(tape, x, op->name, 0)};
  return in[0] ? apply(tape, op, in, 1, attr) : NULL;
}

cg_tensor *record_two(cg_tape *tape, const cg_op *op, cg_tensor *a,
                      cg_tensor *b, const void *attr) {
  cg_tensor *in[] = {a, b};
  if (!tape || tape->error.status) return NULL;
  if (tape->watch) return record_many(tape, op, in, 2, attr);
  in[0] = tape_operand(tape, a, op->name, 0);
  in[1] = in[0] ? tape_operand(tape, b, op->name, 1) : NULL;
  return in[1] ? apply(tape, op, in, 2, attr) : NULL;
}

cg_tensor *record_view(cg_tape *tape, const cg_op *op, cg_tensor *x,
                       const void *attr, const cg_spec *spec) {
  return tape->mode == MODE_TEMP
             ? compute(tape, op, &x, 1, attr, spec, false, true)
             : compute(tape, op, &x, 1, attr, spec, false, false);
}

cg_tensor *cg_record(cg_tape *tape, const cg_op *op, cg_tensor *const *in,
                     int n_in, const void *attr) {
  if (!tape || tape->error.status) return NULL;
  if (!complete(tape, op, in, n_in, attr)) return NULL;
  if (n_in == 1) return record_one(tape, op, in[0], attr);
  if (n_in == 2) return record_two(tape, op, in[0], in[1], attr);
  return record_many(tape, op, in, n_in, attr);
}

/* ---- constants ---- */

/* Checks what a user says about a constant. */
static bool check_constant(cg_tape *tape, const char *fn, cg_dtype dtype,
                           int rank, const int64_t *shape) {
  if (!tape || tape->error.status) return false;
  if (!cg_dtype_size(dtype))
    return cg_tape_fail(tape, CG_ERR_DTYPE, fn, "unknown element type %d",
                        (int)dtype);
  if (rank < 0 || rank > CG_MAX_RANK || (rank > 0 && !shape))
    return cg_tape_fail(tape, CG_ERR_SHAPE, fn, "rank %d is not in 0..%d",
                        rank, CG_MAX_RANK);
  int64_t numel;
  if (shape_numel(rank, shape, &numel)) return true;
  char text[128];
  return cg_tape_fail(tape, CG_ERR_SHAPE, fn,
                      "shape %s has a negative size or too many elements",
                      shape_text(rank, shape, text, sizeof text));
}

static cg_tensor *constant(cg_tape *tape, const char *fn, cg_dtype dtype,
                           int rank, const int64_t *shape) {
  if (!check_constant(tape, fn, dtype, rank, shape)) return NULL;
  return tape->mode == MODE_TEMP ? tape_new_temp(tape, dtype, rank, shape)
                                 : tape_new_value(tape, dtype, rank, shape);
}

cg_tensor *cg_input(cg_tape *tape, cg_dtype dtype, int rank,
                    const int64_t *shape, const void *data) {
  cg_tensor *x = constant(tape, "input", dtype, rank, shape);
  if (!x) return NULL;
  size_t bytes = (size_t)t_numel(x) * cg_dtype_size(dtype);
  if (bytes && data)
    memcpy(x->data, data, bytes);
  else if (bytes)
    memset(x->data, 0, bytes);
  return x;
}

cg_tensor *cg_borrow(cg_tape *tape, cg_dtype dtype, int rank,
                     const int64_t *shape, const void *data) {
  if (!check_constant(tape, "borrow", dtype, rank, shape)) return NULL;
  if (!data)
    return cg_tape_fail(tape, CG_ERR_ARG, "borrow", "the data is NULL");
  /* A constant without memory of its own: made empty, then pointed away. */
  cg_spec spec = {.dtype = dtype, .rank = rank};
  cg_spec_set(&spec, dtype, rank, shape);
  shape_strides(rank, shape, spec.strides);
  spec.is_view = true;
  cg_tensor anchor = {.data = (void *)(uintptr_t)data};
  cg_tensor *in = &anchor;
  tape_mode was = tape->mode;
  tape->mode = MODE_VALUE;
  cg_tensor *x = tape_new_tensor(tape, NULL, &spec, &in, 1, NULL);
  tape->mode = was;
  if (!x) return NULL;
  x->n_in = 0;
  x->flags = (uint16_t)((x->flags & ~T_VIEW) | T_BORROWED);
  return x;
}

cg_tensor *cg_full(cg_tape *tape, cg_dtype dtype, int rank,
                   const int64_t *shape, double value) {
  cg_tensor *x = constant(tape, "full", dtype, rank, shape);
  if (x) kernel_fill(dtype, t_numel(x), x->data, value);
  return x;
}

cg_tensor *cg_scalar(cg_tape *tape, cg_dtype dtype, double value) {
  return cg_full(tape, dtype, 0, NULL, value);
}
