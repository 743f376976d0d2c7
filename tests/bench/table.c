/* table.c - the lines of the table, on the terminal and with tabs. */
#include "bench.h"

#include <stdio.h>

static FILE *tsv;
static bool with_torch;
static int met, missed;

void table_begin(const char *tsv_path, bool against) {
  with_torch = against;
  printf("%-34s %10s %10s %7s %-8s %7s %6s", "row", "median", "best", "spread",
         "unit", "rate", "peak");
  if (against) printf(" %10s %10s %6s %6s", "torch med", "best", "x med",
                      "x best");
  printf("  target\n");
  if (!tsv_path) return;
  tsv = fopen(tsv_path, "w");
  bench_check(tsv, "cannot write the TSV file");
  fprintf(tsv, "row\tmedian\tbest\tp10\tp90\tcount\tunit\trate\tpeak_rate\t"
               "fraction\ttorch_median\ttorch_best\tratio_medians\tratio_bests"
               "\ttargets\tverdict\n");
}

/* One target as text, and whether it is met. */
static bool judge(const target *t, double shown, double fraction,
                  double ratio, const char *unit, char *text, size_t size) {
  if (t->kind == TARGET_FRACTION) {
    snprintf(text, size, "%.0f %% of peak", 100 * t->limit);
    return fraction >= t->limit;
  }
  if (t->kind == TARGET_TORCH) {
    snprintf(text, size, "%g x torch", t->limit);
    return ratio >= t->limit;
  }
  bool least = t->kind == TARGET_AT_LEAST;
  snprintf(text, size, "at %s %g %s", least ? "least" : "most", t->limit, unit);
  return least ? shown >= t->limit : shown <= t->limit;
}

/* The row's targets with their verdicts; those about PyTorch need a ratio. */
static void verdicts(const char *row, double shown, double fraction,
                     double ratio, const char *unit) {
  char all[200] = "", text[64];
  size_t n = 0;
  bool every = true, any = false;
  for (const target *t = NULL; (t = target_next(row, t));) {
    if (t->kind == TARGET_TORCH && !with_torch) continue;
    bool ok = judge(t, shown, fraction, ratio, unit, text, sizeof text);
    *(ok ? &met : &missed) += 1;
    every = every && ok;
    if (n < sizeof all)
      n += (size_t)snprintf(all + n, sizeof all - n, "%s%s: %s",
                            any ? "; " : "", text, ok ? "met" : "MISSED");
    any = true;
  }
  printf("  %s\n", all);
  fflush(stdout);
  if (tsv)
    fprintf(tsv, "\t%s\t%s\n", all, any ? every ? "met" : "missed" : "");
}

void table_line(const bench_case *c, const sample *s, double peak,
                const sample *theirs) {
  double rate = c->bound ? c->work / s->best : 0;
  double fraction = peak > 0 ? rate / peak : 0;
  double bests = theirs ? theirs->best / s->best : 0;
  double medians = theirs ? theirs->median / s->median : 0;
  double spread = 100 * (s->high - s->low) / s->median;
  printf("%-34s %10.4g %10.4g %5.0f %% %-8s", c->row, s->median * c->scale,
         s->best * c->scale, spread, c->unit);
  if (peak > 0)
    printf(" %7.1f %4.0f %%", rate * 1e-9, 100 * fraction);
  else
    printf(" %7s %6s", "", "");
  if (theirs)
    printf(" %10.4g %10.4g %6.2f %6.2f", theirs->median * c->scale,
           theirs->best * c->scale, medians, bests);
  else if (with_torch)
    printf(" %10s %10s %6s %6s", "", "", "", "");
  if (tsv)
    fprintf(tsv, "%s\t%g\t%g\t%g\t%g\t%zu\t%s\t%g\t%g\t%g\t%g\t%g\t%g\t%g",
            c->row, s->median * c->scale, s->best * c->scale,
            s->low * c->scale, s->high * c->scale, s->count, c->unit, rate,
            peak, fraction, theirs ? theirs->median * c->scale : 0,
            theirs ? theirs->best * c->scale : 0, medians, bests);
  verdicts(c->row, s->best * c->scale, fraction, bests, c->unit);
}

void bench_value(const char *row, double value, const char *unit) {
  printf("%-34s %10.4g %10s %7s %-8s %7s %6s", row, value, "", "", unit, "",
         "");
  if (with_torch) printf(" %10s %10s %6s %6s", "", "", "", "");
  if (tsv)
    fprintf(tsv, "%s\t%g\t\t\t\t\t%s\t\t\t\t\t\t\t", row, value, unit);
  verdicts(row, value, 0, 0, unit);
}

void table_end(void) {
  printf("\nmedian, best, spread (10 %% to 90 %% of the times, over the "
         "median); rate in GF/s (matrix\nproducts only, counted exactly) or "
         "GB/s of the best time; peak: that rate over what a\nprobe in turns "
         "with the row reached. Verdicts are on the best times: %d targets "
         "met,\n%d missed.%s\n",
         met, missed,
         with_torch ? "" : " Ratios to PyTorch: --against torch.");
  if (with_torch) printf("PyTorch %s, one thread.\n", torch_version());
  if (tsv && fclose(tsv)) bench_check(false, "cannot write the TSV file");
}
