/* rows_optimizer.c - one update of a large model, beside what memory allows:
 * the bytes that each rule has to read and write. */
#include <chronograd/nn.h>

#include <stdio.h>

#include "bench.h"
#include "groups.h"

typedef struct job {
  cg_params *params;
  cg_optimizer *optimizer;
} job;

static void run(void *state) {
  job *j = state;
  bench_check(!cg_optimizer_step(j->optimizer, NULL), "the update failed");
}

/* `streams`: how many times the parameters' size is read or written. */
static void row(const char *rule, int streams, cg_dtype dtype) {
  const int64_t n = bench_quick() ? 1 << 20 : 1 << 23;
  char name[64];
  snprintf(name, sizeof name, "update %s %s n=%lld", rule,
           cg_dtype_name(dtype), (long long)n);
  if (!bench_wanted(name)) return;
  job j = {.params = cg_params_new(NULL, dtype, NULL)};
  cg_tensor *w = cg_params_add(j.params, "w", 1, &n, NULL);
  bench_check(w && !cg_leaf_fill(cg_leaf_grad(w), 0.3), "no memory");
  j.optimizer = cg_optimizer_new(j.params, rule, 0, NULL);
  bench_check(j.optimizer, "no memory");
  run(&j);
  bench_measure(&(bench_case){
      .row = name, .unit = "ns/param", .scale = 1e9 / (double)n,
      .bound = BOUND_TRIAD, .run = run, .state = &j,
      .work = (double)streams * (double)n * (double)cg_dtype_size(dtype)});
  cg_optimizer_free(j.optimizer);
  cg_params_free(j.params);
}

void rows_optimizer(void) {
  static const struct {
    const char *rule;
    int streams;
  } rules[] = {{"sgd", 3}, {"rmsprop", 5}, {"adagrad", 5}, {"adam", 7},
               {"adamw", 7}};
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    row(rules[i].rule, rules[i].streams, CG_F32);
    row(rules[i].rule, rules[i].streams, CG_F64);
  }
}
