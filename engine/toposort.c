/* toposort.c - the topological sort of what a walk goes over. */
#include "backward_impl.h"
#include "segment.h"

/* Headers lie one behind the other: this many bytes ahead of the walk down the
 * recording will be needed soon. */
#define AHEAD 1024

/* x lies outside of the segment whose interior is being sorted. */
static size_t reach_outside(walk *w, cg_tensor *x) {
  if (x->stamp != w->sort.stamp - 1) w->stray = x;
  x->stamp = w->sort.stamp;
  return 0;
}

/* With one output of a segment come all that need a gradient: a walk over the
 * segment has to do with each of them. */
static size_t reach_outputs(const walk *w, const cg_tensor *output) {
  const segment *s = segment_of(segment_node(output));
  size_t n = 0;
  for (int i = 0; i < s->n_out; i++) {
    cg_tensor *y = s->out[i];
    if (!y || !(y->flags & T_GRAD)) continue;
    y->stamp = w->sort.stamp;
    n++;
  }
  return n;
}

/* Stamps x as reached. Returns how many nodes to be sorted were not reached
 * before: such as were computed on this tape and need a gradient. Proxies are
 * noted by their stamp only. */
static inline size_t reach(walk *w, cg_tensor *x) {
  if (!(x->flags & T_GRAD) || x->stamp == w->sort.stamp) return 0;
  if (x->serial < w->sort.first) return reach_outside(w, x);
  if (x->flags & T_OUTPUT) return reach_outputs(w, x);
  x->stamp = w->sort.stamp;
  return !(x->flags & T_PROXY);
}

/* The newest tensor that comes with a root. */
static cg_tensor *newest_with(cg_tensor *root) {
  if (!(root->flags & T_OUTPUT)) return root;
  const segment *s = segment_of(segment_node(root));
  int i = s->n_out;
  while (!s->out[--i]) {}
  return s->out[i];
}

cg_status walk_push(cg_tape *tape, size_t n, cg_tensor *x) {
  if (n == tape->cap_order) {
    cg_status status =
        mem_grow(&tape->mem, (void **)&tape->order, &tape->cap_order, n, n + 1,
                 sizeof *tape->order);
    if (status) {
      tape_fail_mem(tape, status, "toposort");
      return status;
    }
  }
  tape->order[n] = x;
  return CG_OK;
}

/* Goes down the recording and lists what is met reached, a turn of it at most.
 * Between two turns an inner walk may have put stamps of its own on what this
 * one had reached; what was given a gradient since is known by that, and the
 * rest has nothing to be visited for. */
static cg_status sort_on(walk *w) {
  cg_tape *tape = w->tape;
  toposort *s = &w->sort;
  size_t n = 0, pending = s->pending, most = s->turn ? s->turn : SIZE_MAX;
  cg_tensor *x = s->below;
  for (; x && pending && n < most; x = x->prev) {
    __builtin_prefetch((const char *)x - AHEAD, 1);
    __builtin_prefetch((const char *)x - AHEAD + 56, 1);
    if (!(x->flags & T_GRAD)) continue;
    if (x->stamp != s->stamp && !(s->turn && x->slot)) continue;
    /* Room for a turn is there from the first one on. */
    cg_status status = walk_push(tape, s->base + n, x);
    if (status) return status;
    pending--;
    n++;
    cg_tensor **in = t_in(x);
    for (uint32_t i = 0; i < x->n_in; i++) pending += reach(w, in[i]);
  }
  s->below = x;
  s->pending = pending;
  s->count = n;
  tape->n_order = s->base + n;
  return CG_OK;
}

/* ---- the last sort ---- */

/* Is the order that of the last sort? A recording that is walked over again is
 * not sorted again. Whatever sorts, or stamps for a purpose of its own, takes
 * another stamp. */
static bool is_sorted(const cg_tape *tape, cg_tensor *const *roots,
                      int n_roots) {
  const sorted *s = &tape->sorted;
  return n_roots == 1 && roots[0] == s->root && s->stamp == tape->stamp &&
         s->position == tape->position && s->epoch == tape->epoch &&
         !tape->n_order;
}

static void note_sort(const walk *w, cg_tensor *const *roots, int n_roots) {
  cg_tape *tape = w->tape;
  const toposort *s = &w->sort;
  const bool whole = n_roots == 1 && !s->base && !s->first && !s->pending;
  tape->sorted = (sorted){.root = whole ? roots[0] : NULL,
                          .count = s->count,
                          .position = tape->position,
                          .epoch = tape->epoch,
                          .stamp = s->stamp};
}

/* ---- sorting ---- */

/* Operands are recorded before results, so the recording order restricted to
 * what is reached is the topological order sought; it is found by going down
 * the recording from the newest root, and reaching the operands of whatever is
 * met reached. `pending` counts what is reached and not yet met: at 0 the rest
 * of the tape is not looked at. */
cg_status walk_sort(walk *w, cg_tensor *const *roots, int n_roots) {
  toposort *s = &w->sort;
  s->base = w->tape->n_order;
  s->below = NULL;
  s->pending = 0;
  if (!s->first && is_sorted(w->tape, roots, n_roots)) {
    s->stamp = w->tape->stamp;
    s->count = w->tape->n_order = w->tape->sorted.count;
    return CG_OK;
  }
  s->stamp = ++w->tape->stamp;
  for (int i = 0; i < n_roots; i++) {
    size_t n_new = reach(w, roots[i]);
    cg_tensor *newest = newest_with(roots[i]);
    if (n_new && (!s->below || newest->serial > s->below->serial))
      s->below = newest;
    s->pending += n_new;
  }
  cg_status status = sort_on(w);
  if (!status) note_sort(w, roots, n_roots);
  return status;
}

bool walk_next_turn(walk *w) {
  return w->sort.turn && !sort_on(w) && w->sort.count;
}

cg_status cg_tape_toposort(cg_tape *tape, cg_tensor *root,
                           cg_tensor *const **order, size_t *count) {
  if (!tape || !order || !count) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  root = tape_resolve(tape, root, "toposort", 0);
  if (!root) return tape->error.status;
  walk w = {.tape = tape};
  cg_status status = walk_sort(&w, &root, 1);
  if (status) return status;
  tape->n_order = w.sort.base;
  tape->sorted.root = NULL; /* it is turned round */
  size_t n = w.sort.count;
  cg_tensor **list = n ? tape->order + w.sort.base : NULL;
  for (size_t i = 0, j = n; i + 1 < j; i++) { /* newest first -> last */
    cg_tensor *x = list[i];
    list[i] = list[--j];
    list[j] = x;
  }
  *order = list;
  *count = n;
  return CG_OK;
}
