/* test_draw_file.c - the file that a drawing becomes, or what is left when
 * writing fails, memory ends or the arguments are bad. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "draw_test.h"

START_TEST(memory_is_given_back) {
  counter c;
  counter_init(&c);
  cg_tape *t = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  cg_tensor *w = named("w", 0, NULL), *y = w;
  for (int k = 0; k < 100; k++) y = cg_tanh(t, y);
  size_t nodes = cg_tape_get_stats(t).nodes;
  size_t held = cg_tape_get_stats(t).bytes_held, blocks = c.live_blocks;
  for (size_t n = 1; n < 20; n++) {
    c.fail_at = c.calls + n;
    cg_error err = {0};
    cg_status status = cg_draw(t, y, file, NULL, &err);
    ck_assert_int_eq(err.status, status);
    ck_assert_int_eq(status, c.calls < c.fail_at ? CG_OK : CG_ERR_NOMEM);
    ck_assert_int_eq(access(file, F_OK) == 0, status == CG_OK);
    unlink(file);
    ck_assert_uint_eq(cg_tape_get_stats(t).bytes_held, held);
    ck_assert_uint_eq(c.live_blocks, blocks);
  }
  fine(t);
  ck_assert_uint_eq(cg_tape_get_stats(t).nodes, nodes);
  cg_tape_free(t);
  cg_leaf_free(w);
}
END_TEST

/* ---- files ---- */

static int files_there(void) {
  int n = 0;
  DIR *dir = opendir(directory);
  ck_assert_ptr_nonnull(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n - 2; /* . and .. */
}

/* Drawing to `path` fails with IO and says so about the path. */
static void cannot_draw(const char *path) {
  cg_tensor *w = named("w", CG_DIMS(2));
  cg_tensor *y = cg_exp(tape, w);
  for (int k = 0; k < 200; k++) y = cg_tanh(tape, y); /* more than a buffer */
  cg_error err = {0};
  ck_assert_int_eq(cg_draw(tape, y, path, NULL, &err), CG_ERR_IO);
  ck_assert_int_eq(err.status, CG_ERR_IO);
  ck_assert_str_eq(err.op, "draw");
  if (strlen(path) < 200)
    ck_assert_msg(strstr(err.message, path), "%s: %s", path, err.message);
  ck_assert_int_eq(cg_draw(tape, y, path, NULL, NULL), CG_ERR_IO);
  fine(tape); /* the tape has nothing to do with it */
  cg_leaf_free(w);
}

START_TEST(full_device) {
  if (access("/dev/full", W_OK) != 0) return;
  cannot_draw("/dev/full");
  struct stat info;
  ck_assert_int_eq(stat("/dev/full", &info), 0);
  ck_assert(S_ISCHR(info.st_mode));
}
END_TEST

START_TEST(places_that_cannot_be_written) {
  char path[2 * PATH_SIZE];
  snprintf(path, sizeof path, "%s/none/graph.dot", directory);
  cannot_draw(path);
  cannot_draw(directory);
  cannot_draw("");
  draw(cg_scalar(tape, CG_F64, 1), NULL);
  snprintf(path, sizeof path, "%s/below", file);
  cannot_draw(path);
  char *longest = malloc(6000);
  memset(longest, 'x', 5999);
  longest[5999] = '\0';
  cannot_draw(longest);
  free(longest);
  ck_assert_int_eq(files_there(), 1);
}
END_TEST

START_TEST(unwritable_directory) {
  if (geteuid() == 0) { /* root may write everywhere but there */
    if (access("/proc/self", F_OK) == 0) cannot_draw("/proc/self/graph.dot");
    return;
  }
  ck_assert_int_eq(chmod(directory, 0500), 0);
  cannot_draw(file);
  ck_assert_int_eq(files_there(), 0);
  ck_assert_int_eq(chmod(directory, 0700), 0);
}
END_TEST

/* The file may grow to 5000 bytes only: writing fails half-way. Tests run in
 * processes of their own, so the limit ends with this one. */
START_TEST(no_room) {
  draw(cg_scalar(tape, CG_F64, 1), NULL);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit;
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = 5000;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  cannot_draw(file);
  limit.rlim_cur = before;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ck_assert_int_eq(files_there(), 1); /* the old one, as it was */
  char *now = read_whole(file);
  ck_assert_str_eq(now, text);
  free(now);
}
END_TEST

START_TEST(null_device) {
  cg_tensor *x = cg_scalar(tape, CG_F64, 1);
  ck_assert_int_eq(cg_draw(tape, x, "/dev/null", NULL, NULL), CG_OK);
  struct stat info;
  ck_assert_int_eq(stat("/dev/null", &info), 0);
  ck_assert(S_ISCHR(info.st_mode));
}
END_TEST

/* An existing file is replaced as a whole; a link stays a link; a failure to
 * draw leaves the old file. */
START_TEST(replacing_a_file) {
  cg_tensor *x = cg_scalar(tape, CG_F64, 1), *y = cg_exp(tape, x);
  for (int k = 0; k < 100; k++) y = cg_tanh(tape, y);
  draw(y, NULL);
  draw(x, NULL);
  has("tanh", 0);
  ck_assert_int_eq(files_there(), 1);
  char link_path[PATH_SIZE];
  snprintf(link_path, sizeof link_path, "%s/link.dot", directory);
  ck_assert_int_eq(symlink(file, link_path), 0);
  ck_assert_int_eq(cg_draw(tape, cg_exp(tape, x), link_path, NULL, NULL),
                   CG_OK);
  struct stat info;
  ck_assert_int_eq(lstat(link_path, &info), 0);
  ck_assert(S_ISLNK(info.st_mode));
  unlink(link_path);
  free(text);
  text = read_whole(file);
  has("label=\"exp", 1);
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, NULL), CG_ERR_ARG);
  char *now = read_whole(file);
  ck_assert_str_eq(now, text);
  free(now);
  ck_assert_int_eq(files_there(), 1);
}
END_TEST

/* ---- arguments ---- */

START_TEST(bad_arguments) {
  cg_error err = {0};
  cg_tensor *w = named("w", CG_DIMS(2));
  ck_assert_int_eq(cg_draw(NULL, w, file, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_int_eq(cg_draw(tape, w, NULL, NULL, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, &err), CG_ERR_ARG);
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *y = cg_exp(tape, w);
  cg_tape_rewind(tape, mark);
  ck_assert_int_eq(cg_draw(tape, y, file, NULL, &err), CG_ERR_STALE);
  ck_assert_int_eq(err.status, CG_ERR_STALE);
  fine(tape);
  ck_assert_int_eq(files_there(), 0);
  cg_leaf_free(w);
}
END_TEST

/* After a failure one wants to see how far it went. */
START_TEST(a_tape_with_an_error) {
  cg_tensor *w = named("w", CG_DIMS(2, 3));
  cg_tensor *y = cg_exp(tape, w);
  ck_assert_ptr_null(cg_matmul(tape, y, y));
  draw(y, NULL);
  has("label=\"exp", 1);
  cg_error err = {0};
  ck_assert_int_eq(cg_draw(tape, NULL, file, NULL, &err), CG_ERR_SHAPE);
  ck_assert_str_eq(err.op, "matmul");
  failed(tape, CG_ERR_SHAPE, "matmul", "[2, 3]");
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("draw_file");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
  tcase_add_test(tc, memory_is_given_back);
  tcase_add_test(tc, full_device);
  tcase_add_test(tc, places_that_cannot_be_written);
  tcase_add_test(tc, unwritable_directory);
  tcase_add_test(tc, no_room);
  tcase_add_test(tc, null_device);
  tcase_add_test(tc, replacing_a_file);
  tcase_add_test(tc, bad_arguments);
  tcase_add_test(tc, a_tape_with_an_error);
  return run_case("draw_file", tc);
}
