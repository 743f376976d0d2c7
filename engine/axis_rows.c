/* axis_rows.c - one function applied to every row of a tensor along an axis. */
#include "axis_rows.h"

#include "nd.h"

int axis_want(const cg_call *call, int axis) {
  int found = shape_axis(axis, call->in[0]->rank);
  char text[96];
  if (found < 0)
    cg_call_fail(call, CG_ERR_ARG, "axis %d of shape %s does not exist", axis,
                 cg_tensor_shape_text(call->in[0], text, sizeof text));
  return found;
}

void axis_rows(axis_row row, const cg_tensor *x, int axis, cg_tensor *out) {
  if (t_numel(out) == 0) return; /* there can be any number of empty rows */
  const int64_t x_size = (int64_t)dtype_size(x->dtype);
  const int64_t y_size = (int64_t)dtype_size(out->dtype);
  const bool dropped = out->rank < x->rank;
  const int64_t sx = t_strides(x)[axis];
  const int64_t sy = dropped ? 0 : t_strides(out)[axis];
  /* Over the other axes, with strides in bytes: the types may differ. */
  int64_t others[CG_MAX_RANK], s[2][CG_MAX_RANK];
  for (int i = 0, j = 0; i < x->rank; i++) {
    others[i] = i == axis ? 1 : x->dims[i];
    s[0][i] = i == axis ? 0 : t_strides(out)[j] * y_size;
    s[1][i] = i == axis ? 0 : t_strides(x)[i] * x_size;
    if (i != axis || !dropped) j++;
  }
  nd it;
  void *data[ND_ARRAYS] = {out->data, x->data, NULL};
  const int64_t *strides[ND_ARRAYS] = {s[0], s[1], NULL};
  if (!nd_begin(&it, x->rank, others, 1, data, strides)) return;
  do
    for (int64_t i = 0; i < it.n; i++)
      row(x->dims[axis], it.at[0] + i * it.step[0], sy,
          it.at[1] + i * it.step[1], sx);
  while (nd_next(&it));
}
