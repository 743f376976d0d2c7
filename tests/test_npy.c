/* test_npy.c - NumPy's files: figures of NumPy, round trips, hostile bytes. */
#include "nn_test.h"

#include <unistd.h>

/* ---- NumPy's own files (golden/make_npy.py) ---- */

static cg_tensor *numpy(const char *name, cg_error *err) {
  char path[512];
  snprintf(path, sizeof path, "%s/npy/%s.npy", CG_TEST_DATA, name);
  return cg_npy_read(NULL, path, err);
}

static const double values[] = {2.385, -0.7, 1e-3, 19.25, 3.0, -4.5};

static void is(const char *name, cg_dtype dtype, int rank,
               const int64_t *shape, double (*convert)(double)) {
  cg_error err = {0};
  cg_tensor *x = numpy(name, &err);
  ck_assert_msg(x != NULL, "%s: %s", name, err.message);
  ck_assert(cg_tensor_is_leaf(x) && !cg_tensor_requires_grad(x));
  ck_assert_int_eq(cg_tensor_dtype(x), dtype);
  has_shape(x, rank, shape);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++)
    near(cg_tensor_get(x, i), convert(values[i]), 0);
  cg_leaf_free(x);
}

static double as_float(double x) { return (double)(float)x; }
static double as_it_is(double x) { return x; }
static double absolute(double x) { return trunc(fabs(x)); }
static double positive(double x) { return x > 0; }

START_TEST(reads_what_numpy_writes) {
  is("f4", CG_F32, CG_DIMS(2, 3), as_float);
  is("f8", CG_F64, CG_DIMS(2, 3), as_it_is);
  is("f8_columns", CG_F64, CG_DIMS(2, 3), as_it_is);
  is("i8", CG_I64, CG_DIMS(2, 3), trunc);
  is("u1", CG_U8, CG_DIMS(2, 3), absolute);
  is("bool", CG_U8, CG_DIMS(2, 3), positive);
  is("scalar", CG_F64, 0, NULL, as_it_is);
  is("vector", CG_F64, CG_DIMS(3), as_it_is);
  is("empty", CG_F32, CG_DIMS(2, 0, 3), as_it_is);
  cg_tensor *cube = numpy("cube_columns", NULL);
  has_shape(cube, CG_DIMS(2, 3, 4));
  for (int i = 0; i < 24; i++) near(cg_tensor_get(cube, i), i, 0);
  cg_leaf_free(cube);
}
END_TEST

START_TEST(names_the_types_it_refuses) {
  cg_error err = {0};
  ck_assert_ptr_null(numpy("big_endian", &err));
  has_error(&err, CG_ERR_FORMAT, "\">f8\", which is none of");
  ck_assert_ptr_null(numpy("int32", &err));
  has_error(&err, CG_ERR_FORMAT, "int32.npy: has elements of type \"<i4\"");
  ck_assert_str_eq(err.op, "cg_npy_read");
  ck_assert_ptr_null(numpy("nowhere", &err));
  has_error(&err, CG_ERR_IO, "nowhere.npy: cannot open it");
  ck_assert_ptr_null(cg_npy_read(NULL, NULL, &err));
  has_error(&err, CG_ERR_ARG, "NULL");
  ck_assert_ptr_null(cg_npy_read(NULL, "/", &err));
  has_error(&err, CG_ERR_IO, "directory");
}
END_TEST

/* ---- round trips ---- */

static void path_of(char path[64]) {
  const char *room = access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "";
  snprintf(path, 64, "%stest-%ld.npy", room, (long)getpid());
}

/* Written, the file of NumPy's comes out again byte for byte. */
static void same_bytes(const char *name) {
  char path[64], golden[512], a[1024], b[1024];
  cg_error err = {0};
  cg_tensor *x = numpy(name, NULL);
  path_of(path);
  ck_assert_msg(!cg_npy_write(path, x, &err), "%s", err.message);
  snprintf(golden, sizeof golden, "%s/npy/%s.npy", CG_TEST_DATA, name);
  FILE *one = fopen(path, "rb"), *two = fopen(golden, "rb");
  ck_assert(one && two);
  size_t n = fread(a, 1, sizeof a, one);
  ck_assert_uint_eq(fread(b, 1, sizeof b, two), n);
  ck_assert_msg(memcmp(a, b, n) == 0, "%s", name);
  fclose(one), fclose(two);
  unlink(path);
  cg_leaf_free(x);
}

START_TEST(writes_what_numpy_writes) {
  same_bytes("f4");
  same_bytes("u1");
  same_bytes("scalar");
  same_bytes("vector");
  same_bytes("empty");
}
END_TEST

START_TEST(views_and_all_ranks_come_back) {
  char path[64];
  path_of(path);
  cg_tape *tape = cg_tape_new(NULL);
  for (int rank = 0; rank <= CG_MAX_RANK; rank++) {
    const int64_t shape[CG_MAX_RANK] = {2, 3, 1, 2, 1, 2, 1, 3};
    int axes[CG_MAX_RANK];
    for (int i = 0; i < rank; i++) axes[i] = (i + 1) % rank;
    cg_tensor *x = some_leaf((uint64_t)rank, rank, shape);
    cg_tensor *view = cg_permute(tape, x, axes);
    fine(tape);
    ck_assert_int_eq(cg_npy_write(path, view, NULL), CG_OK);
    cg_tensor *back = cg_npy_read(NULL, path, NULL);
    near_tensor("view", back, view, 0);
    cg_leaf_free(back);
    cg_tape_reset(tape);
    cg_leaf_free(x);
  }
  cg_tape_free(tape);
  unlink(path);
}
END_TEST

START_TEST(writing_refuses) {
  cg_tensor *x = some_leaf(1, CG_DIMS(3));
  cg_error err = {0};
  ck_assert_int_eq(cg_npy_write(NULL, x, &err), CG_ERR_ARG);
  ck_assert_int_eq(cg_npy_write("a.npy", NULL, &err), CG_ERR_ARG);
  has_error(&err, CG_ERR_ARG, "tensor");
  ck_assert_int_eq(cg_npy_write("nowhere/a.npy", x, &err), CG_ERR_IO);
  has_error(&err, CG_ERR_IO, "nowhere/a.npy");
  ck_assert_int_eq(access("a.npy", F_OK), -1);
  cg_leaf_free(x);
}
END_TEST

/* ---- hostile bytes ---- */

/* A file in memory, of exactly its size, so that a sanitizer sees any read
 * beyond. */
typedef struct blob {
  unsigned char *bytes;
  size_t size;
} blob;

static blob blob_of(int major, const char *header, size_t claimed,
                    size_t data_size) {
  size_t length = strlen(header), at = major == 1 ? 10 : 12;
  blob b = {malloc(at + length + data_size), at + length + data_size};
  ck_assert_ptr_nonnull(b.bytes);
  memcpy(b.bytes, "\x93NUMPY\0\0", 8);
  b.bytes[6] = (unsigned char)major;
  for (size_t i = 8; i < at; i++)
    b.bytes[i] = (unsigned char)(claimed >> 8 * (i - 8) & 0xff);
  memcpy(b.bytes + at, header, length);
  for (size_t i = 0; i < data_size; i++)
    b.bytes[at + length + i] = (unsigned char)(i * 37 + 11);
  return b;
}

static cg_tensor *parse(const blob *b, size_t size, cg_error *err) {
  unsigned char *copy = malloc(size ? size : 1);
  if (size) memcpy(copy, b->bytes, size);
  cg_tensor *x = cg_npy_parse(NULL, copy, size, err);
  free(copy);
  return x;
}

#define D(descr, order, shape) \
  "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
#define SHAPE(shape) D("'<f4'", "False", shape)

static const struct {
  const char *header;
  size_t data_size;
} good[] = {
    {SHAPE("(2,)"), 8},
    {SHAPE("(2, 1)") "  \n", 8},
    {SHAPE("( 1 , 2 , )"), 8},
    {SHAPE("()"), 4},
    {SHAPE("(2L, 1L)"), 8},
    {SHAPE("(1, 1, 1, 1, 1, 1, 1, 2)"), 8},
    {SHAPE("(9223372036854775807, 0)"), 0},
    {"{\"shape\":(2,),\"fortran_order\":True,\"descr\":\"|u1\"}", 2},
};

START_TEST(accepts_what_python_may_write) {
  cg_error err = {0};
  for (int major = 1; major <= 3; major++) {
    blob b = blob_of(major, good[_i].header, strlen(good[_i].header),
                     good[_i].data_size);
    cg_tensor *x = parse(&b, b.size, &err);
    /* Sizes of 0 do not excuse an overflow. */
    if (strstr(good[_i].header, "9223372036854775807"))
      has_error(&err, CG_ERR_FORMAT, "overflows");
    else
      ck_assert_msg(x != NULL, "%s: %s", good[_i].header, err.message);
    cg_leaf_free(x);
    free(b.bytes);
  }
}
END_TEST

static const struct {
  const char *header;
  size_t data_size;
  const char *part;
} hostile[] = {
    {"", 0, "is no dictionary"},
    {"[]", 0, "is no dictionary"},
    {"{}", 0, "has no \"descr\""},
    {"{'descr': '<f4', 'fortran_order': False}", 0, "has no \"shape\""},
    {"{'descr': '<f4', 'shape': ()}", 4, "has no \"fortran_order\""},
    {SHAPE("(2,)") "x", 8, "goes on after its dictionary"},
    {SHAPE("(2,)"), 9, "goes on after the last"},
    {SHAPE("(2,)"), 7, "only 7 follow"},
    {SHAPE("(2)"), 8, "no tuple"},
    {SHAPE("2"), 8, "no tuple"},
    {SHAPE("[2]"), 8, "no tuple"},
    {SHAPE("(2 2)"), 16, "no tuple"},
    {SHAPE("(,)"), 4, "no whole number"},
    {SHAPE("(-2,)"), 8, "no whole number"},
    {SHAPE("(2.0,)"), 8, "no tuple"},
    {SHAPE("(None,)"), 8, "no whole number"},
    {SHAPE("(9223372036854775808,)"), 8, "size that overflows"},
    {SHAPE("(99999999999999999999999,)"), 8, "size that overflows"},
    {SHAPE("(4611686018427387904,)"), 8, "size overflows"},
    {SHAPE("(4294967296, 4294967296)"), 8, "size overflows"},
    {SHAPE("(1, 1, 1, 1, 1, 1, 1, 1, 2)"), 8, "more than 8 axes"},
    {SHAPE("(2305843009213693951,)"), 8, "only 8 follow"},
    {D("'<f4'", "Maybe", "(2,)"), 8, "neither True nor False"},
    {D("'<f4'", "0", "(2,)"), 8, "neither True nor False"},
    {D("[('a', '<f4')]", "False", "(2,)"), 8, "lacks a string"},
    {D("'<f2'", "False", "(2,)"), 4, "\"<f2\", which is none"},
    {D("'|O'", "False", "(2,)"), 16, "\"|O\", which is none"},
    {D("'\x1b[31m'", "False", "(2,)"), 16, "\\x1b[31m"},
    {D("'<f4\\n'", "False", "(2,)"), 16, "does not end"},
    {D("'<f4", "False", "(2,)"), 16, "lacks a comma"},
    {D("'<f4 and so on and on'", "False", "(2,)"), 16, "too long"},
    {"{'descr': '<f4", 16, "does not end"},
    {"{'descr' '<f4'}", 16, "lacks a colon"},
    {"{'descr': '<f4' 'shape': ()}", 16, "lacks a comma"},
    {"{'descr': '<f4', 'descr': '<f4'}", 16, "key twice"},
    {"{'desc': '<f4'}", 16, "unknown key"},
    {"{descr: '<f4'}", 16, "lacks a string"},
    {"{'descr': '<f4',, }", 16, "lacks a string"},
};

START_TEST(refuses_hostile_headers) {
  cg_error err = {0};
  const char *header = hostile[_i].header;
  blob b = blob_of(1 + _i % 3, header, strlen(header), hostile[_i].data_size);
  ck_assert_ptr_null(parse(&b, b.size, &err));
  has_error(&err, CG_ERR_FORMAT, hostile[_i].part);
  ck_assert_str_eq(err.op, "cg_npy_parse");
  free(b.bytes);
}
END_TEST

START_TEST(refuses_hostile_beginnings) {
  const char *header = SHAPE("(2,)");
  const struct {
    int major;
    size_t claimed;
    const char *part;
  } rows[] = {{1, 65535, "more than follows"},
              {2, 65536, "more than is allowed"},
              {3, 0xffffffff, "more than is allowed"},
              {2, 8 + strlen(header) + 1, "more than follows"},
              {1, 0, "is no dictionary"},
              {1, 5, "does not end"},
              {0, strlen(header), "version 0.0"},
              {4, strlen(header), "version 4.0"},
              {255, strlen(header), "version 255.0"}};
  cg_error err = {0};
  for (int i = 0; i < N_OF(rows); i++) {
    blob b = blob_of(rows[i].major, header, rows[i].claimed, 8);
    ck_assert_ptr_null(parse(&b, b.size, &err));
    has_error(&err, CG_ERR_FORMAT, rows[i].part);
    free(b.bytes);
  }
  blob b = blob_of(1, header, strlen(header), 8);
  b.bytes[7] = 1;
  ck_assert_ptr_null(parse(&b, b.size, &err));
  has_error(&err, CG_ERR_FORMAT, "version 1.1");
  b.bytes[7] = 0;
  b.bytes[20] = '\0';
  ck_assert_ptr_null(parse(&b, b.size, &err));
  has_error(&err, CG_ERR_FORMAT, "zero byte");
  b.bytes[0] = 'P';
  ck_assert_ptr_null(parse(&b, b.size, &err));
  has_error(&err, CG_ERR_FORMAT, "does not begin");
  ck_assert_ptr_null(cg_npy_parse(NULL, NULL, 3, &err));
  has_error(&err, CG_ERR_ARG, "NULL");
  free(b.bytes);
}
END_TEST

START_TEST(survives_every_cut_and_every_wrong_byte) {
  static const unsigned char wrong[] = "flipbits'\"\\{}(),:-+.019L _|<>\n\xff";
  const char *header = D("'<f8'", "True", "(3, 2)");
  blob b = blob_of(1, header, strlen(header), 48);
  unsigned refused = 0;
  cg_error err = {0};
  for (size_t size = 0; size < b.size; size++) {
    ck_assert_ptr_null(parse(&b, size, &err));
    ck_assert_int_eq(err.status, CG_ERR_FORMAT);
  }
  for (size_t at = 0; at < 10 + strlen(header); at++) {
    unsigned char right = b.bytes[at];
    for (size_t i = 0; i < sizeof wrong; i++) {
      b.bytes[at] = i < 8 ? (unsigned char)(right ^ 1 << i) : wrong[i];
      cg_tensor *x = parse(&b, b.size, &err);
      refused += x == NULL;
      cg_leaf_free(x);
    }
    b.bytes[at] = right;
  }
  ck_assert_uint_gt(refused, 1500);
  free(b.bytes);
}
END_TEST

START_TEST(lack_of_memory_is_an_error) {
  const char *header = D("'<f8'", "True", "(3, 2)");
  blob b = blob_of(1, header, strlen(header), 48);
  cg_tensor *x = NULL;
  for (size_t k = 1; !x; k++) {
    counter c;
    counter_init(&c);
    c.fail_at = k;
    cg_error err = {0};
    x = cg_npy_parse(&c.allocator, b.bytes, b.size, &err);
    if (!x) has_error(&err, CG_ERR_NOMEM, "");
    ck_assert_uint_lt(k, 20);
    ck_assert(x || c.live_blocks == 0);
    if (x) cg_leaf_free(x);
  }
  free(b.bytes);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("npy");
  tcase_add_test(tc, reads_what_numpy_writes);
  tcase_add_test(tc, names_the_types_it_refuses);
  tcase_add_test(tc, writes_what_numpy_writes);
  tcase_add_test(tc, views_and_all_ranks_come_back);
  tcase_add_test(tc, writing_refuses);
  tcase_add_loop_test(tc, accepts_what_python_may_write, 0, N_OF(good));
  tcase_add_loop_test(tc, refuses_hostile_headers, 0, N_OF(hostile));
  tcase_add_test(tc, refuses_hostile_beginnings);
  tcase_add_test(tc, survives_every_cut_and_every_wrong_byte);
  tcase_add_test(tc, lack_of_memory_is_an_error);
  return run_case("npy", tc);
}
