/* op_affine.c - an affine map and the activation after it, in one node: the
 * pre-activations are nowhere kept, for every phi here has a derivative in
 * terms of its result. */
#include "addmm.h"
#include "backward_impl.h"
#include "op_map.h"
#include "shape.h"

typedef struct affine_attr {
  matmul_attr product; /* first: addmm's functions look at it */
  cg_activation phi;
} affine_attr;

static cg_activation phi_of(const void *attr) {
  return ((const affine_attr *)attr)->phi;
}

/* From operands 3 and 4 on there is a second product, and an addend behind the
 * products is added to c. */
static bool has_second(int n_in) { return n_in >= 5; }
static bool has_addend(int n_in) { return n_in % 2 == 0; }

/* The second product, as if to be added to c. */
static cg_call second_of(const cg_call *call, cg_tensor *in[3]) {
  cg_call second = *call;
  in[0] = call->in[0];
  in[1] = call->in[3];
  in[2] = call->in[4];
  second.in = in;
  second.n_in = 3;
  return second;
}

static cg_status fail_sum(const cg_call *call, const cg_spec *first,
                          const cg_spec *second) {
  char a[96], b[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "one product is %s and the other %s",
                      shape_text(first->rank, first->shape, a, sizeof a),
                      shape_text(second->rank, second->shape, b, sizeof b));
}

static cg_status affine_infer(const cg_call *call, cg_spec *spec) {
  cg_activation phi = phi_of(call->attr);
  if ((unsigned)phi >= CG_ACT_COUNT)
    return cg_call_fail(call, CG_ERR_ARG, "%d is no activation", (int)phi);
  cg_status status = addmm_infer(call, spec);
  if (!status && has_addend(call->n_in))
    status = addend_check(call, call->n_in - 1, spec);
  if (status || !has_second(call->n_in)) return status;
  cg_tensor *in[3];
  cg_spec more;
  cg_call second = second_of(call, in);
  status = addmm_infer(&second, &more);
  if (!status &&
      !shape_equal(spec->rank, spec->shape, more.rank, more.shape))
    return fail_sum(call, spec, &more);
  return status;
}

static const kernel_phi *kernel_of(cg_activation phi) {
  static const kernel_phi *const kernels[CG_ACT_COUNT] = {
      [CG_ACT_TANH] = &kernel_phi_tanh,
      [CG_ACT_RELU] = &kernel_phi_relu,
      [CG_ACT_SIGMOID] = &kernel_phi_sigmoid,
  };
  return kernels[phi];
}

static cg_status affine_forward(const cg_call *call, cg_tensor *out) {
  const int64_t m = out->dims[0], n = out->dims[1];
  const kernel_phi *phi = kernel_of(phi_of(call->attr));
  addend_into(call, 0, m, n, out->data, n, false);
  if (has_addend(call->n_in))
    addend_into(call, call->n_in - 1, m, n, out->data, n, true);
  cg_status status = product_into(call, 1, 2, out->data, n, true);
  if (!status && has_second(call->n_in))
    status = product_into(call, 3, 4, out->data, n, true);
  if (!status && phi)
    (out->dtype == CG_F32 ? phi->f32 : phi->f64)(m * n, out->data);
  return status;
}

static const kernel_phi_grad *grad_kernel_of(cg_activation phi) {
  static const kernel_phi_grad *const kernels[CG_ACT_COUNT] = {
      [CG_ACT_TANH] = &kernel_phi_tanh_grad,
      [CG_ACT_RELU] = &kernel_phi_relu_grad,
      [CG_ACT_SIGMOID] = &kernel_phi_sigmoid_grad,
  };
  return kernels[phi];
}

/* gz for z = c + op(a) op(b): an op, but in the place of a gy that nobody else
 * has. */
static cg_tensor *through_phi(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *gy = cg_vjp_gy(v), *y = cg_vjp_out(v);
  const cg_activation phi = phi_of(cg_vjp_attr(v));
  const kernel_phi_grad *f = grad_kernel_of(phi);
  if (f && y && vjp_owns_gy(v)) {
    (gy->dtype == CG_F32 ? f->f32 : f->f64)(t_numel(gy), gy->data, y->data);
    return gy;
  }
  switch (phi) {
    case CG_ACT_TANH: return cg_tanh_grad(t, gy, y);
    case CG_ACT_RELU: return cg_relu_grad(t, gy, y);
    case CG_ACT_SIGMOID: return cg_sigmoid_grad(t, gy, y);
    case CG_ACT_IDENTITY:
    case CG_ACT_COUNT: break;
  }
  return gy;
}

static void affine_vjp(cg_vjp *v) {
  cg_tensor *gz = through_phi(v);
  const int n_in = cg_vjp_count(v);
  addmm_give(v, gz);
  if (has_second(n_in)) product_give(v, gz, 3, 4);
  if (has_addend(n_in)) cg_vjp_give(v, n_in - 1, gz);
}

static const affine_attr tanh_nt = {{false, true}, CG_ACT_TANH},
                         tanh_tn = {{true, false}, CG_ACT_TANH},
                         relu_nn = {{false, false}, CG_ACT_RELU},
                         sigmoid_tt = {{true, true}, CG_ACT_SIGMOID},
                         identity_nt = {{false, true}, CG_ACT_IDENTITY};

static const cg_op_case affine_cases[] = {
    {"f[4] f[2,3] f[4,3]", &tanh_nt},  {"f[2,1] f[3,2] f[3,4]", &tanh_tn},
    {"f[2,4] f[2,3] f[3,4]", &relu_nn}, {"f[] f[3,2] f[4,3]", &sigmoid_tt},
    {"f[4] f[2,3] f[4,3]", &identity_nt}, {"f[3,3] f[3,3] f[3,3]", &tanh_nt},
    {"f[3] f[0,2] f[3,2]", &tanh_nt},  {"f[2,3] f[2,0] f[0,3]", &relu_nn},
    {"f[4] f[2,3] f[4,3] f[2,5] f[4,5]", &tanh_nt},
    {"f[2,4] f[3,2] f[3,4] f[1,2] f[1,4]", &tanh_tn},
    {"f[3,3] f[3,3] f[3,3] f[3,3] f[3,3]", &relu_nn},
    {"f[] f[3,2] f[4,3] f[0,2] f[4,0]", &sigmoid_tt},
    {"f[4] f[2,3] f[4,3] f[2,5] f[4,5] f[4]", &tanh_nt},
    {"f[2,4] f[2,3] f[4,3] f[2,1]", &identity_nt},
    {"f[3] f[0,2] f[3,2] f[0,4] f[3,4] f[]", &tanh_nt},
};

const cg_op cg_op_affine = {
    .name = "affine",
    .formula = "y = phi(z), z = c [+ c'] + op(a) op(b) [+ op(a') op(b')]",
    .derivative = "gz = gy phi'(z), from y; the others as for addmm",
    .min_in = 3,
    .max_in = 6,
    .attr_size = sizeof(affine_attr),
    .infer = affine_infer,
    .forward = affine_forward,
    .vjp = affine_vjp,
    CG_CASES(affine_cases),
};

cg_tensor *cg_affine(cg_tape *tape, cg_activation phi, cg_tensor *c,
                     cg_tensor *a, cg_tensor *b, bool ta, bool tb) {
  affine_attr attr = {{ta, tb}, phi};
  cg_tensor *in[] = {c, a, b};
  return cg_record(tape, &cg_op_affine, in, 3, &attr);
}

cg_tensor *cg_affine2(cg_tape *tape, cg_activation phi, cg_tensor *c,
                      cg_tensor *const a[2], cg_tensor *const b[2], bool ta,
                      bool tb) {
  if (!a || !b)
    return cg_tape_fail(tape, CG_ERR_ARG, "affine", "the matrices are NULL");
  affine_attr attr = {{ta, tb}, phi};
  cg_tensor *in[] = {c, a[0], b[0], a[1], b[1]};
  return cg_record(tape, &cg_op_affine, in, 5, &attr);
}

cg_tensor *cg_affine_sums(cg_tape *tape, cg_activation phi,
                          cg_tensor *const c[2], cg_tensor *const a[2],
                          cg_tensor *const b[2], bool ta, bool tb) {
  if (!a || !b || !c)
    return cg_tape_fail(tape, CG_ERR_ARG, "affine", "the operands are NULL");
  affine_attr attr = {{ta, tb}, phi};
  cg_tensor *one[] = {c[0], a[0], b[0], c[1]};
  cg_tensor *two[] = {c[0], a[0], b[0], a[1], b[1], c[1]};
  const bool both = a[1] || b[1];
  return cg_record(tape, &cg_op_affine, both ? two : one, both ? 6 : 4, &attr);
}
