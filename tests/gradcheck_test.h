/* gradcheck_test.h - what the tests of gradcheck share: a tape and two leaves.
 */
#ifndef GRADCHECK_TEST_H
#define GRADCHECK_TEST_H

#include "engine_test.h"

static cg_tape *tape;
static cg_tensor *leaf_a, *leaf_b;

static const double a_values[] = {1.385, -0.731, 2.218, 0.417, -1.906, 0.593};
static const double b_values[] = {-0.822, 1.147, 0.376, -1.591, 0.934, 2.063};

static inline void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  leaf_a = leaf_of(a_values, CG_DIMS(2, 3));
  leaf_b = leaf_of(b_values, CG_DIMS(2, 3));
}

static inline void teardown(void) {
  cg_tape_free(tape);
  cg_leaf_free(leaf_a);
  cg_leaf_free(leaf_b);
}

#endif
