/* safetensors_read.c - opening a safetensors file, and what it lends. */
#include "safetensors_impl.h"

#include <string.h>

/* ---- what a file lends ---- */

static void release(const cg_allocator *allocator, void *block, size_t size) {
  if (block != NULL)
    allocator->release(allocator->context, block, size);
}

void cg_safetensors_close(cg_safetensors *file) {
  if (file == NULL)
    return;
  const cg_allocator *allocator = file->allocator;
  release(allocator, file->arrays, file->n_arrays * sizeof *file->arrays);
  release(allocator, file->metadata,
          file->n_metadata * sizeof *file->metadata);
  release(allocator, file->strings, file->strings_size);
  release(allocator, file->data, file->data_size);
  release(allocator, file, sizeof *file);
}

int cg_safetensors_count(const cg_safetensors *file) {
  return file == NULL ? 0 : (int)file->n_arrays;
}

const cg_array *cg_safetensors_at(const cg_safetensors *file, int i) {
  if (i < 0 || i >= cg_safetensors_count(file))
    return NULL;
  return &file->arrays[i];
}

const cg_array *cg_safetensors_find(const cg_safetensors *file,
                                    const char *name) {
  for (size_t i = 0; file != NULL && name != NULL && i < file->n_arrays; i++) {
    if (strcmp(file->arrays[i].name, name) == 0)
      return &file->arrays[i];
  }
  return NULL;
}

const char *cg_safetensors_metadata(const cg_safetensors *file,
                                    const char *key) {
  for (size_t i = 0; file != NULL && key != NULL && i < file->n_metadata; i++) {
    if (strcmp(file->metadata[i].key, key) == 0)
      return file->metadata[i].value;
  }
  return NULL;
}

#ifdef CG_HAVE_JANSSON

/* ---- header ---- */

static cg_status read_header_length(cg_byte_source *from, size_t *length,
                                    const cg_file_context *context) {
  unsigned char bytes[CG_ST_LENGTH_BYTES];
  cg_status status =
      cg_source_read(from, bytes, sizeof bytes, "header's length", context);
  if (status != CG_OK)
    return status;
  uint64_t value = 0;
  for (int i = CG_ST_LENGTH_BYTES - 1; i >= 0; i--)
    value = value << 8 | bytes[i];
  if (value > CG_ST_MAX_HEADER)
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "claims a header of %llu bytes; at most %d are allowed",
                        (unsigned long long)value, CG_ST_MAX_HEADER);
  if (value > from->left)
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "claims a header of %llu bytes, but only %llu follow",
                        (unsigned long long)value,
                        (unsigned long long)from->left);
  *length = (size_t)value;
  return CG_OK;
}

static cg_status read_header(cg_safetensors *file, cg_byte_source *from,
                             int64_t *data_bytes,
                             const cg_file_context *context) {
  size_t length = 0;
  const cg_allocator *allocator = file->allocator;
  cg_status status = read_header_length(from, &length, context);
  if (status != CG_OK)
    return status;
  if (length == 0)
    return cg_file_fail(context, CG_ERR_FORMAT, "has an empty header");
  char *text = allocator->alloc(allocator->context, length);
  if (text == NULL)
    return cg_file_fail(context, CG_ERR_NOMEM,
                        "out of memory for a header of %zu bytes", length);
  status = cg_source_read(from, text, length, "header", context);
  if (status == CG_OK)
    status = cg_st_read_header(file, text, length, data_bytes, context);
  release(allocator, text, length);
  return status;
}

/* ---- data ---- */

static size_t round_up(size_t size) {
  return (size + CG_ALIGNMENT - 1) / CG_ALIGNMENT * CG_ALIGNMENT;
}

/* One block for all data, in which each array starts at an aligned place. It is
 * never empty, so that an empty array has an address too. */
static cg_status allocate_data(cg_safetensors *file, int64_t data_bytes,
                               const cg_file_context *context) {
  const cg_allocator *allocator = file->allocator;
  size_t padding = (file->n_arrays + 1) * CG_ALIGNMENT;
  if ((uint64_t)data_bytes <= SIZE_MAX - padding) {
    file->data_size = (size_t)data_bytes + padding;
    file->data = allocator->alloc(allocator->context, file->data_size);
  }
  if (file->data == NULL)
    return cg_file_fail(context, CG_ERR_NOMEM,
                        "out of memory for %lld bytes of data",
                        (long long)data_bytes);
  return CG_OK;
}

static cg_status read_data(cg_safetensors *file, cg_byte_source *from,
                           int64_t data_bytes, const cg_file_context *context) {
  if ((uint64_t)data_bytes > from->left)
    return cg_file_fail(context, CG_ERR_FORMAT,
                        "its data has %lld bytes, but only %llu follow",
                        (long long)data_bytes, (unsigned long long)from->left);
  cg_status status = allocate_data(file, data_bytes, context);
  unsigned char *next = file->data;
  for (size_t i = 0; status == CG_OK && i < file->n_arrays; i++) {
    int64_t bytes = 0;
    (void)cg_st_array_bytes(&file->arrays[i], &bytes); /* checked before */
    status = cg_source_read(from, next, (size_t)bytes, "data", context);
    file->arrays[i].data = next;
    next += round_up((size_t)bytes);
  }
  return status;
}

/* ---- open and parse ---- */

static cg_safetensors *read_source(const cg_allocator *allocator,
                                   cg_byte_source *from,
                                   const cg_file_context *context) {
  if (allocator == NULL)
    allocator = cg_allocator_default();
  cg_safetensors *file =
      allocator->alloc(allocator->context, sizeof(cg_safetensors));
  if (file == NULL) {
    cg_file_fail(context, CG_ERR_NOMEM, "out of memory");
    return NULL;
  }
  *file = (cg_safetensors){.allocator = allocator};
  int64_t data_bytes = 0;
  cg_status status = read_header(file, from, &data_bytes, context);
  if (status == CG_OK)
    status = read_data(file, from, data_bytes, context);
  if (status == CG_OK)
    status = cg_source_check_end(from, context);
  if (status == CG_OK)
    return file;
  cg_safetensors_close(file);
  return NULL;
}

cg_safetensors *cg_safetensors_open(const cg_allocator *allocator,
                                    const char *path, cg_error *err) {
  cg_file_context context = {"cg_safetensors_open", path, err};
  cg_byte_source from;
  cg_safetensors *file = NULL;
  if (cg_st_check_host(&context) != CG_OK ||
      cg_source_open(&from, path, &context) != CG_OK)
    return NULL;
  file = read_source(allocator, &from, &context);
  cg_source_close(&from);
  return file;
}

cg_safetensors *cg_safetensors_parse(const cg_allocator *allocator,
                                     const void *bytes, size_t size,
                                     cg_error *err) {
  cg_file_context context = {"cg_safetensors_parse", NULL, err};
  cg_byte_source from = {.fd = -1, .bytes = bytes, .left = size};
  if (bytes == NULL && size > 0) {
    cg_file_fail(&context, CG_ERR_ARG, "%zu bytes at NULL", size);
    return NULL;
  }
  if (cg_st_check_host(&context) != CG_OK)
    return NULL;
  return read_source(allocator, &from, &context);
}

#else

cg_safetensors *cg_safetensors_open(const cg_allocator *allocator,
                                    const char *path, cg_error *err) {
  cg_file_context context = {"cg_safetensors_open", path, err};
  (void)allocator;
  (void)cg_st_check_host(&context);
  return NULL;
}

cg_safetensors *cg_safetensors_parse(const cg_allocator *allocator,
                                     const void *bytes, size_t size,
                                     cg_error *err) {
  cg_file_context context = {"cg_safetensors_parse", NULL, err};
  (void)allocator, (void)bytes, (void)size;
  (void)cg_st_check_host(&context);
  return NULL;
}

#endif
