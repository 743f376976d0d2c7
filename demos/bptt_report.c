/* bptt_report.c - the table: every quantity, how far the sides are apart, and
 * what that means. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

/* Two vectors: norms, and the norm of a - b over the larger of them. */
typedef struct comparison {
  double norm;     /* of a */
  double larger;   /* of a and b */
  double relative; /* |a - b| / larger; 0 if both vanish */
} comparison;

/* One row. `floor` is the relative error that the difference quotients may have
 * by themselves; `left_out` counts elements at a kink. */
typedef struct row {
  comparison manual, quotient;
  double floor;
  int64_t left_out, compared;
  bool ok;
  bool unchecked; /* the differences can't tell */
  bool known;     /* there are figures to compare with */
  const char *verdict;
} row;

/* ---- comparing ---- */

/* Largest absolute value, so that squares neither overflow nor vanish. NaN if
 * there is one. */
static double largest(const double *v, int64_t n) {
  double top = 0;
  for (int64_t i = 0; i < n; i++) {
    if (isnan(v[i])) return fabs(v[i]);
    top = fmax(top, fabs(v[i]));
  }
  return top;
}

static double norm(const double *v, int64_t n) {
  double top = largest(v, n), squares = 0;
  if (top == 0 || !isfinite(top)) return top;
  for (int64_t i = 0; i < n; i++) squares += (v[i] / top) * (v[i] / top);
  return top * sqrt(squares);
}

/* a against b; b is overwritten by a - b. */
static comparison compare(const double *a, double *b, int64_t n) {
  comparison c = {.norm = norm(a, n)};
  c.larger = fmax(c.norm, norm(b, n));
  for (int64_t i = 0; i < n; i++) b[i] = a[i] - b[i];
  double apart = norm(b, n);
  c.relative = apart == 0 ? 0 : fabs(apart / c.larger);
  return c;
}

/* Fills row's `quotient`, `floor`, `left_out` and `compared`, leaving out what
 * has no quotient. `a` and `b` are room for n numbers each. */
static void compare_quotients(row *r, const double *autograd,
                              const bptt_quotient *d, int64_t n, double *a,
                              double *b) {
  int64_t m = 0;
  double error = 0;
  for (int64_t i = 0; i < n; i++) {
    if (d[i].at_kink) continue;
    a[m] = autograd[i];
    b[m++] = d[i].value;
    error = hypot(error, d[i].error);
  }
  r->compared = m;
  r->left_out = n - m;
  r->quotient = compare(a, b, m);
  r->floor = fabs(error / r->quotient.larger);
}

/* ---- judging ---- */

static double against(double tolerance) { return fmax(tolerance, 1e-7); }

/* Beyond the floor, quotients can neither confirm nor deny; but a distance that
 * even tolerance and floor together don't explain is an error all the same. */
static bool judge_quotients(row *r, double tolerance) {
  double apart = r->quotient.relative;
  r->unchecked = r->compared == 0 || !(r->floor <= tolerance);
  if (!r->unchecked) return apart <= tolerance;
  return r->compared == 0 || r->quotient.larger == 0 ||
         apart <= tolerance + r->floor;
}

static void judge(row *r, double tolerance, bool differences, bool by_hand) {
  bool manual = !r->known || r->manual.relative <= tolerance;
  bool quotients = !differences || judge_quotients(r, against(tolerance));
  r->ok = manual && quotients;
  if (!isfinite(r->manual.larger))
    r->verdict = "NOT FINITE";
  else if (!r->ok)
    r->verdict = !manual && !quotients ? "DIFFERS from both"
                 : !quotients          ? "DIFFERS from differences"
                 : by_hand             ? "DIFFERS from manual"
                                       : "DIFFERS from PyTorch";
  else if (!r->known && (!differences || r->unchecked))
    r->verdict = "nothing to compare with";
  else if (r->unchecked)
    r->verdict = r->compared ? "agrees; differences can't tell (below floor)"
                             : "agrees; differences can't tell (kink)";
  else
    r->verdict = "agrees";
}

/* Twice as many numbers as the largest quantity has. */
static double *make_room(const bptt_case *c) {
  int64_t most = 0;
  for (int q = 0; q < Q_COUNT; q++)
    if (bptt_numel(c, q) > most) most = bptt_numel(c, q);
  return malloc((size_t)most * 2 * sizeof(double));
}

static row make_row(const bptt_case *c, bptt_quantity q,
                    const bptt_figures *autograd, const bptt_figures *manual,
                    const bptt_quotients *d, double tolerance, double *room) {
  int64_t n = bptt_numel(c, q);
  bool differences = d && d->of[q];
  const double *known = manual->of[q];
  row r = {.known = known != NULL};
  for (int64_t i = 0; i < n; i++) room[i] = known ? known[i] : 0;
  r.manual = compare(autograd->of[q], room, n);
  if (differences)
    compare_quotients(&r, autograd->of[q], d->of[q], n, room, room + n);
  judge(&r, tolerance, differences, c->cell == CG_CELL_RNN);
  if (q == Q_B_H && autograd->biases_differ) {
    r.ok = false;
    r.verdict = "DIFFERS between bias_ih and bias_hh";
  }
  return r;
}

/* ---- printing ---- */

void bptt_print_head(const bptt_options *o, const bptt_case *c) {
  static const char *const cells[CG_CELL_COUNT] = {
      [CG_CELL_LSTM] = "LSTM", [CG_CELL_GRU] = "GRU"};
  const cg_bptt_problem *p = &c->p;
  printf("T = %" PRId64 " steps, B = %" PRId64 " sequences, D = %" PRId64
         " inputs, H = %" PRId64 " hidden, K = %" PRId64 " classes\n",
         p->T, p->B, p->D, p->H, p->K);
  printf("%s, %s over steps and batch, autograd in %s, ",
         c->cell == CG_CELL_RNN ? cg_activation_name(p->phi) : cells[c->cell],
         o->reduction == CG_REDUCE_SUM ? "sum" : "mean",
         cg_dtype_name(o->dtype));
  if (o->case_path)
    printf("case %s\n", o->case_path);
  else
    printf("seed %" PRIu64 "\n", o->seed);
}

static void print_columns(const bptt_case *c) {
  printf("\n%-8s  %-14s  %10s  %10s  %13s  %8s\n", "", "", "",
         "autograd -", "autograd -", "their");
  printf("%-8s  %-14s  %10s  %10s  %13s  %8s  %s\n", "quantity", "shape",
         "norm", c->cell == CG_CELL_RNN ? "manual" : "PyTorch", "differences",
         "floor", "verdict");
}

static void print_row(const bptt_case *c, bptt_quantity q, const row *r,
                      bool differences) {
  int64_t shape[3];
  int rank = bptt_shape(c, q, shape), at = 1;
  char text[80] = "[";
  for (int i = 0; i < rank; i++)
    at += snprintf(text + at, sizeof text - (size_t)at, "%s%" PRId64,
                   i ? ", " : "", shape[i]);
  snprintf(text + at, sizeof text - (size_t)at, "]");
  printf("%-8s  %-14s  %10.4g  ", bptt_name(q), text, r->manual.norm);
  if (r->known)
    printf("%10.1e  ", r->manual.relative);
  else
    printf("%10s  ", "-");
  if (differences && r->compared)
    printf("%13.1e  %8.1e  ", r->quotient.relative, r->floor);
  else
    printf("%13s  %8s  ", "-", "-");
  printf("%s\n", r->verdict);
}

static void print_left_out(bptt_quantity q, const row *r) {
  if (r->left_out)
    printf("%s: %" PRId64 " of %" PRId64 " elements left out of the "
           "differences, too close to a kink of relu.\n",
           bptt_name(q), r->left_out, r->left_out + r->compared);
}

/* What the table is about, and what it leaves open. */
static void print_verdict(const bptt_case *c, const row rows[Q_COUNT]) {
  int bad = 0, unchecked = 0, alone = 0, all = 0;
  for (int q = 0; q < Q_COUNT; q++) {
    if (!bptt_has(c, q)) continue;
    all++;
    bad += !rows[q].ok;
    unchecked += rows[q].ok && rows[q].unchecked;
    alone += rows[q].ok && !strcmp(rows[q].verdict, "nothing to compare with");
  }
  if (bad)
    printf("%d of %d quantities do NOT agree.\n", bad, all);
  else if (alone)
    printf("%d of %d quantities agree; nothing to compare the others with.\n",
           all - alone, all);
  else
    printf("All agree.\n");
  if (unchecked)
    printf("Differences can't tell about %d of them.\n", unchecked);
  if (c->cell != CG_CELL_RNN)
    puts("The derivation by hand is that of the simple cell; PyTorch's figures "
         "are those\nstored in the case.");
}

static void print_end(const bptt_case *c, const row rows[Q_COUNT],
                      bool differences, double tolerance) {
  printf("\nErrors are |a - b| / max(|a|, |b|) over all elements; tolerance "
         "%g", tolerance);
  if (differences)
    printf(",\nfor differences %g. Their floor is how far rounding and "
           "truncation may put\nthem off; above the tolerance they can check "
           "nothing",
           against(tolerance));
  printf(".\n");
  print_verdict(c, rows);
}

bool bptt_report(const bptt_options *o, const bptt_case *c,
                 const bptt_figures *autograd, const bptt_figures *manual,
                 const bptt_quotients *d, bool *agree) {
  row rows[Q_COUNT] = {0};
  double *room = make_room(c);
  if (!room) return cli_fail("out of memory for the table");
  bptt_print_head(o, c);
  print_columns(c);
  *agree = true;
  for (int q = 0; q < Q_COUNT; q++) {
    if (!bptt_has(c, q)) continue;
    rows[q] = make_row(c, q, autograd, manual, d, o->tolerance, room);
    print_row(c, q, &rows[q], d && d->of[q]);
    *agree = *agree && rows[q].ok;
  }
  free(room);
  for (int q = Q_W_XH; q < Q_COUNT; q++) print_left_out(q, &rows[q]);
  print_end(c, rows, d, o->tolerance);
  return true;
}
