/* engine_test.h - what the engine's tests share: an allocator that counts and
 * fails on demand, makers of leaves and constants, comparisons, and main's
 * body. */
#ifndef ENGINE_TEST_H
#define ENGINE_TEST_H

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <chronograd/engine.h>

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- an allocator that counts, and fails once ---- */

typedef struct counter {
  cg_allocator allocator;
  size_t live_blocks, live_bytes, calls;
  size_t fail_at; /* the call that fails, from 1; 0: none */
} counter;

static inline void *counter_alloc(void *context, size_t size) {
  counter *c = context;
  if (++c->calls == c->fail_at) return NULL;
  void *p = aligned_alloc(CG_ALIGNMENT, (size + 63) & ~(size_t)63);
  if (!p) return NULL;
  memset(p, 0xA5, size); /* nobody may count on zeros */
  c->live_blocks++;
  c->live_bytes += size;
  return p;
}

static inline void counter_release(void *context, void *block, size_t size) {
  counter *c = context;
  memset(block, 0x5A, size);
  c->live_blocks--;
  c->live_bytes -= size;
  free(block);
}

static inline void counter_init(counter *c) {
  *c = (counter){.allocator = {counter_alloc, counter_release, c}};
}

/* ---- makers ---- */

static inline cg_tensor *leaf_of(const double *values, int rank,
                                 const int64_t *shape) {
  cg_tensor *x = cg_leaf_new(NULL, CG_F64, rank, shape, NULL);
  ck_assert_ptr_nonnull(x);
  size_t bytes = (size_t)cg_tensor_numel(x) * sizeof(double);
  if (values && bytes) ck_assert_int_eq(cg_leaf_write(x, values, bytes), CG_OK);
  ck_assert_int_eq(cg_leaf_set_requires_grad(x, true), CG_OK);
  return x;
}

static inline cg_tensor *scalar_leaf(double value) {
  return leaf_of(&value, 0, NULL);
}

/* A constant of a float type from row-major numbers. */
static inline cg_tensor *constant_of(cg_tape *tape, cg_dtype dtype,
                                     const double *v, int rank,
                                     const int64_t *shape) {
  cg_tensor *x = cg_input(tape, CG_F64, rank, shape, v);
  return dtype == CG_F64 ? x : cg_cast(tape, x, dtype);
}

/* Constants on the test's `tape`: F(CG_F32, CG_DIMS(2), 1.5, 2), I(...). */
#define F(dtype, dims, ...) \
  constant_of(tape, dtype, (const double[]){__VA_ARGS__}, dims)
#define I(dims, ...) \
  cg_input(tape, CG_I64, dims, (const int64_t[]){__VA_ARGS__})

/* For ops of a test's own: y = x, which is F64. */
static inline cg_status identity_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static inline cg_status identity_forward(const cg_call *call, cg_tensor *out) {
  return cg_tensor_read(call->in[0], cg_out_data(out),
                        (size_t)cg_tensor_numel(out) * sizeof(double));
}

/* ---- comparisons ---- */

static inline void near(double got, double want, double tolerance) {
  if (isnan(want))
    ck_assert_msg(isnan(got), "%.17g where NaN is due", got);
  else if (isinf(want))
    ck_assert_msg(got == want, "%.17g where %g is due", got, want);
  else
    ck_assert_msg(fabs(got - want) <= tolerance * fmax(1, fabs(want)),
                  "%.17g where %.17g is due", got, want);
}

static inline void near_all(const cg_tensor *x, const double *want, int n,
                            double tolerance) {
  ck_assert_ptr_nonnull(x);
  ck_assert_int_eq(cg_tensor_numel(x), n);
  for (int i = 0; i < n; i++) near(cg_tensor_get(x, i), want[i], tolerance);
}

#define NEAR_ALL(x, tolerance, ...)                                          \
  near_all((x), (const double[]){__VA_ARGS__},                               \
           N_OF(((const double[]){__VA_ARGS__})), (tolerance))

static inline void has_shape(const cg_tensor *x, int rank,
                             const int64_t *shape) {
  ck_assert_ptr_nonnull(x);
  ck_assert_int_eq(cg_tensor_rank(x), rank);
  for (int i = 0; i < rank; i++)
    ck_assert_int_eq(cg_tensor_dim(x, i), shape[i]);
}

static inline void fine(const cg_tape *tape) {
  ck_assert_msg(cg_tape_status(tape) == CG_OK, "%s: %s",
                cg_tape_error(tape)->op, cg_tape_error(tape)->message);
}

/* The tape's error has this code and names all of it; it is then cleared. */
static inline void failed(cg_tape *tape, cg_status status, const char *op,
                          const char *part) {
  const cg_error *e = cg_tape_error(tape);
  ck_assert_msg(e->status == status, "%s, not %s: %s: %s",
                cg_status_name(e->status), cg_status_name(status), e->op,
                e->message);
  ck_assert_str_eq(e->op, op);
  ck_assert_msg(strstr(e->message, part) != NULL, "\"%s\" lacks \"%s\"",
                e->message, part);
  cg_tape_clear_error(tape);
}

/* ---- main ---- */

static inline int run_case(const char *name, TCase *tc) {
  Suite *suite = suite_create(name);
  suite_add_tcase(suite, tc);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failures = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
