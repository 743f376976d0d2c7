/* npy_write.c - writing one array to a file of NumPy's, and the types of the
 * format. */
#include <stdio.h>
#include <string.h>

#include <chronograd/npy.h>

#include "atomic_file.h"
#include "npy_impl.h"

const struct cg_npy_type cg_npy_types[NPY_TYPES] = {{"<f4", CG_F32},
                                                    {"<f8", CG_F64},
                                                    {"<i8", CG_I64},
                                                    {"|u1", CG_U8},
                                                    {"|b1", CG_U8}};

cg_status cg_npy_check_host(const cg_file_context *context) {
  if (cg_host_is_little_endian()) return CG_OK;
  return cg_file_fail(context, CG_ERR_STATE,
                      "this machine is big-endian, which is not supported");
}

/* ---- header ---- */

/* Data begins at a multiple of this, as NumPy has it. */
enum { UNIT = 64, LENGTH_BYTES = 2, MOST = 384 };

static const char *descr_of(cg_dtype dtype) {
  int i = 0;
  while (cg_npy_types[i].dtype != dtype) i++;
  return cg_npy_types[i].descr;
}

/* Everything before the data; returns its size. */
static size_t make_header(const cg_tensor *x, char out[MOST]) {
  int rank = cg_tensor_rank(x), at = NPY_START + LENGTH_BYTES;
  at += snprintf(out + at, (size_t)(MOST - at),
                 "{'descr': '%s', 'fortran_order': False, 'shape': (",
                 descr_of(cg_tensor_dtype(x)));
  for (int i = 0; i < rank; i++)
    at += snprintf(out + at, (size_t)(MOST - at),
                   i == 0 ? "%lld," : i + 1 < rank ? " %lld," : " %lld",
                   (long long)cg_tensor_dim(x, i));
  at += snprintf(out + at, (size_t)(MOST - at), "), }");
  size_t size = ((size_t)at + 1 + UNIT - 1) / UNIT * UNIT;
  memset(out + at, ' ', size - (size_t)at);
  out[size - 1] = '\n';
  size_t length = size - NPY_START - LENGTH_BYTES;
  memcpy(out, NPY_MAGIC "\1\0", NPY_START);
  out[NPY_START] = (char)(length & 0xff);
  out[NPY_START + 1] = (char)(length >> 8);
  return size;
}

/* ---- file ---- */

static cg_status write_file(const char *path, const cg_tensor *x,
                            const void *data, size_t bytes, cg_error *err) {
  char header[MOST];
  size_t size = make_header(x, header);
  cg_atomic_file file;
  cg_status status = cg_atomic_open(&file, path, "cg_npy_write", err);
  if (status) return status;
  status = cg_atomic_write(&file, header, size, err);
  if (!status) status = cg_atomic_write(&file, data, bytes, err);
  if (!status) return cg_atomic_commit(&file, err);
  cg_atomic_abandon(&file);
  return status;
}

static cg_status write_copy(const char *path, const cg_tensor *x, size_t bytes,
                            const cg_file_context *context) {
  const cg_allocator *a = cg_allocator_default();
  void *copy = a->alloc(a->context, bytes);
  if (!copy)
    return cg_file_fail(context, CG_ERR_NOMEM, "no memory for %zu bytes",
                        bytes);
  cg_status status = cg_tensor_read(x, copy, bytes);
  if (!status) status = write_file(path, x, copy, bytes, context->err);
  a->release(a->context, copy, bytes);
  return status;
}

cg_status cg_npy_write(const char *path, const cg_tensor *x, cg_error *err) {
  cg_file_context context = {"cg_npy_write", path, err};
  if (!path || !x)
    return cg_file_fail(&context, CG_ERR_ARG, "there is no %s",
                        path ? "tensor" : "path");
  cg_status status = cg_npy_check_host(&context);
  if (status) return status;
  size_t bytes =
      (size_t)cg_tensor_numel(x) * cg_dtype_size(cg_tensor_dtype(x));
  if (cg_tensor_contiguous(x) || !bytes)
    return write_file(path, x, cg_tensor_data(x), bytes, err);
  return write_copy(path, x, bytes, &context);
}
