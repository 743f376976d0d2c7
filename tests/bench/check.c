/* check.c - the end of a benchmark program that has failed. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

void bench_check(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "bench: %s\n", what);
  exit(1);
}
