/* op_gru_affine.c - a step of a GRU as one op: gru_gates (op_gru.c) of
 *
 *   z + x V^T    and    d + h W^T.
 *
 * The products come into being in scratch memory, and z and d are added when
 * the gates are computed: memory of the result, which is not in the cache, is
 * written once.
 */
#include "addmm.h"
#include "gates.h"

enum { Z, X, V, D, H_, W, H0, COUNT }; /* operands */
enum { PARTS = 5 };                    /* y = (h, n, r, u, p_n) */

static cg_status fail_shape(const cg_call *call, int i, const char *name,
                            const cg_spec *map) {
  char have[96], want[96];
  return cg_call_fail(call, CG_ERR_SHAPE,
                      "%s is %s where z + x V^T is %s, which is to be [B, 3 H]",
                      name,
                      cg_tensor_shape_text(call->in[i], have, sizeof have),
                      shape_text(2, map->shape, want, sizeof want));
}

static cg_status gru_affine_infer(const cg_call *call, cg_spec *spec) {
  const cg_tensor *h0 = call->in[H0], *d = call->in[D];
  cg_spec map;
  cg_status status = addmm_infer(call, spec);
  if (!status)
    status = product_infer(call, call->in[H_], call->in[W], &map);
  if (status) return status;
  const int64_t B = spec->shape[0], columns = spec->shape[1];
  if (map.dtype != spec->dtype || d->dtype != spec->dtype ||
      h0->dtype != spec->dtype)
    return cg_call_fail(call, CG_ERR_DTYPE,
                        "x has type %s; h, d and h' have %s, %s and %s",
                        cg_dtype_name(spec->dtype), cg_dtype_name(map.dtype),
                        cg_dtype_name(d->dtype), cg_dtype_name(h0->dtype));
  if (!shape_equal(2, map.shape, 2, spec->shape))
    return fail_shape(call, W, "W", spec);
  if (d->rank != 1 || d->dims[0] != columns)
    return fail_shape(call, D, "d", spec);
  int64_t shape[2] = {B, 0};
  if (h0->rank != 2 || h0->dims[0] != B || columns % 3 ||
      h0->dims[1] != columns / 3 ||
      __builtin_mul_overflow(h0->dims[1], PARTS, &shape[1]))
    return fail_shape(call, H0, "h'", spec);
  cg_spec_set(spec, spec->dtype, 2, shape);
  return CG_OK;
}

static cg_status gru_affine_forward(const cg_call *call, cg_tensor *out) {
  const cg_dtype dtype = (cg_dtype)out->dtype;
  const int64_t B = out->dims[0], H = call->in[H0]->dims[1];
  const int64_t width = 3 * H;
  const size_t bytes = (size_t)(B * width) * cg_dtype_size(dtype);
  void *x = cg_call_scratch(call, bytes), *p = cg_call_scratch(call, bytes);
  kernel_gru_maps maps = {.x = {x, width}, .p = {p, width}};
  kernel_rows h0;
  if (!x || !p) return cg_tape_status(call->tape);
  cg_status status = gates_rows(call, H0, &h0);
  if (!status) status = gates_addend(call, Z, B, width, &maps.z);
  if (!status) status = gates_addend(call, D, B, width, &maps.d);
  if (!status) status = product_into(call, X, V, x, width, false);
  if (!status) status = product_into(call, H_, W, p, width, false);
  if (!status) kernel_gru(dtype, B, H, out->data, &maps, h0);
  return status;
}

static void gru_affine_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, H0)[1];
  cg_tensor *g = cg_gru_gates_grad(t, cg_vjp_gy_head(v, 1, H), cg_vjp_out(v),
                                   cg_vjp_in(v, H0));
  cg_tensor *gx = cg_narrow(t, g, 1, 0, 3 * H);
  cg_tensor *gp = cg_narrow(t, g, 1, 3 * H, 3 * H);
  cg_vjp_give(v, Z, gx);
  product_give(v, gx, X, V);
  cg_vjp_give(v, D, gp);
  product_give(v, gp, H_, W);
  if (cg_vjp_needs(v, H0)) cg_vjp_give(v, H0, gates_part(t, g, 6, H));
}

static const matmul_attr nt = {false, true};

static const cg_op_case gru_affine_cases[] = {
    {"f[9] f[2,5] f[9,5] f[9] f[2,3] f[9,3] f[2,3]", &nt},
    {"f[2,3] f[2,1] f[3,1] f[3] f[2,4] f[3,4] f[2,1]", &nt},
    {"f[2,1] f[2,1] f[6,1] f[6] f[2,4] f[6,4] f[2,2]", &nt},
    {"f[51] f[2,3] f[51,3] f[51] f[2,4] f[51,4] f[2,17]", &nt},
    {"f[6] f[0,5] f[6,5] f[6] f[0,2] f[6,2] f[0,2]", &nt},
};

const cg_op cg_op_gru_affine = {
    .name = "gru_affine",
    .formula = "y = gru_gates(z + x V^T, d + h W^T, h')",
    .derivative = "(gz, gp, gh') = gru_gates_grad(gy, y, h'), gx = gz V, "
                  "gV = gz^T x; gd, gh and gW from gp likewise",
    .min_in = COUNT,
    .max_in = COUNT,
    .attr_size = sizeof(matmul_attr),
    .infer = gru_affine_infer,
    .forward = gru_affine_forward,
    .vjp = gru_affine_vjp,
    CG_CASES(gru_affine_cases),
};

cg_tensor *cg_gru_affine(cg_tape *tape, const cg_gru_maps *m, cg_tensor *h0) {
  if (!m) return cg_tape_fail(tape, CG_ERR_ARG, "gru_affine", "no maps");
  cg_tensor *in[COUNT] = {m->z, m->x, m->V, m->d, m->h, m->W, h0};
  return cg_record(tape, &cg_op_gru_affine, in, COUNT, &nt);
}
