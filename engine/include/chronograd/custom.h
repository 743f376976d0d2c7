/* custom.h - a function of your own as one node of the graph, given as a
 * forward and a backward callback. For an op with kernels, attributes and
 * automatic checks of its own, see op.h.
 */
#ifndef CHRONOGRAD_CUSTOM_H
#define CHRONOGRAD_CUSTOM_H

#include <chronograd/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Computes y from the operands, by ops or by writing into a cg_input. What it
 * records has no history and is dropped when it returns, but for y's value: it
 * must not be kept for the backward callback, which computes again what it
 * needs. */
typedef cg_tensor *(*cg_custom_forward)(cg_tape *tape, cg_tensor *const *in,
                                        int n_in, void *context);

/* The derivative rule, as in op.h: from gy = cg_vjp_gy(v), operands
 * cg_vjp_in(v, i) and the result cg_vjp_out(v), hands operand i its part with
 * cg_vjp_give(v, i, g). Written in ops, it can itself be derived. It must not
 * start walks. */
typedef void (*cg_custom_backward)(cg_vjp *v, void *context);

/* Applies `forward` to `n_in` operands and records one op called `name`
 * (copied; it names the node in errors and drawings). `backward` NULL: y needs
 * no gradient. `context` is handed to both, belongs to the caller and must live
 * until the tape is rewound past this point. y is a tensor of its own, even if
 * `forward` returns one of its operands. NULL after an error, also one that
 * `forward` left on the tape, or if it returned NULL or a tensor of another
 * tape. */
CG_API cg_tensor *cg_custom(cg_tape *tape, const char *name,
                            cg_custom_forward forward,
                            cg_custom_backward backward, void *context,
                            cg_tensor *const *in, int n_in);

#ifdef __cplusplus
}
#endif
#endif
