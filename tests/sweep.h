/* sweep.h - whole scenarios in which allocation n = 1, 2, 3, ... fails, until
 * one goes through. Each time: a clean error, nothing leaked, parameters (and
 * gradients, unless the scenario adds to them) as before, and the same tape,
 * rewound, then gives the bits of an undisturbed run.
 *
 * The heap gives small blocks only. So the tape's arenas must ask for every
 * block that they hand out, and each of these requests fails once. */
#ifndef SWEEP_H
#define SWEEP_H

#include "engine_test.h"

#include <stdio.h>

/* ---- a heap of small blocks that fails ---- */

typedef struct stingy {
  cg_allocator allocator;
  size_t largest; /* requests beyond are refused, uncounted; 0: none are */
  size_t calls, fail_at, live_blocks, live_bytes;
  bool for_good; /* all calls from fail_at on fail */
} stingy;

static inline void *stingy_alloc(void *context, size_t size) {
  stingy *s = context;
  if (s->largest && size > s->largest) return NULL;
  s->calls++;
  if (s->fail_at && (s->for_good ? s->calls >= s->fail_at
                                 : s->calls == s->fail_at))
    return NULL;
  void *p;
  if (posix_memalign(&p, CG_ALIGNMENT, size)) return NULL;
  memset(p, 0xA5, size); /* nobody may count on zeros */
  s->live_blocks++;
  s->live_bytes += size;
  return p;
}

static inline void stingy_release(void *context, void *block, size_t size) {
  stingy *s = context;
  memset(block, 0x5A, size);
  s->live_blocks--;
  s->live_bytes -= size;
  free(block);
}

/* ---- what a scenario works on, and what it computes ---- */

enum { SWEEP_LEAVES = 24, SWEEP_BITS = 1 << 16, SMALL = 15000 };

typedef struct world {
  const cg_allocator *allocator;
  cg_tensor *leaf[SWEEP_LEAVES]; /* float64: what must not change */
  int n_leaves;
  void *more; /* the scenario's own */
  const void *subject;
} world;

typedef struct bits {
  unsigned char at[SWEEP_BITS];
  size_t n;
} bits;

static inline void note(bits *b, const void *data, size_t size) {
  ck_assert_uint_le(b->n + size, sizeof b->at);
  memcpy(b->at + b->n, data, size);
  b->n += size;
}

static inline void note_tensor(bits *b, const cg_tensor *x) {
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    double value = cg_tensor_get(x, i);
    note(b, &value, sizeof value);
  }
}

typedef struct scenario {
  const char *name;
  bool (*make)(world *w); /* leaves, before any failure; NULL: three */
  void (*dispose)(world *w);
  /* Notes its results if nothing failed; errors are on the tape or in *err. */
  cg_status (*run)(cg_tape *tape, world *w, bits *b, cg_error *err);
  bool adds;          /* to the leaves' gradients, or to the leaves */
  const void *subject;
} scenario;

/* ---- leaves ---- */

static inline cg_tensor *world_leaf(world *w, uint64_t seed, int rank,
                                    const int64_t *shape) {
  cg_tensor *x = cg_leaf_new(w->allocator, CG_F64, rank, shape, NULL);
  ck_assert_ptr_nonnull(x);
  cg_rng rng = cg_rng_seed(seed);
  double *data = cg_leaf_data(x);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++)
    data[i] = 2 * cg_rng_uniform(&rng) - 1;
  cg_leaf_set_requires_grad(x, true);
  return w->leaf[w->n_leaves++] = x;
}

/* The default: a small net's weights and its input. */
static inline bool make_net(world *w) {
  world_leaf(w, 11, CG_DIMS(2, 3));
  world_leaf(w, 12, CG_DIMS(2));
  world_leaf(w, 13, CG_DIMS(3, 3));
  return true;
}

static inline void free_leaves(world *w) {
  for (int i = 0; i < w->n_leaves; i++) cg_leaf_free(w->leaf[i]);
}

static inline bool world_make(const scenario *s, stingy *heap, world *w) {
  *w = (world){.allocator = &heap->allocator, .subject = s->subject};
  if (!(s->make ? s->make : make_net)(w)) return false;
  for (int i = 0; i < w->n_leaves && !s->adds; i++) {
    if (!cg_tensor_requires_grad(w->leaf[i])) continue;
    cg_tensor *g = cg_leaf_grad(w->leaf[i]);
    ck_assert_ptr_nonnull(g);
    cg_leaf_fill(g, 0.385 + i);
  }
  return true;
}

static inline void world_free(const scenario *s, world *w) {
  (s->dispose ? s->dispose : free_leaves)(w);
}

/* All elements of the leaves and, if nothing may add to them, of their
 * gradients. */
static inline void note_world(const scenario *s, const world *w, bits *b) {
  b->n = 0;
  for (int i = 0; i < w->n_leaves; i++) {
    note_tensor(b, w->leaf[i]);
    if (!s->adds) note_tensor(b, cg_tensor_grad(w->leaf[i]));
  }
}

static inline void restore_world(const world *w, const bits *b) {
  size_t at = 0;
  for (int i = 0; i < w->n_leaves; i++) {
    size_t bytes = (size_t)cg_tensor_numel(w->leaf[i]) * sizeof(double);
    if (bytes) cg_leaf_write(w->leaf[i], b->at + at, bytes);
    cg_leaf_zero_grad(w->leaf[i]);
    at += bytes;
  }
}

/* ---- the sweep ---- */

static inline void same_bits(const scenario *s, size_t n, const bits *got,
                             const bits *want, const char *when) {
  ck_assert_msg(got->n == want->n && !memcmp(got->at, want->at, want->n),
                "%s: other %s where allocation %zu failed", s->name, when, n);
}

static inline void check_error(const scenario *s, size_t n, cg_status status,
                               const cg_error *e) {
  ck_assert_msg(status == CG_ERR_NOMEM && e->status == CG_ERR_NOMEM &&
                    *e->op && strstr(e->message, "memory"),
                "%s, allocation %zu: status %s, error %s of \"%s\": %s",
                s->name, n, cg_status_name(status), cg_status_name(e->status),
                e->op, e->message);
}

/* Runs with allocation n failing, then again. True if there was one. */
static inline bool sweep_one(const scenario *s, size_t n, bool for_good,
                             size_t largest, const bits *want) {
  static bits before, after, got;
  stingy heap = {.largest = largest};
  heap.allocator = (cg_allocator){stingy_alloc, stingy_release, &heap};
  world w;
  ck_assert_msg(world_make(s, &heap, &w), "%s: no world", s->name);
  note_world(s, &w, &before);
  heap.fail_at = n ? heap.calls + n : 0;
  heap.for_good = for_good;
  cg_tape *tape =
      cg_tape_new(&(cg_tape_options){.allocator = &heap.allocator});
  cg_mark mark = cg_tape_mark(tape);
  cg_error err = {0};
  got.n = 0;
  cg_status status = tape ? s->run(tape, &w, &got, &err) : CG_ERR_NOMEM;
  bool hit = n && heap.calls >= heap.fail_at;
  heap.fail_at = 0;
  if (tape && status) {
    check_error(s, n, status, err.status ? &err : cg_tape_error(tape));
    note_world(s, &w, &after);
    same_bits(s, n, &after, &before, "parameters or gradients");
  } else if (tape) {
    same_bits(s, n, &got, want, "results");
  }
  ck_assert_msg(hit || !status, "%s: %s", s->name, cg_status_name(status));
  if (tape) {
    ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
    if (s->adds) restore_world(&w, &before);
    got.n = 0;
    err = (cg_error){0};
    status = s->run(tape, &w, &got, &err);
    ck_assert_msg(!status, "%s, after allocation %zu failed: %s%s", s->name, n,
                  err.message, cg_tape_error(tape)->message);
    same_bits(s, n, &got, want, "results, the second time,");
  }
  cg_tape_free(tape);
  world_free(s, &w);
  ck_assert_msg(!heap.live_blocks && !heap.live_bytes,
                "%s: %zu bytes leaked where allocation %zu failed", s->name,
                heap.live_bytes, n);
  return hit;
}

/* Two heaps, and failures that pass or stay; the number of failures. */
static inline size_t sweep(const scenario *s) {
  static bits want;
  size_t failures = 0;
  for (int kind = 0; kind < 4; kind++) {
    size_t largest = kind < 2 ? SMALL : 0, n = 1;
    stingy heap = {.largest = 0};
    heap.allocator = (cg_allocator){stingy_alloc, stingy_release, &heap};
    world w;
    ck_assert(world_make(s, &heap, &w));
    cg_tape *tape = cg_tape_new(NULL);
    cg_error err = {0};
    want.n = 0;
    cg_status status = s->run(tape, &w, &want, &err);
    ck_assert_msg(!status, "%s: %s%s", s->name, err.message,
                  cg_tape_error(tape)->message);
    cg_tape_free(tape);
    world_free(s, &w);
    while (sweep_one(s, n, kind % 2, largest, &want)) n++;
    failures += n - 1;
  }
  return failures;
}

#endif
