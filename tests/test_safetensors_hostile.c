/* test_safetensors_hostile.c - the safetensors reader refuses what is wrong,
 * for the right reason, and never crashes. */
#include "safetensors_blob.h"

#include <stdio.h>

#ifdef CG_HAVE_JANSSON

/* Every message is one printable line. */
static void check_message(const cg_error *err) {
  ck_assert_uint_gt(strlen(err->message), 8);
  ck_assert_str_eq(err->op, "cg_safetensors_parse");
  for (const char *c = err->message; *c != '\0'; c++)
    ck_assert_msg((unsigned char)*c >= 0x20 && *c != 0x7f, "raw control");
}

static void must_refuse(const char *header, size_t claimed, size_t data_size,
                        const char *fragment) {
  cg_error err = {0};
  blob b = blob_new(header, claimed, data_size);
  ck_assert_ptr_null(parse_copy(b.bytes, b.size, &err));
  ck_assert_msg(err.status == CG_ERR_FORMAT, "%.60s: %s (%s)", header,
                cg_status_name(err.status), err.message);
  ck_assert_msg(strstr(err.message, fragment) != NULL, "%.60s: %s", header,
                err.message);
  check_message(&err);
  free(b.bytes);
}

#define A(dtype, shape, offsets)                                               \
  "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets  \
  "}}"
#define BYTES(name, begin, end, n)                                             \
  "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":["       \
  #begin "," #end "]}"

static const struct {
  const char *header;
  size_t data_size;
  const char *fragment;
} hostile[] = {
    {"", 0, "empty header"},
    {"[]", 0, "not a JSON object"},
    {" {}", 0, "not a JSON object"},
    {"{}x", 0, "not valid JSON"},
    {"{", 0, "not valid JSON"},
    {"{}", 1, "goes on"},
    {"{" BYTES("a", 0, 5, 5) "}", 6, "goes on"},
    {"{" BYTES("a", 0, 5, 5) "}", 4, "only 4 follow"},
    {"{" BYTES("a", 0, 5, 5) "," BYTES("b", 4, 9, 5) "}", 9, "overlaps"},
    {"{" BYTES("a", 0, 5, 5) "," BYTES("b", 0, 5, 5) "}", 5, "overlaps"},
    {"{" BYTES("a", 0, 9, 9) "," BYTES("b", 3, 3, 0) "}", 9, "overlaps"},
    {"{" BYTES("a", 0, 5, 5) "," BYTES("b", 6, 9, 3) "}", 9, "hole"},
    {"{" BYTES("a", 1, 5, 4) "}", 5, "hole"},
    {"{" BYTES("a", 3, 3, 0) "}", 0, "hole"},
    {"{" BYTES("a", 5, 0, 5) "}", 5, "before its start"},
    {"{" BYTES("a", 0, 5, 4) "}", 5, "need 4"},
    {"{" BYTES("", 0, 5, 5) "}", 5, "empty name"},
    {"{" BYTES("a", 0, 5, 5) "," BYTES("a", 5, 9, 4) "}", 9, "duplicate"},
    {"{" BYTES("a", 0, 5, 5) "," BYTES("\\u0061", 5, 9, 4) "}", 9, "duplicate"},
    {"{" BYTES("a\\u0000b", 0, 5, 5) "}", 5, "not valid JSON"},
    {"{" BYTES("\xc3\x28", 0, 5, 5) "}", 5, "not valid JSON"},
    {"{" BYTES("\\ud800", 0, 5, 5) "}", 5, "not valid JSON"},
    {"{" BYTES("x\\n\\u001b[31m\\u009b", 0, 5, 9) "}", 5,
     "x\\x0a\\x1b[31m\\xc2\\x9b"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],"
     "\"data_offsets\":[0,1]}}", 1, "duplicate"},
    {A("\"F16\"", "[2]", "[0,4]"), 4, "\"F16\", which is none"},
    {A("\"f32\"", "[1]", "[0,4]"), 4, "\"f32\", which is none"},
    {A("\"F\\u000132\"", "[1]", "[0,4]"), 4, "\"F\\x0132\", which is none"},
    {A("32", "[1]", "[0,4]"), 4, "dtype"},
    {A("\"F32\"", "[1.0]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[\"1\"]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[1e0]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[-1]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[null]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[-1,-1]", "[0,4]"), 4, "non-negative integer"},
    {A("\"F32\"", "[99999999999999999999]", "[0,4]"), 4, "not valid JSON"},
    {A("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "overflows"},
    {A("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "overflows"},
    {A("\"F64\"", "[1152921504606846977]", "[0,8]"), 8, "overflows"},
    {A("\"U8\"", "[0,4294967296,4294967296]", "[0,0]"), 0, "overflows"},
    {A("\"U8\"", "[9223372036854775807]", "[0,9223372036854775807]"), 9,
     "only 9 follow"},
    {A("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "more than 8 axes"},
    {A("\"U8\"", "3", "[0,3]"), 3, "no \"shape\""},
    {A("\"U8\"", "{}", "[0,1]"), 1, "no \"shape\""},
    {A("\"U8\"", "[1]", "[0]"), 1, "two offsets"},
    {A("\"U8\"", "[1]", "[0,1,2]"), 1, "two offsets"},
    {A("\"U8\"", "[1]", "1"), 1, "two offsets"},
    {A("\"U8\"", "[1]", "[0,1.0]"), 1, "offset that is not"},
    {A("\"U8\"", "[1]", "[-1,0]"), 1, "offset that is not"},
    {"{\"a\":3}", 0, "not described by"},
    {"{\"a\":{}}", 0, "dtype"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":null}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "metadata \"k\" is not a string"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
};

START_TEST(refuses_hostile_files) {
  const char *header = hostile[_i].header;
  must_refuse(header, strlen(header), hostile[_i].data_size,
              hostile[_i].fragment);
}
END_TEST

START_TEST(refuses_header_lengths) {
  const size_t huge[] = {100000001, (size_t)1 << 32, SIZE_MAX / 2, SIZE_MAX};
  for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++)
    must_refuse(SMALL, huge[i], SMALL_DATA, "at most 100000000");
  must_refuse(SMALL, 100000000, SMALL_DATA, "but only");
  must_refuse("{}", 3, 0, "only 2 follow");
  must_refuse("{}", 0, 0, "empty header");
  must_refuse("{} ", 1, 0, "not valid JSON");
}
END_TEST

START_TEST(refuses_deep_nesting) {
  const size_t depth = 1000000;
  char *header = malloc(depth + 6);
  ck_assert_ptr_nonnull(header);
  memcpy(header, "{\"a\":", 5);
  memset(header + 5, '[', depth);
  header[depth + 5] = '\0';
  must_refuse(header, depth + 5, 0, "not valid JSON");
  free(header);
}
END_TEST

/* The message keeps to its size, and what is wrong remains to be read. */
START_TEST(long_names_are_cut) {
  char header[4096], name[3001];
  for (size_t i = 0; i < 3000; i += 2)
    memcpy(name + i, "\xc3\xbc", 3);
  snprintf(header, sizeof header, "{\"%s\":3}", name);
  must_refuse(header, strlen(header), 0, "\xc3\xbc...\" is not described");
}
END_TEST

START_TEST(refuses_every_truncation) {
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA);
  for (size_t size = 0; size < b.size; size++) {
    cg_error err = {0};
    ck_assert_ptr_null(parse_copy(b.bytes, size, &err));
    ck_assert_int_eq(err.status, CG_ERR_FORMAT);
    check_message(&err);
  }
  free(b.bytes);
}
END_TEST

/* Reads all that a file lends, so that a sanitizer sees what must not be. */
static unsigned touch(const cg_safetensors *file) {
  unsigned sum = 0;
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    const cg_array *a = cg_safetensors_at(file, i);
    size_t bytes = cg_dtype_size(a->dtype);
    for (int k = 0; k < a->rank; k++)
      bytes *= (size_t)a->shape[k];
    for (size_t k = 0; k < bytes; k++)
      sum += ((const unsigned char *)a->data)[k];
    ck_assert_ptr_eq(cg_safetensors_find(file, a->name), a);
  }
  return sum;
}

/* One wrong byte: refused, or a file that is sound in itself. */
START_TEST(survives_every_wrong_byte) {
  blob b = blob_new(SMALL, strlen(SMALL), SMALL_DATA);
  static const unsigned char wrong[] = "flipbits\"\\{}[]:,-+.019e _/\n\xff";
  unsigned sum = 0, refused = 0;
  for (size_t at = 0; at < 8 + strlen(SMALL); at++) {
    unsigned char right = b.bytes[at];
    for (size_t i = 0; i < sizeof wrong; i++) {
      cg_error err = {0};
      b.bytes[at] = i < 8 ? (unsigned char)(right ^ 1 << i) : wrong[i];
      cg_safetensors *file = parse_copy(b.bytes, b.size, &err);
      if (file == NULL)
        check_message(&err);
      refused += file == NULL;
      sum += touch(file);
      cg_safetensors_close(file);
    }
    b.bytes[at] = right;
  }
  ck_assert_uint_gt(refused, 5000);
  ck_assert_uint_gt(sum, 0);
  free(b.bytes);
}
END_TEST

static void add_tests(TCase *tests) {
  tcase_add_loop_test(tests, refuses_hostile_files, 0,
                      (int)(sizeof hostile / sizeof hostile[0]));
  tcase_add_test(tests, refuses_header_lengths);
  tcase_add_test(tests, refuses_deep_nesting);
  tcase_add_test(tests, long_names_are_cut);
  tcase_add_test(tests, refuses_every_truncation);
  tcase_add_test(tests, survives_every_wrong_byte);
}

#else

/* test_safetensors.c has the test for a library without jansson. */
static void add_tests(TCase *tests) {
  (void)tests;
}

#endif

int main(void) {
  Suite *suite = suite_create("safetensors_hostile");
  TCase *tests = tcase_create("hostile");
  tcase_set_timeout(tests, 60);
  add_tests(tests);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
