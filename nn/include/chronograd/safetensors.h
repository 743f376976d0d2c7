/* safetensors.h - arrays in a file, by name.
 *
 * The safetensors format: 8 bytes little-endian header length, a JSON object
 * {"name": {"dtype", "shape", "data_offsets"}, "__metadata__": {...}}, then the
 * data. Row-major, little-endian. This file knows arrays only, not parameters
 * (param.h has those).
 *
 * A reader treats its input as hostile: every length, offset, name, type and
 * shape is checked before it is used, and the file is refused as a whole
 * (FORMAT) if any is off: header longer than the file or than 100 MB, data
 * ranges that leave the file, overlap, leave holes or do not match shape and
 * type, duplicate or empty names, ranks above CG_MAX_RANK, sizes that overflow,
 * trailing bytes.
 */
#ifndef CHRONOGRAD_SAFETENSORS_H
#define CHRONOGRAD_SAFETENSORS_H

#include <chronograd/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One array: borrowed memory, row-major. Types in files: F32, F64, I64, U8 and
 * BOOL (read as U8). */
typedef struct cg_array {
  const char *name;           /* its name in the file */
  cg_dtype dtype;             /* the element type */
  int rank;                   /* the number of axes, */
  int64_t shape[CG_MAX_RANK]; /* and their sizes */
  const void *data;           /* the elements */
} cg_array;

/* One line of a file's "__metadata__". */
typedef struct cg_metadata {
  const char *key;   /* no two lines have the same */
  const char *value; /* a text */
} cg_metadata;

/* An opened file, read into memory whole. */
typedef struct cg_safetensors cg_safetensors;

/* Reads and checks `path`. NULL on an error: IO (cannot be read), FORMAT
 * (refused), NOMEM, or STATE if the library was built without a JSON reader. */
CG_API cg_safetensors *cg_safetensors_open(const cg_allocator *allocator,
                                           const char *path, cg_error *err);
/* The same for a file's contents in memory, which are copied. */
CG_API cg_safetensors *cg_safetensors_parse(const cg_allocator *allocator,
                                            const void *bytes, size_t size,
                                            cg_error *err);
/* Frees it with all the arrays and strings it lent. NULL is fine. */
CG_API void cg_safetensors_close(cg_safetensors *file);

/* The number of arrays, and array i in the order of their data, or NULL. Lent
 * until close; data is aligned to CG_ALIGNMENT. */
CG_API int cg_safetensors_count(const cg_safetensors *file);
CG_API const cg_array *cg_safetensors_at(const cg_safetensors *file, int i);
/* The array called `name`, or NULL. */
CG_API const cg_array *cg_safetensors_find(const cg_safetensors *file,
                                           const char *name);
/* The metadata value of `key`, or NULL. Lent until close. */
CG_API const char *cg_safetensors_metadata(const cg_safetensors *file,
                                           const char *key);

/* Writes arrays and metadata to `path`: to a temporary file beside it, which is
 * flushed to disk and renamed only when complete, so that `path` has either its
 * old contents or all of the new. Where `path` is not a regular file (a device,
 * a pipe) it is written directly. The data goes by element size, largest first,
 * and otherwise in the order given, so that every array is aligned in the file.
 * Refuses duplicate or empty names and names that are not UTF-8 (ARG). */
CG_API cg_status cg_safetensors_write(const char *path, const cg_array *arrays,
                                      int n_arrays, const cg_metadata *metadata,
                                      int n_metadata, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
