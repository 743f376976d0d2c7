/* atomic_file.c - write to a temporary file, flush, rename. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define MAX_LINKS 40
#define MAX_TEMP_NAMES 1000
#define MAX_CHUNK ((size_t)1 << 30)

static cg_status fail(const cg_atomic_file *file, const char *what,
                      int error_number, cg_error *err) {
  char path[128];
  cg_text_show_path(path, sizeof path, file->path);
  return cg_error_set(err, CG_ERR_IO, file->op, "%s: cannot %s: %s", path, what,
                      strerror(error_number));
}

/* Length of the directory part of `path`, with its slash; 0 if it has none. */
static size_t directory_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Replaces a link's name in `path` by what it points to. */
static bool follow_link(char path[CG_ATOMIC_PATH_MAX]) {
  char link[CG_ATOMIC_PATH_MAX];
  ssize_t length = readlink(path, link, sizeof link - 1);
  if (length < 0)
    return false;
  link[length] = '\0';
  size_t kept = link[0] == '/' ? 0 : directory_length(path);
  if (kept + (size_t)length >= CG_ATOMIC_PATH_MAX) {
    errno = ENAMETOOLONG;
    return false;
  }
  memcpy(path + kept, link, (size_t)length + 1);
  return true;
}

/* Not realpath, which gives up on a link to a file that does not exist yet. */
static bool resolve_links(char path[CG_ATOMIC_PATH_MAX]) {
  struct stat info;
  for (int i = 0; i < MAX_LINKS; i++) {
    if (lstat(path, &info) != 0)
      return errno == ENOENT;
    if (!S_ISLNK(info.st_mode))
      return true;
    if (!follow_link(path))
      return false;
  }
  errno = ELOOP;
  return false;
}

/* O_EXCL with a name of our own rather than mkstemp: the kernel then applies
 * umask, which a library can't ask for without changing it for all threads. */
static bool open_temp(cg_atomic_file *file, mode_t mode) {
  int directory = (int)directory_length(file->target);
  for (int i = 0; i < MAX_TEMP_NAMES; i++) {
    int length =
        snprintf(file->temp, sizeof file->temp, "%.*s.chronograd-%ld-%d.tmp",
                 directory, file->target, (long)getpid(), i);
    if (length < 0 || (size_t)length >= sizeof file->temp) {
      errno = ENAMETOOLONG;
      break;
    }
    file->fd =
        open(file->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file->fd >= 0)
      return true;
    if (errno != EEXIST)
      break;
  }
  file->temp[0] = '\0';
  return false;
}

static bool open_directly(cg_atomic_file *file) {
  file->fd = open(file->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  return file->fd >= 0;
}

/* Does `path` name the file that `info` describes? A link under /proc can name
 * an open file that has no name any more. */
static bool is_same_file(const char *path, const struct stat *info) {
  struct stat found;
  return lstat(path, &found) == 0 && found.st_dev == info->st_dev &&
         found.st_ino == info->st_ino;
}

static bool open_for(cg_atomic_file *file) {
  struct stat info;
  bool exists = stat(file->path, &info) == 0;
  if (!exists && errno != ENOENT)
    return false;
  if (exists && !S_ISREG(info.st_mode))
    return open_directly(file);
  if (!resolve_links(file->target))
    return false;
  if (exists && !is_same_file(file->target, &info))
    return open_directly(file);
  mode_t mode = exists ? info.st_mode & 0777 : 0666;
  if (!open_temp(file, mode))
    return false;
  /* Best effort: umask may have taken bits that the old file has. */
  if (exists)
    (void)fchmod(file->fd, mode);
  return true;
}

cg_status cg_atomic_open(cg_atomic_file *file, const char *path, const char *op,
                         cg_error *err) {
  file->fd = -1;
  file->op = op;
  file->path = path;
  file->temp[0] = '\0';
  size_t length = strlen(path);
  if (length == 0)
    return fail(file, "open it for writing", ENOENT, err);
  if (length >= sizeof file->target)
    return fail(file, "open it for writing", ENAMETOOLONG, err);
  memcpy(file->target, path, length + 1);
  if (!open_for(file))
    return fail(file, "open it for writing", errno, err);
  return CG_OK;
}

cg_status cg_atomic_write(cg_atomic_file *file, const void *bytes, size_t size,
                          cg_error *err) {
  const char *next = bytes;
  while (size > 0) {
    ssize_t n = write(file->fd, next, size < MAX_CHUNK ? size : MAX_CHUNK);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail(file, "write it", n < 0 ? errno : EIO, err);
    next += n;
    size -= (size_t)n;
  }
  return CG_OK;
}

/* So that the new name survives a crash too. Best effort: not every file
 * system can, and the file itself is complete. */
static void flush_directory(const cg_atomic_file *file) {
  char directory[CG_ATOMIC_PATH_MAX] = ".";
  size_t length = directory_length(file->target);
  if (length > 0) {
    memcpy(directory, file->target, length);
    directory[length] = '\0';
  }
  int fd = open(directory, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void)fsync(fd);
  (void)close(fd);
}

static bool flush(int fd) {
  return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
}

/* Leaves the reason of a failure in errno. */
static bool complete(cg_atomic_file *file) {
  bool direct = file->temp[0] == '\0';
  int fd = file->fd;
  file->fd = -1;
  if (!direct && !flush(fd)) {
    int why = errno;
    (void)close(fd);
    errno = why;
    return false;
  }
  if (close(fd) != 0)
    return false;
  return direct || rename(file->temp, file->target) == 0;
}

cg_status cg_atomic_commit(cg_atomic_file *file, cg_error *err) {
  if (!complete(file)) {
    int why = errno;
    cg_atomic_abandon(file);
    return fail(file, "complete it", why, err);
  }
  if (file->temp[0] != '\0')
    flush_directory(file);
  file->temp[0] = '\0';
  return CG_OK;
}

void cg_atomic_abandon(cg_atomic_file *file) {
  if (file->fd >= 0)
    (void)close(file->fd);
  file->fd = -1;
  if (file->temp[0] != '\0')
    (void)unlink(file->temp);
  file->temp[0] = '\0';
}
