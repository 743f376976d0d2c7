/* bptt.h - what the files of the program bptt share: its options, the problem,
 * and the quantities that are computed several ways and compared.
 *
 * Functions that return bool have printed one line (cli.h) when it is false.
 */
#ifndef CHRONOGRAD_DEMOS_BPTT_H
#define CHRONOGRAD_DEMOS_BPTT_H

#include <chronograd/nn.h>

typedef struct bptt_options {
  int64_t steps, batch, input, hidden, classes; /* T, B, D, H, K */
  cg_cell_kind cell;
  cg_activation activation;
  cg_reduction reduction; /* over steps and batch alike */
  cg_dtype dtype;         /* of the autograd side */
  uint64_t seed;
  double tolerance;
  bool no_differences;
  bool study;
  const char *case_path, *out_path, *dot_path; /* or NULL */
} bptt_options;

/* ---- the quantities (bptt_quantity.c) ---- */

typedef enum bptt_quantity {
  Q_LOSS,
  Q_H,
  Q_LOGITS,
  Q_DELTA_O,
  Q_DELTA_H,
  Q_DELTA_Z, /* not of a GRU, whose z_t are no single thing */
  Q_W_XH, /* from here on: gradients, which difference quotients can check */
  Q_W_HH,
  Q_W_HY,
  Q_B_H,
  Q_B_HH, /* of LSTM and GRU, whose biases are b_h (b_ih) and b_hh */
  Q_B_Y,
  Q_H0,
  Q_C0, /* of an LSTM */
  Q_COUNT
} bptt_quantity;

/* ---- the problem (bptt_case.c) ---- */

/* Of LSTM and GRU, whose G gates make W_xh [GH, D], W_hh [GH, H] and b_h [GH],
 * the numbers lie in `p` all the same. */
typedef struct bptt_case {
  cg_bptt_problem p; /* points into the two blocks */
  cg_cell_kind cell;
  int64_t gates;           /* G: 1, 4 or 3 */
  const double *b_hh, *c0; /* [GH] and [B, H]; NULL where there are none */
  double *want[Q_COUNT];   /* stored figures, "want.NAME" in the file, or NULL;
                              for LSTM and GRU only */
  double *numbers;
  int64_t count; /* of numbers */
  int64_t *targets;
  double *wants;
} bptt_case;

/* A random problem, or the one in options->case_path, every number rounded to
 * the run's type so that all sides compute from the same ones. Free it in any
 * case. */
bool bptt_case_make(bptt_case *c, const bptt_options *options);
void bptt_case_free(bptt_case *c);

/* ---- more on the quantities ---- */

/* Does the cell have it? */
bool bptt_has(const bptt_case *c, bptt_quantity q);
const char *bptt_name(bptt_quantity q);
/* Writes the sizes and returns their number. */
int bptt_shape(const bptt_case *c, bptt_quantity q, int64_t shape[3]);
int64_t bptt_numel(const bptt_case *c, bptt_quantity q);

/* All quantities as one of the sides computed them; NULL: not computed. */
typedef struct bptt_figures {
  double *of[Q_COUNT];
  double *block;      /* what to free, if it is owned */
  bool biases_differ; /* nn has two b_h; their gradients must be the same */
} bptt_figures;

/* Room for all quantities. */
bool bptt_figures_make(bptt_figures *f, const bptt_case *c);
void bptt_figures_free(bptt_figures *f);
/* The quantities of a manual result, which keeps owning them. */
bptt_figures bptt_figures_of(cg_bptt_result *manual);

/* Writes "autograd.NAME" and "manual.NAME" of each quantity that was computed
 * to a safetensors file. */
bool bptt_write(const char *path, const bptt_case *c,
                const bptt_figures *autograd, const bptt_figures *manual);

/* ---- the net of nn that the problem describes (bptt_net.c) ---- */

typedef struct bptt_net {
  cg_dtype dtype;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *h0, *c0; /* leaves [B, H] with gradients of their own; c0 of an
                         LSTM only */
  cg_tape *tape;
  cg_error err;
} bptt_net;

/* With the problem's values. Free it in any case. */
bool bptt_net_make(bptt_net *n, const bptt_case *c, cg_dtype dtype);
void bptt_net_free(bptt_net *n);
/* Is the tape without an error? If not, it is printed. */
bool bptt_net_fine(const bptt_net *n);

/* ---- the sides ---- */

/* bptt_autograd.c: everything from the tape, computed in `dtype`; the graph
 * goes to `dot_path` unless that is NULL. `f` must have room. */
bool bptt_autograd(const bptt_case *c, cg_dtype dtype,
                   const char *dot_path, bptt_figures *f);

/* A difference quotient, and how far it can be off. */
typedef struct bptt_quotient {
  double value;
  double error; /* estimate of its truncation and rounding */
  bool at_kink; /* relu bends too close by: there is no quotient */
} bptt_quotient;

typedef struct bptt_quotients {
  bptt_quotient *of[Q_COUNT]; /* NULL before Q_W_XH */
  bptt_quotient *block;
} bptt_quotients;

/* bptt_differences.c: dL/dw for every element of the parameters and h0.
 * `progress` is told the fraction done, often. */
bool bptt_differences(const bptt_case *c, void (*progress)(double done),
                      bptt_quotients *d);
void bptt_quotients_free(bptt_quotients *d);

/* ---- an independent forward pass (bptt_forward.c) ---- */
/* p->h0 must not be NULL here. */

/* States h [T+1, H] of sequence b, h_0 first; behind them H more numbers, for
 * what an LSTM has beside. */
void bptt_states(const bptt_case *c, int64_t b, double *h);
/* Local losses L_t [T] of sequence b from its states. Returns the size of the
 * numbers involved, sqrt(sum_t (1 + max_k |o_tk| + |L_t|)^2). */
double bptt_losses(const cg_bptt_problem *p, int64_t b, const double *h,
                   double *losses);

/* ---- the derivation, statement by statement (bptt_study.c) ---- */

/* Prints and checks it; options->out_path is the prefix of files. Sets *agree
 * to whether all statements hold. */
bool bptt_study(const bptt_options *options, const bptt_case *c,
                bool *agree);

/* ---- the table (bptt_report.c) ---- */

/* Prints the sizes and choices of the problem. */
void bptt_print_head(const bptt_options *options, const bptt_case *c);

/* Prints it; `manual` is what autograd is compared with, stored figures for
 * LSTM and GRU, and `d` is NULL without differences. Sets *agree to whether all
 * do. */
bool bptt_report(const bptt_options *options, const bptt_case *c,
                 const bptt_figures *autograd, const bptt_figures *manual,
                 const bptt_quotients *d, bool *agree);

#endif
