/* rows_threads.c - train steps on two threads, the batch in shards, in turns
 * with the plain step on one; how much of what is missing to twice as fast the
 * shards alone cost; and the same bits for one thread and two. */
#include <chronograd/nn.h>

#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

/* A turn is so many steps and seconds: in a training loop the worker is awake
 * and the caches hold what belongs to the net. */
#define TURN 20e-3
enum { SAME_STEPS = 3, TURN_STEPS = 2 };

static void step(void *state) { train_job_step(state); }

static double seconds_of(train_job *j) {
  double start = bench_now();
  train_job_step(j);
  return bench_now() - start;
}

static double best_of_turn(train_job *j, double best) {
  double start = bench_now();
  for (int i = 0; i < TURN_STEPS || bench_now() - start < TURN; i++)
    best = fmin(best, seconds_of(j));
  return best;
}

/* How many times as fast `two` is as `one`: bests, in turns. */
static double speed_up(train_job *one, train_job *two) {
  double best[2] = {INFINITY, INFINITY}, start = bench_now();
  double seconds = bench_quick() ? 0.5 : 4;
  while (bench_now() - start < seconds) {
    best[0] = best_of_turn(one, best[0]);
    best[1] = best_of_turn(two, best[1]);
  }
  return best[0] / best[1];
}

static void check_bits(const train_shape *shape, int threads) {
  train_shape s = *shape;
  s.threads = 1;
  train_job *one = train_job_new(&s);
  s.threads = threads;
  train_job *many = train_job_new(&s);
  for (int i = 0; i < SAME_STEPS; i++) {
    train_job_step(one);
    train_job_step(many);
  }
  bench_check(train_job_same(one, many), "other bits with more threads");
  train_job_free(one);
  train_job_free(many);
}

/* As many shards one after the other on one thread: what is lost there is not
 * the second thread's fault. */
static void row_in_turn(train_shape s, const char *name, train_job *plain) {
  char ratio[96];
  snprintf(ratio, sizeof ratio, "%s' shards on one, over one", name);
  if (!bench_wanted(ratio)) return;
  s.threads = 1;
  train_job *in_turn = train_job_new(&s);
  bench_value(ratio, speed_up(plain, in_turn), "x");
  train_job_free(in_turn);
}

static void row(train_shape s) {
  char name[64], ratio[96];
  train_name(&s, name, sizeof name);
  snprintf(ratio, sizeof ratio, "%s, over one", name);
  if (!bench_wanted(name)) return;
  check_bits(&s, s.threads);
  train_job *two = train_job_new(&s);
  bench_measure(&(bench_case){.row = name, .unit = "ms", .scale = 1e3,
                              .run = step, .state = two});
  s.threads = 0;
  train_job *one = train_job_new(&s);
  bench_value(ratio, speed_up(one, two), "x");
  train_job_free(two);
  row_in_turn(s, name, one);
  train_job_free(one);
}

void rows_threads(void) {
  const char *probe = "train, multiply-adds of 2 threads over one";
  if (bench_wanted(probe)) bench_value(probe, probe_two_threads(), "x");
  for (int i = 0; i < train_shape_count; i++) {
    train_shape s = train_shapes[i];
    if (s.B < 32) continue;
    s.threads = 2;
    row(s);
  }
}
