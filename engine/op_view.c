/* op_view.c - other shapes of the same memory. */
#include "kernel.h"
#include "op_impl.h"
#include "tape_impl.h"

/* A shape as an attribute. */
typedef struct shape_attr {
  int rank;
  int64_t shape[CG_MAX_RANK];
} shape_attr;

static cg_tensor *record_shape(cg_tape *tape, const cg_op *op, cg_tensor *x,
                               int rank, const int64_t *shape) {
  if (!tape) return NULL;
  if (rank < 0 || rank > CG_MAX_RANK || (rank && !shape))
    return cg_tape_fail(tape, CG_ERR_SHAPE, op->name, "rank %d is not in 0..%d",
                        rank, CG_MAX_RANK);
  shape_attr attr = {.rank = rank};
  for (int i = 0; i < rank; i++) attr.shape[i] = shape[i];
  return cg_record(tape, op, &x, 1, &attr);
}

/* Begins the description of a view of operand 0 with x's own strides. */
static void view_of(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  cg_spec_like(spec, x);
  spec->is_view = true;
  spec->offset = 0;
  for (int i = 0; i < x->rank; i++) spec->strides[i] = t_strides(x)[i];
}

static cg_status fail_axis(const cg_call *call, int axis) {
  char text[96];
  return cg_call_fail(call, CG_ERR_ARG, "%s has no axis %d",
                      cg_tensor_shape_text(call->in[0], text, sizeof text),
                      axis);
}

static cg_status copy_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  kernel_copy(x->dtype, x->rank, t_shape(x), out->data, x->data, t_strides(x));
  return CG_OK;
}

/* ---- reshape ---- */

/* Fills in a size of -1; false if the numbers of elements cannot agree. */
static bool complete_shape(const cg_tensor *x, shape_attr *to) {
  int64_t known = 1, numel = t_numel(x), total;
  int open = -1;
  for (int i = 0; i < to->rank; i++) {
    if (to->shape[i] == -1) {
      if (open >= 0) return false;
      open = i;
    } else if (to->shape[i] < 0 ||
               __builtin_mul_overflow(known, to->shape[i], &known)) {
      return false;
    }
  }
  if (open >= 0) {
    if (known == 0 || numel % known) return false;
    to->shape[open] = numel / known;
  }
  return shape_numel(to->rank, to->shape, &total) && total == numel;
}

/* Strides under which x's memory has another shape, axis group by axis group;
 * false if some group is not evenly spaced. Neither shape has a size of 0. */
static bool reshape_strides(const cg_tensor *x, const shape_attr *to,
                            int64_t *strides) {
  int i = x->rank - 1, j = to->rank - 1;
  const int64_t *size = t_shape(x), *step = t_strides(x);
  while (i >= 0 && size[i] == 1) i--;
  while (j >= 0) {
    if (to->shape[j] == 1 || i < 0) {
      strides[j--] = 1;
      continue;
    }
    int64_t have = size[i], want = to->shape[j], base = step[i];
    int64_t run = base * have;
    int j0 = j--;
    i--;
    while (have != want) {
      if (have < want) {
        while (i >= 0 && size[i] == 1) i--;
        if (i < 0 || step[i] != run) return false;
        have *= size[i];
        run *= size[i--];
      } else {
        want *= to->shape[j--];
      }
    }
    for (; j0 > j; j0--) {
      strides[j0] = base;
      base *= to->shape[j0];
    }
    while (i >= 0 && size[i] == 1) i--;
  }
  return true;
}

static cg_status fail_reshape(const cg_call *call, const shape_attr *to) {
  char have[96], want[96];
  return cg_call_fail(call, CG_ERR_SHAPE, "%s has no form %s",
                      cg_tensor_shape_text(call->in[0], have, sizeof have),
                      shape_text(to->rank, to->shape, want, sizeof want));
}

static cg_status reshape_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const shape_attr *to = call->attr;
  shape_attr completed;
  int64_t numel;
  if (!shape_numel(to->rank, to->shape, &numel) || numel != t_numel(x)) {
    completed = *to;
    if (!complete_shape(x, &completed)) return fail_reshape(call, &completed);
    to = &completed;
  }
  cg_spec_set(spec, x->dtype, to->rank, to->shape);
  spec->offset = 0;
  if (x->flags & T_CONTIGUOUS) {
    spec->is_view = true;
    shape_strides(to->rank, to->shape, spec->strides);
  } else {
    spec->is_view = reshape_strides(x, to, spec->strides);
  }
  return CG_OK;
}

static void reshape_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0,
              cg_reshape(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in_rank(v, 0),
                         cg_vjp_in_shape(v, 0)));
}

static const shape_attr to_6 = {1, {6}}, to_3_2 = {2, {3, -1}},
                        to_1 = {2, {1, 1}}, to_2_2_3 = {3, {2, 2, 3}},
                        to_0 = {2, {0, 5}};
static const cg_op_case reshape_cases[] = {
    {"f[2,3]", &to_6}, {"f[2,3]", &to_3_2},  {"f[]", &to_1},
    {"f[4,3]", &to_2_2_3}, {"f[2,6]", &to_2_2_3}, {"f[0,3]", &to_0},
};

const cg_op cg_op_reshape = {
    .name = "reshape",
    .formula = "y = x in another shape",
    .derivative = "gx = gy in x's shape",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(shape_attr),
    .infer = reshape_infer,
    .forward = copy_forward,
    .vjp = reshape_vjp,
    CG_CASES(reshape_cases),
};

cg_tensor *cg_reshape(cg_tape *tape, cg_tensor *x, int rank,
                      const int64_t *shape) {
  return record_shape(tape, &cg_op_reshape, x, rank, shape);
}

/* ---- permute ---- */

typedef struct permute_attr {
  int rank;
  int axes[CG_MAX_RANK];
} permute_attr;

static cg_status permute_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const permute_attr *attr = call->attr;
  bool seen[CG_MAX_RANK] = {false};
  view_of(call, spec);
  if (attr->rank != x->rank) return fail_axis(call, attr->rank - 1);
  for (int i = 0; i < x->rank; i++) {
    int axis = shape_axis(attr->axes[i], x->rank);
    if (axis < 0) return fail_axis(call, attr->axes[i]);
    if (seen[axis])
      return cg_call_fail(call, CG_ERR_ARG, "axis %d is named twice", axis);
    seen[axis] = true;
    spec->shape[i] = x->dims[axis];
    spec->strides[i] = t_strides(x)[axis];
  }
  return CG_OK;
}

static cg_tensor *permute(cg_tape *tape, cg_tensor *x, int rank,
                          const int *axes) {
  permute_attr attr = {.rank = rank};
  for (int i = 0; i < rank; i++) attr.axes[i] = axes[i];
  return cg_record(tape, &cg_op_permute, &x, 1, &attr);
}

static void permute_vjp(cg_vjp *v) {
  const permute_attr *attr = cg_vjp_attr(v);
  int inverse[CG_MAX_RANK];
  for (int i = 0; i < attr->rank; i++)
    inverse[shape_axis(attr->axes[i], attr->rank)] = i;
  cg_vjp_give(v, 0, permute(cg_vjp_tape(v), cg_vjp_gy(v), attr->rank, inverse));
}

static const permute_attr swap = {2, {1, 0}}, cycle = {3, {2, 0, 1}},
                          same = {1, {0}};
static const cg_op_case permute_cases[] = {
    {"f[2,3]", &swap}, {"f[2,3,4]", &cycle}, {"f[3]", &same}, {"f[0,2]", &swap},
};

const cg_op cg_op_permute = {
    .name = "permute",
    .formula = "y = x with its axes in another order",
    .derivative = "gx = gy with the order undone",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(permute_attr),
    .infer = permute_infer,
    .vjp = permute_vjp,
    CG_CASES(permute_cases),
};

cg_tensor *cg_permute(cg_tape *tape, cg_tensor *x, const int *axes) {
  if (!tape_can_use(tape, x, "permute", 0)) return NULL;
  int rank = x->rank;
  if (rank && !axes)
    return cg_tape_fail(tape, CG_ERR_ARG, "permute", "the axes are NULL");
  return permute(tape, x, rank, axes);
}

cg_tensor *cg_transpose(cg_tape *tape, cg_tensor *x, int axis0, int axis1) {
  if (!tape_can_use(tape, x, "transpose", 0)) return NULL;
  int axes[CG_MAX_RANK], rank = x->rank;
  for (int i = 0; i < rank; i++) axes[i] = i;
  int a = shape_axis(axis0, rank), b = shape_axis(axis1, rank);
  if (a < 0 || b < 0)
    return cg_tape_fail(tape, CG_ERR_ARG, "transpose",
                        "axes %d and %d of a tensor of rank %d", axis0, axis1,
                        rank);
  if (rank) {
    axes[a] = b;
    axes[b] = a;
  }
  return permute(tape, x, rank, axes);
}

/* ---- narrow and select ---- */

typedef struct narrow_attr {
  int axis;
  int64_t start, length; /* select: length -1 */
} narrow_attr;

static cg_status narrow_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const narrow_attr *attr = call->attr;
  int axis = shape_axis(attr->axis, x->rank);
  if (axis < 0) return fail_axis(call, attr->axis);
  int64_t size = x->dims[axis], start = attr->start, length = attr->length;
  if (start < 0 || length < 0 || start > size || length > size - start)
    return cg_call_fail(call, CG_ERR_ARG,
                        "%lld elements from %lld on, of axis %d with %lld",
                        (long long)length, (long long)start, axis,
                        (long long)size);
  view_of(call, spec);
  spec->shape[axis] = length;
  spec->offset = start * spec->strides[axis];
  return CG_OK;
}

static void narrow_vjp(cg_vjp *v) {
  const narrow_attr *attr = cg_vjp_attr(v);
  cg_vjp_give_narrow(v, 0, cg_vjp_gy(v),
                     shape_axis(attr->axis, cg_vjp_in_rank(v, 0)),
                     attr->start);
}

static const narrow_attr head = {0, 0, 2}, tail = {-1, 1, 2},
                         nothing = {0, 2, 0};
static const cg_op_case narrow_cases[] = {
    {"f[5]", &head},      {"f[2,3]", &tail},   {"f[3,2,4]", &tail},
    {"f[3,2]", &nothing}, {"f[4,2]", &head},  {"f[0,3]", &tail},
};

const cg_op cg_op_narrow = {
    .name = "narrow",
    .formula = "y = x[start : start + length] along an axis",
    .derivative = "gx = gy there, 0 elsewhere",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(narrow_attr),
    .infer = narrow_infer,
    .vjp = narrow_vjp,
    CG_CASES(narrow_cases),
};

cg_tensor *cg_narrow(cg_tape *tape, cg_tensor *x, int axis, int64_t start,
                     int64_t length) {
  narrow_attr attr = {axis, start, length};
  return cg_record(tape, &cg_op_narrow, &x, 1, &attr);
}

static cg_status select_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const narrow_attr *attr = call->attr;
  int axis = shape_axis(attr->axis, x->rank);
  if (axis < 0) return fail_axis(call, attr->axis);
  int64_t size = x->dims[axis], index = attr->start;
  if (index < 0) index += size;
  if (index < 0 || index >= size)
    return cg_call_fail(call, CG_ERR_ARG, "index %lld of axis %d with %lld",
                        (long long)attr->start, axis, (long long)size);
  view_of(call, spec);
  spec->offset = index * spec->strides[axis];
  spec->rank--;
  for (int i = axis; i < spec->rank; i++) {
    spec->shape[i] = spec->shape[i + 1];
    spec->strides[i] = spec->strides[i + 1];
  }
  return CG_OK;
}

static void select_vjp(cg_vjp *v) {
  const narrow_attr *attr = cg_vjp_attr(v);
  const int axis = shape_axis(attr->axis, cg_vjp_in_rank(v, 0));
  const int64_t size = cg_vjp_in_shape(v, 0)[axis], index = attr->start;
  cg_vjp_give_select(v, 0, cg_vjp_gy(v), axis,
                     index < 0 ? index + size : index);
}

static const narrow_attr one = {0, 1, -1}, from_end = {-1, -1, -1};
static const cg_op_case select_cases[] = {
    {"f[3]", &one},         {"f[2,3]", &one}, {"f[2,3]", &from_end},
    {"f[2,3,4]", &from_end}, {"f[2,0]", &one},
};

const cg_op cg_op_select = {
    .name = "select",
    .formula = "y = x[index] along an axis, which is dropped",
    .derivative = "gx = gy there, 0 elsewhere",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(narrow_attr),
    .infer = select_infer,
    .vjp = select_vjp,
    CG_CASES(select_cases),
};

/* A step of a time loop, of which the shape rule has little to say. */
static cg_tensor *select_row(cg_tape *tape, cg_tensor *x,
                             const narrow_attr *attr) {
  cg_spec spec;
  spec.dtype = (cg_dtype)x->dtype;
  spec.rank = x->rank - 1;
  spec.is_view = true;
  spec.offset = attr->start * t_strides(x)[0];
  for (int i = 0; i < spec.rank; i++) {
    spec.shape[i] = x->dims[i + 1];
    spec.strides[i] = t_strides(x)[i + 1];
  }
  return record_view(tape, &cg_op_select, x, attr, &spec);
}

cg_tensor *cg_select(cg_tape *tape, cg_tensor *x, int axis, int64_t index) {
  narrow_attr attr = {axis, index, -1};
  if (tape && !(tape->error.status | tape->watch) && axis == 0 && index >= 0) {
    x = tape_operand(tape, x, "select", 0);
    if (!x) return NULL;
    if (x->rank && index < x->dims[0]) return select_row(tape, x, &attr);
  }
  return cg_record(tape, &cg_op_select, &x, 1, &attr);
}

/* ---- expand ---- */

static cg_status expand_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const shape_attr *to = call->attr;
  int rank = to->rank;
  int64_t shape[CG_MAX_RANK], numel;
  for (int i = 0; i < rank; i++) shape[i] = to->shape[i];
  if (x->rank > rank || !shape_numel(rank, shape, &numel) ||
      !shape_broadcast(&rank, shape, x->rank, t_shape(x)) ||
      !shape_equal(rank, shape, to->rank, to->shape)) {
    char have[96], want[96];
    return cg_call_fail(call, CG_ERR_SHAPE, "%s does not broadcast to %s",
                        cg_tensor_shape_text(x, have, sizeof have),
                        shape_text(to->rank, to->shape, want, sizeof want));
  }
  cg_spec_set(spec, x->dtype, rank, shape);
  spec->is_view = true;
  spec->offset = 0;
  shape_expand_strides(rank, shape, x->rank, t_shape(x), t_strides(x),
                       spec->strides);
  return CG_OK;
}

static void expand_vjp(cg_vjp *v) { cg_vjp_give(v, 0, cg_vjp_gy(v)); }

static const shape_attr to_23 = {2, {2, 3}}, to_423 = {3, {4, 2, 3}},
                        to_03 = {2, {0, 3}};
static const cg_op_case expand_cases[] = {
    {"f[]", &to_23},   {"f[3]", &to_23},   {"f[2,1]", &to_423},
    {"f[2,3]", &to_23}, {"f[1,3]", &to_03}, {"f[0,3]", &to_03},
};

const cg_op cg_op_expand = {
    .name = "expand",
    .formula = "y = x broadcast to a shape",
    .derivative = "gx = gy summed over the repeats",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(shape_attr),
    .infer = expand_infer,
    .vjp = expand_vjp,
    CG_CASES(expand_cases),
};

cg_tensor *cg_expand(cg_tape *tape, cg_tensor *x, int rank,
                     const int64_t *shape) {
  return record_shape(tape, &cg_op_expand, x, rank, shape);
}

/* ---- detach and copy ---- */

static cg_status detach_infer(const cg_call *call, cg_spec *spec) {
  view_of(call, spec);
  return CG_OK;
}

static const cg_op_case plain_cases[] = {
    {"f[]", NULL}, {"f[2,3]", NULL}, {"f[0]", NULL},
};

const cg_op cg_op_detach = {
    .name = "detach",
    .formula = "y = x",
    .derivative = "none: y is a constant",
    .min_in = 1,
    .max_in = 1,
    .infer = detach_infer,
    CG_CASES(plain_cases),
};

cg_tensor *cg_detach(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_detach, x);
}

static cg_status copy_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static void copy_vjp(cg_vjp *v) { cg_vjp_give(v, 0, cg_vjp_gy(v)); }

const cg_op cg_op_copy = {
    .name = "copy",
    .formula = "y = x in memory of its own",
    .derivative = "gx = gy",
    .min_in = 1,
    .max_in = 1,
    .infer = copy_infer,
    .forward = copy_forward,
    .vjp = copy_vjp,
    CG_CASES(plain_cases),
};

cg_tensor *cg_contiguous(cg_tape *tape, cg_tensor *x) {
  if (!tape_can_use(tape, x, "contiguous", 0)) return NULL;
  return cg_tensor_contiguous(x) ? x : record1(tape, &cg_op_copy, x);
}
