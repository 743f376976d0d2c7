/* bptt_study.c - the derivation, statement by statement, for one problem; and
 * the first of them, the ledger. */
#include "bptt_study.h"

#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "gnuplot.h"
#include "plot.h"
#include "spectrum.h"

/* ---- what all statements share ---- */

void study_check(study *s, const char *what, double error) {
  bool ok = error <= s->tolerance;
  s->checks++;
  s->bad += !ok;
  printf("  %-58s %8.1e  %s\n", what, error, ok ? "agrees" : "DIFFERS");
}

double study_distance(const double *a, const double *b, int64_t n) {
  double norm_a = spectrum_norm(a, n), norm_b = spectrum_norm(b, n), sum = 0;
  double larger = fmax(norm_a, norm_b);
  if (isnan(norm_a) || isnan(norm_b) || isinf(larger)) return NAN;
  for (int64_t i = 0; i < n && larger > 0; i++)
    sum += ((a[i] - b[i]) / larger) * ((a[i] - b[i]) / larger);
  return sqrt(sum);
}

int64_t study_next_row(int64_t i) {
  int64_t step = 1;
  while (i >= 8 * step) step *= 2;
  return i + step;
}

FILE *study_open(const study *s, const char *name, bool *ok) {
  *ok = true;
  if (!s->prefix) return NULL;
  FILE *to = plot_table_open(s->prefix, name);
  *ok = to != NULL;
  return to;
}

bool study_close(study *s, FILE *to, const char *name, const char *script) {
  if (!to) return true;
  if (!plot_table_close(to, s->prefix, name)) return false;
  if (script) s->pictures += plot_draw(s->prefix, name, script);
  return true;
}

/* ---- 4. the ledger ---- */

static const char ledger_script[] =
    "set title 'The ledger: what each step contributed to the gradient'\n"
    "set xlabel 'step t'\n"
    "set ylabel 'norm of the contribution'\n"
    "set grid\n"
    "plot table skip 1 using 1:2 with linespoints pt 7 title 'W_{hh}', "
    "table skip 1 using 1:3 with linespoints pt 7 title 'W_{xh}', "
    "table skip 1 using 1:4 with linespoints pt 7 title 'b_h', "
    "table skip 1 using 1:5 with linespoints pt 7 title 'W_{hy}', "
    "table skip 1 using 1:6 with linespoints pt 7 title 'b_y'\n";

typedef struct column {
  const char *name;
  const double *part, *total; /* [T, n], [n] */
  int64_t n;
} column;

enum { COLUMNS = 5 };

static void columns_of(const study *s, const cg_bptt_ledger *l,
                       column c[COLUMNS]) {
  const cg_bptt_problem *p = s->p;
  const column all[COLUMNS] = {
      {"rnn.weight_hh_l0", l->dW_hh, s->r.dW_hh, p->H * p->H},
      {"rnn.weight_ih_l0", l->dW_xh, s->r.dW_xh, p->H * p->D},
      {"rnn.bias_ih_l0", l->db_h, s->r.db_h, p->H},
      {"fc.weight", l->dW_hy, s->r.dW_hy, p->K * p->H},
      {"fc.bias", l->db_y, s->r.db_y, p->K}};
  for (int i = 0; i < COLUMNS; i++) c[i] = all[i];
}

static bool print_ledger(study *s, const column c[COLUMNS]) {
  bool ok;
  FILE *to = study_open(s, "ledger", &ok);
  if (to) fputs("t\tW_hh\tW_xh\tb_h\tW_hy\tb_y\n", to);
  printf("  %6s %12s %12s %12s %12s %12s\n", "t", "|dW_hh(t)|", "|dW_xh(t)|",
         "|db_h(t)|", "|dW_hy(t)|", "|db_y(t)|");
  for (int64_t t = 0, next = 0; t < s->p->T; t++) {
    double norm[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
      norm[i] = spectrum_norm(c[i].part + t * c[i].n, c[i].n);
    if (to)
      fprintf(to, "%lld\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\n", (long long)t + 1,
              norm[0], norm[1], norm[2], norm[3], norm[4]);
    if (t != next) continue;
    printf("  %6lld %12.4g %12.4g %12.4g %12.4g %12.4g\n", (long long)t + 1,
           norm[0], norm[1], norm[2], norm[3], norm[4]);
    next = study_next_row(t);
  }
  return study_close(s, to, "ledger", ledger_script) && ok;
}

/* The parts from the last step to the first; 0 if equal to the last bit. */
static double sum_error(const study *s, const column *c, double *sum) {
  for (int64_t i = 0; i < c->n; i++) sum[i] = 0;
  for (int64_t t = s->p->T - 1; t >= 0; t--)
    for (int64_t i = 0; i < c->n; i++) sum[i] += c->part[t * c->n + i];
  return study_distance(sum, c->total, c->n);
}

static cg_tensor *step_loss(cg_tape *tape, cg_tensor *h_t, int64_t t,
                            void *context) {
  const study *s = context;
  const cg_bptt_problem *p = s->p;
  double scale = p->over_steps == CG_REDUCE_MEAN ? 1.0 / (double)p->T : 1.0;
  if (p->over_batch == CG_REDUCE_MEAN) scale /= (double)p->B;
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(p->B), p->y + t * p->B);
  cg_tensor *o = cg_linear_layer_forward(tape, s->net.fc, h_t);
  cg_tensor *L_t = cg_sum_all(tape, cg_cross_entropy(tape, o, y));
  return cg_mul_scalar(tape, L_t, scale);
}

/* The same parts by autograd, one step of the tape at a time. */
static bool check_tape(study *s, const column c[COLUMNS]) {
  const cg_bptt_problem *p = s->p;
  cg_tape *tape = s->net.tape;
  cg_rnn_ledger l;
  cg_tape_reset(tape);
  cg_tensor *x = cg_borrow(tape, CG_F64, CG_DIMS(p->T, p->B, p->D), p->x);
  cg_rnn_state first = {
      .h = cg_borrow(tape, CG_F64, CG_DIMS(1, p->B, p->H), p->h0)};
  cg_rnn_ledger_make(tape, s->net.rnn, s->net.params, x, first, step_loss, s,
                     &l);
  if (!bptt_net_fine(&s->net)) return false;
  double worst = 0;
  for (int i = 0; i < l.count; i++)
    for (int j = 0; j < COLUMNS; j++)
      if (l.part[i] && cg_params_at(s->net.params, i) ==
                           cg_params_find(s->net.params, c[j].name))
        worst = fmax(worst,
                     study_distance(l.part[i], c[j].part, p->T * c[j].n));
  cg_rnn_ledger_free(&l);
  study_check(s, "all parts from the tape = all parts by hand", worst);
  return true;
}

bool study_ledger(study *s) {
  cg_error err = {0};
  cg_bptt_ledger l;
  if (cg_bptt_ledger_make(s->p, &s->r, &l, &err))
    return cli_fail("%s", err.message);
  puts("\n4. The ledger: dW = sum over t of dW(t)");
  column c[COLUMNS];
  columns_of(s, &l, c);
  int64_t most = 0;
  for (int i = 0; i < COLUMNS; i++) most = c[i].n > most ? c[i].n : most;
  double *sum = malloc((size_t)most * sizeof *sum), worst = 0;
  bool ok = sum ? print_ledger(s, c) : cli_fail("out of memory");
  for (int i = 0; i < COLUMNS && ok; i++)
    worst = fmax(worst, sum_error(s, &c[i], sum));
  if (ok) study_check(s, "sum of the parts = gradient", worst);
  ok = ok && check_tape(s, c);
  free(sum);
  cg_bptt_ledger_free(&l);
  return ok;
}

/* ---- the way through ---- */

static void print_end(const study *s) {
  printf("\nErrors are |a - b| / max(|a|, |b|); tolerance %g.\n", s->tolerance);
  if (s->bad)
    printf("%d of %d statements do NOT hold.\n", s->bad, s->checks);
  else
    printf("All %d statements hold.\n", s->checks);
  if (!s->prefix) return;
  printf("Tables in %s.*.tsv; ", s->prefix);
  if (gnuplot_installed())
    printf("%d pictures in %s.*.svg.\n", s->pictures, s->prefix);
  else
    puts("no pictures: gnuplot is not installed.");
}

bool bptt_study(const bptt_options *o, const bptt_case *c, bool *agree) {
  const cg_bptt_problem *p = &c->p;
  study s = {.p = p, .prefix = o->out_path, .tolerance = o->tolerance};
  cg_error err = {0};
  bptt_print_head(o, c);
  bool ok = bptt_net_make(&s.net, c, CG_F64) &&
            (!cg_bptt_batch(p, &s.r, &err) || cli_fail("%s", err.message)) &&
            study_ledger(&s) && study_paths(&s) && study_jacobians(&s) &&
            study_truncation(&s) && study_rtrl(&s) && study_costs(&s);
  if (ok) print_end(&s);
  *agree = s.bad == 0;
  cg_bptt_free(&s.r);
  bptt_net_free(&s.net);
  return ok;
}
