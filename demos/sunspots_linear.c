/* sunspots_linear.c - the linear autoregression, by least squares.
 *
 * L(a) = |X a - y|^2 / n is quadratic, so conjugate gradients find its minimum
 * in about as many steps as there are coefficients. All they need are products
 * of the Hessian with vectors, and these come from the tape.
 */
#include <math.h>
#include <stdio.h>

#include <chronograd/engine.h>

#include "cli.h"
#include "sunspots.h"

enum { P = SUNSPOTS_ORDER, N = SUNSPOTS_ORDER + 1,
       ROWS = SUNSPOTS_FITTED - SUNSPOTS_FIRST + 1 - SUNSPOTS_KNOWN,
       MOST_STEPS = 10 * N };

/* 1 and the P years before year number t. */
static void fill_row(double *row, int t) {
  row[0] = 1;
  for (int k = 1; k <= P; k++)
    row[k] = sunspots_number[t - k] / SUNSPOTS_SCALE;
}

static cg_tensor *mean_square_error(cg_tape *tape, cg_tensor *a) {
  static double X[ROWS][N], y[ROWS];
  for (int i = 0; i < ROWS; i++) {
    fill_row(X[i], SUNSPOTS_KNOWN + i);
    y[i] = sunspots_number[SUNSPOTS_KNOWN + i] / SUNSPOTS_SCALE;
  }
  cg_tensor *said = cg_matmul(
      tape, cg_borrow(tape, CG_F64, CG_DIMS(ROWS, N), X), a);
  cg_tensor *d = cg_sub(
      tape, said, cg_borrow(tape, CG_F64, CG_DIMS(ROWS, 1), y));
  return cg_mean_all(tape, cg_square(tape, d));
}

static double dot(const double *a, const double *b) {
  double sum = 0;
  for (int k = 0; k < N; k++) sum += a[k] * b[k];
  return sum;
}

/* H p = -g for the step p from `a`, which is then added to it. */
static bool minimise(cg_tape *tape, cg_tensor *L, cg_tensor *leaf, double *a) {
  double r[N], p[N], Hp[N];
  cg_tensor *g, *hp;
  if (cg_grad(tape, &L, 1, NULL, &leaf, 1, &g, 0)) return false;
  for (int k = 0; k < N; k++) p[k] = r[k] = -cg_tensor_get(g, k);
  double rr = dot(r, r), enough = 1e-24 * rr;
  for (int step = 0; step < MOST_STEPS && rr > enough; step++) {
    cg_tensor *v = cg_input(tape, CG_F64, CG_DIMS(N, 1), p);
    if (cg_hvp(tape, L, &leaf, &v, 1, &hp, 0)) return false;
    cg_tensor_read(hp, Hp, sizeof Hp);
    double alpha = rr / dot(p, Hp), before = rr;
    for (int k = 0; k < N; k++) {
      a[k] += alpha * p[k];
      r[k] -= alpha * Hp[k];
    }
    rr = dot(r, r);
    for (int k = 0; k < N; k++) p[k] = r[k] + rr / before * p[k];
  }
  return true;
}

bool sunspots_linear(sunspots_forecast *f) {
  double a[N] = {0}, row[N];
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *leaf = cg_leaf_new(NULL, CG_F64, CG_DIMS(N, 1), NULL);
  bool ok = tape && leaf;
  if (ok) {
    cg_leaf_set_requires_grad(leaf, true);
    ok = minimise(tape, mean_square_error(tape, leaf), leaf, a);
  }
  if (!ok) cli_fail("the linear fit: %s", cg_tape_error(tape)->message);
  for (int t = 0; t < SUNSPOTS_YEARS; t++) {
    f->value[t] = NAN;
    if (t < P) continue;
    fill_row(row, t);
    f->value[t] = dot(a, row);
  }
  cg_tape_free(tape);
  cg_leaf_free(leaf);
  return ok;
}
