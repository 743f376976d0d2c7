/* op_index.c - rows of a table by index, the transpose of that, and one-hot
 * vectors. */
#include <string.h>

#include "index_operand.h"
#include "kernel.h"
#include "op_impl.h"

/* A size that the shapes of the operands do not tell. */
typedef struct rows_attr {
  int64_t V;
} rows_attr;

typedef struct one_hot_attr {
  int64_t K;
  cg_dtype dtype;
} one_hot_attr;

static cg_status fail_rank(const cg_call *call, int rank) {
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "the result would have rank %d; %d is the largest", rank,
                      CG_MAX_RANK);
}

static cg_status fail_size(const cg_call *call, const char *what,
                           int64_t size) {
  return cg_call_fail(call, CG_ERR_ARG, "%s is %lld; it cannot be negative",
                      what, (long long)size);
}

/* ---- rows of a table: embedding and its transpose ---- */

/* Copies (or, for the transpose, adds) row index[i] from or to row i. A row is
 * everything behind the first axes. */
static cg_status embedding_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *table = call->in[0], *index = call->in[1];
  const int64_t *row, *strides = t_strides(table), n = t_numel(index);
  const size_t size = cg_dtype_size(table->dtype);
  int64_t width;
  cg_status status = index_dense(call, 1, table->dims[0], &row);
  if (status || !shape_numel(table->rank - 1, table->dims + 1, &width))
    return status;
  const size_t bytes = (size_t)width * size;
  if (bytes == 0) return CG_OK;
  const bool dense =
      shape_contiguous(table->rank - 1, table->dims + 1, strides + 1);
  char *y = out->data;
  for (int64_t i = 0; i < n; i++, y += bytes) {
    const char *x = (char *)table->data + row[i] * strides[0] * (int64_t)size;
    if (dense)
      memcpy(y, x, bytes);
    else
      kernel_copy(table->dtype, table->rank - 1, table->dims + 1, y, x,
                  strides + 1);
  }
  return CG_OK;
}

static cg_status embedding_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *table = call->in[0], *index = call->in[1];
  cg_status status = cg_call_want_float(call, 0);
  if (!status) status = index_want(call, 1);
  if (status) return status;
  if (table->rank == 0)
    return cg_call_fail(call, CG_ERR_SHAPE, "the table is a scalar");
  int64_t shape[2 * CG_MAX_RANK];
  const int rank = index->rank + table->rank - 1;
  if (rank > CG_MAX_RANK) return fail_rank(call, rank);
  for (int i = 0; i < rank; i++)
    shape[i] = i < index->rank ? index->dims[i]
                               : table->dims[i - index->rank + 1];
  cg_spec_set(spec, table->dtype, rank, shape);
  return CG_OK;
}

static void embedding_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0,
                cg_embedding_grad(cg_vjp_tape(v), cg_vjp_gy(v),
                                  cg_vjp_in(v, 1), cg_vjp_in_shape(v, 0)[0]));
}

/* More indices than rows make sure that some repeat. */
static const cg_op_case embedding_cases[] = {
    {"f[3,2] i[5]<3", NULL}, {"f[4,3] i[]<4", NULL},
    {"f[3] i[2,4]<3", NULL}, {"f[2,3,2] i[2,3]<2", NULL},
    {"f[3,2] i[0]<3", NULL}, {"f[3,0] i[2]<3", NULL},
    {"f[0,2] i[0]<1", NULL}, {"f[1,19] i[3]<1", NULL},
};

const cg_op cg_op_embedding = {
    .name = "embedding",
    .formula = "y[i] = table[index[i]]",
    .derivative = "gtable[index[i]] += gy[i]",
    .min_in = 2,
    .max_in = 2,
    .infer = embedding_infer,
    .forward = embedding_forward,
    .vjp = embedding_vjp,
    CG_CASES(embedding_cases),
    .n_diff = 1,
};

cg_tensor *cg_embedding(cg_tape *tape, cg_tensor *table, cg_tensor *index) {
  return record2(tape, &cg_op_embedding, table, index);
}

static cg_status embedding_grad_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *g = call->in[0], *index = call->in[1];
  const rows_attr *attr = call->attr;
  cg_status status = cg_call_want_float(call, 0);
  if (!status) status = index_want(call, 1);
  if (status) return status;
  if (attr->V < 0) return fail_size(call, "V", attr->V);
  const int lead = index->rank, rank = g->rank - lead + 1;
  if (rank < 1 || !shape_equal(lead, t_shape(g), lead, t_shape(index))) {
    char gs[96], is[96];
    return cg_call_fail(call, CG_ERR_SHAPE,
                        "g %s does not begin with the shape of the indices, %s",
                        cg_tensor_shape_text(g, gs, sizeof gs),
                        cg_tensor_shape_text(index, is, sizeof is));
  }
  if (rank > CG_MAX_RANK) return fail_rank(call, rank);
  int64_t shape[CG_MAX_RANK] = {attr->V};
  for (int i = 1; i < rank; i++) shape[i] = g->dims[lead + i - 1];
  cg_spec_set(spec, g->dtype, rank, shape);
  return CG_OK;
}

static cg_status embedding_grad_forward(const cg_call *call, cg_tensor *out) {
  const cg_tensor *index = call->in[1];
  const int64_t *row, n = t_numel(index), V = out->dims[0];
  const void *g;
  cg_status status = index_dense(call, 1, V, &row);
  if (!status) status = operand_dense(call, 0, &g);
  if (status) return status;
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  const int64_t width = V > 0 ? t_numel(out) / V : 0, one = 1;
  const int64_t bytes = width * (int64_t)cg_dtype_size(out->dtype);
  if (width == 0) return CG_OK;
  for (int64_t i = 0; i < n; i++)
    kernel_add_strided(out->dtype, 1, &width,
                       (char *)out->data + row[i] * bytes, &one,
                       (const char *)g + i * bytes, &one);
  return CG_OK;
}

static void embedding_grad_vjp(cg_vjp *v) {
  if (cg_vjp_needs(v, 0))
    cg_vjp_give(v, 0,
                cg_embedding(cg_vjp_tape(v), cg_vjp_gy(v), cg_vjp_in(v, 1)));
}

static const rows_attr rows_0 = {0}, rows_3 = {3};
static const cg_op_case embedding_grad_cases[] = {
    {"f[5,2] i[5]<3", &rows_3},     {"f[4] i[]<3", &rows_3},
    {"f[2,4] i[2,4]<3", &rows_3},   {"f[2,3,2,2] i[2,3]<2", &rows_3},
    {"f[0,2] i[0]<3", &rows_3},     {"f[2,0] i[2]<3", &rows_3},
    {"f[0,2] i[0]<1", &rows_0},     {"f[] i[]<3", &rows_3},
};

const cg_op cg_op_embedding_grad = {
    .name = "embedding_grad",
    .formula = "y[index[i]] += x[i], from y = 0 with V rows",
    .derivative = "gx[i] = gy[index[i]]",
    .min_in = 2,
    .max_in = 2,
    .attr_size = sizeof(rows_attr),
    .infer = embedding_grad_infer,
    .forward = embedding_grad_forward,
    .vjp = embedding_grad_vjp,
    CG_CASES(embedding_grad_cases),
    .n_diff = 1,
};

cg_tensor *cg_embedding_grad(cg_tape *tape, cg_tensor *g, cg_tensor *index,
                             int64_t V) {
  rows_attr attr = {V};
  cg_tensor *in[] = {g, index};
  return cg_record(tape, &cg_op_embedding_grad, in, 2, &attr);
}

/* ---- one_hot ---- */

static cg_status one_hot_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *index = call->in[0];
  const one_hot_attr *attr = call->attr;
  cg_status status = index_want(call, 0);
  if (status) return status;
  if (!dtype_is_float(attr->dtype))
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "the result cannot have type %s; f32 or f64 is needed",
                        cg_dtype_name(attr->dtype));
  if (attr->K < 0) return fail_size(call, "K", attr->K);
  if (index->rank == CG_MAX_RANK) return fail_rank(call, CG_MAX_RANK + 1);
  cg_spec_set(spec, attr->dtype, index->rank, t_shape(index));
  spec->shape[spec->rank++] = attr->K;
  return CG_OK;
}

static cg_status one_hot_forward(const cg_call *call, cg_tensor *out) {
  const int64_t K = cg_tensor_dim(out, -1), n = t_numel(call->in[0]);
  const int64_t *index;
  cg_status status = index_dense(call, 0, K, &index);
  if (status) return status;
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  for (int64_t i = 0; i < n; i++)
    if (out->dtype == CG_F32)
      ((float *)out->data)[i * K + index[i]] = 1;
    else
      ((double *)out->data)[i * K + index[i]] = 1;
  return CG_OK;
}

static const one_hot_attr hot_3 = {3, CG_F64};
static const cg_op_case one_hot_cases[] = {
    {"i[]<3", &hot_3}, {"i[4]<3", &hot_3}, {"i[2,3]<3", &hot_3},
    {"i[0]<3", &hot_3},
};

const cg_op cg_op_one_hot = {
    .name = "one_hot",
    .formula = "y[i, k] = 1 where k = index[i], else 0",
    .derivative = "none: indices have no derivative",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(one_hot_attr),
    .infer = one_hot_infer,
    .forward = one_hot_forward,
    CG_CASES(one_hot_cases),
};

cg_tensor *cg_one_hot(cg_tape *tape, cg_tensor *index, int64_t K,
                      cg_dtype dtype) {
  one_hot_attr attr = {K, dtype};
  return cg_record(tape, &cg_op_one_hot, &index, 1, &attr);
}
