/* bench.c - benchmarks: one table, one row per thing measured.
 *
 *   bench [--rows TEXT] [--tsv FILE]
 *
 * --rows keeps the rows whose name contains TEXT; --tsv writes the table also
 * with tabs. The fraction is of the peak of this core's float32 multiply-adds,
 * measured at the start of the same run. */
#include "bench.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *wanted = "";
static FILE *tsv;
static double peak; /* flop/s */

double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_check(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "bench: %s\n", what);
  exit(1);
}

bool bench_wanted(const char *name) { return strstr(name, wanted) != NULL; }

void bench_note(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  printf("  ");
  vprintf(fmt, args);
  printf("\n");
  va_end(args);
  fflush(stdout);
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_line(const bench_case *c, const double *t, int n) {
  double best = t[0] * c->scale, median = t[n / 2] * c->scale;
  double p90 = t[n * 9 / 10] * c->scale;
  double rate = c->flops / t[0];
  printf("%-24s %10.3f %10.3f %10.3f  %-8s", c->row, best, median, p90,
         c->unit);
  if (c->flops > 0)
    printf(" %7.1f GF/s %5.1f %%", rate * 1e-9, 100 * rate / peak);
  printf("\n");
  fflush(stdout);
  if (tsv)
    fprintf(tsv, "%s\t%g\t%g\t%g\t%s\t%g\t%g\n", c->row, best, median, p90,
            c->unit, c->flops > 0 ? rate * 1e-9 : 0,
            c->flops > 0 ? rate / peak : 0);
}

void bench_measure(const bench_case *c) {
  int n = c->repetitions;
  double *t = malloc(sizeof *t * (size_t)n);
  bench_check(t, "no memory");
  for (int i = 0; i < n / 10 + 1; i++) c->run(c->state); /* warm up */
  for (int i = 0; i < n; i++) {
    double start = bench_now();
    c->run(c->state);
    t[i] = bench_now() - start;
  }
  qsort(t, (size_t)n, sizeof *t, by_size);
  print_line(c, t, n);
  free(t);
}

static void usage(FILE *to) {
  fprintf(to, "usage: bench [--rows TEXT] [--tsv FILE]\n");
}

static void options(int argc, char **argv) {
  static const struct option list[] = {{"rows", 1, NULL, 'r'},
                                       {"tsv", 1, NULL, 't'},
                                       {"help", 0, NULL, 'h'},
                                       {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
    if (c == 'r') {
      wanted = optarg;
    } else if (c == 't') {
      tsv = fopen(optarg, "w");
      bench_check(tsv, "cannot write the TSV file");
      fprintf(tsv, "row\tbest\tmedian\tp90\tunit\tgflops\tfraction\n");
    } else {
      usage(c == 'h' ? stdout : stderr);
      exit(c == 'h' ? 0 : 2);
    }
  }
}

int main(int argc, char **argv) {
  options(argc, argv);
  peak = probe_fma();
  printf("one core: %.0f GF/s float32 multiply-adds, %.1f GB/s read\n\n",
         peak * 1e-9, probe_bandwidth() * 1e-9);
  printf("%-24s %10s %10s %10s\n", "row", "best", "median", "90 %");
  rows_scalar();
  rows_train();
  rows_long();
  rows_hvp();
  if (tsv && fclose(tsv)) bench_check(false, "cannot write the TSV file");
  return 0;
}
