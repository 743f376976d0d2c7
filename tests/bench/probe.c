/* probe.c - what this core can do at best, measured in the same run as the
 * rows that are compared with it. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__)
#define CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* Enough independent accumulators to fill two pipelines of any width. */
enum { WIDTH = 16, CHAINS = 12, ROUNDS = 200000 };

typedef float lanes __attribute__((vector_size(WIDTH * sizeof(float))));

/* CHAINS * WIDTH multiply-adds per round, in registers. */
CLONES static float fma_rounds(int rounds, float x) {
  lanes a = {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}, b = a * 0.5f;
  lanes c[CHAINS] = {a};
  for (int i = 0; i < rounds; i++) {
#pragma GCC unroll 16
    for (int j = 0; j < CHAINS; j++) c[j] = c[j] * a + b;
  }
  lanes sum = c[0];
  for (int j = 1; j < CHAINS; j++) sum += c[j];
  return sum[0];
}

double probe_fma(void) {
  double best = 0;
  volatile float sink;
  for (int i = 0; i < 7; i++) {
    double start = bench_now();
    sink = fma_rounds(ROUNDS, 0.999f);
    double rate = 2.0 * WIDTH * CHAINS * ROUNDS / (bench_now() - start);
    if (rate > best) best = rate;
  }
  (void)sink;
  return best;
}

/* Sums a buffer far larger than the caches. */
double probe_bandwidth(void) {
  size_t n = (size_t)16 << 20;
  double *x = malloc(n * sizeof *x), best = 0;
  volatile double sink;
  bench_check(x, "no memory for the bandwidth probe");
  memset(x, 1, n * sizeof *x);
  for (int i = 0; i < 5; i++) {
    double start = bench_now(), lane[8] = {0};
    for (size_t k = 0; k < n; k += 8)
      for (size_t j = 0; j < 8; j++) lane[j] += x[k + j];
    double total = 0;
    for (int j = 0; j < 8; j++) total += lane[j];
    sink = total;
    double rate = (double)(n * sizeof *x) / (bench_now() - start);
    if (rate > best) best = rate;
  }
  (void)sink;
  free(x);
  return best;
}
