/* bench.c - the benchmark program: options, and the groups of rows in turn.
 *
 * Everything runs on one thread: the variables that tell matrix libraries so
 * are read when these are loaded, hence the program starts itself again with
 * them set. */
#include "bench.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "groups.h"

static const char *pattern = "*", *tsv_path;
static bool quick, only_list, against, cpu;

double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool bench_quick(void) { return quick; }

bool bench_wanted(const char *row) {
  if (fnmatch(pattern, row, 0)) return false;
  if (only_list) puts(row);
  return !only_list;
}

double bench_clock(void) {
  if (!cpu) return bench_now();
  struct timespec t;
  struct rusage ended; /* children that have ended */
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  getrusage(RUSAGE_CHILDREN, &ended);
  struct timeval u = ended.ru_utime, s = ended.ru_stime;
  return (double)(t.tv_sec + u.tv_sec + s.tv_sec) + 1e-9 * (double)t.tv_nsec +
         1e-6 * (double)(u.tv_usec + s.tv_usec);
}

void bench_note(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  printf("    ");
  vprintf(fmt, args);
  printf("\n");
  va_end(args);
  fflush(stdout);
}

double bench_measure(const bench_case *c) {
  enum { ROUNDS = 5 };
  double seconds = quick ? 0.2 : 1.5, peak = 0, more = 0;
  if (!against) {
    sample ours = measure_for(c, seconds, &peak);
    table_line(c, &ours, peak, NULL);
    return ours.best * c->scale;
  }
  sample ours[ROUNDS], theirs[ROUNDS];
  bool known = c->torch;
  for (int i = 0; i < ROUNDS; i++) { /* in turns */
    ours[i] = measure_for(c, seconds / ROUNDS, &more);
    if (more > peak) peak = more;
    if (known) known = torch_measure(c->torch, seconds / ROUNDS, &theirs[i]);
  }
  sample us = sample_merge(ours, ROUNDS), them = us;
  if (known) them = sample_merge(theirs, ROUNDS);
  table_line(c, &us, peak, known ? &them : NULL);
  return us.best * c->scale;
}

/* ---- options ---- */

static void usage(FILE *to) {
  fprintf(to,
          "usage: bench [--rows PATTERN] [--quick] [--list] [--tsv FILE]\n"
          "             [--against torch] [--cpu]\n"
          "  --rows PATTERN  rows whose name contains PATTERN; * and ? match\n"
          "  --quick         less time for each row, and no large ones\n"
          "  --list          the names of the rows only\n"
          "  --tsv FILE      writes the table also with tabs\n"
          "  --against torch the same work in PyTorch, in turns with ours\n"
          "  --cpu           times of the processor's work, which on a busy\n"
          "                  machine are nearer to what an idle one takes\n");
}

static const char *containing(const char *text) {
  size_t size = 256;
  char *glob = malloc(size);
  bench_check(glob && (size_t)snprintf(glob, size, "*%s*", text) < size,
              "the pattern is too long");
  return glob;
}

static void options(int argc, char **argv) {
  static const struct option list[] = {
      {"rows", 1, NULL, 'r'},  {"tsv", 1, NULL, 't'}, {"quick", 0, NULL, 'q'},
      {"list", 0, NULL, 'l'},  {"help", 0, NULL, 'h'},
      {"against", 1, NULL, 'a'}, {"cpu", 0, NULL, 'c'}, {NULL, 0, NULL, 0}};
  int c;
  while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) switch (c) {
      case 'r': pattern = containing(optarg); break;
      case 't': tsv_path = optarg; break;
      case 'q': quick = true; break;
      case 'l': only_list = true; break;
      case 'a':
        bench_check(!strcmp(optarg, "torch"), "only --against torch is known");
        against = true;
        break;
      case 'c':
        cpu = true;
        setenv("BENCH_CPU", "1", 1); /* for against_torch.py */
        break;
      case 'h': usage(stdout); exit(0);
      default: usage(stderr); exit(2);
    }
  if (optind < argc) usage(stderr), exit(2);
}

static void one_thread(char **argv) {
  static const char *const names[] = {"OPENBLAS_NUM_THREADS",
                                      "MKL_NUM_THREADS", "OMP_NUM_THREADS"};
  bool changed = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value && !strcmp(value, "1")) continue;
    setenv(names[i], "1", 1);
    changed = true;
  }
  if (changed) execv("/proc/self/exe", argv); /* or go on as it is */
}

int main(int argc, char **argv) {
  one_thread(argv);
  options(argc, argv);
  if (!only_list && against) against = torch_begin();
  if (!only_list) table_begin(tsv_path, against);
#define BENCH_RUN(group) rows_##group();
  BENCH_GROUPS(BENCH_RUN)
#undef BENCH_RUN
  if (!only_list) table_end();
  if (against) torch_end();
  return 0;
}
