/* backward_impl.h - one walk, shared by backward.c, grad.c and slot.c. */
#ifndef CG_ENGINE_BACKWARD_IMPL_H
#define CG_ENGINE_BACKWARD_IMPL_H

#include "tape_impl.h"

typedef struct walk {
  cg_tape *tape;
  const char *name; /* of the public function, for errors */
  bool recorded;    /* create_graph: rules run with recording on */
  bool functional;  /* cg_grad: leaves' gradients are not touched */
} walk;

struct cg_vjp {
  cg_tape *tape;
  walk *walk;
  cg_tensor *node, *gy;
};

/* Steps of a walk (backward.c). */

/* The roots on this tape, each of which can be derived, in scratch memory;
 * NULL after an error. */
cg_tensor **walk_roots(cg_tape *tape, cg_tensor *const *roots, int count,
                       const char *fn);
/* tape->order: what the roots depend on, newest first. */
cg_status walk_sort(cg_tape *tape, cg_tensor *const *roots, int n_roots,
                    size_t *count);
/* Plants the seeds and visits the sorted nodes, newest first. */
void walk_run(walk *w, cg_tensor *const *roots, cg_tensor *const *seeds,
              int n_roots, size_t count);
/* Empties all slots. */
void walk_clean(walk *w, size_t count);

/* cg_grad, on behalf of the public function `name` (grad.c). */
cg_status grad_for(cg_tape *tape, const char *name, cg_tensor *const *outputs,
                   int n_outputs, cg_tensor *const *grad_outputs,
                   cg_tensor *const *inputs, int n_inputs, cg_tensor **grads,
                   int options);

/* Slots (slot.c): the gradient of x under accumulation. */

/* Adds g, of x's type and of a shape that x broadcasts to. */
void slot_add(walk *w, cg_tensor *x, cg_tensor *g);
/* Puts together what was given in parts; x->slot is then a plain tensor. */
void slot_finish(walk *w, cg_tensor *x);
/* Forgets what the slot holds. */
void slot_drop(walk *w, cg_tensor *x);

#endif
