/* op_activation.c - activations beyond those of op_unary.c, and clamp. An op
 * <name>_grad is the derivative factor of <name>, as an op of gy and x. */
#include <math.h>

#include "op_map.h"

/* ---- what the family shares ---- */

typedef struct number_attr {
  double c;
} number_attr;

static double number(const cg_call *call) {
  return ((const number_attr *)call->attr)->c;
}

static double vjp_number(const cg_vjp *v) {
  return ((const number_attr *)cg_vjp_attr(v))->c;
}

/* One or two operands and a number. */
static cg_tensor *record_number(cg_tape *tape, const cg_op *op, cg_tensor *a,
                                cg_tensor *b, double c) {
  number_attr attr = {c};
  cg_tensor *in[] = {a, b};
  return cg_record(tape, op, in, op->min_in, &attr);
}

static const number_attr some_number = {0.37};

#define PLAIN_CASES(attr)                                        \
  {"f[]", attr}, {"f[5]", attr}, {"f[2,3]", attr}, {"f[0,2]", attr}, \
      {"f[2,1,19]", attr}
#define FACTOR_CASES(attr)                                            \
  {"f[] f[]", attr}, {"f[5] f[5]", attr}, {"f[2,3] f[3]", attr},      \
      {"f[0] f[0]", attr}, {"f[2,1] f[1,19]", attr}

static const cg_op_case plain_cases[] = {PLAIN_CASES(NULL)};
static const cg_op_case factor_cases[] = {FACTOR_CASES(NULL)};
static const cg_op_case number_cases[] = {PLAIN_CASES(&some_number)};
static const cg_op_case number_factor_cases[] = {FACTOR_CASES(&some_number)};

/* ---- softplus ---- */

static cg_status softplus_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_softplus, 0);
}

static void softplus_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_sigmoid(t, cg_vjp_in(v, 0));
  cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), d));
}

const cg_op cg_op_softplus = {
    .name = "softplus",
    .formula = "y = log(1 + e^x)",
    .derivative = "gx = gy sigmoid(x)",
    .min_in = 1,
    .max_in = 1,
    .infer = cg_spec_broadcast,
    .forward = softplus_forward,
    .vjp = softplus_vjp,
    CG_CASES(plain_cases),
};

cg_tensor *cg_softplus(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_softplus, x);
}

/* ---- leaky_relu ---- */

static cg_tensor *leaky_relu_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *x,
                                  double slope) {
  return record_number(tape, &cg_op_leaky_relu_grad, gy, x, slope);
}

static cg_status leaky_relu_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_leaky_relu, number(call));
}

static void leaky_relu_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, leaky_relu_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                    cg_vjp_in(v, 0), vjp_number(v)));
}

const cg_op cg_op_leaky_relu = {
    .name = "leaky_relu",
    .formula = "y = x where x > 0, else c x",
    .derivative = "gx = gy where x > 0, else c gy",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(number_attr),
    .infer = cg_spec_broadcast,
    .forward = leaky_relu_forward,
    .vjp = leaky_relu_vjp,
    CG_CASES(number_cases),
};

cg_tensor *cg_leaky_relu(cg_tape *tape, cg_tensor *x, double slope) {
  return record_number(tape, &cg_op_leaky_relu, x, NULL, slope);
}

static cg_status leaky_relu_grad_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_leaky_relu_grad, number(call));
}

static void leaky_relu_grad_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0, leaky_relu_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                      cg_vjp_in(v, 1), vjp_number(v)));
}

const cg_op cg_op_leaky_relu_grad = {
    .name = "leaky_relu_grad",
    .formula = "y = a where b > 0, else c a",
    .derivative = "ga = gy where b > 0, else c gy",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(number_attr),
    .infer = cg_spec_broadcast,
    .forward = leaky_relu_grad_forward,
    .vjp = leaky_relu_grad_vjp,
    CG_CASES(number_factor_cases),
    .n_diff = 1,
};

/* ---- elu ---- */

static cg_tensor *elu_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *x,
                           double alpha) {
  return record_number(tape, &cg_op_elu_grad, gy, x, alpha);
}

static cg_status elu_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_elu, number(call));
}

static void elu_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, elu_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 0),
                             vjp_number(v)));
}

const cg_op cg_op_elu = {
    .name = "elu",
    .formula = "y = x where x > 0, else c (e^x - 1)",
    .derivative = "gx = gy c e^x where x <= 0, else gy",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(number_attr),
    .infer = cg_spec_broadcast,
    .forward = elu_forward,
    .vjp = elu_vjp,
    CG_CASES(number_cases),
};

cg_tensor *cg_elu(cg_tape *tape, cg_tensor *x, double alpha) {
  return record_number(tape, &cg_op_elu, x, NULL, alpha);
}

static cg_status elu_grad_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_elu_grad, number(call));
}

static void elu_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *gy = cg_vjp_in(v, 0), *x = cg_vjp_in(v, 1);
  double c = vjp_number(v);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, elu_grad(t, g, x, c));
  if (!cg_vjp_needs(v, 1)) return;
  cg_tensor *straight = cg_gt(t, x, cg_scalar(t, cg_vjp_in_dtype(v, 1), 0));
  cg_tensor *curved = elu_grad(t, cg_mul(t, g, gy), x, c);
  cg_vjp_give(v, 1, cg_masked_fill(t, curved, straight, 0));
}

const cg_op cg_op_elu_grad = {
    .name = "elu_grad",
    .formula = "y = a c e^b where b <= 0, else a",
    .derivative = "ga = gy c e^b where b <= 0, else gy; "
                  "gb = gy a c e^b where b <= 0, else 0",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(number_attr),
    .infer = cg_spec_broadcast,
    .forward = elu_grad_forward,
    .vjp = elu_grad_vjp,
    CG_CASES(number_factor_cases),
};

/* ---- gelu ---- */

static cg_tensor *gelu_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *x) {
  return record2(tape, &cg_op_gelu_grad, gy, x);
}

static cg_status gelu_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_gelu, 0);
}

static void gelu_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0,
              gelu_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 0)));
}

const cg_op cg_op_gelu = {
    .name = "gelu",
    .formula = "y = x Phi(x), Phi(x) = erfc(-x / 2^(1/2)) / 2",
    .derivative = "gx = gy (Phi(x) + x phi(x)), "
                  "phi(x) = e^(-x^2 / 2) / (2 pi)^(1/2)",
    .min_in = 1,
    .max_in = 1,
    .infer = cg_spec_broadcast,
    .forward = gelu_forward,
    .vjp = gelu_vjp,
    CG_CASES(plain_cases),
};

cg_tensor *cg_gelu(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_gelu, x);
}

static cg_status gelu_grad_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_gelu_grad, 0);
}

/* (2 - x^2) phi(x), the second derivative of x Phi(x). */
static cg_tensor *gelu_curvature(cg_tape *t, cg_tensor *x) {
  const double phi_0 = 0.39894228040143267794; /* 1 / sqrt(2 pi) */
  cg_tensor *square = cg_square(t, x);
  cg_tensor *phi = cg_exp(t, cg_mul_scalar(t, square, -0.5));
  cg_tensor *factor = cg_rsub_scalar(t, square, 2);
  return cg_mul(t, factor, cg_mul_scalar(t, phi, phi_0));
}

static void gelu_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *gy = cg_vjp_in(v, 0), *x = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, gelu_grad(t, g, x));
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_mul(t, cg_mul(t, g, gy), gelu_curvature(t, x)));
}

const cg_op cg_op_gelu_grad = {
    .name = "gelu_grad",
    .formula = "y = a (Phi(b) + b phi(b))",
    .derivative = "ga = gy (Phi(b) + b phi(b)), gb = gy a (2 - b^2) phi(b)",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = gelu_grad_forward,
    .vjp = gelu_grad_vjp,
    CG_CASES(factor_cases),
};

/* ---- silu ---- */

cg_tensor *cg_silu(cg_tape *tape, cg_tensor *x) {
  return cg_mul(tape, x, cg_sigmoid(tape, x));
}

/* ---- clamp ---- */

typedef struct clamp_attr {
  double lo, hi;
} clamp_attr;

/* Room for a bound in the type of the operands. */
typedef union bound {
  float f32;
  double f64;
} bound;

static bound rounded(double x, int dtype) {
  bound b;
  if (dtype == CG_F32)
    b.f32 = (float)x;
  else
    b.f64 = x;
  return b;
}

static const int64_t no_strides[CG_MAX_RANK];

/* lo goes to the kernel as an operand of one element, hi as its number. Where
 * they cross, hi is both; where one is NaN, everything is. */
static cg_status clamp_forward(const cg_call *call, cg_tensor *out) {
  const clamp_attr *attr = call->attr;
  const cg_tensor *x = call->in[0];
  const double hi = isnan(attr->lo) ? attr->lo : attr->hi;
  const bound lo = rounded(attr->lo > hi ? hi : attr->lo, out->dtype);
  kernel_map_run(&kernel_clamp, out->dtype, out->rank, t_shape(out), out->data,
                 x->data, t_strides(x), &lo, no_strides, hi);
  return CG_OK;
}

static cg_tensor *clamp_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *x,
                             const clamp_attr *attr) {
  cg_tensor *in[] = {gy, x};
  return cg_record(tape, &cg_op_clamp_grad, in, 2, attr);
}

static void clamp_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, clamp_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 0),
                               cg_vjp_attr(v)));
}

static const clamp_attr some_bounds = {-0.93, 1.17};
static const cg_op_case clamp_cases[] = {PLAIN_CASES(&some_bounds)};
static const cg_op_case clamp_grad_cases[] = {FACTOR_CASES(&some_bounds)};

const cg_op cg_op_clamp = {
    .name = "clamp",
    .formula = "y = min(max(x, lo), hi)",
    .derivative = "gx = gy where lo <= x <= hi, else 0",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(clamp_attr),
    .infer = cg_spec_broadcast,
    .forward = clamp_forward,
    .vjp = clamp_vjp,
    CG_CASES(clamp_cases),
};

cg_tensor *cg_clamp(cg_tape *tape, cg_tensor *x, double lo, double hi) {
  clamp_attr attr = {lo, hi};
  return cg_record(tape, &cg_op_clamp, &x, 1, &attr);
}

static cg_status clamp_grad_forward(const cg_call *call, cg_tensor *out) {
  const clamp_attr *attr = call->attr;
  const bound lo = rounded(attr->lo, out->dtype);
  const size_t size = dtype_size(out->dtype);
  int64_t s[2][CG_MAX_RANK];
  kernel_operand operand[3] = {{NULL, s[0], size}, {NULL, s[1], size},
                               {&lo, no_strides, size}};
  for (int k = 0; k < 2; k++) {
    const cg_tensor *x = call->in[k];
    operand[k].data = x->data;
    shape_expand_strides(out->rank, t_shape(out), x->rank, t_shape(x),
                         t_strides(x), s[k]);
  }
  kernel_map3_run(kernel_clamp_grad_row(out->dtype), out->rank, t_shape(out),
                  out->data, size, operand, attr->hi);
  return CG_OK;
}

static void clamp_grad_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0, clamp_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                 cg_vjp_in(v, 1), cg_vjp_attr(v)));
}

const cg_op cg_op_clamp_grad = {
    .name = "clamp_grad",
    .formula = "y = a where lo <= b <= hi, else 0",
    .derivative = "ga = gy where lo <= b <= hi, else 0",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(clamp_attr),
    .infer = cg_spec_broadcast,
    .forward = clamp_grad_forward,
    .vjp = clamp_grad_vjp,
    CG_CASES(clamp_grad_cases),
    .n_diff = 1,
};
