/* npy_read.c - reading one array from a file of NumPy's. */
#include <stdio.h>
#include <string.h>

#include <chronograd/npy.h>

#include "byte_source.h"
#include "npy_impl.h"
#include "text.h"

/* ---- the dictionary ---- */

/* What stands in the header. `seen` has a bit per key. */
typedef struct header {
  char descr[16];
  bool fortran_order;
  int rank;
  int64_t shape[CG_MAX_RANK];
  unsigned seen;
} header;

/* The text that is left; it ends in a zero, which nothing steps over. */
typedef struct cursor {
  const char *at;
  const cg_file_context *context;
} cursor;

static cg_status refuse(const cursor *c, const char *what) {
  return cg_file_fail(c->context, CG_ERR_FORMAT, "its header %s", what);
}

static void skip_blanks(cursor *c) {
  c->at += strspn(c->at, " \t\r\n");
}

static bool accept(cursor *c, const char *word) {
  skip_blanks(c);
  size_t length = strlen(word);
  if (strncmp(c->at, word, length) != 0) return false;
  c->at += length;
  return true;
}

/* A string in either quotes, without escapes. */
static cg_status read_string(cursor *c, char *out, size_t size) {
  skip_blanks(c);
  char quote = *c->at;
  if (quote != '\'' && quote != '"') return refuse(c, "lacks a string");
  const char *begin = ++c->at;
  while (*c->at && *c->at != quote && *c->at != '\\') c->at++;
  size_t length = (size_t)(c->at - begin);
  if (*c->at != quote) return refuse(c, "has a string that does not end");
  if (length >= size) return refuse(c, "has a key or type that is too long");
  memcpy(out, begin, length);
  out[length] = '\0';
  c->at++;
  return CG_OK;
}

static cg_status read_size(cursor *c, int64_t *size) {
  skip_blanks(c);
  const char *begin = c->at;
  for (*size = 0; *c->at >= '0' && *c->at <= '9'; c->at++) {
    int digit = *c->at - '0';
    if (*size > (INT64_MAX - digit) / 10)
      return refuse(c, "has a size that overflows");
    *size = *size * 10 + digit;
  }
  if (c->at == begin)
    return refuse(c, "has a size that is no whole number from 0 on");
  if (*c->at == 'L') c->at++; /* as Python 2 wrote them */
  return CG_OK;
}

/* (), (3,), (3, 4): a single size needs its comma. */
static cg_status read_shape(cursor *c, header *h) {
  bool comma = true;
  if (!accept(c, "(")) return refuse(c, "has a shape that is no tuple");
  for (h->rank = 0; !accept(c, ")"); h->rank++) {
    if (!comma) return refuse(c, "has a shape that is no tuple");
    if (h->rank == CG_MAX_RANK) return refuse(c, "has more than 8 axes");
    cg_status status = read_size(c, &h->shape[h->rank]);
    if (status) return status;
    comma = accept(c, ",");
  }
  return h->rank == 1 && !comma ? refuse(c, "has a shape that is no tuple")
                                : CG_OK;
}

static cg_status read_order(cursor *c, header *h) {
  h->fortran_order = accept(c, "True");
  if (h->fortran_order || accept(c, "False")) return CG_OK;
  return refuse(c, "has a fortran_order that is neither True nor False");
}

static cg_status read_descr(cursor *c, header *h) {
  return read_string(c, h->descr, sizeof h->descr);
}

static const struct {
  const char *key;
  cg_status (*read)(cursor *c, header *h);
} entries[] = {{"descr", read_descr},
               {"fortran_order", read_order},
               {"shape", read_shape}};

enum { N_ENTRIES = sizeof entries / sizeof *entries };

static cg_status read_entry(cursor *c, header *h) {
  char key[16];
  cg_status status = read_string(c, key, sizeof key);
  if (status) return status;
  int i = 0;
  while (i < N_ENTRIES && strcmp(entries[i].key, key) != 0) i++;
  if (i == N_ENTRIES) return refuse(c, "has an unknown key");
  if (h->seen & 1u << i) return refuse(c, "has a key twice");
  h->seen |= 1u << i;
  if (!accept(c, ":")) return refuse(c, "lacks a colon");
  return entries[i].read(c, h);
}

static cg_status read_dictionary(cursor *c, header *h) {
  bool comma = true;
  if (!accept(c, "{")) return refuse(c, "is no dictionary");
  while (!accept(c, "}")) {
    if (!comma) return refuse(c, "lacks a comma");
    cg_status status = read_entry(c, h);
    if (status) return status;
    comma = accept(c, ",");
  }
  skip_blanks(c);
  if (*c->at) return refuse(c, "goes on after its dictionary");
  for (int i = 0; i < N_ENTRIES; i++)
    if (!(h->seen & 1u << i))
      return cg_file_fail(c->context, CG_ERR_FORMAT, "its header has no \"%s\"",
                          entries[i].key);
  return CG_OK;
}

/* ---- what comes before the data ---- */

static cg_status read_length(cg_byte_source *from, size_t *length,
                             const cg_file_context *context) {
  unsigned char start[NPY_START], b[4] = {0};
  cg_status status =
      cg_source_read(from, start, sizeof start, "first 8 bytes", context);
  if (status) return status;
  if (memcmp(start, NPY_MAGIC, NPY_MAGIC_BYTES) != 0)
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "does not begin like a file of NumPy's");
  int major = start[NPY_MAGIC_BYTES], minor = start[NPY_MAGIC_BYTES + 1];
  if (major < 1 || major > 3 || minor != 0)
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "has version %d.%d of the format; 1.0 to 3.0 are known",
                        major, minor);
  status = cg_source_read(from, b, major == 1 ? 2 : 4, "header's length",
                          context);
  uint32_t value = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                   (uint32_t)b[3] << 24;
  if (!status && (value > NPY_MAX_HEADER || value > from->left))
    status = cg_file_fail(context, CG_ERR_FORMAT,
                          "claims a header of %lu bytes, which is more than "
                          "%s",
                          (unsigned long)value,
                          value > NPY_MAX_HEADER ? "is allowed" : "follows");
  *length = value;
  return status;
}

static cg_status read_header(cg_byte_source *from, header *h,
                             const cg_allocator *a,
                             const cg_file_context *context) {
  size_t length = 0;
  *h = (header){.seen = 0};
  cg_status status = read_length(from, &length, context);
  if (status) return status;
  char *text = a->alloc(a->context, length + 1);
  if (!text)
    return cg_file_fail(context, CG_ERR_NOMEM,
                        "out of memory for a header of %zu bytes", length);
  status = cg_source_read(from, text, length, "header", context);
  text[length] = '\0';
  cursor c = {text, context};
  if (!status && memchr(text, '\0', length))
    status = refuse(&c, "has a zero byte");
  if (!status) status = read_dictionary(&c, h);
  a->release(a->context, text, length + 1);
  return status;
}

static cg_status find_type(const header *h, cg_dtype *dtype,
                           const cg_file_context *context) {
  for (int i = 0; i < NPY_TYPES; i++)
    if (strcmp(cg_npy_types[i].descr, h->descr) == 0) {
      *dtype = cg_npy_types[i].dtype;
      return CG_OK;
    }
  char shown[72];
  return cg_file_fail(context, CG_ERR_FORMAT,
                      "has elements of type \"%s\", which is none of <f4, <f8, "
                      "<i8, |u1, |b1",
                      cg_text_show(shown, sizeof shown, h->descr));
}

/* The bytes of the data; FORMAT if they are more than follow. */
static cg_status count_bytes(const header *h, cg_dtype dtype, uint64_t left,
                             size_t *bytes, const cg_file_context *context) {
  uint64_t most = INT64_MAX < SIZE_MAX ? INT64_MAX : SIZE_MAX;
  uint64_t product = cg_dtype_size(dtype);
  bool empty = false;
  for (int i = 0; i < h->rank; i++) {
    uint64_t size = (uint64_t)h->shape[i];
    empty = empty || size == 0;
    if (size > 0 && product > most / size)
      return cg_file_fail(context, CG_ERR_FORMAT,
                          "has a shape whose size overflows");
    product *= size > 0 ? size : 1;
  }
  *bytes = empty ? 0 : (size_t)product;
  if (*bytes <= left) return CG_OK;
  return cg_file_fail(context, CG_ERR_FORMAT,
                      "its data has %zu bytes, but only %llu follow", *bytes,
                      (unsigned long long)left);
}

/* ---- data ---- */

/* Copies elements that lie column-major to row-major ones. */
static void transpose(const header *h, size_t element, char *out,
                      const char *in, int64_t n) {
  int64_t at[CG_MAX_RANK] = {0};
  for (int64_t i = 0; i < n; i++) {
    int64_t from = 0;
    for (int k = h->rank - 1; k >= 0; k--) from = from * h->shape[k] + at[k];
    memcpy(out + (size_t)i * element, in + (size_t)from * element, element);
    for (int k = h->rank - 1; k >= 0 && ++at[k] == h->shape[k]; k--) at[k] = 0;
  }
}

static cg_status read_columns(cg_byte_source *from, const header *h,
                              cg_tensor *x, size_t bytes,
                              const cg_allocator *a,
                              const cg_file_context *context) {
  void *columns = a->alloc(a->context, bytes);
  if (!columns)
    return cg_file_fail(context, CG_ERR_NOMEM,
                        "out of memory for %zu bytes of data", bytes);
  cg_status status = cg_source_read(from, columns, bytes, "data", context);
  if (!status)
    transpose(h, cg_dtype_size(cg_tensor_dtype(x)), cg_leaf_data(x), columns,
              cg_tensor_numel(x));
  a->release(a->context, columns, bytes);
  return status;
}

static cg_status read_data(cg_byte_source *from, const header *h, cg_tensor *x,
                           size_t bytes, const cg_allocator *a,
                           const cg_file_context *context) {
  if (!bytes) return CG_OK;
  if (h->fortran_order && h->rank > 1)
    return read_columns(from, h, x, bytes, a, context);
  return cg_source_read(from, cg_leaf_data(x), bytes, "data", context);
}

static cg_tensor *read_source(cg_byte_source *from, const cg_allocator *a,
                              const cg_file_context *context) {
  header h;
  cg_dtype dtype = CG_F32;
  size_t bytes = 0;
  cg_error local = {0};
  if (!a) a = cg_allocator_default();
  if (cg_npy_check_host(context) || read_header(from, &h, a, context) ||
      find_type(&h, &dtype, context) ||
      count_bytes(&h, dtype, from->left, &bytes, context))
    return NULL;
  cg_tensor *x = cg_leaf_new(a, dtype, h.rank, h.shape, &local);
  if (!x) cg_file_fail(context, local.status, "%s", local.message);
  if (x && !read_data(from, &h, x, bytes, a, context) &&
      !cg_source_check_end(from, context))
    return x;
  cg_leaf_free(x);
  return NULL;
}

cg_tensor *cg_npy_read(const cg_allocator *allocator, const char *path,
                       cg_error *err) {
  cg_file_context context = {"cg_npy_read", path, err};
  cg_byte_source from;
  if (cg_source_open(&from, path, &context)) return NULL;
  cg_tensor *x = read_source(&from, allocator, &context);
  cg_source_close(&from);
  return x;
}

cg_tensor *cg_npy_parse(const cg_allocator *allocator, const void *bytes,
                        size_t size, cg_error *err) {
  cg_file_context context = {"cg_npy_parse", NULL, err};
  cg_byte_source from = {.fd = -1, .bytes = bytes, .left = size};
  if (bytes || !size) return read_source(&from, allocator, &context);
  cg_file_fail(&context, CG_ERR_ARG, "%zu bytes at NULL", size);
  return NULL;
}
