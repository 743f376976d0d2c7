/* array_check.c - does a file have the array that is wanted? */
#include "array_check.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

enum { NAME_TEXT = 128, SHAPE_TEXT = 64 };

static const char *shape_text(int rank, const int64_t *shape, char *buf,
                              size_t size) {
  size_t at = (size_t)snprintf(buf, size, "[");
  for (int i = 0; i < rank && at < size; i++)
    at += (size_t)snprintf(buf + at, size - at, i ? ", %lld" : "%lld",
                           (long long)shape[i]);
  if (at < size) snprintf(buf + at, size - at, "]");
  return buf;
}

cg_status cg_array_check_shape(const cg_array *a, const char *name, int rank,
                               const int64_t *shape, const char *fn,
                               cg_error *err) {
  size_t bytes = (size_t)rank * sizeof *shape;
  char have[SHAPE_TEXT], want[SHAPE_TEXT];
  if (a->rank == rank && (!bytes || memcmp(a->shape, shape, bytes) == 0))
    return CG_OK;
  return cg_error_set(err, CG_ERR_FORMAT, fn,
                      "%s has shape %s in the file and %s in the model", name,
                      shape_text(a->rank, a->shape, have, sizeof have),
                      shape_text(rank, shape, want, sizeof want));
}

cg_status cg_array_check(const cg_safetensors *file, const char *name,
                         cg_dtype dtype, int rank, const int64_t *shape,
                         const char *fn, cg_error *err) {
  const cg_array *a = cg_safetensors_find(file, name);
  char shown[NAME_TEXT];
  cg_text_show(shown, sizeof shown, name);
  if (!a)
    return cg_error_set(err, CG_ERR_FORMAT, fn, "the file has no array %s",
                        shown);
  cg_status status = cg_array_check_shape(a, shown, rank, shape, fn, err);
  if (status || a->dtype == dtype) return status;
  return cg_error_set(err, CG_ERR_DTYPE, fn,
                      "%s has type %s in the file, not %s", shown,
                      cg_dtype_name(a->dtype), cg_dtype_name(dtype));
}
