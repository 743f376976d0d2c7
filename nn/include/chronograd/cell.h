/* cell.h - what a recurrent cell is, for ours and for yours.
 *
 * A cell is a pure function (parameters, state, input) -> state, described by
 * one constant cg_cell and written in ops. cg_rnn (rnn.h) unrolls it over time,
 * stacks it in layers, runs it in both directions, names, draws and saves its
 * parameters; the three cells of the library are nothing else than such
 * descriptions. A cell of your own is given to it as `.custom`:
 *
 *     static cg_tensor *step(cg_tape *tape, const cg_cell_args *a,
 *                            cg_tensor *x, cg_tensor **state) {
 *       cg_tensor *h = cg_matmul_t(tape, state[0], a->w[1], false, true);
 *       h = cg_add(tape, h, cg_matmul_t(tape, x, a->w[0], false, true));
 *       state[0] = cg_sin(tape, h);
 *       return NULL;
 *     }
 *
 *     static const cg_cell sine = {
 *         .name = "sine", .gates = 1, .n_states = 1,
 *         .params = {{.name = "weight_ih", .rows = CG_SIZE_GH,
 *                     .columns = CG_SIZE_I},
 *                    {.name = "weight_hh", .rows = CG_SIZE_GH,
 *                     .columns = CG_SIZE_R}},
 *         .step = step};
 */
#ifndef CHRONOGRAD_CELL_H
#define CHRONOGRAD_CELL_H

#include <chronograd/activation.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The state of a cell is h and, if it has two parts, c. A cell that remembers
 * more keeps it side by side in a wide c and takes views of it. */
#define CG_CELL_MAX_STATES 2
#define CG_CELL_MAX_PARAMS 12
#define CG_CELL_MAX_KEPT 4

/* Sizes that parameters and states are made of. */
typedef enum cg_cell_size {
  CG_SIZE_NONE, /* for columns: the parameter is a vector */
  CG_SIZE_I,    /* I, of the layer's input */
  CG_SIZE_H,    /* H, hidden_size */
  CG_SIZE_R,    /* R, of h: H, or proj_size if the net has a projection */
  CG_SIZE_GH,   /* G*H, all gates of the cell */
  CG_SIZE_COUNT
} cg_cell_size;

/* Nets in which a parameter exists. */
typedef enum cg_cell_when {
  CG_WHEN_ALWAYS,
  CG_WHEN_BIAS,      /* not with no_bias */
  CG_WHEN_PROJECTION /* only with proj_size */
} cg_cell_when;

/* First values of a parameter. */
typedef enum cg_cell_first {
  CG_FIRST_UNIFORM, /* in +-1/sqrt(H), as PyTorch does */
  CG_FIRST_ZERO,
  CG_FIRST_ONE
} cg_cell_first;

/* One parameter of a cell. */
typedef struct cg_cell_param {
  const char *name;      /* "weight_ih", of layer 1 "<net>.weight_ih_l1" */
  cg_cell_size rows;     /* needed */
  cg_cell_size columns;  /* unset: a vector */
  cg_cell_when when;     /* unset: always */
  cg_cell_first first;   /* unset: uniform */
} cg_cell_param;

/* One layer of a net in one direction, as the functions of its cell see it. */
typedef struct cg_cell_args {
  cg_tensor *w[CG_CELL_MAX_PARAMS]; /* in the cell's order; NULL: left out */
  int64_t I, H, R;                  /* sizes, as above */
  cg_activation phi;   /* the net's `nonlinearity` ... */
  cg_unary activation; /* ... unless it has an `activation`; see below */
  const void *context; /* the net's `custom_context` */
  cg_tensor *h_mask;   /* of state_dropout, [B, R], or NULL; see below */
  bool want_z; /* somebody looks at the pre-activations of the steps */
  cg_tensor *kept[CG_CELL_MAX_KEPT]; /* NULL at first: what `project` leaves to
                                        the steps of one run */
} cg_cell_args;

/* A cell: the rules that a net of it is made by. */
typedef struct cg_cell {
  const char *name; /* "LSTM", for errors */
  int gates;        /* G, at least 1 */
  int n_states;     /* 1, or 2 if there is a c */
  cg_cell_size c_size; /* of c; unset: H. h has R. */
  cg_cell_param params[CG_CELL_MAX_PARAMS]; /* up to the first without name */
  bool projects; /* proj_size means something to it */
  bool has_phi;  /* so does a nonlinearity */
  /* What does not wait for the state, done for all steps at once: x [.., I] ->
   * what the steps get instead of x, [.., any size]. NULL: they get x. */
  cg_tensor *(*project)(cg_tape *tape, cg_cell_args *a, cg_tensor *x);
  /* `project` may get some steps at a time, in the order of the loop: of a long
   * run what it makes is then still in the cache when the steps come to it. */
  bool in_chunks;
  /* Replaces state[0], h [B, R], and state[1], c, by the next ones. x is the
   * input of this step, [B, I] or a row of what `project` made. Returns the
   * pre-activations z if they are one tensor and want_z is set; else it may
   * return NULL. */
  cg_tensor *(*step)(cg_tape *tape, const cg_cell_args *a, cg_tensor *x,
                     cg_tensor **state);
  bool whole_z; /* with want_z, it returns them */
  /* First values other than those above; NULL: none. Called once per layer and
   * direction, when the others are drawn already, unless they are to be
   * loaded. */
  cg_status (*init)(const cg_cell_args *a, cg_rng *rng, cg_error *err);
} cg_cell;

/* phi(z), with the activation that the net's configuration asks for. */
CG_API cg_tensor *cg_cell_activate(cg_tape *tape, const cg_cell_args *a,
                                   cg_tensor *z);

/* h as it enters the products: h, or with state_dropout h * h_mask. A cell that
 * leaves this out knows no state_dropout. */
CG_API cg_tensor *cg_cell_entering(cg_tape *tape, const cg_cell_args *a,
                                   cg_tensor *h);

#ifdef __cplusplus
}
#endif
#endif
