/* op_logsumexp.c - the logarithm of a sum of exponentials, without overflow. */
#include "axis_rows.h"
#include "op_map.h"
#include "reduce_axes.h"

/* ---- exp_sub: e^(a - b), closed under derivatives ---- */

static cg_status exp_sub_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_exp_sub, 0);
}

static void exp_sub_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_mul(t, cg_vjp_gy(v), cg_vjp_out(v));
  cg_vjp_give(v, 0, g);
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_neg(t, g));
}

static const cg_op_case exp_sub_cases[] = {
    {"f[] f[]", NULL},       {"f[2,3] f[2,3]", NULL}, {"f[2,3] f[2,1]", NULL},
    {"f[19] f[19]", NULL},   {"f[0,3] f[3]", NULL},
};

const cg_op cg_op_exp_sub = {
    .name = "exp_sub",
    .formula = "y = e^(a - b), 0 where a = -inf",
    .derivative = "ga = gy y, gb = -gy y",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = exp_sub_forward,
    .vjp = exp_sub_vjp,
    CG_CASES(exp_sub_cases),
};

cg_tensor *cg_exp_sub(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_exp_sub, a, b);
}

/* ---- logsumexp; its attribute is a reduce_attr with one axis ---- */

static cg_status logsumexp_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  const reduce_attr *attr = call->attr;
  axis_row row = x->dtype == CG_F32 ? kernel_logsumexp_row.f32
                                    : kernel_logsumexp_row.f64;
  axis_rows(row, x, shape_axis(attr->axes[0], x->rank), out);
  return CG_OK;
}

static void logsumexp_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *p = cg_exp_sub(t, cg_vjp_in(v, 0),
                            reduce_restore(v, cg_vjp_out(v)));
  cg_vjp_give(v, 0, cg_mul(t, p, reduce_restore(v, cg_vjp_gy(v))));
}

static const reduce_attr on_0 = {1, false, {0}}, on_1 = {1, false, {1}},
                         on_last = {1, true, {-1}};
static const cg_op_case logsumexp_cases[] = {
    {"f[5]", &on_0},       {"f[2,3]", &on_0}, {"f[2,3,2]", &on_1},
    {"f[2,19]", &on_last}, {"f[1]", &on_last}, {"f[0,3]", &on_last},
    {"f[3,0]", &on_0},
};

const cg_op cg_op_logsumexp = {
    .name = "logsumexp",
    .formula = "y = log sum_j e^x_j along an axis",
    .derivative = "gx = gy e^(x - y)",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(reduce_attr),
    .infer = reduce_infer,
    .forward = logsumexp_forward,
    .vjp = logsumexp_vjp,
    CG_CASES(logsumexp_cases),
};

cg_tensor *cg_logsumexp(cg_tape *tape, cg_tensor *x, int axis, bool keep) {
  return reduce_record(tape, &cg_op_logsumexp, x, &axis, 1, keep);
}
