/* safetensors_impl.h - what the parts of the safetensors layer share:
 * safetensors_read.c (files and memory), safetensors_header.c (the JSON text),
 * safetensors_write.c. */
#ifndef CHRONOGRAD_NN_SAFETENSORS_IMPL_H
#define CHRONOGRAD_NN_SAFETENSORS_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <chronograd/safetensors.h>

#include "byte_source.h"

#define CG_ST_LENGTH_BYTES 8
#define CG_ST_MAX_HEADER 100000000
#define CG_ST_METADATA "__metadata__"
#define CG_ST_SHOWN_NAME 72

struct cg_safetensors {
  const cg_allocator *allocator;
  cg_array *arrays; /* in the order of their data */
  cg_metadata *metadata;
  char *strings; /* all names, keys and values */
  unsigned char *data;
  size_t n_arrays, n_metadata, strings_size, data_size;
};

/* The type a file calls `code` ("F32"); false if it is none of ours. */
bool cg_st_dtype_of(const char *code, cg_dtype *dtype);
/* What a file calls `dtype`; NULL for an unknown type. */
const char *cg_st_dtype_code(cg_dtype dtype);

/* Bytes of an array's data. False if they are more than int64_t or size_t hold;
 * sizes of 0 do not excuse the others. No shape[i] may be negative. */
bool cg_st_array_bytes(const cg_array *array, int64_t *bytes);

/* OK, or why this machine or build can't do safetensors (STATE). */
cg_status cg_st_check_host(const cg_file_context *context);

/* Reads the header's JSON into file->arrays (all but their data), ->metadata
 * and ->strings, and checks all that can be without the data: the ranges cover
 * [0, *data_bytes) exactly. What it has allocated at a failure stays in *file
 * for cg_safetensors_close. */
cg_status cg_st_read_header(cg_safetensors *file, const char *text, size_t size,
                            int64_t *data_bytes,
                            const cg_file_context *context);

#endif
