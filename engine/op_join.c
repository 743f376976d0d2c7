/* op_join.c - tensors put together along an axis, and taken apart again. */
#include "kernel.h"
#include "op_impl.h"
#include "tape_impl.h"

typedef struct join_attr {
  int axis;
} join_attr;

static cg_tensor *record_join(cg_tape *tape, const cg_op *op,
                              cg_tensor *const *x, int n, int axis) {
  join_attr attr = {axis};
  return cg_record(tape, op, x, n, &attr);
}

/* Operand i must have the type of operand 0 and its shape, but for `axis`. */
static cg_status check_alike(const cg_call *call, int i, int axis) {
  const cg_tensor *a = call->in[0], *b = call->in[i];
  char as[96], bs[96];
  bool alike = a->rank == b->rank;
  for (int k = 0; alike && k < a->rank; k++)
    alike = k == axis || a->dims[k] == b->dims[k];
  if (!alike)
    return cg_call_fail(call, CG_ERR_SHAPE,
                        "operand 0 is %s and operand %d is %s",
                        cg_tensor_shape_text(a, as, sizeof as), i,
                        cg_tensor_shape_text(b, bs, sizeof bs));
  if (a->dtype == b->dtype) return CG_OK;
  return cg_call_fail(call, CG_ERR_DTYPE,
                      "operand 0 has type %s and operand %d has %s",
                      cg_dtype_name(a->dtype), i, cg_dtype_name(b->dtype));
}

/* Copies x to where it begins in out, whose strides on x's axes are given. */
static void place(cg_tensor *out, int64_t offset, const int64_t *strides,
                  const cg_tensor *x) {
  char *at =
      (char *)out->data + offset * (int64_t)cg_dtype_size(out->dtype);
  if (t_numel(x))
    kernel_copy_strided(x->dtype, x->rank, t_shape(x), at, strides, x->data,
                        t_strides(x));
}

/* ---- stack ---- */

/* Do the operands lie one behind the other already? Only results of ops with
 * memory of their own count, so that the view has no part in what anybody else
 * owns, nor in a retained gradient, to which later walks add. */
static bool lie_in_order(const cg_call *call) {
  const uint16_t other = T_LEAF | T_PROXY | T_TEMP | T_VIEW | T_BORROWED;
  const cg_tensor *x = call->in[0];
  const char *at = x->data;
  size_t bytes = (size_t)t_numel(x) * dtype_size(x->dtype);
  if (!bytes) return false;
  for (int i = 0; i < call->n_in; i++, at += bytes) {
    x = call->in[i];
    if (x->data != at || !x->op || x->flags & other ||
        !(x->flags & T_CONTIGUOUS))
      return false;
  }
  return true;
}

static cg_status stack_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  int rank = x->rank + 1;
  int given = ((const join_attr *)call->attr)->axis;
  int axis = shape_axis(given, rank);
  if (axis < 0 || rank > CG_MAX_RANK)
    return cg_call_fail(call, CG_ERR_ARG, "axis %d of a result of rank %d",
                        given, rank);
  int64_t shape[CG_MAX_RANK];
  for (int i = 0, j = 0; i < rank; i++)
    shape[i] = i == axis ? call->n_in : x->dims[j++];
  cg_spec_set(spec, x->dtype, rank, shape);
  for (int i = 1; i < call->n_in; i++) {
    cg_status status = check_alike(call, i, -1);
    if (status) return status;
  }
  if (axis || !lie_in_order(call)) return CG_OK;
  spec->is_view = true;
  spec->offset = 0;
  shape_strides(rank, shape, spec->strides);
  return CG_OK;
}

static cg_status stack_forward(const cg_call *call, cg_tensor *out) {
  int axis = shape_axis(((const join_attr *)call->attr)->axis, out->rank);
  int64_t strides[CG_MAX_RANK];
  for (int i = 0, j = 0; i < out->rank; i++)
    if (i != axis) strides[j++] = t_strides(out)[i];
  for (int i = 0; i < call->n_in; i++)
    place(out, i * t_strides(out)[axis], strides, call->in[i]);
  return CG_OK;
}

static void stack_vjp(cg_vjp *v) {
  int axis = ((const join_attr *)cg_vjp_attr(v))->axis;
  for (int i = 0; i < cg_vjp_count(v); i++)
    if (cg_vjp_needs(v, i))
      cg_vjp_give(v, i, cg_select(cg_vjp_tape(v), cg_vjp_gy(v), axis, i));
}

static const join_attr axis_0 = {0}, axis_last = {-1}, axis_1 = {1};
static const cg_op_case stack_cases[] = {
    {"f[]", &axis_0},
    {"f[3] f[3]", &axis_0},
    {"f[2,3] f[2,3] f[2,3]", &axis_1},
    {"f[2,3] f[2,3]", &axis_last},
    {"f[0] f[0]", &axis_0},
};

const cg_op cg_op_stack = {
    .name = "stack",
    .formula = "y[.., i, ..] = x_i, along a new axis",
    .derivative = "gx_i = gy[.., i, ..]",
    .min_in = 1,
    .max_in = -1,
    .attr_size = sizeof(join_attr),
    .infer = stack_infer,
    .forward = stack_forward,
    .vjp = stack_vjp,
    CG_CASES(stack_cases),
};

cg_tensor *cg_stack(cg_tape *tape, cg_tensor *const *x, int n, int axis) {
  return record_join(tape, &cg_op_stack, x, n, axis);
}

/* ---- concat ---- */

static cg_status concat_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  int given = ((const join_attr *)call->attr)->axis;
  int axis = shape_axis(given, x->rank);
  if (axis < 0)
    return cg_call_fail(call, CG_ERR_ARG, "axis %d of operands of rank %d",
                        given, x->rank);
  cg_spec_like(spec, x);
  for (int i = 1; i < call->n_in; i++) {
    cg_status status = check_alike(call, i, axis);
    if (status) return status;
    if (__builtin_add_overflow(spec->shape[axis], call->in[i]->dims[axis],
                               &spec->shape[axis]))
      return cg_call_fail(call, CG_ERR_SHAPE,
                          "the sizes along axis %d overflow", axis);
  }
  return CG_OK;
}

static cg_status concat_forward(const cg_call *call, cg_tensor *out) {
  int axis = shape_axis(((const join_attr *)call->attr)->axis, out->rank);
  int64_t start = 0;
  for (int i = 0; i < call->n_in; i++) {
    const cg_tensor *x = call->in[i];
    place(out, start * t_strides(out)[axis], t_strides(out), x);
    start += x->dims[axis];
  }
  return CG_OK;
}

static void concat_vjp(cg_vjp *v) {
  int axis = shape_axis(((const join_attr *)cg_vjp_attr(v))->axis,
                        cg_vjp_in_rank(v, 0));
  int64_t start = 0;
  for (int i = 0; i < cg_vjp_count(v); i++) {
    int64_t length = cg_vjp_in_shape(v, i)[axis];
    if (cg_vjp_needs(v, i))
      cg_vjp_give(v, i, cg_narrow(cg_vjp_tape(v), cg_vjp_gy(v), axis, start,
                                  length));
    start += length;
  }
}

static const cg_op_case concat_cases[] = {
    {"f[3]", &axis_0},           {"f[3] f[2]", &axis_0},
    {"f[2,3] f[2,1]", &axis_last}, {"f[2,3] f[4,3] f[0,3]", &axis_0},
    {"f[2,2,2] f[2,3,2]", &axis_1}, {"f[2,3] f[2,3]", &axis_1},
};

const cg_op cg_op_concat = {
    .name = "concat",
    .formula = "y = x_0, x_1, ... one behind the other along an axis",
    .derivative = "gx_i = its part of gy",
    .min_in = 1,
    .max_in = -1,
    .attr_size = sizeof(join_attr),
    .infer = concat_infer,
    .forward = concat_forward,
    .vjp = concat_vjp,
    CG_CASES(concat_cases),
};

cg_tensor *cg_concat(cg_tape *tape, cg_tensor *const *x, int n, int axis) {
  return record_join(tape, &cg_op_concat, x, n, axis);
}

/* ---- sum_slices: operands are the parts and, last, their starts ---- */

typedef struct slices_attr {
  int axis, rank;
  int64_t shape[CG_MAX_RANK];
} slices_attr;

static const int64_t *starts_of(const cg_tensor *starts) {
  return starts->data;
}

/* Part i must fit into the shape at its start. */
static cg_status check_part(const cg_call *call, const slices_attr *attr,
                            int axis, int i) {
  const cg_tensor *x = call->in[i];
  int64_t start = starts_of(call->in[call->n_in - 1])[i];
  bool fits = x->rank == attr->rank && x->dtype == call->in[0]->dtype;
  for (int k = 0; fits && k < attr->rank; k++)
    fits = k == axis ? start >= 0 && start <= attr->shape[k] &&
                           x->dims[k] <= attr->shape[k] - start
                     : x->dims[k] == attr->shape[k];
  if (fits) return CG_OK;
  char part[96], whole[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "part %d %s does not fit into %s at %lld along axis %d",
                      i, cg_tensor_shape_text(x, part, sizeof part),
                      shape_text(attr->rank, attr->shape, whole, sizeof whole),
                      (long long)start, axis);
}

static cg_status check_parts(const cg_call *call, const slices_attr *attr,
                             int axis) {
  cg_status status = CG_OK;
  for (int i = 0; !status && i < call->n_in - 1; i++)
    status = check_part(call, attr, axis, i);
  return status;
}

static cg_status sum_slices_infer(const cg_call *call, cg_spec *spec) {
  const slices_attr *attr = call->attr;
  const cg_tensor *starts = call->in[call->n_in - 1];
  int axis = shape_axis(attr->axis, attr->rank);
  if (axis < 0)
    return cg_call_fail(call, CG_ERR_ARG, "axis %d of a result of rank %d",
                        attr->axis, attr->rank);
  if (starts->dtype != CG_I64 || starts->rank != 1 ||
      starts->dims[0] != call->n_in - 1 || !(starts->flags & T_CONTIGUOUS))
    return cg_call_fail(call, CG_ERR_ARG,
                        "the last operand must hold the %d starts",
                        call->n_in - 1);
  cg_status status = cg_call_want_float(call, 0);
  if (!status) status = check_parts(call, attr, axis);
  if (!status) cg_spec_set(spec, call->in[0]->dtype, attr->rank, attr->shape);
  return status;
}

static cg_status sum_slices_forward(const cg_call *call, cg_tensor *out) {
  const slices_attr *attr = call->attr;
  const int64_t *starts = starts_of(call->in[call->n_in - 1]);
  int axis = shape_axis(attr->axis, out->rank);
  cg_status status = check_parts(call, attr, axis); /* starts may be others in
                                                       a replay */
  if (status) return status;
  int64_t step = t_strides(out)[axis] * (int64_t)cg_dtype_size(out->dtype);
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  for (int i = 0; i < call->n_in - 1; i++) {
    const cg_tensor *x = call->in[i];
    kernel_add_strided(x->dtype, x->rank, t_shape(x),
                       (char *)out->data + starts[i] * step, t_strides(out),
                       x->data, t_strides(x));
  }
  return CG_OK;
}

static void sum_slices_vjp(cg_vjp *v) {
  const slices_attr *attr = cg_vjp_attr(v);
  int n = cg_vjp_count(v) - 1, axis = shape_axis(attr->axis, attr->rank);
  const cg_tensor *starts = cg_vjp_in(v, n);
  for (int i = 0; starts && i < n; i++)
    if (cg_vjp_needs(v, i))
      cg_vjp_give(v, i,
                  cg_narrow(cg_vjp_tape(v), cg_vjp_gy(v), axis,
                            starts_of(starts)[i], cg_vjp_in_shape(v, i)[axis]));
}

static const slices_attr in_5 = {0, 1, {5}}, in_4_3 = {0, 2, {4, 3}},
                         in_2_6 = {-1, 2, {2, 6}}, in_0 = {0, 2, {0, 3}};
static const cg_op_case slices_cases[] = {
    {"f[2] i[1]<4", &in_5},
    {"f[2] f[2] f[3] i[3]<3", &in_5},
    {"f[1,3] f[2,3] i[2]<3", &in_4_3},
    {"f[2,2] f[2,2] i[2]<5", &in_2_6},
    {"f[0,3] i[1]<1", &in_0},
};

const cg_op cg_op_sum_slices = {
    .name = "sum_slices",
    .formula = "y = zeros, plus part_i at start_i along an axis",
    .derivative = "gpart_i = gy[start_i : start_i + size_i]",
    .min_in = 2,
    .max_in = -1,
    .attr_size = sizeof(slices_attr),
    .infer = sum_slices_infer,
    .forward = sum_slices_forward,
    .vjp = sum_slices_vjp,
    CG_CASES(slices_cases),
};

/* The operands: parts, then the starts as a tensor; in memory of the pool. */
cg_tensor *cg_sum_slices(cg_tape *tape, cg_tensor *const *parts,
                         const int64_t *starts, int n, int axis, int rank,
                         const int64_t *shape) {
  if (!tape) return NULL;
  if (n < 1 || !parts || !starts || rank < 1 || rank > CG_MAX_RANK || !shape)
    return cg_tape_fail(tape, CG_ERR_ARG, "sum_slices",
                        "%d parts in a shape of rank %d", n, rank);
  slices_attr attr = {.axis = axis, .rank = rank};
  for (int i = 0; i < rank; i++) attr.shape[i] = shape[i];
  int64_t count = n;
  size_t bytes = ((size_t)n + 1) * sizeof(cg_tensor *);
  struct scratch_block *outer = tape_scratch_begin(tape);
  cg_tensor **in = tape_scratch(tape, bytes, "sum_slices"), *y = NULL;
  struct scratch_block *mine = tape_scratch_begin(tape);
  if (in) {
    for (int i = 0; i < n; i++) in[i] = parts[i];
    in[n] = cg_input(tape, CG_I64, 1, &count, starts);
    y = cg_record(tape, &cg_op_sum_slices, in, n + 1, &attr);
  }
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, outer);
  return y;
}
