/* op_random.c - random constants, and dropout. */
#include "index_operand.h"
#include "kernel.h"
#include "op_impl.h"

/* ---- constants ---- */

/* An uninitialised (zero) float constant; the error names `op`. */
static cg_tensor *constant(cg_tape *tape, const char *op, const cg_rng *rng,
                           cg_dtype dtype, int rank, const int64_t *shape) {
  if (cg_tape_status(tape)) return NULL;
  if (!rng) return cg_tape_fail(tape, CG_ERR_ARG, op, "rng is NULL");
  if (!dtype_is_float(dtype))
    return cg_tape_fail(tape, CG_ERR_DTYPE, op,
                        "the result cannot have type %s; f32 or f64 is needed",
                        cg_dtype_name(dtype));
  return cg_full(tape, dtype, rank, shape, 0);
}

cg_tensor *cg_rand_uniform(cg_tape *tape, cg_rng *rng, cg_dtype dtype,
                           int rank, const int64_t *shape) {
  cg_tensor *y = constant(tape, "rand_uniform", rng, dtype, rank, shape);
  if (!y) return NULL;
  int64_t n = t_numel(y);
  kernel_uniform(dtype, n, y->data, rng->seed, rng->counter);
  rng->counter += (uint64_t)n;
  return y;
}

cg_tensor *cg_rand_normal(cg_tape *tape, cg_rng *rng, cg_dtype dtype, int rank,
                          const int64_t *shape) {
  cg_tensor *y = constant(tape, "rand_normal", rng, dtype, rank, shape);
  if (!y) return NULL;
  int64_t n = t_numel(y);
  for (int64_t i = 0; i < n; i++)
    if (dtype == CG_F32)
      ((float *)y->data)[i] = (float)cg_rng_normal(rng);
    else
      ((double *)y->data)[i] = cg_rng_normal(rng);
  return y;
}

/* ---- dropout: linear in x, so its own derivative ---- */

typedef struct dropout_attr {
  double p;
  cg_rng rng; /* where the numbers of the mask begin */
} dropout_attr;

static cg_status dropout_infer(const cg_call *call, cg_spec *spec) {
  const dropout_attr *attr = call->attr;
  cg_spec_like(spec, call->in[0]);
  if (attr->p >= 0 && attr->p <= 1) return cg_call_want_float(call, 0);
  return cg_call_fail(call, CG_ERR_ARG, "p is %g; it must be in [0, 1]",
                      attr->p);
}

static cg_status dropout_forward(const cg_call *call, cg_tensor *out) {
  const dropout_attr *attr = call->attr;
  const void *x;
  cg_status status = operand_dense(call, 0, &x);
  if (!status)
    kernel_dropout(out->dtype, t_numel(out), out->data, x, attr->p,
                   attr->rng.seed, attr->rng.counter);
  return status;
}

static void dropout_vjp(cg_vjp *v) {
  cg_tensor *gy = cg_vjp_gy(v);
  cg_vjp_give(v, 0, cg_record(cg_vjp_tape(v), &cg_op_dropout, &gy, 1,
                              cg_vjp_attr(v)));
}

static const dropout_attr third = {0.3, {2385, 7}}, never = {0, {1, 0}},
                          always = {1, {1, 0}};
static const cg_op_case dropout_cases[] = {
    {"f[]", &third},  {"f[37]", &third},  {"f[3,4]", &third},
    {"f[5]", &never}, {"f[5]", &always},  {"f[0,3]", &third},
};

const cg_op cg_op_dropout = {
    .name = "dropout",
    .formula = "y_i = x_i / (1 - p) where u_i >= p, else 0",
    .derivative = "gx_i = gy_i / (1 - p) where u_i >= p, else 0",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(dropout_attr),
    .infer = dropout_infer,
    .forward = dropout_forward,
    .vjp = dropout_vjp,
    .once = true,
    CG_CASES(dropout_cases),
};

cg_tensor *cg_dropout(cg_tape *tape, cg_tensor *x, double p, cg_rng *rng) {
  if (cg_tape_status(tape)) return NULL;
  if (!rng) return cg_tape_fail(tape, CG_ERR_ARG, "dropout", "rng is NULL");
  dropout_attr attr = {p, *rng};
  cg_tensor *y = cg_record(tape, &cg_op_dropout, &x, 1, &attr);
  if (y) rng->counter += (uint64_t)t_numel(y);
  return y;
}
