/* init.c - first values of parameters. */
#include <chronograd/init.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "orthogonal.h"

/* ---- what all have in common ---- */

static cg_status check_leaf(const cg_tensor *leaf, const char *fn,
                            cg_error *err) {
  if (!cg_tensor_is_leaf(leaf))
    return cg_error_set(err, CG_ERR_ARG, fn, "only leaves can be initialised");
  cg_dtype dtype = cg_tensor_dtype(leaf);
  if (dtype == CG_F32 || dtype == CG_F64) return CG_OK;
  return cg_error_set(err, CG_ERR_DTYPE, fn, "the leaf has type %s",
                      cg_dtype_name(dtype));
}

static cg_status check_rng(const cg_tensor *leaf, const cg_rng *rng,
                           const char *fn, cg_error *err) {
  cg_status status = check_leaf(leaf, fn, err);
  if (status || rng) return status;
  return cg_error_set(err, CG_ERR_ARG, fn, "there is no random generator");
}

static cg_status check_matrix(const cg_tensor *leaf, const cg_rng *rng,
                              double gain, const char *fn, cg_error *err) {
  cg_status status = check_rng(leaf, rng, fn, err);
  if (status) return status;
  char shape[96];
  if (cg_tensor_rank(leaf) != 2)
    return cg_error_set(err, CG_ERR_SHAPE, fn, "%s is not a matrix",
                        cg_tensor_shape_text(leaf, shape, sizeof shape));
  if (isfinite(gain)) return CG_OK;
  return cg_error_set(err, CG_ERR_ARG, fn, "the gain is %g", gain);
}

static void store(cg_dtype dtype, void *data, int64_t i, double value) {
  if (dtype == CG_F32)
    ((float *)data)[i] = (float)value;
  else
    ((double *)data)[i] = value;
}

static void fill_uniform(cg_tensor *leaf, cg_rng *rng, double a, double b) {
  cg_dtype dtype = cg_tensor_dtype(leaf);
  void *data = cg_leaf_data(leaf);
  int64_t n = cg_tensor_numel(leaf);
  for (int64_t i = 0; i < n; i++)
    store(dtype, data, i, a + (b - a) * cg_rng_uniform(rng));
}

static void fill_normal(cg_tensor *leaf, cg_rng *rng, double mean, double std) {
  cg_dtype dtype = cg_tensor_dtype(leaf);
  void *data = cg_leaf_data(leaf);
  int64_t n = cg_tensor_numel(leaf);
  for (int64_t i = 0; i < n; i++)
    store(dtype, data, i, mean + std * cg_rng_normal(rng));
}

/* ---- independent elements ---- */

cg_status cg_init_constant(cg_tensor *leaf, double value, cg_error *err) {
  cg_status status = check_leaf(leaf, "init_constant", err);
  return status ? status : cg_leaf_fill(leaf, value);
}

cg_status cg_init_uniform(cg_tensor *leaf, cg_rng *rng, double a, double b,
                          cg_error *err) {
  const char *fn = "init_uniform";
  cg_status status = check_rng(leaf, rng, fn, err);
  if (status) return status;
  if (!(a <= b) || !isfinite(a) || !isfinite(b))
    return cg_error_set(err, CG_ERR_ARG, fn, "[%g, %g) is no interval", a, b);
  fill_uniform(leaf, rng, a, b);
  return CG_OK;
}

cg_status cg_init_normal(cg_tensor *leaf, cg_rng *rng, double mean, double std,
                         cg_error *err) {
  const char *fn = "init_normal";
  cg_status status = check_rng(leaf, rng, fn, err);
  if (status) return status;
  if (!(std >= 0) || !isfinite(mean) || !isfinite(std))
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "mean %g and standard deviation %g", mean, std);
  fill_normal(leaf, rng, mean, std);
  return CG_OK;
}

cg_status cg_init_fan(cg_tensor *leaf, cg_rng *rng, int64_t n, cg_error *err) {
  const char *fn = "init_fan";
  cg_status status = check_rng(leaf, rng, fn, err);
  if (status) return status;
  if (n < 1)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "n is %" PRId64 " but must be at least 1", n);
  double bound = 1.0 / sqrt((double)n);
  fill_uniform(leaf, rng, -bound, bound);
  return CG_OK;
}

/* in + out of a weight [out, in]; at least 1, so that it can divide. */
static double fans(const cg_tensor *leaf) {
  double sum = (double)cg_tensor_dim(leaf, 0) + (double)cg_tensor_dim(leaf, 1);
  return fmax(sum, 1.0);
}

cg_status cg_init_xavier_uniform(cg_tensor *leaf, cg_rng *rng, double gain,
                                 cg_error *err) {
  cg_status status = check_matrix(leaf, rng, gain, "init_xavier_uniform", err);
  if (status) return status;
  double bound = fabs(gain) * sqrt(6.0 / fans(leaf));
  fill_uniform(leaf, rng, -bound, bound);
  return CG_OK;
}

cg_status cg_init_xavier_normal(cg_tensor *leaf, cg_rng *rng, double gain,
                                cg_error *err) {
  cg_status status = check_matrix(leaf, rng, gain, "init_xavier_normal", err);
  if (status) return status;
  fill_normal(leaf, rng, 0.0, fabs(gain) * sqrt(2.0 / fans(leaf)));
  return CG_OK;
}

/* ---- orthogonal ---- */

/* The k-th vector: normal, orthogonal to the k before it, of length 1. Another
 * draw where nearly nothing of it was new. */
static void next_vector(double *q, int64_t k, int64_t m, cg_rng *rng) {
  double *v = q + k * m, before;
  do {
    for (int64_t i = 0; i < m; i++) v[i] = cg_rng_normal(rng);
    before = cg_length(v, m);
  } while (!(cg_orthonormalise(q, k, m) > 1e-10 * before));
}

cg_status cg_init_orthogonal(cg_tensor *leaf, cg_rng *rng, double gain,
                             const cg_allocator *allocator, cg_error *err) {
  const char *fn = "init_orthogonal";
  cg_status status = check_matrix(leaf, rng, gain, fn, err);
  if (status) return status;
  int64_t rows = cg_tensor_dim(leaf, 0), columns = cg_tensor_dim(leaf, 1);
  bool by_rows = rows <= columns;
  int64_t n = by_rows ? rows : columns, m = by_rows ? columns : rows;
  if (n == 0) return CG_OK;
  cg_tensor *scratch = cg_leaf_new(allocator, CG_F64, CG_DIMS(n, m), err);
  if (!scratch) return CG_ERR_NOMEM;
  double *q = cg_leaf_data(scratch);
  for (int64_t k = 0; k < n; k++) next_vector(q, k, m, rng);
  void *data = cg_leaf_data(leaf);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++)
      store(cg_tensor_dtype(leaf), data, r * columns + c,
            gain * (by_rows ? q[r * m + c] : q[c * m + r]));
  cg_leaf_free(scratch);
  return CG_OK;
}

/* ---- by a rule ---- */

static cg_status apply(cg_tensor *leaf, const cg_init_rule *rule, cg_rng *rng,
                       const cg_allocator *allocator, cg_error *err) {
  double gain = rule->a == 0 ? 1.0 : rule->a;
  switch (rule->kind) {
    case CG_INIT_CONSTANT: return cg_init_constant(leaf, rule->a, err);
    case CG_INIT_UNIFORM:
      return cg_init_uniform(leaf, rng, rule->a, rule->b, err);
    case CG_INIT_NORMAL:
      return cg_init_normal(leaf, rng, rule->a, rule->b, err);
    case CG_INIT_FAN:
      return cg_init_fan(leaf, rng,
                         rule->a >= 1 && rule->a < 1e18 ? (int64_t)rule->a : 0,
                         err);
    case CG_INIT_XAVIER_UNIFORM:
      return cg_init_xavier_uniform(leaf, rng, gain, err);
    case CG_INIT_XAVIER_NORMAL:
      return cg_init_xavier_normal(leaf, rng, gain, err);
    case CG_INIT_ORTHOGONAL:
      return cg_init_orthogonal(leaf, rng, gain, allocator, err);
    case CG_INIT_COUNT: break;
  }
  return cg_error_set(err, CG_ERR_ARG, "init_rows", "%d is no kind of rule",
                      (int)rule->kind);
}

cg_status cg_init_rows(cg_tensor *leaf, int64_t first, int64_t count,
                       const cg_init_rule *rule, cg_rng *rng,
                       const cg_allocator *allocator, cg_error *err) {
  const char *fn = "init_rows";
  char text[96];
  if (!rule) return cg_error_set(err, CG_ERR_ARG, fn, "there is no rule");
  cg_status status = check_leaf(leaf, fn, err);
  if (status) return status;
  int rank = cg_tensor_rank(leaf);
  int64_t rows = cg_tensor_dim(leaf, 0), shape[CG_MAX_RANK];
  if (rank == 0 || first < 0 || count < 0 || first > rows - count)
    return cg_error_set(err, CG_ERR_SHAPE, fn,
                        "%s has no %" PRId64 " rows from %" PRId64,
                        cg_tensor_shape_text(leaf, text, sizeof text), count,
                        first);
  memcpy(shape, cg_tensor_shape(leaf), (size_t)rank * sizeof *shape);
  shape[0] = count;
  cg_dtype dtype = cg_tensor_dtype(leaf);
  cg_tensor *part = cg_leaf_new(allocator, dtype, rank, shape, err);
  if (!part) return CG_ERR_NOMEM;
  status = apply(part, rule, rng, allocator, err);
  if (!status && cg_tensor_numel(part) > 0) {
    size_t bytes = (size_t)cg_tensor_numel(part) * cg_dtype_size(dtype);
    size_t row = bytes / (size_t)count;
    memcpy((char *)cg_leaf_data(leaf) + (size_t)first * row,
           cg_tensor_data(part), bytes);
  }
  cg_leaf_free(part);
  return status;
}
