/* init.h - first values of parameters.
 *
 * All numbers are drawn in double, in row-major order, and rounded to the
 * leaf's type: the same stream gives the same values on every machine up to
 * the C library's log and cos. The leaf must be F32 or F64 (DTYPE).
 */
#ifndef CHRONOGRAD_INIT_H
#define CHRONOGRAD_INIT_H

#include <chronograd/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every element `value`; 0 is how biases often begin. */
CG_API cg_status cg_init_constant(cg_tensor *leaf, double value, cg_error *err);
/* Uniform in [a, b); ARG unless a <= b, both finite. */
CG_API cg_status cg_init_uniform(cg_tensor *leaf, cg_rng *rng, double a,
                                 double b, cg_error *err);
/* Normal with this mean and standard deviation; ARG unless std >= 0. */
CG_API cg_status cg_init_normal(cg_tensor *leaf, cg_rng *rng, double mean,
                                double std, cg_error *err);

/* Uniform in [-1/sqrt(n), 1/sqrt(n)): how PyTorch begins linear layers, with n
 * the number of inputs, and recurrent ones, with n the size of the hidden
 * state. n >= 1 (ARG). */
CG_API cg_status cg_init_fan(cg_tensor *leaf, cg_rng *rng, int64_t n,
                             cg_error *err);

/* For a weight [out, in], also called Glorot (X. Glorot, Y. Bengio,
 * "Understanding the difficulty of training deep feedforward neural networks",
 * 2010): uniform in +-gain sqrt(6 / (in + out)), or normal with the standard
 * deviation gain sqrt(2 / (in + out)). SHAPE unless the rank is 2. */
CG_API cg_status cg_init_xavier_uniform(cg_tensor *leaf, cg_rng *rng,
                                        double gain, cg_error *err);
CG_API cg_status cg_init_xavier_normal(cg_tensor *leaf, cg_rng *rng,
                                       double gain, cg_error *err);

/* gain * Q with Q uniform among matrices with orthonormal rows (if there are no
 * more rows than columns) or columns (otherwise): the QR decomposition of a
 * normal matrix with R's diagonal positive. Keeps the length of a state that a
 * recurrence multiplies with it. SHAPE unless the rank is 2. Works in memory
 * from `allocator` (NULL: the C library's heap). */
CG_API cg_status cg_init_orthogonal(cg_tensor *leaf, cg_rng *rng, double gain,
                                    const cg_allocator *allocator,
                                    cg_error *err);

/* One of the above, chosen by a value. */
typedef enum cg_init_kind {
  CG_INIT_CONSTANT,       /* a */
  CG_INIT_UNIFORM,        /* in [a, b) */
  CG_INIT_NORMAL,         /* mean a, standard deviation b */
  CG_INIT_FAN,            /* n = a */
  CG_INIT_XAVIER_UNIFORM, /* gain a; 0, or unset: 1 */
  CG_INIT_XAVIER_NORMAL,  /* the same */
  CG_INIT_ORTHOGONAL,     /* the same */
  CG_INIT_COUNT
} cg_init_kind;

/* A rule and its numbers. */
typedef struct cg_init_rule {
  cg_init_kind kind; /* which of these */
  double a, b;       /* its numbers, as there */
} cg_init_rule;

/* The rule for rows first .. first+count-1 of a leaf (its first axis), as if
 * they were a leaf of their own: for one gate of a recurrent weight. A constant
 * takes no `rng`. Rows that are not there are an error (SHAPE). Works in memory
 * from `allocator` (NULL: the C library's heap). */
CG_API cg_status cg_init_rows(cg_tensor *leaf, int64_t first, int64_t count,
                              const cg_init_rule *rule, cg_rng *rng,
                              const cg_allocator *allocator, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
