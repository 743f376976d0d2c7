/* reduction.h - how local losses are put together. */
#ifndef CHRONOGRAD_REDUCTION_H
#define CHRONOGRAD_REDUCTION_H

/* Of local losses: their sum, the sum divided by their number, or each on its
 * own (only for the losses of ops.h). */
typedef enum cg_reduction {
  CG_REDUCE_SUM,  /* their sum */
  CG_REDUCE_MEAN, /* the sum divided by their number */
  CG_REDUCE_NONE  /* each on its own */
} cg_reduction;

#endif
