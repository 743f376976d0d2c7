/* text_file.c - writing a text file whole or not at all. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TEMP_NAMES 100

#if PATH_MAX > 4096
#error "realpath needs a larger TEXT_PATH"
#endif

static void fail(text_file *t, int why) {
  if (!t->why) t->why = why ? why : EIO;
}

/* ---- opening ---- */

/* O_EXCL under a name of our own, not mkstemp: so umask decides who may read
 * it. */
static void open_temp(text_file *t, mode_t mode) {
  for (int i = 0; i < MAX_TEMP_NAMES; i++) {
    int n = snprintf(t->temp, sizeof t->temp, "%.4000s.%ld-%d.tmp", t->target,
                     (long)getpid(), i);
    if (n < 0 || strlen(t->target) > 4000) {
      fail(t, ENAMETOOLONG);
      return;
    }
    t->fd = open(t->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (t->fd >= 0) return;
    if (errno != EEXIST) break;
  }
  fail(t, errno);
}

void text_open(text_file *t, const char *path) {
  t->path = path;
  t->fd = -1;
  t->why = 0;
  t->filled = 0;
  t->target[0] = t->temp[0] = '\0';
  struct stat info;
  bool exists = stat(path, &info) == 0;
  t->direct = exists && !S_ISREG(info.st_mode);
  if (t->direct) {
    t->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (t->fd < 0) fail(t, errno);
  } else if (exists) { /* behind a link, the file is replaced, not the link */
    if (realpath(path, t->target))
      open_temp(t, info.st_mode & 0777);
    else
      fail(t, errno);
  } else if (errno != ENOENT || !*path) {
    fail(t, errno);
  } else if (strlen(path) >= sizeof t->target) {
    fail(t, ENAMETOOLONG);
  } else {
    memcpy(t->target, path, strlen(path) + 1);
    open_temp(t, 0666);
  }
}

/* ---- writing ---- */

static void flush(text_file *t) {
  const char *next = t->buffer;
  while (t->filled && !t->why) {
    ssize_t n = write(t->fd, next, t->filled);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      fail(t, n < 0 ? errno : EIO);
      break;
    }
    next += n;
    t->filled -= (size_t)n;
  }
  t->filled = 0;
}

void text_put(text_file *t, const char *bytes, size_t count) {
  while (count) {
    size_t room = sizeof t->buffer - t->filled;
    size_t n = count < room ? count : room;
    memcpy(t->buffer + t->filled, bytes, n);
    t->filled += n;
    bytes += n;
    count -= n;
    if (t->filled == sizeof t->buffer) flush(t);
  }
}

void text_print(text_file *t, const char *fmt, ...) {
  char text[256];
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof text)
    fail(t, EOVERFLOW);
  else
    text_put(t, text, (size_t)n);
}

/* ---- closing ---- */

cg_status text_close(text_file *t, const char *fn, cg_error *err) {
  flush(t);
  if (t->fd >= 0 && close(t->fd)) fail(t, errno);
  if (!t->why && !t->direct && rename(t->temp, t->target)) fail(t, errno);
  if (!t->why) return CG_OK;
  if (t->fd >= 0 && !t->direct) unlink(t->temp);
  return cg_error_set(err, CG_ERR_IO, fn, "cannot write \"%.200s\": %s",
                      t->path, strerror(t->why));
}
