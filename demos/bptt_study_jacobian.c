/* bptt_study_jacobian.c - statement 6: recurrent Jacobians, as products and
 * from the tape, their singular values against the gap, Lyapunov exponents. */
#include <math.h>
#include <stdlib.h>

#include "bptt_study.h"
#include "cli.h"
#include "spectrum.h"

static const char jacobian_script[] =
    "set title 'What crosses a gap: dh_T / dh_{T - gap}'\n"
    "set xlabel 'gap'\n"
    "set ylabel 'norm, singular values'\n"
    "set format y '10^{%T}'\n"
    "set logscale y\n"
    "set grid\n"
    "set key bottom left\n"
    "plot table skip 1 using 1:2 with lines lw 2 title 'Frobenius norm', "
    "table skip 1 using 1:3 with lines lw 2 title 'largest', "
    "table skip 1 using 1:4 with lines lw 2 title 'median', "
    "table skip 1 using 1:5 with lines lw 2 title 'smallest'\n";

typedef struct room {
  double *J;     /* [H, H] */
  double *steps; /* [T, H, H], dh_t / dh_{t-1} */
  double *copy;  /* [H, H] */
  double *values; /* [H] */
  double *block;
} room;

static bool make_room(room *m, const cg_bptt_problem *p) {
  int64_t HH = p->H * p->H;
  double numbers = (double)HH * ((double)p->T + 2) + (double)p->H;
  *m = (room){0};
  if (numbers < 1e15)
    m->block = malloc((size_t)(HH * (p->T + 2) + p->H) * sizeof(double));
  if (!m->block) return cli_fail("out of memory for the Jacobians");
  m->J = m->block;
  m->copy = m->J + HH;
  m->values = m->copy + HH;
  m->steps = m->values + p->H;
  return true;
}

/* From the tape, in the same place of the sequence. */
static bool distance_to_tape(study *s, int64_t gap, const double *J,
                             double *error) {
  const cg_bptt_problem *p = s->p;
  cg_tape *tape = s->net.tape;
  int64_t k = p->T - gap;
  cg_tape_reset(tape);
  const double *h_k = k ? s->r.h + (k - 1) * p->B * p->H : p->h0;
  cg_rnn_state from = {.h = cg_input(tape, CG_F64, CG_DIMS(1, 1, p->H), h_k)};
  cg_tensor *x = cg_borrow(tape, CG_F64, CG_DIMS(p->T, p->B, p->D), p->x);
  x = cg_narrow(tape, cg_narrow(tape, x, 0, k, gap), 1, 0, 1);
  cg_tensor *from_tape = cg_rnn_jacobian(tape, s->net.rnn, x, from);
  if (!bptt_net_fine(&s->net)) return false;
  *error = study_distance(J, cg_tensor_data(from_tape), p->H * p->H);
  return true;
}

/* What is below the rounding of the product tells nothing. */
static double trusted(double value, double largest, int64_t H) {
  return value > largest * (double)H * 0x1p-48 ? value : NAN;
}

static void write_gap(int64_t gap, const double *values, double norm,
                      int64_t H, FILE *to) {
  double top = values[0], low = trusted(values[H - 1], top, H);
  double middle = trusted(values[H / 2], top, H);
  if (to)
    fprintf(to, "%lld\t%.9g\t%.9g\t%.9g\t%.9g\n", (long long)gap, norm, top,
            middle, low);
}

static bool one_gap(study *s, room *m, int64_t gap, bool print, FILE *to,
                    double *worst) {
  const cg_bptt_problem *p = s->p;
  cg_error err = {0};
  if (cg_bptt_jacobian(p, &s->r, 0, p->T, p->T - gap, m->J, &err))
    return cli_fail("%s", err.message);
  double norm = spectrum_norm(m->J, p->H * p->H), error = 0;
  spectrum_singular_values(m->J, p->H, m->values, m->copy);
  write_gap(gap, m->values, norm, p->H, to);
  if (!print) return true;
  if (!distance_to_tape(s, gap, m->J, &error)) return false;
  *worst = fmax(*worst, error);
  printf("  %6lld %12.4g", (long long)gap, norm);
  double low = trusted(m->values[p->H - 1], m->values[0], p->H);
  if (spectrum_available()) printf(" %12.4g", m->values[0]);
  if (spectrum_available())
    isnan(low) ? printf(" %12s", "(rounding)") : printf(" %12.4g", low);
  printf(" %12.1e\n", error);
  return true;
}

static bool print_gaps(study *s, room *m, double *worst) {
  bool ok;
  FILE *to = study_open(s, "jacobian", &ok);
  if (to) fputs("gap\tnorm\tlargest\tmedian\tsmallest\n", to);
  printf("  %6s %12s", "gap", "norm");
  if (spectrum_available()) printf(" %12s %12s", "largest", "smallest");
  printf(" %12s\n", "tape - hand");
  for (int64_t gap = 1, next = 1; gap <= s->p->T && ok; gap++) {
    ok = one_gap(s, m, gap, gap == next, to, worst);
    if (gap == next) next = study_next_row(gap);
  }
  return study_close(s, to, "jacobian", jacobian_script) && ok;
}

static bool print_lyapunov(study *s, room *m) {
  const cg_bptt_problem *p = s->p;
  cg_error err = {0};
  for (int64_t t = 1; t <= p->T; t++)
    cg_bptt_jacobian(p, &s->r, 0, t, t - 1, m->steps + (t - 1) * p->H * p->H,
                     NULL);
  if (cg_lyapunov_exponents(m->steps, p->T, p->H, m->values, NULL, &err))
    return cli_fail("%s", err.message);
  double top = m->values[0], low = m->values[0];
  for (int64_t i = 1; i < p->H; i++) {
    top = fmax(top, m->values[i]);
    low = fmin(low, m->values[i]);
  }
  printf("  Lyapunov exponents %.4f to %.4f per step: gradients %s.\n", low,
         top, top < 0 ? "vanish" : "explode");
  return true;
}

bool study_jacobians(study *s) {
  room m;
  double worst = 0;
  if (!make_room(&m, s->p)) return false;
  puts("\n6. Recurrent Jacobians: dh_T / dh_{T-gap} = product of "
       "diag(phi') W_hh");
  bool ok = print_gaps(s, &m, &worst) && print_lyapunov(s, &m);
  if (ok) study_check(s, "Jacobians from the tape = explicit products", worst);
  if (ok && !spectrum_available())
    puts("  No singular values: built without LAPACKE.");
  free(m.block);
  return ok;
}
