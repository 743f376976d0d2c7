/* rows_scalar.c - what a node costs: n times x = c x + a on scalars, which are
 * 2 n nodes, recorded anew each time and walked back.
 *
 * With c = 0.99, the peers' graph, gradients fall below the least normal number
 * after 70,000 steps. A product that gives such a number takes the processor
 * some 150 cycles, so products of scalars give it in another way (product.h);
 * some rows flush such numbers to zero. The rows of chains have a c so near to
 * 1 that only memory tells a large graph from a small one.
 */
#include <chronograd/engine.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "groups.h"

/* The c of the chains. */
#define NEAR_1 (1 - 1e-9)

typedef struct chain {
  cg_tape *tape;
  cg_tensor *a;
  long n;
  double c;
} chain;

static chain *chain_new(long n, double factor) {
  chain *c = malloc(sizeof *c);
  bench_check(c != NULL, "no memory");
  *c = (chain){cg_tape_new(NULL), cg_leaf_new(NULL, CG_F64, 0, NULL, NULL), n,
               factor};
  bench_check(c->tape && c->a, "no memory");
  cg_leaf_fill(c->a, 0.25);
  cg_leaf_set_requires_grad(c->a, true);
  return c;
}

static void chain_free(chain *c) {
  cg_tape_free(c->tape);
  cg_leaf_free(c->a);
  free(c);
}

static void run(void *state) {
  chain *c = state;
  cg_tape_reset(c->tape);
  cg_leaf_zero_grad(c->a);
  cg_tensor *x = cg_scalar(c->tape, CG_F64, 1.0);
  for (long i = 0; i < c->n; i++)
    x = cg_add(c->tape, cg_mul_scalar(c->tape, x, c->c), c->a);
  bench_check(!cg_backward(c->tape, x), cg_tape_error(c->tape)->message);
}

/* The best time; 0 if the row is not wanted. */
static double row(const char *name, const char *torch, long n, double factor,
                  double *bytes) {
  if (!bench_wanted(name)) return 0;
  chain *c = chain_new(n, factor);
  double nodes = 2.0 * (double)n;
  double best = bench_measure(&(bench_case){
      .row = name, .unit = "ns/node", .scale = 1e9 / nodes, .run = run,
      .state = c, .torch = torch});
  *bytes = (double)cg_tape_get_stats(c->tape).bytes_held / nodes;
  chain_free(c);
  return best;
}

typedef struct span {
  double fastest, slowest;
} span;

static void widen(span *s, double best) {
  if (best > s->slowest) s->slowest = best;
  if (best > 0 && (s->fastest == 0 || best < s->fastest)) s->fastest = best;
}

static void show_flatness(const char *name, const span *s) {
  bool show = bench_wanted(name);
  if (show && s->fastest > 0) bench_value(name, s->slowest / s->fastest, "x");
}

static double seconds_of(chain *c, long times) {
  double start = bench_now();
  for (long i = 0; i < times; i++) run(c);
  return bench_now() - start;
}

/* A node of the largest graph over one of the smallest. A large graph runs for
 * a second, through good and bad moments of the machine, so the small one is
 * run as often as takes as many nodes, in turns; the median of the ratios. */
static void flatness(const char *name, double factor, long least, long most) {
  enum { ROUNDS = 7 };
  if (!bench_wanted(name)) return;
  chain *small = chain_new(least / 2, factor);
  chain *large = chain_new(most / 2, factor);
  run(large); /* takes its memory */
  double ratio[ROUNDS];
  for (int i = 0; i < ROUNDS; i++)
    ratio[i] = seconds_of(large, 1) / seconds_of(small, most / least);
  bench_value(name, sample_of(ratio, ROUNDS).median, "x");
  chain_free(small);
  chain_free(large);
}

static void graphs(void) {
  span s = {0};
  double bytes = 0;
  for (long n = 1000; n <= 1000000; n *= 10) {
    char name[64], torch[64];
    snprintf(name, sizeof name, "scalar graph n=%ld", n);
    snprintf(torch, sizeof torch, "scalar %ld", n);
    widen(&s, row(name, n <= 100000 ? torch : NULL, n, 0.99, &bytes));
  }
  show_flatness("scalar graph, slowest n over fastest", &s);
  flatness("scalar graph, most nodes over least, in turns", 0.99, 2000,
           2000000);
  for (long n = 100000; n <= 1000000; n *= 10) {
    char name[64];
    double any;
    snprintf(name, sizeof name, "scalar graph n=%ld, denormals flushed", n);
    cg_flush_denormals(true);
    row(name, NULL, n, 0.99, &any);
    cg_flush_denormals(false);
  }
  const char *size = "scalar graph, bytes per node";
  bool show = bench_wanted(size);
  if (show && bytes > 0) bench_value(size, bytes, "B");
}

static void chains(void) {
  const long least = 10000, most = bench_quick() ? 1000000 : 10000000;
  double bytes;
  for (long nodes = least; nodes <= most; nodes *= 10) {
    char name[64];
    snprintf(name, sizeof name, "scalar chain of %ld nodes", nodes);
    row(name, NULL, nodes / 2, NEAR_1, &bytes);
  }
  flatness("scalar chain, most nodes over least, in turns", NEAR_1, least,
           most);
}

void rows_scalar(void) {
  graphs();
  chains();
}
