/* probe.c - what this core can do at best: multiply-adds in registers, and
 * streams through memory of a given size. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#if defined(__x86_64__) && defined(__GNUC__) && __GNUC__ >= 12 && \
    !defined(__clang__)
#define CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

/* ---- multiply-adds ---- */

/* Enough independent accumulators to fill two pipelines of any width. */
enum { BYTES = 64, CHAINS = 12, ROUNDS = 30000 };

/* CHAINS * (lanes of T) multiply-adds per round, in registers. */
#define FMA(name, T)                                                    \
  typedef T name##_lanes __attribute__((vector_size(BYTES)));           \
  CLONES static T name(int rounds, T x) {                               \
    name##_lanes a = {0}, b, c[CHAINS];                                 \
    a += x;                                                             \
    b = a * (T)0.5;                                                     \
    for (int j = 0; j < CHAINS; j++) c[j] = a * (T)j;                   \
    for (int i = 0; i < rounds; i++) {                                  \
      _Pragma("GCC unroll 16") for (int j = 0; j < CHAINS; j++) c[j] =  \
          c[j] * a + b;                                                 \
    }                                                                   \
    name##_lanes sum = c[0];                                            \
    for (int j = 1; j < CHAINS; j++) sum += c[j];                       \
    return sum[0];                                                      \
  }

FMA(fma_f32, float)
FMA(fma_f64, double)

static double fma_rate(bool f64) {
  volatile double sink;
  double start = bench_clock();
  sink = f64 ? fma_f64(ROUNDS, 0.999) : (double)fma_f32(ROUNDS, 0.999f);
  (void)sink;
  double lanes = BYTES / (f64 ? sizeof(double) : sizeof(float));
  return 2.0 * lanes * CHAINS * ROUNDS / (bench_clock() - start);
}

/* ---- multiply-adds of two threads ---- */

enum { TURNS = 41, PAIR_ROUNDS = 10 * ROUNDS };

static double fma_seconds(void) {
  volatile float sink;
  double start = bench_now();
  sink = fma_f32(PAIR_ROUNDS, 0.999f);
  (void)sink;
  return bench_now() - start;
}

typedef struct half {
  pthread_barrier_t *both;
  double seconds;
} half;

static void *run_half(void *state) {
  half *h = state;
  pthread_barrier_wait(h->both);
  h->seconds = fma_seconds();
  return NULL;
}

/* The time until both are done. */
static double pair_seconds(void) {
  pthread_barrier_t both;
  pthread_t thread;
  half mine = {&both, 0}, other = {&both, 0};
  pthread_barrier_init(&both, NULL, 2);
  bench_check(!pthread_create(&thread, NULL, run_half, &other), "no thread");
  run_half(&mine);
  pthread_join(thread, NULL);
  pthread_barrier_destroy(&both);
  return fmax(mine.seconds, other.seconds);
}

double probe_two_threads(void) {
  double ratio[TURNS];
  for (int i = 0; i < TURNS; i++) {
    double one = fma_seconds();
    ratio[i] = 2 * one / pair_seconds();
  }
  return sample_of(ratio, TURNS).median;
}

/* ---- streams ---- */

CLONES static float read_all(const float *x, size_t n) {
  float lane[64] = {0}, total = 0;
  for (size_t i = 0; i + 64 <= n; i += 64)
    for (size_t j = 0; j < 64; j++) lane[j] += x[i + j];
  for (size_t j = 0; j < 64; j++) total += lane[j];
  return total;
}

CLONES static void triad(float *restrict y, const float *restrict a,
                         const float *restrict b, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] + 0.37f * b[i];
}

/* Bytes per second over a set of so many bytes, gone over once to bring it as
 * near as it fits, and then until enough were moved to take a time of. */
static double stream_rate(bool read, double bytes) {
  static float *memory;
  static size_t room;
  size_t n = (size_t)bytes / sizeof *memory / 3 / 64 * 64 + 64;
  if (3 * n > room) {
    free(memory);
    room = 3 * n;
    memory = aligned_alloc(64, room * sizeof *memory);
    bench_check(memory, "no memory for the bandwidth probe");
    memset(memory, 0, room * sizeof *memory);
  }
  long times = (long)(4e6 / bytes) + 1;
  volatile float sink = read_all(memory, 3 * n);
  double start = bench_clock();
  for (long i = 0; i < times; i++) {
    if (read)
      sink = read_all(memory, 3 * n);
    else
      triad(memory, memory + n, memory + 2 * n, n);
  }
  (void)sink;
  return 3.0 * (double)n * sizeof *memory * (double)times /
         (bench_clock() - start);
}

double probe_once(bench_bound bound, double bytes) {
  switch (bound) {
    case BOUND_F32: return fma_rate(false);
    case BOUND_F64: return fma_rate(true);
    case BOUND_READ: return stream_rate(true, bytes);
    case BOUND_TRIAD: return stream_rate(false, bytes);
    case BOUND_NONE: break;
  }
  return 0;
}
