/* bptt_study_truncation.c - statement 7: full against truncated, as the horizon
 * grows; and truncated BPTT on the tape against the explicit sum. */
#include <math.h>
#include <stdlib.h>

#include "bptt_study.h"
#include "cli.h"
#include "spectrum.h"

static const char truncation_script[] =
    "set title 'What truncation costs: the gradient against the whole one'\n"
    "set xlabel 'horizon'\n"
    "set ylabel 'relative error'\n"
    "set format y '10^{%T}'\n"
    "set logscale y\n"
    "set grid\n"
    "plot table skip 1 using 1:($2 > 1e-17 ? $2 : 1/0) with linespoints pt 7 "
    "title 'W_{hh}', "
    "table skip 1 using 1:($4 > 1e-17 ? $4 : 1/0) with linespoints pt 7 "
    "title 'W_{xh}', "
    "table skip 1 using 1:($6 > 1e-17 ? $6 : 1/0) with linespoints pt 7 "
    "title 'b_h'\n";

enum { PARAMETERS = 3 };

static void gradients(const study *s, const cg_bptt_result *r,
                      const double *g[PARAMETERS], int64_t n[PARAMETERS]) {
  const cg_bptt_problem *p = s->p;
  g[0] = r->dW_hh;
  g[1] = r->dW_xh;
  g[2] = r->db_h;
  n[0] = p->H * p->H;
  n[1] = p->H * p->D;
  n[2] = p->H;
}

static double cosine(const double *a, const double *b, int64_t n) {
  double aa = spectrum_norm(a, n), bb = spectrum_norm(b, n), ab = 0;
  if (aa == 0 || bb == 0) return NAN;
  for (int64_t i = 0; i < n; i++) ab += (a[i] / aa) * (b[i] / bb);
  return ab;
}

/* Paths that count with horizon k2 and period k1. */
static void set_weights(double *weight, int64_t T, int64_t k1, int64_t k2) {
  for (int64_t t = 1; t <= T; t++)
    for (int64_t k = 1; k <= T; k++) {
      int64_t e = (t + k1 - 1) / k1 * k1;
      int64_t cut = k1 == k2 ? e - k1 : (e < T ? e : T) - k2;
      weight[(t - 1) * T + k - 1] = k <= t && k > cut;
    }
}

static bool truncated(const study *s, double *weight, int64_t k1, int64_t k2,
                      cg_bptt_result *r) {
  cg_error err = {0};
  set_weights(weight, s->p->T, k1, k2);
  return !cg_bptt_window_sum(s->p, &s->r, weight, r, &err) ||
         cli_fail("%s", err.message);
}

/* ---- the table ---- */

static bool one_horizon(study *s, double *weight, int64_t horizon, bool print,
                        FILE *to) {
  const double *g[PARAMETERS], *full[PARAMETERS];
  int64_t n[PARAMETERS];
  double error[PARAMETERS], cos[PARAMETERS];
  cg_bptt_result r;
  if (!truncated(s, weight, 1, horizon, &r)) return false;
  gradients(s, &r, g, n);
  gradients(s, &s->r, full, n);
  for (int i = 0; i < PARAMETERS; i++) {
    double apart = study_distance(g[i], full[i], n[i]);
    double larger = fmax(spectrum_norm(g[i], n[i]),
                         spectrum_norm(full[i], n[i]));
    double norm = spectrum_norm(full[i], n[i]);
    error[i] = norm > 0 ? apart * larger / norm : apart;
    cos[i] = cosine(g[i], full[i], n[i]);
  }
  if (to)
    fprintf(to, "%lld\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\n",
            (long long)horizon, error[0], cos[0], error[1], cos[1], error[2],
            cos[2]);
  if (print)
    printf("  %7lld %10.1e %9.6f %10.1e %9.6f %10.1e %9.6f\n",
           (long long)horizon, error[0], cos[0], error[1], cos[1], error[2],
           cos[2]);
  cg_bptt_free(&r);
  return true;
}

static bool print_horizons(study *s, double *weight) {
  bool ok;
  FILE *to = study_open(s, "truncation", &ok);
  if (to)
    fputs("horizon\tW_hh\tcosine\tW_xh\tcosine\tb_h\tcosine\n", to);
  printf("  %7s %10s %9s %10s %9s %10s %9s\n", "horizon", "W_hh", "cosine",
         "W_xh", "cosine", "b_h", "cosine");
  for (int64_t c = 1, next = 1; c <= s->p->T && ok; c++) {
    bool print = c == next || c == s->p->T;
    ok = one_horizon(s, weight, c, print, to);
    if (c == next) next = study_next_row(c);
  }
  return study_close(s, to, "truncation",
                     s->p->T > 1 ? truncation_script : NULL) && ok;
}

/* ---- the tape ---- */

static cg_tensor *window_loss(study *s, cg_window w, cg_tensor *h) {
  const cg_bptt_problem *p = s->p;
  cg_tape *tape = s->net.tape;
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(w.end - w.fresh, p->B),
                           p->y + w.fresh * p->B);
  cg_tensor *o = cg_linear_layer_forward(tape, s->net.fc, h);
  double scale = 1;
  if (p->over_steps == CG_REDUCE_MEAN) scale /= (double)p->T;
  if (p->over_batch == CG_REDUCE_MEAN) scale /= (double)p->B;
  return cg_mul_scalar(
      tape, cg_cross_entropy_loss(tape, o, y, CG_REDUCE_SUM, CG_REDUCE_SUM),
      scale);
}

static bool walk_windows(study *s, cg_tbptt *tb) {
  const cg_bptt_problem *p = s->p;
  cg_tape *tape = s->net.tape;
  cg_params_zero_grad(s->net.params);
  for (;;) {
    cg_window w = cg_tbptt_next(tb, p->T);
    if (w.begin == w.end) return true;
    cg_tape_reset(tape);
    cg_tensor *x =
        cg_borrow(tape, CG_F64, CG_DIMS(w.end - w.begin, p->B, p->D),
                  p->x + w.begin * p->B * p->D);
    cg_tensor *h = cg_tbptt_forward(tb, tape, x);
    cg_backward(tape, window_loss(s, w, h));
    if (!bptt_net_fine(&s->net)) return false;
  }
}

static bool check_tape(study *s, double *weight, int64_t k1, int64_t k2,
                       const char *what) {
  static const char *const names[PARAMETERS] = {
      "rnn.weight_hh_l0", "rnn.weight_ih_l0", "rnn.bias_ih_l0"};
  const double *g[PARAMETERS];
  int64_t n[PARAMETERS];
  cg_error err = {0};
  cg_bptt_result want;
  if (!truncated(s, weight, k1, k2, &want)) return false;
  gradients(s, &want, g, n);
  cg_tbptt *tb = cg_tbptt_new(
      s->net.rnn, &(cg_tbptt_config){.horizon = k2, .period = k1}, NULL, &err);
  cg_rnn_state first = {.h = cg_reshape(s->net.tape, s->net.h0,
                                        CG_DIMS(1, s->p->B, s->p->H))};
  bool ok = (tb && !cg_tbptt_restart(tb, first, &err)) ||
            cli_fail("%s", err.message);
  ok = ok && walk_windows(s, tb);
  double worst = 0;
  for (int i = 0; i < PARAMETERS && ok; i++)
    worst = fmax(worst, study_distance(cg_tensor_data(cg_tensor_grad(
                                           cg_params_find(s->net.params,
                                                          names[i]))),
                                       g[i], n[i]));
  if (ok) study_check(s, what, worst);
  cg_tbptt_free(tb);
  cg_bptt_free(&want);
  return ok;
}

bool study_truncation(study *s) {
  const int64_t T = s->p->T, half = T > 1 ? T / 2 : 1;
  double *weight = malloc((size_t)(T * T) * sizeof *weight);
  if (!weight) return cli_fail("out of memory for the windows");
  puts("\n7. Full against truncated: sliding windows, relative error and "
       "cosine");
  bool ok = print_horizons(s, weight) &&
            check_tape(s, weight, 1, half,
                       "sliding windows on the tape = sum of their paths") &&
            check_tape(s, weight, half, half,
                       "windows side by side = sum of their paths") &&
            check_tape(s, weight, T, T, "a horizon of all steps = BPTT");
  free(weight);
  return ok;
}
