/* reduction.h - how local losses are put together. */
#ifndef CHRONOGRAD_REDUCTION_H
#define CHRONOGRAD_REDUCTION_H

/* Of local losses: their sum, the sum divided by their number, or each on its
 * own (only for the losses of ops.h). */
typedef enum cg_reduction {
  CG_REDUCE_SUM,
  CG_REDUCE_MEAN,
  CG_REDUCE_NONE
} cg_reduction;

#endif
