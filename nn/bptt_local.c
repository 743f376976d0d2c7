/* bptt_local.c - the Jacobians of softmax and activation as matrices. */
#include <chronograd/bptt_local.h>

#include <inttypes.h>
#include <math.h>

static cg_status check(const void *in, const void *out, int64_t n,
                       const char *fn, cg_error *err) {
  if (!in || !out)
    return cg_error_set(err, CG_ERR_ARG, fn, "an array is NULL");
  if (n < 1)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "the size is %" PRId64 " but must be at least 1", n);
  return CG_OK;
}

/* log sum_k exp(o_k); p_k = exp(o_k - that) never overflows. */
static double log_sum_exp(const double *o, int64_t K) {
  double largest = o[0], sum = 0.0;
  for (int64_t k = 1; k < K; k++)
    largest = fmax(largest, o[k]);
  for (int64_t k = 0; k < K; k++)
    sum += exp(o[k] - largest);
  return largest + log(sum);
}

/* p_k (delta_kj - p_j), where 1 - p_k would cancel for p_k near 1. */
static double softmax_slope(const double *o, int64_t K, double log_sum,
                            int64_t k, int64_t j) {
  const double p_k = exp(o[k] - log_sum);
  if (k != j)
    return -p_k * exp(o[j] - log_sum);
  double others = 0.0;
  for (int64_t i = 0; i < K; i++)
    others += i == k ? 0.0 : exp(o[i] - log_sum);
  return p_k * others;
}

cg_status cg_bptt_softmax_jacobian(const double *o, int64_t K, double *J,
                                   cg_error *err) {
  cg_status status = check(o, J, K, "softmax_jacobian", err);
  if (status)
    return status;
  const double log_sum = log_sum_exp(o, K);
  for (int64_t k = 0; k < K; k++)
    for (int64_t j = 0; j < K; j++)
      J[k * K + j] = softmax_slope(o, K, log_sum, k, j);
  return CG_OK;
}

cg_status cg_bptt_delta_o_by_chain(const double *o, int64_t K, int64_t y,
                                   double *delta_o, cg_error *err) {
  const char *fn = "delta_o_by_chain";
  cg_status status = check(o, delta_o, K, fn, err);
  if (status)
    return status;
  if (y < 0 || y >= K)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "the target is %" PRId64 ", but there are %" PRId64
                        " classes",
                        y, K);
  const double log_sum = log_sum_exp(o, K), p_y = exp(o[y] - log_sum);
  if (!(p_y > 0.0))
    return cg_error_set(err, CG_ERR_NONFINITE, fn,
                        "p_y is %g, which cannot divide", p_y);
  for (int64_t j = 0; j < K; j++) {
    delta_o[j] = 0.0;
    for (int64_t k = 0; k < K; k++) {
      const double dL_dp = k == y ? -1.0 / p_y : 0.0;
      delta_o[j] += softmax_slope(o, K, log_sum, k, j) * dL_dp;
    }
  }
  return CG_OK;
}

cg_status cg_bptt_activation_jacobian(cg_activation phi, const double *h,
                                      int64_t n, double *J, cg_error *err) {
  const char *fn = "activation_jacobian";
  cg_status status = check(h, J, n, fn, err);
  if (status)
    return status;
  if ((unsigned)phi >= CG_ACT_COUNT)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "phi is %d, which is no activation", (int)phi);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      J[i * n + j] = i == j ? cg_activation_prime(phi, h[i]) : 0.0;
  return CG_OK;
}
