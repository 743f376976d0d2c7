/* nested.c - a walk inside a walk: a derivative rule that asks for gradients.
 *
 * Walks keep sums and marks in the tensors they go over. The inner walk finds
 * those of the running walk there; it puts them aside before it starts.
 */
#include "backward_impl.h"

enum { WALK_BITS = T_PATH | T_TARGET | T_PARTS };

/* A hook that walks over its own tensor calls itself, and would do so until the
 * stack ends. */
enum { MAX_NESTED = 64 };

typedef struct saved_slot {
  cg_tensor *x, *slot;
  uint16_t flags; /* WALK_BITS of them */
} saved_slot;

static void save(walk *w, cg_tensor *x) {
  w->saved[w->n_saved++] =
      (saved_slot){x, x->slot, (uint16_t)(x->flags & WALK_BITS)};
  x->slot = NULL;
  x->flags &= (uint16_t)~WALK_BITS;
}

static size_t saved_bytes(size_t n) { return (n + 1) * sizeof(saved_slot); }

static cg_status refuse(walk *w) {
  cg_tape_fail(w->tape, CG_ERR_STATE, w->name,
               "%d walks are running inside each other: does a hook or a "
               "derivative rule start a walk that leads to itself?",
               MAX_NESTED);
  return CG_ERR_STATE;
}

cg_status walk_begin(walk *w, cg_tensor *const *inputs, int n_inputs) {
  cg_tape *tape = w->tape;
  if (!tape->busy) return CG_OK;
  if (tape->busy >= MAX_NESTED) return refuse(w);
  size_t n = w->sort.count + tape->n_proxies + (size_t)n_inputs;
  void *block;
  cg_status status = pool_get(&tape->pool, saved_bytes(n), &block);
  if (status) {
    tape_fail_mem(tape, status, w->name);
    return status;
  }
  w->saved = block;
  for (size_t i = 0; i < w->sort.count; i++) save(w, walk_node(w, i));
  for (size_t i = 0; i < tape->n_proxies; i++) save(w, tape->proxies[i]);
  for (int j = 0; j < n_inputs; j++)
    if (inputs[j]) save(w, inputs[j]);
  w->room = n;
  return CG_OK;
}

void walk_end(walk *w) {
  cg_tape *tape = w->tape;
  tape->n_order = w->sort.base;
  if (!w->saved) return;
  while (w->n_saved) { /* last saved first: a tensor may be there twice */
    saved_slot *s = &w->saved[--w->n_saved];
    s->x->slot = s->slot;
    s->x->flags = (uint16_t)((s->x->flags & ~WALK_BITS) | s->flags);
  }
  pool_put(&tape->pool, w->saved, saved_bytes(w->room));
  w->saved = NULL;
}
