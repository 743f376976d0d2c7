/* mgu_cell.h - the minimal gated unit. */
#ifndef MGU_CELL_H
#define MGU_CELL_H

#include <chronograd/nn.h>

extern const cg_cell mgu_cell;

#endif
