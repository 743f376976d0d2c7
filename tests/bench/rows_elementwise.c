/* rows_elementwise.c - one op on float32 vectors of 1 to a million elements:
 * recorded, with nothing to derive, and rewound. */
#include <chronograd/engine.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "groups.h"

typedef struct ops_case {
  const char *name; /* PyTorch's */
  cg_tensor *(*one)(cg_tape *tape, cg_tensor *x);
  cg_tensor *(*two)(cg_tape *tape, cg_tensor *a, cg_tensor *b);
  int arrays; /* that pass through memory */
} ops_case;

static cg_tensor *max_all(cg_tape *tape, cg_tensor *x) {
  return cg_max(tape, x, NULL, 0, false);
}

static cg_tensor *softmax_all(cg_tape *tape, cg_tensor *x) {
  return cg_softmax(tape, x, 0);
}

static const ops_case cases[] = {
    {"add", NULL, cg_add, 3},      {"mul", NULL, cg_mul, 3},
    {"relu", cg_relu, NULL, 2},    {"exp", cg_exp, NULL, 2},
    {"tanh", cg_tanh, NULL, 2},    {"sigmoid", cg_sigmoid, NULL, 2},
    {"sum", cg_sum_all, NULL, 1},  {"max", max_all, NULL, 1},
    {"softmax", softmax_all, NULL, 2},
};

typedef struct job {
  const ops_case *op;
  cg_tape *tape;
  cg_tensor *a, *b;
  int calls; /* per run */
} job;

static cg_tensor *vector(int64_t n, cg_rng *rng) {
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, 1, &n, NULL);
  float *data = cg_leaf_data(x);
  bench_check(data, "no memory");
  for (int64_t i = 0; i < n; i++) data[i] = (float)cg_rng_uniform(rng) + 0.5f;
  return x;
}

static void run(void *state) {
  job *j = state;
  cg_tape_reset(j->tape);
  for (int i = 0; i < j->calls; i++) {
    if (j->op->one)
      j->op->one(j->tape, j->a);
    else
      j->op->two(j->tape, j->a, j->b);
  }
  bench_check(!cg_tape_status(j->tape), cg_tape_error(j->tape)->message);
}

/* Three of the arrays of the triad are what the op moves; a reduction reads. */
static bench_bound bound_of(const ops_case *op, int64_t n) {
  if (n < 4096) return BOUND_NONE;
  return op->arrays == 1 ? BOUND_READ : BOUND_TRIAD;
}

static void row(const ops_case *op, int64_t n) {
  char name[64], torch[64];
  snprintf(name, sizeof name, "op %s n=%lld", op->name, (long long)n);
  if (!bench_wanted(name)) return;
  snprintf(torch, sizeof torch, "map %s %lld", op->name, (long long)n);
  cg_rng rng = cg_rng_seed(7);
  job j = {op, cg_tape_new(NULL), vector(n, &rng), vector(n, &rng),
           n > 10000 ? 1 : n > 100 ? 16 : 100};
  bench_check(j.tape, "no memory");
  bench_measure(&(bench_case){
      .row = name, .unit = "ns/call", .scale = 1e9, .per_run = j.calls,
      .bound = bound_of(op, n),
      .work = (double)op->arrays * (double)n * sizeof(float),
      .run = run, .state = &j, .torch = torch});
  cg_tape_free(j.tape);
  cg_leaf_free(j.a);
  cg_leaf_free(j.b);
}

void rows_elementwise(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    row(&cases[i], 1);
    row(&cases[i], 64);
    row(&cases[i], 4096);
    row(&cases[i], 1000000);
  }
}
