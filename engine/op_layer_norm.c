/* op_layer_norm.c - rows of the last axis brought to mean 0 and variance 1.
 *
 * With r = 1 / sqrt(variance + eps) and y = (x - mean) r, the derivatives stay
 * among three ops: layer_norm (y of x), layer_norm_rstd (r of x), and
 * layer_norm_grad, the product G(a; y, r) = r (a - mean(a) - y mean(a y)) of
 * a with dy/dx, which is symmetric.
 */
#include "index_operand.h"
#include "kernel.h"
#include "op_impl.h"

typedef struct norm_attr {
  double eps;
} norm_attr;

static cg_tensor *record_norm(cg_tape *tape, const cg_op *op, cg_tensor *x,
                              double eps) {
  norm_attr attr = {eps};
  return cg_record(tape, op, &x, 1, &attr);
}

static cg_status check_rows(const cg_call *call) {
  cg_status status = cg_call_want_float(call, 0);
  if (status || call->in[0]->rank > 0) return status;
  return cg_call_fail(call, CG_ERR_SHAPE, "a scalar has no last axis");
}

static const norm_attr eps5 = {1e-5}, eps1 = {0.1};
static const cg_op_case norm_cases[] = {
    {"f[5]", &eps5},    {"f[3,4]", &eps1}, {"f[2,3,19]", &eps5},
    {"f[3,1]", &eps1},  {"f[0,3]", &eps5},
};

/* ---- layer_norm ---- */

static cg_status layer_norm_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return check_rows(call);
}

/* The number of rows, each of *n elements. */
static int64_t rows_of(const cg_tensor *x, int64_t *n) {
  *n = x->dims[x->rank - 1];
  int64_t rows = 1;
  for (int i = 0; i < x->rank - 1; i++) rows *= x->dims[i];
  return rows;
}

static cg_status layer_norm_forward(const cg_call *call, cg_tensor *out) {
  const norm_attr *attr = call->attr;
  const void *x;
  int64_t n, rows = rows_of(out, &n);
  cg_status status = operand_dense(call, 0, &x);
  if (!status && n > 0)
    kernel_layer_norm(out->dtype, rows, n, out->data, x, attr->eps);
  return status;
}

static void layer_norm_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const norm_attr *attr = cg_vjp_attr(v);
  cg_tensor *r = cg_layer_norm_rstd(t, cg_vjp_in(v, 0), attr->eps);
  cg_vjp_give(v, 0, cg_layer_norm_grad(t, cg_vjp_gy(v), cg_vjp_out(v), r));
}

const cg_op cg_op_layer_norm = {
    .name = "layer_norm",
    .formula = "y = (x - mean) r, r = 1 / sqrt(variance + eps)",
    .derivative = "gx = r (gy - mean(gy) - y mean(gy y))",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(norm_attr),
    .infer = layer_norm_infer,
    .forward = layer_norm_forward,
    .vjp = layer_norm_vjp,
    CG_CASES(norm_cases),
};

/* A factor or an addend must be a vector as long as a row. */
static bool suits_rows(cg_tape *tape, const cg_tensor *x, const cg_tensor *w,
                       const char *what) {
  char xs[96], ws[96];
  if (!x || !w) return true;
  if (cg_tensor_rank(w) == 1 && cg_tensor_dim(w, 0) == cg_tensor_dim(x, -1))
    return true;
  return cg_tape_fail(tape, CG_ERR_SHAPE, "layer_norm",
                      "the %s %s does not suit the last axis of %s", what,
                      cg_tensor_shape_text(w, ws, sizeof ws),
                      cg_tensor_shape_text(x, xs, sizeof xs));
}

cg_tensor *cg_layer_norm(cg_tape *tape, cg_tensor *x, cg_tensor *weight,
                         cg_tensor *bias, double eps) {
  if (cg_tape_status(tape) || !suits_rows(tape, x, weight, "weight") ||
      !suits_rows(tape, x, bias, "bias"))
    return NULL;
  cg_tensor *y = record_norm(tape, &cg_op_layer_norm, x, eps);
  if (weight) y = cg_mul(tape, y, weight);
  return bias ? cg_add(tape, y, bias) : y;
}

/* ---- layer_norm_rstd ---- */

static cg_status rstd_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  cg_status status = check_rows(call);
  if (!status) spec->shape[spec->rank - 1] = 1;
  return status;
}

static cg_status rstd_forward(const cg_call *call, cg_tensor *out) {
  const norm_attr *attr = call->attr;
  const void *x;
  int64_t n, rows = rows_of(call->in[0], &n);
  cg_status status = operand_dense(call, 0, &x);
  if (!status)
    kernel_layer_norm_rstd(out->dtype, rows, n, out->data, x, attr->eps);
  return status;
}

/* dr/dx_i = -r^3 (x_i - mean) / n = -r^2 y_i / n */
static void rstd_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  const norm_attr *attr = cg_vjp_attr(v);
  cg_tensor *x = cg_vjp_in(v, 0);
  double n = (double)cg_vjp_in_shape(v, 0)[cg_vjp_in_rank(v, 0) - 1];
  cg_tensor *y = cg_layer_norm(t, x, NULL, NULL, attr->eps);
  cg_tensor *a = cg_mul(t, cg_vjp_gy(v), cg_square(t, cg_vjp_out(v)));
  cg_vjp_give(v, 0, cg_mul(t, y, cg_mul_scalar(t, a, -1 / n)));
}

const cg_op cg_op_layer_norm_rstd = {
    .name = "layer_norm_rstd",
    .formula = "r = 1 / sqrt(variance + eps) of the last axis",
    .derivative = "gx = -gr r^2 y / n, y = layer_norm(x)",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(norm_attr),
    .infer = rstd_infer,
    .forward = rstd_forward,
    .vjp = rstd_vjp,
    CG_CASES(norm_cases),
};

cg_tensor *cg_layer_norm_rstd(cg_tape *tape, cg_tensor *x, double eps) {
  return record_norm(tape, &cg_op_layer_norm_rstd, x, eps);
}

/* ---- layer_norm_grad: G(a; y, r) ---- */

static cg_status norm_grad_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *a = call->in[0], *y = call->in[1], *r = call->in[2];
  cg_status status = check_rows(call);
  if (status) return status;
  cg_spec_like(spec, a);
  bool fits = a->dtype == y->dtype && a->dtype == r->dtype &&
              t_same_shape(a, y) && r->rank == a->rank;
  for (int i = 0; fits && i < a->rank; i++)
    fits = r->dims[i] == (i < a->rank - 1 ? a->dims[i] : 1);
  if (fits) return CG_OK;
  char as[96], ys[96], rs[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "gy %s, y %s and r %s do not belong together",
                      cg_tensor_shape_text(a, as, sizeof as),
                      cg_tensor_shape_text(y, ys, sizeof ys),
                      cg_tensor_shape_text(r, rs, sizeof rs));
}

static cg_status norm_grad_forward(const cg_call *call, cg_tensor *out) {
  const void *a, *y, *r;
  int64_t n, rows = rows_of(out, &n);
  cg_status status = operand_dense(call, 0, &a);
  if (!status) status = operand_dense(call, 1, &y);
  if (!status) status = operand_dense(call, 2, &r);
  if (!status && n > 0)
    kernel_layer_norm_grad(out->dtype, rows, n, out->data, a, y, r);
  return status;
}

static void norm_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *a = cg_vjp_in(v, 0), *y = cg_vjp_in(v, 1);
  cg_tensor *r = cg_vjp_in(v, 2);
  const int last = -1;
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_layer_norm_grad(t, g, y, r));
  if (cg_vjp_needs(v, 1)) {
    cg_tensor *ay = cg_mean(t, cg_mul(t, a, y), &last, 1, true);
    cg_tensor *gy = cg_mean(t, cg_mul(t, g, y), &last, 1, true);
    cg_tensor *s = cg_add(t, cg_mul(t, g, ay), cg_mul(t, a, gy));
    cg_vjp_give(v, 1, cg_neg(t, cg_mul(t, r, s)));
  }
  if (cg_vjp_needs(v, 2)) {
    cg_tensor *one = cg_full(t, cg_vjp_in_dtype(v, 2), cg_vjp_in_rank(v, 2),
                             cg_vjp_in_shape(v, 2), 1);
    cg_tensor *d = cg_mul(t, g, cg_layer_norm_grad(t, a, y, one));
    cg_vjp_give(v, 2, cg_sum(t, d, &last, 1, true));
  }
}

static const cg_op_case norm_grad_cases[] = {
    {"f[5] f[5] f[1]", NULL},
    {"f[3,4] f[3,4] f[3,1]", NULL},
    {"f[2,2,19] f[2,2,19] f[2,2,1]", NULL},
    {"f[0,3] f[0,3] f[0,1]", NULL},
};

const cg_op cg_op_layer_norm_grad = {
    .name = "layer_norm_grad",
    .formula = "G(a; y, r) = r (a - mean(a) - y mean(a y))",
    .derivative = "ga = G(g; y, r), gy = -r (g mean(a y) + a mean(g y)), "
                  "gr = sum(g G(a; y, 1))",
    .min_in = 3,
    .max_in = 3,
    .infer = norm_grad_infer,
    .forward = norm_grad_forward,
    .vjp = norm_grad_vjp,
    CG_CASES(norm_grad_cases),
};

cg_tensor *cg_layer_norm_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y,
                              cg_tensor *r) {
  cg_tensor *in[] = {gy, y, r};
  return cg_record(tape, &cg_op_layer_norm_grad, in, 3, NULL);
}
