/* op_pick.c - selections and additions by index along an axis, composed of the
 * ops of op_index.c and op_gather.c. */
#include "op_impl.h"

/* The axes' order that exchanges `axis` with the first one. */
static cg_tensor *to_front(cg_tape *tape, cg_tensor *x, int axis) {
  return axis == 0 ? x : cg_transpose(tape, x, 0, axis);
}

cg_tensor *cg_index_select(cg_tape *tape, cg_tensor *x, int axis,
                           cg_tensor *index) {
  if (cg_tape_status(tape)) return NULL;
  if (!x || !index)
    return cg_tape_fail(tape, CG_ERR_ARG, "index_select", "x or index is NULL");
  int at = shape_axis(axis, cg_tensor_rank(x));
  char xs[96], is[96];
  if (at < 0 || cg_tensor_rank(index) != 1)
    return cg_tape_fail(tape, at < 0 ? CG_ERR_ARG : CG_ERR_SHAPE,
                        "index_select",
                        "axis %d of %s by indices %s: one of its axes and a "
                        "vector are needed",
                        axis, cg_tensor_shape_text(x, xs, sizeof xs),
                        cg_tensor_shape_text(index, is, sizeof is));
  cg_tensor *y = cg_embedding(tape, to_front(tape, x, at), index);
  return to_front(tape, y, at);
}

cg_tensor *cg_scatter_add(cg_tape *tape, cg_tensor *x, int axis,
                          cg_tensor *index, cg_tensor *src) {
  if (cg_tape_status(tape)) return NULL;
  if (!x || !index || !src)
    return cg_tape_fail(tape, CG_ERR_ARG, "scatter_add", "an operand is NULL");
  int rank = cg_tensor_rank(x), at = shape_axis(axis, rank);
  bool fits = at >= 0 && cg_tensor_rank(src) == rank;
  for (int i = 0; fits && i < rank; i++)
    fits = i == at || cg_tensor_dim(src, i) == cg_tensor_dim(x, i);
  char xs[96], ss[96];
  if (!fits)
    return cg_tape_fail(tape, at < 0 ? CG_ERR_ARG : CG_ERR_SHAPE,
                        "scatter_add",
                        "%s cannot be added to %s along axis %d",
                        cg_tensor_shape_text(src, ss, sizeof ss),
                        cg_tensor_shape_text(x, xs, sizeof xs), axis);
  return cg_add(tape, x,
                cg_gather_grad(tape, src, index, at, cg_tensor_dim(x, at)));
}
