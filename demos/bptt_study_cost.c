/* bptt_study_cost.c - statement 8: real-time recurrent learning gives the same
 * gradient; and what it, the recursion and the long form cost. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bptt_study.h"
#include "cli.h"

bool study_rtrl(study *s) {
  const cg_bptt_problem *p = s->p;
  cg_error err = {0};
  cg_bptt_result r;
  puts("\n8. Real-time recurrent learning: the same gradient, forward in time");
  if ((double)p->H * (double)p->H * (double)(p->D + 2 * p->H + 1) > 1e8) {
    puts("  left out: the influence matrix of so many units is too large");
    return true;
  }
  if (cg_bptt_rtrl(p, &r, &err)) return cli_fail("%s", err.message);
  double worst = study_distance(&r.loss, &s->r.loss, 1);
  worst = fmax(worst, study_distance(r.dW_hh, s->r.dW_hh, p->H * p->H));
  worst = fmax(worst, study_distance(r.dW_xh, s->r.dW_xh, p->H * p->D));
  worst = fmax(worst, study_distance(r.dW_hy, s->r.dW_hy, p->K * p->H));
  worst = fmax(worst, study_distance(r.db_h, s->r.db_h, p->H));
  worst = fmax(worst, study_distance(r.db_y, s->r.db_y, p->K));
  worst = fmax(worst, study_distance(r.dh_0, s->r.dh_0, p->B * p->H));
  study_check(s, "all gradients of RTRL = those of BPTT", worst);
  cg_bptt_free(&r);
  return true;
}

/* ---- costs ---- */

static const char cost_script[] =
    "set title 'One gradient of W_{hh}, 16 units, one sequence'\n"
    "set xlabel 'steps T'\n"
    "set ylabel 'seconds'\n"
    "set logscale x 2\n"
    "set logscale y\n"
    "set format y '10^{%T}'\n"
    "set grid\n"
    "set key top left\n"
    "plot table skip 1 using 1:2 with linespoints pt 7 "
    "title 'recursion (BPTT): T', "
    "table skip 1 using 1:3 with linespoints pt 7 "
    "title 'long form, path by path: T^2', "
    "table skip 1 using 1:4 with linespoints pt 7 "
    "title 'RTRL: T, but H^4 a step'\n";

/* Counts what is held, and the most of it. */
typedef struct meter {
  cg_allocator allocator;
  size_t held, peak;
} meter;

static void *meter_alloc(void *context, size_t size) {
  meter *m = context;
  const cg_allocator *heap = cg_allocator_default();
  void *block = heap->alloc(heap->context, size);
  if (block) m->held += size;
  if (m->held > m->peak) m->peak = m->held;
  return block;
}

static void meter_release(void *context, void *block, size_t size) {
  meter *m = context;
  const cg_allocator *heap = cg_allocator_default();
  m->held -= size;
  heap->release(heap->context, block, size);
}

enum { RECURSION, LONG_FORM, RTRL, WAYS };

static bool run_once(const cg_bptt_problem *p, int way) {
  cg_bptt_result r = {0};
  cg_bptt_paths paths = {0};
  cg_status status = way == RTRL ? cg_bptt_rtrl(p, &r, NULL)
                                 : cg_bptt_batch(p, &r, NULL);
  if (!status && way == LONG_FORM)
    status = cg_bptt_paths_make(p, &r, CG_BPTT_W_HH, &paths, NULL);
  cg_bptt_paths_free(&paths);
  cg_bptt_free(&r);
  return status == CG_OK;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one run, the best of several; peak bytes. */
static bool measure(cg_bptt_problem p, int way, double *seconds,
                    size_t *bytes) {
  meter m = {.allocator = {meter_alloc, meter_release, &m}};
  p.allocator = &m.allocator;
  *seconds = INFINITY;
  double begin = now();
  for (int i = 0; i < 2 || (i < 50 && now() - begin < 0.02); i++) {
    double start = now();
    if (!run_once(&p, way)) return cli_fail("out of memory for the costs");
    *seconds = fmin(*seconds, now() - start);
  }
  *bytes = m.peak;
  return true;
}

static bool print_cost(const bptt_case *c, int64_t size, FILE *to,
                       double seconds[WAYS]) {
  size_t bytes[WAYS];
  for (int way = 0; way < WAYS; way++)
    if (!measure(c->p, way, &seconds[way], &bytes[way])) return false;
  if (to)
    fprintf(to, "%lld\t%.4g\t%.4g\t%.4g\t%zu\t%zu\t%zu\n", (long long)size,
            seconds[0], seconds[1], seconds[2], bytes[0], bytes[1], bytes[2]);
  printf("  %6lld %11.3g %11.3g %11.3g %11zu %11zu %11zu\n", (long long)size,
         seconds[0], seconds[1], seconds[2], bytes[0], bytes[1], bytes[2]);
  return true;
}

static void print_cost_head(const char *size) {
  printf("  %6s %11s %11s %11s %11s %11s %11s\n", "", "seconds", "", "",
         "bytes", "", "");
  printf("  %6s %11s %11s %11s %11s %11s %11s\n", size, "recursion",
         "long form", "RTRL", "recursion", "long form", "RTRL");
}

/* Rows for sizes first, 2 first, ... last of T or H; prints by what the last
 * doubling multiplied each time. */
static bool cost_table(study *s, const char *name, const char *script,
                       bool by_steps, int64_t first, int64_t last) {
  bool ok;
  FILE *to = study_open(s, name, &ok);
  double seconds[2][WAYS] = {{0}};
  if (to)
    fprintf(to, "%s\trecursion\tlong\trtrl\trecursion_bytes\tlong_bytes\t"
                "rtrl_bytes\n",
            by_steps ? "T" : "H");
  print_cost_head(by_steps ? "T" : "H");
  int row = 0;
  for (int64_t n = first; n <= last && ok; n *= 2, row++) {
    bptt_options o = {.steps = by_steps ? n : 64, .batch = 1, .input = 4,
                      .hidden = by_steps ? 16 : n, .classes = 4,
                      .dtype = CG_F64, .seed = 1};
    bptt_case c;
    ok = bptt_case_make(&c, &o) && print_cost(&c, n, to, seconds[row % 2]);
    bptt_case_free(&c);
  }
  const double *end = seconds[(row + 1) % 2], *before = seconds[row % 2];
  if (ok)
    printf("  the last doubling multiplied the times by %.1f, %.1f and %.1f\n",
           end[0] / before[0], end[1] / before[1], end[2] / before[2]);
  return study_close(s, to, name, script) && ok;
}

bool study_costs(study *s) {
  puts("\nCosts of one gradient (one sequence, 4 inputs, 4 classes), 16 "
       "units:");
  if (!cost_table(s, "cost", cost_script, true, 16, 512)) return false;
  puts("\nand 64 steps:");
  return cost_table(s, "cost_units", NULL, false, 4, 32);
}
