/* backward_impl.h - one walk, shared by backward.c, grad.c and slot.c. */
#ifndef CG_ENGINE_BACKWARD_IMPL_H
#define CG_ENGINE_BACKWARD_IMPL_H

#include "gemm_operand.h"
#include "tape_impl.h"

enum { COLLECTED = 32 }; /* leaves with products to be put together */

/* cg_backward sorts that many nodes and visits them before it sorts more: they
 * are then still in the nearest cache, and a graph of any size is fetched from
 * memory once. */
enum { WALK_TURN = 128 };

/* What waits in a walk to be multiplied (collect.c). */
typedef struct collected {
  cg_tensor *x; /* the leaf's proxy */
  cg_dtype dtype;
  int64_t m, n, rows, cap, chunk; /* there are, have room, are multiplied */
  char *a, *b; /* rows of A [cap, m] and B [cap, n] in one block, or NULL */
} collected;

typedef struct collection {
  int n, next;
  collected items[COLLECTED];
} collection;

/* What a walk sorts: all that it goes over, or a turn at a time. */
typedef struct toposort {
  size_t base, count; /* the nodes: tape->order[base .. base + count) */
  size_t turn;        /* how many are sorted at a time; 0: all of them */
  cg_tensor *below;   /* where the sort goes on, */
  size_t pending;     /* how many nodes are reached there, */
  uint32_t stamp;     /* and what they are stamped with */
  uint32_t first;     /* what has a lower serial is passed by */
} toposort;

typedef struct walk {
  cg_tape *tape;
  const char *name; /* of the public function, for errors */
  bool recorded;    /* create_graph: rules run with recording on */
  bool functional;  /* cg_grad: leaves' gradients are not touched */
  bool anew;        /* cg_backward_anew: they are written over (backward.c) */
  cg_grads *grads;  /* where those go instead, or NULL */
  collection *collection; /* of a plain walk while it runs, or NULL */
  toposort sort;
  struct saved_slot *saved; /* an inner walk: what it found (nested.c) */
  size_t n_saved, room;
  /* Inside of a segment (recompute.c). */
  struct recomputation *recomputation; /* the innermost, or NULL */
  cg_tensor *stray; /* what the sort passed by without the last stamp */
} walk;

struct cg_vjp {
  cg_tape *tape;
  walk *walk;
  uint16_t wanted; /* the flag of operands that need a gradient */
  uint32_t n_in;
  cg_tensor *node, *gy, **in; /* in[0..n_in): the node's operands */
  const char *pieces_end; /* of those of gy that were given */
};

/* Is g a live temporary, in a plain walk that nobody watches? */
static inline bool vjp_live_temp(const cg_vjp *v, const cg_tensor *g) {
  const cg_tape *tape = v->tape;
  return g->flags & T_TEMP && tape->mode == MODE_TEMP &&
         g->check == tape_check_word(tape, g) && g->tape == tape &&
         !(tape->watch | v->walk->recorded);
}

/* Steps of a walk (backward.c). */

/* The roots on this tape, each of which can be derived, in scratch memory;
 * NULL after an error. */
cg_tensor **walk_roots(cg_tape *tape, cg_tensor *const *roots, int count,
                       const char *fn);
/* Sorts what the roots depend on, newest first, behind the sorted nodes of the
 * running walks; with sort.turn, only the first turn. */
cg_status walk_sort(walk *w, cg_tensor *const *roots, int n_roots);
/* Has the next turn take the place of the last; false if there is none. */
bool walk_next_turn(walk *w);
/* Plants the seeds and visits the sorted nodes, newest first. */
void walk_run(walk *w, cg_tensor *const *roots, cg_tensor *const *seeds,
              int n_roots);
/* The visits of that. */
void walk_visit(walk *w);
/* Empties all slots. */
void walk_clean(walk *w);
/* Makes x the n-th of tape->order. */
cg_status walk_push(cg_tape *tape, size_t n, cg_tensor *x);
/* Adds g to the gradient that x retains; NULL just makes room for it. */
void walk_keep_gradient(walk *w, cg_tensor *x, cg_tensor *g);
/* Marks the sorted nodes that depend on a marked tensor: T_PATH (grad.c). */
void walk_mark_path(const walk *w);

/* An inner walk may move the array. */
static inline cg_tensor *walk_node(const walk *w, size_t i) {
  return w->tape->order[w->sort.base + i];
}

/* Around a walk, after its sort (nested.c). An inner walk puts aside what the
 * running one keeps in the nodes both go over, the proxies and `inputs` (NULLs
 * among them are fine), and puts it back in the end. */
cg_status walk_begin(walk *w, cg_tensor *const *inputs, int n_inputs);
void walk_end(walk *w);

/* The gradient of `leaf` in `grads` (grads.c), made if there is none. */
cg_status grads_find(cg_grads *grads, const cg_tensor *leaf, cg_tensor **g);

/* Hooks (hook.c). */

/* Calls the hooks of x with its gradient g and returns what they make of it,
 * taking a reference to g and giving one; NULL after an error. */
cg_tensor *hook_apply(walk *w, cg_tensor *x, cg_tensor *g);
/* The same for what the walk gathered for leaves with hooks. */
void hook_leaves(walk *w);

/* cg_grad, on behalf of the public function `name` (grad.c). */
cg_status grad_for(cg_tape *tape, const char *name, cg_tensor *const *outputs,
                   int n_outputs, cg_tensor *const *grad_outputs,
                   cg_tensor *const *inputs, int n_inputs, cg_tensor **grads,
                   int options);

/* Slots (slot.c): the gradient of x under accumulation. */

/* Adds g, of x's type and of a shape that x broadcasts to. */
void slot_add(walk *w, cg_tensor *x, cg_tensor *g);
/* Is x a leaf whose gradient is added to at once? */
static inline bool slot_is_leaf(const walk *w, const cg_tensor *x) {
  return (x->flags & (T_PROXY | T_HOOK)) == T_PROXY && !w->functional;
}
/* Does nobody else see the memory of g, which one refers to? A view shares it
 * with what it shows, and with other pieces of that it shares none. */
static inline bool slot_alone(const cg_tensor *g) {
  while (g->flags & T_VIEW) {
    const cg_tensor *base = t_in(g)[0];
    const uint32_t others = g->flags & T_PIECE ? base->pieces : 1;
    if (!(base->flags & T_TEMP) || base->refs != others) return false;
    g = base;
  }
  return true;
}
/* May the slot's tensor be written to? */
static inline bool slot_exclusive(const cg_tensor *g) {
  uint16_t want = T_TEMP | T_CONTIGUOUS;
  return (g->flags & want) == want && g->refs == 1 && slot_alone(g);
}
/* May the running rule write over gy, for nobody else has it? */
static inline bool vjp_owns_gy(const cg_vjp *v) {
  return vjp_live_temp(v, v->gy) && !(v->node->flags & T_TARGET) &&
         slot_exclusive(v->gy);
}
/* A writable buffer with the sum so far for x, in a plain walk; *fresh says
 * that nothing is in it yet, not even zeros. NULL after an error. */
cg_tensor *slot_writable(walk *w, cg_tensor *x, bool *fresh);

/* Gradients of which only a part was given and is written (slot_narrow.c). */
static inline bool slot_partial(const cg_tensor *g) {
  return g->flags & T_TEMP && g->given.end;
}
/* Writes the zeros of the rest. */
void slot_fill_rest(cg_tensor *g);
static inline void slot_fill(cg_tensor *g) {
  if (slot_partial(g)) slot_fill_rest(g);
}

/* Puts together what was given in parts; x->slot is then a plain tensor. */
void slot_put_together(walk *w, cg_tensor *x);
static inline void slot_finish(walk *w, cg_tensor *x) {
  if (x->flags & T_PARTS || (x->slot && slot_partial(x->slot)))
    slot_put_together(w, x);
}
/* Adds the product that g describes, but for C and scratch, in a plain walk; b
 * is the tensor that g's B is, or NULL. */
void slot_add_product(walk *w, cg_tensor *x, cg_tensor *b, gemm_args *g);
/* Adds g to the gradient of the leaf behind `proxy`. */
void slot_to_leaf(walk *w, cg_tensor *proxy, const cg_tensor *g);
/* Forgets what the slot holds. */
void slot_drop(walk *w, cg_tensor *x);

/* Parts of x that a recorded walk was given (slot_parts.c), x->slot being their
 * list: another one, from `start` on along `axis`; what was given in other ways
 * (NULL if nothing); their sum, x->slot then being a tensor again; and the same
 * without the sum. */
void parts_add(walk *w, cg_tensor *x, cg_tensor *g, int axis, int64_t start);
cg_tensor **parts_dense(cg_tensor *x);
cg_tensor *parts_close(walk *w, cg_tensor *x);
void parts_drop(walk *w, cg_tensor *x);

/* Thin products (collect.c). */

/* Takes over the product that g describes, to be added to x some time before
 * the walk ends; false if it is to be added now. */
bool collect_product(walk *w, cg_tensor *x, const gemm_args *g);
/* Adds what waits, unless the walk has failed, and gives back the memory. */
void collect_end(walk *w);

#endif
