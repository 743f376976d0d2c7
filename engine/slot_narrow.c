/* slot_narrow.c - what derivative rules give to a part of a tensor in a plain
 * walk.
 *
 * A time loop gives the steps of one tensor from the last to the first, and a
 * cell gives the parts of its state. So while parts adjoin, they are copied to
 * where nothing was, and what lies beside them is not written: its zeros are
 * only when somebody reads it.
 */
#include <string.h>

#include <chronograd/ops.h>

#include "backward_impl.h"
#include "kernel.h"
#include "watch.h"

/* ---- a part of a tensor ---- */

typedef struct part {
  int axis;
  int64_t start, length;
} part;

/* Its shape, into `shape`, and where it begins. */
static void *place(const cg_tensor *x, part p, int64_t *shape) {
  for (int i = 0; i < x->rank; i++)
    shape[i] = i == p.axis ? p.length : x->dims[i];
  return (char *)x->data +
         p.start * t_strides(x)[p.axis] * (int64_t)dtype_size(x->dtype);
}

/* The strides of g on the axes of a part, one of which it need not have. */
static const int64_t *strides_of(const cg_tensor *g, const cg_tensor *x, part p,
                                 int64_t *room) {
  if (g->rank == x->rank) return t_strides(g);
  for (int i = 0, j = 0; i < x->rank; i++)
    room[i] = i == p.axis ? 0 : t_strides(g)[j++];
  return room;
}

static void copy_part(const cg_tensor *x, part p, const cg_tensor *g) {
  int64_t shape[CG_MAX_RANK], room[CG_MAX_RANK];
  void *to = place(x, p, shape);
  kernel_copy_strided((cg_dtype)x->dtype, x->rank, shape, to, t_strides(x),
                      g->data, strides_of(g, x, p, room));
}

static void add_part(const cg_tensor *x, part p, const cg_tensor *g) {
  int64_t shape[CG_MAX_RANK], room[CG_MAX_RANK];
  void *to = place(x, p, shape);
  kernel_add_strided((cg_dtype)x->dtype, x->rank, shape, to, t_strides(x),
                     g->data, strides_of(g, x, p, room));
}

/* x is contiguous. */
static void zero_part(const cg_tensor *x, part p) {
  const int64_t inner = t_strides(x)[p.axis], row = x->dims[p.axis] * inner;
  const int64_t size = (int64_t)dtype_size(x->dtype), n = t_numel(x);
  char *at = (char *)x->data + p.start * inner * size;
  if (p.length == 0) return;
  for (int64_t i = 0; i < n; i += row, at += row * size)
    kernel_fill((cg_dtype)x->dtype, p.length * inner, at, 0);
}

/* ---- what of a slot's tensor is written ---- */

static void set_given(cg_tensor *g, int axis, int64_t begin, int64_t end) {
  bool all = begin == 0 && end == g->dims[axis];
  g->axis_given = (uint8_t)axis;
  g->given.begin = all ? 0 : (uint32_t)begin;
  g->given.end = all ? 0 : (uint32_t)end;
}

void slot_fill_rest(cg_tensor *g) {
  const int axis = g->axis_given;
  const int64_t begin = g->given.begin, end = g->given.end;
  zero_part(g, (part){axis, 0, begin});
  zero_part(g, (part){axis, end, g->dims[axis] - end});
  set_given(g, axis, 0, g->dims[axis]);
}

/* Copies g to where nothing was; false if there was something or it would not
 * adjoin. */
static bool extend(walk *w, cg_tensor *x, const cg_tensor *g, part p) {
  const int64_t size = x->dims[p.axis], end = p.start + p.length;
  if (slot_is_leaf(w, x) || t_numel(g) == 0 || size > UINT32_MAX) return false;
  cg_tensor *sum = x->slot;
  if (!sum) {
    bool fresh;
    sum = slot_writable(w, x, &fresh);
    if (!sum) return true;
    set_given(sum, p.axis, p.start, end);
  } else {
    if (!slot_exclusive(sum) || !slot_partial(sum) ||
        sum->axis_given != p.axis)
      return false;
    const int64_t first = sum->given.begin, last = sum->given.end;
    if (end != first && p.start != last) return false;
    if (end == first)
      set_given(sum, p.axis, p.start, last);
    else
      set_given(sum, p.axis, first, end);
  }
  copy_part(sum, p, g);
  return true;
}

/* ---- giving ---- */

/* Is g a part of operand i's gradient, from `start` on along `axis`, or one
 * index there? */
static bool fits_part(cg_vjp *v, int i, const cg_tensor *g, int axis,
                      int64_t start, bool one) {
  const cg_tensor *x = t_in(v->node)[i];
  bool ok = g->dtype == x->dtype && g->rank + one == x->rank && axis >= 0 &&
            axis < x->rank && start >= 0;
  for (int k = 0, j = 0; ok && k < x->rank; k++)
    if (k != axis)
      ok = g->dims[j++] == x->dims[k];
    else
      ok = start <= x->dims[k] - (one ? 1 : g->dims[j++]);
  if (ok) return true;
  char have[128], want[128];
  return cg_tape_fail(v->tape, CG_ERR_SHAPE, v->node->op->name,
                      "the derivative rule gave %s %s, from %lld on along "
                      "axis %d, to operand %d, which is %s %s",
                      cg_dtype_name(g->dtype),
                      cg_tensor_shape_text(g, have, sizeof have),
                      (long long)start, axis, i, cg_dtype_name(x->dtype),
                      cg_tensor_shape_text(x, want, sizeof want));
}

/* The part as a list of parts has it, with all axes. */
static void add_recorded(walk *w, cg_tensor *x, cg_tensor *g, part p) {
  int64_t shape[CG_MAX_RANK];
  place(x, p, shape);
  if (g->rank < x->rank) g = cg_reshape(w->tape, g, x->rank, shape);
  if (g) parts_add(w, x, g, p.axis, p.start);
}

static void give(cg_vjp *v, int i, cg_tensor *g, int axis, int64_t start,
                 bool one) {
  walk *w = v->walk;
  if (!g || w->tape->error.status || !cg_vjp_needs(v, i)) return;
  g = tape_operand(w->tape, g, v->node->op->name, i);
  if (!g || !fits_part(v, i, g, axis, start, one)) return;
  if (tracing(w->tape)) trace_given(v, i, g);
  cg_tensor *x = t_in(v->node)[i];
  const part p = {axis, start, one ? 1 : g->dims[axis]};
  if (w->recorded) {
    add_recorded(w, x, g, p);
    return;
  }
  if (extend(w, x, g, p)) return;
  bool fresh;
  cg_tensor *sum = slot_writable(w, x, &fresh);
  if (!sum) return;
  if (fresh) kernel_fill((cg_dtype)x->dtype, t_numel(x), sum->data, 0);
  add_part(sum, p, g);
}

void cg_vjp_give_narrow(cg_vjp *v, int i, cg_tensor *g, int axis,
                        int64_t start) {
  give(v, i, g, axis, start, false);
}

/* Is g like x[index]? */
static inline bool is_row(const cg_tensor *x, const cg_tensor *g) {
  if (g->rank + 1 != x->rank || g->dtype != x->dtype) return false;
  for (int i = 0; i < g->rank; i++)
    if (g->dims[i] != x->dims[i + 1]) return false;
  return true;
}

/* What a time loop gives: the row before those that were given. False if it is
 * another one, or there is more to it. */
static bool give_row_before(const cg_vjp *v, cg_tensor *x, const cg_tensor *g,
                            int64_t index) {
  cg_tensor *sum = x->slot;
  if (!sum || x->flags & T_PROXY || !vjp_live_temp(v, g) ||
      !(g->flags & T_CONTIGUOUS) || !is_row(x, g) || !slot_exclusive(sum) ||
      index < 0 || sum->given.begin != index + 1 || sum->axis_given)
    return false;
  const size_t bytes = (size_t)t_strides(sum)[0] * dtype_size(x->dtype);
  memcpy((char *)sum->data + (size_t)index * bytes, g->data, bytes);
  set_given(sum, 0, index, sum->given.end);
  return true;
}

void cg_vjp_give_select(cg_vjp *v, int i, cg_tensor *g, int axis,
                        int64_t index) {
  if (axis || !g || v->tape->error.status || !cg_vjp_needs(v, i) ||
      !give_row_before(v, v->in[i], g, index))
    give(v, i, g, axis, index, true);
}

/* ---- and receiving ---- */

static cg_tensor *filled(cg_tensor *gy) {
  slot_fill_rest(gy);
  return gy;
}

cg_tensor *cg_vjp_gy(const cg_vjp *v) {
  return slot_partial(v->gy) ? filled(v->gy) : v->gy;
}

cg_tensor *cg_vjp_gy_head(cg_vjp *v, int axis, int64_t unit) {
  cg_tensor *gy = v->gy;
  const int64_t end = gy->given.end;
  if (!slot_partial(gy) || gy->axis_given != axis || unit < 1 ||
      unit > gy->dims[axis])
    return cg_vjp_gy(v);
  const int64_t length = (end + unit - 1) / unit * unit;
  if (length >= gy->dims[axis]) return cg_vjp_gy(v);
  zero_part(gy, (part){axis, 0, gy->given.begin});
  zero_part(gy, (part){axis, end, length - end});
  set_given(gy, axis, 0, length);
  return cg_narrow(v->tape, gy, axis, 0, length);
}
