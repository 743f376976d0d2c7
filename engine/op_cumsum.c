/* op_cumsum.c - running sums along an axis. */
#include "axis_rows.h"
#include "kernel.h"
#include "op_impl.h"

typedef struct cumsum_attr {
  int axis;
  bool reverse;
} cumsum_attr;

static cg_status cumsum_infer(const cg_call *call, cg_spec *spec) {
  const cumsum_attr *attr = call->attr;
  cg_spec_like(spec, call->in[0]);
  cg_status status = cg_call_want_float(call, 0);
  if (status) return status;
  return axis_want(call, attr->axis) < 0 ? CG_ERR_ARG : CG_OK;
}

static cg_status cumsum_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  const cumsum_attr *attr = call->attr;
  const kernel_softmax *f =
      attr->reverse ? &kernel_cumsum_reverse_row : &kernel_cumsum_row;
  axis_rows(x->dtype == CG_F32 ? f->f32 : f->f64, x,
            shape_axis(attr->axis, x->rank), out);
  return CG_OK;
}

/* The transpose sums from the other end. */
static void cumsum_vjp(cg_vjp *v) {
  const cumsum_attr *attr = cg_vjp_attr(v);
  cg_vjp_give(v, 0, cg_cumsum(cg_vjp_tape(v), cg_vjp_gy(v), attr->axis,
                              !attr->reverse));
}

static const cumsum_attr on_0 = {0, false}, back_1 = {1, true},
                         back_last = {-1, true}, on_last = {-1, false};
static const cg_op_case cumsum_cases[] = {
    {"f[5]", &on_0},       {"f[2,3]", &on_0},   {"f[2,3,2]", &back_1},
    {"f[2,3]", &back_last}, {"f[2,3]", &on_last}, {"f[0,3]", &on_last},
    {"f[3,0]", &back_last},
};

const cg_op cg_op_cumsum = {
    .name = "cumsum",
    .formula = "y_i = sum of x_j over j <= i, or j >= i in reverse",
    .derivative = "gx = the cumsum of gy from the other end",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(cumsum_attr),
    .infer = cumsum_infer,
    .forward = cumsum_forward,
    .vjp = cumsum_vjp,
    CG_CASES(cumsum_cases),
};

cg_tensor *cg_cumsum(cg_tape *tape, cg_tensor *x, int axis, bool reverse) {
  cumsum_attr attr = {.axis = axis, .reverse = reverse};
  return cg_record(tape, &cg_op_cumsum, &x, 1, &attr);
}
