/* op_gather.c - elements along an axis by index, and the transpose of that. */
#include <string.h>

#include "index_operand.h"
#include "kernel.h"
#include "nd.h"
#include "op_impl.h"

typedef struct gather_attr {
  int axis;
  int64_t size; /* of the result along the axis; gather_grad only */
} gather_attr;

/* ---- what both ops share ---- */

/* Reads types, the axis and the shapes that both ops need: operand 1 (indices)
 * has operand 0's rank and its sizes, if `axis_free` not
 * necessarily on the axis. */
static cg_status check_gather(const cg_call *call, bool axis_free, int *axis) {
  const cg_tensor *x = call->in[0], *index = call->in[1];
  const gather_attr *attr = call->attr;
  cg_status status = cg_call_want_float(call, 0);
  if (!status) status = index_want(call, 1);
  if (status) return status;
  char xs[96], is[96];
  cg_tensor_shape_text(x, xs, sizeof xs);
  cg_tensor_shape_text(index, is, sizeof is);
  *axis = shape_axis(attr->axis, x->rank);
  if (*axis < 0)
    return cg_call_fail(call, CG_ERR_ARG, "axis %d of shape %s does not exist",
                        attr->axis, xs);
  bool fits = x->rank == index->rank;
  for (int i = 0; fits && i < x->rank; i++)
    fits = x->dims[i] == index->dims[i] || (axis_free && i == *axis);
  if (fits) return CG_OK;
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "indices %s do not fit %s%s %d", is, xs,
                      axis_free ? " off axis" : " with axis", *axis);
}

/* A walk over the positions of the indices, whose data is `dense`, and at each
 * the place in `wide` with index 0 along the axis. Steps are in bytes. */
static bool walk_indices(nd *it, const cg_tensor *index, const int64_t *dense,
                         const cg_tensor *wide, const cg_tensor *narrow,
                         int axis) {
  int64_t row_major[CG_MAX_RANK], s[ND_ARRAYS][CG_MAX_RANK];
  const int64_t size = (int64_t)cg_dtype_size(wide->dtype);
  shape_strides(index->rank, t_shape(index), row_major);
  for (int i = 0; i < index->rank; i++) {
    s[0][i] = i == axis ? 0 : t_strides(wide)[i] * size;
    s[1][i] = t_strides(narrow)[i] * size;
    s[2][i] = row_major[i] * (int64_t)sizeof *dense;
  }
  void *data[ND_ARRAYS] = {wide->data, narrow->data, (void *)(uintptr_t)dense};
  const int64_t *strides[ND_ARRAYS] = {s[0], s[1], s[2]};
  return nd_begin(it, index->rank, t_shape(index), 1, data, strides);
}

static int64_t index_at(const nd *it, int64_t i) {
  return *(const int64_t *)(const void *)(it->at[2] + i * it->step[2]);
}

/* ---- gather ---- */

static cg_status gather_infer(const cg_call *call, cg_spec *spec) {
  int axis;
  cg_status status = check_gather(call, true, &axis);
  if (!status)
    cg_spec_set(spec, call->in[0]->dtype, call->in[1]->rank,
                t_shape(call->in[1]));
  return status;
}

static cg_status gather_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0], *index = call->in[1];
  const int axis = shape_axis(((const gather_attr *)call->attr)->axis, x->rank);
  const size_t size = cg_dtype_size(x->dtype);
  const int64_t along = t_strides(x)[axis] * (int64_t)size;
  const int64_t *dense;
  cg_status status = index_dense(call, 1, x->dims[axis], &dense);
  nd it;
  if (status || !walk_indices(&it, index, dense, x, out, axis)) return status;
  do
    for (int64_t i = 0; i < it.n; i++)
      memcpy(it.at[1] + i * it.step[1],
             it.at[0] + i * it.step[0] + index_at(&it, i) * along, size);
  while (nd_next(&it));
  return CG_OK;
}

static void gather_vjp(cg_vjp *v) {
  const gather_attr *attr = cg_vjp_attr(v);
  if (!cg_vjp_needs(v, 0)) return;
  const int axis = shape_axis(attr->axis, cg_vjp_in_rank(v, 0));
  cg_vjp_give(v, 0,
              cg_gather_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 1),
                             axis, cg_vjp_in_shape(v, 0)[axis]));
}

static const gather_attr to_4_on_0 = {0, 4}, to_4_on_1 = {1, 4},
                         to_4_last = {-1, 4}, to_0 = {0, 0};
static const cg_op_case gather_cases[] = {
    {"f[3] i[5]<3", &to_4_on_0},           {"f[3,2] i[4,2]<3", &to_4_on_0},
    {"f[3,2] i[3,5]<2", &to_4_last},       {"f[2,3,2] i[2,4,2]<3", &to_4_on_1},
    {"f[3,2] i[0,2]<3", &to_4_on_0},       {"f[0,2] i[0,3]<2", &to_4_on_1},
    {"f[2,1,3] i[2,1,1]<3", &to_4_last},
};

const cg_op cg_op_gather = {
    .name = "gather",
    .formula = "y[i] = x[i with index[i] on the axis]",
    .derivative = "gx[i with index[i] on the axis] += gy[i]",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(gather_attr),
    .infer = gather_infer,
    .forward = gather_forward,
    .vjp = gather_vjp,
    CG_CASES(gather_cases),
    .n_diff = 1,
};

cg_tensor *cg_gather(cg_tape *tape, cg_tensor *x, int axis, cg_tensor *index) {
  gather_attr attr = {axis, 0};
  cg_tensor *in[] = {x, index};
  return cg_record(tape, &cg_op_gather, in, 2, &attr);
}

/* ---- gather_grad ---- */

static cg_status gather_grad_infer(const cg_call *call, cg_spec *spec) {
  const gather_attr *attr = call->attr;
  int axis;
  cg_status status = check_gather(call, false, &axis);
  if (status) return status;
  if (attr->size < 0)
    return cg_call_fail(call, CG_ERR_ARG,
                        "size is %lld; it cannot be negative",
                        (long long)attr->size);
  cg_spec_like(spec, call->in[0]);
  spec->shape[axis] = attr->size;
  return CG_OK;
}

static cg_status gather_grad_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *g = call->in[0], *index = call->in[1];
  const int axis = shape_axis(((const gather_attr *)call->attr)->axis, g->rank);
  const int64_t size = (int64_t)cg_dtype_size(g->dtype);
  const int64_t along = t_strides(out)[axis] * size;
  const int64_t *dense;
  cg_status status = index_dense(call, 1, out->dims[axis], &dense);
  if (status) return status;
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  nd it;
  if (!walk_indices(&it, index, dense, out, g, axis)) return CG_OK;
  do
    for (int64_t i = 0; i < it.n; i++) {
      void *y = it.at[0] + i * it.step[0] + index_at(&it, i) * along;
      const void *x = it.at[1] + i * it.step[1];
      if (g->dtype == CG_F32)
        *(float *)y += *(const float *)x;
      else
        *(double *)y += *(const double *)x;
    }
  while (nd_next(&it));
  return CG_OK;
}

static void gather_grad_vjp(cg_vjp *v) {
  const gather_attr *attr = cg_vjp_attr(v);
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0,
                cg_gather(cg_vjp_tape(v), cg_vjp_gy(v), attr->axis,
                          cg_vjp_in(v, 1)));
}

static const cg_op_case gather_grad_cases[] = {
    {"f[5] i[5]<4", &to_4_on_0},         {"f[6,2] i[6,2]<4", &to_4_on_0},
    {"f[3,5] i[3,5]<4", &to_4_last},     {"f[2,3,2] i[2,3,2]<4", &to_4_on_1},
    {"f[0,2] i[0,2]<4", &to_4_on_0},     {"f[0,2] i[0,2]<1", &to_0},
};

const cg_op cg_op_gather_grad = {
    .name = "gather_grad",
    .formula = "y[i with index[i] on the axis] += x[i], from y = 0",
    .derivative = "gx[i] = gy[i with index[i] on the axis]",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(gather_attr),
    .infer = gather_grad_infer,
    .forward = gather_grad_forward,
    .vjp = gather_grad_vjp,
    CG_CASES(gather_grad_cases),
    .n_diff = 1,
};

cg_tensor *cg_gather_grad(cg_tape *tape, cg_tensor *g, cg_tensor *index,
                          int axis, int64_t size) {
  gather_attr attr = {axis, size};
  cg_tensor *in[] = {g, index};
  return cg_record(tape, &cg_op_gather_grad, in, 2, &attr);
}
