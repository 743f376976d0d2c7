/* replays.c - a random program and its gradient, recorded once and replayed
 * with other numbers in its leaves: the bits of recording it anew, in the
 * values, in the recorded gradient and in those that a walk gives then. */
#include <string.h>

#include "fuzz.h"

enum { N = PROGRAM_LEAVES };

typedef struct graph {
  cg_tensor *y, *loss, *g[N];
} graph;

static graph record(program *p, cg_tape *tape) {
  graph r = {.y = program_run(tape, p->leaf, N, p)};
  r.loss = cg_sum_all(tape, cg_square(tape, r.y));
  cg_grad(tape, &r.loss, 1, NULL, p->leaf, N, r.g, CG_CREATE_GRAPH);
  if (cg_tape_status(tape))
    fuzz_fail("a valid program: %s", cg_tape_error(tape)->message);
  return r;
}

static void renew(program *p, cg_rng *rng) {
  for (int i = 0; i < N; i++) {
    double *data = cg_leaf_data(p->leaf[i]);
    for (int64_t k = 0; k < cg_tensor_numel(p->leaf[i]); k++)
      data[k] = 4 * cg_rng_uniform(rng) - 2;
  }
}

static void same(const cg_tensor *a, const cg_tensor *b, const char *what) {
  for (int64_t k = 0; k < cg_tensor_numel(b); k++) {
    double x = cg_tensor_get(a, k), y = cg_tensor_get(b, k);
    if (memcmp(&x, &y, sizeof x))
      fuzz_fail("replayed, %s[%lld]: %.17g, recorded anew %.17g", what,
                (long long)k, x, y);
  }
}

/* The gradients that a walk gives the leaves, on the tape. */
static void walk(program *p, cg_tape *tape, const graph *r, cg_tensor **g) {
  cg_tensor *loss = r->loss;
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, g, 0);
  if (cg_tape_status(tape))
    fuzz_fail("a walk over a replay: %s", cg_tape_error(tape)->message);
}

static void compare(program *p, cg_tape *tape, const graph *r) {
  cg_tape *fresh = cg_tape_new(NULL);
  cg_tensor *g[N], *want[N];
  graph anew = record(p, fresh);
  walk(p, tape, r, g);
  walk(p, fresh, &anew, want);
  same(r->y, anew.y, "value");
  for (int i = 0; i < N; i++) {
    same(r->g[i], anew.g[i], "recorded gradient");
    same(g[i], want[i], "gradient");
  }
  cg_tape_free(fresh);
}

void replays_check(program *p, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed + 11);
  cg_tape *tape = cg_tape_new(NULL);
  graph r = record(p, tape);
  for (int round = 0; round < 2; round++) {
    renew(p, &rng);
    cg_status status = cg_tape_replay(tape);
    if (status == CG_ERR_STATE) break; /* dropout: see cg_op's `once` */
    if (status) fuzz_fail("replay: %s", cg_tape_error(tape)->message);
    compare(p, tape, &r);
  }
  cg_tape_free(tape);
}
