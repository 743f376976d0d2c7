/* bench.h - what the groups of benchmark rows share.
 *
 * Machines are shared and noisy: a row is measured many times, in turns with a
 * probe of what this core can do at best at that moment, and best, median and
 * spread are shown. A group is a function rows_<group> in rows_<group>.c, made
 * known by one line in groups.h.
 */
#ifndef CHRONOGRAD_BENCH_H
#define CHRONOGRAD_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What bounds a row's speed, so that a fraction of it can be shown. */
typedef enum bench_bound {
  BOUND_NONE,
  BOUND_F32,   /* `work` in floating-point operations, float32 */
  BOUND_F64,   /* the same, float64 */
  BOUND_READ,  /* `work` in bytes read, over a set of that many bytes */
  BOUND_TRIAD  /* `work` in bytes, a third of them written */
} bench_bound;

/* One thing to measure. */
typedef struct bench_case {
  const char *row;  /* "train rnn H128 B32 T64" */
  const char *unit; /* of the time shown: "ms", "ns/node", "us/step" */
  double scale;     /* seconds -> shown time */
  bench_bound bound;
  double work; /* of one time: flops, counted exactly, or bytes */
  void (*run)(void *state);
  void *state;
  int per_run; /* how often a run does it, so many times in one; unset: 1 */
  const char *torch; /* the same work for against_torch.py, or NULL */
} bench_case;

/* Is the row wanted? With --list prints its name instead. */
bool bench_wanted(const char *row);
/* With --quick: less time per row, and no rows that need much of it. */
bool bench_quick(void);

/* Measures and prints one line. Returns the best time in the row's unit. */
double bench_measure(const bench_case *c);

/* A line for a figure that is no time of ours to take: bytes, a ratio. */
void bench_value(const char *row, double value, const char *unit);

/* A line under the last row, for those who want to know more. */
void bench_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Stops the program with a message when a benchmark itself fails. */
void bench_check(bool ok, const char *what);

/* Seconds since some moment. */
double bench_now(void);

/* The same, or with --cpu seconds of the processor's work for this process. */
double bench_clock(void);

/* ---- inside of the program ---- */

/* Times of one row, in seconds. */
typedef struct sample {
  double best, median, low, high; /* low and high: 10 % and 90 % */
  size_t count;
} sample;

/* Sorts and sums up n > 0 times (measure.c). */
sample sample_of(double *times, size_t n);
/* The same of n > 0 rounds of one row: the medians' median. */
sample sample_merge(const sample *rounds, size_t n);
/* Runs the case for `seconds`; *peak becomes the best of what the probe said
 * meanwhile, in work per second, if it has a bound. */
sample measure_for(const bench_case *c, double seconds, double *peak);

/* The most of `bound` that this core did just now, per second (probe.c). */
double probe_once(bench_bound bound, double bytes);
/* How many times as many multiply-adds two threads of this machine do as one:
 * the most that a second thread can be worth just now. */
double probe_two_threads(void);

/* Asks an installed PyTorch for the same work (against.c): a pipe to a Python
 * program, which works when asked only. */
bool torch_begin(void); /* false: there is none; said on stderr */
void torch_end(void);
const char *torch_version(void);
/* Its times for `seconds` of work; false if it does not know that work. */
bool torch_measure(const char *work, double seconds, sample *s);

/* Prints a row (table.c). `theirs` is NULL without PyTorch. */
void table_begin(const char *tsv_path, bool against);
void table_line(const bench_case *c, const sample *ours, double peak,
                const sample *theirs);
void table_end(void);

/* The target of a row (targets.c). */
typedef enum target_kind {
  TARGET_NONE,
  TARGET_AT_MOST,  /* in the row's unit */
  TARGET_AT_LEAST, /* the same */
  TARGET_FRACTION, /* of the peak */
  TARGET_TORCH     /* at least so many times as fast as PyTorch */
} target_kind;

typedef struct target {
  const char *row;
  target_kind kind;
  double limit;
} target;

/* The targets of `row` from the one behind *after on (NULL: the first); NULL at
 * their end. */
const target *target_next(const char *row, const target *after);

#endif
