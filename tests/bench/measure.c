/* measure.c - repetition: a row is run for a while, in turns with the probe. */
#include "bench.h"

#include <stdlib.h>

/* Seconds: a time is taken over SHORTEST or more; how often the probe runs. */
#define SHORTEST 50e-6
#define PROBE_EVERY 5e-3
enum { MOST = 20000, FEWEST = 3 };

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

sample sample_of(double *times, size_t n) {
  qsort(times, n, sizeof *times, by_size);
  return (sample){times[0], times[n / 2], times[n / 10], times[n * 9 / 10], n};
}

sample sample_merge(const sample *rounds, size_t n) {
  double *medians = malloc(n * sizeof *medians);
  bench_check(medians, "no memory");
  sample all = rounds[0];
  for (size_t i = 0; i < n; i++) {
    const sample *r = &rounds[i];
    medians[i] = r->median;
    if (r->best < all.best) all.best = r->best;
    if (r->low < all.low) all.low = r->low;
    if (r->high > all.high) all.high = r->high;
    if (i) all.count += r->count;
  }
  all.median = sample_of(medians, n).median;
  free(medians);
  return all;
}

/* One time, taken over `runs`. */
static double take(const bench_case *c, long runs) {
  double start = bench_clock(), times = c->per_run ? c->per_run : 1;
  for (long i = 0; i < runs; i++) c->run(c->state);
  return (bench_clock() - start) / (times * (double)runs);
}

sample measure_for(const bench_case *c, double seconds, double *peak) {
  double *times = malloc(MOST * sizeof *times);
  bench_check(times, "no memory");
  take(c, 1); /* warm up */
  double first = take(c, 1), start = bench_now(), probed = 0;
  if (c->per_run) first *= c->per_run;
  long runs = first < SHORTEST ? (long)(SHORTEST / first) + 1 : 1;
  size_t n = 0;
  *peak = 0;
  while (n < MOST && (n < FEWEST || bench_now() - start < seconds)) {
    if (c->bound && bench_now() - probed > PROBE_EVERY) {
      double rate = probe_once(c->bound, c->work);
      if (rate > *peak) *peak = rate;
      probed = bench_now();
    }
    times[n++] = take(c, runs);
  }
  sample s = sample_of(times, n);
  free(times);
  return s;
}
