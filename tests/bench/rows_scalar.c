/* rows_scalar.c - what a node costs: n times x = 0.99 x + a on scalars, which
 * are 2 n nodes, recorded anew each time and walked back. */
#include <chronograd/engine.h>

#include <stdio.h>

#include "bench.h"
#include "groups.h"

typedef struct chain {
  cg_tape *tape;
  cg_tensor *a;
  long n;
} chain;

static void run(void *state) {
  chain *c = state;
  cg_tape_reset(c->tape);
  cg_leaf_zero_grad(c->a);
  cg_tensor *x = cg_scalar(c->tape, CG_F64, 1.0);
  for (long i = 0; i < c->n; i++)
    x = cg_add(c->tape, cg_mul_scalar(c->tape, x, 0.99), c->a);
  bench_check(!cg_backward(c->tape, x), cg_tape_error(c->tape)->message);
}

/* The best time; 0 if the row is not wanted. */
static double row(long n, double *bytes) {
  char name[64], torch[64];
  snprintf(name, sizeof name, "scalar graph n=%ld", n);
  if (!bench_wanted(name)) return 0;
  snprintf(torch, sizeof torch, "scalar %ld", n);
  chain c = {cg_tape_new(NULL), cg_leaf_new(NULL, CG_F64, 0, NULL, NULL), n};
  bench_check(c.tape && c.a, "no memory");
  cg_leaf_fill(c.a, 0.25);
  cg_leaf_set_requires_grad(c.a, true);
  double nodes = 2.0 * (double)n;
  double best = bench_measure(&(bench_case){
      .row = name, .unit = "ns/node", .scale = 1e9 / nodes, .run = run,
      .state = &c, .torch = n <= 100000 ? torch : NULL});
  *bytes = (double)cg_tape_get_stats(c.tape).bytes_held / nodes;
  cg_tape_free(c.tape);
  cg_leaf_free(c.a);
  return best;
}

void rows_scalar(void) {
  long most = bench_quick() ? 1000000 : 10000000;
  double fastest = 0, slowest = 0, bytes = 0;
  for (long n = 1000; n <= most; n *= 10) {
    double best = row(n, &bytes);
    if (best > slowest) slowest = best;
    if (best > 0 && (fastest == 0 || best < fastest)) fastest = best;
  }
  const char *flat = "scalar graph, slowest n over fastest";
  const char *size = "scalar graph, bytes per node";
  bool show_flat = bench_wanted(flat), show_size = bench_wanted(size);
  if (show_flat && fastest > 0) bench_value(flat, slowest / fastest, "x");
  if (show_size && fastest > 0) bench_value(size, bytes, "B");
}
