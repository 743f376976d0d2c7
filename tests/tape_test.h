/* tape_test.h - what the tests of the tape share: one. */
#ifndef TAPE_TEST_H
#define TAPE_TEST_H

#include "engine_test.h"

static cg_tape *tape;

static inline void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static inline void teardown(void) { cg_tape_free(tape); }

static inline cg_tensor *number(double v) { return cg_scalar(tape, CG_F64, v); }

#endif
