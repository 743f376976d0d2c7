/* fuzz_safetensors.c - the reader of safetensors files under any bytes.
 *
 * Built with -fsanitize=fuzzer it is a coverage-guided fuzzer (tests/fuzz/run);
 * otherwise FUZZ_REPLAY gives it a main that replays files and directories. */
#include <chronograd/safetensors.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What must hold: otherwise a fuzzer should stop here. */
static void want(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_safetensors: %s\n", what);
  abort();
}

/* ---- what a file that was accepted promises ---- */

static unsigned sink;

static void read_array(const cg_safetensors *file, const cg_array *a) {
  want(a && a->name && *a->name, "an array has no name");
  want(cg_safetensors_find(file, a->name) == a, "an array is not found");
  want(a->rank >= 0 && a->rank <= CG_MAX_RANK, "a rank is out of range");
  size_t bytes = cg_dtype_size(a->dtype);
  want(bytes > 0, "an element type is unknown");
  for (int i = 0; i < a->rank; i++) {
    want(a->shape[i] >= 0, "a size is negative");
    bytes *= (size_t)a->shape[i];
  }
  want(!bytes || a->data, "an array has no data");
  want((uintptr_t)a->data % CG_ALIGNMENT == 0, "data is not aligned");
  for (size_t i = 0; i < bytes; i++)
    sink += ((const unsigned char *)a->data)[i];
}

static void read_file(const cg_safetensors *file) {
  int n = cg_safetensors_count(file);
  for (int i = 0; i < n; i++) read_array(file, cg_safetensors_at(file, i));
  want(!cg_safetensors_at(file, n), "there is an array behind the last");
  const char *value = cg_safetensors_metadata(file, "k");
  if (value) sink += (unsigned)strlen(value);
}

/* ---- a heap that fails, and forgets nothing ---- */

typedef struct heap {
  size_t calls, fail_at, live;
} heap;

static void *heap_alloc(void *context, size_t size) {
  heap *h = context;
  if (++h->calls == h->fail_at) return NULL;
  /* Exactly that size, so that a sanitizer sees any access beyond. */
  void *p;
  if (posix_memalign(&p, CG_ALIGNMENT, size)) return NULL;
  h->live += size;
  return p;
}

static void heap_release(void *context, void *block, size_t size) {
  heap *h = context;
  h->live -= size;
  free(block);
}

/* Parses once; the answer must be a file, or an error in words. */
static cg_status parse(heap *h, const uint8_t *bytes, size_t size) {
  cg_allocator allocator = {heap_alloc, heap_release, h};
  cg_error err = {0};
  cg_safetensors *file = cg_safetensors_parse(&allocator, bytes, size, &err);
  want(file ? !err.status : err.status && *err.message, "no clean answer");
  if (file) read_file(file);
  cg_safetensors_close(file);
  want(h->live == 0, "memory was not given back");
  return err.status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  heap whole = {0}, broken = {0};
  parse(&whole, bytes, size);
  if (!whole.calls) return 0;
  broken.fail_at = 1 + size % whole.calls;
  want(parse(&broken, bytes, size) == CG_ERR_NOMEM, "a failure was ignored");
  return 0;
}

#ifdef FUZZ_REPLAY
#include <dirent.h>
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
    fprintf(stderr, "fuzz_safetensors: cannot read %s\n", path);
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
  printf("fuzz_safetensors: %d inputs replayed\n", replayed);
  return good && replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif
