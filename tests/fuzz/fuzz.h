/* fuzz.h - what the parts of fuzz_graph share. */
#ifndef CHRONOGRAD_TESTS_FUZZ_H
#define CHRONOGRAD_TESTS_FUZZ_H

#include <chronograd/engine.h>

/* Ends the run: prints the line; the parent process adds the seed. */
_Noreturn void fuzz_fail(const char *fmt, ...) CG_PRINTF(1, 2);

static inline int fuzz_pick(cg_rng *rng, int n) {
  return (int)cg_rng_below(rng, n);
}

/* ---- program.c: a random program that is valid ---- */

enum { PROGRAM_LEAVES = 3 };

typedef struct program {
  uint64_t seed;
  int n_steps;
  cg_tensor *leaf[PROGRAM_LEAVES]; /* F64, with gradient */
  cg_hook_fn hook; /* if set, put on every second value */
} program;

void program_make(program *p, uint64_t seed);
void program_free(program *p);
/* A cg_function; `context` is the program. The ops chosen depend on its seed
 * only, so that it computes the same each time. */
cg_tensor *program_run(cg_tape *tape, cg_tensor *const *in, int n_in,
                       void *context);

/* ---- listed.c ---- */

/* A step from x: some op of the list, or x itself. */
cg_tensor *program_listed(cg_tape *tape, cg_rng *rng, cg_tensor *x);

/* ---- walks.c ---- */

/* The derivatives of p in other ways than by cg_grad. */
void walks_check(program *p, uint64_t seed);

/* ---- replays.c ---- */

/* p replayed with other numbers in its leaves, which stay. */
void replays_check(program *p, uint64_t seed);

/* ---- chaos.c: calls that are mostly wrong ---- */

/* Some hundred random calls on a tape of its own. */
void chaos_run(uint64_t seed);

#endif
