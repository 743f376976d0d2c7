/* slot.c - accumulation: what derivative rules give, and where it goes.
 *
 * In a plain walk a contribution to a leaf is added to the leaf's gradient at
 * once; one to an intermediate result becomes its slot, or is added to it in
 * place when the slot is its only user. In a recorded walk every sum is an op.
 */
#include <string.h>

#include <chronograd/ops.h>

#include "backward_impl.h"
#include "gemm_operand.h"
#include "inline.h"
#include "kernel.h"
#include "watch.h"

/* ---- where sums are kept ---- */

/* Is g to be written over? After that it is added to. */
static inline bool take_old(cg_tensor *g) {
  const bool old = g->flags & T_OLD;
  g->flags &= (uint16_t)~T_OLD;
  return old;
}

/* A leaf's gradient, its own or the walk's, to be written to: added to unless
 * it is *fresh. NULL (and an error) without memory, or if the leaf has ceased
 * to require one. */
static cg_tensor *leaf_gradient(walk *w, cg_tensor *proxy, bool *fresh) {
  cg_tensor *leaf = t_proxied(proxy), *g = NULL;
  if (leaf->dtype != proxy->dtype || !t_same_shape(leaf, proxy))
    return cg_tape_fail(w->tape, CG_ERR_STALE, w->name,
                        "a leaf was freed that the tape still needs, and "
                        "another one lies at its place: rewind first");
  if (!w->grads)
    g = leaf->flags & T_GRAD && leaf->grad ? leaf->grad : cg_leaf_grad(leaf);
  else if (grads_find(w->grads, leaf, &g) == CG_ERR_STALE)
    return cg_tape_fail(w->tape, CG_ERR_STALE, w->name,
                        "the gradients hold one of another shape or type for "
                        "%s: an earlier leaf was freed",
                        t_label(leaf));
  cg_leaf_touch(g); /* it may be an operand itself */
  *fresh = g && take_old(g);
  if (g || w->tape->error.status) return g;
  if (!(leaf->flags & T_GRAD))
    return cg_tape_fail(w->tape, CG_ERR_STALE, w->name,
                        "%s required a gradient when it was used, but does "
                        "not any more",
                        t_label(leaf));
  return cg_tape_fail(w->tape, CG_ERR_NOMEM, w->name,
                      "no memory for the gradient of %s", t_label(leaf));
}

/* Takes over a reference to g for the slot, and drops the frame's later. */
static void put(cg_tensor *x, cg_tensor *g) {
  tape_retain(g);
  x->slot = g;
}

cg_tensor *slot_writable(walk *w, cg_tensor *x, bool *fresh) {
  *fresh = false;
  if (slot_is_leaf(w, x)) return leaf_gradient(w, x, fresh);
  cg_tensor *old = x->slot;
  if (old) slot_fill(old);
  if (old && slot_exclusive(old)) return old;
  cg_tensor *g = tape_new_temp(w->tape, x->dtype, x->rank, t_shape(x));
  if (!g) return NULL;
  *fresh = !old;
  if (old) {
    kernel_copy(x->dtype, x->rank, t_shape(x), g->data, old->data,
                t_strides(old));
    tape_release(w->tape, old);
  }
  /* The frame's reference passes to the slot, so that it can be written to. */
  w->tape->frame = g->prev;
  g->prev = NULL;
  x->slot = g;
  return g;
}

static void add_into(cg_tensor *sum, const cg_tensor *g) {
  if (sum->rank == 0 && sum->dtype == CG_F64) { /* graphs of scalars */
    *(double *)sum->data += *(const double *)g->data;
    return;
  }
  kernel_add_strided(sum->dtype, sum->rank, t_shape(sum), sum->data, NULL,
                     g->data, t_strides(g));
}

/* ---- adding ---- */

void slot_to_leaf(walk *w, cg_tensor *proxy, const cg_tensor *g) {
  bool fresh;
  cg_tensor *sum = leaf_gradient(w, proxy, &fresh);
  if (sum && fresh)
    kernel_copy(g->dtype, g->rank, t_shape(g), sum->data, g->data,
                t_strides(g));
  else if (sum)
    add_into(sum, g);
}

static void add_recorded(walk *w, cg_tensor *x, cg_tensor *g) {
  cg_tensor **sum = x->flags & T_PARTS ? parts_dense(x) : &x->slot;
  *sum = *sum ? cg_add(w->tape, *sum, g) : g;
}

/* A sum over axes straight into the slot or the leaf. */
static void add_reduced(walk *w, cg_tensor *x, cg_tensor *g) {
  bool fresh;
  cg_tensor *sum = slot_writable(w, x, &fresh);
  if (!sum) return;
  if (fresh) kernel_fill(x->dtype, t_numel(x), sum->data, 0);
  int64_t strides[CG_MAX_RANK];
  shape_expand_strides(g->rank, t_shape(g), x->rank, t_shape(x),
                       t_strides(sum), strides);
  kernel_add_strided(x->dtype, g->rank, t_shape(g), sum->data, strides,
                     g->data, t_strides(g));
}

/* slot_add of a g that is there, in a walk that has not failed; `same` says
 * whether it has x's shape. */
static inline void add(walk *w, cg_tensor *x, cg_tensor *g, bool same) {
  if (w->recorded) {
    if (!same) g = cg_sum_to(w->tape, g, x->rank, t_shape(x));
    if (g) add_recorded(w, x, g);
  } else if (!same) {
    add_reduced(w, x, g);
  } else if (slot_is_leaf(w, x)) {
    slot_to_leaf(w, x, g);
  } else if (!x->slot) {
    put(x, g);
  } else {
    bool fresh;
    cg_tensor *sum = slot_writable(w, x, &fresh);
    if (sum) add_into(sum, g);
  }
}

void slot_add(walk *w, cg_tensor *x, cg_tensor *g) {
  if (g && !w->tape->error.status) add(w, x, g, t_same_shape(g, x));
}

void slot_add_product(walk *w, cg_tensor *x, cg_tensor *b, gemm_args *g) {
  bool fresh;
  cg_tensor *sum = slot_writable(w, x, &fresh);
  if (!sum) return;
  g->c = sum->data;
  g->ldc = g->n;
  g->accumulate = !fresh;
  gemm_adds_to(x, g);
  if (gemm_prepare(w->tape, b, g, w->name))
    kernel_gemm(g);
  else if (fresh) /* nothing was given */
    kernel_fill(x->dtype, t_numel(x), sum->data, 0);
  tape_drop_scratch(w->tape);
}

/* ---- ending ---- */

void slot_put_together(walk *w, cg_tensor *x) {
  if (!(x->flags & T_PARTS)) {
    slot_fill(x->slot);
    return;
  }
  cg_tensor *sum = parts_close(w, x);
  if (sum) add_recorded(w, x, sum);
}

void slot_drop(walk *w, cg_tensor *x) {
  if (x->flags & T_PARTS) parts_drop(w, x);
  if (x->slot && !w->recorded) tape_release(w->tape, x->slot);
  x->slot = NULL;
}

/* ---- what derivative rules see ---- */

cg_tape *cg_vjp_tape(const cg_vjp *v) { return v->tape; }
int cg_vjp_count(const cg_vjp *v) { return (int)v->n_in; }
const void *cg_vjp_attr(const cg_vjp *v) { return t_attr(v->node); }
cg_dtype cg_vjp_in_dtype(const cg_vjp *v, int i) {
  return (cg_dtype)v->in[i]->dtype;
}

int cg_vjp_in_rank(const cg_vjp *v, int i) { return v->in[i]->rank; }

const int64_t *cg_vjp_in_shape(const cg_vjp *v, int i) {
  return t_shape(v->in[i]);
}

/* x, if its value is still what was recorded. */
static cg_tensor *unmodified(cg_vjp *v, cg_tensor *x) {
  if (!tape_is_modified(x)) return x;
  const cg_tensor *leaf = t_proxied(t_source_proxy(x));
  char shape[128];
  return cg_tape_fail(v->tape, CG_ERR_STALE, v->node->op->name,
                      "the derivative needs %s %s as it was when recorded, but "
                      "it was modified since; walk back before updating it",
                      t_label(leaf),
                      cg_tensor_shape_text(leaf, shape, sizeof shape));
}

cg_tensor *cg_vjp_in(cg_vjp *v, int i) {
  if (i < 0 || i >= cg_vjp_count(v))
    return cg_tape_fail(v->tape, CG_ERR_ARG, v->node->op->name,
                        "the derivative rule asks for operand %d of %d", i,
                        cg_vjp_count(v));
  return unmodified(v, v->in[i]);
}

cg_tensor *cg_vjp_out(cg_vjp *v) { return unmodified(v, v->node); }

bool cg_vjp_needs(const cg_vjp *v, int i) {
  return (uint32_t)i < v->n_in && v->in[i]->flags & v->wanted;
}

/* Is g, which is not like operand i, a gradient that it can take? */
static bool fits(cg_vjp *v, int i, const cg_tensor *g) {
  const cg_tensor *x = v->in[i];
  int64_t shape[CG_MAX_RANK];
  int rank = g->rank;
  memcpy(shape, t_shape(g), sizeof(int64_t) * (size_t)rank);
  if (g->dtype == x->dtype &&
      shape_broadcast(&rank, shape, x->rank, t_shape(x)) &&
      shape_equal(rank, shape, g->rank, t_shape(g)))
    return true;
  char have[128], want[128];
  return cg_tape_fail(v->tape, CG_ERR_SHAPE, v->node->op->name,
                      "the derivative rule gave %s %s to operand %d, which is "
                      "%s %s",
                      cg_dtype_name(g->dtype),
                      cg_tensor_shape_text(g, have, sizeof have), i,
                      cg_dtype_name(x->dtype),
                      cg_tensor_shape_text(x, want, sizeof want));
}

/* A part of gy is a piece if it begins behind those that were given: when they
 * are all that is left of gy, sums can be made in them. */
static void note_piece(cg_vjp *v, cg_tensor *g) {
  const uint16_t want = T_TEMP | T_VIEW | T_CONTIGUOUS;
  if ((g->flags & (want | T_PIECE)) != want || t_in(g)[0] != v->gy ||
      !(v->gy->flags & T_TEMP) || v->gy->pieces == UINT16_MAX ||
      (const char *)g->data < v->pieces_end)
    return;
  g->flags |= T_PIECE;
  v->gy->pieces++;
  v->pieces_end =
      (const char *)g->data + (size_t)t_numel(g) * dtype_size(g->dtype);
}

/* cg_vjp_give to an operand that needs it. */
NOINLINE static void give(cg_vjp *v, int i, cg_tensor *g) {
  cg_tape *tape = v->tape;
  cg_tensor *x = v->in[i];
  g = tape_operand(tape, g, v->node->op->name, i);
  if (!g) return;
  const bool same = t_same_shape(g, x);
  if (!(same && g->dtype == x->dtype) && !fits(v, i, g)) return;
  if (tracing(tape)) trace_given(v, i, g);
  if (g->flags & T_VIEW) note_piece(v, g);
  if (!tape->error.status) add(v->walk, x, g, same);
}

/* Is g of x's type and shape, too? */
static inline bool is_simple(const cg_vjp *v, const cg_tensor *x,
                             const cg_tensor *g) {
  return vjp_live_temp(v, g) && g->dtype == x->dtype && t_same_shape(g, x);
}

/* Adds g to the gradient of x, a scalar leaf; false if there is more to it. */
static inline bool add_number(const walk *w, const cg_tensor *x,
                              const cg_tensor *g) {
  if (x->rank || x->dtype != CG_F64 || !slot_is_leaf(w, x) || w->grads)
    return false;
  const cg_tensor *leaf = t_proxied(x);
  if (leaf->rank || leaf->dtype != CG_F64 || !(leaf->flags & T_GRAD) ||
      !leaf->grad || leaf->grad->flags & T_OLD)
    return false;
  leaf->grad->version++;
  *(double *)leaf->grad->data += *(const double *)g->data;
  return true;
}

void cg_vjp_give(cg_vjp *v, int i, cg_tensor *g) {
  if (!g || v->tape->error.status || !cg_vjp_needs(v, i)) return;
  cg_tensor *x = v->in[i];
  if (!is_simple(v, x, g)) {
    give(v, i, g);
    return;
  }
  if (g->flags & T_VIEW) note_piece(v, g);
  if (!x->slot && !(x->flags & T_PROXY)) /* as a rule there is no more */
    put(x, g);
  else if (!add_number(v->walk, x, g))
    give(v, i, g);
}

/* A tracer gets the product by itself, so that the sum is added up the same way
 * whether anyone traces or not. */
static bool trace_product(cg_vjp *v, int i, cg_tensor *a, cg_tensor *b, bool ta,
                          bool tb) {
  if (!tracing(v->tape)) return true;
  cg_tensor *g = cg_matmul_t(v->tape, a, b, ta, tb);
  if (g) trace_given(v, i, g);
  return !v->tape->error.status;
}

void cg_vjp_give_matmul(cg_vjp *v, int i, cg_tensor *a, cg_tensor *b, bool ta,
                        bool tb) {
  walk *w = v->walk;
  if (!a || !b || w->tape->error.status || !cg_vjp_needs(v, i)) return;
  cg_tensor *x = v->in[i];
  gemm_args g;
  if (w->recorded || x->rank != 2 || !gemm_operands(a, ta, b, tb, &g) ||
      g.dtype != (cg_dtype)x->dtype || g.m != x->dims[0] ||
      g.n != x->dims[1]) {
    cg_vjp_give(v, i, cg_matmul_t(v->tape, a, b, ta, tb));
    return;
  }
  if (!trace_product(v, i, a, b, ta, tb)) return;
  if (!collect_product(w, x, &g)) slot_add_product(w, x, b, &g);
}
