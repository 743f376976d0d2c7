/* fuzz_bytes.c - a main that replays files and directories, for a fuzzer that
 * is not built with -fsanitize=fuzzer. */
#include "fuzz_bytes.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST = 1 << 24 };

static int replayed;

static bool replay_file(const char *path) {
  FILE *in = fopen(path, "rb");
  uint8_t *all = in ? malloc(LARGEST) : NULL;
  bool good = all != NULL;
  size_t size = good ? fread(all, 1, LARGEST, in) : 0;
  good = good && !ferror(in);
  /* An exactly sized block, so that a sanitizer sees any read beyond it. */
  uint8_t *bytes = good ? malloc(size ? size : 1) : NULL;
  if (bytes) {
    if (size) memcpy(bytes, all, size);
    LLVMFuzzerTestOneInput(bytes, size);
    replayed++;
  } else {
    fprintf(stderr, "%s: cannot read %s\n", fuzz_program, path);
  }
  free(bytes);
  free(all);
  if (in) fclose(in);
  return bytes != NULL;
}

static bool replay(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return replay_file(path);
  bool good = true;
  for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
    char inside[4096];
    if (e->d_name[0] == '.') continue;
    snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
    good = replay_file(inside) && good;
  }
  closedir(dir);
  return good;
}

int main(int argc, char **argv) {
  bool good = true;
  for (int i = 1; i < argc; i++) good = replay(argv[i]) && good;
  printf("%s: %d inputs replayed\n", fuzz_program, replayed);
  return good && replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
