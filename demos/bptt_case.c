/* bptt_case.c - the problem: drawn at random or read from a file. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bptt.h"
#include "cli.h"

/* More numbers than any memory here holds: products below it can't overflow. */
#define TOO_MANY 1e15

/* The float arrays of a problem, in the order in which they lie in memory. */
enum { X, H0, W_XH, W_HH, W_HY, B_H, B_Y, ARRAYS };
static const struct {
  const char *name, *shape;
} arrays[ARRAYS] = {
    [X] = {"x", "TBD"},     [H0] = {"h0", "BH"},    [W_XH] = {"W_xh", "HD"},
    [W_HH] = {"W_hh", "HH"}, [W_HY] = {"W_hy", "KH"}, [B_H] = {"b_h", "H"},
    [B_Y] = {"b_y", "K"}};

static int64_t size_of(const cg_bptt_problem *p, char letter) {
  switch (letter) {
  case 'T': return p->T;
  case 'B': return p->B;
  case 'D': return p->D;
  case 'H': return p->H;
  default: return p->K;
  }
}

/* The shape that the problem's sizes give `letters`; returns its rank. */
static int shape_of(const cg_bptt_problem *p, const char *letters,
                    int64_t shape[CG_MAX_RANK]) {
  int rank = 0;
  for (; letters[rank]; rank++) shape[rank] = size_of(p, letters[rank]);
  return rank;
}

static int64_t numel(int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= shape[i];
  return n;
}

/* ---- memory ---- */

static bool fits(const cg_bptt_problem *p) {
  double T = (double)p->T, B = (double)p->B, D = (double)p->D;
  double H = (double)p->H, K = (double)p->K;
  return T * B * (D + H + K) + H * (D + H + K) < TOO_MANY;
}

static bool allocate(bptt_case *c, double *start[ARRAYS]) {
  cg_bptt_problem *p = &c->p;
  int64_t shape[CG_MAX_RANK], total = 0, offset[ARRAYS];
  for (int i = 0; i < ARRAYS && fits(p); i++) {
    offset[i] = total;
    total += numel(shape_of(p, arrays[i].shape, shape), shape);
  }
  c->count = total;
  if (total) {
    c->numbers = calloc((size_t)total, sizeof *c->numbers);
    c->targets = calloc((size_t)(p->T * p->B), sizeof *c->targets);
  }
  if (!c->numbers || !c->targets)
    return cli_fail("out of memory: T = %" PRId64 ", B = %" PRId64
                    ", D = %" PRId64 ", H = %" PRId64 ", K = %" PRId64
                    " are too much",
                    p->T, p->B, p->D, p->H, p->K);
  for (int i = 0; i < ARRAYS; i++) start[i] = c->numbers + offset[i];
  p->y = c->targets;
  p->x = start[X];
  p->h0 = start[H0];
  p->W_xh = start[W_XH];
  p->W_hh = start[W_HH];
  p->W_hy = start[W_HY];
  p->b_h = start[B_H];
  p->b_y = start[B_Y];
  return true;
}

void bptt_case_free(bptt_case *c) {
  free(c->numbers);
  free(c->targets);
  *c = (bptt_case){0};
}

/* ---- at random ---- */

static double draw(cg_rng *rng, int array, double bound) {
  if (array == X) return cg_rng_normal(rng);
  if (array == H0) return 0.5 * cg_rng_normal(rng);
  return bound * (2 * cg_rng_uniform(rng) - 1);
}

/* Weights as layers begin with, uniform in +-1/sqrt(H): states neither die nor
 * explode, however many steps there are. */
static bool make_random(bptt_case *c, const bptt_options *o) {
  cg_bptt_problem *p = &c->p;
  double *start[ARRAYS];
  p->T = o->steps;
  p->B = o->batch;
  p->D = o->input;
  p->H = o->hidden;
  p->K = o->classes;
  if (!allocate(c, start)) return false;
  cg_rng rng = cg_rng_seed(o->seed);
  double bound = 1 / sqrt((double)p->H);
  for (int i = 0; i < ARRAYS; i++) {
    int64_t shape[CG_MAX_RANK];
    int64_t n = numel(shape_of(p, arrays[i].shape, shape), shape);
    for (int64_t k = 0; k < n; k++) start[i][k] = draw(&rng, i, bound);
  }
  for (int64_t k = 0; k < p->T * p->B; k++)
    c->targets[k] = cg_rng_below(&rng, p->K);
  return true;
}

/* ---- from a file ---- */

typedef struct reader {
  const char *path;
  cg_safetensors *file;
  cg_bptt_problem *p;
} reader;

static void shape_text(int rank, const int64_t *shape, char text[200]) {
  int at = snprintf(text, 200, "[");
  for (int i = 0; i < rank; i++)
    at += snprintf(text + at, 200 - (size_t)at, "%s%" PRId64, i ? ", " : "",
                   shape[i]);
  snprintf(text + at, 200 - (size_t)at, "]");
}

/* The array `name`, of the rank given; NULL after a message. */
static const cg_array *find(const reader *r, const char *name, int rank) {
  const cg_array *a = cg_safetensors_find(r->file, name);
  char have[200];
  if (!a) {
    cli_fail("--case: %s has no %s", r->path, name);
    return NULL;
  }
  shape_text(a->rank, a->shape, have);
  if (a->rank != rank) {
    cli_fail("--case: %s: %s is %s, but must have rank %d", r->path, name, have,
             rank);
    return NULL;
  }
  for (int i = 0; i < rank; i++)
    if (a->shape[i] < 1) {
      cli_fail("--case: %s: %s is %s, but no size may be 0", r->path, name,
               have);
      return NULL;
    }
  return a;
}

/* T, B and D are those of x; H and K are those of W_hy. */
static bool read_sizes(const reader *r) {
  const cg_array *x = find(r, "x", 3);
  const cg_array *W_hy = x ? find(r, "W_hy", 2) : NULL;
  if (!W_hy) return false;
  r->p->T = x->shape[0];
  r->p->B = x->shape[1];
  r->p->D = x->shape[2];
  r->p->K = W_hy->shape[0];
  r->p->H = W_hy->shape[1];
  return true;
}

/* The array `name`, whose shape must be what the sizes make of `letters`. */
static const cg_array *find_shaped(const reader *r, const char *name,
                                   const char *letters) {
  int64_t want[CG_MAX_RANK];
  int rank = shape_of(r->p, letters, want);
  const cg_array *a = find(r, name, rank);
  for (int i = 0; a && i < rank; i++) {
    if (a->shape[i] == want[i]) continue;
    char have_text[200], want_text[200];
    shape_text(rank, a->shape, have_text);
    shape_text(rank, want, want_text);
    cli_fail("--case: %s: %s is %s, but x and W_hy ask for %s", r->path, name,
             have_text, want_text);
    return NULL;
  }
  return a;
}

static bool read_floats(const reader *r, int array, double *to) {
  const cg_array *a = find_shaped(r, arrays[array].name, arrays[array].shape);
  if (!a) return false;
  if (a->dtype != CG_F32 && a->dtype != CG_F64)
    return cli_fail("--case: %s: %s is %s, but must be f32 or f64", r->path,
                    a->name, cg_dtype_name(a->dtype));
  int64_t n = numel(a->rank, a->shape);
  for (int64_t i = 0; i < n; i++)
    to[i] = a->dtype == CG_F64 ? ((const double *)a->data)[i]
                               : ((const float *)a->data)[i];
  return true;
}

static bool read_targets(const reader *r, int64_t *to) {
  const cg_array *a = find_shaped(r, "y", "TB");
  if (!a) return false;
  if (a->dtype != CG_I64)
    return cli_fail("--case: %s: y is %s, but must be i64", r->path,
                    cg_dtype_name(a->dtype));
  const int64_t *y = a->data;
  for (int64_t i = 0; i < r->p->T * r->p->B; i++) {
    if (y[i] < 0 || y[i] >= r->p->K)
      return cli_fail("--case: %s: y[%" PRId64 ", %" PRId64 "] is %" PRId64
                      ", but W_hy has %" PRId64 " classes",
                      r->path, i / r->p->B, i % r->p->B, y[i], r->p->K);
    to[i] = y[i];
  }
  return true;
}

static bool read_arrays(const reader *r, bptt_case *c) {
  double *start[ARRAYS];
  /* Shapes first: sizes that don't fit shouldn't ask for memory. */
  for (int i = 0; i < ARRAYS; i++)
    if ((i != H0 || cg_safetensors_find(r->file, "h0")) &&
        !find_shaped(r, arrays[i].name, arrays[i].shape))
      return false;
  if (!find_shaped(r, "y", "TB") || !allocate(c, start)) return false;
  for (int i = 0; i < ARRAYS; i++)
    if ((i != H0 || cg_safetensors_find(r->file, "h0")) &&
        !read_floats(r, i, start[i]))
      return false;
  return read_targets(r, c->targets);
}

static bool read_case(bptt_case *c, const char *path) {
  cg_error err = {0};
  reader r = {path, cg_safetensors_open(NULL, path, &err), &c->p};
  if (!r.file) return cli_fail("--case: %s", err.message);
  bool ok = read_sizes(&r) && read_arrays(&r, c);
  cg_safetensors_close(r.file);
  return ok;
}

/* ---- either ---- */

static void round_to_f32(bptt_case *c) {
  for (int64_t i = 0; i < c->count; i++)
    c->numbers[i] = (double)(float)c->numbers[i];
}

bool bptt_case_make(bptt_case *c, const bptt_options *o) {
  *c = (bptt_case){.p = {.phi = o->activation,
                         .over_steps = o->reduction,
                         .over_batch = o->reduction}};
  bool ok = o->case_path ? read_case(c, o->case_path) : make_random(c, o);
  if (ok && o->dtype == CG_F32) round_to_f32(c);
  return ok;
}
