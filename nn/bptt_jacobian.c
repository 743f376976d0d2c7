/* bptt_jacobian.c - recurrent Jacobians as products, and their rates of growth.
 */
#include <chronograd/bptt_jacobian.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bptt_common.h"
#include "bptt_rows.h"
#include "orthogonal.h"

static void identity(double *A, int64_t n) {
  memset(A, 0, (size_t)(n * n) * sizeof *A);
  for (int64_t i = 0; i < n; i++)
    A[i * n + i] = 1.0;
}

/* J = diag(phi'(z_j)) W_hh J, with room for a copy of J. */
static void one_step(const cg_bptt_problem *p, const double *h_j, double *J,
                     double *copy) {
  const int64_t H = p->H;
  const cg_bptt_phi *f = cg_bptt_phi_of(p->phi);
  memcpy(copy, J, (size_t)(H * H) * sizeof *J);
  memset(J, 0, (size_t)(H * H) * sizeof *J);
  cg_rows_add_x_a(J, p->W_hh, copy, H, H, H);
  for (int64_t i = 0; i < H; i++)
    for (int64_t c = 0; c < H; c++)
      J[i * H + c] *= f->phi_prime(h_j[i]);
}

static cg_status check(const cg_bptt_problem *p, const cg_bptt_result *r,
                       int64_t b, int64_t t, int64_t k, cg_error *err) {
  cg_status status = cg_bptt_check_result(p, r, err);
  if (status)
    return status;
  if (b < 0 || b >= p->B)
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "sequence %" PRId64 " is none of %" PRId64, b, p->B);
  if (k < 0 || k > t || t > p->T)
    return cg_error_set(err, CG_ERR_ARG, "bptt",
                        "there is no Jacobian of state %" PRId64
                        " by state %" PRId64 " of %" PRId64 " steps",
                        t, k, p->T);
  return CG_OK;
}

cg_status cg_bptt_jacobian(const cg_bptt_problem *problem,
                           const cg_bptt_result *result, int64_t b, int64_t t,
                           int64_t k, double *J, cg_error *err) {
  const cg_bptt_problem *p = problem;
  cg_status status = check(p, result, b, t, k, err);
  if (status)
    return status;
  if (!J)
    return cg_bptt_no_result(err);
  double *copy = NULL;
  void *block = NULL;
  const cg_bptt_part part = {&copy, 1, p->H, p->H};
  status = cg_bptt_alloc(p, &part, 1, &block, err);
  if (status)
    return status;
  identity(J, p->H);
  for (int64_t j = k + 1; j <= t; j++) {
    const cg_bptt_step s = cg_bptt_step_at(p, result, j);
    one_step(p, s.h_t + b * p->H, J, copy);
  }
  cg_bptt_release(block);
  return CG_OK;
}

/* ---- Lyapunov exponents ---- */

/* The vectors of Q_t are rows here: what comes of row i of Q is J_t q_i. Adds
 * log R_t[i, i] to each exponent. */
static void qr_step(const double *J_t, int64_t n, double *Q, double *next,
                    double *exponents) {
  memset(next, 0, (size_t)(n * n) * sizeof *next);
  cg_rows_add_x_at(next, Q, J_t, n, n, n);
  for (int64_t i = 0; i < n; i++)
    exponents[i] += log(cg_orthonormalise(next, i, n));
  memcpy(Q, next, (size_t)(n * n) * sizeof *Q);
}

cg_status cg_lyapunov_exponents(const double *J, int64_t T, int64_t n,
                                double *exponents,
                                const cg_allocator *allocator, cg_error *err) {
  const char *fn = "lyapunov_exponents";
  if (!J || !exponents || T < 1 || n < 1)
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "%" PRId64 " matrices of size %" PRId64
                        ", and %s: there must be some of each",
                        T, n, J && exponents ? "both arrays" : "a NULL");
  cg_error local = {0};
  cg_tensor *scratch =
      cg_leaf_new(allocator, CG_F64, CG_DIMS(2, n, n), &local);
  if (!scratch && err)
    *err = local;
  if (!scratch)
    return local.status;
  double *Q = cg_leaf_data(scratch), *next = Q + n * n;
  identity(Q, n);
  for (int64_t i = 0; i < n; i++)
    exponents[i] = 0.0;
  for (int64_t t = 0; t < T; t++)
    qr_step(J + t * n * n, n, Q, next, exponents);
  for (int64_t i = 0; i < n; i++)
    exponents[i] /= (double)T;
  cg_leaf_free(scratch);
  return CG_OK;
}
