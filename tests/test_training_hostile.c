/* test_training_hostile.c - states of a training that do not fit are refused,
 * and change nothing. */
#include "training_test.h"

#ifdef CG_HAVE_JANSSON

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

#endif

int main(void) {
  TCase *tc = tcase_create("training_hostile");
#ifdef CG_HAVE_JANSSON
  tcase_set_timeout(tc, 60);
  tcase_add_loop_test(tc, every_array_is_needed_as_it_is, 0, N_OPTIMIZERS);
  tcase_add_loop_test(tc, the_kind_must_fit, 0, N_OPTIMIZERS);
  tcase_add_loop_test(tc, numbers_must_make_sense, 0, N_OF(senseless));
#endif
  return run_case("training_hostile", tc);
}
