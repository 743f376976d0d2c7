/* clip.h - bounds on gradients, against steps that are too long.
 *
 * The first three look at every gradient before they change one: if any element
 * is NaN or infinite, they report it (NONFINITE, naming the parameter) and
 * leave all gradients as they were. Parameters without a gradient are passed
 * over.
 */
#ifndef CHRONOGRAD_CLIP_H
#define CHRONOGRAD_CLIP_H

#include <chronograd/param.h>
#include <chronograd/rnn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* *norm = sqrt(sum g^2) over all elements of all gradients, computed in double
 * without overflow on the way. With non-finite gradients *norm is NaN or
 * infinite; a norm beyond the largest double is NONFINITE, too. */
CG_API cg_status cg_grad_norm(const cg_params *params, double *norm,
                              cg_error *err);

/* Multiplies all gradients by max_norm / norm if that is below 1, so that their
 * norm becomes max_norm (R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty
 * of training recurrent neural networks", 2013). *norm (may be NULL) is the
 * norm before. max_norm > 0 (ARG). PyTorch's clip_grad_norm_ differs by 1e-6
 * in the divisor. */
CG_API cg_status cg_clip_grad_norm(cg_params *params, double max_norm,
                                   double *norm, cg_error *err);

/* Cuts every element of the gradients to -limit .. limit. limit > 0 (ARG). */
CG_API cg_status cg_clip_grad_value(cg_params *params, double limit,
                                    cg_error *err);

/* A bound on the gradient of one tensor while a walk goes on, such as that of
 * the state which one chunk of a long sequence hands to the next: what flows
 * back from there into the chunk. */
typedef struct cg_state_clip {
  double max_norm; /* > 0; infinite only to look at the norm */
  double norm;     /* of the gradient before, in the last walk; NaN: none yet */
  int64_t walks;   /* that came by so far, and */
  int64_t clipped; /* how many of them had to be clipped */
} cg_state_clip;

/* Has every walk on this tape multiply the gradient g of x, when it is
 * complete, by max_norm / |g| if that is below 1, and report in *clip, until
 * the tape is rewound to a point before this call; *clip must live as long. A
 * gradient with an element that is not finite stops the walk (NONFINITE, on the
 * tape). Begin with max_norm and zeros. In a recorded walk (CG_CREATE_GRAPH)
 * the factor counts as a constant. ARG for a bad max_norm, and the errors of
 * cg_hook. */
CG_API cg_status cg_clip_state_grad(cg_tape *tape, cg_tensor *x,
                                    cg_state_clip *clip);

/* The same for the state that one chunk hands to the next: of an LSTM the norm
 * is that of h and c together, |g|^2 = |dL/dh|^2 + |dL/dc|^2, and both are
 * multiplied alike. *state becomes the state to hand on, of the same values;
 * what is computed from the old one is not bounded:
 *
 *     cg_rnn_result r = cg_rnn_forward_from(tape, rnn, x_1, first, NULL);
 *     cg_rnn_state state = {r.h_last, r.c_last};
 *     cg_clip_rnn_state_grad(tape, &state, &clip);
 *     r = cg_rnn_forward_from(tape, rnn, x_2, state, NULL);
 *
 * After an error (those above; ARG without a state) it has no parts. */
CG_API cg_status cg_clip_rnn_state_grad(cg_tape *tape, cg_rnn_state *state,
                                        cg_state_clip *clip);

#ifdef __cplusplus
}
#endif
#endif
