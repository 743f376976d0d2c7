/* rows_threads.c - train steps on two threads, the batch in shards, in turns
 * with the plain step on one; how much of what is missing to twice as fast the
 * shards alone cost, and how much the machine; and the same bits for one thread
 * and two. */
#include <chronograd/nn.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
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

static double seconds_of_row(void) { return bench_quick() ? 0.5 : 4; }

/* How many times as fast `two` is as `one`: bests, in turns. */
static double speed_up(train_job *one, train_job *two) {
  double best[2] = {INFINITY, INFINITY}, start = bench_now();
  while (bench_now() - start < seconds_of_row()) {
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

/* ---- two nets at once ---- */

/* A net with half of the batch, of two that share nothing. */
typedef struct half {
  train_job *job;
  pthread_barrier_t *both;
  atomic_bool *alone; /* the other one's turn has ended */
  double best;
} half;

static void *turn_of_half(void *argument) {
  half *h = argument;
  pthread_barrier_wait(h->both);
  double start = bench_now();
  for (int i = 0; i < TURN_STEPS || bench_now() - start < TURN; i++) {
    double seconds = seconds_of(h->job);
    if (!atomic_load(h->alone)) h->best = fmin(h->best, seconds);
  }
  atomic_store(h->alone, true);
  return NULL;
}

static void turn_of_halves(half *h) {
  pthread_t thread;
  atomic_store(h->alone, false);
  bench_check(!pthread_create(&thread, NULL, turn_of_half, &h[1]), "no thread");
  turn_of_half(&h[0]);
  pthread_join(thread, NULL);
}

/* What both together get done, over `one`: bests, in turns, of each for itself,
 * which need not fall together. */
static double speed_up_of_halves(train_job *one, half *h) {
  double best = INFINITY, start = bench_now();
  while (bench_now() - start < seconds_of_row()) {
    best = best_of_turn(one, best);
    turn_of_halves(h);
  }
  return best / 2 * (1 / h[0].best + 1 / h[1].best);
}

/* A bound from above for two threads that share a net. */
static void row_apart(train_shape s, const char *name, train_job *plain) {
  char ratio[96];
  snprintf(ratio, sizeof ratio, "%s, two nets at once, over one", name);
  if (!bench_wanted(ratio)) return;
  pthread_barrier_t both;
  atomic_bool alone = false;
  pthread_barrier_init(&both, NULL, 2);
  s.threads = 0;
  s.B /= 2;
  half h[2];
  for (int i = 0; i < 2; i++)
    h[i] = (half){train_job_new(&s), &both, &alone, INFINITY};
  bench_value(ratio, speed_up_of_halves(plain, h), "x");
  for (int i = 0; i < 2; i++) train_job_free(h[i].job);
  pthread_barrier_destroy(&both);
}

/* ---- one net ---- */

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
  row_apart(s, name, one);
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
