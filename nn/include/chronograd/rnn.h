/* rnn.h - recurrent nets: layers of one of three cells, or of a cell of your
 * own (cell.h), in one direction or both, recorded on the tape step by step. In
 * PyTorch's formulas, with s = sigmoid and * by element:
 *
 * CG_CELL_RNN (Elman)
 *   z_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh      h_t = phi(z_t)
 *
 * CG_CELL_LSTM, whose state is (h, c); z_t as above, of 4H rows: i, f, g, o
 *   c_t = s(z_f) * c_{t-1} + s(z_i) * tanh(z_g)
 *   h_t = s(z_o) * tanh(c_t), with a projection W_hr (s(z_o) * tanh(c_t))
 *
 * CG_CELL_GRU, of 3H rows: r, u (PyTorch calls it z), n
 *   r_t = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr),  u_t likewise
 *   n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))
 *   h_t = (1 - u_t) * n_t + u_t * h_{t-1}
 *
 * They have no derivative of their own: the unrolled graph is the tape, and
 * backpropagation through time is the walk back over it. Ops are recorded in
 * the scopes "<name>/l<layer>/t=<step>", counted from 0.
 *
 * Sizes: T steps, B sequences, I inputs, H hidden units, L layers, D directions
 * (1, or 2 if bidirectional), R elements of h (H, or those of the projection),
 * G gates (1, 4 or 3). Parameters of layer k, as in PyTorch:
 *   <name>.weight_ih_l<k> [GH, I], for k > 0 [GH, DR]  <name>.bias_ih_l<k> [GH]
 *   <name>.weight_hh_l<k> [GH, R]                      <name>.bias_hh_l<k> [GH]
 *   <name>.weight_hr_l<k> [R, H], with a projection
 * and, if asked for and not in PyTorch, <name>.h0_l<k> [R] and, for an LSTM,
 * <name>.c0_l<k> [H]. Those of the second direction, which reads from the end
 * to the beginning, end with "_reverse", and so does its scope.
 *
 * With layer_norm, where N brings a row to mean 0 and variance 1 (plus 1e-5),
 *   RNN   z_t = norm_weight * N(W_ih x_t + W_hh h_{t-1}) + bias
 *   LSTM  z_t = norm_ih_weight * N(W_ih x_t) + norm_hh_weight * N(W_hh h_{t-1})
 *             + bias, N of all gates together, and
 *         h_t = s(z_o) * tanh(norm_c_weight * N(c_t) + norm_c_bias)
 *   GRU   as above, with norm_ih_weight * N(W_i x_t) + bias_ih for what x_t
 *         makes and norm_hh_weight * N(W_h h_{t-1}) + bias_hh for what h_{t-1}
 *         makes, N of r and u together and of n alone.
 */
#ifndef CHRONOGRAD_RNN_H
#define CHRONOGRAD_RNN_H

#include <chronograd/cell.h>
#include <chronograd/init.h>
#include <chronograd/param.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The cells of the formulas above. */
typedef enum cg_cell_kind {
  CG_CELL_RNN,  /* Elman's */
  CG_CELL_LSTM, /* long short-term memory */
  CG_CELL_GRU,  /* gated recurrent unit */
  CG_CELL_COUNT /* how many there are */
} cg_cell_kind;

/* What kind of net; unset fields have the defaults named. */
typedef struct cg_rnn_config {
  cg_cell_kind cell;          /* unset: RNN */
  const cg_cell *custom;      /* a cell of your own, which the net keeps a
                                 pointer to; unset: `cell` */
  const void *custom_context; /* handed to its functions; unset: NULL */
  int64_t input_size;         /* I, needed */
  int64_t hidden_size;        /* H, needed */
  int num_layers;             /* L; unset: 1 */
  cg_activation nonlinearity; /* of the RNN; unset, and of the others: tanh */
  cg_unary activation;        /* of the RNN, any other than those, such as
                                 cg_gelu; unset: `nonlinearity` */
  bool no_bias;               /* unset: there are biases */
  bool bidirectional; /* unset: one direction */
  int64_t proj_size;  /* R, less than H, of an LSTM (H. Sak, A. Senior, F.
                         Beaufays, 2014); unset: no projection */
  bool learned_h0;  /* the first state is parameters (they begin at zero);
                       unset: zeros */
  bool batch_first; /* x is [B, T, I], result [B, T, DR]; unset: T first */
  bool compact; /* of RNN and LSTM: one product of [W_ih W_hh] with x_t over
                   h_{t-1}, instead of two; the same parameters and, to
                   rounding, results. Unset: two */
  bool layer_norm; /* normalised products (J. Ba, J. Kiros, G. Hinton, 2016),
                      with the parameters below; unset: none are */
  bool reset_before; /* of a GRU: n_t = tanh(W_in x_t + b_in +
                        W_hn (r_t * h_{t-1}) + b_hn), as first published (K.
                        Cho et al., 2014); unset: as above */
  double forget_bias; /* of an LSTM with biases: b_if begins with this value
                         and b_hf with 0; unset, or 0: both are drawn, as in
                         PyTorch (with layer_norm, b_f begins at 0) */
  /* The following act only in runs that have a generator (cg_rnn_run), that
   * is, in training, but for zoneout, whose expectation acts in the others. */
  double dropout;   /* share of the elements that are dropped between layers,
                       0 to 1; unset: none */
  bool same_dropout; /* the same ones at all steps of a sequence ("variational":
                        Y. Gal, Z. Ghahramani, 2016); unset: others at each */
  double state_dropout; /* share of h that is dropped where it enters the
                           products of the next step, the same elements at all
                           steps (ibid.), 0 to 1; unset: none */
  double zoneout, zoneout_c; /* share of h, of c, that stays as it was a step
                                before (D. Krueger et al., 2016), 0 to 1; in
                                other runs new + share * (old - new). Unset:
                                none */
} cg_rnn_config;

/* A net; its members are the library's own. */
typedef struct cg_rnn cg_rnn;

/* Adds the net `name` to a registry, which owns it. Weights and biases are
 * uniform in +-1/sqrt(H), drawn from `rng`; NULL leaves everything zero, to be
 * loaded. NULL on an error, with the registry as it was. */
CG_API cg_rnn *cg_rnn_new(cg_params *params, const char *name,
                          const cg_rnn_config *config, cg_rng *rng,
                          cg_error *err);
/* The configuration, unset fields filled in; all zero for NULL. */
CG_API cg_rnn_config cg_rnn_get_config(const cg_rnn *rnn);

/* First values of one gate: applies `rule` to rows gate*H .. of `param`, such
 * as "weight_hh" or "bias_ih", in all layers and directions. Gates count from 0
 * in the order above. ARG if the net has no such parameter or gate, else as
 * cg_init_rows. */
CG_API cg_status cg_rnn_init_gate(cg_rnn *rnn, const char *param, int gate,
                                  const cg_init_rule *rule, cg_rng *rng,
                                  cg_error *err);

/* ---- states ---- */

/* The state of all layers and directions at one time; that of layer k in
 * direction d is number k*D + d. Both NULL before the first step: the learned
 * state, or zeros. */
typedef struct cg_rnn_state {
  cg_tensor *h; /* [L*D, B, R] */
  cg_tensor *c; /* [L*D, B, H] of an LSTM; NULL for the others */
} cg_rnn_state;

/* The state that both NULL stand for, as tensors. */
CG_API cg_rnn_state cg_rnn_first_state(cg_tape *tape, const cg_rnn *rnn,
                                       int64_t B);
/* Is it a state of this net for B sequences? An LSTM needs h and c or neither,
 * the others take no c (ARG); SHAPE if a size is another. The error is also on
 * the tape. */
CG_API cg_status cg_rnn_state_check(cg_tape *tape, const cg_rnn *rnn,
                                    cg_rnn_state state, int64_t B);
/* The same values without history: no gradient flows further back. */
CG_API cg_rnn_state cg_rnn_state_detach(cg_tape *tape, cg_rnn_state state);
/* The state with the rows b for which begins[b] is true (of B) replaced by the
 * first state: where in a batch of streams one ends and another begins. */
CG_API cg_rnn_state cg_rnn_state_reset(cg_tape *tape, const cg_rnn *rnn,
                                       cg_rnn_state state, const bool *begins);
/* cg_tape_rewind_keep for a state: rewinds to `mark` and carries the state's
 * values over, without history. The tensors that are NULL stay so; after an
 * error both are. */
CG_API cg_status cg_rnn_state_keep(cg_tape *tape, cg_mark mark,
                                   cg_rnn_state *state);

/* ---- a whole sequence ---- */

/* What a sequence gives. */
typedef struct cg_rnn_result {
  cg_tensor *h;      /* h_t of the last layer for all t, [T, B, D*R]: of two
                        directions side by side */
  cg_tensor *h_last; /* h after the last step of all layers, [L*D, B, R]: of the
                        second direction that after t = 0 */
  cg_tensor *c_last; /* c likewise, [L*D, B, H]; NULL unless an LSTM */
} cg_rnn_result;

/* Records T >= 1 steps for x [T, B, I], from the state h0 [L*D, B, R]; NULL
 * stands for the learned state, or zeros. An LSTM takes no h0 here, as its
 * state has two parts (ARG): see cg_rnn_forward_from. All results are NULL
 * after an error. To go on with the next window of a long sequence, pass h_last
 * as h0, detached or carried over by cg_tape_rewind_keep. */
CG_API cg_rnn_result cg_rnn_forward(cg_tape *tape, const cg_rnn *rnn,
                                    cg_tensor *x, cg_tensor *h0);

/* Where to put the tensors of each step, for those who want to look inside
 * (cg_retain_grad on them keeps dL/dz_t and dL/dh_t). Any may be NULL;
 * otherwise it has L*D*T places, and [(k*D + d)*T + t] is that of layer k,
 * direction d, step t. Asking for z takes other ways and more memory; results
 * and gradients are the same to rounding. */
typedef struct cg_rnn_trace {
  cg_tensor **z; /* pre-activations z_t, [B, GH] each; NULL for a GRU, in which
                    they are no single tensor */
  cg_tensor **h; /* states h_t, [B, R] each */
  cg_tensor **c; /* states c_t, [B, H] each; NULL unless an LSTM */
} cg_rnn_trace;

/* cg_rnn_forward that also fills `trace` (NULL: none), which means nothing
 * after an error. ARG if it asks for what the cell does not have. */
CG_API cg_rnn_result cg_rnn_forward_trace(cg_tape *tape, const cg_rnn *rnn,
                                          cg_tensor *x, cg_tensor *h0,
                                          const cg_rnn_trace *trace);

/* cg_rnn_forward_trace from a whole state, for any cell (cg_rnn_state_check).
 * {r.h_last, r.c_last} is the state after it. */
CG_API cg_rnn_result cg_rnn_forward_from(cg_tape *tape, const cg_rnn *rnn,
                                         cg_tensor *x, cg_rnn_state state,
                                         const cg_rnn_trace *trace);

/* All that a run can be told. */
typedef struct cg_rnn_run {
  cg_rnn_state state; /* before the first step; unset: learned, or zeros */
  const int64_t *lengths; /* [B]: sequence b has lengths[b] steps, 0 to T, in
                             any order; unset: all have T. What x holds beyond
                             is not looked at; h is 0 there; the last state is
                             that after each sequence's own last step, and the
                             second direction begins there. The results are
                             those of the sequences one by one, to rounding. */
  cg_rng *rng; /* training: where dropout and zoneout draw from; it moves on.
                  Unset: they don't act */
  const cg_rnn_trace *trace; /* unset: none. The state of a sequence that has
                                ended (or, in reverse, not begun) stays. */
  int64_t first_step; /* the number of the first step in the scopes of the ops,
                         such as where a window begins; unset: 0. Less: ARG */
} cg_rnn_run;

/* cg_rnn_forward with all of that. NULL for `run`: nothing is set. */
CG_API cg_rnn_result cg_rnn_forward_with(cg_tape *tape, const cg_rnn *rnn,
                                         cg_tensor *x, const cg_rnn_run *run);

/* ---- one step ---- */

/* The state after x [B, I] in the state h [L, B, R] (NULL as h0 above): [L, B,
 * R]. Row L-1, cg_select(tape, h, 0, -1), is the output. For sampling and
 * streams; with cg_tape_set_recording off and a rewind per step, memory does
 * not grow. Not for an LSTM, nor for two directions, of which one begins at the
 * end (ARG). */
CG_API cg_tensor *cg_rnn_step(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                              cg_tensor *h);
/* The same from a whole state, for any cell. Both parts are NULL after an
 * error. */
CG_API cg_rnn_state cg_rnn_step_from(cg_tape *tape, const cg_rnn *rnn,
                                     cg_tensor *x, cg_rnn_state state);

#ifdef __cplusplus
}
#endif
#endif
