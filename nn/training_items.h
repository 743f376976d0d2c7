/* training_items.h - a training run as one list of named arrays, which saving
 * reads and loading writes. Private to nn. */
#ifndef CHRONOGRAD_NN_TRAINING_ITEMS_H
#define CHRONOGRAD_NN_TRAINING_ITEMS_H

#include <chronograd/training_state.h>

/* The fields of a cg_plateau, as numbers. */
enum { CG_PLATEAU_NUMBERS = 10 };

typedef struct cg_training_items {
  const cg_training *training;
  const cg_allocator *allocator;
  /* in one block of memory: */
  cg_training_array *list; /* names and data are borrowed, or in the block */
  int64_t *steps;          /* of the optimizer's parameters */
  double *plateau;
  char *names;
  /* how much of it is used, and how much there is */
  int count;
  size_t names_used, names_size, bytes;
} cg_training_items;

/* Lists it all. `fn` is for errors: ARG for what is missing, NOMEM. */
cg_status cg_training_items_make(cg_training_items *items,
                                 const cg_training *training, const char *fn,
                                 cg_error *err);
void cg_training_items_free(cg_training_items *items);

/* After loading: what stands in the list on behalf of scattered numbers (steps,
 * plateau) goes to its places. */
void cg_training_items_scatter(const cg_training_items *items);

#endif
