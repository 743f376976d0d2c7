/* rows_memory.c - memory and time of full BPTT over a long sequence, plain and
 * in sqrt(T) recompute segments of sqrt(T) steps.
 *
 * Both call the same function for each part of the sequence: the recurrent net,
 * the output layer and the loss of these steps. Losses and gradients must be
 * equal to the bit. The memory of one call for the whole sequence is measured
 * too. Memory is measured in a process of its own: the largest
 * resident memory above that before the first step. Times are taken in turns.
 */
#include <chronograd/nn.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "groups.h"

enum { V = 65, B = 32, H = 128, FLOOR = 4 * (H + V) }; /* bytes per (t, b) */

typedef struct job {
  int64_t T, part; /* steps in all, and in one part */
  bool segments;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  float *x;
  int64_t *y;
  float loss;
} job;

/* Of one of the measurements, in bytes. */
typedef struct figures {
  double resident, tape;
} figures;

/* ---- one step ---- */

static void begin(job *j, int64_t T, bool segments) {
  cg_rng rng = cg_rng_seed(7);
  cg_error err = {0};
  cg_rnn_config rnn = {.input_size = V, .hidden_size = H};
  cg_linear_config fc = {.in_features = H, .out_features = V};
  *j = (job){.T = T, .part = (int64_t)sqrt((double)T), .segments = segments};
  j->params = cg_params_new(NULL, CG_F32, &err);
  j->rnn = j->params ? cg_rnn_new(j->params, "rnn", &rnn, &rng, &err) : NULL;
  j->fc = j->rnn ? cg_linear_layer_new(j->params, "fc", &fc, &rng, &err) : NULL;
  j->tape = cg_tape_new(NULL);
  bench_check(j->fc && j->tape, err.message);
  size_t n = (size_t)(T * B);
  j->x = calloc(n * V, sizeof *j->x);
  j->y = malloc(n * sizeof *j->y);
  bench_check(j->x && j->y, "no memory");
  for (size_t i = 0; i < n; i++) {
    j->x[i * V + (size_t)cg_rng_below(&rng, V)] = 1;
    j->y[i] = cg_rng_below(&rng, V);
  }
  for (size_t i = 0; i < n * V; i += 512) /* input is no part of the figures */
    ((volatile float *)j->x)[i] += 0;
}

static void end(job *j) {
  free(j->x);
  free(j->y);
  cg_tape_free(j->tape);
  cg_params_free(j->params);
}

/* Which steps a part has. */
typedef struct part {
  const job *job;
  int64_t start, n;
} part;

/* in: the state before these steps, or none; out: the state after them, and the
 * sum of their losses. */
static void steps(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  const part *p = context;
  const job *j = p->job;
  (void)n_out;
  cg_tensor *x = cg_borrow(t, CG_F32, CG_DIMS(p->n, B, V),
                           j->x + p->start * B * V);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(p->n, B), j->y + p->start * B);
  cg_rnn_run run = {.state.h = n_in ? in[0] : NULL, .first_step = p->start};
  cg_rnn_state last;
  out[1] = cg_many_to_many_loss(t, j->rnn, j->fc, x, &run, y, CG_REDUCE_SUM,
                                CG_REDUCE_MEAN, &last);
  out[0] = last.h;
}

static void run(job *j) {
  cg_tape *t = j->tape;
  cg_tape_reset(t);
  cg_tensor *out[2] = {NULL, NULL}, *loss = NULL;
  for (int64_t s = 0; s < j->T; s += j->part) {
    part p = {j, s, j->T - s < j->part ? j->T - s : j->part};
    int n_in = s > 0;
    if (j->segments)
      cg_checkpoint(t, steps, &p, sizeof p, out, n_in, out, 2);
    else
      steps(t, out, n_in, out, 2, &p);
    loss = loss ? cg_add(t, loss, out[1]) : out[1];
  }
  cg_params_zero_grad(j->params);
  bench_check(!cg_backward(t, loss), cg_tape_error(t)->message);
  j->loss = (float)cg_tensor_item(loss);
}

/* ---- memory ---- */

static double resident(void) {
  long all = 0, pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  bench_check(f && fscanf(f, "%ld %ld", &all, &pages) == 2, "no /proc");
  fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

typedef enum way { PLAIN, SEGMENTS, ONE_CALL } way;

static figures measure(int64_t T, way how) {
  job j;
  struct rusage usage;
  begin(&j, T, how == SEGMENTS);
  if (how == ONE_CALL) j.part = T;
  double before = resident();
  run(&j);
  run(&j);
  getrusage(RUSAGE_SELF, &usage);
  return (figures){1024.0 * (double)usage.ru_maxrss - before,
                   (double)cg_tape_get_stats(j.tape).bytes_peak};
}

/* What is made once per process, such as code of matrix products, is no part of
 * the figures. */
static void warm_up(void) {
  job j;
  begin(&j, 9, true);
  run(&j);
  end(&j);
}

/* The same in a child. */
static figures measure_apart(int64_t T, way how) {
  int from[2], status = 1;
  figures f = {0};
  bench_check(!pipe(from), "no pipe");
  pid_t child = fork();
  bench_check(child >= 0, "no process");
  if (!child) {
    f = measure(T, how);
    _exit(write(from[1], &f, sizeof f) != sizeof f);
  }
  close(from[1]);
  bool ok = read(from[0], &f, sizeof f) == sizeof f;
  ok = waitpid(child, &status, 0) == child && status == 0 && ok;
  bench_check(ok, "a row's process failed");
  close(from[0]);
  return f;
}

/* ---- time ---- */

static void same_gradients(const job *a, const job *b) {
  bench_check(!memcmp(&a->loss, &b->loss, sizeof a->loss), "losses differ");
  for (int i = 0; i < cg_params_count(a->params); i++) {
    const cg_tensor *g = cg_tensor_grad(cg_params_at(a->params, i));
    const cg_tensor *h = cg_tensor_grad(cg_params_at(b->params, i));
    bench_check(!memcmp(cg_tensor_data(g), cg_tensor_data(h),
                        (size_t)cg_tensor_numel(g) * sizeof(float)),
                "gradients differ between plain and segments");
  }
}

static double time_of(job *j) {
  double start = bench_clock();
  run(j);
  return bench_clock() - start;
}

/* Best times in seconds, plain and with segments, in turns. */
static void times(int64_t T, double best[2]) {
  job j[2];
  double end_at = bench_now() + (bench_quick() ? 1 : 12);
  best[0] = best[1] = INFINITY;
  for (int k = 0; k < 2; k++) begin(&j[k], T, k);
  for (int round = 0; round < 3 || bench_now() < end_at; round++)
    for (int k = 0; k < 2; k++) {
      double t = time_of(&j[k]);
      if (round > 0 && t < best[k]) best[k] = t;
    }
  same_gradients(&j[0], &j[1]);
  for (int k = 0; k < 2; k++) end(&j[k]);
}

/* ---- rows ---- */

static void value(const char *what, int64_t T, double v, const char *unit) {
  char row[80];
  snprintf(row, sizeof row, "memory T%d, %s", (int)T, what);
  bench_value(row, v, unit);
}

static void rows_for(int64_t T) {
  char name[64];
  snprintf(name, sizeof name, "memory T%d", (int)T);
  if (!bench_wanted(name)) return;
  warm_up();
  figures plain = measure_apart(T, PLAIN);
  figures segments = measure_apart(T, SEGMENTS);
  figures one_call = measure_apart(T, ONE_CALL);
  double best[2], floor_bytes = (double)FLOOR * (double)(T * B);
  times(T, best);
  value("plain", T, plain.resident / 1e6, "MB");
  value("plain over floor", T, plain.resident / floor_bytes, "x");
  value("in one call", T, one_call.resident / 1e6, "MB");
  value("segments", T, segments.resident / 1e6, "MB");
  value("segments over plain", T, 100 * segments.resident / plain.resident,
        "%");
  value("time plain", T, 1e3 * best[0], "ms");
  value("time segments", T, 1e3 * best[1], "ms");
  value("time segments over plain", T, best[1] / best[0], "x");
  bench_note("rnn H%d B%d, resident memory above that before the first step; "
             "the tapes' own peaks: %.1f and %.2f MB",
             H, B, plain.tape / 1e6, segments.tape / 1e6);
}

void rows_memory(void) {
  int64_t longest = bench_quick() ? 1000 : 10000;
  for (int64_t T = 100; T <= longest; T *= 10) rows_for(T);
}
