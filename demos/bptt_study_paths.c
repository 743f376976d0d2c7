/* bptt_study_paths.c - statement 5: the gradient as the sum of all causal
 * paths, and which lags teach. */
#include <math.h>

#include "bptt_study.h"
#include "cli.h"

static const char paths_script[] =
    "set title 'Which paths teach: log_{10} of the norm of C(t, k), W_{hh}'\n"
    "set xlabel 'step k, where the weight was used'\n"
    "set ylabel 'step t, whose loss it is'\n"
    "set size ratio -1\n"
    "set palette defined (0 '#f7fbff', 1 '#6baed6', 2 '#08306b')\n"
    "set autoscale fix\n"
    "set cblabel 'log_{10} norm'\n"
    "stats table skip 1 using ($3 > 0 ? log10($3) : 1/0) nooutput\n"
    "floor = STATS_max - 16\n"
    "set cbrange [(STATS_min < floor ? floor : STATS_min):STATS_max]\n"
    "unset key\n"
    "plot table skip 1 using 2:1:($3 > 0 ? log10($3) : 1/0) with image\n";

static const char lags_script[] =
    "set title 'Which lags teach: the share of each in the gradient of "
    "W_{hh}'\n"
    "set xlabel 'lag t - k'\n"
    "set ylabel 'share <C, G> / <G, G>'\n"
    "set grid\n"
    "set style fill solid 0.6\n"
    "set boxwidth 0.8\n"
    "unset key\n"
    "plot table skip 1 using 1:3 with boxes lc '#08519c'\n";

static bool write_paths(study *s, const cg_bptt_paths *paths) {
  const int64_t T = s->p->T;
  bool ok;
  FILE *to = study_open(s, "paths", &ok);
  if (to) fputs("t\tk\tnorm\tshare\n", to);
  for (int64_t t = 0; to && t < T; t++)
    for (int64_t k = 0; k < T; k++) /* zeros for k > t: a whole grid */
      fprintf(to, "%lld\t%lld\t%.9g\t%.9g\n", (long long)t + 1,
              (long long)k + 1, paths->norm[t * T + k],
              paths->share[t * T + k]);
  return study_close(s, to, "paths", T > 1 ? paths_script : NULL) && ok;
}

static bool print_lags(study *s, const cg_bptt_paths *paths) {
  bool ok;
  FILE *to = study_open(s, "lags", &ok);
  double so_far = 0;
  if (to) fputs("lag\tnorm\tshare\n", to);
  printf("  %6s %14s %12s %12s\n", "lag", "|sum C(t,t-lag)|", "share",
         "up to it");
  for (int64_t lag = 0, next = 0; lag < s->p->T; lag++) {
    so_far += paths->lag_share[lag];
    if (to)
      fprintf(to, "%lld\t%.9g\t%.9g\n", (long long)lag, paths->lag_norm[lag],
              paths->lag_share[lag]);
    if (lag != next) continue;
    printf("  %6lld %16.4g %11.2f%% %11.2f%%\n", (long long)lag,
           paths->lag_norm[lag], 100 * paths->lag_share[lag], 100 * so_far);
    next = study_next_row(lag);
  }
  return study_close(s, to, "lags", lags_script) && ok;
}

bool study_paths(study *s) {
  const cg_bptt_problem *p = s->p;
  cg_error err = {0};
  cg_bptt_paths paths;
  if (cg_bptt_paths_make(p, &s->r, CG_BPTT_W_HH, &paths, &err))
    return cli_fail("%s", err.message);
  printf("\n5. The long form: dW_hh = sum over t, k <= t of C(t, k), %lld "
         "paths\n",
         (long long)(p->T * (p->T + 1) / 2));
  bool ok = print_lags(s, &paths) && write_paths(s, &paths);
  if (ok)
    study_check(s, "sum of all paths = gradient of the recursion",
                study_distance(paths.total, s->r.dW_hh, p->H * p->H));
  cg_bptt_paths_free(&paths);
  return ok;
}
