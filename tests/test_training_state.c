/* test_training_state.c - a run that was saved goes on with identical bits;
 * files that do not fit are refused and change nothing. */
#include "nn_test.h"

#ifdef CG_HAVE_JANSSON

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
static void run_init(run *r, const char *optimizer, cg_dtype dtype,
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

static void run_free(run *r) {
  cg_optimizer_free(r->optimizer);
  cg_params_free(r->params);
}

/* sum (w - noise)^4 + (w - 1)^2, noisy so that the generator matters. */
static cg_status evaluate(void *context, double *loss, cg_error *err) {
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

static void run_steps(run *r, int n) {
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
static void path_of(char path[64], const char *name) {
  const char *room = access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "";
  snprintf(path, 64, "%straining_state-%ld-%s", room, (long)getpid(), name);
}

static void save(const run *r, const char *path) {
  cg_error err = {0};
  const cg_metadata lines[] = {{"note", "2.385"}};
  ck_assert_msg(!cg_training_save(&r->training, path, lines, 1, &err), "%s",
                err.message);
}

static size_t contents(const char *path, char *bytes, size_t size) {
  FILE *in = fopen(path, "rb");
  ck_assert_ptr_nonnull(in);
  size_t n = fread(bytes, 1, size, in);
  fclose(in);
  ck_assert_uint_lt(n, size);
  return n;
}

/* Two runs that are saved alike are alike. */
static void same_files(const char *a, const char *b) {
  static char x[1 << 16], y[1 << 16];
  size_t n = contents(a, x, sizeof x);
  ck_assert_uint_eq(contents(b, y, sizeof y), n);
  ck_assert_msg(memcmp(x, y, n) == 0, "the states differ");
}

/* ---- going on ---- */

START_TEST(goes_on_with_identical_bits) {
  const char *name = cg_optimizer_list(_i / 2);
  const cg_dtype dtype = _i % 2 ? CG_F64 : CG_F32;
  char middle[64], end[64], again[64];
  path_of(middle, "middle");
  path_of(end, "end");
  path_of(again, "again");
  run r, s;
  run_init(&r, name, dtype, 5, NULL);
  run_steps(&r, 4);
  save(&r, middle);
  run_steps(&r, 5);
  save(&r, end);
  run_init(&s, name, dtype, 91, NULL);
  run_steps(&s, 3);
  cg_error err = {0};
  ck_assert_msg(!cg_training_load(&s.training, middle, &err), "%s",
                err.message);
  save(&s, again);
  same_files(middle, again);
  run_steps(&s, 5);
  save(&s, again);
  same_files(end, again);
  run_free(&r);
  run_free(&s);
  unlink(middle), unlink(end), unlink(again);
}
END_TEST

START_TEST(parts_may_be_absent) {
  char path[64];
  path_of(path, "parts");
  run r, s;
  run_init(&r, "adam", CG_F64, 5, NULL);
  run_init(&s, "adam", CG_F64, 6, NULL);
  r.training = (cg_training){.params = r.params};
  s.training = (cg_training){.params = s.params};
  save(&r, path);
  cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
  ck_assert_str_eq(cg_safetensors_metadata(file, "note"), "2.385");
  ck_assert_int_eq(cg_safetensors_count(file), 2);
  ck_assert_int_eq(cg_training_load_from(&s.training, file, NULL), CG_OK);
  near_tensor("W", cg_params_at(s.params, 0), cg_params_at(r.params, 0), 0);
  cg_safetensors_close(file);
  run_free(&r);
  run_free(&s);
  unlink(path);
}
END_TEST

START_TEST(loading_makes_old_graphs_stale) {
  char path[64];
  path_of(path, "stale");
  run r;
  run_init(&r, "sgd", CG_F64, 5, NULL);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = cg_params_at(r.params, 1);
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, w));
  save(&r, path);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK); /* saving only reads */
  ck_assert_int_eq(cg_training_load(&r.training, path, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_ERR_STALE);
  cg_tape_free(tape);
  run_free(&r);
  unlink(path);
}
END_TEST

/* ---- files that do not fit ---- */

/* A change to the arrays and the metadata of a good file. */
typedef struct variant {
  cg_array arrays[64];
  int n_arrays;
  cg_metadata metadata[8];
  int n_metadata;
} variant;

static variant variant_of(const cg_safetensors *file) {
  variant v = {.n_arrays = cg_safetensors_count(file), .n_metadata = 2};
  for (int i = 0; i < v.n_arrays; i++)
    v.arrays[i] = *cg_safetensors_at(file, i);
  const char *keys[] = {"training_state", "optimizer"};
  for (int i = 0; i < 2; i++)
    v.metadata[i] =
        (cg_metadata){keys[i], cg_safetensors_metadata(file, keys[i])};
  return v;
}

/* `r` refuses the file, saying `part`, and is as it was. */
static void refuses(run *r, const variant *v, const char *part) {
  char path[64], before[64], after[64];
  path_of(path, "bad");
  path_of(before, "before");
  path_of(after, "after");
  cg_error err = {0};
  ck_assert_int_eq(cg_safetensors_write(path, v->arrays, v->n_arrays,
                                        v->metadata, v->n_metadata, &err),
                   CG_OK);
  save(r, before);
  cg_status status = cg_training_load(&r->training, path, &err);
  ck_assert_msg(status == CG_ERR_FORMAT || status == CG_ERR_DTYPE,
                "%s: %s", part, cg_status_name(status));
  ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" lacks \"%s\"",
                err.message, part);
  save(r, after);
  same_files(before, after);
  unlink(path), unlink(before), unlink(after);
}

/* Opens the state of a run of that optimizer, 12 steps on. */
static cg_safetensors *state_of(const char *optimizer) {
  char path[64];
  path_of(path, "good");
  run r;
  run_init(&r, optimizer, CG_F64, 5, NULL);
  run_steps(&r, 12);
  save(&r, path);
  cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
  ck_assert_ptr_nonnull(file);
  unlink(path);
  run_free(&r);
  return file;
}

START_TEST(every_array_is_needed_as_it_is) {
  const char *name = cg_optimizer_list(_i);
  cg_safetensors *file = state_of(name);
  run r;
  run_init(&r, name, CG_F64, 77, NULL);
  run_steps(&r, 2);
  const char other[512] = {0};
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    variant v = variant_of(file);
    const char *array = v.arrays[i].name;
    v.arrays[i] = v.arrays[--v.n_arrays];
    refuses(&r, &v, array);
    v = variant_of(file);
    v.arrays[i].shape[v.arrays[i].rank++] = 1;
    refuses(&r, &v, array);
    v = variant_of(file);
    v.arrays[i].dtype = CG_U8;
    v.arrays[i].data = other;
    refuses(&r, &v, array);
    v = variant_of(file);
    v.arrays[i].name = "param.stranger";
    refuses(&r, &v, array);
  }
  variant v = variant_of(file);
  v.arrays[v.n_arrays++] =
      (cg_array){"array.more", CG_U8, 1, {3}, other};
  refuses(&r, &v, "array.more, which this training lacks");
  cg_safetensors_close(file);
  run_free(&r);
}
END_TEST

START_TEST(the_kind_must_fit) {
  run r;
  run_init(&r, cg_optimizer_list(_i), CG_F64, 77, NULL);
  for (int k = 0; k < N_OPTIMIZERS; k++) {
    if (k == _i) continue;
    cg_safetensors *file = state_of(cg_optimizer_list(k));
    variant v = variant_of(file);
    refuses(&r, &v, cg_optimizer_list(k));
    cg_safetensors_close(file);
  }
  cg_safetensors *file = state_of(cg_optimizer_list(_i));
  variant v = variant_of(file);
  v.n_metadata = 0;
  refuses(&r, &v, "is no training state");
  v.n_metadata = 1;
  refuses(&r, &v, "it has no \"optimizer\"");
  v = variant_of(file);
  v.metadata[0].value = "2\n";
  refuses(&r, &v, "version \"2\\x0a\"");
  v = variant_of(file);
  v.metadata[1].value = "adam\x1b[31m";
  refuses(&r, &v, "\"adam\\x1b[31m\"");
  cg_safetensors_close(file);
  run_free(&r);
}
END_TEST

static void set_number(variant *v, const char *array, int at, double x,
                       double *copy) {
  for (int i = 0; i < v->n_arrays; i++)
    if (strcmp(v->arrays[i].name, array) == 0) {
      memcpy(copy, v->arrays[i].data,
             (size_t)v->arrays[i].shape[0] * sizeof *copy);
      if (v->arrays[i].dtype == CG_I64)
        ((int64_t *)(void *)copy)[at] = (int64_t)x;
      else
        copy[at] = x;
      v->arrays[i].data = copy;
      return;
    }
  ck_abort_msg("no %s", array);
}

static const struct {
  const char *optimizer, *array;
  int at;
  double value;
  const char *part;
} senseless[] = {
    {"adam", "optimizer.settings", 0, NAN, "lr"},
    {"adam", "optimizer.settings", 0, -0.1, "lr"},
    {"adam", "optimizer.settings", 1, 1.0, "beta1"},
    {"adam", "optimizer.steps", 1, -1, "count of steps"},
    {"sgd", "optimizer.settings", 0, INFINITY, "lr"},
    {"sgd", "optimizer.settings", 1, 0.9, "momentum"}, /* no buffer for it */
    {"sgd", "optimizer.settings", 4, 0.5, "nesterov"},
    {"rmsprop", "optimizer.settings", 5, 1, "centered"},
    {"lbfgs", "optimizer.settings", 1, 0.5, "max_iter"},
    {"lbfgs", "optimizer.settings", 3, 5, "history_size"},
    {"lbfgs", "optimizer.settings", 3, 1e18, "history_size"},
    {"lbfgs", "optimizer.numbers", 0, -1, "history"},
    {"lbfgs", "optimizer.numbers", 0, NAN, "history"},
    {"lbfgs", "optimizer.numbers", 1, 11, "history"},
    {"lbfgs", "optimizer.numbers", 1, 1e300, "history"},
    {"lbfgs", "optimizer.numbers", 2, 10, "history"},
    {"lbfgs", "optimizer.numbers", 2, -1, "history"},
    {"lbfgs", "optimizer.numbers", 2, 0.5, "history"},
    {"adam", "plateau", 3, NAN, "plateau"},
    {"adam", "plateau", 4, 1e300, "plateau"},
    {"adam", "plateau", 8, -1, "plateau"},
    {"adam", "plateau", 9, 0.5, "plateau"},
};

START_TEST(numbers_must_make_sense) {
  const char *name = senseless[_i].optimizer;
  double copy[64];
  cg_safetensors *file = state_of(name);
  run r;
  run_init(&r, name, CG_F64, 77, NULL);
  run_steps(&r, 2);
  variant v = variant_of(file);
  set_number(&v, senseless[_i].array, senseless[_i].at, senseless[_i].value,
             copy);
  refuses(&r, &v, senseless[_i].part);
  cg_safetensors_close(file);
  run_free(&r);
}
END_TEST

/* ---- bad calls ---- */

START_TEST(refuses_bad_calls) {
  char path[64];
  path_of(path, "never");
  run r, s;
  run_init(&r, "adam", CG_F64, 5, NULL);
  run_init(&s, "adam", CG_F64, 5, NULL);
  cg_error err = {0};
  cg_training t = {0};
  ck_assert_int_eq(cg_training_save(NULL, path, NULL, 0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "registry");
  t = r.training;
  t.optimizer = s.optimizer;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "another registry");
  t = r.training;
  t.n_arrays = -1;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  t = r.training;
  r.arrays[1].data = NULL;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "array 1");
  r.arrays[1].data = r.state;
  r.arrays[1].name = "position";
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "twice");
  r.arrays[1].name = "h";
  r.rngs[1] = NULL;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_ARG);
  r.rngs[1] = &r.data;
  ck_assert_int_eq(cg_training_save(&t, path, NULL, -1, &err), CG_ERR_ARG);
  const cg_metadata taken[] = {{"optimizer", "mine"}};
  ck_assert_int_eq(cg_training_save(&t, path, taken, 1, &err), CG_ERR_ARG);
  ck_assert_int_eq(access(path, F_OK), -1);
  ck_assert_int_eq(cg_training_load(&t, path, &err), CG_ERR_IO);
  ck_assert_int_eq(cg_training_load_from(&t, NULL, &err), CG_ERR_ARG);
  cg_params_drop(r.params, (cg_params_position){1, 0});
  ck_assert_int_eq(cg_training_save(&t, path, NULL, 0, &err), CG_ERR_STATE);
  run_free(&r);
  run_free(&s);
}
END_TEST

START_TEST(lack_of_memory_is_an_error) {
  char path[64];
  path_of(path, "memory");
  counter c;
  counter_init(&c);
  run r;
  run_init(&r, "adam", CG_F64, 5, &c.allocator);
  run_steps(&r, 1);
  save(&r, path);
  size_t live = c.live_blocks;
  for (int load = 0; load < 2; load++) {
    cg_status status = CG_ERR_NOMEM;
    for (size_t k = 1; status; k++) {
      c.fail_at = c.calls + k;
      status = load ? cg_training_load(&r.training, path, NULL)
                    : cg_training_save(&r.training, path, NULL, 0, NULL);
      ck_assert(!status || status == CG_ERR_NOMEM);
      ck_assert_uint_eq(c.live_blocks, live);
      ck_assert_uint_lt(k, 20);
    }
    c.fail_at = 0;
  }
  run_free(&r);
  ck_assert_uint_eq(c.live_blocks, 0);
  unlink(path);
}
END_TEST

#endif

int main(void) {
  TCase *tc = tcase_create("training_state");
#ifdef CG_HAVE_JANSSON
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, goes_on_with_identical_bits, 0, 2 * N_OPTIMIZERS);
  tcase_add_test(tc, parts_may_be_absent);
  tcase_add_test(tc, loading_makes_old_graphs_stale);
  tcase_add_loop_test(tc, every_array_is_needed_as_it_is, 0, N_OPTIMIZERS);
  tcase_add_loop_test(tc, the_kind_must_fit, 0, N_OPTIMIZERS);
  tcase_add_loop_test(tc, numbers_must_make_sense, 0, N_OF(senseless));
  tcase_add_test(tc, refuses_bad_calls);
  tcase_add_test(tc, lack_of_memory_is_an_error);
#endif
  return run_case("training_state", tc);
}
