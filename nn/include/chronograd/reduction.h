/* reduction.h - how local losses are put together. */
#ifndef CHRONOGRAD_REDUCTION_H
#define CHRONOGRAD_REDUCTION_H

/* Over an axis of local losses: their sum, or the sum divided by their number.
 */
typedef enum cg_reduction { CG_REDUCE_SUM, CG_REDUCE_MEAN } cg_reduction;

#endif
