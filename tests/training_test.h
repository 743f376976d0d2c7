/* training_test.h - what the tests of training states share: a run with all
 * that it takes to go on, and files of it. */
#ifndef CHRONOGRAD_TESTS_TRAINING_TEST_H
#define CHRONOGRAD_TESTS_TRAINING_TEST_H

#include "nn_test.h"

#include <unistd.h>

/* ---- a run ---- */

enum { N_OPTIMIZERS = 6 };

typedef struct run {
  cg_params *params;
  cg_optimizer *optimizer;
  cg_plateau plateau;
  cg_rng noise, data;
  cg_rng *rngs[2];
  int64_t position[2];
  float state[2][3];
  cg_training_array arrays[2];
  cg_training training;
} run;

/* `seed` makes the first values, none of which may survive loading. */
static inline void run_init(run *r, const char *optimizer, cg_dtype dtype,
                     uint64_t seed, const cg_allocator *allocator) {
  *r = (run){.params = cg_params_new(allocator, dtype, NULL),
             .noise = cg_rng_seed(seed), .data = cg_rng_seed(~seed),
             .position = {(int64_t)seed, -7},
             .state = {{(float)seed, 0.3f, -1.7f}},
             .plateau = {.factor = 0.5, .patience = 2}};
  r->rngs[0] = &r->noise;
  r->rngs[1] = &r->data;
  r->arrays[0] = (cg_training_array){"position", CG_I64, 1, {2}, r->position};
  r->arrays[1] = (cg_training_array){"h", CG_F32, 2, {2, 3}, r->state};
  fill_some(cg_params_add(r->params, "W", CG_DIMS(3, 4), NULL), seed);
  fill_some(cg_params_add(r->params, "b", CG_DIMS(5), NULL), seed + 1);
  r->optimizer = cg_optimizer_new(r->params, optimizer, 0.1, NULL);
  r->training = (cg_training){.params = r->params, .optimizer = r->optimizer,
                              .plateau = &r->plateau, .rngs = r->rngs,
                              .n_rngs = 2, .arrays = r->arrays, .n_arrays = 2};
}

static inline void run_free(run *r) {
  cg_optimizer_free(r->optimizer);
  cg_params_free(r->params);
}

/* sum (w - noise)^4 + (w - 1)^2, noisy so that the generator matters. */
static inline cg_status evaluate(void *context, double *loss, cg_error *err) {
  (void)err;
  run *r = context;
  cg_rng noise = r->noise;
  *loss = 0;
  for (int i = 0; i < 2; i++) {
    cg_tensor *w = cg_params_at(r->params, i);
    double gradient[12];
    for (int64_t k = 0; k < cg_tensor_numel(w); k++) {
      double d = cg_tensor_get(w, k) - cg_rng_uniform(&noise);
      double e = cg_tensor_get(w, k) - 1;
      *loss += d * d * d * d + e * e;
      gradient[k] = 4 * d * d * d + 2 * e;
    }
    set_values(cg_leaf_grad(w), gradient);
  }
  return CG_OK;
}

static inline void run_steps(run *r, int n) {
  for (int i = 0; i < n; i++) {
    double loss;
    ck_assert_int_eq(
        cg_optimizer_step_closure(r->optimizer, evaluate, r, &loss, NULL),
        CG_OK);
    cg_rng_next(&r->noise);
    cg_rng_normal(&r->data);
    r->position[0] += cg_rng_below(&r->data, 100);
    r->state[1][2] = 0.7f * r->state[1][2] + (float)loss;
    double lr = cg_optimizer_lr(r->optimizer);
    cg_optimizer_set_lr(r->optimizer, cg_plateau_lr(&r->plateau, lr, loss));
  }
}

/* ---- files ---- */

/* In memory where there is such a place: every file is flushed to disk. */
static inline void path_of(char path[64], const char *name) {
  const char *room = access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "";
  snprintf(path, 64, "%straining_state-%ld-%s", room, (long)getpid(), name);
}

static inline void save(const run *r, const char *path) {
  cg_error err = {0};
  const cg_metadata lines[] = {{"note", "2.385"}};
  ck_assert_msg(!cg_training_save(&r->training, path, lines, 1, &err), "%s",
                err.message);
}

static inline size_t contents(const char *path, char *bytes, size_t size) {
  FILE *in = fopen(path, "rb");
  ck_assert_ptr_nonnull(in);
  size_t n = fread(bytes, 1, size, in);
  fclose(in);
  ck_assert_uint_lt(n, size);
  return n;
}

/* Two runs that are saved alike are alike. */
static inline void same_files(const char *a, const char *b) {
  static char x[1 << 16], y[1 << 16];
  size_t n = contents(a, x, sizeof x);
  ck_assert_uint_eq(contents(b, y, sizeof y), n);
  ck_assert_msg(memcmp(x, y, n) == 0, "the states differ");
}

#endif
