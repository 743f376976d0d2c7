/* sequence.h - the usual tasks on sequences, by one call each: a recurrent net
 * and a linear layer on top, from the input to the logits that a loss takes
 * (loss.h).
 *
 *     many to many      x_1 .. x_T -> o_1 .. o_T     tagging, language models
 *     many to one       x_1 .. x_T -> o              classification
 *     encoder-decoder   x_1 .. x_T -> o_1 .. o_T'    translation (I. Sutskever,
 *                       O. Vinyals, Q. Le, 2014; K. Cho et al., 2014)
 *
 * Nothing here that cg_rnn_forward_with, cg_rnn_step_from and
 * cg_linear_layer_forward don't give: the calls choose the right states, and
 * check that the parts fit. Sizes as in rnn.h, and K rows of the linear layer.
 * A net with batch_first has B before T everywhere. Each call returns NULL
 * after an error.
 */
#ifndef CHRONOGRAD_SEQUENCE_H
#define CHRONOGRAD_SEQUENCE_H

#include <chronograd/embedding.h>
#include <chronograd/linear.h>
#include <chronograd/reduction.h>
#include <chronograd/rnn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* o_t = W h_t + b for every step: x [T, B, I] -> [T, B, K], where W takes the
 * D*R numbers of h_t. `run` (NULL: nothing is set) is that of
 * cg_rnn_forward_with. Beyond the end of a sequence h_t is 0 and o_t = b, which
 * cg_length_mask with cg_masked_loss leaves out. SHAPE if W takes another
 * number. */
CG_API cg_tensor *cg_many_to_many(cg_tape *tape, const cg_rnn *rnn,
                                  const cg_linear_layer *fc, cg_tensor *x,
                                  const cg_rnn_run *run);

/* The loss of these logits, -log softmax(o_tb)[y_tb] for targets y [T, B] (I64)
 * reduced as by cg_cross_entropy_loss, to rounding the same. A long sequence is
 * gone through in stretches of steps, each with its own logits and losses: the
 * walk back then needs memory for the gradients of one stretch at a time. (Two
 * directions, a generator or a trace in `run` have it done at once.) `last`
 * (NULL: not wanted) gets the state after the last step, to go on from. ARG for
 * `run` with lengths, SHAPE for other targets. */
CG_API cg_tensor *cg_many_to_many_loss(cg_tape *tape, const cg_rnn *rnn,
                                       const cg_linear_layer *fc, cg_tensor *x,
                                       const cg_rnn_run *run,
                                       cg_tensor *targets,
                                       cg_reduction over_steps,
                                       cg_reduction over_batch,
                                       cg_rnn_state *last);

/* o = W h + b for a whole sequence: x [T, B, I] -> [B, K]. h is what the last
 * layer holds after the last step of each sequence (its own one, if there are
 * lengths; a sequence without steps gives the first state). Of two directions
 * it is both side by side, each after it has read everything: the first after
 * the last step, the second after t = 0. SHAPE as above. */
CG_API cg_tensor *cg_many_to_one(cg_tape *tape, const cg_rnn *rnn,
                                 const cg_linear_layer *fc, cg_tensor *x,
                                 const cg_rnn_run *run);

/* ---- encoder and decoder ---- */

/* Two nets, of which the second begins in the state in which the first ends.
 * They have equally many layers, and both a state of h and c or both of h. The
 * decoder has one direction; of an encoder with two, both states of a layer
 * side by side are that of the decoder's layer, which is twice as wide. The
 * parts belong to their registries. */
typedef struct cg_encoder_decoder {
  const cg_rnn *encoder;     /* needed */
  const cg_rnn *decoder;     /* needed */
  const cg_linear_layer *fc; /* from the decoder's h_t to K logits; needed */
  const cg_embedding_layer *embedding; /* from symbols to what the decoder
                                          reads; unset: it reads one-hot vectors
                                          of its input size */
} cg_encoder_decoder;

/* The logits [T', B, K] of a decoder that is told what came before (teacher
 * forcing). x [T, B, I] is the encoder's input and `run` its run, whose
 * generator serves the decoder too. `fed` is what the decoder reads: symbols
 * [T', B] (I64), as a rule the wanted ones, one step later behind a start
 * symbol; or, if there is no embedding, numbers [T', B, I'] of its own. Steps
 * beyond the end of a wanted sequence don't act on those before; the loss
 * leaves them out (cg_masked_loss, cg_cross_entropy_ignore). ARG or SHAPE, with
 * the names and sizes of both, if the parts don't fit. */
CG_API cg_tensor *cg_encode_decode(cg_tape *tape, const cg_encoder_decoder *net,
                                   cg_tensor *x, const cg_rnn_run *run,
                                   cg_tensor *fed);

/* How to decode without being told. */
typedef struct cg_greedy_config {
  int64_t steps; /* T', needed: so many symbols at most */
  int64_t start; /* the symbol that the decoder reads first; unset: 0. May be
                    one that is not among the K, such as K itself */
  bool has_end;  /* unset: every sequence has T' symbols */
  int64_t end;   /* the symbol that ends a sequence */
} cg_greedy_config;

/* The decoder on its own: it reads at each step the symbol with the largest
 * logit of the step before. Writes them to `symbols` [T', B] ([B, T'] if the
 * decoder has batch_first), with `end` from the end of a sequence on, and to
 * lengths[b] (NULL: not wanted) how many come before. Nothing is recorded, each
 * step drops what the last one left, and the tape is then as it was found,
 * however many steps there are. x and `run` as for cg_encode_decode, but its
 * generator and trace are left alone. K <= V for V symbols that can be read.
 * The error is also on the tape, and `symbols` then means nothing. */
CG_API cg_status cg_decode_greedy(cg_tape *tape, const cg_encoder_decoder *net,
                                  cg_tensor *x, const cg_rnn_run *run,
                                  const cg_greedy_config *config,
                                  int64_t *symbols, int64_t *lengths);

#ifdef __cplusplus
}
#endif
#endif
