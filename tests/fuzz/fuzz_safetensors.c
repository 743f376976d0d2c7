/* fuzz_safetensors.c - the reader of safetensors files under any bytes.
 *
 * Built with -fsanitize=fuzzer it is a coverage-guided fuzzer (tests/fuzz/run);
 * otherwise fuzz_bytes.c gives it a main that replays files and directories. */
#include <chronograd/safetensors.h>

#include <string.h>

#include "fuzz_bytes.h"

const char *const fuzz_program = "fuzz_safetensors";

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

/* ---- one input ---- */

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
  return fuzz_twice(parse, bytes, size);
}
