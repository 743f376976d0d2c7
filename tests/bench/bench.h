/* bench.h - what benchmark rows share: a clock, repetition, and a line of the
 * table. Machines are shared and noisy: a row is measured many times, and best,
 * median and spread are shown. */
#ifndef CHRONOGRAD_BENCH_H
#define CHRONOGRAD_BENCH_H

#include <stdbool.h>
#include <stddef.h>

/* One thing to measure. `run` does it once; `work` is the number of units in
 * one run (nodes, steps), `flops` its floating-point operations, 0 if they do
 * not bound it. */
typedef struct bench_case {
  const char *row;   /* "rnn H128 B32 T64" */
  const char *unit;  /* of the time shown: "ms", "ns/node", "us/step" */
  double scale;      /* seconds per run -> shown time */
  double flops;
  void (*run)(void *state);
  void *state;
  int repetitions;
} bench_case;

/* Measures and prints one line. */
void bench_measure(const bench_case *c);

/* A line under the last row, for figures that are not times. */
void bench_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Stops the program with a message when a benchmark itself fails. */
void bench_check(bool ok, const char *what);

/* Seconds since some moment. */
double bench_now(void);

/* Peak of float32 fused multiply-adds of one core in flop/s, and bytes/s read
 * from memory, measured now. */
double probe_fma(void);
double probe_bandwidth(void);

/* Is the row wanted? `name` is matched against the --rows argument. */
bool bench_wanted(const char *name);

/* The groups of rows. */
void rows_scalar(void);
void rows_train(void);
void rows_long(void);
void rows_hvp(void);

#endif
