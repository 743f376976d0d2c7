/* schedule.c - learning rates that change while it trains. */
#include <chronograd/schedule.h>

#include <math.h>

static const double pi = 3.14159265358979323846;

static double or_unset(double value, double unset) {
  return value == 0.0 ? unset : value;
}

/* How far n is on the way from 0 to `total`: 0 .. 1. */
static double part_of(double n, double total) {
  return n >= total ? 1.0 : fmax(n, 0.0) / total;
}

double cg_lr_step(double n, double size, double gamma) {
  return pow(gamma, floor(n / size));
}

double cg_lr_exponential(double n, double gamma) { return pow(gamma, n); }

static double along_cosine(double from, double to, double part) {
  return to + 0.5 * (from - to) * (1.0 + cos(pi * part));
}

static double along_line(double from, double to, double part) {
  return from + (to - from) * part;
}

double cg_lr_cosine(double n, double total, double end) {
  return along_cosine(1.0, end, part_of(n, total));
}

double cg_lr_warmup(double n, double total, double start) {
  return along_line(start, 1.0, part_of(n, total));
}

double cg_lr_one_cycle(double n, const cg_one_cycle *c) {
  double (*along)(double, double, double) =
      c->linear ? along_line : along_cosine;
  double top = or_unset(c->up, 0.3) * c->total - 1.0;
  double start = 1.0 / or_unset(c->start_div, 25.0);
  double end = start / or_unset(c->end_div, 1e4);
  if (n <= top) return along(start, 1.0, part_of(n, top));
  return along(1.0, end, part_of(n - top, c->total - 1.0 - top));
}

/* ---- plateau ---- */

static bool is_better(const cg_plateau *p, double loss) {
  double threshold = or_unset(p->threshold, 1e-4);
  if (!p->started) return !isnan(loss);
  return loss < (p->absolute ? p->best - threshold
                             : p->best * (1.0 - threshold));
}

double cg_plateau_lr(cg_plateau *p, double lr, double loss) {
  const double smallest_fall = 1e-8;
  int64_t patience = p->patience == 0 ? 10 : p->patience < 0 ? 0 : p->patience;
  if (is_better(p, loss)) {
    p->started = true;
    p->best = loss;
    p->worse = 0;
  } else {
    p->worse++;
  }
  if (p->cooling > 0) {
    p->cooling--;
    p->worse = 0;
  }
  if (p->worse <= patience) return lr;
  p->cooling = p->cooldown;
  p->worse = 0;
  double lower = fmax(lr * or_unset(p->factor, 0.1), p->min_lr);
  return lr - lower > smallest_fall ? lower : lr;
}
