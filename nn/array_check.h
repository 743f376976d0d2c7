/* array_check.h - does a file have the array that is wanted? Private to nn. */
#ifndef CHRONOGRAD_NN_ARRAY_CHECK_H
#define CHRONOGRAD_NN_ARRAY_CHECK_H

#include <chronograd/safetensors.h>

/* OK if `file` has an array `name` of this type and shape; otherwise FORMAT or
 * DTYPE, by `fn`, which says what is there instead. */
cg_status cg_array_check(const cg_safetensors *file, const char *name,
                         cg_dtype dtype, int rank, const int64_t *shape,
                         const char *fn, cg_error *err);

/* The same for an array that is there, where other types are looked at
 * elsewhere. `name` is as it is to be shown. */
cg_status cg_array_check_shape(const cg_array *array, const char *name,
                               int rank, const int64_t *shape, const char *fn,
                               cg_error *err);

#endif
