/* text_file.h - writing a text file whole or not at all.
 *
 * The text goes to a temporary file beside `path`, which is renamed at the end.
 * What exists and is no regular file (a device, a pipe) is written directly.
 * The first failure sticks; text_close reports it. Allocates nothing.
 */
#ifndef CG_ENGINE_TEXT_FILE_H
#define CG_ENGINE_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include <chronograd/status.h>

enum { TEXT_PATH = 4096, TEXT_BUFFER = 4096 };

typedef struct text_file {
  const char *path; /* as the caller named it */
  int fd;
  int why;       /* errno of the first failure, or 0 */
  bool direct;   /* no temporary file */
  size_t filled; /* bytes in `buffer` */
  char target[TEXT_PATH], temp[TEXT_PATH];
  char buffer[TEXT_BUFFER];
} text_file;

void text_open(text_file *t, const char *path);
void text_put(text_file *t, const char *bytes, size_t count);
/* Formatted text of less than 256 bytes. */
void text_print(text_file *t, const char *fmt, ...) CG_PRINTF(2, 3);
/* Ends the file. After a failure (IO, described for `fn` in *err) the target is
 * as it was and the temporary file is gone. */
cg_status text_close(text_file *t, const char *fn, cg_error *err);

#endif
