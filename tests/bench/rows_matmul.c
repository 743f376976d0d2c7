/* rows_matmul.c - matrix products of the shapes that the train steps make, on
 * constants of a tape that does not record: y = op(a) op(b). */
#include <chronograd/engine.h>

#include <stdio.h>

#include "bench.h"
#include "groups.h"

typedef struct job {
  cg_tape *tape;
  cg_mark mark;
  cg_tensor *a, *b; /* b is a leaf, as weights are */
  bool ta, tb;
  int per_run;
} job;

static void run(void *state) {
  job *j = state;
  for (int i = 0; i < j->per_run; i++)
    bench_check(cg_matmul_t(j->tape, j->a, j->b, j->ta, j->tb),
                cg_tape_error(j->tape)->message);
  bench_check(!cg_tape_rewind(j->tape, j->mark), "the rewind failed");
}

static cg_tensor *leaf(int64_t rows, int64_t cols) {
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, CG_DIMS(rows, cols), NULL);
  bench_check(x, "no memory");
  cg_rng rng = cg_rng_seed(3);
  float *data = cg_leaf_data(x);
  for (int64_t i = 0; i < rows * cols; i++)
    data[i] = (float)cg_rng_normal(&rng);
  return x;
}

/* op(a) [m, k] times op(b) [k, n]: "nt" is a b^T. */
static void row(const char *what, int64_t m, int64_t n, int64_t k, bool ta,
                bool tb) {
  char name[64];
  snprintf(name, sizeof name, "matmul %c%c %dx%dx%d %s", ta ? 't' : 'n',
           tb ? 't' : 'n', (int)m, (int)n, (int)k, what);
  if (!bench_wanted(name)) return;
  double flops = 2.0 * (double)m * (double)n * (double)k;
  job j = {.tape = cg_tape_new(NULL), .ta = ta, .tb = tb};
  j.per_run = flops < 1e8 ? (int)(1e8 / flops) : 1;
  bench_check(j.tape, "no memory");
  j.a = ta ? leaf(k, m) : leaf(m, k);
  j.b = tb ? leaf(n, k) : leaf(k, n);
  cg_tape_set_recording(j.tape, false);
  /* Once before the mark, so that what is kept of b stays. */
  bench_check(cg_matmul_t(j.tape, j.a, j.b, ta, tb), "the product failed");
  j.mark = cg_tape_mark(j.tape);
  bench_measure(&(bench_case){.row = name,
                              .unit = "us",
                              .scale = 1e6,
                              .bound = BOUND_F32,
                              .work = flops,
                              .run = run,
                              .state = &j,
                              .per_run = j.per_run});
  cg_tape_free(j.tape);
  cg_leaf_free(j.a);
  cg_leaf_free(j.b);
}

/* One layer of B rows, T steps, with G times H rows of weights. */
static void layer(const char *what, int64_t B, int64_t T, int64_t H,
                  int64_t G) {
  const int64_t V = 65;
  row(what, T * B, G * H, V, false, true);  /* x W_ih^T */
  row(what, B, G * H, H, false, true);      /* h W_hh^T */
  row(what, B, H, G * H, false, false);     /* dz W_hh */
  row(what, G * H, H, B, true, false);      /* dz^T h */
  row(what, G * H, V, T * B, true, false);  /* dz^T x */
  row(what, T * B, V, H, false, true);      /* h W_hy^T */
  row(what, T * B, H, V, false, false);     /* do W_hy */
  row(what, V, H, T * B, true, false);      /* do^T h */
}

/* The products over all steps that only a second layer makes. */
static void second_layer(const char *what, int64_t B, int64_t T, int64_t H,
                         int64_t G) {
  row(what, T * B, G * H, H, false, true);  /* h W_ih^T */
  row(what, T * B, H, G * H, false, false); /* dz W_ih */
  row(what, G * H, H, T * B, true, false);  /* dz^T h */
}

void rows_matmul(void) {
  layer("rnn H100", 1, 25, 100, 1);
  layer("rnn H128", 32, 64, 128, 1);
  layer("rnn H256", 32, 64, 256, 1);
  layer("rnn H512", 50, 50, 512, 1);
  layer("lstm H128", 50, 50, 128, 4);
  second_layer("lstm H128", 50, 50, 128, 4);
  layer("lstm H512", 50, 50, 512, 4);
  second_layer("lstm H512", 50, 50, 512, 4);
  layer("gru H256", 32, 64, 256, 3);
  row("square", 1024, 1024, 1024, false, false);
}
