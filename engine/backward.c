/* backward.c - the reverse walk.
 *
 * A walk has three parts:
 *   sort     what the roots depend on, operands before results (toposort.c);
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

/* While a node is visited, about as many bytes of the headers below the sorted
 * ones are fetched. */
enum { NODE_BYTES = 96 };

/* ---- visit ---- */

/* The complete gradient of x, taken out of its slot; the caller has the
 * slot's reference. Of a part of it the zeros may be missing (slot_narrow.c).
 * NULL if nothing was given or after an error. */
static inline cg_tensor *take(walk *w, cg_tensor *x) {
  if (x->flags & T_PARTS) slot_put_together(w, x);
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
  slot_fill(g);
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

/* v is the walk's, and has the visited node filled in. */
static inline void visit(walk *w, cg_tensor *x, cg_vjp *v) {
  if (!(x->flags & v->wanted)) return; /* not between inputs and outputs */
  cg_tape *tape = w->tape;
  tape->scope = x->scope;
  cg_tensor *gy = complete(w, x);
  if (!gy) return;
  if (x->flags & (T_HOOK | T_RETAIN | T_OUTPUT)) gy = look_at(w, x, gy);
  if (gy) {
    v->node = x;
    v->gy = gy;
    v->in = t_in(x);
    v->n_in = x->n_in;
    v->pieces_end = NULL;
    if (tape->watch)
      watch_rule(v);
    else
      x->op->vjp(v);
  }
  if (w->recorded) return;
  if (gy && !(x->flags & T_TARGET)) tape_release(tape, gy);
  tape_drop_frame(tape);
}

/* Frees what an interrupted walk left in slots. */
void walk_clean(walk *w) {
  do
    for (size_t i = 0; i < w->sort.count; i++) slot_drop(w, walk_node(w, i));
  while (walk_next_turn(w));
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
  if (tape->replay.old && x->serial + 1 >= tape->replay.old)
    return cg_tape_fail(tape, CG_ERR_STATE, fn,
                        "root %d (%s) was recorded behind an op that failed in "
                        "the last replay: replay, or rewind past that op",
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

static void visit_sorted(walk *w) {
  cg_tape *tape = w->tape;
  const char *next = (const char *)w->sort.below;
  cg_vjp v = {.tape = tape,
              .walk = w,
              .wanted = w->functional ? T_PATH : T_GRAD};
  const uint32_t scope = tape->scope;
  for (size_t i = 0; i < w->sort.count && !tape->error.status; i++) {
    if (next) {
      __builtin_prefetch(next -= NODE_BYTES / 2);
      __builtin_prefetch(next -= NODE_BYTES / 2);
    }
    visit(w, walk_node(w, i), &v);
  }
  tape->scope = scope;
}

void walk_visit(walk *w) {
  do visit_sorted(w);
  while (!w->tape->error.status && walk_next_turn(w));
}

/* ---- gradients anew ---- */

/* What is in the gradients counts as zero until it is written over; those of
 * leaves that require none are not written to. */
static void begin_anew(cg_tape *tape) {
  for (size_t i = 0; i < tape->n_proxies; i++) {
    const cg_tensor *leaf = t_proxied(tape->proxies[i]);
    if (!(leaf->flags & T_GRAD) || !leaf->grad) continue;
    leaf->grad->flags |= T_OLD;
    cg_leaf_touch(leaf->grad);
  }
}

/* Nothing was given to these. Since the walk began, a callback may have had a
 * leaf require no gradient any more. */
static void end_anew(cg_tape *tape) {
  for (size_t i = 0; i < tape->n_proxies; i++) {
    cg_tensor *g = t_proxied(tape->proxies[i])->grad;
    if (!g || !(g->flags & T_OLD)) continue;
    g->flags &= (uint16_t)~T_OLD;
    kernel_fill(g->dtype, t_numel(g), g->data, 0);
  }
}

/* ---- a walk ---- */

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
  collection waiting;
  waiting.n = waiting.next = 0;
  if (!w->recorded) w->collection = &waiting;
  if (w->anew) begin_anew(tape);
  plant(w, roots, seeds, n_roots);
  walk_visit(w);
  if (w->collection) collect_end(w);
  if (tape->n_hooks) hook_leaves(w);
  if (w->anew) end_anew(tape);
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
                          cg_tensor *const *seeds, int count, bool anew,
                          cg_grads *grads) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  if (tape->segments) return refuse_in_segment(tape);
  walk w = {.tape = tape, .name = "backward", .anew = anew, .grads = grads};
  if (!tape->busy) w.sort.turn = WALK_TURN; /* the order is not looked at */
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
  return backward(tape, roots, seeds, count, false, NULL);
}

cg_status cg_backward(cg_tape *tape, cg_tensor *root) {
  return backward(tape, &root, NULL, 1, false, NULL);
}

cg_status cg_backward_anew(cg_tape *tape, cg_tensor *root) {
  return backward(tape, &root, NULL, 1, true, NULL);
}

cg_status cg_backward_into(cg_tape *tape, cg_tensor *const *roots,
                           cg_tensor *const *seeds, int count,
                           cg_grads *grads) {
  if (tape && !grads)
    cg_tape_fail(tape, CG_ERR_ARG, "backward", "the gradients are NULL");
  return backward(tape, roots, seeds, count, false, grads);
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
