/* op_diagonal.c - the diagonals of matrices, and matrices of diagonals. */
#include "kernel.h"
#include "op_impl.h"

/* ---- diagonal ---- */

static cg_status diagonal_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  const int rank = x->rank - 1; /* of the result */
  char text[96];
  if (rank < 1)
    return cg_call_fail(call, CG_ERR_SHAPE,
                        "%s has no two axes to take a diagonal of",
                        cg_tensor_shape_text(x, text, sizeof text));
  const int64_t m = x->dims[rank - 1], n = x->dims[rank];
  cg_spec_set(spec, (cg_dtype)x->dtype, rank, t_shape(x));
  spec->shape[rank - 1] = m < n ? m : n;
  spec->is_view = true;
  spec->offset = 0;
  for (int i = 0; i < rank; i++) spec->strides[i] = t_strides(x)[i];
  spec->strides[rank - 1] += t_strides(x)[rank];
  return CG_OK;
}

/* Zeros beside the diagonal, and beyond the square that it spans. */
static void diagonal_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_diag_embed(t, cg_vjp_gy(v));
  const int rank = cg_vjp_in_rank(v, 0);
  const int64_t *shape = cg_vjp_in_shape(v, 0);
  int64_t after[CG_MAX_RANK] = {0}, m = shape[rank - 2], n = shape[rank - 1];
  after[rank - 2] = m > n ? m - n : 0;
  after[rank - 1] = n > m ? n - m : 0;
  if (m != n) g = cg_pad(t, g, NULL, after, 0);
  cg_vjp_give(v, 0, g);
}

static const cg_op_case diagonal_cases[] = {
    {"f[3,3]", NULL},   {"f[2,4]", NULL},   {"f[5,2]", NULL},
    {"f[2,3,3]", NULL}, {"f[2,1,2,3]", NULL}, {"f[0,3]", NULL},
    {"f[0,2,2]", NULL},
};

const cg_op cg_op_diagonal = {
    .name = "diagonal",
    .formula = "y_i = x_ii",
    .derivative = "gx_ij = gy_i where i = j, else 0",
    .min_in = 1,
    .max_in = 1,
    .infer = diagonal_infer,
    .vjp = diagonal_vjp,
    CG_CASES(diagonal_cases),
};

cg_tensor *cg_diagonal(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_diagonal, x);
}

/* ---- diag_embed ---- */

static cg_status diag_embed_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *x = call->in[0];
  char text[96];
  cg_status status = cg_call_want_float(call, 0);
  if (status) return status;
  cg_spec_like(spec, x);
  if (x->rank < 1 || x->rank == CG_MAX_RANK)
    return cg_call_fail(call, CG_ERR_SHAPE,
                        "%s: the rank must be 1 to %d, for one more axis",
                        cg_tensor_shape_text(x, text, sizeof text),
                        CG_MAX_RANK - 1);
  spec->shape[spec->rank] = x->dims[x->rank - 1];
  spec->rank++;
  return CG_OK;
}

static cg_status diag_embed_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *x = call->in[0];
  const int last = x->rank - 1;
  int64_t strides[CG_MAX_RANK];
  kernel_fill((cg_dtype)out->dtype, t_numel(out), out->data, 0);
  for (int i = 0; i <= last; i++) strides[i] = t_strides(out)[i];
  strides[last] += t_strides(out)[last + 1];
  kernel_copy_strided((cg_dtype)x->dtype, x->rank, t_shape(x), out->data,
                      strides, x->data, t_strides(x));
  return CG_OK;
}

static void diag_embed_vjp(cg_vjp *v) {
  cg_vjp_give(v, 0, cg_diagonal(cg_vjp_tape(v), cg_vjp_gy(v)));
}

static const cg_op_case diag_embed_cases[] = {
    {"f[3]", NULL}, {"f[2,4]", NULL}, {"f[1]", NULL},
    {"f[0]", NULL}, {"f[0,3]", NULL}, {"f[2,1,3]", NULL},
};

const cg_op cg_op_diag_embed = {
    .name = "diag_embed",
    .formula = "y_ij = x_i where i = j, else 0",
    .derivative = "gx_i = gy_ii",
    .min_in = 1,
    .max_in = 1,
    .infer = diag_embed_infer,
    .forward = diag_embed_forward,
    .vjp = diag_embed_vjp,
    CG_CASES(diag_embed_cases),
};

cg_tensor *cg_diag_embed(cg_tape *tape, cg_tensor *x) {
  return record1(tape, &cg_op_diag_embed, x);
}
