/* baselines.h - the entropies that a network's loss is compared with. */
#ifndef CHAR_RNN_BASELINES_H
#define CHAR_RNN_BASELINES_H

#include <stdbool.h>

#include "text_data.h"

/* Nats per symbol of a text, predicted by counts of another; of each order the
 * better of the two estimates in ngram.h. */
typedef struct baselines {
  double entropy[3];        /* of order 1, 2, 3 */
  const char *smoothing[3]; /* which estimate it was */
} baselines;

/* False when out of memory. */
bool baselines_measure(baselines *b, const text_data *data);

/* The table of baselines and `loss`, as lines on stdout. */
void baselines_print(const baselines *b, double loss);

#endif
