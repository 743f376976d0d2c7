/* rnn_case_write.c - runs a net that a file describes, in float64 or float32,
 * and writes its results and gradients, for golden/rnn_against_torch.py:
 *
 *   rnn_case_write IN.safetensors f64|f32 OUT.safetensors
 */
#include <stdio.h>
#include <string.h>

#include "rnn_case.h"

enum { MAX_ITEMS = 256, NAME = 96 };

static int complain(const cg_error *err) {
  fprintf(stderr, "rnn_case_write: %s: %s\n", err->op, err->message);
  return 1;
}

static cg_status write_items(const rnn_case *c, const char *path,
                             cg_error *err) {
  static cg_array arrays[MAX_ITEMS];
  static char names[MAX_ITEMS][NAME];
  int n = 0;
  for (int i = 0; n < MAX_ITEMS; i++) {
    const cg_tensor *x = rnn_case_item(c, i, names[n], NAME);
    if (!names[n][0]) break;
    if (!x) continue;
    if (!cg_tensor_contiguous(x))
      x = cg_contiguous(c->tape, (cg_tensor *)(uintptr_t)x);
    arrays[n] = (cg_array){.name = names[n], .dtype = cg_tensor_dtype(x),
                           .rank = cg_tensor_rank(x),
                           .data = cg_tensor_data(x)};
    for (int k = 0; k < arrays[n].rank; k++)
      arrays[n].shape[k] = cg_tensor_dim(x, k);
    n++;
  }
  return cg_safetensors_write(path, arrays, n, NULL, 0, err);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: rnn_case_write IN f64|f32 OUT\n");
    return 2;
  }
  cg_error err = {0};
  cg_safetensors *file = cg_safetensors_open(NULL, argv[1], &err);
  if (!file) return complain(&err);
  rnn_case c = {0};
  cg_dtype dtype = strcmp(argv[2], "f32") == 0 ? CG_F32 : CG_F64;
  cg_status status = rnn_case_run(&c, file, dtype, &err);
  if (!status) status = write_items(&c, argv[3], &err);
  rnn_case_free(&c);
  cg_safetensors_close(file);
  return status ? complain(&err) : 0;
}
