/* checkpoint_test.h - what the tests of recompute segments share: programs that
 * run with segments or without, and whose results must agree to the bit. */
#ifndef CHECKPOINT_TEST_H
#define CHECKPOINT_TEST_H

#include "engine_test.h"

static cg_tape *tape;
static bool plain;  /* call functions instead of making segments */
static int runs;    /* calls of functions so far, where they count them */

/* ---- results, as bytes ---- */

typedef struct record {
  unsigned char bytes[1 << 16];
  size_t n;
} record;

static record *out_record;

static inline void keep(const cg_tensor *x) {
  fine(tape);
  ck_assert_ptr_nonnull(x);
  size_t bytes = (size_t)cg_tensor_numel(x) * cg_dtype_size(cg_tensor_dtype(x));
  ck_assert_uint_le(out_record->n + bytes, sizeof out_record->bytes);
  ck_assert_int_eq(
      cg_tensor_read(x, out_record->bytes + out_record->n, bytes), CG_OK);
  out_record->n += bytes;
}

/* ---- leaves of the type under test ---- */

enum { N_LEAVES = 6, D = 5, ROWS = 3 };
static cg_tensor *leaf[N_LEAVES]; /* W0, W1, W2 [D, D], b [D], x [ROWS, D], s */
static cg_dtype dtype;
#define W0 leaf[0]
#define W1 leaf[1]
#define W2 leaf[2]
#define BIAS leaf[3]
#define X leaf[4]
#define S leaf[5]

static inline cg_tensor *random_leaf(cg_rng *rng, int rank,
                                     const int64_t *shape) {
  cg_tensor *x = cg_leaf_new(NULL, dtype, rank, shape, NULL);
  ck_assert_ptr_nonnull(x);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    double value = 0.6 * cg_rng_normal(rng);
    if (dtype == CG_F32)
      ((float *)cg_leaf_data(x))[i] = (float)value;
    else
      ((double *)cg_leaf_data(x))[i] = value;
  }
  ck_assert_int_eq(cg_leaf_set_requires_grad(x, true), CG_OK);
  return x;
}

static inline void make_leaves(cg_dtype type) {
  static const char *const names[] = {"W0", "W1", "W2", "b", "x", "s"};
  cg_rng rng = cg_rng_seed(2385);
  dtype = type;
  for (int i = 0; i < 3; i++) leaf[i] = random_leaf(&rng, CG_DIMS(D, D));
  BIAS = random_leaf(&rng, CG_DIMS(D));
  X = random_leaf(&rng, CG_DIMS(ROWS, D));
  S = random_leaf(&rng, 0, NULL);
  for (int i = 0; i < N_LEAVES; i++) cg_leaf_set_name(leaf[i], names[i]);
}

static inline void free_leaves(void) {
  for (int i = 0; i < N_LEAVES; i++) cg_leaf_free(leaf[i]);
}

static inline void keep_leaf_gradients(void) {
  for (int i = 0; i < N_LEAVES; i++)
    if (cg_tensor_grad(leaf[i])) keep(cg_tensor_grad(leaf[i]));
}

/* ---- segments, or not ---- */

static inline void segment(cg_segment_fn fn, void *context, size_t bytes,
                           cg_tensor *const *in, int n_in, cg_tensor **out,
                           int n_out) {
  if (!plain)
    cg_checkpoint(tape, fn, context, bytes, in, n_in, out, n_out);
  else
    fn(tape, in, n_in, out, n_out, context);
}

/* One input, one output. */
static inline cg_tensor *segment1(cg_segment_fn fn, cg_tensor *x) {
  cg_tensor *y = NULL;
  segment(fn, NULL, 0, &x, 1, &y, 1);
  return y;
}

/* What the program makes, with segments or without, for one type. */
static inline void run_program(void (*program)(void), cg_dtype type,
                               bool without, record *r) {
  plain = without;
  runs = 0;
  out_record = r;
  r->n = 0;
  make_leaves(type);
  tape = cg_tape_new(NULL);
  program();
  fine(tape);
  cg_tape_free(tape);
  free_leaves();
  ck_assert_uint_gt(r->n, 0);
}

static inline void same_bits(void (*program)(void)) {
  static record with, without;
  static const cg_dtype types[] = {CG_F32, CG_F64};
  for (int i = 0; i < 2; i++) {
    run_program(program, types[i], true, &without);
    run_program(program, types[i], false, &with);
    ck_assert_uint_eq(with.n, without.n);
    for (size_t k = 0; k < with.n; k++)
      ck_assert_msg(with.bytes[k] == without.bytes[k],
                    "byte %zu of %zu differs, %s", k, with.n,
                    cg_dtype_name(types[i]));
  }
}

/* ---- what is computed in segments ---- */

/* y = s tanh(x W0^T + b)^2 W1^T, with captures. */
static inline void layers(cg_tape *t, cg_tensor *const *in, int n_in,
                          cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  runs++;
  cg_tensor *h = cg_tanh(t, cg_linear(t, in[0], W0, BIAS));
  out[0] = cg_mul(t, cg_linear(t, cg_square(t, h), W1, NULL), S);
}

static inline cg_tensor *sum_of_squares(cg_tensor *x) {
  return cg_sum_all(tape, cg_square(tape, x));
}

/* ---- a fixture, for those who look at one tape ---- */

static inline void setup(void) {
  plain = false;
  runs = 0;
  make_leaves(CG_F64);
  tape = cg_tape_new(NULL);
}

static inline void teardown(void) {
  cg_tape_free(tape);
  free_leaves();
}

#endif
