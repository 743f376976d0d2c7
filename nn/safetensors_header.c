/* safetensors_header.c - from a file's JSON header to checked arrays. */
#include "safetensors_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CG_HAVE_JANSSON
#include <jansson.h>
#endif

#include "text.h"

/* The first code of a type is the one that is written. */
static const struct {
  const char *code;
  cg_dtype dtype;
} codes[] = {
    {"F32", CG_F32}, {"F64", CG_F64}, {"I64", CG_I64},
    {"U8", CG_U8},   {"BOOL", CG_U8},
};

#define N_CODES (sizeof codes / sizeof codes[0])

bool cg_st_dtype_of(const char *code, cg_dtype *dtype) {
  for (size_t i = 0; i < N_CODES; i++) {
    if (strcmp(codes[i].code, code) == 0) {
      *dtype = codes[i].dtype;
      return true;
    }
  }
  return false;
}

const char *cg_st_dtype_code(cg_dtype dtype) {
  for (size_t i = 0; i < N_CODES; i++) {
    if (codes[i].dtype == dtype)
      return codes[i].code;
  }
  return NULL;
}

bool cg_st_array_bytes(const cg_array *array, int64_t *bytes) {
  uint64_t most = INT64_MAX < SIZE_MAX ? INT64_MAX : SIZE_MAX;
  uint64_t product = cg_dtype_size(array->dtype);
  bool empty = false;
  for (int i = 0; i < array->rank; i++) {
    uint64_t size = (uint64_t)array->shape[i];
    if (size == 0)
      empty = true;
    else if (product > most / size)
      return false;
    else
      product *= size;
  }
  *bytes = empty ? 0 : (int64_t)product;
  return true;
}

cg_status cg_st_check_host(const cg_file_context *context) {
#ifdef CG_HAVE_JANSSON
  if (cg_host_is_little_endian())
    return CG_OK;
  return cg_file_fail(context, CG_ERR_STATE,
                      "safetensors data is little-endian and this machine is "
                      "big-endian, which is not supported");
#else
  return cg_file_fail(context, CG_ERR_STATE,
                      "chronograd was built without jansson, which reading and "
                      "writing safetensors needs");
#endif
}

#ifdef CG_HAVE_JANSSON

/* An array with its place in the data, before sorting. */
typedef struct entry {
  cg_array array; /* its name still belongs to the JSON object */
  int64_t begin, end;
  size_t order; /* in the header */
} entry;

static cg_status refuse(const cg_file_context *context, const char *name,
                        const char *what) {
  char shown[CG_ST_SHOWN_NAME];
  return cg_file_fail(context, CG_ERR_FORMAT, "array \"%s\" %s",
                      cg_text_show(shown, sizeof shown, name), what);
}

/* ---- one array ---- */

static cg_status read_dtype(entry *e, const json_t *json,
                            const cg_file_context *context) {
  const char *code = json_string_value(json_object_get(json, "dtype"));
  if (code == NULL)
    return refuse(context, e->array.name, "has no \"dtype\" string");
  if (cg_st_dtype_of(code, &e->array.dtype))
    return CG_OK;
  char shown_code[24], what[128];
  snprintf(what, sizeof what,
           "has type \"%s\", which is none of F32, F64, I64, U8 and BOOL",
           cg_text_show(shown_code, sizeof shown_code, code));
  return refuse(context, e->array.name, what);
}

/* Element i of a JSON array as a size or offset, or -1 if it can't be one. */
static int64_t size_at(const json_t *array, size_t i) {
  const json_t *value = json_array_get(array, i);
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return -1;
  return (int64_t)json_integer_value(value);
}

static cg_status read_shape(entry *e, const json_t *json,
                            const cg_file_context *context) {
  const json_t *shape = json_object_get(json, "shape");
  if (!json_is_array(shape))
    return refuse(context, e->array.name, "has no \"shape\" array");
  if (json_array_size(shape) > CG_MAX_RANK)
    return refuse(context, e->array.name, "has more than 8 axes");
  e->array.rank = (int)json_array_size(shape);
  for (int i = 0; i < e->array.rank; i++) {
    e->array.shape[i] = size_at(shape, (size_t)i);
    if (e->array.shape[i] < 0)
      return refuse(context, e->array.name,
                    "has a size that is not a non-negative integer");
  }
  return CG_OK;
}

static cg_status read_range(entry *e, const json_t *json,
                            const cg_file_context *context) {
  const json_t *range = json_object_get(json, "data_offsets");
  if (json_array_size(range) != 2)
    return refuse(context, e->array.name,
                  "has no \"data_offsets\" array of two offsets");
  e->begin = size_at(range, 0);
  e->end = size_at(range, 1);
  if (e->begin < 0 || e->end < 0)
    return refuse(context, e->array.name,
                  "has a data offset that is not a non-negative integer");
  if (e->begin > e->end)
    return refuse(context, e->array.name, "has data ending before its start");
  return CG_OK;
}

static cg_status check_bytes(const entry *e, const cg_file_context *context) {
  int64_t bytes;
  char what[128];
  if (!cg_st_array_bytes(&e->array, &bytes))
    return refuse(context, e->array.name, "has a shape whose size overflows");
  if (bytes == e->end - e->begin)
    return CG_OK;
  snprintf(what, sizeof what,
           "has %lld bytes of data, but its shape and type need %lld",
           (long long)(e->end - e->begin), (long long)bytes);
  return refuse(context, e->array.name, what);
}

static cg_status read_entry(entry *e, const char *name, const json_t *json,
                            const cg_file_context *context) {
  e->array.name = name;
  if (name[0] == '\0')
    return cg_file_fail(context, CG_ERR_FORMAT, "an array has an empty name");
  if (!json_is_object(json))
    return refuse(context, name, "is not described by a JSON object");
  cg_status status = read_dtype(e, json, context);
  if (status == CG_OK)
    status = read_shape(e, json, context);
  if (status == CG_OK)
    status = read_range(e, json, context);
  return status == CG_OK ? check_bytes(e, context) : status;
}

/* ---- all arrays ---- */

/* By place; an empty array comes before the one that starts where it lies. */
static int compare_entries(const void *left, const void *right) {
  const entry *a = left, *b = right;
  if (a->begin != b->begin)
    return a->begin < b->begin ? -1 : 1;
  if (a->end != b->end)
    return a->end < b->end ? -1 : 1;
  return a->order < b->order ? -1 : a->order > b->order;
}

/* Each sorted range must begin where the one before ended. */
static cg_status check_cover(const entry *entries, size_t n,
                             int64_t *data_bytes,
                             const cg_file_context *context) {
  int64_t reached = 0;
  for (size_t i = 0; i < n; i++) {
    if (entries[i].begin < reached)
      return refuse(context, entries[i].array.name,
                    "has data that overlaps another array's");
    if (entries[i].begin > reached)
      return refuse(context, entries[i].array.name,
                    "has data that leaves a hole before it");
    reached = entries[i].end;
  }
  *data_bytes = reached;
  return CG_OK;
}

static cg_status read_entries(entry *entries, json_t *root, int64_t *data_bytes,
                              const cg_file_context *context) {
  const char *name;
  json_t *value;
  size_t n = 0;
  json_object_foreach(root, name, value) {
    if (strcmp(name, CG_ST_METADATA) == 0)
      continue;
    cg_status status = read_entry(&entries[n], name, value, context);
    if (status != CG_OK)
      return status;
    entries[n].order = n;
    n++;
  }
  if (n > 1)
    qsort(entries, n, sizeof *entries, compare_entries);
  return check_cover(entries, n, data_bytes, context);
}

/* ---- metadata and strings ---- */

static cg_status check_metadata(json_t *metadata,
                                const cg_file_context *context) {
  const char *key;
  json_t *value;
  char shown[CG_ST_SHOWN_NAME];
  if (metadata != NULL && !json_is_object(metadata))
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "\"" CG_ST_METADATA "\" is not a JSON object");
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return cg_file_fail(context, CG_ERR_FORMAT,
                          "metadata \"%s\" is not a string",
                          cg_text_show(shown, sizeof shown, key));
  }
  return CG_OK;
}

/* No sum here can overflow: all strings come from one header. */
static size_t count_string_bytes(json_t *root, json_t *metadata) {
  const char *key;
  json_t *value;
  size_t bytes = 0;
  json_object_foreach(root, key, value) {
    bytes += strlen(key) + 1;
  }
  json_object_foreach(metadata, key, value) {
    bytes += strlen(key) + json_string_length(value) + 2;
  }
  return bytes;
}

static const char *store(char **next, const char *text) {
  size_t bytes = strlen(text) + 1;
  char *stored = memcpy(*next, text, bytes);
  *next += bytes;
  return stored;
}

static void fill_file(cg_safetensors *file, const entry *entries,
                      json_t *metadata) {
  const char *key;
  json_t *value;
  char *next = file->strings;
  for (size_t i = 0; i < file->n_arrays; i++) {
    file->arrays[i] = entries[i].array;
    file->arrays[i].name = store(&next, entries[i].array.name);
  }
  cg_metadata *line = file->metadata;
  json_object_foreach(metadata, key, value) {
    line->key = store(&next, key);
    line->value = store(&next, json_string_value(value));
    line++;
  }
}

/* ---- the header ---- */

/* true if there is nothing to allocate or it worked. */
static bool allocate(const cg_allocator *allocator, void *block_pointer,
                     size_t size) {
  void *block = size == 0 ? NULL : allocator->alloc(allocator->context, size);
  memcpy(block_pointer, &block, sizeof block);
  return size == 0 || block != NULL;
}

static bool allocate_tables(cg_safetensors *file, json_t *root,
                            json_t *metadata) {
  const cg_allocator *allocator = file->allocator;
  file->n_metadata = json_object_size(metadata);
  file->n_arrays = json_object_size(root) - (metadata != NULL);
  file->strings_size = count_string_bytes(root, metadata);
  return allocate(allocator, &file->arrays,
                  file->n_arrays * sizeof *file->arrays) &&
         allocate(allocator, &file->metadata,
                  file->n_metadata * sizeof *file->metadata) &&
         allocate(allocator, &file->strings, file->strings_size);
}

static cg_status read_root(cg_safetensors *file, json_t *root,
                           int64_t *data_bytes,
                           const cg_file_context *context) {
  json_t *metadata = json_object_get(root, CG_ST_METADATA);
  cg_status status = check_metadata(metadata, context);
  if (status != CG_OK)
    return status;
  entry *entries = NULL;
  size_t bytes = json_object_size(root) * sizeof *entries;
  if (!allocate_tables(file, root, metadata) ||
      !allocate(file->allocator, &entries, bytes))
    return cg_file_fail(context, CG_ERR_NOMEM, "out of memory for %zu arrays",
                        file->n_arrays);
  status = read_entries(entries, root, data_bytes, context);
  if (status == CG_OK)
    fill_file(file, entries, metadata);
  if (entries != NULL)
    file->allocator->release(file->allocator->context, entries, bytes);
  return status;
}

static cg_status refuse_json(const json_error_t *error,
                             const cg_file_context *context) {
  char shown[128];
  /* jansson never refuses a text without a reason, so none means no memory.
   * Where its lexer lacks memory it calls the text invalid, which we can't
   * tell from the truth. */
  if (error->text[0] == '\0' ||
      json_error_code(error) == json_error_out_of_memory)
    return cg_file_fail(context, CG_ERR_NOMEM, "out of memory for the header");
  return cg_file_fail(context, CG_ERR_FORMAT,
                      "the header is not valid JSON: %s",
                      cg_text_show(shown, sizeof shown, error->text));
}

cg_status cg_st_read_header(cg_safetensors *file, const char *text, size_t size,
                            int64_t *data_bytes,
                            const cg_file_context *context) {
  json_error_t error;
  if (size == 0 || text[0] != '{')
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "the header is not a JSON object");
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL)
    return refuse_json(&error, context);
  cg_status status = read_root(file, root, data_bytes, context);
  json_decref(root);
  return status;
}

#endif
