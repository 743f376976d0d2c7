/* cells.h - the cells of the library, one per cell_*.c. Private to nn. */
#ifndef CHRONOGRAD_NN_CELLS_H
#define CHRONOGRAD_NN_CELLS_H

#include <chronograd/cell.h>

/* Parameters that cells have in common, in PyTorch's names and order. */
#define CG_CELL_WEIGHTS                                                        \
  {"weight_ih", CG_SIZE_GH, CG_SIZE_I, CG_WHEN_ALWAYS, CG_FIRST_UNIFORM},      \
      {"weight_hh", CG_SIZE_GH, CG_SIZE_R, CG_WHEN_ALWAYS, CG_FIRST_UNIFORM},  \
      {"bias_ih", CG_SIZE_GH, CG_SIZE_NONE, CG_WHEN_BIAS, CG_FIRST_UNIFORM}, { \
    "bias_hh", CG_SIZE_GH, CG_SIZE_NONE, CG_WHEN_BIAS, CG_FIRST_UNIFORM        \
  }

/* Their places in cg_cell_args.w. */
enum { CG_W_IH, CG_W_HH, CG_B_IH, CG_B_HH, CG_W_OTHER };

extern const cg_cell cg_cell_simple; /* cell_simple.c */
extern const cg_cell cg_cell_lstm;   /* cell_lstm.c */
extern const cg_cell cg_cell_gru;    /* cell_gru.c */

/* x W_ih^T + (b_ih + b_hh), for cells in which both biases add up. */
cg_tensor *cg_cell_project_both(cg_tape *tape, cg_cell_args *a, cg_tensor *x);

#endif
