/* op_loss.c - losses: cross entropy of logits, and the mean squared error. */
#include "index_operand.h"
#include "kernel.h"
#include "op_impl.h"

/* ---- what both cross entropy ops share ---- */

/* Operand iy must be targets for the logits in operand io. */
static cg_status check_targets(const cg_call *call, int io, int iy) {
  const cg_tensor *o = call->in[io], *y = call->in[iy];
  cg_status status = cg_call_want_float(call, io);
  if (!status) status = index_want(call, iy);
  if (status) return status;
  if (o->rank > 0 && shape_equal(o->rank - 1, t_shape(o), y->rank, t_shape(y)))
    return CG_OK;
  char os[96], ys[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "targets %s do not fit logits %s: one target per row of "
                      "the last axis is needed",
                      cg_tensor_shape_text(y, ys, sizeof ys),
                      cg_tensor_shape_text(o, os, sizeof os));
}

/* Operand i must have the targets' shape and the logits' type. */
static cg_status check_per_row(const cg_call *call, int i, const char *what,
                               const cg_tensor *o, const cg_tensor *y) {
  const cg_tensor *x = call->in[i];
  if (x->dtype != o->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "%s has type %s, the logits have %s", what,
                        cg_dtype_name(x->dtype), cg_dtype_name(o->dtype));
  if (t_same_shape(x, y)) return CG_OK;
  char xs[96], ys[96];
  return cg_call_fail(call, CG_ERR_SHAPE, "%s has shape %s, the targets %s",
                      what, cg_tensor_shape_text(x, xs, sizeof xs),
                      cg_tensor_shape_text(y, ys, sizeof ys));
}

/* ---- cross_entropy ---- */

static cg_status cross_entropy_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *o = call->in[0], *y = call->in[1];
  cg_status status = check_targets(call, 0, 1);
  if (!status) cg_spec_set(spec, o->dtype, y->rank, t_shape(y));
  return status;
}

static cg_status cross_entropy_forward(const cg_call *call, cg_tensor *out) {
  const int64_t K = cg_tensor_dim(call->in[0], -1);
  const void *o;
  const int64_t *y;
  cg_status status = operand_dense(call, 0, &o);
  if (!status) status = index_dense(call, 1, K, &y);
  if (!status)
    kernel_cross_entropy(out->dtype, t_numel(out), K, out->data, o, y);
  return status;
}

static void cross_entropy_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0,
                cg_cross_entropy_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                      cg_vjp_in(v, 0), cg_vjp_in(v, 1),
                                      cg_vjp_out(v)));
}

static const cg_op_case cross_entropy_cases[] = {
    {"f[3,4] i[3]<4", NULL},     {"f[5] i[]<5", NULL},
    {"f[2,3,4] i[2,3]<4", NULL}, {"f[0,3] i[0]<3", NULL},
    {"f[3,1] i[3]<1", NULL},     {"f[0,0] i[0]<1", NULL},
    {"f[2,33] i[2]<33", NULL},
};

const cg_op cg_op_cross_entropy = {
    .name = "cross_entropy",
    .formula = "loss = log sum_k e^o_k - o_y",
    .derivative = "go = gy (p - onehot(y)), p = softmax(o)",
    .min_in = 2,
    .max_in = 2,
    .infer = cross_entropy_infer,
    .forward = cross_entropy_forward,
    .vjp = cross_entropy_vjp,
    CG_CASES(cross_entropy_cases),
    .n_diff = 1,
};

cg_tensor *cg_cross_entropy(cg_tape *tape, cg_tensor *o, cg_tensor *y) {
  return record2(tape, &cg_op_cross_entropy, o, y);
}

/* ---- cross_entropy_grad: operands gy, o, y, and the loss or nothing ---- */

static cg_status cross_entropy_grad_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *o = call->in[1], *y = call->in[2];
  cg_status status = check_targets(call, 1, 2);
  if (!status) status = check_per_row(call, 0, "gy", o, y);
  if (!status && call->n_in == 4)
    status = check_per_row(call, 3, "the loss", o, y);
  if (!status) cg_spec_like(spec, o);
  return status;
}

static cg_status cross_entropy_grad_forward(const cg_call *call,
                                            cg_tensor *out) {
  const int64_t K = cg_tensor_dim(out, -1);
  const void *gy, *o, *loss = NULL;
  const int64_t *y;
  cg_status status = operand_dense(call, 0, &gy);
  if (!status) status = operand_dense(call, 1, &o);
  if (!status) status = index_dense(call, 2, K, &y);
  if (!status && call->n_in == 4) status = operand_dense(call, 3, &loss);
  if (!status)
    kernel_cross_entropy_grad(out->dtype, t_numel(call->in[2]), K, out->data,
                              gy, o, y, loss);
  return status;
}

/* The value is a function of gy and o alone, whether or not the loss is given;
 * this is its whole derivative, and the loss has no part of its own. */
static void cross_entropy_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *o = cg_vjp_in(v, 1);
  cg_tensor *p = cg_softmax(t, o, -1);
  const int last = -1, rank = cg_tensor_rank(o);
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *hot = cg_one_hot(t, cg_vjp_in(v, 2), cg_tensor_dim(o, -1),
                                cg_tensor_dtype(o));
    cg_tensor *d = cg_mul(t, g, cg_sub(t, p, hot));
    cg_vjp_give(v, 0, cg_sum(t, d, &last, 1, false));
  }
  if (cg_vjp_needs(v, 1)) {
    int64_t column[CG_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++)
      column[i] = i + 1 < rank ? cg_tensor_dim(o, i) : 1;
    cg_tensor *gy = cg_reshape(t, cg_vjp_in(v, 0), rank, column);
    cg_tensor *a = cg_mul(t, g, gy);
    cg_tensor *mean = cg_sum(t, cg_mul(t, p, a), &last, 1, true);
    cg_vjp_give(v, 1, cg_mul(t, p, cg_sub(t, a, mean)));
  }
}

static const cg_op_case cross_entropy_grad_cases[] = {
    {"f[3] f[3,4] i[3]<4", NULL},   {"f[] f[5] i[]<5", NULL},
    {"f[2,3] f[2,3,4] i[2,3]<4", NULL}, {"f[0] f[0,3] i[0]<3", NULL},
    {"f[3] f[3,1] i[3]<1", NULL},   {"f[2] f[2,33] i[2]<33", NULL},
};

const cg_op cg_op_cross_entropy_grad = {
    .name = "cross_entropy_grad",
    .formula = "r = a (p - onehot(y)), p = softmax(o)",
    .derivative = "ga = sum(gr (p - onehot(y))), "
                  "go = a p (gr - sum(p gr))",
    .min_in = 3,
    .max_in = 4,
    .infer = cross_entropy_grad_infer,
    .forward = cross_entropy_grad_forward,
    .vjp = cross_entropy_grad_vjp,
    CG_CASES(cross_entropy_grad_cases),
    .n_diff = 2,
};

cg_tensor *cg_cross_entropy_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *o,
                                 cg_tensor *y, cg_tensor *loss) {
  cg_tensor *in[] = {gy, o, y, loss};
  return cg_record(tape, &cg_op_cross_entropy_grad, in, loss ? 4 : 3, NULL);
}

/* ---- mse: composed ---- */

cg_tensor *cg_mse(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return cg_mean_all(tape, cg_square(tape, cg_sub(tape, a, b)));
}
