/* op_lstm_affine.c - a step of an LSTM as one op: lstm_gates (op_lstm.c) of
 *
 *   z + h W^T    or    z + x V^T + h W^T.
 *
 * The products come into being in scratch memory, and z is added when the gates
 * are computed: memory of the result, which is not in the cache, is written
 * once.
 */
#include "addmm.h"
#include "gates.h"

enum { Z, H_, W, C, X, V };        /* operands; the last two may be missing */
enum { PARTS = 6 };                /* y = (h, c, i, f, g, o) */

static cg_status fail_shape(const cg_call *call, const cg_tensor *x,
                            const char *name, int64_t B, int64_t columns) {
  char have[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "%s is %s where z + h W^T is [%lld, %lld], which is to "
                      "be [B, 4 H]",
                      name, cg_tensor_shape_text(x, have, sizeof have),
                      (long long)B, (long long)columns);
}

static cg_status infer_input(const cg_call *call, const cg_spec *want) {
  cg_spec spec;
  if (call->n_in == X) return CG_OK;
  if (call->n_in != V + 1)
    return cg_call_fail(call, CG_ERR_ARG, "there is x, but no V");
  cg_status status = product_infer(call, call->in[X], call->in[V], &spec);
  if (status) return status;
  if (spec.dtype != want->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE, "x has type %s, h %s",
                        cg_dtype_name(spec.dtype), cg_dtype_name(want->dtype));
  if (!shape_equal(2, spec.shape, 2, want->shape))
    return fail_shape(call, call->in[V], "V", want->shape[0], want->shape[1]);
  return CG_OK;
}

static cg_status lstm_affine_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *c = call->in[C];
  cg_status status = addmm_infer(call, spec);
  if (!status) status = infer_input(call, spec);
  if (status) return status;
  const int64_t B = spec->shape[0], columns = spec->shape[1];
  if (c->dtype != spec->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE, "c has type %s, h %s",
                        cg_dtype_name(c->dtype), cg_dtype_name(spec->dtype));
  if (c->rank != 2 || c->dims[0] != B || columns % 4 ||
      c->dims[1] != columns / 4)
    return fail_shape(call, c, "c", B, columns);
  int64_t shape[2] = {B, 0};
  if (__builtin_mul_overflow(c->dims[1], PARTS, &shape[1]))
    return fail_shape(call, c, "c", B, columns);
  cg_spec_set(spec, spec->dtype, 2, shape);
  return CG_OK;
}

static cg_status lstm_affine_forward(const cg_call *call, cg_tensor *out) {
  const cg_dtype dtype = (cg_dtype)out->dtype;
  const int64_t B = out->dims[0], H = call->in[C]->dims[1];
  const size_t bytes = (size_t)(4 * B * H) * cg_dtype_size(dtype);
  const bool input = call->n_in > X;
  void *sum = cg_call_scratch(call, bytes);
  kernel_rows s = {sum, 4 * H}, z, c;
  if (!sum) return cg_tape_status(call->tape);
  cg_status status = gates_rows(call, C, &c);
  if (!status) status = gates_addend(call, Z, B, 4 * H, &z);
  if (!status && input) status = product_into(call, X, V, sum, s.ld, false);
  if (!status) status = product_into(call, H_, W, sum, s.ld, input);
  if (!status) kernel_lstm(dtype, B, H, out->data, s, z, c);
  return status;
}

static void lstm_affine_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, C)[1];
  cg_tensor *g = cg_lstm_gates_grad(t, cg_vjp_gy_head(v, 1, H), cg_vjp_out(v),
                                    cg_vjp_in(v, C));
  cg_tensor *gz = cg_narrow(t, g, 1, 0, 4 * H);
  cg_vjp_give(v, Z, gz);
  product_give(v, gz, H_, W);
  if (cg_vjp_count(v) > X) product_give(v, gz, X, V);
  if (cg_vjp_needs(v, C)) cg_vjp_give(v, C, gates_part(t, g, 4, H));
}

static const matmul_attr nt = {false, true};

static const cg_op_case lstm_affine_cases[] = {
    {"f[2,12] f[2,3] f[12,3] f[2,3]", &nt},
    {"f[12] f[2,3] f[12,3] f[2,3] f[2,5] f[12,5]", &nt},
    {"f[8] f[3,5] f[8,5] f[3,2]", &nt},
    {"f[3,1] f[3,5] f[8,5] f[3,2]", &nt},
    {"f[] f[2,5] f[8,5] f[2,2] f[2,3] f[8,3]", &nt},
    {"f[1,4] f[1,2] f[4,2] f[1,1] f[1,1] f[4,1]", &nt},
    {"f[2,68] f[2,3] f[68,3] f[2,17]", &nt},
    {"f[8] f[0,2] f[8,2] f[0,2] f[0,3] f[8,3]", &nt},
    {"f[2,0] f[2,3] f[0,3] f[2,0]", &nt},
};

const cg_op cg_op_lstm_affine = {
    .name = "lstm_affine",
    .formula = "y = lstm_gates(z + h W^T + x V^T, c), the last product if "
               "there is one",
    .derivative = "(gz, gc) = lstm_gates_grad(gy, y, c), gh = gz W, "
                  "gW = gz^T h; gx and gV likewise",
    .min_in = 4,
    .max_in = 6,
    .attr_size = sizeof(matmul_attr),
    .infer = lstm_affine_infer,
    .forward = lstm_affine_forward,
    .vjp = lstm_affine_vjp,
    CG_CASES(lstm_affine_cases),
};

cg_tensor *cg_lstm_affine(cg_tape *tape, cg_tensor *z, cg_tensor *x,
                          cg_tensor *V_, cg_tensor *h, cg_tensor *W_,
                          cg_tensor *c) {
  cg_tensor *in[] = {z, h, W_, c, x, V_};
  return cg_record(tape, &cg_op_lstm_affine, in, x || V_ ? V + 1 : X, &nt);
}
