/* fuzz_graph.c - random programs on the engine: valid ones, whose gradients
 * must agree with differences, repeat to the bit, also when the recording is
 * replayed, and survive a lack of memory;
 * and calls that are mostly wrong (chaos.c).
 * usage: fuzz_graph --seconds S | --seed N [--count K]
 *
 * The programs run in a child process, so that the seed of one that crashes or
 * hangs can still be told. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { RESULTS = 512, HANG = 60 /* seconds */ };

void fuzz_fail(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fputs("fuzz_graph: ", stderr);
  vfprintf(stderr, fmt, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

/* ---- gradients against differences ---- */

static void fine(cg_tape *tape, const char *when) {
  const cg_error *e = cg_tape_error(tape);
  if (e->status) fuzz_fail("%s: %s: %s", when, e->op, e->message);
}

/* Other steps next: one of them is right for any smooth function of this size
 * with a kink somewhere, and a wrong derivative agrees with none. */
static void check_gradient(program *p, bool second) {
  static const double steps[] = {0, 1e-5, 1e-4, 1e-8};
  cg_tape *tape = cg_tape_new(NULL);
  cg_gradcheck_report report = {0};
  for (int i = 0; i < 4 && !report.passed; i++) {
    cg_gradcheck_options o = {.eps = steps[i], .seed = p->seed,
                              .tolerance = second ? 1e-5 : 1e-6};
    (second ? cg_gradgradcheck : cg_gradcheck)(
        tape, program_run, p->leaf, PROGRAM_LEAVES, p, &o, &report);
    fine(tape, "a valid program");
  }
  cg_tape_free(tape);
  if (!report.passed)
    fuzz_fail("order %d: operand %d[%lld]: %.12g, but differences %.12g",
              second ? 2 : 1, report.input, (long long)report.index,
              report.analytic, report.difference);
}

/* ---- the same bits again ---- */

typedef struct results {
  double at[RESULTS];
  int n;
} results;

static void collect(results *r, const cg_tensor *x) {
  for (int64_t i = 0; i < cg_tensor_numel(x) && r->n < RESULTS; i++)
    r->at[r->n++] = cg_tensor_get(x, i);
}

/* Value and gradients, by cg_grad, recorded or not, and by cg_backward. */
static void evaluate(program *p, cg_tape *tape, results *r) {
  r->n = 0;
  cg_tensor *y = program_run(tape, p->leaf, PROGRAM_LEAVES, p);
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y));
  cg_tensor *g[PROGRAM_LEAVES], *gg[PROGRAM_LEAVES];
  int n = PROGRAM_LEAVES;
  cg_grad(tape, &loss, 1, NULL, p->leaf, n, g, 0);
  cg_grad(tape, &loss, 1, NULL, p->leaf, n, gg, CG_CREATE_GRAPH);
  for (int i = 0; i < n; i++) cg_leaf_zero_grad(p->leaf[i]);
  cg_backward(tape, loss);
  if (cg_tape_status(tape)) return;
  collect(r, y);
  for (int i = 0; i < n; i++) {
    const cg_tensor *walked = cg_tensor_grad(p->leaf[i]);
    for (int64_t k = 0; k < cg_tensor_numel(g[i]); k++) {
      double a = cg_tensor_get(g[i], k), b = cg_tensor_get(gg[i], k);
      double c = cg_tensor_get(walked, k), size = fmax(1, fabs(a));
      if (!(fabs(a - b) <= 1e-10 * size && fabs(a - c) <= 1e-10 * size))
        fuzz_fail("leaf %d[%lld]: cg_grad %.17g, recorded %.17g, "
                  "cg_backward %.17g",
                  i, (long long)k, a, b, c);
    }
    collect(r, g[i]);
  }
}

static void same_bits(const results *a, const results *b, const char *when) {
  if (a->n != b->n || memcmp(a->at, b->at, sizeof *a->at * (size_t)a->n))
    fuzz_fail("other bits %s", when);
}

/* ---- a heap that fails ---- */

typedef struct heap {
  size_t calls, fail_at, live;
} heap;

static void *heap_alloc(void *context, size_t size) {
  heap *h = context;
  if (++h->calls == h->fail_at) return NULL;
  /* Exactly that size, so that a sanitizer sees any access beyond. */
  void *p;
  if (posix_memalign(&p, CG_ALIGNMENT, size)) return NULL;
  memset(p, 0xA5, size); /* nobody may count on zeros */
  h->live += size;
  return p;
}

static void heap_release(void *context, void *block, size_t size) {
  heap *h = context;
  h->live -= size;
  free(block);
}

static void check_repetition(program *p, cg_rng *rng) {
  static results first, again;
  heap h = {0};
  cg_allocator allocator = {heap_alloc, heap_release, &h};
  cg_tape_options options = {.allocator = &allocator};
  cg_tape *tape = cg_tape_new(&options);
  evaluate(p, tape, &first);
  fine(tape, "a valid program");
  cg_tape_reset(tape);
  evaluate(p, tape, &again);
  same_bits(&first, &again, "after a reset");
  cg_tape_free(tape);

  size_t calls = h.calls;
  h = (heap){.fail_at = 1 + (size_t)cg_rng_below(rng, (int64_t)calls)};
  tape = cg_tape_new(&options);
  if (tape) {
    cg_mark mark = cg_tape_mark(tape);
    evaluate(p, tape, &again);
    cg_status status = cg_tape_status(tape);
    /* Some memory is a convenience only: then the results are right. */
    if (!status) same_bits(&first, &again, "where an allocation failed");
    if (status && status != CG_ERR_NOMEM)
      fuzz_fail("allocation %zu failed, but the tape says %s", h.fail_at,
                cg_status_name(status));
    if (cg_tape_rewind(tape, mark)) fuzz_fail("a rewind was refused");
    evaluate(p, tape, &again);
    fine(tape, "after a failed allocation and a rewind");
    same_bits(&first, &again, "after a failed allocation and a rewind");
  }
  cg_tape_free(tape);
  if (h.live) fuzz_fail("%zu bytes leaked", h.live);
}

/* ---- one seed ---- */

static void run_seed(uint64_t seed) {
  cg_rng rng = cg_rng_seed(~seed);
  program p;
  program_make(&p, seed);
  check_gradient(&p, false);
  if (seed % 8 == 0) check_gradient(&p, true);
  check_repetition(&p, &rng);
  (seed % 2 ? walks_check : replays_check)(&p, seed); /* this may change p */
  program_free(&p);
  chaos_run(seed);
}

/* ---- the run ---- */

typedef struct plan {
  uint64_t seed, count;
  double seconds; /* 0: by count */
} plan;

typedef struct shared {
  uint64_t seed; /* which is running */
  uint64_t done;
} shared;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_all(const plan *todo, shared *s) {
  double end = now() + todo->seconds;
  for (uint64_t i = 0; todo->seconds > 0 ? now() < end : i < todo->count; i++) {
    s->seed = todo->seed + i;
    alarm(HANG);
    run_seed(s->seed);
    s->done++;
  }
  alarm(0);
  exit(0);
}

static int supervise(const plan *todo) {
  shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (s == MAP_FAILED) return 2;
  pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) run_all(todo, s);
  int status;
  if (waitpid(child, &status, 0) != child) return 2;
  printf("fuzz_graph: %llu programs\n", (unsigned long long)s->done);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  fprintf(stderr, "fuzz_graph: FAILED (%s %d); again with --seed %llu\n",
          WIFSIGNALED(status) ? "signal" : "status",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
          (unsigned long long)s->seed);
  return 1;
}

int main(int argc, char **argv) {
  plan todo = {.seed = 1, .count = 1};
  bool given = false;
  for (int i = 1; i < argc; i += 2) {
    char *end = NULL;
    const char *text = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(argv[i], "--seconds")) todo.seconds = strtod(text, &end);
    if (!strcmp(argv[i], "--seed")) todo.seed = strtoull(text, &end, 10);
    if (!strcmp(argv[i], "--count")) todo.count = strtoull(text, &end, 10);
    given = end && end != text && !*end;
    if (!given) break;
  }
  if (given) return supervise(&todo);
  fputs("usage: fuzz_graph [--seed N] [--seconds S | --count K]\n", stderr);
  return 2;
}
