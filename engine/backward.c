/* backward.c - the topological sort and the reverse walk.
 *
 * A walk has three parts:
 *   sort     what the roots depend on, operands before results;
 *   visit    each of these in reverse, when its gradient is complete;
 *   give     what a derivative rule hands to an operand is added to the
 *            operand's slot - or, for a leaf, to its gradient.
 *
 * A plain walk computes with temporaries that are freed as soon as nobody
 * refers to them. A recorded walk (create_graph) runs the same rules with
 * recording on, so that its results have a history of their own.
 */
#include <string.h>

#include "backward_impl.h"
#include "kernel.h"
#include "segment.h"
#include "watch.h"

/* Headers lie one behind the other: this many bytes ahead of the walk down the
 * recording will be needed soon. */
#define AHEAD 1024
/* The same for the walk over the sorted nodes. */
#define SOON 8

/* ---- sort ---- */

/* x lies outside of the segment whose interior is being sorted. */
static size_t reach_outside(walk *w, cg_tensor *x) {
  if (x->stamp != w->tape->stamp - 1) w->stray = x;
  x->stamp = w->tape->stamp;
  return 0;
}

/* With one output of a segment come all that need a gradient: a walk over the
 * segment has to do with each of them. */
static size_t reach_outputs(walk *w, const cg_tensor *output) {
  const segment *s = segment_of(segment_node(output));
  size_t n = 0;
  for (int i = 0; i < s->n_out; i++) {
    cg_tensor *y = s->out[i];
    if (!y || !(y->flags & T_GRAD)) continue;
    y->stamp = w->tape->stamp;
    n++;
  }
  return n;
}

/* Stamps x as reached. Returns how many nodes to be sorted were not reached
 * before: such as were computed on this tape and need a gradient. Proxies are
 * noted by their stamp only. */
static inline size_t reach(walk *w, cg_tensor *x) {
  uint32_t stamp = w->tape->stamp;
  if (!(x->flags & T_GRAD) || x->stamp == stamp) return 0;
  if (x->serial < w->first) return reach_outside(w, x);
  if (x->flags & T_OUTPUT) return reach_outputs(w, x);
  x->stamp = stamp;
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

/* Sorts topologically what `roots` depend on. Operands are recorded before
 * results, so the recording order restricted to what is reached is the order
 * sought; it is found by going down the recording from the newest root, and
 * reaching the operands of whatever is met reached. `pending` counts what is
 * reached and not yet met: at 0 the rest of the tape is not looked at. */
cg_status walk_sort(walk *w, cg_tensor *const *roots, int n_roots) {
  cg_tape *tape = w->tape;
  size_t n = w->base = tape->n_order, pending = 0;
  cg_tensor *x = NULL;
  tape->stamp++;
  for (int i = 0; i < n_roots; i++) {
    size_t n_new = reach(w, roots[i]);
    cg_tensor *newest = newest_with(roots[i]);
    if (n_new && (!x || newest->serial > x->serial)) x = newest;
    pending += n_new;
  }
  for (; pending; x = x->prev) {
    __builtin_prefetch((const char *)x - AHEAD, 1);
    __builtin_prefetch((const char *)x - AHEAD + 56, 1);
    if (x->stamp != tape->stamp || !(x->flags & T_GRAD)) continue;
    pending--;
    cg_status status = walk_push(tape, n, x);
    if (status) return status;
    n++;
    cg_tensor **in = t_in(x);
    for (uint32_t i = 0; i < x->n_in; i++) pending += reach(w, in[i]);
  }
  w->count = n - w->base;
  tape->n_order = n;
  return CG_OK;
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
  tape->n_order = w.base;
  cg_tensor **list = w.count ? tape->order + w.base : NULL;
  for (size_t i = 0, j = w.count; i + 1 < j; i++) { /* newest first -> last */
    cg_tensor *x = list[i];
    list[i] = list[--j];
    list[j] = x;
  }
  *order = list;
  *count = w.count;
  return CG_OK;
}

/* ---- visit ---- */

/* The complete gradient of x, taken out of its slot; the caller has the
 * slot's reference. NULL if nothing was given or after an error. */
static cg_tensor *take(walk *w, cg_tensor *x) {
  slot_finish(w, x);
  cg_tensor *g = x->slot;
  x->slot = NULL;
  return g;
}

/* The gradient that x keeps, if no rewind dropped it: it is a constant and has
 * `prev` point back to x, which nothing else at its place would. */
static cg_tensor *kept_gradient(const cg_tensor *x) {
  cg_tensor *g = x->grad;
  if (!g || x->flags & T_LEAF) return g;
  const char *end = (const char *)(g + 1) - 1;
  bool live = arena_contains(&x->tape->nodes, end) && !g->op &&
              g->check == tape_check_word(x->tape, g) && g->prev == x;
  return live ? g : NULL;
}

const cg_tensor *cg_tensor_grad(const cg_tensor *x) {
  return x ? kept_gradient(x) : NULL;
}

void walk_keep_gradient(walk *w, cg_tensor *x, cg_tensor *g) {
  cg_tape *tape = w->tape;
  if (!kept_gradient(x)) {
    x->grad = tape_new_value(tape, x->dtype, x->rank, t_shape(x));
    if (!x->grad) return;
    x->grad->prev = x;
    kernel_fill(x->dtype, t_numel(x), x->grad->data, 0);
  }
  if (g)
    kernel_add_strided(x->dtype, x->rank, t_shape(x), x->grad->data, NULL,
                       g->data, t_strides(g));
}

/* What those who asked for x's gradient make of it. */
static cg_tensor *look_at(walk *w, cg_tensor *x, cg_tensor *g) {
  if (x->flags & T_OUTPUT) return segment_park(w, x, g);
  if (x->flags & T_HOOK) g = hook_apply(w, x, g);
  if (x->flags & T_TARGET) x->slot = g;
  if (g && x->flags & T_RETAIN && !w->functional) walk_keep_gradient(w, x, g);
  return w->recomputation ? segment_look(w, x, g) : g;
}

/* The complete gradient of x. An input of cg_grad keeps it: its slot is the
 * result, and the walk goes on. */
static cg_tensor *complete(walk *w, cg_tensor *x) {
  if (!(x->flags & T_TARGET)) return take(w, x);
  slot_finish(w, x);
  return x->slot;
}

static void visit(walk *w, cg_tensor *x) {
  if (w->functional && !(x->flags & T_PATH)) return;
  uint32_t scope = w->tape->scope;
  w->tape->scope = x->scope;
  cg_tensor *gy = complete(w, x);
  bool given = gy;
  if (gy && x->flags & (T_HOOK | T_RETAIN | T_OUTPUT)) gy = look_at(w, x, gy);
  struct cg_vjp v = {w->tape, w, x, gy};
  if (gy && w->tape->watch)
    watch_rule(&v);
  else if (gy)
    x->op->vjp(&v);
  w->tape->scope = scope;
  if (!given || w->recorded) return;
  if (gy && !(x->flags & T_TARGET)) tape_release(w->tape, gy);
  tape_drop_frame(w->tape);
}

/* Frees what an interrupted walk left in slots. */
void walk_clean(walk *w) {
  for (size_t i = 0; i < w->count; i++) slot_drop(w, walk_node(w, i));
  for (size_t i = 0; i < w->tape->n_proxies; i++)
    slot_drop(w, w->tape->proxies[i]);
}

/* ---- roots and seeds ---- */

/* A root on the tape that can be derived; NULL after an error. */
static cg_tensor *check_root(cg_tape *tape, cg_tensor *root, int i,
                             const char *fn) {
  cg_tensor *x = tape_resolve(tape, root, fn, i);
  if (!x) return NULL;
  if (!dtype_is_float(x->dtype))
    return cg_tape_fail(tape, CG_ERR_DTYPE, fn, "root %d (%s) has type %s", i,
                        t_label(x), cg_dtype_name(x->dtype));
  if (!(x->flags & T_GRAD))
    return cg_tape_fail(tape, CG_ERR_STATE, fn,
                        "root %d (%s) depends on nothing that requires a "
                        "gradient, or was computed with recording off",
                        i, t_label(x));
  return x;
}

/* The gradient that the walk starts from at root x. */
static cg_tensor *make_seed(walk *w, cg_tensor *x, cg_tensor *seed, int i) {
  cg_tape *tape = w->tape;
  if (!seed) {
    if (t_numel(x) == 1)
      return cg_full(tape, x->dtype, x->rank, t_shape(x), 1.0);
    char text[128];
    return cg_tape_fail(tape, CG_ERR_SHAPE, w->name,
                        "root %d (%s) has shape %s; only a root with one "
                        "element has an implicit seed",
                        i, t_label(x),
                        cg_tensor_shape_text(x, text, sizeof text));
  }
  seed = tape_resolve(tape, seed, w->name, i);
  if (!seed) return NULL;
  if (t_same_shape(seed, x) && seed->dtype == x->dtype) return seed;
  char have[128], want[128];
  return cg_tape_fail(tape, CG_ERR_SHAPE, w->name,
                      "seed %d is %s %s where root %d is %s %s", i,
                      cg_dtype_name(seed->dtype),
                      cg_tensor_shape_text(seed, have, sizeof have), i,
                      cg_dtype_name(x->dtype),
                      cg_tensor_shape_text(x, want, sizeof want));
}

static void plant(walk *w, cg_tensor *const *roots, cg_tensor *const *seeds,
                  int count) {
  for (int i = 0; i < count && !w->tape->error.status; i++) {
    cg_tensor *seed = make_seed(w, roots[i], seeds ? seeds[i] : NULL, i);
    if (seed && tracing(w->tape)) trace_seed(w, seed, i);
    if (seed) slot_add(w, roots[i], seed);
  }
}

/* ---- cg_backward ---- */

void walk_visit(walk *w) {
  for (size_t i = 0; i < w->count && !w->tape->error.status; i++) {
    if (i + SOON < w->count) {
      const char *soon = (const char *)walk_node(w, i + SOON);
      __builtin_prefetch(soon, 1);
      __builtin_prefetch(soon + 48, 1);
      __builtin_prefetch(soon + 96);
    }
    visit(w, walk_node(w, i));
  }
}

/* Plants the seeds and visits the sorted nodes, newest first. */
void walk_run(walk *w, cg_tensor *const *roots, cg_tensor *const *seeds,
              int n_roots) {
  cg_tape *tape = w->tape;
  tape_mode mode = tape->mode;
  uint64_t guard = tape->guard;
  cg_tensor *frame = tape->frame;
  bool walking = tape->walking;
  uint32_t stamp = tape->stamp;
  tape->mode = w->recorded ? MODE_RECORD : MODE_TEMP;
  tape->guard = tape->position;
  tape->frame = NULL;
  tape->walking = true;
  tape->busy++;
  collection waiting = {0};
  if (!w->recorded) w->collection = &waiting;
  plant(w, roots, seeds, n_roots);
  walk_visit(w);
  if (w->collection) collect_end(w);
  if (tape->n_hooks) hook_leaves(w);
  if (tracing(tape)) trace_leaves(w, stamp);
  if (tape->error.status) walk_clean(w);
  if (!w->recorded) tape_drop_frame(tape);
  tape->busy--;
  tape->walking = walking;
  tape->frame = frame;
  tape->guard = guard;
  tape->mode = mode;
}

/* Resolves the roots into scratch memory; NULL after an error. */
cg_tensor **walk_roots(cg_tape *tape, cg_tensor *const *roots, int count,
                       const char *fn) {
  if (count < 1 || !roots) {
    cg_tape_fail(tape, CG_ERR_ARG, fn, "no root is given");
    return NULL;
  }
  cg_tensor **list = tape_scratch(tape, (size_t)count * sizeof *list, fn);
  for (int i = 0; list && i < count; i++) {
    list[i] = check_root(tape, roots[i], i, fn);
    if (!list[i]) return NULL;
  }
  return list;
}

static cg_status refuse_in_segment(cg_tape *tape) {
  cg_tape_fail(tape, CG_ERR_STATE, "backward",
               "a function that cg_checkpoint runs would add to the gradients "
               "once more when it is run again; use cg_grad there");
  return CG_ERR_STATE;
}

static cg_status backward(cg_tape *tape, cg_tensor *const *roots,
                          cg_tensor *const *seeds, int count,
                          cg_grads *grads) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  if (tape->segments) return refuse_in_segment(tape);
  walk w = {.tape = tape, .name = "backward", .grads = grads};
  struct scratch_block *scratch = tape_scratch_begin(tape);
  cg_tensor **list = walk_roots(tape, roots, count, w.name);
  struct scratch_block *mine = tape_scratch_begin(tape);
  if (list && !walk_sort(&w, list, count)) {
    if (!walk_begin(&w, NULL, 0)) walk_run(&w, list, seeds, count);
    walk_end(&w);
  }
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, scratch);
  return tape->error.status;
}

cg_status cg_backward_from(cg_tape *tape, cg_tensor *const *roots,
                           cg_tensor *const *seeds, int count) {
  return backward(tape, roots, seeds, count, NULL);
}

cg_status cg_backward(cg_tape *tape, cg_tensor *root) {
  return backward(tape, &root, NULL, 1, NULL);
}

cg_status cg_backward_into(cg_tape *tape, cg_tensor *const *roots,
                           cg_tensor *const *seeds, int count,
                           cg_grads *grads) {
  if (tape && !grads)
    cg_tape_fail(tape, CG_ERR_ARG, "backward", "the gradients are NULL");
  return backward(tape, roots, seeds, count, grads);
}

cg_status cg_retain_grad(cg_tape *tape, cg_tensor *x) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  cg_tensor *y = tape_resolve(tape, x, "retain_grad", 0);
  if (!y) return tape->error.status;
  if (y->flags & T_PROXY) return CG_OK; /* leaves always keep theirs */
  if (!(y->flags & T_GRAD)) {
    cg_tape_fail(tape, CG_ERR_STATE, "retain_grad",
                 "the tensor (%s) needs no gradient", t_label(y));
    return CG_ERR_STATE;
  }
  y->flags |= T_RETAIN;
  return CG_OK;
}
