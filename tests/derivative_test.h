/* derivative_test.h - what the tests of Jacobians and Hessians share: a tape,
 * leaves with random numbers, a quadratic form. */
#ifndef DERIVATIVE_TEST_H
#define DERIVATIVE_TEST_H

#include "engine_test.h"

static cg_tape *tape;

static inline void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
}

static inline void teardown(void) { cg_tape_free(tape); }

static inline cg_tensor *random_leaf(uint64_t seed, int rank,
                                     const int64_t *shape) {
  cg_tensor *x = leaf_of(NULL, rank, shape);
  cg_rng rng = cg_rng_seed(seed);
  double *data = cg_leaf_data(x);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    double value = 0.6 * cg_rng_normal(&rng);
    memcpy(data + i, &value, sizeof value);
  }
  return x;
}

/* q(x) = 1/2 x'Ax + b'x has gradient 1/2 (A + A')x + b and Hessian
 * 1/2 (A + A'). */
static const double A[] = {2.385, -0.41, 1.13, 0.77, -1.92, 0.36,
                           -0.58, 0.29, 3.07};
static const double S[] = {2.385, 0.18, 0.275, 0.18, -1.92, 0.325,
                           0.275, 0.325, 3.07};

static inline cg_tensor *quadratic(cg_tensor *x) {
  cg_tensor *a = cg_input(tape, CG_F64, CG_DIMS(3, 3), A);
  cg_tensor *b = cg_input(tape, CG_F64, CG_DIMS(3),
                          (double[]){0.31, -0.87, 1.44});
  cg_tensor *column = cg_reshape(tape, x, CG_DIMS(3, 1));
  cg_tensor *xAx = cg_matmul_t(tape, column, cg_matmul(tape, a, column), true,
                               false);
  cg_tensor *q = cg_mul_scalar(tape, cg_sum_all(tape, xAx), 0.5);
  return cg_add(tape, q, cg_sum_all(tape, cg_mul(tape, b, x)));
}

#endif
