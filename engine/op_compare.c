/* op_compare.c - comparisons, choices by a mask, and the greater or lesser of
 * two operands. */
#include "op_map.h"

/* ---- what the family shares ---- */

static cg_status want_same_type(const cg_call *call, int i, int j) {
  const cg_tensor *a = call->in[i], *b = call->in[j];
  if (a->dtype == b->dtype) return CG_OK;
  return cg_call_fail(call, CG_ERR_DTYPE,
                      "operands %d and %d have types %s and %s; use cg_cast",
                      i, j, cg_dtype_name(a->dtype), cg_dtype_name(b->dtype));
}

/* Runs a row over three operands. */
static cg_status map3(const cg_call *call, cg_tensor *out, kernel_row3 row) {
  int64_t s[3][CG_MAX_RANK];
  kernel_operand operand[3];
  for (int k = 0; k < 3; k++) {
    const cg_tensor *x = call->in[k];
    shape_expand_strides(out->rank, t_shape(out), x->rank, t_shape(x),
                         t_strides(x), s[k]);
    operand[k] = (kernel_operand){x->data, s[k], dtype_size(x->dtype)};
  }
  kernel_map3_run(row, out->rank, t_shape(out), out->data,
                  dtype_size(out->dtype), operand, 0);
  return CG_OK;
}

static const cg_op_case pair_cases[] = {
    {"f[] f[]", NULL},         {"f[3] f[3]", NULL},
    {"f[2,3] f[3]", NULL},     {"f[3,1] f[1,4]", NULL},
    {"f[] f[2,2]", NULL},      {"f[0,3] f[3]", NULL},
    {"f[2,3,17] f[17]", NULL},
};

/* ---- comparisons ---- */

static cg_status compare_infer(const cg_call *call, cg_spec *spec) {
  cg_status status = want_same_type(call, 0, 1);
  if (status) return status;
  return call_broadcast(call, CG_U8, spec);
}

/* The mask of in[i] ? in[1 - i]. */
static cg_status compare(const cg_call *call, cg_tensor *out,
                         const kernel_compare *f, int i) {
  const cg_tensor *a = call->in[i], *b = call->in[1 - i];
  int64_t sa[CG_MAX_RANK], sb[CG_MAX_RANK];
  shape_expand_strides(out->rank, t_shape(out), a->rank, t_shape(a),
                       t_strides(a), sa);
  shape_expand_strides(out->rank, t_shape(out), b->rank, t_shape(b),
                       t_strides(b), sb);
  kernel_compare_run(f, a->dtype, out->rank, t_shape(out), out->data, a->data,
                     sa, b->data, sb);
  return CG_OK;
}

/* A comparison by a kernel, with the operands exchanged if `left` is 1. */
#define COMPARISON(op_name, text, kernel, left)                              \
  static cg_status op_name##_forward(const cg_call *call, cg_tensor *out) {  \
    return compare(call, out, &kernel, left);                                \
  }                                                                          \
  const cg_op cg_op_##op_name = {                                            \
      .name = #op_name,                                                      \
      .formula = text,                                                       \
      .derivative = "none: a mask",                                          \
      .min_in = 2,                                                           \
      .max_in = 2,                                                           \
      .infer = compare_infer,                                                \
      .forward = op_name##_forward,                                          \
      CG_CASES(pair_cases),                                                  \
  };                                                                         \
  cg_tensor *cg_##op_name(cg_tape *tape, cg_tensor *a, cg_tensor *b) {       \
    return record2(tape, &cg_op_##op_name, a, b);                            \
  }

COMPARISON(eq, "y = 1 where a = b, else 0", kernel_eq, 0)
COMPARISON(ne, "y = 0 where a = b, else 1", kernel_ne, 0)
COMPARISON(lt, "y = 1 where a < b, else 0", kernel_lt, 0)
COMPARISON(le, "y = 1 where a <= b, else 0", kernel_le, 0)
COMPARISON(gt, "y = 1 where a > b, else 0", kernel_lt, 1)
COMPARISON(ge, "y = 1 where a >= b, else 0", kernel_le, 1)

/* ---- where ---- */

static cg_status where_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *mask = call->in[0];
  if (mask->dtype != CG_U8)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "operand 0 (%s) has type %s; masks are u8",
                        t_label(mask), cg_dtype_name(mask->dtype));
  cg_status status = want_same_type(call, 1, 2);
  if (status) return status;
  return call_broadcast(call, call->in[1]->dtype, spec);
}

static cg_status where_forward(const cg_call *call, cg_tensor *out) {
  return map3(call, out, kernel_where_row(out->dtype));
}

static void where_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *mask = cg_vjp_in(v, 0);
  cg_tensor *zero = cg_scalar(t, cg_vjp_in_dtype(v, 1), 0);
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_where(t, mask, gy, zero));
  if (cg_vjp_needs(v, 2)) cg_vjp_give(v, 2, cg_where(t, mask, zero, gy));
}

static const cg_op_case where_cases[] = {
    {"u[] f[] f[]", NULL},          {"u[7] f[7] f[7]", NULL},
    {"u[2,3] f[3] f[2,1]", NULL},   {"u[3] f[2,3] f[]", NULL},
    {"u[2,1] f[] f[1,19]", NULL},   {"u[0,3] f[3] f[0,3]", NULL},
    {"u[2,3,1] f[3,4] f[2,1,4]", NULL},
};

const cg_op cg_op_where = {
    .name = "where",
    .formula = "y = a where mask, else b",
    .derivative = "ga = gy where mask, else 0; gb = 0 where mask, else gy",
    .min_in = 3,
    .max_in = 3,
    .infer = where_infer,
    .forward = where_forward,
    .vjp = where_vjp,
    CG_CASES(where_cases),
};

cg_tensor *cg_where(cg_tape *tape, cg_tensor *mask, cg_tensor *a,
                    cg_tensor *b) {
  cg_tensor *in[] = {mask, a, b};
  return cg_record(tape, &cg_op_where, in, 3, NULL);
}

cg_tensor *cg_masked_fill(cg_tape *tape, cg_tensor *x, cg_tensor *mask,
                          double value) {
  return cg_where(tape, mask, cg_scalar(tape, cg_tensor_dtype(x), value), x);
}

/* ---- maximum, minimum ---- */

/* The part of gy that goes to a of max(a, b), or to b of min(a, b). */
static cg_tensor *maximum_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *a,
                               cg_tensor *b) {
  cg_tensor *in[] = {gy, a, b};
  return cg_record(tape, &cg_op_maximum_grad, in, 3, NULL);
}

static cg_status maximum_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_maximum, 0);
}

static cg_status minimum_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_minimum, 0);
}

static void maximum_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *b = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, maximum_grad(t, gy, a, b));
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, maximum_grad(t, gy, b, a));
}

static void minimum_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *b = cg_vjp_in(v, 1);
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, maximum_grad(t, gy, b, a));
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, maximum_grad(t, gy, a, b));
}

const cg_op cg_op_maximum = {
    .name = "maximum",
    .formula = "y = max(a, b)",
    .derivative = "ga = gy where a > b, gy / 2 where a = b, else 0; gb alike",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = maximum_forward,
    .vjp = maximum_vjp,
    CG_CASES(pair_cases),
};

cg_tensor *cg_maximum(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_maximum, a, b);
}

const cg_op cg_op_minimum = {
    .name = "minimum",
    .formula = "y = min(a, b)",
    .derivative = "ga = gy where a < b, gy / 2 where a = b, else 0; gb alike",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = minimum_forward,
    .vjp = minimum_vjp,
    CG_CASES(pair_cases),
};

cg_tensor *cg_minimum(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_minimum, a, b);
}

static cg_status maximum_grad_forward(const cg_call *call, cg_tensor *out) {
  return map3(call, out, kernel_maximum_grad_row(out->dtype));
}

static void maximum_grad_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0, maximum_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                   cg_vjp_in(v, 1), cg_vjp_in(v, 2)));
}

static const cg_op_case maximum_grad_cases[] = {
    {"f[] f[] f[]", NULL},        {"f[5] f[5] f[5]", NULL},
    {"f[2,3] f[3] f[2,1]", NULL}, {"f[0] f[0] f[]", NULL},
    {"f[2,19] f[19] f[2,19]", NULL},
};

const cg_op cg_op_maximum_grad = {
    .name = "maximum_grad",
    .formula = "y = a where b > c, a / 2 where b = c, else 0",
    .derivative = "ga = gy where b > c, gy / 2 where b = c, else 0",
    .min_in = 3,
    .max_in = 3,
    .infer = cg_spec_broadcast,
    .forward = maximum_grad_forward,
    .vjp = maximum_grad_vjp,
    CG_CASES(maximum_grad_cases),
    .n_diff = 1,
};
