/* op_slice.c - every so many-th index along an axis, forwards or backwards, as
 * a view; and what is composed of it. */
#include "axis_rows.h"
#include "kernel.h"
#include "op_impl.h"

typedef struct slice_attr {
  int axis;
  int64_t start, step;
  int64_t n; /* length of a slice; size of the axis for slice_grad */
} slice_attr;

/* Are start, start + step, ... (length of them) all in 0 .. size-1? */
static bool in_range(int64_t start, int64_t step, int64_t length,
                     int64_t size) {
  int64_t last;
  if (length < 0 || step == 0) return false;
  if (length == 0) return true;
  return start >= 0 && start < size &&
         !__builtin_mul_overflow(length - 1, step, &last) &&
         !__builtin_add_overflow(last, start, &last) && last >= 0 &&
         last < size;
}

static cg_status fail_range(const cg_call *call, const slice_attr *attr,
                            int64_t length, int64_t size) {
  return cg_call_fail(call, CG_ERR_ARG,
                      "%lld elements from %lld on in steps of %lld, of axis %d "
                      "with %lld",
                      (long long)length, (long long)attr->start,
                      (long long)attr->step, attr->axis, (long long)size);
}

/* ---- slice ---- */

static cg_status slice_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const slice_attr *attr = call->attr;
  int axis = axis_want(call, attr->axis);
  if (axis < 0) return CG_ERR_ARG;
  if (!in_range(attr->start, attr->step, attr->n, x->dims[axis]))
    return fail_range(call, attr, attr->n, x->dims[axis]);
  cg_spec_like(spec, x);
  spec->is_view = true;
  spec->offset = attr->n ? attr->start * t_strides(x)[axis] : 0;
  for (int i = 0; i < x->rank; i++) spec->strides[i] = t_strides(x)[i];
  spec->shape[axis] = attr->n;
  if (attr->n > 1) spec->strides[axis] *= attr->step;
  return CG_OK;
}

static void slice_vjp(cg_vjp *v) {
  const slice_attr *attr = cg_vjp_attr(v);
  int axis = shape_axis(attr->axis, cg_vjp_in_rank(v, 0));
  if (attr->step == 1 && attr->n)
    cg_vjp_give_narrow(v, 0, cg_vjp_gy(v), axis, attr->start);
  else
    cg_vjp_give(v, 0, cg_slice_grad(cg_vjp_tape(v), cg_vjp_gy(v), axis,
                                    attr->start, attr->step,
                                    cg_vjp_in_shape(v, 0)[axis]));
}

static const slice_attr odd = {0, 1, 2, 2}, back = {-1, 2, -1, 3},
                        two = {1, 0, 1, 2}, none = {0, 0, 3, 0},
                        back_2 = {1, 3, -2, 2};
static const cg_op_case slice_cases[] = {
    {"f[5]", &odd},     {"f[4,3]", &odd},    {"f[2,3]", &back},
    {"f[2,4,2]", &two}, {"f[2,4]", &back_2}, {"f[0,3]", &back},
    {"f[3,2]", &none},  {"f[0]", &none},
};

const cg_op cg_op_slice = {
    .name = "slice",
    .formula = "y_i = x[start + i step] along an axis",
    .derivative = "gx[start + i step] = gy_i, 0 elsewhere",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(slice_attr),
    .infer = slice_infer,
    .vjp = slice_vjp,
    CG_CASES(slice_cases),
};

cg_tensor *cg_slice(cg_tape *tape, cg_tensor *x, int axis, int64_t start,
                    int64_t step, int64_t length) {
  slice_attr attr = {axis, start, step, length};
  return cg_record(tape, &cg_op_slice, &x, 1, &attr);
}

/* ---- slice_grad ---- */

static cg_status slice_grad_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *g = call->in[0];
  const slice_attr *attr = call->attr;
  int axis = axis_want(call, attr->axis);
  if (axis < 0) return CG_ERR_ARG;
  if (attr->n < 0 ||
      !in_range(attr->start, attr->step, g->dims[axis], attr->n))
    return fail_range(call, attr, g->dims[axis], attr->n);
  cg_spec_like(spec, g);
  spec->shape[axis] = attr->n;
  return cg_call_want_float(call, 0);
}

static cg_status slice_grad_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *g = call->in[0];
  const slice_attr *attr = call->attr;
  const int axis = shape_axis(attr->axis, g->rank);
  int64_t strides[CG_MAX_RANK];
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  if (t_numel(g) == 0) return CG_OK;
  for (int i = 0; i < g->rank; i++) strides[i] = t_strides(out)[i];
  int64_t at = attr->start * strides[axis] * (int64_t)dtype_size(out->dtype);
  if (g->dims[axis] > 1) strides[axis] *= attr->step;
  kernel_copy_strided(g->dtype, g->rank, t_shape(g), (char *)out->data + at,
                      strides, g->data, t_strides(g));
  return CG_OK;
}

static void slice_grad_vjp(cg_vjp *v) {
  const slice_attr *attr = cg_vjp_attr(v);
  int axis = shape_axis(attr->axis, cg_vjp_in_rank(v, 0));
  cg_vjp_give(v, 0, cg_slice(cg_vjp_tape(v), cg_vjp_gy(v), axis, attr->start,
                             attr->step, cg_vjp_in_shape(v, 0)[axis]));
}

static const slice_attr odd_of_5 = {0, 1, 2, 5}, back_of_3 = {-1, 2, -1, 3},
                        back_of_6 = {1, 5, -2, 6};
static const cg_op_case slice_grad_cases[] = {
    {"f[2]", &odd_of_5},  {"f[2,3]", &back_of_3}, {"f[2,3,2]", &back_of_6},
    {"f[1]", &odd_of_5},  {"f[0,3]", &odd_of_5},  {"f[0,3]", &back_of_3},
};

const cg_op cg_op_slice_grad = {
    .name = "slice_grad",
    .formula = "y[start + i step] = x_i along an axis, 0 elsewhere",
    .derivative = "gx_i = gy[start + i step]",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(slice_attr),
    .infer = slice_grad_infer,
    .forward = slice_grad_forward,
    .vjp = slice_grad_vjp,
    CG_CASES(slice_grad_cases),
};

cg_tensor *cg_slice_grad(cg_tape *tape, cg_tensor *g, int axis, int64_t start,
                         int64_t step, int64_t size) {
  slice_attr attr = {axis, start, step, size};
  return cg_record(tape, &cg_op_slice_grad, &g, 1, &attr);
}

/* ---- flip: composed, one slice per axis ---- */

cg_tensor *cg_flip(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes) {
  if (cg_tape_status(tape)) return NULL;
  bool seen[CG_MAX_RANK] = {false};
  if (n_axes < 0 || (n_axes && !axes))
    return cg_tape_fail(tape, CG_ERR_ARG, "flip", "the axes are missing");
  for (int k = 0; k < n_axes; k++) {
    int axis = shape_axis(axes[k], cg_tensor_rank(x));
    char text[96];
    if (axis < 0 || seen[axis])
      return cg_tape_fail(tape, CG_ERR_ARG, "flip", "axis %d of %s is %s",
                          axes[k], cg_tensor_shape_text(x, text, sizeof text),
                          axis < 0 ? "out of range" : "named twice");
    seen[axis] = true;
  }
  cg_tensor *y = n_axes ? x : cg_expand(tape, x, cg_tensor_rank(x),
                                        cg_tensor_shape(x));
  for (int k = 0; k < n_axes; k++) {
    int64_t n = cg_tensor_dim(x, axes[k]);
    y = cg_slice(tape, y, axes[k], n - 1, -1, n);
  }
  return y;
}
