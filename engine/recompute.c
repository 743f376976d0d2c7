/* recompute.c - walking over a segment: its function records the interior
 * again, the walk goes over it as if it had been there, and it is dropped. */
#include <string.h>

#include "kernel.h"
#include "nd.h"
#include "segment.h"

static const char name[] = "checkpoint";

/* An output, recomputed. */
typedef struct again {
  cg_tensor *x, *output; /* NULL if no gradient can come to it */
  bool kept_none; /* its node got room for a gradient; nothing came to it yet */
} again;

/* One visit of a segment. */
typedef struct recomputation {
  struct recomputation *outer; /* the segment around it, or NULL */
  walk *walk;
  cg_tensor *node;
  segment *s;
  segment_run run;
  cg_tensor **out;
  again *again;
} recomputation;

/* ---- before ---- */

cg_tensor *segment_park(walk *w, cg_tensor *output, cg_tensor *g) {
  cg_tensor *node = segment_node(output);
  output->slot = g;
  if (node->slot) return NULL;
  if (!w->recorded) tape_retain(g);
  node->slot = g; /* any tensor: it says that there is something to do */
  return NULL;
}

/* Has every leaf that the function used the value that it had? */
static bool unmodified(const recomputation *r) {
  for (uint32_t i = 0; i < r->node->n_in; i++) {
    const cg_tensor *x = t_in(r->node)[i];
    if (!tape_is_modified(x)) continue;
    const cg_tensor *leaf = t_proxied(t_source_proxy(x));
    char shape[128];
    return cg_tape_fail(r->walk->tape, CG_ERR_STALE, name,
                        "the segment must run again with %s %s as it was, but "
                        "it was modified since; walk back before updating it",
                        t_label(leaf),
                        cg_tensor_shape_text(leaf, shape, sizeof shape));
  }
  return true;
}

/* Gradients that outputs retain must not be dropped with the interior: they get
 * their room before it. */
static void make_room(recomputation *r) {
  for (int i = 0; i < r->s->n_out; i++) {
    cg_tensor *y = r->s->out[i];
    r->again[i] = (again){NULL, y, false};
    if (!y || !(y->flags & T_RETAIN) || r->walk->functional) continue;
    r->again[i].kept_none = !cg_tensor_grad(y);
    walk_keep_gradient(r->walk, y, NULL);
  }
}

/* ---- running the function again ---- */

static bool same_bytes(const cg_tensor *x, const cg_tensor *y) {
  nd it;
  void *data[ND_ARRAYS] = {x->data, y->data};
  const int64_t *strides[ND_ARRAYS] = {t_strides(x), t_strides(y)};
  size_t size = dtype_size(x->dtype);
  if (!nd_begin(&it, x->rank, t_shape(x), size, data, strides)) return true;
  bool same = true;
  do
    if (it.step[0] == 1 && it.step[1] == 1)
      same = !memcmp(it.at[0], it.at[1], (size_t)it.n * size);
    else
      for (int64_t i = 0; i < it.n && same; i++)
        same = !memcmp(it.at[0] + i * it.step[0] * (int64_t)size,
                       it.at[1] + i * it.step[1] * (int64_t)size, size);
  while (same && nd_next(&it));
  return same;
}

static bool differs(const recomputation *r, int i, const char *what) {
  return cg_tape_fail(r->walk->tape, CG_ERR_STALE, name,
                      "run again, the segment's function gave %s for output "
                      "%d; what it depends on must be the same each time",
                      what, i);
}

/* Is the i-th output what it was at first? */
static bool as_before(recomputation *r, int i) {
  const cg_tensor *y = r->s->out[i], *x = r->out[i];
  if (x->flags & (T_LEAF | T_PROXY) || x->serial < r->run.first)
    return differs(r, i, "a tensor from outside");
  if ((x->flags ^ y->flags) & T_GRAD)
    return differs(r, i, "another need of a gradient");
  if (x->dtype != y->dtype || !t_same_shape(x, y))
    return differs(r, i, "another type or shape");
  return same_bytes(x, y) || differs(r, i, "other values");
}

static bool all_as_before(recomputation *r) {
  cg_tape *tape = r->walk->tape;
  for (int i = 0; i < r->s->n_out; i++)
    if (r->s->out[i] && !as_before(r, i)) return false;
  if (tape->n_proxies == r->run.n_proxies) return true;
  return cg_tape_fail(tape, CG_ERR_STALE, name,
                      "run again, the segment's function used %s, which it did "
                      "not at first, or modified it",
                      t_label(tape->proxies[r->run.n_proxies]));
}

/* A fresh copy of the context for each run; NULL after an error. */
static void *fresh_context(cg_tape *tape, const segment *s) {
  if (!s->context_bytes) return s->context;
  void *copy = tape_scratch(tape, s->context_bytes, name);
  return copy ? memcpy(copy, s->context, s->context_bytes) : NULL;
}

static bool run_again(recomputation *r) {
  cg_tape *tape = r->walk->tape;
  void *context = fresh_context(tape, r->s);
  if (tape->error.status) return false;
  struct scratch_block *outer = tape_scratch_begin(tape);
  tape_mode mode = tape->mode;
  bool walking = tape->walking;
  uint32_t scope = tape->scope;
  tape->mode = MODE_RECORD;
  tape->walking = false;
  bool ok = segment_call(tape, r->s, &r->run, r->out, context);
  tape->scope = scope;
  tape->walking = walking;
  tape->mode = mode;
  tape_scratch_end(tape, outer);
  return ok && all_as_before(r);
}

/* ---- the walk over the interior ---- */

/* The output of a segment being walked over that x, recomputed, stands for; the
 * search begins with *r and ends with its segment in *r. */
static again *original(recomputation **r, const cg_tensor *x) {
  for (; *r; *r = (*r)->outer)
    for (int i = 0; i < (*r)->s->n_out; i++)
      if ((*r)->again[i].x == x) return &(*r)->again[i];
  return NULL;
}

/* Is y, or what it stands for in the segments around, an input of cg_grad? */
static bool is_target(recomputation *r, const cg_tensor *y) {
  while (y && !(y->flags & T_TARGET)) {
    r = r->outer;
    again *a = original(&r, y);
    y = a ? a->output : NULL;
  }
  return y;
}

/* What depends on x inside is on the walk's path. */
static void aim_at(cg_tensor *x) {
  x->flags |= T_PATH;
  if (x->flags & T_OUTPUT) segment_node(x)->flags |= T_PATH;
}

/* Hands what arrived at an output, and who asked for it, to the recomputed
 * one. */
static void hand_over(recomputation *r, int i) {
  cg_tensor *y = r->s->out[i], *x = r->out[i];
  if (!y || !(y->flags & T_GRAD)) return;
  r->again[i].x = x;
  /* The mark has the walk look; x need not have a hook of its own. */
  if (y->flags & (T_HOOK | T_RETAIN | T_TARGET)) x->flags |= T_HOOK;
  if (is_target(r, y)) aim_at(x);
  if (!y->slot) return;
  if (x->slot) {
    differs(r, i, "the tensor of another one");
    return;
  }
  x->slot = y->slot;
  y->slot = NULL;
}

cg_tensor *segment_look(walk *w, cg_tensor *x, cg_tensor *g) {
  recomputation *r = w->recomputation;
  for (again *a; g && (a = original(&r, x)); x = a->output) {
    cg_tensor *y = a->output;
    a->kept_none = false;
    if (y->flags & T_HOOK) g = hook_apply(w, y, g);
    if (g && y->flags & T_TARGET && !w->recorded) tape_retain(g);
    if (y->flags & T_TARGET) y->slot = g;
    if (g && y->flags & T_RETAIN && !w->functional) walk_keep_gradient(w, y, g);
  }
  return g;
}

/* The recomputed outputs that have a gradient, as roots; their number. */
static int list_roots(recomputation *r) {
  int n = 0;
  for (int i = 0; i < r->s->n_out; i++)
    if (r->again[i].x && r->again[i].x->slot) r->out[n++] = r->again[i].x;
  return n;
}

/* What the walk met that was neither there at first nor made in the run. */
static bool stayed_inside(const recomputation *r) {
  const cg_tensor *x = r->walk->stray;
  return !x || cg_tape_fail(r->walk->tape, CG_ERR_STALE, name,
                            "run again, the segment's function used a result "
                            "of %s that it did not use at first",
                            t_label(x));
}

static void visit_interior(recomputation *r) {
  walk *w = r->walk;
  cg_tape *tape = w->tape;
  toposort outer = w->sort;
  tape->stamp++;
  for (uint32_t i = 0; i < r->node->n_in; i++)
    t_in(r->node)[i]->stamp = tape->stamp;
  w->sort = (toposort){.first = r->run.first};
  w->stray = NULL;
  if (!walk_sort(w, r->out, list_roots(r)) && stayed_inside(r)) {
    if (w->functional) walk_mark_path(w);
    walk_visit(w);
  }
  for (size_t i = 0; i < w->sort.count; i++) {
    slot_drop(w, walk_node(w, i));
    walk_node(w, i)->flags &= (uint16_t)~T_PATH;
  }
  tape->n_order = w->sort.base;
  w->sort = outer;
}

/* ---- after ---- */

/* Was x recorded in the run? */
static bool recorded_in(const segment_run *run, const cg_tensor *x) {
  return !(x->flags & (T_TEMP | T_PROXY)) && x->serial >= run->first;
}

/* Does g show memory of the run, which will be dropped? A view may show that of
 * several operands, if they lie one behind the other (record.c). */
static bool inside(const segment_run *run, const cg_tensor *g) {
  for (; g->flags & T_VIEW; g = t_in(g)[0])
    for (uint32_t i = 1; i < g->n_in; i++)
      if (recorded_in(run, t_in(g)[i])) return true;
  return recorded_in(run, g);
}

/* Has x's slot outlive the interior. */
static void carry(const recomputation *r, cg_tensor *x) {
  cg_tape *tape = r->walk->tape;
  if (!x->slot || !inside(&r->run, x->slot)) return;
  cg_tensor *g = tape_copy(tape, x->slot);
  tape_release(tape, x->slot);
  if (g) tape_retain(g);
  x->slot = g;
}

static void drop_interior(recomputation *r) {
  cg_tape *tape = r->walk->tape;
  for (uint32_t i = 0; i < r->node->n_in; i++) carry(r, t_in(r->node)[i]);
  for (int i = 0; i < r->s->n_out; i++)
    if (r->s->out[i]) carry(r, r->s->out[i]);
  tape_drop_frame(tape);
  segment_hooks_fine(tape, &r->run);
  segment_drop(tape, &r->run);
}

static void recompute(recomputation *r) {
  walk *w = r->walk;
  cg_tape *tape = w->tape;
  uint64_t guard = tape->guard;
  cg_tensor *frame = tape->frame;
  tape->frame = NULL;
  make_room(r);
  r->run = segment_begin(tape);
  if (!tape->error.status && run_again(r)) {
    r->outer = w->recomputation;
    w->recomputation = r;
    tape->guard = tape->position; /* hooks must not drop the interior */
    for (int i = 0; i < r->s->n_out; i++) hand_over(r, i);
    if (!tape->error.status) visit_interior(r);
    for (int i = 0; i < r->s->n_out; i++)
      if (r->again[i].x) slot_drop(w, r->again[i].x);
    tape->guard = guard;
    w->recomputation = r->outer;
  }
  if (!w->recorded) drop_interior(r);
  tape->frame = frame;
  for (int i = 0; i < r->s->n_out; i++)
    if (r->again[i].kept_none) r->s->out[i]->grad = NULL;
}

void segment_vjp(cg_vjp *v) {
  cg_tape *tape = v->tape;
  recomputation r = {
      .walk = v->walk, .node = v->node, .s = segment_of(v->node)};
  if (!unmodified(&r)) return;
  size_t n = (size_t)r.s->n_out;
  struct scratch_block *outer = tape_scratch_begin(tape);
  r.out = tape_scratch(tape, n * sizeof *r.out, name);
  r.again = tape_scratch(tape, n * sizeof *r.again, name);
  struct scratch_block *mine = tape_scratch_begin(tape);
  if (r.out && r.again) recompute(&r);
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, outer);
}
