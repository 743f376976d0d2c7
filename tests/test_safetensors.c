/* test_safetensors.c - what the safetensors reader lends, from memory, files
 * and pipes, and lack of memory. Hostile files: test_safetensors_hostile.c;
 * writing: test_safetensors_write.c and test_safetensors_file.c. */
#define _XOPEN_SOURCE 700
#include "safetensors_blob.h"

#include <stdio.h>
#include <unistd.h>

#ifdef CG_HAVE_JANSSON
#include <jansson.h>
#endif

#ifdef CG_HAVE_JANSSON

/* ---- what a good file lends ---- */

static void check_small(const cg_safetensors *file) {
  const char *names[] = {"y", "e", "W", "m"};
  const size_t begins[] = {0, 20, 8, 20};
  const size_t sizes[] = {8, 0, 12, 5};
  const char *order[] = {"y", "W", "e", "m"};
  blob b = blob_new("", 0, SMALL_DATA);
  ck_assert_int_eq(cg_safetensors_count(file), 4);
  for (int i = 0; i < 4; i++) {
    const cg_array *a = cg_safetensors_find(file, names[i]);
    ck_assert_ptr_nonnull(a);
    ck_assert_uint_eq((uintptr_t)a->data % CG_ALIGNMENT, 0);
    ck_assert_ptr_nonnull(a->data);
    ck_assert_mem_eq(a->data, b.bytes + 8 + begins[i], sizes[i]);
    ck_assert_str_eq(cg_safetensors_at(file, i)->name, order[i]);
  }
  free(b.bytes);
  const cg_array *W = cg_safetensors_find(file, "W");
  ck_assert_int_eq(W->dtype, CG_F32);
  ck_assert_int_eq(W->rank, 2);
  ck_assert_int_eq(W->shape[0], 3);
  ck_assert_int_eq(W->shape[1], 1);
  ck_assert_int_eq(cg_safetensors_find(file, "y")->rank, 0);
  ck_assert_int_eq(cg_safetensors_find(file, "m")->dtype, CG_U8);
  ck_assert_int_eq(cg_safetensors_find(file, "e")->shape[1], 0);
  ck_assert_str_eq(cg_safetensors_metadata(file, "k"), "v");
}

START_TEST(lends_what_the_file_has) {
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA);
  cg_safetensors *file = parse_copy(b.bytes, b.size, NULL);
  ck_assert_ptr_nonnull(file);
  check_small(file);
  ck_assert_ptr_null(cg_safetensors_find(file, "w"));
  ck_assert_ptr_null(cg_safetensors_find(file, "__metadata__"));
  ck_assert_ptr_null(cg_safetensors_find(file, NULL));
  ck_assert_ptr_null(cg_safetensors_metadata(file, "v"));
  ck_assert_ptr_null(cg_safetensors_metadata(file, NULL));
  ck_assert_ptr_null(cg_safetensors_at(file, -1));
  ck_assert_ptr_null(cg_safetensors_at(file, 4));
  ck_assert_int_eq(cg_safetensors_count(NULL), 0);
  ck_assert_ptr_null(cg_safetensors_at(NULL, 0));
  ck_assert_ptr_null(cg_safetensors_find(NULL, "W"));
  ck_assert_ptr_null(cg_safetensors_metadata(NULL, "k"));
  cg_safetensors_close(file);
  cg_safetensors_close(NULL);
  free(b.bytes);
}
END_TEST

START_TEST(accepts_no_arrays) {
  const char *headers[] = {"{}", "{}      ", "{\"__metadata__\":{}}"};
  for (size_t i = 0; i < 3; i++) {
    blob b = blob_new(headers[i], strlen(headers[i]), 0);
    cg_safetensors *file = parse_copy(b.bytes, b.size, NULL);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(cg_safetensors_count(file), 0);
    cg_safetensors_close(file);
    free(b.bytes);
  }
}
END_TEST

/* A pipe has no size; one that ends early or late is refused too. */
static cg_safetensors *open_pipe(const blob *b, size_t size, cg_error *err) {
  int ends[2];
  char path[64];
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(write(ends[1], b->bytes, size), (ssize_t)size);
  close(ends[1]);
  snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  cg_safetensors *file = cg_safetensors_open(NULL, path, err);
  close(ends[0]);
  return file;
}

START_TEST(reads_a_pipe) {
  cg_error err = {0};
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA + 1);
  cg_safetensors *file = open_pipe(&b, b.size - 1, &err);
  ck_assert_msg(file != NULL, "%s", err.message);
  check_small(file);
  cg_safetensors_close(file);
  for (size_t size = 0; size <= b.size; size++) {
    if (size == b.size - 1)
      continue;
    err.status = CG_OK;
    ck_assert_ptr_null(open_pipe(&b, size, &err));
    ck_assert_int_eq(err.status, CG_ERR_FORMAT);
  }
  free(b.bytes);
}
END_TEST

START_TEST(cannot_open) {
  const char *paths[] = {"/", "/no/such/file.safetensors", ""};
  for (size_t i = 0; i < 3; i++) {
    cg_error err = {0};
    ck_assert_ptr_null(cg_safetensors_open(NULL, paths[i], &err));
    ck_assert_int_eq(err.status, CG_ERR_IO);
    ck_assert_int_eq(strncmp(err.message, paths[i], strlen(paths[i])), 0);
  }
  cg_error err = {0};
  ck_assert_ptr_null(cg_safetensors_open(NULL, NULL, &err));
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_ptr_null(cg_safetensors_parse(NULL, NULL, 3, &err));
  ck_assert_int_eq(err.status, CG_ERR_ARG);
  ck_assert_ptr_null(cg_safetensors_parse(NULL, NULL, 0, &err));
  ck_assert_int_eq(err.status, CG_ERR_FORMAT);
  /* Endless and all zeros: must be refused after its first bytes. */
  ck_assert_ptr_null(cg_safetensors_open(NULL, "/dev/zero", &err));
  ck_assert_int_eq(err.status, CG_ERR_FORMAT);
}
END_TEST

/* ---- lack of memory ---- */

typedef struct counter {
  int calls, fail_at, held;
  size_t bytes;
} counter;

static void *counted_alloc(void *context, size_t size) {
  counter *c = context;
  if (++c->calls == c->fail_at)
    return NULL;
  c->held++;
  c->bytes += size;
  return cg_allocator_default()->alloc(NULL, size);
}

static void counted_release(void *context, void *block, size_t size) {
  counter *c = context;
  c->held--;
  c->bytes -= size;
  cg_allocator_default()->release(NULL, block, size);
}

START_TEST(every_failing_allocation_is_an_error) {
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA);
  cg_safetensors *file = NULL;
  int n = 0;
  while (file == NULL) {
    counter c = {.fail_at = ++n};
    cg_allocator allocator = {counted_alloc, counted_release, &c};
    cg_error err = {0};
    file = cg_safetensors_parse(&allocator, b.bytes, b.size, &err);
    if (file != NULL)
      check_small(file);
    else
      ck_assert_int_eq(err.status, CG_ERR_NOMEM);
    cg_safetensors_close(file);
    ck_assert_int_eq(c.held, 0);
    ck_assert_uint_eq(c.bytes, 0);
  }
  ck_assert_int_ge(n, 7);
  free(b.bytes);
}
END_TEST

static int json_calls, json_fail_at;

static void *json_alloc(size_t size) {
  return ++json_calls == json_fail_at ? NULL : malloc(size);
}

/* jansson calls a text invalid where its lexer lacks memory, so FORMAT will do;
 * what matters is that the file is refused and nothing leaks or crashes. */
START_TEST(every_failing_json_allocation_is_an_error) {
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA);
  cg_safetensors *file = NULL;
  int n_nomem = 0;
  json_set_alloc_funcs(json_alloc, free);
  for (json_fail_at = 1; file == NULL; json_fail_at++) {
    cg_error err = {0};
    json_calls = 0;
    file = cg_safetensors_parse(NULL, b.bytes, b.size, &err);
    if (file == NULL)
      ck_assert(err.status == CG_ERR_NOMEM || err.status == CG_ERR_FORMAT);
    n_nomem += err.status == CG_ERR_NOMEM;
  }
  ck_assert_int_gt(n_nomem, 0);
  ck_assert_int_ge(json_fail_at, 20);
  check_small(file);
  cg_safetensors_close(file);
  free(b.bytes);
}
END_TEST

static void add_tests(TCase *tests) {
  tcase_add_test(tests, lends_what_the_file_has);
  tcase_add_test(tests, accepts_no_arrays);
  tcase_add_test(tests, reads_a_pipe);
  tcase_add_test(tests, cannot_open);
  tcase_add_test(tests, every_failing_allocation_is_an_error);
  tcase_add_test(tests, every_failing_json_allocation_is_an_error);
}

#else

START_TEST(says_that_it_cannot) {
  cg_error err = {0};
  ck_assert_ptr_null(cg_safetensors_parse(NULL, "{}", 2, &err));
  ck_assert_int_eq(err.status, CG_ERR_STATE);
  ck_assert_ptr_nonnull(strstr(err.message, "jansson"));
  err.status = CG_OK;
  ck_assert_ptr_null(cg_safetensors_open(NULL, "/", &err));
  ck_assert_int_eq(err.status, CG_ERR_STATE);
}
END_TEST

static void add_tests(TCase *tests) {
  tcase_add_test(tests, says_that_it_cannot);
}

#endif

int main(void) {
  Suite *suite = suite_create("safetensors");
  TCase *tests = tcase_create("read");
  tcase_set_timeout(tests, 60);
  add_tests(tests);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
