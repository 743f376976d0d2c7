/* op_arith.c - elementwise arithmetic of two operands, or with a number. */
#include "op_map.h"
#include "product.h"

/* ---- what the family shares ---- */

typedef struct scalar_attr {
  double c;
} scalar_attr;

static double number(const cg_call *call) {
  return ((const scalar_attr *)call->attr)->c;
}

static const cg_op_case pair_cases[] = {
    {"f[] f[]", NULL},          {"f[3] f[3]", NULL},
    {"f[2,3] f[2,3]", NULL},    {"f[2,3] f[3]", NULL},
    {"f[3,1] f[1,4]", NULL},    {"f[2,1,3] f[4,1]", NULL},
    {"f[] f[2,2]", NULL},       {"f[0,3] f[3]", NULL},
    {"f[2,3,17] f[17]", NULL},
};

/* The forward function of a two-operand op. */
#define FORWARD2(name)                                                    \
  static cg_status name##_forward(const cg_call *call, cg_tensor *out) {  \
    return op_map(call, out, &kernel_##name, 0);                          \
  }

/* The forward function of an op that graphs of scalars are made of: a result of
 * rank 0, whose operands have one element, is EXPR, the kernel's expression. */
#define FORWARD(name, c, EXPR)                                            \
  static cg_status name##_forward(const cg_call *call, cg_tensor *out) {  \
    if (out->rank) return op_map_arrays(call, out, &kernel_##name, c);    \
    if (out->dtype == CG_F32)                                             \
      ONE(float, EXPR);                                                   \
    else                                                                  \
      ONE(double, EXPR);                                                  \
    return CG_OK;                                                         \
  }
#define ONE(type, EXPR)          \
  do {                           \
    typedef type T;              \
    *(T *)out->data = (T)(EXPR); \
  } while (0)
#define A (*(const T *)call->in[0]->data)
#define B (*(const T *)call->in[1]->data)
#define C ((T)number(call))

/* ---- add ---- */

FORWARD(add, 0, A + B)

static void add_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_vjp_gy(v));
  cg_vjp_give(v, 1, cg_vjp_gy(v));
}

const cg_op cg_op_add = {
    .name = "add",
    .formula = "y = a + b",
    .derivative = "ga = gy, gb = gy",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = add_forward,
    .vjp = add_vjp,
    CG_CASES(pair_cases),
};

cg_tensor *cg_add(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_add, a, b);
}

/* ---- sub ---- */

FORWARD(sub, 0, A - B)

static void sub_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_vjp_gy(v));
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_neg(cg_vjp_tape(v), cg_vjp_gy(v)));
}

const cg_op cg_op_sub = {
    .name = "sub",
    .formula = "y = a - b",
    .derivative = "ga = gy, gb = -gy",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = sub_forward,
    .vjp = sub_vjp,
    CG_CASES(pair_cases),
};

cg_tensor *cg_sub(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_sub, a, b);
}

/* ---- mul ---- */

FORWARD(mul, 0, PRODUCT(A, B))

static void mul_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), cg_vjp_in(v, 1)));
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_mul(t, cg_vjp_gy(v), cg_vjp_in(v, 0)));
}

const cg_op cg_op_mul = {
    .name = "mul",
    .formula = "y = a * b",
    .derivative = "ga = gy * b, gb = gy * a",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = mul_forward,
    .vjp = mul_vjp,
    CG_CASES(pair_cases),
};

cg_tensor *cg_mul(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_mul, a, b);
}

/* ---- div ---- */

FORWARD(div, 0, A / B)

static void div_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *ga = cg_div(t, cg_vjp_gy(v), cg_vjp_in(v, 1));
  cg_vjp_give(v, 0, ga);
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_neg(t, cg_mul(t, ga, cg_vjp_out(v))));
}

const cg_op cg_op_div = {
    .name = "div",
    .formula = "y = a / b",
    .derivative = "ga = gy / b, gb = -gy y / b",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = div_forward,
    .vjp = div_vjp,
    CG_CASES(pair_cases),
    .lo = 0.4,
    .hi = 2.5,
};

cg_tensor *cg_div(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_div, a, b);
}

/* ---- pow, and its two partial derivatives as ops ---- */

FORWARD2(pow)
FORWARD2(pow_da)
FORWARD2(pow_db)

static cg_tensor *pow_da(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_pow_da, a, b);
}

static cg_tensor *pow_db(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_pow_db, a, b);
}

static void pow_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *b = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_mul(t, gy, pow_da(t, a, b)));
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_mul(t, gy, pow_db(t, a, b)));
}

/* a^(b-1) + b a^(b-1) log a: d/db of pow_da, and d/da of pow_db. */
static cg_tensor *pow_mixed(cg_tape *t, cg_tensor *a, cg_tensor *b) {
  cg_tensor *c = cg_add_scalar(t, b, -1);
  return cg_add(t, cg_pow(t, a, c), cg_mul(t, b, pow_db(t, a, c)));
}

static void pow_da_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *b = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *d = pow_da(t, a, cg_add_scalar(t, b, -1));
    cg_vjp_give(v, 0, cg_mul(t, gy, cg_mul(t, b, d)));
  }
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_mul(t, gy, pow_mixed(t, a, b)));
}

static void pow_db_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *b = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_mul(t, gy, pow_mixed(t, a, b)));
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1,
                cg_mul(t, gy, cg_mul(t, cg_vjp_out(v), cg_log(t, a))));
}

#define POW_OP(op_name, text, rule)     \
  const cg_op cg_op_##op_name = {       \
      .name = #op_name,                 \
      .formula = text,                  \
      .derivative = rule,               \
      .min_in = 2,                      \
      .max_in = 2,                      \
      .infer = cg_spec_broadcast,       \
      .forward = op_name##_forward,     \
      .vjp = op_name##_vjp,             \
      CG_CASES(pair_cases),             \
      .lo = 0.4,                        \
      .hi = 2.5,                        \
  };

POW_OP(pow, "y = a^b", "ga = gy b a^(b-1), gb = gy a^b log a")
POW_OP(pow_da, "y = b a^(b-1) (0 where b = 0)",
       "ga = gy b (b-1) a^(b-2), gb = gy (a^(b-1) + b a^(b-1) log a)")
POW_OP(pow_db, "y = a^b log a (0 where a = 0 <= b)",
       "ga = gy (a^(b-1) + b a^(b-1) log a), gb = gy a^b (log a)^2")

cg_tensor *cg_pow(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_pow, a, b);
}

/* ---- with a number ---- */

static cg_tensor *record_scalar(cg_tape *tape, const cg_op *op, cg_tensor *x,
                                double c) {
  scalar_attr attr = {c};
  return record_one(tape, op, x, &attr);
}

static const scalar_attr some_number = {-1.7};
static const cg_op_case scalar_cases[] = {
    {"f[]", &some_number},     {"f[5]", &some_number},
    {"f[3,2]", &some_number},  {"f[0]", &some_number},
    {"f[2,3,19]", &some_number},
};

FORWARD(add_scalar, number(call), A + C)

static void add_scalar_vjp(cg_vjp *v) { cg_vjp_give(v, 0, cg_vjp_gy(v)); }

const cg_op cg_op_add_scalar = {
    .name = "add_scalar",
    .formula = "y = x + c",
    .derivative = "gx = gy",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(scalar_attr),
    .infer = cg_spec_broadcast,
    .forward = add_scalar_forward,
    .vjp = add_scalar_vjp,
    CG_CASES(scalar_cases),
};

cg_tensor *cg_add_scalar(cg_tape *tape, cg_tensor *x, double c) {
  return record_scalar(tape, &cg_op_add_scalar, x, c);
}

FORWARD(mul_scalar, number(call), PRODUCT(A, C))

static void mul_scalar_vjp(cg_vjp *v) {
  const scalar_attr *attr = cg_vjp_attr(v);
  cg_vjp_give(v, 0, cg_mul_scalar(cg_vjp_tape(v), cg_vjp_gy(v), attr->c));
}

const cg_op cg_op_mul_scalar = {
    .name = "mul_scalar",
    .formula = "y = c x",
    .derivative = "gx = c gy",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(scalar_attr),
    .infer = cg_spec_broadcast,
    .forward = mul_scalar_forward,
    .vjp = mul_scalar_vjp,
    CG_CASES(scalar_cases),
};

cg_tensor *cg_mul_scalar(cg_tape *tape, cg_tensor *x, double c) {
  return record_scalar(tape, &cg_op_mul_scalar, x, c);
}

static cg_status pow_scalar_forward(const cg_call *call, cg_tensor *out) {
  double c = number(call);
  return op_map(call, out, c == 2 ? &kernel_square : &kernel_pow_scalar, c);
}

static void pow_scalar_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const scalar_attr *attr = cg_vjp_attr(v);
  double c = attr->c;
  cg_tensor *d = c == 0 ? NULL : cg_pow_scalar(t, cg_vjp_in(v, 0), c - 1);
  cg_tensor *g = d ? cg_mul(t, cg_vjp_gy(v), d) : cg_vjp_gy(v);
  cg_vjp_give(v, 0, cg_mul_scalar(t, g, c));
}

const cg_op cg_op_pow_scalar = {
    .name = "pow_scalar",
    .formula = "y = x^c",
    .derivative = "gx = c gy x^(c-1)",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(scalar_attr),
    .infer = cg_spec_broadcast,
    .forward = pow_scalar_forward,
    .vjp = pow_scalar_vjp,
    CG_CASES(scalar_cases),
    .lo = 0.4,
    .hi = 2.5,
};

cg_tensor *cg_pow_scalar(cg_tape *tape, cg_tensor *x, double c) {
  return record_scalar(tape, &cg_op_pow_scalar, x, c);
}

cg_tensor *cg_rsub_scalar(cg_tape *tape, cg_tensor *x, double c) {
  return cg_add_scalar(tape, cg_neg(tape, x), c);
}

cg_tensor *cg_rdiv_scalar(cg_tape *tape, cg_tensor *x, double c) {
  return cg_mul_scalar(tape, cg_reciprocal(tape, x), c);
}
