/* cells.h - the cells of the library, and what they share. Private to nn. */
#ifndef CHRONOGRAD_NN_CELLS_H
#define CHRONOGRAD_NN_CELLS_H

#include <chronograd/cell.h>

/* Parameters that cells have in common, in PyTorch's names and order. */
#define CG_CELL_WEIGHTS                                                        \
  {.name = "weight_ih", .rows = CG_SIZE_GH, .columns = CG_SIZE_I},             \
      {.name = "weight_hh", .rows = CG_SIZE_GH, .columns = CG_SIZE_R},         \
      {.name = "bias_ih", .rows = CG_SIZE_GH, .when = CG_WHEN_BIAS}, {         \
    .name = "bias_hh", .rows = CG_SIZE_GH, .when = CG_WHEN_BIAS                \
  }
#define CG_CELL_LSTM_PARAMS                                                    \
  CG_CELL_WEIGHTS, {                                                           \
    .name = "weight_hr", .rows = CG_SIZE_R, .columns = CG_SIZE_H,              \
    .when = CG_WHEN_PROJECTION                                                 \
  }

/* Their places in cg_cell_args.w. */
enum { CG_W_IH, CG_W_HH, CG_B_IH, CG_B_HH, CG_W_OTHER };
/* The place of cg_cell_bias_sum in cg_cell_args.kept. */
enum { CG_BIAS_SUM = CG_CELL_MAX_KEPT - 1 };

extern const cg_cell cg_cell_simple;         /* cell_simple.c */
extern const cg_cell cg_cell_lstm;           /* cell_lstm.c */
extern const cg_cell cg_cell_gru;            /* cell_gru.c */
extern const cg_cell cg_cell_gru_before;     /* cell_gru_before.c */
extern const cg_cell cg_cell_simple_compact; /* cell_compact.c */
extern const cg_cell cg_cell_lstm_compact;
extern const cg_cell cg_cell_simple_norm; /* cell_norm.c */
extern const cg_cell cg_cell_lstm_norm;
extern const cg_cell cg_cell_gru_norm;

/* b_ih + b_hh, computed once, or NULL if there are none. */
cg_tensor *cg_cell_bias_sum(cg_tape *tape, cg_cell_args *a);
/* Is the product with the input a part of the step? It is if the step has rows
 * enough to be as fast as one for many steps, and the weight stays in the cache
 * from step to step: what is not kept need not be fetched again. */
bool cg_cell_in_step(const cg_cell_args *a, int64_t B);
/* x W_ih^T + (b_ih + b_hh), for cells in which both biases add up. */
cg_tensor *cg_cell_project_both(cg_tape *tape, cg_cell_args *a, cg_tensor *x);

/* From pre-activations z_t [B, 4H] of i, f, g, o: the next state, with a
 * projection if there is one in CG_W_OTHER. */
void cg_cell_lstm_update(cg_tape *tape, const cg_cell_args *a, cg_tensor *z_t,
                         cg_tensor **state);

#endif
