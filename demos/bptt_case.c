/* bptt_case.c - the problem: drawn at random or read from a file. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

/* More numbers than any memory here holds: products below it can't overflow. */
#define TOO_MANY 1e15

/* The float arrays of a problem, in the order in which they lie in memory. */
enum { X, H0, C0, W_XH, W_HH, W_HY, B_H, B_HH, B_Y, ARRAYS };
static const struct {
  const char *name, *shape;
} arrays[ARRAYS] = {
    [X] = {"x", "TBD"},      [H0] = {"h0", "BH"},     [C0] = {"c0", "BH"},
    [W_XH] = {"W_xh", "GD"}, [W_HH] = {"W_hh", "GH"}, [W_HY] = {"W_hy", "KH"},
    [B_H] = {"b_h", "G"},    [B_HH] = {"b_hh", "G"},  [B_Y] = {"b_y", "K"}};

static bool has_array(const bptt_case *c, int array) {
  if (array == B_HH) return bptt_has(c, Q_B_HH);
  return array != C0 || bptt_has(c, Q_C0);
}

static int64_t size_of(const bptt_case *c, char letter) {
  const cg_bptt_problem *p = &c->p;
  switch (letter) {
  case 'T': return p->T;
  case 'B': return p->B;
  case 'D': return p->D;
  case 'G': return c->gates * p->H;
  case 'H': return p->H;
  default: return p->K;
  }
}

/* The shape that the problem's sizes give `letters`; returns its rank. */
static int shape_of(const bptt_case *c, const char *letters,
                    int64_t shape[CG_MAX_RANK]) {
  int rank = 0;
  for (; letters[rank]; rank++) shape[rank] = size_of(c, letters[rank]);
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
  return T * B * (D + 4 * H + K) + 4 * H * (D + H + K) < TOO_MANY;
}

static bool allocate(bptt_case *c, double *start[ARRAYS]) {
  cg_bptt_problem *p = &c->p;
  int64_t shape[CG_MAX_RANK], total = 0, offset[ARRAYS];
  for (int i = 0; i < ARRAYS && fits(p); i++) {
    offset[i] = total;
    if (has_array(c, i))
      total += numel(shape_of(c, arrays[i].shape, shape), shape);
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
  for (int i = 0; i < ARRAYS; i++)
    start[i] = has_array(c, i) ? c->numbers + offset[i] : NULL;
  p->y = c->targets;
  p->x = start[X];
  p->h0 = start[H0];
  p->W_xh = start[W_XH];
  p->W_hh = start[W_HH];
  p->W_hy = start[W_HY];
  p->b_h = start[B_H];
  p->b_y = start[B_Y];
  c->b_hh = start[B_HH];
  c->c0 = start[C0];
  return true;
}

void bptt_case_free(bptt_case *c) {
  free(c->numbers);
  free(c->targets);
  free(c->wants);
  *c = (bptt_case){0};
}

/* ---- at random ---- */

static double draw(cg_rng *rng, int array, double bound) {
  if (array == X) return cg_rng_normal(rng);
  if (array == H0 || array == C0) return 0.5 * cg_rng_normal(rng);
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
    int64_t n = numel(shape_of(c, arrays[i].shape, shape), shape);
    if (!start[i]) continue;
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
  bptt_case *c;
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
  cg_bptt_problem *p = &r->c->p;
  p->T = x->shape[0];
  p->B = x->shape[1];
  p->D = x->shape[2];
  p->K = W_hy->shape[0];
  p->H = W_hy->shape[1];
  return true;
}

/* The array `name`, whose shape must be what the sizes make of `letters`. */
static const cg_array *find_shaped(const reader *r, const char *name,
                                   const char *letters) {
  int64_t want[CG_MAX_RANK];
  int rank = shape_of(r->c, letters, want);
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
  const cg_bptt_problem *p = &r->c->p;
  for (int64_t i = 0; i < p->T * p->B; i++) {
    if (y[i] < 0 || y[i] >= p->K)
      return cli_fail("--case: %s: y[%" PRId64 ", %" PRId64 "] is %" PRId64
                      ", but W_hy has %" PRId64 " classes",
                      r->path, i / p->B, i % p->B, y[i], p->K);
    to[i] = y[i];
  }
  return true;
}

/* h0 and c0 may be left out, being zeros then. */
static bool in_file(const reader *r, int array) {
  bool optional = array == H0 || array == C0;
  return has_array(r->c, array) &&
         (!optional || cg_safetensors_find(r->file, arrays[array].name));
}

static bool read_arrays(const reader *r) {
  double *start[ARRAYS];
  /* Shapes first: sizes that don't fit shouldn't ask for memory. */
  for (int i = 0; i < ARRAYS; i++)
    if (in_file(r, i) && !find_shaped(r, arrays[i].name, arrays[i].shape))
      return false;
  if (!find_shaped(r, "y", "TB") || !allocate(r->c, start)) return false;
  for (int i = 0; i < ARRAYS; i++)
    if (in_file(r, i) && !read_floats(r, i, start[i])) return false;
  return read_targets(r, r->c->targets);
}

/* The figure "want.NAME", if there is one: float64, of the quantity's shape. */
static const cg_array *find_want(const reader *r, bptt_quantity q, bool *ok) {
  char name[24];
  int64_t shape[3];
  snprintf(name, sizeof name, "want.%s", bptt_name(q));
  const cg_array *a = cg_safetensors_find(r->file, name);
  int rank = bptt_shape(r->c, q, shape);
  *ok = !a || (a->dtype == CG_F64 && a->rank == rank);
  for (int i = 0; a && *ok && i < rank; i++) *ok = a->shape[i] == shape[i];
  if (!*ok)
    cli_fail("--case: %s: %s is not f64 of the quantity's shape", r->path,
             name);
  return a;
}

/* Stored figures, for cells that have no derivation by hand. */
static bool read_wants(const reader *r) {
  bptt_case *c = r->c;
  bptt_figures f;
  if (c->cell == CG_CELL_RNN) return true;
  if (!bptt_figures_make(&f, c)) return false;
  c->wants = f.block;
  for (int q = 0; q < Q_COUNT; q++) {
    bool ok = true;
    const cg_array *a = bptt_has(c, q) ? find_want(r, q, &ok) : NULL;
    if (!ok) return false;
    if (!a) continue;
    memcpy(f.of[q], a->data, (size_t)bptt_numel(c, q) * sizeof(double));
    c->want[q] = f.of[q];
  }
  return true;
}

static bool read_case(bptt_case *c, const char *path) {
  cg_error err = {0};
  reader r = {path, cg_safetensors_open(NULL, path, &err), c};
  if (!r.file) return cli_fail("--case: %s", err.message);
  bool ok = read_sizes(&r) && read_arrays(&r) && read_wants(&r);
  cg_safetensors_close(r.file);
  return ok;
}

/* ---- either ---- */

static void round_to_f32(bptt_case *c) {
  for (int64_t i = 0; i < c->count; i++)
    c->numbers[i] = (double)(float)c->numbers[i];
}

bool bptt_case_make(bptt_case *c, const bptt_options *o) {
  static const int64_t gates[CG_CELL_COUNT] = {
      [CG_CELL_RNN] = 1, [CG_CELL_LSTM] = 4, [CG_CELL_GRU] = 3};
  *c = (bptt_case){.cell = o->cell,
                   .gates = gates[o->cell],
                   .p = {.phi = o->activation,
                         .over_steps = o->reduction,
                         .over_batch = o->reduction}};
  bool ok = o->case_path ? read_case(c, o->case_path) : make_random(c, o);
  if (ok && o->dtype == CG_F32) round_to_f32(c);
  return ok;
}
