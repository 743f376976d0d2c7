/* op_extreme.c - largest and smallest elements over axes, and their places. */
#include <math.h>

#include "axis_rows.h"
#include "kernel.h"
#include "reduce_axes.h"

/* ---- max and min over chosen axes ---- */

/* There is no largest of no elements. */
static cg_status extreme_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  bool reduced[CG_MAX_RANK];
  cg_status status = reduce_infer(call, spec);
  if (!status) status = reduce_axes(call, reduced);
  for (int i = 0; !status && i < x->rank; i++)
    if (reduced[i] && x->dims[i] == 0) {
      char text[96];
      status = cg_call_fail(call, CG_ERR_SHAPE,
                            "axis %d of %s has no elements to choose from", i,
                            cg_tensor_shape_text(x, text, sizeof text));
    }
  return status;
}

static cg_status extreme(const cg_call *call, cg_tensor *out, bool smallest) {
  const cg_tensor *x = call->in[0];
  int64_t strides[CG_MAX_RANK];
  reduce_strides(call, out, strides);
  kernel_fill(out->dtype, t_numel(out), out->data,
              smallest ? (double)INFINITY : (double)-INFINITY);
  kernel_extreme_strided(x->dtype, smallest, x->rank, t_shape(x), out->data,
                         strides, x->data, t_strides(x));
  return CG_OK;
}

static cg_status max_forward(const cg_call *call, cg_tensor *out) {
  return extreme(call, out, false);
}

static cg_status min_forward(const cg_call *call, cg_tensor *out) {
  return extreme(call, out, true);
}

static void extreme_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *share = cg_extreme_share(t, cg_vjp_in(v, 0),
                                      reduce_restore(v, cg_vjp_out(v)));
  cg_vjp_give(v, 0, cg_mul(t, share, reduce_restore(v, cg_vjp_gy(v))));
}

static const reduce_attr all = {0}, first = {1, false, {0}},
                         last_kept = {1, true, {-1}},
                         outer = {2, false, {0, 2}};
static const cg_op_case extreme_cases[] = {
    {"f[]", &all},          {"f[5]", &first},       {"f[2,3]", &all},
    {"f[2,3]", &first},     {"f[2,3]", &last_kept}, {"f[2,3,4]", &outer},
    {"f[2,19]", &last_kept}, {"f[3,0]", &first},    {"f[0,3]", &last_kept},
};

const cg_op cg_op_max = {
    .name = "max",
    .formula = "y = largest x over axes",
    .derivative = "gx = gy / k at each of the k largest, else 0",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(reduce_attr),
    .infer = extreme_infer,
    .forward = max_forward,
    .vjp = extreme_vjp,
    CG_CASES(extreme_cases),
};

const cg_op cg_op_min = {
    .name = "min",
    .formula = "y = smallest x over axes",
    .derivative = "gx = gy / k at each of the k smallest, else 0",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(reduce_attr),
    .infer = extreme_infer,
    .forward = min_forward,
    .vjp = extreme_vjp,
    CG_CASES(extreme_cases),
};

cg_tensor *cg_max(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                  bool keep) {
  return reduce_record(tape, &cg_op_max, x, axes, n_axes, keep);
}

cg_tensor *cg_min(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                  bool keep) {
  return reduce_record(tape, &cg_op_min, x, axes, n_axes, keep);
}

/* ---- extreme_share: piecewise constant, so without a derivative ---- */

static cg_status share_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0], *y = call->in[1];
  cg_status status = cg_spec_broadcast(call, spec);
  if (status || (t_same_shape(x, y) || shape_equal(spec->rank, spec->shape,
                                                   x->rank, t_shape(x))))
    return status;
  char xs[96], ys[96];
  return cg_call_fail(call, CG_ERR_SHAPE, "%s does not broadcast to %s",
                      cg_tensor_shape_text(y, ys, sizeof ys),
                      cg_tensor_shape_text(x, xs, sizeof xs));
}

/* [x = y] and how many there are of them, in scratch memory; the one divided by
 * the other is the result. */
static cg_status share_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0], *y = call->in[1];
  const cg_dtype dtype = (cg_dtype)x->dtype;
  const int64_t *dims = t_shape(x);
  int64_t wide[CG_MAX_RANK], many[CG_MAX_RANK], dense[CG_MAX_RANK];
  if (t_numel(x) == 0) return CG_OK;
  void *equal = cg_call_scratch(call, (size_t)t_numel(x) * dtype_size(dtype));
  void *count = cg_call_scratch(call, (size_t)t_numel(y) * dtype_size(dtype));
  if (!equal || !count) return cg_tape_status(call->tape);
  shape_expand_strides(x->rank, dims, y->rank, t_shape(y), t_strides(y), wide);
  shape_strides(y->rank, t_shape(y), dense);
  shape_expand_strides(x->rank, dims, y->rank, t_shape(y), dense, many);
  kernel_map_run(&kernel_is_equal, dtype, x->rank, dims, equal, x->data,
                 t_strides(x), y->data, wide, 0);
  kernel_fill(dtype, t_numel(y), count, 0);
  kernel_add_strided(dtype, x->rank, dims, count, many, equal, t_strides(out));
  kernel_map_run(&kernel_div, dtype, x->rank, dims, out->data, equal,
                 t_strides(out), count, many, 0);
  return CG_OK;
}

static const cg_op_case share_cases[] = {
    {"f[] f[]", NULL},       {"f[3] f[]", NULL}, {"f[2,3] f[2,1]", NULL},
    {"f[0,3] f[0,1]", NULL},
};

const cg_op cg_op_extreme_share = {
    .name = "extreme_share",
    .formula = "s = [x = y] / (how many x are y)",
    .derivative = "none: s is piecewise constant",
    .min_in = 2,
    .max_in = 2,
    .infer = share_infer,
    .forward = share_forward,
    CG_CASES(share_cases),
};

cg_tensor *cg_extreme_share(cg_tape *tape, cg_tensor *x, cg_tensor *y) {
  return record2(tape, &cg_op_extreme_share, x, y);
}

/* ---- argmax and argmin along an axis ---- */

typedef struct where_attr {
  int axis;
  bool keep;
} where_attr;

static cg_status where_infer(const cg_call *call, cg_spec *spec) {
  const where_attr *attr = call->attr;
  const cg_tensor *x = call->in[0];
  cg_status status = cg_call_want_float(call, 0);
  int axis = status ? -1 : axis_want(call, attr->axis);
  if (axis < 0) return cg_tape_status(call->tape);
  if (x->dims[axis] == 0) {
    char text[96];
    return cg_call_fail(call, CG_ERR_SHAPE,
                        "axis %d of %s has no elements to choose from", axis,
                        cg_tensor_shape_text(x, text, sizeof text));
  }
  int rank = 0;
  int64_t shape[CG_MAX_RANK];
  for (int i = 0; i < x->rank; i++) {
    if (i != axis)
      shape[rank++] = x->dims[i];
    else if (attr->keep)
      shape[rank++] = 1;
  }
  cg_spec_set(spec, CG_I64, rank, shape);
  return CG_OK;
}

static cg_status find(const cg_call *call, cg_tensor *out,
                      const kernel_softmax *f) {
  const cg_tensor *x = call->in[0];
  const where_attr *attr = call->attr;
  axis_rows(x->dtype == CG_F32 ? f->f32 : f->f64, x,
            shape_axis(attr->axis, x->rank), out);
  return CG_OK;
}

static cg_status argmax_forward(const cg_call *call, cg_tensor *out) {
  return find(call, out, &kernel_argmax_row);
}

static cg_status argmin_forward(const cg_call *call, cg_tensor *out) {
  return find(call, out, &kernel_argmin_row);
}

static const where_attr on_0 = {0, false}, on_last = {-1, true};
static const cg_op_case where_cases[] = {
    {"f[5]", &on_0},   {"f[2,3]", &on_0}, {"f[2,3,4]", &on_last},
    {"f[3,0]", &on_0},
};

const cg_op cg_op_argmax = {
    .name = "argmax",
    .formula = "y = the first index of the largest x along an axis",
    .derivative = "none: indices have no derivative",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(where_attr),
    .infer = where_infer,
    .forward = argmax_forward,
    CG_CASES(where_cases),
};

const cg_op cg_op_argmin = {
    .name = "argmin",
    .formula = "y = the first index of the smallest x along an axis",
    .derivative = "none: indices have no derivative",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(where_attr),
    .infer = where_infer,
    .forward = argmin_forward,
    CG_CASES(where_cases),
};

cg_tensor *cg_argmax(cg_tape *tape, cg_tensor *x, int axis, bool keep) {
  where_attr attr = {.axis = axis, .keep = keep};
  return cg_record(tape, &cg_op_argmax, &x, 1, &attr);
}

cg_tensor *cg_argmin(cg_tape *tape, cg_tensor *x, int axis, bool keep) {
  where_attr attr = {.axis = axis, .keep = keep};
  return cg_record(tape, &cg_op_argmin, &x, 1, &attr);
}
