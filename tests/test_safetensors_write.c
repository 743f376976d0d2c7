/* test_safetensors_write.c - what is written is read back, and what can't be
 * written leaves no trace. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include <chronograd/safetensors.h>

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif
#include <unistd.h>

#ifdef CG_HAVE_JANSSON
#include <jansson.h>

/* ---- a directory per test ---- */

#define PATH_SIZE 512

static char directory[PATH_SIZE / 2];

static void make_directory(void) {
  const char *base = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/test_safetensors.XXXXXX",
           base != NULL ? base : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(directory));
}

static const char *in_directory(char path[PATH_SIZE], const char *name) {
  snprintf(path, PATH_SIZE, "%s/%s", directory, name);
  return path;
}

/* Counts the files, and removes them if `remove_them`. */
static int count_files(bool remove_them) {
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

static void remove_directory(void) {
  count_files(true);
  rmdir(directory);
}

/* ---- round trips ---- */

#define BLOCK 4096
static unsigned char numbers[BLOCK];

static void fill_numbers(void) {
  uint32_t state = 2385;
  for (size_t i = 0; i < BLOCK; i++) {
    state = state * 1664525u + 1013904223u;
    numbers[i] = (unsigned char)(state >> 24);
  }
}

/* Array `rank` of type `dtype`, with sizes 2, 1, 3, 1, 2, ... */
static cg_array make_array(const char *name, cg_dtype dtype, int rank) {
  static const int64_t sizes[CG_MAX_RANK] = {2, 1, 3, 1, 2, 5, 1, 2};
  cg_array a = {.name = name, .dtype = dtype, .rank = rank,
                .data = numbers + 17 * rank + dtype};
  memcpy(a.shape, sizes, sizeof sizes);
  return a;
}

static size_t bytes_of(const cg_array *a) {
  size_t bytes = cg_dtype_size(a->dtype);
  for (int i = 0; i < a->rank; i++)
    bytes *= (size_t)a->shape[i];
  return bytes;
}

static void must_be_same(const cg_safetensors *file, const cg_array *want) {
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
static void round_trip(const cg_array *arrays, int n, const cg_metadata *lines,
                       int n_lines) {
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

/* ---- files that can't be written ---- */

static void must_fail(const char *path, const char *reason) {
  const cg_array a = make_array("a", CG_F64, 6);
  cg_error err = {0};
  ck_assert_int_eq(cg_safetensors_write(path, &a, 1, NULL, 0, &err), CG_ERR_IO);
  ck_assert_int_eq(err.status, CG_ERR_IO);
  ck_assert_msg(strstr(err.message, reason) != NULL, "%s", err.message);
}

/* A device that is always full. Never the system's own when root runs the test:
 * a library that renamed over it would take it from the whole machine. */
static bool find_full_device(char path[PATH_SIZE]) {
#ifdef __linux__
  const dev_t full = makedev(1, 7);
  if (geteuid() == 0)
    return mknod(in_directory(path, "full"), S_IFCHR | 0600, full) == 0;
#endif
  snprintf(path, PATH_SIZE, "/dev/full");
  return geteuid() != 0 && access(path, W_OK) == 0;
}

START_TEST(a_full_device) {
  char path[PATH_SIZE];
  struct stat info;
  if (!find_full_device(path))
    return; /* root without the right to make devices, or no such device */
  int fd = open(path, O_WRONLY);
  if (fd < 0)
    return; /* the directory's file system allows no devices */
  close(fd);
  int n = count_files(false);
  must_fail(path, "No space");
  ck_assert_int_eq(count_files(false), n);
  ck_assert_int_eq(lstat(path, &info), 0);
  ck_assert(S_ISCHR(info.st_mode));
}
END_TEST

START_TEST(unwritable_targets) {
  char path[PATH_SIZE], deep[2 * PATH_MAX];
  must_fail(directory, "directory");
  must_fail("", "No such file");
  must_fail(in_directory(path, "none/f"), "No such file");
  ck_assert_int_eq(symlink("loop", in_directory(path, "loop")), 0);
  must_fail(path, "symbolic links");
  memset(deep, 'x', sizeof deep - 1);
  deep[sizeof deep - 1] = '\0';
  must_fail(deep, "too long");
  ck_assert_int_eq(count_files(true), 1);
  ck_assert_int_eq(chmod(directory, 0500), 0);
  if (geteuid() != 0) /* root may write there */
    must_fail(in_directory(path, "f"), "Permission denied");
  ck_assert_int_eq(chmod(directory, 0700), 0);
  ck_assert_int_eq(count_files(false), 0);
}
END_TEST

/* The disk "fills" at each of many places; the old file stays, alone. */
START_TEST(failure_keeps_the_old_file) {
  const cg_array old = make_array("old", CG_F64, 6);
  const cg_array new = make_array("new", CG_F64, 6);
  const rlim_t limits[] = {0, 1, 8, 50, 72, 73, 200, 300};
  char path[PATH_SIZE];
  cg_error err;
  in_directory(path, "f");
  round_trip(&old, 1, NULL, 0);
  signal(SIGXFSZ, SIG_IGN);
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = limits[i];
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cg_status status = cg_safetensors_write(path, &new, 1, NULL, 0, &err);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(status, CG_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "too large"));
    ck_assert_int_eq(count_files(false), 1);
    cg_safetensors *file = cg_safetensors_open(NULL, path, NULL);
    must_be_same(file, &old);
    cg_safetensors_close(file);
  }
  round_trip(&new, 1, NULL, 0);
}
END_TEST

/* ---- what kind of file it becomes ---- */

static mode_t mode_of(const char *path) {
  struct stat info;
  ck_assert_int_eq(lstat(path, &info), 0);
  return info.st_mode;
}

START_TEST(permissions) {
  const cg_array a = make_array("a", CG_F32, 3);
  char path[PATH_SIZE];
  umask(027);
  round_trip(&a, 1, NULL, 0);
  ck_assert_int_eq(mode_of(in_directory(path, "f")) & 07777, 0640);
  ck_assert_int_eq(umask(027), 027);
  ck_assert_int_eq(chmod(path, 0606), 0);
  round_trip(&a, 1, NULL, 0);
  ck_assert_int_eq(mode_of(path) & 07777, 0606);
}
END_TEST

/* Through links to a file, to a link, and to what is not there yet. */
START_TEST(links_stay_links) {
  const cg_array a = make_array("a", CG_F32, 3);
  const char *names[] = {"relative", "absolute", "twice"};
  char path[PATH_SIZE], target[PATH_SIZE], link[PATH_SIZE];
  in_directory(target, "f");
  ck_assert_int_eq(symlink("f", in_directory(link, "relative")), 0);
  ck_assert_int_eq(symlink(target, in_directory(link, "absolute")), 0);
  ck_assert_int_eq(symlink("relative", in_directory(link, "twice")), 0);
  for (int i = 0; i < 6; i++) {
    in_directory(path, names[i / 2]);
    ck_assert_int_eq(cg_safetensors_write(path, &a, 1, NULL, 0, NULL), CG_OK);
    ck_assert(S_ISLNK(mode_of(path)));
    ck_assert(S_ISREG(mode_of(target)));
    ck_assert_int_eq(count_files(false), 4);
    if (i % 2 == 1)
      unlink(target);
  }
}
END_TEST

/* A name without a directory part. */
START_TEST(in_the_current_directory) {
  const cg_array a = make_array("a", CG_F32, 3);
  ck_assert_int_eq(chdir(directory), 0);
  ck_assert_int_eq(cg_safetensors_write("f", &a, 1, NULL, 0, NULL), CG_OK);
  ck_assert_int_eq(count_files(false), 1);
  ck_assert(S_ISREG(mode_of("f")));
}
END_TEST

START_TEST(a_pipe_is_written_directly) {
  const cg_array a = make_array("a", CG_F32, 3);
  unsigned char bytes[BLOCK];
  char path[64];
  int ends[2];
  ck_assert_int_eq(pipe(ends), 0);
  snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
  ck_assert_int_eq(cg_safetensors_write(path, &a, 1, NULL, 0, NULL), CG_OK);
  close(ends[1]);
  ssize_t n = read(ends[0], bytes, sizeof bytes);
  close(ends[0]);
  ck_assert_int_gt(n, 8);
  cg_safetensors *file = cg_safetensors_parse(NULL, bytes, (size_t)n, NULL);
  ck_assert_ptr_nonnull(file);
  must_be_same(file, &a);
  cg_safetensors_close(file);
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
  tcase_add_test(tests, a_full_device);
  tcase_add_test(tests, unwritable_targets);
  tcase_add_test(tests, failure_keeps_the_old_file);
  tcase_add_test(tests, permissions);
  tcase_add_test(tests, links_stay_links);
  tcase_add_test(tests, in_the_current_directory);
  tcase_add_test(tests, a_pipe_is_written_directly);
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

int main(void) {
  Suite *suite = suite_create("safetensors_write");
  TCase *tests = tcase_create("write");
  tcase_set_timeout(tests, 60);
  add_tests(tests);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
