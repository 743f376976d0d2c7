/* op_bmm.c - batched matrix products, and products of vectors. */
#include "gemm_operand.h"
#include "index_operand.h"
#include "nd.h"
#include "op_impl.h"

typedef struct bmm_attr {
  bool ta, tb;
} bmm_attr;

/* ---- the shape rule ---- */

static cg_status fail_shapes(const cg_call *call, const char *why) {
  const bmm_attr *t = call->attr;
  char as[96], bs[96];
  return cg_call_fail(call, CG_ERR_SHAPE, "%s%s times %s%s: %s",
                      cg_tensor_shape_text(call->in[0], as, sizeof as),
                      t->ta ? "^T" : "",
                      cg_tensor_shape_text(call->in[1], bs, sizeof bs),
                      t->tb ? "^T" : "", why);
}

static cg_status bmm_infer(const cg_call *call, cg_spec *spec) {
  const bmm_attr *t = call->attr;
  const cg_tensor *a = call->in[0], *b = call->in[1];
  if (!dtype_is_float(a->dtype) || a->dtype != b->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "the matrices have types %s and %s",
                        cg_dtype_name(a->dtype), cg_dtype_name(b->dtype));
  const int la = a->rank - 2, lb = b->rank - 2;
  if (la < 0 || lb < 0) return fail_shapes(call, "a rank is below 2");
  if (a->dims[la + !t->ta] != b->dims[lb + t->tb])
    return fail_shapes(call, "the inner sizes differ");
  int rank = 0;
  int64_t shape[CG_MAX_RANK];
  if (!shape_broadcast(&rank, shape, la, t_shape(a)) ||
      !shape_broadcast(&rank, shape, lb, t_shape(b)))
    return fail_shapes(call, "the leading axes do not broadcast");
  shape[rank++] = a->dims[la + t->ta];
  shape[rank++] = b->dims[lb + !t->tb];
  cg_spec_set(spec, a->dtype, rank, shape);
  return CG_OK;
}

/* ---- forward ---- */

/* An operand as a batch of stored matrices. */
typedef struct batch {
  const void *data;
  int64_t strides[CG_MAX_RANK]; /* over the result's leading axes */
  int64_t ld;
  bool transposed;
} batch;

/* Operand i, in place if its matrices are stored in a way that products take,
 * or copied. */
static cg_status make_batch(const cg_call *call, int i, bool transposed,
                            const cg_tensor *out, batch *m) {
  const cg_tensor *x = call->in[i];
  const int lead = x->rank - 2;
  const int64_t *strides = t_strides(x);
  int64_t dense[CG_MAX_RANK];
  *m = (batch){.data = x->data, .transposed = transposed};
  if (!gemm_stored(t_shape(x) + lead, strides + lead, &m->transposed,
                   &m->ld)) {
    cg_status status = operand_dense(call, i, &m->data);
    if (status) return status;
    shape_strides(x->rank, t_shape(x), dense);
    strides = dense;
    m->ld = dense[lead];
  }
  shape_expand_strides(out->rank - 2, t_shape(out), lead, t_shape(x), strides,
                       m->strides);
  return CG_OK;
}

static cg_status bmm_forward(const cg_call *call, cg_tensor *out) {
  const bmm_attr *t = call->attr;
  const cg_tensor *a = call->in[0];
  batch A, B;
  cg_status status = make_batch(call, 0, t->ta, out, &A);
  if (!status) status = make_batch(call, 1, t->tb, out, &B);
  if (status) return status;
  const int64_t size = (int64_t)dtype_size(out->dtype);
  gemm_args g = {.dtype = out->dtype, .ta = A.transposed, .tb = B.transposed,
                 .m = out->dims[out->rank - 2], .n = out->dims[out->rank - 1],
                 .k = a->dims[a->rank - 2 + !t->ta], .lda = A.ld, .ldb = B.ld};
  g.ldc = g.n > 0 ? g.n : 1;
  kernel_gemm_choose(&g);
  size_t bytes = kernel_gemm_scratch(&g);
  g.scratch = bytes ? cg_call_scratch(call, bytes) : NULL;
  if (bytes && !g.scratch) return cg_tape_status(call->tape);
  nd it;
  void *data[ND_ARRAYS] = {out->data, (void *)(uintptr_t)A.data,
                           (void *)(uintptr_t)B.data};
  const int64_t *strides[ND_ARRAYS] = {t_strides(out), A.strides, B.strides};
  if (t_numel(out) == 0 || !nd_begin(&it, out->rank - 2, t_shape(out),
                                     (size_t)size, data, strides))
    return CG_OK;
  do
    for (int64_t i = 0; i < it.n; i++) {
      g.c = it.at[0] + i * it.step[0] * size;
      g.a = it.at[1] + i * it.step[1] * size;
      g.b = it.at[2] + i * it.step[2] * size;
      kernel_gemm(&g);
    }
  while (nd_next(&it));
  return CG_OK;
}

/* As for matmul; what was broadcast is summed where it is given. */
static void bmm_vjp(cg_vjp *v) {
  const bmm_attr *t = cg_vjp_attr(v);
  cg_tape *tape = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v);
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *b = cg_vjp_in(v, 1);
    cg_vjp_give(v, 0, t->ta ? cg_bmm(tape, b, gy, t->tb, true)
                            : cg_bmm(tape, gy, b, false, !t->tb));
  }
  if (cg_vjp_needs(v, 1)) {
    cg_tensor *a = cg_vjp_in(v, 0);
    cg_vjp_give(v, 1, t->tb ? cg_bmm(tape, gy, a, true, t->ta)
                            : cg_bmm(tape, a, gy, !t->ta, false));
  }
}

static const bmm_attr nn = {false, false}, nt = {false, true},
                      tn = {true, false}, tt = {true, true};
static const cg_op_case bmm_cases[] = {
    {"f[2,3] f[3,4]", &nn},       {"f[2,2,3] f[2,3,2]", &nn},
    {"f[2,2,3] f[4,3]", &nt},     {"f[2,1,3,2] f[3,3,2]", &tn},
    {"f[3,2] f[2,4,3]", &tt},     {"f[2,1,3] f[2,3,1]", &nn},
    {"f[2,0,3] f[2,3,2]", &nn},   {"f[2,2,0] f[2,0,2]", &nn},
    {"f[0,2,3] f[1,3,2]", &nn},   {"f[1,2,2] f[3,2,2]", &tt},
};

const cg_op cg_op_bmm = {
    .name = "bmm",
    .formula = "y = op(a) op(b) for the matrices of the last two axes",
    .derivative = "ga = gy op(b)^T, gb = op(a)^T gy (transposed where op is)",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(bmm_attr),
    .infer = bmm_infer,
    .forward = bmm_forward,
    .vjp = bmm_vjp,
    CG_CASES(bmm_cases),
};

cg_tensor *cg_bmm(cg_tape *tape, cg_tensor *a, cg_tensor *b, bool ta,
                  bool tb) {
  bmm_attr attr = {ta, tb};
  cg_tensor *in[] = {a, b};
  return cg_record(tape, &cg_op_bmm, in, 2, &attr);
}

/* ---- dot and outer: composed ---- */

/* Two vectors, of equal length if `equal`. */
static bool vectors(cg_tape *tape, const char *op, const cg_tensor *a,
                    const cg_tensor *b, bool equal) {
  if (cg_tape_status(tape)) return false;
  if (!a || !b) return cg_tape_fail(tape, CG_ERR_ARG, op, "a or b is NULL");
  if (cg_tensor_rank(a) == 1 && cg_tensor_rank(b) == 1 &&
      (!equal || cg_tensor_dim(a, 0) == cg_tensor_dim(b, 0)))
    return true;
  char as[96], bs[96];
  return cg_tape_fail(tape, CG_ERR_SHAPE, op, "%s and %s are not two vectors%s",
                      cg_tensor_shape_text(a, as, sizeof as),
                      cg_tensor_shape_text(b, bs, sizeof bs),
                      equal ? " of one length" : "");
}

cg_tensor *cg_dot(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  if (!vectors(tape, "dot", a, b, true)) return NULL;
  int64_t row[2] = {1, cg_tensor_dim(a, 0)};
  cg_tensor *y = cg_matmul_t(tape, cg_reshape(tape, a, 2, row),
                             cg_reshape(tape, b, 2, row), false, true);
  return cg_reshape(tape, y, 0, NULL);
}

cg_tensor *cg_outer(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  if (!vectors(tape, "outer", a, b, false)) return NULL;
  int64_t column[2] = {cg_tensor_dim(a, 0), 1};
  int64_t row[2] = {1, cg_tensor_dim(b, 0)};
  return cg_matmul(tape, cg_reshape(tape, a, 2, column),
                   cg_reshape(tape, b, 2, row));
}
