/* op_matmul.c - matrix products. */
#include "addmm.h"
#include "gemm_operand.h"
#include "op_impl.h"
#include "tape_impl.h"

/* ---- shapes and products that the ops share ---- */

/* Says why op(a) op(b) is no product of two matrices. */
static cg_status fail_product(const cg_call *call, const cg_tensor *a,
                              const cg_tensor *b) {
  const matmul_attr *t = call->attr;
  char as[96], bs[96];
  cg_tensor_shape_text(a, as, sizeof as);
  cg_tensor_shape_text(b, bs, sizeof bs);
  if (a->rank != 2 || b->rank != 2)
    return cg_call_fail(call, CG_ERR_SHAPE, "%s and %s are not two matrices",
                        as, bs);
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "%s%s times %s%s: the inner sizes differ", as,
                      t->ta ? "^T" : "", bs, t->tb ? "^T" : "");
}

/* The shape [m, n] of op(a) op(b). */
cg_status product_infer(const cg_call *call, const cg_tensor *a,
                        const cg_tensor *b, cg_spec *spec) {
  const matmul_attr *t = call->attr;
  if (!dtype_is_float(a->dtype) || a->dtype != b->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "the matrices have types %s and %s",
                        cg_dtype_name(a->dtype), cg_dtype_name(b->dtype));
  if (a->rank != 2 || b->rank != 2 || a->dims[!t->ta] != b->dims[t->tb])
    return fail_product(call, a, b);
  int64_t shape[2] = {a->dims[t->ta], b->dims[!t->tb]};
  cg_spec_set(spec, a->dtype, 2, shape);
  return CG_OK;
}

/* x as it is, if its strides suit a product, or a contiguous copy in scratch
 * memory. */
static cg_status suit_matrix(const cg_call *call, const cg_tensor *x,
                             bool *transposed, const void **data,
                             int64_t *ld) {
  *data = x->data;
  if (gemm_stored(t_shape(x), t_strides(x), transposed, ld)) return CG_OK;
  size_t bytes = (size_t)t_numel(x) * cg_dtype_size(x->dtype);
  void *copy = cg_call_scratch(call, bytes);
  if (!copy) return cg_tape_status(call->tape);
  kernel_copy(x->dtype, 2, t_shape(x), copy, x->data, t_strides(x));
  *data = copy;
  *ld = x->dims[1] > 1 ? x->dims[1] : 1;
  return CG_OK;
}

/* The matrix at `to`, whose rows are ld apart, (+)= op(a) op(b). */
static cg_status product(const cg_call *call, const cg_tensor *a,
                         cg_tensor *b, void *to, int64_t ld, bool accumulate) {
  const matmul_attr *t = call->attr;
  gemm_args g;
  if (!gemm_operands(a, t->ta, b, t->tb, &g)) {
    g.ta = t->ta;
    g.tb = t->tb;
    cg_status status = suit_matrix(call, a, &g.ta, &g.a, &g.lda);
    if (!status) status = suit_matrix(call, b, &g.tb, &g.b, &g.ldb);
    if (status) return status;
  }
  g.accumulate = accumulate;
  g.c = to;
  g.ldc = ld > 0 ? ld : 1;
  if (!gemm_prepare(call->tape, b, &g, call->op->name))
    return cg_tape_status(call->tape);
  kernel_gemm(&g);
  return CG_OK;
}

/* The two derivatives of y = op(a) op(b): op(a)' = gy op(b)^T, transposed where
 * a is stored transposed, and likewise for b. */
void product_give(cg_vjp *v, cg_tensor *gy, int ia, int ib) {
  const matmul_attr *t = cg_vjp_attr(v);
  if (cg_vjp_needs(v, ia)) {
    cg_tensor *b = cg_vjp_in(v, ib);
    if (t->ta)
      cg_vjp_give_matmul(v, ia, b, gy, t->tb, true);
    else
      cg_vjp_give_matmul(v, ia, gy, b, false, !t->tb);
  }
  if (cg_vjp_needs(v, ib)) {
    cg_tensor *a = cg_vjp_in(v, ia);
    if (t->tb)
      cg_vjp_give_matmul(v, ib, gy, a, true, t->ta);
    else
      cg_vjp_give_matmul(v, ib, a, gy, !t->ta, false);
  }
}

static const matmul_attr nn = {false, false}, nt = {false, true},
                         tn = {true, false}, tt = {true, true};

/* ---- matmul ---- */

static cg_status matmul_infer(const cg_call *call, cg_spec *spec) {
  return product_infer(call, call->in[0], call->in[1], spec);
}

static cg_status matmul_forward(const cg_call *call, cg_tensor *out) {
  return product(call, call->in[0], call->in[1], out->data, out->dims[1],
                 false);
}

static void matmul_vjp(cg_vjp *v) { product_give(v, cg_vjp_gy(v), 0, 1); }

static const cg_op_case matmul_cases[] = {
    {"f[2,3] f[3,4]", &nn}, {"f[2,3] f[4,3]", &nt}, {"f[3,2] f[3,4]", &tn},
    {"f[3,2] f[4,3]", &tt}, {"f[1,1] f[1,1]", &nn}, {"f[3,3] f[3,3]", &nt},
    {"f[1,5] f[5,1]", &nn}, {"f[5,1] f[1,5]", &tt}, {"f[0,3] f[3,2]", &nn},
    {"f[2,0] f[0,3]", &nn}, {"f[2,0] f[3,0]", &nt},
};

const cg_op cg_op_matmul = {
    .name = "matmul",
    .formula = "y = op(a) op(b), op(x) = x or x^T",
    .derivative = "ga = gy op(b)^T, gb = op(a)^T gy (transposed where op is)",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(matmul_attr),
    .infer = matmul_infer,
    .forward = matmul_forward,
    .vjp = matmul_vjp,
    CG_CASES(matmul_cases),
};

cg_tensor *cg_matmul_t(cg_tape *tape, cg_tensor *a, cg_tensor *b, bool ta,
                       bool tb) {
  matmul_attr attr = {ta, tb};
  cg_tensor *in[] = {a, b};
  return cg_record(tape, &cg_op_matmul, in, 2, &attr);
}

cg_tensor *cg_matmul(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return cg_matmul_t(tape, a, b, false, false);
}

/* ---- addmm ---- */

cg_status addend_check(const cg_call *call, int i, const cg_spec *spec) {
  const cg_tensor *c = call->in[i];
  if (c->dtype != spec->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "the addend has type %s, the product %s",
                        cg_dtype_name(c->dtype), cg_dtype_name(spec->dtype));
  bool fits = c->rank <= 2;
  for (int axis = 1; fits && axis >= 2 - c->rank; axis--) {
    const int64_t size = c->dims[axis - (2 - c->rank)];
    fits = size == 1 || size == spec->shape[axis];
  }
  if (fits) return CG_OK;
  char have[96], want[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "the addend %s does not broadcast to the product %s",
                      cg_tensor_shape_text(c, have, sizeof have),
                      shape_text(2, spec->shape, want, sizeof want));
}

cg_status addmm_infer(const cg_call *call, cg_spec *spec) {
  cg_status status = product_infer(call, call->in[1], call->in[2], spec);
  return status ? status : addend_check(call, 0, spec);
}

void addend_into(const cg_call *call, int i, int64_t m, int64_t n, void *to,
                 int64_t ld, bool add) {
  const cg_tensor *c = call->in[i];
  const int64_t shape[2] = {m, n}, apart[2] = {ld, 1};
  int64_t strides[CG_MAX_RANK];
  const int64_t size = (int64_t)cg_dtype_size(c->dtype);
  shape_expand_strides(2, shape, c->rank, t_shape(c), t_strides(c), strides);
  if (add)
    kernel_add_strided(c->dtype, 2, shape, to, apart, c->data, strides);
  else if (strides[1] == 1)
    kernel_gather(m, n * size, c->data, strides[0] * size, to, ld * size);
  else
    kernel_copy_strided(c->dtype, 2, shape, to, apart, c->data, strides);
}

cg_status product_into(const cg_call *call, int ia, int ib, void *to,
                       int64_t ld, bool add) {
  return product(call, call->in[ia], call->in[ib], to, ld, add);
}

cg_status addmm_forward(const cg_call *call, cg_tensor *out) {
  addend_into(call, 0, out->dims[0], out->dims[1], out->data, out->dims[1],
              false);
  return product_into(call, 1, 2, out->data, out->dims[1], true);
}

void addmm_give(cg_vjp *v, cg_tensor *gy) {
  cg_vjp_give(v, 0, gy);
  product_give(v, gy, 1, 2);
}

static void addmm_vjp(cg_vjp *v) { addmm_give(v, cg_vjp_gy(v)); }

static const cg_op_case addmm_cases[] = {
    {"f[2,4] f[2,3] f[3,4]", &nn}, {"f[4] f[2,3] f[4,3]", &nt},
    {"f[2,1] f[3,2] f[3,4]", &tn}, {"f[] f[3,2] f[4,3]", &tt},
    {"f[3] f[0,2] f[3,2]", &nt},   {"f[2,3] f[2,0] f[0,3]", &nn},
};

const cg_op cg_op_addmm = {
    .name = "addmm",
    .formula = "y = c + op(a) op(b)",
    .derivative = "gc = gy; ga, gb as for matmul",
    .min_in = 3,
    .max_in = 3,
    .attr_size = sizeof(matmul_attr),
    .infer = addmm_infer,
    .forward = addmm_forward,
    .vjp = addmm_vjp,
    CG_CASES(addmm_cases),
};

cg_tensor *cg_addmm(cg_tape *tape, cg_tensor *c, cg_tensor *a, cg_tensor *b,
                    bool ta, bool tb) {
  matmul_attr attr = {ta, tb};
  cg_tensor *in[] = {c, a, b};
  return cg_record(tape, &cg_op_addmm, in, 3, &attr);
}

/* ---- linear: composed ---- */

static cg_tensor *linear2(cg_tape *tape, cg_tensor *x, cg_tensor *W,
                          cg_tensor *b) {
  return b ? cg_addmm(tape, b, x, W, false, true)
           : cg_matmul_t(tape, x, W, false, true);
}

cg_tensor *cg_linear(cg_tape *tape, cg_tensor *x, cg_tensor *W, cg_tensor *b) {
  if (cg_tape_status(tape)) return NULL;
  if (!x || !W)
    return cg_tape_fail(tape, CG_ERR_ARG, "linear", "x or W is NULL");
  if (!tape_can_use(tape, x, "linear", 0)) return NULL;
  int rank = x->rank;
  if (rank == 2) return linear2(tape, x, W, b);
  if (!tape_can_use(tape, W, "linear", 1)) return NULL;
  if (rank == 0 || cg_tensor_rank(W) != 2 ||
      cg_tensor_dim(x, -1) != cg_tensor_dim(W, 1)) {
    char xs[96], ws[96];
    return cg_tape_fail(tape, CG_ERR_SHAPE, "linear",
                        "x %s times W^T for W %s: the inner sizes differ",
                        cg_tensor_shape_text(x, xs, sizeof xs),
                        cg_tensor_shape_text(W, ws, sizeof ws));
  }
  int64_t shape[CG_MAX_RANK], rows = 1;
  for (int i = 0; i < rank - 1; i++) rows *= shape[i] = cg_tensor_dim(x, i);
  shape[rank - 1] = cg_tensor_dim(W, 0);
  int64_t flat[2] = {rows, cg_tensor_dim(x, -1)};
  cg_tensor *y = linear2(tape, cg_reshape(tape, x, 2, flat), W, b);
  return cg_reshape(tape, y, rank, shape);
}
