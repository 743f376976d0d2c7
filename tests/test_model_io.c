/* test_model_io.c - parameters to a file and back: all or nothing. */
#include "nn_test.h"

#include <unistd.h>

static char path[64];

static void make_path(void) {
  strcpy(path, "/tmp/chronograd-model-XXXXXX");
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
}

static void remove_path(void) { unlink(path); }

static cg_params *model(cg_dtype dtype, uint64_t seed) {
  cg_params *params = registry(dtype);
  cg_params_add(params, "fc.weight", CG_DIMS(3, 2), NULL);
  cg_params_add(params, "fc.bias", CG_DIMS(3), NULL);
  cg_params_add(params, "scale", 0, NULL, NULL);
  cg_params_add(params, "none", CG_DIMS(0, 4), NULL);
  for (int i = 0; i < 4; i++)
    fill_some(cg_params_at(params, i), seed + (uint64_t)i);
  return params;
}

START_TEST(saving_without_a_registry_is_an_error) {
  cg_error err = {0};
  ck_assert_int_eq(cg_params_save(NULL, path, NULL, 0, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "registry");
  cg_params *params = model(CG_F64, 1);
#ifdef CG_HAVE_JANSSON
  cg_status status = CG_ERR_IO;
#else
  cg_status status = CG_ERR_STATE;
#endif
  ck_assert_int_eq(cg_params_save(params, "/no/such/place/x", NULL, 0, &err),
                   status);
  cg_params_free(params);
}
END_TEST

#ifdef CG_HAVE_JANSSON

static void same_values(const cg_params *a, const cg_params *b,
                        double tolerance) {
  ck_assert_int_eq(cg_params_count(a), cg_params_count(b));
  for (int i = 0; i < cg_params_count(a); i++)
    near_tensor(cg_params_name(a, i), cg_params_at(a, i),
                cg_params_find(b, cg_params_name(a, i)), tolerance);
}

static const cg_dtype floats[] = {CG_F32, CG_F64};

START_TEST(comes_back_bit_for_bit) {
  cg_params *a = model(floats[_i], 10), *b = model(floats[_i], 20);
  const cg_metadata lines[] = {{"alphabet", "abc"}, {"hidden", "128"}};
  ck_assert_int_eq(cg_params_save(a, path, lines, 2, NULL), CG_OK);
  cg_error err = {0};
  ck_assert_msg(cg_params_load(b, path, 0, &err) == CG_OK, "%s", err.message);
  same_values(b, a, 0.0);
  cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
  ck_assert_int_eq(cg_safetensors_count(file), 4);
  ck_assert_str_eq(cg_safetensors_metadata(file, "alphabet"), "abc");
  ck_assert_str_eq(cg_safetensors_metadata(file, "hidden"), "128");
  cg_safetensors_close(file);
  cg_params_free(a);
  cg_params_free(b);
}
END_TEST

START_TEST(converts_when_asked) {
  cg_params *a = model(floats[_i], 10), *b = model(floats[!_i], 20);
  cg_params *untouched = model(floats[!_i], 20);
  ck_assert_int_eq(cg_params_save(a, path, NULL, 0, NULL), CG_OK);
  cg_error err = {0};
  ck_assert_int_eq(cg_params_load(b, path, 0, &err), CG_ERR_DTYPE);
  has_error(&err, CG_ERR_DTYPE, "fc.weight has type f");
  has_error(&err, CG_ERR_DTYPE, "CG_LOAD_CONVERT");
  same_values(b, untouched, 0.0);
  ck_assert_int_eq(cg_params_load(b, path, CG_LOAD_CONVERT, &err), CG_OK);
  same_values(b, a, 1e-7);
  cg_params_free(a);
  cg_params_free(b);
  cg_params_free(untouched);
}
END_TEST

/* One difference between the file and the model, and what is said of it. */
static void refused(const cg_array *arrays, int n, cg_status status,
                    const char *part) {
  ck_assert_int_eq(cg_safetensors_write(path, arrays, n, NULL, 0, NULL),
                   CG_OK);
  cg_params *params = model(CG_F64, 20), *untouched = model(CG_F64, 20);
  cg_error err = {0};
  ck_assert_int_eq(cg_params_load(params, path, CG_LOAD_CONVERT, &err),
                   status);
  has_error(&err, status, part);
  same_values(params, untouched, 0.0);
  cg_params_free(params);
  cg_params_free(untouched);
}

START_TEST(refuses_files_that_do_not_fit) {
  static const double data[16] = {2.385, 0.7};
  static const int64_t integers[16] = {3};
  const cg_array good[] = {
      {"fc.weight", CG_F64, 2, {3, 2}, data},
      {"fc.bias", CG_F64, 1, {3}, data},
      {"scale", CG_F64, 0, {0}, data},
      {"none", CG_F64, 2, {0, 4}, data},
      {"extra", CG_F64, 1, {2}, data},
  };
  cg_array a[5];
  memcpy(a, good, sizeof a);
  refused(a, 3, CG_ERR_FORMAT, "no array none");
  refused(a, 5, CG_ERR_FORMAT, "has an array extra");
  a[1].shape[0] = 4;
  refused(a, 4, CG_ERR_FORMAT, "fc.bias has shape [4] in the file and [3]");
  memcpy(a, good, sizeof a);
  a[0].shape[0] = 2;
  a[0].shape[1] = 3;
  refused(a, 4, CG_ERR_FORMAT, "fc.weight has shape [2, 3]");
  memcpy(a, good, sizeof a);
  a[2].rank = 1;
  a[2].shape[0] = 1;
  refused(a, 4, CG_ERR_FORMAT, "scale has shape [1] in the file and []");
  memcpy(a, good, sizeof a);
  a[1] = (cg_array){"fc.bias", CG_I64, 1, {3}, integers};
  refused(a, 4, CG_ERR_DTYPE, "fc.bias has type i64");
}
END_TEST

START_TEST(refuses_files_that_are_none) {
  cg_params *params = model(CG_F64, 20), *untouched = model(CG_F64, 20);
  cg_error err = {0};
  FILE *file = fopen(path, "wb");
  fputs("not a model", file);
  fclose(file);
  ck_assert_int_eq(cg_params_load(params, path, 0, &err), CG_ERR_FORMAT);
  ck_assert_int_eq(err.status, CG_ERR_FORMAT);
  ck_assert_int_eq(cg_params_load(params, "/no/such/model", 0, NULL),
                   CG_ERR_IO);
  ck_assert_int_eq(cg_params_load_from(params, NULL, 0, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_params_load(NULL, path, 0, &err), CG_ERR_FORMAT);
  same_values(params, untouched, 0.0);
  cg_params_free(params);
  cg_params_free(untouched);
}
END_TEST

START_TEST(loading_makes_old_graphs_stale) {
  cg_params *params = model(CG_F64, 20);
  ck_assert_int_eq(cg_params_save(params, path, NULL, 0, NULL), CG_OK);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *y = cg_sum_all(tape, cg_square(tape, cg_params_at(params, 0)));
  ck_assert_int_eq(cg_params_load(params, path, 0, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, y), CG_ERR_STALE);
  cg_tape_free(tape);
  cg_params_free(params);
}
END_TEST

START_TEST(every_failing_allocation_is_an_error) {
  cg_params *saved = model(CG_F32, 10);
  ck_assert_int_eq(cg_params_save(saved, path, NULL, 0, NULL), CG_OK);
  cg_status status = CG_ERR_NOMEM;
  for (size_t n = 1; status; n++) {
    counter c;
    counter_init(&c);
    cg_params *params = cg_params_new(&c.allocator, CG_F32, NULL);
    for (int i = 0; i < 4; i++)
      cg_params_add(params, cg_params_name(saved, i),
                    cg_tensor_rank(cg_params_at(saved, i)),
                    cg_tensor_shape(cg_params_at(saved, i)), NULL);
    size_t live = c.live_blocks;
    c.fail_at = c.calls + n;
    cg_error err = {0};
    status = cg_params_load(params, path, 0, &err);
    if (status) {
      ck_assert_int_eq(status, CG_ERR_NOMEM);
      ck_assert_int_eq(err.status, status);
    }
    near(cg_tensor_get(cg_params_at(params, 0), 2),
         status ? 0.0 : cg_tensor_get(cg_params_at(saved, 0), 2), 0.0);
    ck_assert_uint_eq(c.live_blocks, live);
    c.fail_at = c.calls + 1;
    ck_assert_int_eq(cg_params_save(params, path, NULL, 0, &err),
                     CG_ERR_NOMEM);
    cg_params_free(params);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  cg_params_free(saved);
}
END_TEST

#endif

int main(void) {
  TCase *tc = tcase_create("model_io");
  tcase_add_checked_fixture(tc, make_path, remove_path);
  tcase_add_test(tc, saving_without_a_registry_is_an_error);
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, comes_back_bit_for_bit, 0, 2);
  tcase_add_loop_test(tc, converts_when_asked, 0, 2);
  tcase_add_test(tc, refuses_files_that_do_not_fit);
  tcase_add_test(tc, refuses_files_that_are_none);
  tcase_add_test(tc, loading_makes_old_graphs_stale);
  tcase_add_test(tc, every_failing_allocation_is_an_error);
#endif
  return run_case("model_io", tc);
}
