/* rnn.h - a simple recurrent net (Elman): layers of
 *
 *   z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh      h_t = phi(z_t)
 *
 * recorded on the tape step by step. It has no derivative of its own: the
 * unrolled graph is the tape, and backpropagation through time is the walk back
 * over it. Ops are recorded in the scopes "<name>/l<layer>/t=<step>", counted
 * from 0.
 *
 * Parameters of layer k, as in PyTorch:
 *   <name>.weight_ih_l<k> [H, I], for k > 0 [H, H]    <name>.bias_ih_l<k> [H]
 *   <name>.weight_hh_l<k> [H, H]                      <name>.bias_hh_l<k> [H]
 * and, if asked for and not in PyTorch, <name>.h0_l<k> [H].
 */
#ifndef CHRONOGRAD_RNN_H
#define CHRONOGRAD_RNN_H

#include <chronograd/activation.h>
#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cg_rnn_config {
  int64_t input_size;         /* I, needed */
  int64_t hidden_size;        /* H, needed */
  int num_layers;             /* L; unset: 1 */
  cg_activation nonlinearity; /* unset: tanh */
  bool no_bias;               /* unset: there are biases */
  bool learned_h0;  /* h_0 is a parameter (it begins at zero); unset: zeros */
  bool batch_first; /* x is [B, T, I], result [B, T, H]; unset: T comes first */
} cg_rnn_config;

typedef struct cg_rnn cg_rnn;

/* Adds the net `name` to a registry, which owns it. Weights and biases are
 * uniform in +-1/sqrt(H), drawn from `rng`; NULL leaves them zero, to be
 * loaded. NULL on an error, with the registry as it was. */
CG_API cg_rnn *cg_rnn_new(cg_params *params, const char *name,
                          const cg_rnn_config *config, cg_rng *rng,
                          cg_error *err);
/* The configuration, unset fields filled in; all zero for NULL. */
CG_API cg_rnn_config cg_rnn_get_config(const cg_rnn *rnn);

/* ---- a whole sequence ---- */

typedef struct cg_rnn_result {
  cg_tensor *h;      /* h_t of the last layer for all t, [T, B, H] */
  cg_tensor *h_last; /* h_T of all layers, [L, B, H] */
} cg_rnn_result;

/* Records T >= 1 steps for x [T, B, I], from the state h0 [L, B, H]; NULL
 * stands for the learned h0, or zeros. Both results are NULL after an error. To
 * go on with the next window of a long sequence, pass h_last as h0, detached or
 * carried over by cg_tape_rewind_keep. */
CG_API cg_rnn_result cg_rnn_forward(cg_tape *tape, const cg_rnn *rnn,
                                    cg_tensor *x, cg_tensor *h0);

/* Where to put the tensors of each step, for those who want to look inside
 * (cg_retain_grad on them keeps dL/dz_t and dL/dh_t). Either may be NULL;
 * otherwise it has L*T places, and [k*T + t] is that of layer k, step t. */
typedef struct cg_rnn_trace {
  cg_tensor **z; /* pre-activations z_t, [B, H] each */
  cg_tensor **h; /* states h_t, [B, H] each */
} cg_rnn_trace;

/* cg_rnn_forward that also fills `trace` (NULL: none), which means nothing
 * after an error. */
CG_API cg_rnn_result cg_rnn_forward_trace(cg_tape *tape, const cg_rnn *rnn,
                                          cg_tensor *x, cg_tensor *h0,
                                          const cg_rnn_trace *trace);

/* ---- one step ---- */

/* The state after x [B, I] in the state h [L, B, H] (NULL as h0 above): [L, B,
 * H]. Row L-1, cg_select(tape, h, 0, -1), is the output. For sampling and
 * streams; with cg_tape_set_recording off and a rewind per step, memory does
 * not grow. */
CG_API cg_tensor *cg_rnn_step(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                              cg_tensor *h);

#ifdef __cplusplus
}
#endif
#endif
