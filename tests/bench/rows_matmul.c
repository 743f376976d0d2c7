/* rows_matmul.c - matrix products of the shapes that the train steps make, on
 * constants of a tape that does not record: y = op(a) op(b). */
#include <chronograd/engine.h>

#include <stdio.h>

#include "bench.h"
#include "groups.h"
#include "train_job.h"

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

/* Rows of a step; fewer are collected. */
enum { COLLECTED = 16 };

/* op(a) [m, k] times op(b) [k, n]: "nt" is a b^T. */
typedef enum form { NN, NT, TN } form;

typedef struct product {
  int64_t m, n, k;
  form form;
} product;

static job job_new(const product *p) {
  job j = {.tape = cg_tape_new(NULL), .ta = p->form == TN, .tb = p->form == NT};
  bench_check(j.tape, "no memory");
  j.a = j.ta ? leaf(p->k, p->m) : leaf(p->m, p->k);
  j.b = j.tb ? leaf(p->n, p->k) : leaf(p->k, p->n);
  cg_tape_set_recording(j.tape, false);
  /* Once before the mark, so that what is kept of b stays. */
  bench_check(cg_matmul_t(j.tape, j.a, j.b, j.ta, j.tb), "the product failed");
  j.mark = cg_tape_mark(j.tape);
  return j;
}

/* The best time in us; 0 if the row is not wanted. */
static double row(const char *what, product p) {
  static const char *const forms[] = {"nn", "nt", "tn"};
  char name[64];
  snprintf(name, sizeof name, "matmul %s %dx%dx%d %s", forms[p.form], (int)p.m,
           (int)p.n, (int)p.k, what);
  if (!bench_wanted(name)) return 0;
  double flops = 2.0 * (double)p.m * (double)p.n * (double)p.k;
  job j = job_new(&p);
  j.per_run = flops < 1e8 ? (int)(1e8 / flops) : 1;
  double best = bench_measure(&(bench_case){.row = name,
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
  return best;
}

/* What the products of a step take if each has its best time. */
typedef struct sum {
  double us;
  bool whole;
} sum;

static void add(sum *s, double times, double best) {
  s->us += times * best;
  s->whole = s->whole && best > 0;
}

/* The products of a train step, and all of them together, each alone with the
 * caches: those with inputs and with the head's weights over all steps at once,
 * which cells may also compute step by step; those of the recurrence step by
 * step, but for the gradient of its weights where steps have so few rows that
 * they are collected. */
static void products_of(const train_shape *s) {
  char what[32], name[64], all[96];
  const int64_t V = TRAIN_SYMBOLS, H = s->H, rows = train_gates(s->cell) * H;
  const int64_t B = s->B, every = s->T * B;
  const bool collected = B < COLLECTED;
  const double T = (double)s->T, layers = s->layers;
  sum t = {0, true};
  snprintf(what, sizeof what, "%s H%d", train_cell_name(s->cell), (int)H);
  add(&t, 1, row(what, (product){every, rows, V, NT}));
  add(&t, T * layers, row(what, (product){B, rows, H, NT}));
  add(&t, (T - 1) * layers, row(what, (product){B, H, rows, NN}));
  add(&t, (collected ? 1 : T) * layers,
      row(what, (product){rows, H, collected ? every : B, TN}));
  add(&t, 1, row(what, (product){rows, V, every, TN}));
  if (s->layers > 1) {
    add(&t, layers - 1, row(what, (product){every, rows, H, NT}));
    add(&t, layers - 1, row(what, (product){every, H, rows, NN}));
    add(&t, layers - 1, row(what, (product){rows, H, every, TN}));
  }
  add(&t, 1, row(what, (product){every, V, H, NT}));
  add(&t, 1, row(what, (product){every, H, V, NN}));
  add(&t, 1, row(what, (product){V, H, every, TN}));
  train_name(s, name, sizeof name);
  snprintf(all, sizeof all, "matmul, those of %s", name);
  if (bench_wanted(all) && t.whole) bench_value(all, t.us * 1e-3, "ms");
}

void rows_matmul(void) {
  for (int i = 0; i < train_shape_count; i++) products_of(&train_shapes[i]);
  row("square", (product){1024, 1024, 1024, NN});
}
