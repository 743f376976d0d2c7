/* moons_data.c - points on two half circles, with noise. */
#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "moons.h"

/* The upper one is centred at (0, 0), the lower at (1, 1/2); they alternate. */
static void place(double *x, int64_t y, double angle) {
  x[0] = y ? 1 - cos(angle) : cos(angle);
  x[1] = y ? 0.5 - sin(angle) : sin(angle);
}

bool moons_data_make(moons_data *d, int64_t n, double noise, uint64_t seed) {
  d->n = n;
  d->x = malloc(sizeof *d->x * 2 * (size_t)n);
  d->y = malloc(sizeof *d->y * (size_t)n);
  if (!d->x || !d->y) return cli_fail("out of memory");
  cg_rng rng = cg_rng_seed(seed);
  for (int64_t i = 0; i < n; i++) {
    d->y[i] = i % 2;
    place(d->x + 2 * i, d->y[i], M_PI * cg_rng_uniform(&rng));
    for (int k = 0; k < 2; k++) d->x[2 * i + k] += noise * cg_rng_normal(&rng);
  }
  return true;
}

void moons_data_free(moons_data *d) {
  free(d->x);
  free(d->y);
}
