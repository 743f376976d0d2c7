/* bptt_differences.c - dL/dw by central differences of the loss, element by
 * element.
 *
 * L is a sum over the sequences of the batch, and each sequence gets a quotient
 * with a step of its own: six points w +- e, +- 2e, +- 3e give one of order
 * e^6, and its distance from the one of order e^4 tells how good it is. The
 * losses of the six points are subtracted step by step of time before they are
 * summed: the rounding of a sum of thousands would drown small gradients.
 *
 * relu bends where a pre-activation is 0, and a quotient across a bend means
 * nothing: no unit may change sides between the six points, so e shrinks until
 * none does, or the element is given up.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

enum { POINTS = 6 };
static const int multiples[POINTS] = {3, -3, 2, -2, 1, -1};

#define FIRST_STEP 0x1p-10
#define LAST_STEP 0x1p-40
#define SAFETY 10        /* truncation may be that much above its estimate */
#define GOOD_ENOUGH 3e-8 /* relative error at which e shrinks no more */

typedef struct work {
  bptt_case c; /* its parameters and first states are a copy, to be changed */
  double *w[Q_COUNT];
  double *h;         /* [B, T+2, H], unperturbed; see bptt_states */
  double *losses;    /* [B, T], unperturbed */
  double *size;      /* [B], see bptt_losses */
  double *point_h;   /* [T+2, H] at one point */
  double *at[POINTS]; /* [T] losses at each point */
  double *block;
  int64_t done, total; /* quotients of one sequence each */
  void (*progress)(double done);
} work;

/* A row of h0 or c0 belongs to one sequence. */
static bool is_first_state(bptt_quantity q) { return q == Q_H0 || q == Q_C0; }

/* ---- memory ---- */

static size_t cut(double **start, double *block, size_t used, int64_t n) {
  *start = block ? block + used : NULL;
  return used + (size_t)n;
}

/* Cuts the block into its arrays and returns the numbers needed. */
static size_t lay_out(work *w, double *block) {
  const cg_bptt_problem *p = &w->c.p;
  size_t n = 0;
  for (int q = Q_W_XH; q < Q_COUNT; q++)
    n = cut(&w->w[q], block, n, bptt_numel(&w->c, q));
  n = cut(&w->h, block, n, p->B * (p->T + 2) * p->H);
  n = cut(&w->losses, block, n, p->B * p->T);
  n = cut(&w->size, block, n, p->B);
  n = cut(&w->point_h, block, n, (p->T + 2) * p->H);
  for (int i = 0; i < POINTS; i++) n = cut(&w->at[i], block, n, p->T);
  return n;
}

static void copy_parameters(work *w) {
  cg_bptt_problem *p = &w->c.p;
  const double **sources[Q_COUNT] = {
      [Q_W_XH] = &p->W_xh, [Q_W_HH] = &p->W_hh, [Q_W_HY] = &p->W_hy,
      [Q_B_H] = &p->b_h,   [Q_B_Y] = &p->b_y,   [Q_H0] = &p->h0,
      [Q_B_HH] = &w->c.b_hh, [Q_C0] = &w->c.c0};
  for (int q = Q_W_XH; q < Q_COUNT; q++) {
    size_t size = (size_t)bptt_numel(&w->c, q) * sizeof(double);
    if (!size) continue;
    memcpy(w->w[q], *sources[q], size);
    *sources[q] = w->w[q];
  }
}

static double *states_of(const work *w, int64_t b) {
  return w->h + b * (w->c.p.T + 2) * w->c.p.H;
}

static bool begin(work *w) {
  const cg_bptt_problem *p = &w->c.p;
  w->block = malloc(lay_out(w, NULL) * sizeof(double));
  if (!w->block) return cli_fail("out of memory for the differences");
  lay_out(w, w->block);
  copy_parameters(w);
  for (int64_t b = 0; b < p->B; b++) {
    bptt_states(&w->c, b, states_of(w, b));
    w->size[b] = bptt_losses(p, b, states_of(w, b), w->losses + b * p->T);
  }
  for (int q = Q_W_XH; q < Q_COUNT; q++)
    w->total += bptt_numel(&w->c, q) * (is_first_state(q) ? 1 : p->B);
  return true;
}

/* ---- one sequence ---- */

/* Is every unit on the side of relu's bend where it is unperturbed? */
static bool same_sides(const work *w, int64_t b) {
  const cg_bptt_problem *p = &w->c.p;
  if (p->phi != CG_ACT_RELU) return true;
  const double *h = states_of(w, b) + p->H;
  const double *point_h = w->point_h + p->H;
  for (int64_t i = 0; i < p->T * p->H; i++)
    if ((h[i] > 0) != (point_h[i] > 0)) return false;
  return true;
}

/* The losses at the six points; false if there is a bend between them. The
 * outermost go first, as they are the likeliest to be beyond one. */
static bool sample(work *w, bptt_quantity q, double *theta, int64_t b,
                   double e) {
  bool changes_states = q != Q_W_HY && q != Q_B_Y, smooth = true;
  const double *h = changes_states ? w->point_h : states_of(w, b);
  double middle = *theta;
  for (int i = 0; i < POINTS && smooth; i++) {
    *theta = middle + multiples[i] * e;
    if (changes_states) {
      bptt_states(&w->c, b, w->point_h);
      smooth = same_sides(w, b);
    }
    if (smooth) bptt_losses(&w->c.p, b, h, w->at[i]);
  }
  *theta = middle;
  return smooth;
}

/* The quotient of order e^6 from the six points. Its error has three parts:
 * the distance from order e^4; the rounding that the size of the numbers lets
 * expect, *rounding; and what the sixth difference shows beyond that, such as
 * rounding that grew over the steps of time. */
static bptt_quotient quotient(const work *w, double theta, int64_t b, double e,
                              double *rounding) {
  double d1 = 0, d2 = 0, d3 = 0, sixth = 0;
  const double *f0 = w->losses + b * w->c.p.T;
  for (int64_t t = 0; t < w->c.p.T; t++) {
    double f3 = w->at[0][t], g3 = w->at[1][t], f2 = w->at[2][t];
    double g2 = w->at[3][t], f1 = w->at[4][t], g1 = w->at[5][t];
    d3 += f3 - g3;
    d2 += f2 - g2;
    d1 += f1 - g1;
    sixth += (f3 + g3) - 6 * (f2 + g2) + 15 * (f1 + g1) - 20 * f0[t];
  }
  d1 /= 2 * e;
  d2 /= 4 * e;
  d3 /= 6 * e;
  double order6 = 1.5 * d1 - 0.6 * d2 + 0.1 * d3;
  double order4 = (4 * d1 - d2) / 3;
  double truncation = SAFETY * fabs(order6 - order4);
  /* w +- e is rounded, too. */
  *rounding =
      DBL_EPSILON * (4 * w->size[b] + fabs(theta * order6)) / e;
  double beyond = fabs(sixth) / 30 / e;
  return (bptt_quotient){order6, truncation + *rounding + beyond, false};
}

/* Shrinks e until the quotient is good enough, or rounding takes over. */
static bptt_quotient of_sequence(work *w, bptt_quantity q, double *theta,
                                 int64_t b) {
  bptt_quotient best = {0, INFINITY, true};
  double unit = exp2(ceil(log2(fmax(1, fabs(*theta)))));
  for (double e = FIRST_STEP; e >= LAST_STEP; e /= 4) {
    double rounding;
    if (!sample(w, q, theta, b, e * unit)) continue;
    bptt_quotient now = quotient(w, *theta, b, e * unit, &rounding);
    bool finite = isfinite(now.value) && isfinite(now.error);
    if (best.at_kink || now.error < best.error) best = now;
    double reducible = now.error - rounding;
    if (!finite || reducible <= fmax(rounding, GOOD_ENOUGH * fabs(now.value)))
      break;
  }
  if (++w->done % 64 == 0 && w->progress)
    w->progress((double)w->done / (double)w->total);
  return best;
}

/* ---- all of them ---- */

static double scale_of(const cg_bptt_problem *p) {
  double scale = 1;
  if (p->over_steps == CG_REDUCE_MEAN) scale /= (double)p->T;
  if (p->over_batch == CG_REDUCE_MEAN) scale /= (double)p->B;
  return scale;
}

/* Element i: the sum over the sequences. Errors of different sequences are
 * independent, so their squares add up. */
static bptt_quotient of_element(work *w, bptt_quantity q, int64_t i) {
  const cg_bptt_problem *p = &w->c.p;
  int64_t first = is_first_state(q) ? i / p->H : 0;
  int64_t end = is_first_state(q) ? first + 1 : p->B;
  double scale = scale_of(p);
  bptt_quotient sum = {0};
  for (int64_t b = first; b < end; b++) {
    bptt_quotient one = of_sequence(w, q, &w->w[q][i], b);
    sum.value += scale * one.value;
    sum.error = hypot(sum.error, scale * one.error);
    sum.at_kink = sum.at_kink || one.at_kink;
  }
  return sum;
}

static bool make_quotients(bptt_quotients *d, const bptt_case *c) {
  size_t total = 0;
  for (int q = Q_W_XH; q < Q_COUNT; q++) total += (size_t)bptt_numel(c, q);
  bptt_quotient *next = calloc(total, sizeof *next);
  *d = (bptt_quotients){.block = next};
  if (!next) return cli_fail("out of memory for the differences");
  for (int q = Q_W_XH; q < Q_COUNT; q++) {
    if (bptt_has(c, q)) d->of[q] = next;
    next += bptt_numel(c, q);
  }
  return true;
}

bool bptt_differences(const bptt_case *c, void (*progress)(double done),
                      bptt_quotients *d) {
  work w = {.c = *c, .progress = progress};
  if (!make_quotients(d, c) || !begin(&w)) return false;
  for (int q = Q_W_XH; q < Q_COUNT; q++)
    for (int64_t i = 0; i < bptt_numel(c, q); i++)
      d->of[q][i] = of_element(&w, q, i);
  free(w.block);
  if (progress) progress(1);
  return true;
}

void bptt_quotients_free(bptt_quotients *d) {
  free(d->block);
  *d = (bptt_quotients){0};
}
