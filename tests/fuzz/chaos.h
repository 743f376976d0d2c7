/* chaos.h - random arguments, from fair to absurd, for random calls. */
#ifndef CHRONOGRAD_TESTS_CHAOS_H
#define CHRONOGRAD_TESTS_CHAOS_H

#include "fuzz.h"

enum { POOL = 40, CHAOS_LEAVES = 6, MARKS = 6, CHAOS_LIMIT = 1 << 22 };

typedef struct chaos {
  cg_tape *tape, *other; /* most tensors are the first's */
  cg_grads *home;
  cg_rng rng;
  cg_tensor *pool[POOL]; /* live, stale, foreign and NULL, all alike */
  int n;
  cg_tensor *leaf[CHAOS_LEAVES];
  cg_mark mark[MARKS];
  bool sane; /* arguments are drawn so that calls often succeed */
} chaos;

/* One random call that makes a tensor, on the chaos's tape. */
cg_tensor *chaos_call(chaos *c);

/* A random operand, and a shape of up to CG_MAX_RANK sizes; its rank may be
 * out of range. */
cg_tensor *chaos_tensor(chaos *c);
int chaos_shape(chaos *c, int64_t shape[CG_MAX_RANK]);

#endif
