/* test_safetensors_write.c - what is written is read back, and what makes no
 * file is refused. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "safetensors_dir.h"

#ifdef CG_HAVE_JANSSON
#include <jansson.h>

/* ---- round trips ---- */

START_TEST(all_types_and_ranks) {
  cg_array arrays[4 * (CG_MAX_RANK + 1)];
  char names[4 * (CG_MAX_RANK + 1)][16];
  int n = 0;
  for (int rank = 0; rank <= CG_MAX_RANK; rank++) {
    for (cg_dtype dtype = CG_F32; dtype < CG_DTYPE_COUNT; dtype++, n++) {
      snprintf(names[n], sizeof names[n], "%d.%d", (int)dtype, rank);
      arrays[n] = make_array(names[n], dtype, rank);
      round_trip(&arrays[n], 1, NULL, 0);
    }
  }
  round_trip(arrays, n, NULL, 0);
}
END_TEST

START_TEST(empty_arrays) {
  cg_array a[3] = {make_array("a", CG_F64, 3), make_array("b", CG_U8, 1),
                   make_array("c", CG_F32, 2)};
  a[0].shape[1] = 0;
  a[0].data = NULL;
  a[2].shape[0] = 0;
  round_trip(a, 3, NULL, 0);
  round_trip(a, 1, NULL, 0);
  round_trip(NULL, 0, NULL, 0);
}
END_TEST

START_TEST(names_and_metadata) {
  const cg_metadata lines[] = {
      {"format", "pt"},
      {"", "empty key"},
      {"quote\" \\ slash/", "tab\t newline\n bell\a del\x7f"},
      {"gr\xc3\xb6\xc3\x9f\x65", "\xe6\x97\xb6\xe9\x97\xb4 \xf0\x9f\x95\xb0"},
      {"empty value", ""},
  };
  const cg_array a[] = {make_array("rnn.weight_hh_l0", CG_F32, 2),
                        make_array("\"\\\n\x01/", CG_I64, 1),
                        make_array("\xce\xb4_z \xf0\x9f\x95\xb0", CG_U8, 3)};
  round_trip(a, 3, lines, 5);
}
END_TEST

/* A reader that maps the file needs element i of each array aligned. */
START_TEST(data_is_aligned_in_the_file) {
  const cg_array a[] = {make_array("u", CG_U8, 0), make_array("f", CG_F32, 0),
                        make_array("d", CG_F64, 1), make_array("i", CG_I64, 0),
                        make_array("g", CG_F32, 1)};
  const char *order[] = {"d", "i", "f", "g", "u"};
  char path[PATH_SIZE];
  unsigned char length[8];
  round_trip(a, 5, NULL, 0);
  FILE *stream = fopen(in_directory(path, "f"), "rb");
  ck_assert_ptr_nonnull(stream);
  ck_assert_uint_eq(fread(length, 1, 8, stream), 8);
  ck_assert_uint_eq(length[0] % 8, 0);
  fclose(stream);
  cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
  for (int i = 0; i < 5; i++)
    ck_assert_str_eq(cg_safetensors_at(file, i)->name, order[i]);
  cg_safetensors_close(file);
}
END_TEST

/* ---- arguments ---- */

static void must_refuse(const char *path, const cg_array *arrays, int n,
                        const cg_metadata *lines, int n_lines,
                        const char *fragment) {
  cg_error err = {0};
  ck_assert_int_eq(
      cg_safetensors_write(path, arrays, n, lines, n_lines, &err), CG_ERR_ARG);
  ck_assert_msg(strstr(err.message, fragment) != NULL, "%s", err.message);
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_str_eq(err.op, "cg_safetensors_write");
  ck_assert_int_eq(count_files(false), 0);
}

START_TEST(refuses_bad_names) {
  static const char *bad[] = {"", NULL, "__metadata__", "\xc3", "a\xff",
                              "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                              "\xe2\x82", "\x80"};
  char path[PATH_SIZE];
  in_directory(path, "f");
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    cg_array a = make_array(bad[i], CG_F32, 1);
    must_refuse(path, &a, 1, NULL, 0, "array ");
  }
  cg_array twice[] = {make_array("a", CG_F32, 1), make_array("b", CG_U8, 2),
                      make_array("a", CG_I64, 3)};
  must_refuse(path, twice, 3, NULL, 0, "array \"a\" is there twice");
}
END_TEST

START_TEST(refuses_bad_arrays) {
  char path[PATH_SIZE];
  cg_array a[7];
  const char *fragments[7] = {"unknown type", "unknown type", "rank",
                              "rank",         "negative",     "no data",
                              "overflows"};
  for (int i = 0; i < 7; i++)
    a[i] = make_array("a", CG_F32, 2);
  a[0].dtype = CG_DTYPE_COUNT;
  a[1].dtype = (cg_dtype)-1;
  a[2].rank = CG_MAX_RANK + 1;
  a[3].rank = -1;
  a[4].shape[1] = -3;
  a[5].data = NULL;
  a[6].shape[0] = a[6].shape[1] = INT64_MAX / 2;
  in_directory(path, "f");
  for (int i = 0; i < 7; i++)
    must_refuse(path, &a[i], 1, NULL, 0, fragments[i]);
  cg_array huge[] = {make_array("a", CG_U8, 1), make_array("b", CG_U8, 1)};
  huge[0].shape[0] = huge[1].shape[0] = INT64_MAX - 3;
  must_refuse(path, huge, 2, NULL, 0, "overflow in sum");
  must_refuse(NULL, a, 0, NULL, 0, "path");
  must_refuse(path, a, -1, NULL, 0, "-1 arrays");
  must_refuse(path, NULL, 1, NULL, 0, "1 arrays");
  must_refuse(path, NULL, 0, NULL, 2, "2 lines");
}
END_TEST

START_TEST(refuses_bad_metadata) {
  char path[PATH_SIZE];
  const cg_metadata twice[] = {{"k", "1"}, {"k", "2"}};
  const cg_metadata bad[] = {
      {NULL, "v"}, {"k", NULL}, {"k", "\xff"}, {"\xff", "v"}};
  in_directory(path, "f");
  must_refuse(path, NULL, 0, twice, 2, "metadata \"k\" is there twice");
  for (int i = 0; i < 4; i++)
    must_refuse(path, NULL, 0, &bad[i], 1, "metadata ");
}
END_TEST

/* ---- lack of memory ---- */

static int json_calls, json_fail_at;

static void *json_alloc(size_t size) {
  return ++json_calls == json_fail_at ? NULL : malloc(size);
}

START_TEST(every_failing_json_allocation_is_an_error) {
  const cg_array a[] = {make_array("a", CG_F32, 3), make_array("b", CG_U8, 8)};
  const cg_metadata lines[] = {{"k", "v"}, {"key", "value"}};
  char path[PATH_SIZE];
  cg_error err;
  cg_status status = CG_ERR_NOMEM;
  in_directory(path, "f");
  json_set_alloc_funcs(json_alloc, free);
  for (json_fail_at = 1; status != CG_OK; json_fail_at++) {
    json_calls = 0;
    ck_assert_int_eq(count_files(false), 0);
    status = cg_safetensors_write(path, a, 2, lines, 2, &err);
    ck_assert(status == CG_OK || status == CG_ERR_NOMEM);
  }
  ck_assert_int_ge(json_fail_at, 20);
  json_fail_at = 0;
  round_trip(a, 2, lines, 2);
}
END_TEST

static void add_tests(TCase *tests) {
  tcase_add_unchecked_fixture(tests, fill_numbers, NULL);
  tcase_add_checked_fixture(tests, make_directory, remove_directory);
  tcase_add_test(tests, all_types_and_ranks);
  tcase_add_test(tests, empty_arrays);
  tcase_add_test(tests, names_and_metadata);
  tcase_add_test(tests, data_is_aligned_in_the_file);
  tcase_add_test(tests, refuses_bad_names);
  tcase_add_test(tests, refuses_bad_arrays);
  tcase_add_test(tests, refuses_bad_metadata);
  tcase_add_test(tests, every_failing_json_allocation_is_an_error);
}

#else

START_TEST(says_that_it_cannot) {
  cg_error err = {0};
  ck_assert_int_eq(cg_safetensors_write("/", NULL, 0, NULL, 0, &err),
                   CG_ERR_STATE);
  ck_assert_ptr_nonnull(strstr(err.message, "jansson"));
}
END_TEST

static void add_tests(TCase *tests) {
  tcase_add_test(tests, says_that_it_cannot);
}

#endif

int main(void) { return run_tests("safetensors_write", add_tests); }
