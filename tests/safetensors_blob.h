/* safetensors_blob.h - files in memory for the tests of the reader. */
#ifndef CHRONOGRAD_TESTS_SAFETENSORS_BLOB_H
#define CHRONOGRAD_TESTS_SAFETENSORS_BLOB_H

#include <chronograd/safetensors.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A length, a header and data; the length need not be the header's. */
typedef struct blob {
  unsigned char *bytes;
  size_t size;
} blob;

static inline blob blob_new(const char *header, size_t claimed,
                            size_t data_size) {
  size_t length = strlen(header);
  blob b = {malloc(8 + length + data_size), 8 + length + data_size};
  ck_assert_ptr_nonnull(b.bytes);
  for (size_t i = 0; i < 8; i++)
    b.bytes[i] = (unsigned char)((uint64_t)claimed >> (8 * i) & 0xff);
  memcpy(b.bytes + 8, header, length);
  for (size_t i = 0; i < data_size; i++)
    b.bytes[8 + length + i] = (unsigned char)(i * 37 + 11);
  return b;
}

#define SMALL                                                                  \
  "{\"__metadata__\":{\"k\":\"v\"},"                                           \
  "\"W\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[8,20]},"         \
  "\"y\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"             \
  "\"m\":{\"dtype\":\"BOOL\",\"shape\":[5],\"data_offsets\":[20,25]},"         \
  "\"e\":{\"dtype\":\"F64\",\"shape\":[2,0],\"data_offsets\":[20,20]}}  "
#define SMALL_DATA 25

/* Parses an exactly sized copy, so that a sanitizer sees any read beyond. */
static inline cg_safetensors *parse_copy(const unsigned char *bytes,
                                         size_t size, cg_error *err) {
  unsigned char *copy = malloc(size > 0 ? size : 1);
  ck_assert_ptr_nonnull(copy);
  memcpy(copy, bytes, size);
  cg_safetensors *file = cg_safetensors_parse(NULL, copy, size, err);
  free(copy);
  return file;
}

#endif
