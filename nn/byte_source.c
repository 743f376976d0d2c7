/* byte_source.c - reading files of arrays: bytes from a file or from memory,
 * and errors that name the file. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define MAX_CHUNK ((size_t)1 << 30)

cg_status cg_file_fail(const cg_file_context *context, cg_status status,
                       const char *fmt, ...) {
  char text[320], path[128];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (context->path == NULL)
    return cg_error_set(context->err, status, context->op, "%s", text);
  cg_text_show_path(path, sizeof path, context->path);
  return cg_error_set(context->err, status, context->op, "%s: %s", path, text);
}

bool cg_host_is_little_endian(void) {
  const uint16_t one = 1;
  unsigned char first;
  memcpy(&first, &one, 1);
  return first == 1;
}

/* ---- opening ---- */

static bool open_file(cg_byte_source *from, const char *path) {
  struct stat info;
  from->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (from->fd < 0 || fstat(from->fd, &info) != 0)
    return false;
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return false;
  }
  /* Files under /proc call themselves regular and empty. */
  if (S_ISREG(info.st_mode) && info.st_size > 0)
    from->left = (uint64_t)info.st_size;
  return true;
}

cg_status cg_source_open(cg_byte_source *from, const char *path,
                         const cg_file_context *context) {
  *from = (cg_byte_source){.fd = -1, .left = UINT64_MAX};
  if (path == NULL)
    return cg_file_fail(context, CG_ERR_ARG, "the path is NULL");
  if (open_file(from, path))
    return CG_OK;
  int why = errno;
  cg_source_close(from);
  return cg_file_fail(context, CG_ERR_IO, "cannot open it: %s", strerror(why));
}

void cg_source_close(cg_byte_source *from) {
  if (from->fd >= 0)
    (void)close(from->fd);
  from->fd = -1;
}

/* ---- reading ---- */

static size_t copy_some(cg_byte_source *from, void *out, size_t size) {
  size_t got = size < from->left ? size : (size_t)from->left;
  if (got > 0)
    memcpy(out, from->bytes, got);
  from->bytes += got;
  from->left -= got;
  return got;
}

cg_status cg_source_read_some(cg_byte_source *from, void *out, size_t size,
                              size_t *got, const cg_file_context *context) {
  unsigned char *next = out;
  *got = from->fd < 0 ? copy_some(from, out, size) : 0;
  if (from->fd < 0)
    return CG_OK;
  while (*got < size) {
    size_t wanted = size - *got < MAX_CHUNK ? size - *got : MAX_CHUNK;
    ssize_t n = read(from->fd, next + *got, wanted);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return cg_file_fail(context, CG_ERR_IO, "cannot read it: %s",
                          strerror(errno));
    if (n == 0)
      break;
    *got += (size_t)n;
  }
  if (from->left != UINT64_MAX)
    from->left -= *got < from->left ? *got : from->left;
  return CG_OK;
}

cg_status cg_source_read(cg_byte_source *from, void *out, size_t size,
                         const char *what, const cg_file_context *context) {
  size_t got;
  cg_status status = cg_source_read_some(from, out, size, &got, context);
  if (status != CG_OK || got == size)
    return status;
  return cg_file_fail(context, CG_ERR_FORMAT, "ends within the %s", what);
}

cg_status cg_source_check_end(cg_byte_source *from,
                              const cg_file_context *context) {
  unsigned char extra;
  size_t got;
  cg_status status = cg_source_read_some(from, &extra, 1, &got, context);
  if (status != CG_OK || got == 0)
    return status;
  return cg_file_fail(context, CG_ERR_FORMAT,
                      "goes on after the last array's data");
}
