/* op_map.c - forward functions that are one kernel over broadcast operands. */
#include "op_map.h"

/* Can the arrays be run through as one row? */
static bool is_row(const cg_tensor *x, const cg_tensor *out) {
  return x->flags & T_CONTIGUOUS && t_same_shape(x, out);
}

cg_status op_map_arrays(const cg_call *call, cg_tensor *out,
                        const kernel_map *f, double c) {
  const cg_tensor *a = call->in[0], *b = call->n_in > 1 ? call->in[1] : NULL;
  int64_t sa[CG_MAX_RANK], sb[CG_MAX_RANK];
  if (is_row(a, out) && (!b || is_row(b, out))) {
    int64_t n = t_numel(out);
    kernel_row row = out->dtype == CG_F32 ? f->f32 : f->f64;
    if (n) row(n, out->data, a->data, 1, b ? b->data : NULL, b ? 1 : 0, c);
    return CG_OK;
  }
  shape_expand_strides(out->rank, t_shape(out), a->rank, t_shape(a),
                       t_strides(a), sa);
  if (b)
    shape_expand_strides(out->rank, t_shape(out), b->rank, t_shape(b),
                         t_strides(b), sb);
  kernel_map_run(f, out->dtype, out->rank, t_shape(out), out->data, a->data,
                 sa, b ? b->data : NULL, sb, c);
  return CG_OK;
}
