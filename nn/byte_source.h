/* byte_source.h - reading files of arrays: bytes from a file or from memory,
 * and errors that name the file. Private to nn. */
#ifndef CHRONOGRAD_NN_BYTE_SOURCE_H
#define CHRONOGRAD_NN_BYTE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <chronograd/status.h>

/* Whom an error concerns. `path` is NULL for memory. */
typedef struct cg_file_context {
  const char *op;
  const char *path;
  cg_error *err;
} cg_file_context;

/* Describes a failure as "<path>: <text>" and returns `status`. */
cg_status cg_file_fail(const cg_file_context *context, cg_status status,
                       const char *fmt, ...) CG_PRINTF(3, 4);

/* Either a descriptor or memory. A file's size is only an upper bound that lets
 * us refuse a header's claims before allocating for them: a pipe has none, and
 * a file may shrink while it is read. */
typedef struct cg_byte_source {
  int fd; /* -1 for memory */
  const unsigned char *bytes;
  uint64_t left; /* at most; UINT64_MAX if unknown */
} cg_byte_source;

/* Opens a file (IO, or ARG for NULL), and closes it. */
cg_status cg_source_open(cg_byte_source *from, const char *path,
                         const cg_file_context *context);
void cg_source_close(cg_byte_source *from);

/* Reads up to `size` bytes and says in *got how many; fewer mean the end. */
cg_status cg_source_read_some(cg_byte_source *from, void *out, size_t size,
                              size_t *got, const cg_file_context *context);
/* Reads exactly `size` bytes of `what`. */
cg_status cg_source_read(cg_byte_source *from, void *out, size_t size,
                         const char *what, const cg_file_context *context);
/* FORMAT unless everything was read. */
cg_status cg_source_check_end(cg_byte_source *from,
                              const cg_file_context *context);

bool cg_host_is_little_endian(void);

#endif
