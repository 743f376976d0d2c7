/* checkpoint.h - recompute segments: less memory for more time.
 *
 * A tape keeps every intermediate value for the walk back. A segment keeps its
 * outputs only; the walk runs its function again when it comes to it, and drops
 * what that recorded when it has passed. A sequence of T steps in sqrt(T)
 * segments of sqrt(T) steps needs memory for 2 sqrt(T) of them and one more
 * forward pass (Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear
 * memory cost", 2016). Values and gradients are the same, bit for bit.
 */
#ifndef CHRONOGRAD_CHECKPOINT_H
#define CHRONOGRAD_CHECKPOINT_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Computes out[0..n_out) from in[0..n_in) by ops on `tape`; may use other
 * leaves and older tensors of the tape, too. A failed op's error on the tape is
 * this function's. It is called again in every walk, so it must do the same
 * each time: depend on nothing but its arguments and what they point to, and
 * change nothing but *context. Rewinding to a mark that it did not make,
 * cg_backward and hooks on tensors that are not its own are refused (STATE);
 * cg_grad is allowed, and so are segments inside. */
typedef void (*cg_segment_fn)(cg_tape *tape, cg_tensor *const *in, int n_in,
                              cg_tensor **out, int n_out, void *context);

/* Runs `fn` and keeps nothing of what it recorded but the values of its
 * outputs, until a walk needs the rest and has `fn` record it again.
 *
 *     static void steps(cg_tape *tape, cg_tensor *const *in, int n_in,
 *                       cg_tensor **out, int n_out, void *context) {
 *       cg_rnn_result r = cg_rnn_forward(tape, context, in[0], in[1]);
 *       out[0] = r.h;
 *       out[1] = r.h_last;
 *     }
 *     ...
 *     cg_checkpoint(tape, steps, rnn, 0, (cg_tensor *[]){x, h}, 2, out, 2);
 *
 * `context_bytes` > 0: *context is copied beforehand, and `fn` gets such a copy
 * each time it is called again. A cg_rng in it thus replays the numbers that
 * dropout drew, while the caller's own goes on. 0: `context` itself is passed
 * each time, must live as long as the outputs, and what it points to must not
 * change. `in` is copied and may be `out`; leaves in it must live as long, too.
 *
 * An output that is a tensor from before is returned as it is, and one tensor
 * in two outputs is one; every other output has memory of its own, laid out
 * with the same strides. For cg_grad's unused inputs, and for whose hooks it
 * calls, all outputs of a segment count as depending on each other and on all
 * that `fn` used. A hook or a retained gradient on an output sees all of its
 * gradient, uses inside of the segment included; what such a hook takes from
 * cg_tape_alloc is dropped with the segment's interior. A recorded walk
 * (CG_CREATE_GRAPH) keeps the interior, as its result needs it; second
 * derivatives then agree with those without segments up to rounding. With
 * recording off, `fn` is simply called.
 *
 * Returns the tape's status; after an error all out[] are NULL, and the tape
 * holds nothing that `fn` recorded. ARG if `fn` left an output NULL. A walk
 * ends with STALE if a leaf that `fn` used was modified since, or if `fn` gave
 * other values than at first. */
CG_API cg_status cg_checkpoint(cg_tape *tape, cg_segment_fn fn, void *context,
                               size_t context_bytes, cg_tensor *const *in,
                               int n_in, cg_tensor **out, int n_out);

#ifdef __cplusplus
}
#endif
#endif
