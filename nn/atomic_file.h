/* atomic_file.h - writing a file so that its name never stands for half of it.
 *
 *     cg_atomic_file file;
 *     if (cg_atomic_open(&file, path, "my_save", err) != CG_OK) return ...;
 *     if (cg_atomic_write(&file, bytes, size, err) != CG_OK) {
 *       cg_atomic_abandon(&file);
 *       return ...;
 *     }
 *     return cg_atomic_commit(&file, err);
 *
 * The bytes go to a temporary file in the target's directory, which commit
 * flushes to disk and renames. A symbolic link is followed: its target is
 * replaced, the link stays. The new file has the permissions of the one that it
 * replaces, else those of any new file. A target that exists and is no regular
 * file (device, pipe) is written directly. Private to nn.
 */
#ifndef CHRONOGRAD_NN_ATOMIC_FILE_H
#define CHRONOGRAD_NN_ATOMIC_FILE_H

#include <stddef.h>

#include <chronograd/engine.h>

#define CG_ATOMIC_PATH_MAX 4096

typedef struct cg_atomic_file {
  int fd;           /* -1 once committed or abandoned */
  const char *op;   /* for errors; borrowed, as is path */
  const char *path; /* as the caller named it */
  char target[CG_ATOMIC_PATH_MAX]; /* with links resolved */
  char temp[CG_ATOMIC_PATH_MAX];   /* "" when written directly */
} cg_atomic_file;

/* Starts writing `path`; `op` names the caller's function in errors (IO). After
 * a failure there is nothing to abandon. */
cg_status cg_atomic_open(cg_atomic_file *file, const char *path, const char *op,
                         cg_error *err);
cg_status cg_atomic_write(cg_atomic_file *file, const void *bytes, size_t size,
                          cg_error *err);
/* Completes the file. After a failure (IO) the target is as it was before. */
cg_status cg_atomic_commit(cg_atomic_file *file, cg_error *err);
/* Drops what was written. Fine after commit. */
void cg_atomic_abandon(cg_atomic_file *file);

#endif
