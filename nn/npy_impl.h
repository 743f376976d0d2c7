/* npy_impl.h - what reading and writing NumPy's files share. Private to nn. */
#ifndef CHRONOGRAD_NN_NPY_IMPL_H
#define CHRONOGRAD_NN_NPY_IMPL_H

#include <chronograd/tensor.h>

#include "byte_source.h"

#define NPY_MAGIC "\x93NUMPY"

enum {
  NPY_MAGIC_BYTES = 6,
  NPY_START = 8, /* magic and version */
  NPY_MAX_HEADER = 65535,
  NPY_TYPES = 5
};

/* The first row of a type is the one that is written. */
extern const struct cg_npy_type {
  const char *descr;
  cg_dtype dtype;
} cg_npy_types[NPY_TYPES];

/* OK, or why this machine can't (STATE). */
cg_status cg_npy_check_host(const cg_file_context *context);

#endif
