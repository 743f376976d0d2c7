/* safetensors_dir.h - what the tests of the writer share: a directory per test,
 * arrays of any numbers, and what it takes to write and read them. */
#ifndef CHRONOGRAD_TESTS_SAFETENSORS_DIR_H
#define CHRONOGRAD_TESTS_SAFETENSORS_DIR_H

#include <chronograd/safetensors.h>

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a directory per test ---- */

#define PATH_SIZE 512

static char directory[PATH_SIZE / 2];

static inline void make_directory(void) {
  const char *base = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/test_safetensors.XXXXXX",
           base != NULL ? base : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(directory));
}

static inline const char *in_directory(char path[PATH_SIZE], const char *name) {
  snprintf(path, PATH_SIZE, "%s/%s", directory, name);
  return path;
}

/* Counts the files, and removes them if `remove_them`. */
static inline int count_files(bool remove_them) {
  char path[PATH_SIZE];
  int n = 0;
  DIR *dir = opendir(directory);
  ck_assert_ptr_nonnull(dir);
  for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
      continue;
    n++;
    if (remove_them)
      unlink(in_directory(path, e->d_name));
  }
  closedir(dir);
  return n;
}

static inline void remove_directory(void) {
  count_files(true);
  rmdir(directory);
}

/* ---- round trips ---- */

#define BLOCK 4096
static unsigned char numbers[BLOCK];

static inline void fill_numbers(void) {
  uint32_t state = 2385;
  for (size_t i = 0; i < BLOCK; i++) {
    state = state * 1664525u + 1013904223u;
    numbers[i] = (unsigned char)(state >> 24);
  }
}

/* Array `rank` of type `dtype`, with sizes 2, 1, 3, 1, 2, ... */
static inline cg_array make_array(const char *name, cg_dtype dtype, int rank) {
  static const int64_t sizes[CG_MAX_RANK] = {2, 1, 3, 1, 2, 5, 1, 2};
  cg_array a = {.name = name, .dtype = dtype, .rank = rank,
                .data = numbers + 17 * rank + dtype};
  memcpy(a.shape, sizes, sizeof sizes);
  return a;
}

static inline size_t bytes_of(const cg_array *a) {
  size_t bytes = cg_dtype_size(a->dtype);
  for (int i = 0; i < a->rank; i++)
    bytes *= (size_t)a->shape[i];
  return bytes;
}

static inline void must_be_same(const cg_safetensors *file,
                                const cg_array *want) {
  const cg_array *got = cg_safetensors_find(file, want->name);
  ck_assert_ptr_nonnull(got);
  ck_assert_int_eq(got->dtype, want->dtype);
  ck_assert_int_eq(got->rank, want->rank);
  for (int i = 0; i < want->rank; i++)
    ck_assert_int_eq(got->shape[i], want->shape[i]);
  ck_assert_uint_eq((uintptr_t)got->data % CG_ALIGNMENT, 0);
  if (bytes_of(want) > 0)
    ck_assert_mem_eq(got->data, want->data, bytes_of(want));
}

/* Writes to "f", reads and compares. */
static inline void round_trip(const cg_array *arrays, int n,
                              const cg_metadata *lines, int n_lines) {
  char path[PATH_SIZE];
  cg_error err = {0};
  in_directory(path, "f");
  cg_status status =
      cg_safetensors_write(path, arrays, n, lines, n_lines, &err);
  ck_assert_msg(status == CG_OK, "%s", err.message);
  ck_assert_int_eq(count_files(false), 1);
  cg_safetensors *file = cg_safetensors_open(NULL, path, &err);
  ck_assert_msg(file != NULL, "%s", err.message);
  ck_assert_int_eq(cg_safetensors_count(file), n);
  for (int i = 0; i < n; i++)
    must_be_same(file, &arrays[i]);
  for (int i = 0; i < n_lines; i++)
    ck_assert_str_eq(cg_safetensors_metadata(file, lines[i].key),
                     lines[i].value);
  cg_safetensors_close(file);
}

static inline int run_tests(const char *name, void (*add)(TCase *tests)) {
  Suite *suite = suite_create(name);
  TCase *tests = tcase_create(name);
  tcase_set_timeout(tests, 60);
  add(tests);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
