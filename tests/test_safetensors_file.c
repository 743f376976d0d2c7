/* test_safetensors_file.c - the file that is written: its kind and permissions,
 * and that what cannot be written leaves no trace. */
#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "safetensors_dir.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#ifdef CG_HAVE_JANSSON

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

static void add_tests(TCase *tests) {
  tcase_add_unchecked_fixture(tests, fill_numbers, NULL);
  tcase_add_checked_fixture(tests, make_directory, remove_directory);
  tcase_add_test(tests, a_full_device);
  tcase_add_test(tests, unwritable_targets);
  tcase_add_test(tests, failure_keeps_the_old_file);
  tcase_add_test(tests, permissions);
  tcase_add_test(tests, links_stay_links);
  tcase_add_test(tests, in_the_current_directory);
  tcase_add_test(tests, a_pipe_is_written_directly);
}

#else

static void add_tests(TCase *tests) { (void)tests; }

#endif

int main(void) { return run_tests("safetensors_file", add_tests); }
