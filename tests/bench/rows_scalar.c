/* rows_scalar.c - what a node costs: x = 0.99 x + a on scalars, recorded anew
 * each time and walked back. */
#include <chronograd/engine.h>

#include <stdio.h>

#include "bench.h"

typedef struct chain {
  cg_tape *tape;
  cg_tensor *a;
  long nodes;
} chain;

static void run(void *state) {
  chain *c = state;
  cg_tape_reset(c->tape);
  cg_leaf_zero_grad(c->a);
  cg_tensor *x = cg_scalar(c->tape, CG_F64, 1.0);
  for (long i = 0; i < c->nodes / 2; i++)
    x = cg_add(c->tape, cg_mul_scalar(c->tape, x, 0.99), c->a);
  bench_check(!cg_backward(c->tape, x), cg_tape_error(c->tape)->message);
}

static void row(long nodes) {
  char name[64];
  snprintf(name, sizeof name, "scalar chain %ld", nodes);
  if (!bench_wanted(name)) return;
  chain c = {cg_tape_new(NULL), cg_leaf_new(NULL, CG_F64, 0, NULL, NULL),
             nodes};
  bench_check(c.tape && c.a, "no memory");
  cg_leaf_fill(c.a, 0.25);
  cg_leaf_set_requires_grad(c.a, true);
  bench_measure(&(bench_case){name, "ns/node", 1e9 / (double)nodes, 0, run, &c,
                              nodes > 1000000 ? 5
                              : nodes > 10000 ? 30
                                              : 200});
  cg_tape_stats s = cg_tape_get_stats(c.tape);
  bench_note("%.1f bytes per node used, %.1f held by the tape",
             (double)s.bytes_used / (double)nodes,
             (double)s.bytes_held / (double)nodes);
  cg_tape_free(c.tape);
  cg_leaf_free(c.a);
}

void rows_scalar(void) {
  for (long nodes = 1000; nodes <= 10000000; nodes *= 10) row(nodes);
}
