/* nn_test.h - what the tests of nn share, beyond engine_test.h: parameters with
 * values, gradients with values, and the golden files. */
#ifndef NN_TEST_H
#define NN_TEST_H

#include "engine_test.h"

#include <stdio.h>

#include <chronograd/nn.h>

#ifndef CG_TEST_DATA
#define CG_TEST_DATA "tests/golden"
#endif

static inline void has_error(const cg_error *err, cg_status status,
                             const char *part) {
  ck_assert_msg(err->status == status, "%s, not %s: %s",
                cg_status_name(err->status), cg_status_name(status),
                err->message);
  ck_assert_msg(strstr(err->message, part) != NULL, "\"%s\" lacks \"%s\"",
                err->message, part);
}

static inline cg_params *registry(cg_dtype dtype) {
  cg_params *params = cg_params_new(NULL, dtype, NULL);
  ck_assert_ptr_nonnull(params);
  return params;
}

/* W [3, 4] and b [5]. */
static inline cg_params *new_params(cg_dtype dtype) {
  cg_params *params = registry(dtype);
  ck_assert_ptr_nonnull(cg_params_add(params, "W", CG_DIMS(3, 4), NULL));
  ck_assert_ptr_nonnull(cg_params_add(params, "b", CG_DIMS(5), NULL));
  return params;
}

/* Writes doubles into a leaf of either float type. */
static inline void set_values(cg_tensor *leaf, const double *values) {
  void *data = cg_leaf_data(leaf);
  for (int64_t i = 0; i < cg_tensor_numel(leaf); i++)
    if (cg_tensor_dtype(leaf) == CG_F32)
      ((float *)data)[i] = (float)values[i];
    else
      ((double *)data)[i] = values[i];
}

/* Writes doubles into the gradient of a leaf. */
static inline void set_grad(cg_tensor *leaf, const double *values) {
  cg_tensor *g = cg_leaf_grad(leaf);
  ck_assert_ptr_nonnull(g);
  set_values(g, values);
}

/* Unrelated numbers in (-1, 1), a different sequence for each seed. */
static inline void fill_some(cg_tensor *leaf, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  ck_assert_int_eq(cg_init_uniform(leaf, &rng, -1.0, 1.0, NULL), CG_OK);
}

static inline cg_tensor *some_leaf(uint64_t seed, int rank,
                                   const int64_t *shape) {
  cg_tensor *x = leaf_of(NULL, rank, shape);
  fill_some(x, seed);
  return x;
}

static inline void near_tensor(const char *what, const cg_tensor *got,
                               const cg_tensor *want, double tolerance) {
  ck_assert_msg(got && want, "%s: missing", what);
  has_shape(got, cg_tensor_rank(want), cg_tensor_shape(want));
  for (int64_t i = 0; i < cg_tensor_numel(want); i++) {
    double g = cg_tensor_get(got, i), w = cg_tensor_get(want, i);
    ck_assert_msg(fabs(g - w) <= tolerance * fmax(1, fabs(w)),
                  "%s[%d]: %.17g where %.17g is due", what, (int)i, g, w);
  }
}

/* ---- golden files (golden/make_golden.py), float64 but for targets ---- */

static inline cg_safetensors *golden_open(const char *file) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s.safetensors", CG_TEST_DATA, file);
  cg_error err = {0};
  cg_safetensors *golden = cg_safetensors_open(NULL, path, &err);
  ck_assert_msg(golden != NULL, "%s: %s", path, err.message);
  return golden;
}

static inline const cg_array *golden_array(const cg_safetensors *golden,
                                           const char *prefix,
                                           const char *name) {
  char full[128];
  snprintf(full, sizeof full, "%s%s", prefix, name);
  const cg_array *a = cg_safetensors_find(golden, full);
  ck_assert_msg(a != NULL, "no %s in the golden file", full);
  return a;
}

static inline void near_golden(const cg_safetensors *golden,
                               const char *prefix, const char *name,
                               const cg_tensor *got, double tolerance) {
  const cg_array *a = golden_array(golden, prefix, name);
  ck_assert_msg(got != NULL, "%s%s is missing", prefix, name);
  has_shape(got, a->rank, a->shape);
  for (int64_t i = 0; i < cg_tensor_numel(got); i++) {
    double g = cg_tensor_get(got, i), w = ((const double *)a->data)[i];
    ck_assert_msg(fabs(g - w) <= tolerance * fmax(1, fabs(w)),
                  "%s%s[%d]: %.17g where %.17g is due", prefix, name, (int)i,
                  g, w);
  }
}

/* All parameters from the arrays "param.<name>". */
static inline void load_golden(cg_params *params,
                               const cg_safetensors *golden) {
  for (int i = 0; i < cg_params_count(params); i++) {
    const char *name = cg_params_name(params, i);
    const cg_array *a = golden_array(golden, "param.", name);
    has_shape(cg_params_at(params, i), a->rank, a->shape);
    set_values(cg_params_at(params, i), a->data);
  }
}

#endif
