/* fuzz_npy.c - the reader of NumPy's files under any bytes.
 *
 * Built with -fsanitize=fuzzer it is a coverage-guided fuzzer (tests/fuzz/run);
 * otherwise fuzz_bytes.c gives it a main that replays files and directories. */
#include <chronograd/npy.h>

#include "fuzz_bytes.h"

const char *const fuzz_program = "fuzz_npy";

static unsigned sink;

/* What an array that was accepted promises. */
static void read_array(const cg_tensor *x) {
  int rank = cg_tensor_rank(x);
  size_t bytes = cg_dtype_size(cg_tensor_dtype(x));
  want(rank >= 0 && rank <= CG_MAX_RANK, "a rank is out of range");
  want(bytes > 0, "an element type is unknown");
  want(cg_tensor_is_leaf(x) && cg_tensor_contiguous(x), "it is no leaf");
  for (int i = 0; i < rank; i++) {
    want(cg_tensor_dim(x, i) >= 0, "a size is negative");
    bytes *= (size_t)cg_tensor_dim(x, i);
  }
  const unsigned char *data = cg_tensor_data(x);
  want(!bytes || data, "there is no data");
  for (size_t i = 0; i < bytes; i++) sink += data[i];
}

/* Parses once; the answer must be an array, or an error in words. */
static cg_status parse(heap *h, const uint8_t *bytes, size_t size) {
  cg_allocator allocator = {heap_alloc, heap_release, h};
  cg_error err = {0};
  cg_tensor *x = cg_npy_parse(&allocator, bytes, size, &err);
  want(x ? !err.status : err.status && *err.message, "no clean answer");
  if (x) read_array(x);
  cg_leaf_free(x);
  want(h->live == 0, "memory was not given back");
  return err.status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  return fuzz_twice(parse, bytes, size);
}
