/* op_unary.c - elementwise functions of one operand, and the derivative factors
 * of those whose derivative is cheapest from the result. */
#include "op_map.h"

static const cg_op_case one_cases[] = {
    {"f[]", NULL},    {"f[5]", NULL},  {"f[2,3]", NULL},
    {"f[0,2]", NULL}, {"f[37]", NULL}, {"f[2,1,19]", NULL},
};

static const cg_op_case pair_cases[] = {
    {"f[] f[]", NULL},     {"f[5] f[5]", NULL},   {"f[2,3] f[2,3]", NULL},
    {"f[2,3] f[3]", NULL}, {"f[0] f[0]", NULL},   {"f[2,1] f[1,19]", NULL},
};

/* A row of the family: formula, derivative, domain; the kernel has the same
 * name and the rule is <name>_vjp. */
#define UNARY(op_name, text, rule, low, high)                                \
  static cg_status op_name##_forward(const cg_call *call, cg_tensor *out) {  \
    return op_map(call, out, &kernel_##op_name, 0);                          \
  }                                                                          \
  const cg_op cg_op_##op_name = {                                            \
      .name = #op_name,                                                      \
      .formula = text,                                                       \
      .derivative = rule,                                                    \
      .min_in = 1,                                                           \
      .max_in = 1,                                                           \
      .infer = cg_spec_broadcast,                                            \
      .forward = op_name##_forward,                                          \
      .vjp = op_name##_vjp,                                                  \
      CG_CASES(one_cases),                                                   \
      .lo = low,                                                             \
      .hi = high,                                                            \
  };                                                                         \
  cg_tensor *cg_##op_name(cg_tape *tape, cg_tensor *x) {                     \
    return record1(tape, &cg_op_##op_name, x);                               \
  }

/* ---- rules from x ---- */

static void neg_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_neg(cg_vjp_tape(v), cg_vjp_gy(v)));
}

static void log_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_div(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 0)));
}

static void square_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_mul(t, cg_vjp_gy(v), cg_vjp_in(v, 0));
  cg_vjp_give(v, 0, cg_mul_scalar(t, g, 2));
}

static void log1p_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_add_scalar(t, cg_vjp_in(v, 0), 1);
  cg_vjp_give(v, 0, cg_div(t, cg_vjp_gy(v), d));
}

static void sin_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), cg_cos(t, cg_vjp_in(v, 0))));
}

static void cos_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_sin(t, cg_vjp_in(v, 0));
  cg_vjp_give(v, 0, cg_neg(t, cg_mul(t, cg_vjp_gy(v), d)));
}

/* The sign is detached: its own derivative is zero wherever there is one. */
static void abs_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_sign(t, cg_detach(t, cg_vjp_in(v, 0)));
  cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), d));
}

/* Zeros that come from gy, so that they have a history, and never NaN. */
static void sign_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *zero = cg_scalar(t, cg_vjp_in_dtype(v, 0), 0);
  cg_vjp_give(v, 0, cg_relu_grad(t, cg_vjp_gy(v), zero));
}

UNARY(neg, "y = -x", "gx = -gy", 0, 0)
UNARY(log, "y = log x", "gx = gy / x", 0.3, 3)
UNARY(square, "y = x^2", "gx = 2 gy x", 0, 0)
UNARY(log1p, "y = log(1 + x)", "gx = gy / (1 + x)", -0.6, 3)
UNARY(sin, "y = sin x", "gx = gy cos x", 0, 0)
UNARY(cos, "y = cos x", "gx = -gy sin x", 0, 0)
UNARY(abs, "y = |x|", "gx = gy sign x", 0, 0)
UNARY(sign, "y = 1 where x > 0, -1 where x < 0, else 0", "gx = 0", 0, 0)

/* ---- rules from y ---- */

static void exp_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_mul(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_out(v)));
}

static void expm1_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_add_scalar(t, cg_vjp_out(v), 1);
  cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), d));
}

static void reciprocal_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *d = cg_square(t, cg_vjp_out(v));
  cg_vjp_give(v, 0, cg_neg(t, cg_mul(t, cg_vjp_gy(v), d)));
}

static void rsqrt_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *y = cg_vjp_out(v);
  cg_tensor *g = cg_mul(t, cg_vjp_gy(v), cg_mul(t, cg_square(t, y), y));
  cg_vjp_give(v, 0, cg_mul_scalar(t, g, -0.5));
}

static void sqrt_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_div(t, cg_vjp_gy(v), cg_vjp_out(v));
  cg_vjp_give(v, 0, cg_mul_scalar(t, g, 0.5));
}

static void tanh_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_tanh_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_out(v)));
}

static void sigmoid_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0,
              cg_sigmoid_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_out(v)));
}

static void relu_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_relu_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_out(v)));
}

UNARY(exp, "y = e^x", "gx = gy y", 0, 0)
UNARY(expm1, "y = e^x - 1", "gx = gy (y + 1)", 0, 0)
UNARY(reciprocal, "y = 1 / x", "gx = -gy y^2", 0.4, 3)
UNARY(rsqrt, "y = x^(-1/2)", "gx = -gy y^3 / 2", 0.4, 3)
UNARY(sqrt, "y = x^(1/2)", "gx = gy / (2 y)", 0.3, 3)
UNARY(tanh, "y = tanh x", "gx = gy (1 - y^2)", 0, 0)
UNARY(sigmoid, "y = 1 / (1 + e^-x)", "gx = gy y (1 - y)", 0, 0)
UNARY(relu, "y = max(x, 0)", "gx = gy where y > 0, else 0", 0, 0)

/* ---- derivative factors: f(gy, y) ---- */

#define FACTOR(op_name, text, rule, diff)                                    \
  static cg_status op_name##_forward(const cg_call *call, cg_tensor *out) {  \
    return op_map(call, out, &kernel_##op_name, 0);                          \
  }                                                                          \
  const cg_op cg_op_##op_name = {                                            \
      .name = #op_name,                                                      \
      .formula = text,                                                       \
      .derivative = rule,                                                    \
      .min_in = 2,                                                           \
      .max_in = 2,                                                           \
      .infer = cg_spec_broadcast,                                            \
      .forward = op_name##_forward,                                          \
      .vjp = op_name##_vjp,                                                  \
      CG_CASES(pair_cases),                                                  \
      .n_diff = diff,                                                        \
  };                                                                         \
  cg_tensor *cg_##op_name(cg_tape *tape, cg_tensor *gy, cg_tensor *y) {      \
    return record2(tape, &cg_op_##op_name, gy, y);                           \
  }

static void tanh_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *gy = cg_vjp_in(v, 0), *y = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_tanh_grad(t, g, y));
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_mul_scalar(t, cg_mul(t, cg_mul(t, g, gy), y), -2));
}

static void sigmoid_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *gy = cg_vjp_in(v, 0), *y = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_sigmoid_grad(t, g, y));
  if (cg_vjp_needs(v, 1)) {
    cg_tensor *d = cg_add_scalar(t, cg_mul_scalar(t, y, -2), 1);
    cg_vjp_give(v, 1, cg_mul(t, cg_mul(t, g, gy), d));
  }
}

static void relu_grad_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0,
                cg_relu_grad(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 1)));
}

FACTOR(tanh_grad, "y = a (1 - b^2)", "ga = gy (1 - b^2), gb = -2 gy a b", 0)
FACTOR(sigmoid_grad, "y = a b (1 - b)",
       "ga = gy b (1 - b), gb = gy a (1 - 2 b)", 0)
FACTOR(relu_grad, "y = a where b > 0, else 0", "ga = gy where b > 0, else 0", 1)

/* ---- cast ---- */

typedef struct cast_attr {
  cg_dtype dtype;
} cast_attr;

static cg_status cast_infer(const cg_call *call, cg_spec *spec) {
  cg_dtype to = ((const cast_attr *)call->attr)->dtype;
  if (!dtype_is_float(to))
    return cg_call_fail(call, CG_ERR_DTYPE, "cannot cast to %s",
                        cg_dtype_name(to));
  cg_spec_set(spec, to, call->in[0]->rank, t_shape(call->in[0]));
  return CG_OK;
}

static cg_status cast_forward(const cg_call *call, cg_tensor *out) {
  int64_t n = t_numel(out);
  for (int64_t i = 0; i < n; i++) {
    double x = cg_tensor_get(call->in[0], i);
    if (out->dtype == CG_F32)
      ((float *)out->data)[i] = (float)x;
    else
      ((double *)out->data)[i] = x;
  }
  return CG_OK;
}

static void cast_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_cast(cg_vjp_tape(v), cg_vjp_gy(v),
                            cg_vjp_in_dtype(v, 0)));
}

static const cast_attr to_f64 = {CG_F64};
static const cg_op_case cast_cases[] = {
    {"f[]", &to_f64}, {"f[4]", &to_f64}, {"f[2,3]", &to_f64}, {"f[0]", &to_f64},
};

const cg_op cg_op_cast = {
    .name = "cast",
    .formula = "y = x in another float type",
    .derivative = "gx = gy in x's type",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(cast_attr),
    .infer = cast_infer,
    .forward = cast_forward,
    .vjp = cast_vjp,
    CG_CASES(cast_cases),
};

cg_tensor *cg_cast(cg_tape *tape, cg_tensor *x, cg_dtype dtype) {
  cast_attr attr = {dtype};
  return cg_record(tape, &cg_op_cast, &x, 1, &attr);
}
