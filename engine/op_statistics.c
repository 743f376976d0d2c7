/* op_statistics.c - variance and norm over axes, and two functions whose
 * derivatives at 0 are 0, of which the norm is composed. */
#include "op_map.h"

/* ---- var: composed ---- */

/* How many elements of x go into one of the result. */
static double count(const cg_tensor *x, const int *axes, int n_axes) {
  double n = 1;
  for (int i = 0; i < n_axes; i++) n *= (double)cg_tensor_dim(x, axes[i]);
  return n_axes ? n : (double)cg_tensor_numel(x);
}

cg_tensor *cg_var(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                  int correction, bool keep) {
  if (cg_tape_status(tape)) return NULL;
  if (correction < 0)
    return cg_tape_fail(tape, CG_ERR_ARG, "var",
                        "the correction %d is negative", correction);
  cg_tensor *mean = cg_mean(tape, x, axes, n_axes, true);
  cg_tensor *d = cg_sub(tape, x, mean);
  cg_tensor *s = cg_sum(tape, cg_square(tape, d), axes, n_axes, keep);
  if (!s) return NULL;
  double n = count(x, axes, n_axes) - correction;
  return cg_mul_scalar(tape, s, 1 / (n > 0 ? n : 0));
}

/* ---- sqrt0 ---- */

static cg_status sqrt0_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_sqrt, 0);
}

static void sqrt0_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *half = cg_mul_scalar(t, cg_vjp_gy(v), 0.5);
  cg_vjp_give(v, 0, cg_div0(t, half, cg_vjp_out(v)));
}

static const cg_op_case sqrt0_cases[] = {
    {"f[]", NULL}, {"f[2,3]", NULL}, {"f[0]", NULL},
};

const cg_op cg_op_sqrt0 = {
    .name = "sqrt0",
    .formula = "y = sqrt(x)",
    .derivative = "gx = gy / (2 y), 0 where y = 0",
    .min_in = 1,
    .max_in = 1,
    .infer = cg_spec_broadcast,
    .forward = sqrt0_forward,
    .vjp = sqrt0_vjp,
    CG_CASES(sqrt0_cases),
    .lo = 0.3,
    .hi = 3,
};

cg_tensor *cg_sqrt0(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_sqrt0, x);
}

/* ---- div0 ---- */

static cg_status div0_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_div0, 0);
}

static void div0_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_div0(t, cg_vjp_gy(v), cg_vjp_in(v, 1));
  cg_vjp_give(v, 0, g);
  if (cg_vjp_needs(v, 1))
    cg_vjp_give(v, 1, cg_neg(t, cg_mul(t, g, cg_vjp_out(v))));
}

static const cg_op_case div0_cases[] = {
    {"f[] f[]", NULL},       {"f[2,3] f[2,3]", NULL}, {"f[2,3] f[3]", NULL},
    {"f[2,1] f[1,3]", NULL}, {"f[0,3] f[3]", NULL},
};

const cg_op cg_op_div0 = {
    .name = "div0",
    .formula = "y = a / b, 0 where b = 0",
    .derivative = "ga = gy / b, gb = -gy y / b, 0 where b = 0",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = div0_forward,
    .vjp = div0_vjp,
    CG_CASES(div0_cases),
    .lo = 0.5,
    .hi = 2,
};

cg_tensor *cg_div0(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return record2(tape, &cg_op_div0, a, b);
}

/* ---- norm: composed ---- */

cg_tensor *cg_norm(cg_tape *tape, cg_tensor *x, const int *axes, int n_axes,
                   bool keep) {
  cg_tensor *squares = cg_square(tape, x);
  return cg_sqrt0(tape, cg_sum(tape, squares, axes, n_axes, keep));
}
