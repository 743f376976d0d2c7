/* lbfgs_search.c - a line search for the strong Wolfe conditions: first steps
 * grow until an interval must hold such a point, then the interval shrinks (J.
 * Nocedal, S. J. Wright, "Numerical optimization", 2006, algorithms 3.5 and
 * 3.6). Trial points are minima of cubics, with PyTorch's safeguards. */
#include <math.h>

#include "lbfgs_impl.h"

static const double c1 = 1e-4, c2 = 0.9;

/* phi(t), the loss at POINT + t D, and its derivative. */
typedef struct trial {
  double t, f, slope;
} trial;

/* An interval: its ends, whose gradients are in LEFT and RIGHT. */
typedef struct bracket {
  trial end[2];
  int low; /* the end with the lower loss */
} bracket;

static const lbfgs_vector gradient_of_end[2] = {{LBFGS_LEFT, 0},
                                                {LBFGS_RIGHT, 0}};

static void keep_gradient(lbfgs_walk *w, int end, lbfgs_vector gradient) {
  lbfgs_scale(w->o, gradient_of_end[end], 1.0, gradient);
}

static void go_to(lbfgs_walk *w, double t) {
  lbfgs_add(w->o, LBFGS_VECTOR(W), LBFGS_VECTOR(POINT), t, LBFGS_VECTOR(D));
}

/* Evaluates phi(t). Where it is no number the loss counts as infinite, so that
 * the search turns back. */
static cg_status try_at(lbfgs_walk *w, double t, trial *at) {
  double f;
  go_to(w, t);
  cg_status status = lbfgs_evaluate(w, &f);
  if (status) return status;
  double slope = lbfgs_dot(w->o, LBFGS_VECTOR(G), LBFGS_VECTOR(D));
  bool good = isfinite(f) && isfinite(slope);
  *at = (trial){t, good ? f : INFINITY, good ? slope : 0.0};
  return CG_OK;
}

/* Where the cubic through both trials, with their slopes, has its minimum,
 * within lo .. hi; the middle where it has none. */
static double cubic_minimum(trial a, trial b, double lo, double hi) {
  if (a.t > b.t) {
    trial swap = a;
    a = b;
    b = swap;
  }
  double d1 = a.slope + b.slope - 3.0 * (a.f - b.f) / (a.t - b.t);
  double square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0.0)) return 0.5 * (lo + hi);
  double d2 = sqrt(square);
  double t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) /
                                  (b.slope - a.slope + 2.0 * d2));
  return isnan(t) ? 0.5 * (lo + hi) : fmin(fmax(t, lo), hi);
}

static bool armijo(const lbfgs_walk *w, trial at, double slope) {
  return at.f <= w->loss + c1 * at.t * slope;
}

static bool flat(trial at, double slope) {
  return fabs(at.slope) <= -c2 * slope;
}

/* Trials that grow until [previous, last] must hold what is looked for; *done
 * if the last one is that already. */
static cg_status grow(lbfgs_walk *w, double t, double slope, int budget,
                      int *used, bracket *b, bool *done) {
  trial before = {0.0, w->loss, slope}, at;
  keep_gradient(w, 0, LBFGS_VECTOR(G0));
  cg_status status = try_at(w, t, &at);
  for (*used = 0; !status && *used < budget; ++*used) {
    if (!armijo(w, at, slope) || (*used > 1 && at.f >= before.f)) break;
    *done = flat(at, slope);
    if (*done || at.slope >= 0.0) break;
    double next = cubic_minimum(before, at, at.t + 0.01 * (at.t - before.t),
                                10.0 * at.t);
    before = at;
    keep_gradient(w, 0, LBFGS_VECTOR(G));
    status = try_at(w, next, &at);
  }
  if (status) return status;
  if (*used == budget) {
    before = (trial){0.0, w->loss, slope};
    keep_gradient(w, 0, LBFGS_VECTOR(G0));
  }
  keep_gradient(w, 1, LBFGS_VECTOR(G));
  *b = (bracket){{before, at}, *done || at.f < before.f};
  return CG_OK;
}

/* Trials too close to an end, twice or beyond it, move a tenth inwards. */
static double keep_off_ends(const bracket *b, double t, bool *close_before) {
  double lo = fmin(b->end[0].t, b->end[1].t);
  double hi = fmax(b->end[0].t, b->end[1].t), margin = 0.1 * (hi - lo);
  bool close = fmin(hi - t, t - lo) < margin;
  bool move = close && (*close_before || t >= hi || t <= lo);
  *close_before = close && !move;
  if (!move) return t;
  return fabs(t - hi) < fabs(t - lo) ? hi - margin : lo + margin;
}

/* Puts a trial in the place of one end. */
static void shrink(lbfgs_walk *w, bracket *b, trial at, double slope,
                   bool *done) {
  int low = b->low, high = !low;
  if (!armijo(w, at, slope) || at.f >= b->end[low].f) {
    b->end[high] = at;
    keep_gradient(w, high, LBFGS_VECTOR(G));
    b->low = b->end[1].f < b->end[0].f;
    return;
  }
  *done = flat(at, slope);
  if (!*done && at.slope * (b->end[high].t - b->end[low].t) >= 0.0) {
    b->end[high] = b->end[low];
    keep_gradient(w, high, gradient_of_end[low]);
  }
  b->end[low] = at;
  keep_gradient(w, low, LBFGS_VECTOR(G));
}

cg_status lbfgs_search(lbfgs_walk *w, double *t, double slope) {
  int budget = w->max_evaluations - w->evaluations, used = 0;
  double longest = lbfgs_max_abs(w->o, LBFGS_VECTOR(D));
  bool done = false, close_before = false;
  bracket b;
  cg_status status = grow(w, *t, slope, budget, &used, &b, &done);
  for (; !status && !done && used < budget; used++) {
    double lo = fmin(b.end[0].t, b.end[1].t), hi = fmax(b.end[0].t, b.end[1].t);
    trial at;
    if ((hi - lo) * longest < w->tolerance_change) break;
    double next = cubic_minimum(b.end[0], b.end[1], lo, hi);
    status = try_at(w, keep_off_ends(&b, next, &close_before), &at);
    if (!status) shrink(w, &b, at, slope, &done);
  }
  if (status) return status;
  *t = b.end[b.low].t;
  w->loss = b.end[b.low].f;
  lbfgs_scale(w->o, LBFGS_VECTOR(G), 1.0, gradient_of_end[b.low]);
  go_to(w, *t);
  return CG_OK;
}
