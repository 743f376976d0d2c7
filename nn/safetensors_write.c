/* safetensors_write.c - writing arrays and metadata to a safetensors file. */
#include "safetensors_impl.h"

#include <string.h>

#ifdef CG_HAVE_JANSSON
#include <jansson.h>

#include "atomic_file.h"
#include "text.h"

/* Data starts at a multiple of this in the file, as the format recommends. */
#define HEADER_UNIT 8

/* The header with its length and padding, as it stands in the file. */
typedef struct prefix {
  unsigned char *bytes;
  size_t size;
} prefix;

static cg_status out_of_memory(const cg_file_context *context) {
  return cg_file_fail(context, CG_ERR_NOMEM, "out of memory for the header");
}

/* ---- arguments ---- */

static cg_status refuse(const cg_file_context *context, const char *kind,
                        const char *name, const char *what) {
  char shown[CG_ST_SHOWN_NAME];
  return cg_file_fail(context, CG_ERR_ARG, "%s \"%s\" %s", kind,
                      cg_text_show(shown, sizeof shown, name), what);
}

static cg_status check_name(const cg_array *array, int i,
                            const cg_file_context *context) {
  if (array->name == NULL || array->name[0] == '\0')
    return cg_file_fail(context, CG_ERR_ARG, "array %d has no name", i);
  if (!cg_text_is_utf8(array->name))
    return refuse(context, "array", array->name, "is not named in UTF-8");
  if (strcmp(array->name, CG_ST_METADATA) == 0)
    return refuse(context, "array", array->name, "has a reserved name");
  return CG_OK;
}

static cg_status check_array(const cg_array *array, int i,
                             const cg_file_context *context) {
  cg_status status = check_name(array, i, context);
  if (status != CG_OK)
    return status;
  if (cg_st_dtype_code(array->dtype) == NULL)
    return refuse(context, "array", array->name, "has an unknown type");
  if (array->rank < 0 || array->rank > CG_MAX_RANK)
    return refuse(context, "array", array->name, "has a rank outside 0..8");
  for (int k = 0; k < array->rank; k++) {
    if (array->shape[k] < 0)
      return refuse(context, "array", array->name, "has a negative size");
  }
  int64_t bytes;
  if (!cg_st_array_bytes(array, &bytes))
    return refuse(context, "array", array->name,
                  "has a shape whose size overflows");
  if (array->data == NULL && bytes > 0)
    return refuse(context, "array", array->name, "has no data");
  return CG_OK;
}

static cg_status check_metadata(const cg_metadata *line, int i,
                                const cg_file_context *context) {
  if (line->key == NULL || line->value == NULL)
    return cg_file_fail(context, CG_ERR_ARG, "metadata %d has no key or value",
                        i);
  if (!cg_text_is_utf8(line->key) || !cg_text_is_utf8(line->value))
    return refuse(context, "metadata", line->key, "is not UTF-8");
  return CG_OK;
}

static cg_status check_arguments(const cg_array *arrays, int n_arrays,
                                 const cg_metadata *metadata, int n_metadata,
                                 const cg_file_context *context) {
  cg_status status = CG_OK;
  if (context->path == NULL)
    return cg_file_fail(context, CG_ERR_ARG, "the path is NULL");
  if (n_arrays < 0 || n_metadata < 0 || (n_arrays > 0 && arrays == NULL) ||
      (n_metadata > 0 && metadata == NULL))
    return cg_file_fail(context, CG_ERR_ARG,
                        "%d arrays and %d lines of metadata cannot be right",
                        n_arrays, n_metadata);
  for (int i = 0; status == CG_OK && i < n_arrays; i++)
    status = check_array(&arrays[i], i, context);
  for (int i = 0; status == CG_OK && i < n_metadata; i++)
    status = check_metadata(&metadata[i], i, context);
  return status;
}

/* ---- the order of the data ---- */

/* Arrays go by element size, largest first, so that each starts at a multiple
 * of its element size, which readers that map the file need. Steps *i and
 * *element to the next array in that order; start with -1 and 8. */
static bool next_array(const cg_array *arrays, int n, int *i, size_t *element) {
  for (; *element > 0; *element /= 2, *i = -1) {
    while (++*i < n) {
      if (cg_dtype_size(arrays[*i].dtype) == *element)
        return true;
    }
  }
  return false;
}

/* ---- header ---- */

static json_t *describe(const cg_array *array, int64_t begin, int64_t end) {
  json_t *json = json_object();
  json_t *shape = json_array();
  json_t *range = json_array();
  int failed = 0;
  for (int i = 0; i < array->rank; i++)
    failed |= json_array_append_new(shape, json_integer(array->shape[i]));
  failed |= json_array_append_new(range, json_integer(begin));
  failed |= json_array_append_new(range, json_integer(end));
  failed |= json_object_set_new(json, "dtype",
                                json_string(cg_st_dtype_code(array->dtype)));
  failed |= json_object_set_new(json, "shape", shape);
  failed |= json_object_set_new(json, "data_offsets", range);
  if (failed == 0)
    return json;
  json_decref(json);
  return NULL;
}

static cg_status add_arrays(json_t *root, const cg_array *arrays, int n,
                            const cg_file_context *context) {
  int64_t begin = 0, bytes = 0;
  int i = -1;
  size_t element = 8;
  while (next_array(arrays, n, &i, &element)) {
    if (!cg_st_array_bytes(&arrays[i], &bytes) || bytes > INT64_MAX - begin)
      return cg_file_fail(context, CG_ERR_ARG,
                          "the arrays' sizes overflow in sum");
    if (json_object_get(root, arrays[i].name) != NULL)
      return refuse(context, "array", arrays[i].name, "is there twice");
    json_t *json = describe(&arrays[i], begin, begin + bytes);
    if (json_object_set_new(root, arrays[i].name, json) != 0)
      return out_of_memory(context);
    begin += bytes;
  }
  return CG_OK;
}

static cg_status add_metadata(json_t *root, const cg_metadata *lines, int n,
                              const cg_file_context *context) {
  if (n == 0)
    return CG_OK;
  json_t *metadata = json_object();
  if (json_object_set_new(root, CG_ST_METADATA, metadata) != 0)
    return out_of_memory(context);
  for (int i = 0; i < n; i++) {
    if (json_object_get(metadata, lines[i].key) != NULL)
      return refuse(context, "metadata", lines[i].key, "is there twice");
    json_t *value = json_string(lines[i].value);
    if (json_object_set_new(metadata, lines[i].key, value) != 0)
      return out_of_memory(context);
  }
  return CG_OK;
}

static cg_status print_header(const json_t *root, prefix *out,
                              const cg_file_context *context) {
  const cg_allocator *allocator = cg_allocator_default();
  size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT);
  size_t padded = (length + HEADER_UNIT - 1) / HEADER_UNIT * HEADER_UNIT;
  if (length == 0)
    return out_of_memory(context);
  if (padded > CG_ST_MAX_HEADER)
    return cg_file_fail(context, CG_ERR_ARG,
                        "names and metadata make a header of %zu bytes; at "
                        "most %d are allowed",
                        padded, CG_ST_MAX_HEADER);
  out->size = CG_ST_LENGTH_BYTES + padded;
  out->bytes = allocator->alloc(allocator->context, out->size);
  if (out->bytes == NULL)
    return out_of_memory(context);
  for (size_t i = 0; i < CG_ST_LENGTH_BYTES; i++)
    out->bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i) & 0xff);
  memset(out->bytes + CG_ST_LENGTH_BYTES, ' ', padded);
  if (json_dumpb(root, (char *)out->bytes + CG_ST_LENGTH_BYTES, length,
                 JSON_COMPACT) != length)
    return out_of_memory(context);
  return CG_OK;
}

static cg_status make_prefix(const cg_array *arrays, int n_arrays,
                             const cg_metadata *metadata, int n_metadata,
                             prefix *out, const cg_file_context *context) {
  json_t *root = json_object();
  if (root == NULL)
    return out_of_memory(context);
  cg_status status = add_metadata(root, metadata, n_metadata, context);
  if (status == CG_OK)
    status = add_arrays(root, arrays, n_arrays, context);
  if (status == CG_OK)
    status = print_header(root, out, context);
  json_decref(root);
  return status;
}

/* ---- file ---- */

static cg_status write_file(const prefix *header, const cg_array *arrays, int n,
                            const cg_file_context *context) {
  cg_atomic_file file;
  cg_status status =
      cg_atomic_open(&file, context->path, context->op, context->err);
  if (status != CG_OK)
    return status;
  status = cg_atomic_write(&file, header->bytes, header->size, context->err);
  int i = -1;
  size_t element = 8;
  while (status == CG_OK && next_array(arrays, n, &i, &element)) {
    int64_t bytes = 0;
    (void)cg_st_array_bytes(&arrays[i], &bytes); /* checked before */
    status =
        cg_atomic_write(&file, arrays[i].data, (size_t)bytes, context->err);
  }
  if (status == CG_OK)
    return cg_atomic_commit(&file, context->err);
  cg_atomic_abandon(&file);
  return status;
}

cg_status cg_safetensors_write(const char *path, const cg_array *arrays,
                               int n_arrays, const cg_metadata *metadata,
                               int n_metadata, cg_error *err) {
  cg_file_context context = {"cg_safetensors_write", path, err};
  prefix header = {NULL, 0};
  cg_status status = cg_st_check_host(&context);
  if (status == CG_OK)
    status = check_arguments(arrays, n_arrays, metadata, n_metadata, &context);
  if (status == CG_OK)
    status = make_prefix(arrays, n_arrays, metadata, n_metadata, &header,
                         &context);
  if (status == CG_OK)
    status = write_file(&header, arrays, n_arrays, &context);
  if (header.bytes != NULL) {
    const cg_allocator *allocator = cg_allocator_default();
    allocator->release(allocator->context, header.bytes, header.size);
  }
  return status;
}

#else

cg_status cg_safetensors_write(const char *path, const cg_array *arrays,
                               int n_arrays, const cg_metadata *metadata,
                               int n_metadata, cg_error *err) {
  cg_file_context context = {"cg_safetensors_write", path, err};
  (void)arrays, (void)n_arrays, (void)metadata, (void)n_metadata;
  return cg_st_check_host(&context);
}

#endif
