/* hook.c - callbacks with the gradient of a tensor, during a walk.
 *
 * A leaf's hooks belong to its oldest proxy; all its proxies are marked, so
 * that what they receive waits in their slots until the end of the walk.
 */
#include <string.h>

#include "backward_impl.h"

/* ---- the list ---- */

/* The first hook of a tensor with that serial, or of a later one, that was set
 * after `position`. */
static size_t find(const cg_tape *tape, uint32_t serial, uint64_t position) {
  size_t lo = 0, hi = tape->n_hooks;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    const hook *h = &tape->hooks[mid];
    bool before = h->x->serial < serial ||
                  (h->x->serial == serial && h->position <= position);
    if (before)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static cg_status insert(cg_tape *tape, hook h) {
  size_t n = tape->n_hooks;
  cg_status status = mem_grow(&tape->mem, (void **)&tape->hooks,
                              &tape->cap_hooks, n, n + 1, sizeof h);
  if (status) {
    tape_fail_mem(tape, status, "hook");
    return status;
  }
  size_t i = find(tape, h.x->serial, h.position);
  memmove(&tape->hooks[i + 1], &tape->hooks[i], (n - i) * sizeof h);
  tape->hooks[i] = h;
  tape->n_hooks = n + 1;
  tape->hooks_end = h.position;
  return CG_OK;
}

/* Sets or clears the mark on x, of a leaf on all its proxies. */
static void mark(cg_tape *tape, cg_tensor *x, bool on) {
  bool proxy = x->flags & T_PROXY;
  if (proxy) x = tape_find_proxy(tape, t_proxied(x));
  for (; x; x = proxy ? x->prev : NULL)
    x->flags = (uint16_t)(on ? x->flags | T_HOOK : x->flags & ~T_HOOK);
}

void tape_drop_hooks(cg_tape *tape, uint64_t position) {
  if (tape->hooks_end <= position) return;
  size_t n = 0;
  for (size_t i = 0; i < tape->n_hooks; i++) {
    hook h = tape->hooks[i];
    if (h.position > position)
      mark(tape, h.x, false);
    else
      tape->hooks[n++] = h;
  }
  tape->n_hooks = n;
  tape->hooks_end = position;
  for (size_t i = 0; i < n; i++) mark(tape, tape->hooks[i].x, true);
}

cg_status cg_hook(cg_tape *tape, cg_tensor *x, cg_hook_fn fn, void *context) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  if (!fn) {
    cg_tape_fail(tape, CG_ERR_ARG, "hook", "the function is NULL");
    return CG_ERR_ARG;
  }
  cg_tensor *y = tape_resolve(tape, x, "hook", 0);
  if (!y) return tape->error.status;
  if (!(y->flags & T_GRAD)) {
    cg_tape_fail(tape, CG_ERR_STATE, "hook",
                 "the tensor (%s) needs no gradient", t_label(x));
    return CG_ERR_STATE;
  }
  while (y->flags & T_PROXY && y->prev) y = y->prev;
  cg_status status = insert(tape, (hook){y, fn, context, tape->position + 1});
  if (status) return status;
  tape->position++;
  mark(tape, y, true);
  return CG_OK;
}

/* ---- calling ---- */

/* Is r a gradient that can take the place of g? */
static bool fits(cg_tape *tape, const cg_tensor *x, const cg_tensor *g,
                 const cg_tensor *r) {
  if (r->dtype == g->dtype && t_same_shape(r, g)) return true;
  char have[128], want[128];
  return cg_tape_fail(tape, CG_ERR_SHAPE, "hook",
                      "the hook of %s returned %s %s for a gradient that is "
                      "%s %s",
                      t_label(x), cg_dtype_name(r->dtype),
                      cg_tensor_shape_text(r, have, sizeof have),
                      cg_dtype_name(g->dtype),
                      cg_tensor_shape_text(g, want, sizeof want));
}

/* One hook; g's reference passes to the result. */
static cg_tensor *call(walk *w, const hook *h, cg_tensor *g) {
  cg_tape *tape = w->tape;
  cg_tensor *x = h->x->flags & T_PROXY ? t_proxied(h->x) : h->x;
  struct scratch_block *outer = tape_scratch_begin(tape);
  cg_tensor *r = h->fn(tape, x, g, h->context);
  tape_scratch_end(tape, outer);
  if (r && !tape->error.status) r = tape_resolve(tape, r, "hook", 0);
  if (r && !tape->error.status && fits(tape, x, g, r)) {
    tape_retain(r);
    tape_release(tape, g);
    g = r;
  }
  if (!tape->error.status) return g;
  tape_release(tape, g);
  return NULL;
}

cg_tensor *hook_apply(walk *w, cg_tensor *x, cg_tensor *g) {
  cg_tape *tape = w->tape;
  uint64_t end = tape->hooks_end, done = 0;
  while (g) { /* a hook may set hooks: look for the next one afresh */
    size_t i = find(tape, x->serial, done);
    if (i == tape->n_hooks) break;
    hook h = tape->hooks[i];
    if (h.x != x || h.position > end) break;
    done = h.position;
    g = call(w, &h, g);
  }
  return g;
}

/* Brings together in the oldest proxy what all of them received. */
static void gather(walk *w, cg_tensor *oldest) {
  cg_tensor *p = tape_find_proxy(w->tape, t_proxied(oldest));
  for (; p != oldest; p = p->prev) {
    slot_finish(w, p);
    if (p->slot) slot_add(w, oldest, p->slot);
    slot_drop(w, p);
  }
  slot_finish(w, oldest);
}

static void hook_leaf(walk *w, cg_tensor *p) {
  gather(w, p);
  cg_tensor *g = p->slot;
  if (!g || w->tape->error.status) return;
  p->slot = NULL;
  g = hook_apply(w, p, g);
  if (w->functional) {
    p->slot = g;
  } else if (g) {
    slot_to_leaf(w, p, g);
    tape_release(w->tape, g);
  }
}

void hook_leaves(walk *w) {
  cg_tape *tape = w->tape;
  size_t n = tape->n_proxies;
  for (size_t i = 0; i < n && !tape->error.status; i++) {
    cg_tensor *p = tape->proxies[i];
    bool wanted = !w->functional || p->flags & T_TARGET;
    if (p->flags & T_HOOK && !p->prev && wanted) hook_leaf(w, p);
  }
}
