/* backward.h - the topological sort and the reverse walk.
 *
 * Given a root L, the walk sorts what L depends on topologically, starts from
 * dL/dL = 1 and visits each node once, in reverse order, when its gradient is
 * complete: the sum over all its uses. Each visit applies the op's derivative
 * rule. Nothing recurses, so depth is bounded by memory only.
 *
 * A derivative rule or a hook may itself call cg_grad or cg_backward on the
 * same tape: the inner walk leaves the running one as it found it. What an
 * inner cg_grad returns lives, unless recorded, as long as the caller's other
 * temporaries. Walks inside each other to a depth of 64 are allowed (STATE):
 * one that comes to the hook or rule that started it would never end.
 */
#ifndef CHRONOGRAD_BACKWARD_H
#define CHRONOGRAD_BACKWARD_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Adds dL/dw to the gradient of every leaf w that requires one and that L =
 * `root` (a float tensor with one element) depends on. Gradients accumulate:
 * zero them with cg_leaf_zero_grad. On an error, the leaves' gradients may hold
 * a part of the sum. */
CG_API cg_status cg_backward(cg_tape *tape, cg_tensor *root);

/* The same for gradients that shall not accumulate: those of all leaves used on
 * the tape that require one are set to zero first, as by cg_leaf_zero_grad; all
 * leaves used on it must be alive. This takes less time, for the first
 * contribution to a gradient is written over what was there: so what a callback
 * of the walk finds in leaves' gradients is not defined, and a zero may have the
 * other sign. On an error before the walk begins they stay as they were. */
CG_API cg_status cg_backward_anew(cg_tape *tape, cg_tensor *root);

/* The same for several roots of any shape: adds the gradients of
 * sum_k <seeds[k], roots[k]>. A NULL seed stands for ones and needs a root with
 * one element; `seeds` itself may be NULL. */
CG_API cg_status cg_backward_from(cg_tape *tape, cg_tensor *const *roots,
                                  cg_tensor *const *seeds, int count);

/* ---- a home for gradients other than the leaves ----
 *
 * Threads that share parameters, a tape each, must not add to the same leaves.
 * Each walks into a cg_grads of its own instead, and one of them adds these to
 * the leaves when all are done, in an order of its choice: sums of floating
 * point numbers depend on it. */
typedef struct cg_grads cg_grads;

/* An empty one. NULL when out of memory. `allocator` NULL: the C library's
 * heap. */
CG_API cg_grads *cg_grads_new(const cg_allocator *allocator);
/* Frees it with its gradients. NULL is fine. */
CG_API void cg_grads_free(cg_grads *grads);
/* Sets all gradients to zero and keeps their memory, so that the next walk over
 * the same leaves asks the system for none. */
CG_API void cg_grads_zero(cg_grads *grads);
/* The gradient of `leaf`, with its shape and type, which may be written to;
 * NULL if no walk came to that leaf. Owned by `grads`. */
CG_API cg_tensor *cg_grads_get(const cg_grads *grads, const cg_tensor *leaf);
/* Adds each gradient to its leaf's own. All leaves must be alive and still
 * require a gradient (STATE); on an error nothing is added. */
CG_API cg_status cg_grads_add_to_leaves(cg_grads *grads);
/* The same by several threads: one calls cg_grads_add_begin, which fails as
 * cg_grads_add_to_leaves does, and then each adds parts of its own of all
 * gradients, 0 <= part < parts. */
CG_API cg_status cg_grads_add_begin(cg_grads *grads);
CG_API void cg_grads_add_part(const cg_grads *grads, int part, int parts);

/* cg_backward_from that adds to `grads` and reads, but does not write, leaves.
 * A leaf that `grads` has met must not be freed while `grads` is used. */
CG_API cg_status cg_backward_into(cg_tape *tape, cg_tensor *const *roots,
                                  cg_tensor *const *seeds, int count,
                                  cg_grads *grads);

/* Options of cg_grad, combined with |. */
enum {
  CG_CREATE_GRAPH = 1, /* record the walk, so the gradients can be derived */
  CG_ALLOW_UNUSED = 2  /* NULL for inputs that no output depends on, instead of
                          an error */
};

/* grads[j] = sum_i <grad_outputs[i], d outputs[i] / d inputs[j]>, without
 * touching any leaf's gradient. inputs are leaves or tensors of this tape; only
 * what lies between inputs and outputs is visited. grad_outputs as `seeds`
 * above. The results belong to the tape. The array `grads` must not be one of
 * the other arrays: it is cleared first. */
CG_API cg_status cg_grad(cg_tape *tape, cg_tensor *const *outputs,
                         int n_outputs, cg_tensor *const *grad_outputs,
                         cg_tensor *const *inputs, int n_inputs,
                         cg_tensor **grads, int options);

/* Asks for the gradient of a tensor of the tape to be kept by cg_backward:
 * cg_tensor_grad(x) then has it. It accumulates like a leaf's. */
CG_API cg_status cg_retain_grad(cg_tape *tape, cg_tensor *x);

/* Looks at, or changes, the gradient g of x while a walk goes on: called with
 * the tape and the x and context that cg_hook was given, once per walk that
 * computes g, when g is complete. Returns what takes g's place, of g's shape
 * and type, or NULL to leave g as it is. g and what the hook computes live
 * until it returns (in a recorded walk, and for cg_grad's results, as long as
 * the tape): copy what is to be kept. An op that fails stops the walk; so does
 * cg_tape_fail. */
typedef cg_tensor *(*cg_hook_fn)(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                                 void *context);

/* Has `fn` called for the gradient of x, a tensor of the tape or a leaf, by
 * every walk on this tape until the tape is rewound to a point before this
 * call. Hooks of one tensor are called in the order in which they were set,
 * each with what the one before left. A result passes its gradient on, and
 * keeps it (cg_retain_grad), after its hooks. The hooks of leaves are called at
 * the end of the walk, in the order in which the leaves were first used on the
 * tape, with what this walk adds; a cg_grad calls those of its inputs only. */
CG_API cg_status cg_hook(cg_tape *tape, cg_tensor *x, cg_hook_fn fn,
                         void *context);

/* The order in which the walk from `root` goes, backwards: writes to *order the
 * tensors that need a gradient and that root depends on, operands before
 * results, root last, and their number to *count. Leaves are not among them.
 * *order belongs to the tape and is valid until its next backward walk or
 * sort. */
CG_API cg_status cg_tape_toposort(cg_tape *tape, cg_tensor *root,
                                  cg_tensor *const **order, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
