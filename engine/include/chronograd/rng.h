/* rng.h - seeded random numbers, passed explicitly.
 *
 * A counter-based generator (Philox4x32-10; Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the n-th number of
 * a seed is a pure function of (seed, n), so a stream can be saved, replayed
 * and split without drawing. Not for cryptography.
 */
#ifndef CHRONOGRAD_RNG_H
#define CHRONOGRAD_RNG_H

#include <stdint.h>

#include <chronograd/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A position in a stream. Copy it to remember the position. */
typedef struct cg_rng {
  uint64_t seed;    /* which stream */
  uint64_t counter; /* how many 64-bit numbers were drawn */
} cg_rng;

/* The beginning of the stream `seed`. */
CG_API cg_rng cg_rng_seed(uint64_t seed);

/* The next 64 random bits. */
CG_API uint64_t cg_rng_next(cg_rng *rng);

/* Uniform in [0, 1), 53 random bits. */
CG_API double cg_rng_uniform(cg_rng *rng);

/* Standard normal (Box-Muller; draws two numbers). */
CG_API double cg_rng_normal(cg_rng *rng);

/* Uniform integer in [0, n); 0 if n <= 0. Unbiased. */
CG_API int64_t cg_rng_below(cg_rng *rng, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
