/* npy.h - one array in a file of NumPy's.
 *
 * The format: "\x93NUMPY", a version (1.0, 2.0 or 3.0), the length of a header,
 * the header, a Python dictionary such as {'descr': '<f4', 'fortran_order':
 * False, 'shape': (2, 3), }, and the elements, to the end of the file.
 *
 *     numpy.save("x.npy", x)       cg_npy_read(NULL, "x.npy", &err)
 *     numpy.load("y.npy")          cg_npy_write("y.npy", y, &err)
 *
 * Types: F32 '<f4', F64 '<f8', I64 '<i8', U8 '|u1', and '|b1' (bool) is read as
 * U8. Others, such as '<i4' or big-endian ones, are refused, and so is this
 * whole file (STATE) on a big-endian machine.
 *
 * A reader treats its input as hostile: FORMAT for a header that is longer than
 * the file or than 64 KB, or not exactly such a dictionary, another type, a
 * rank above CG_MAX_RANK, sizes that overflow or are more than what follows,
 * and for bytes behind the last element.
 */
#ifndef CHRONOGRAD_NPY_H
#define CHRONOGRAD_NPY_H

#include <chronograd/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The array as a leaf, which the caller owns (cg_leaf_free) and which requires
 * no gradient. An array in Fortran's order is transposed to row-major. NULL on
 * an error: IO, FORMAT, NOMEM. */
CG_API cg_tensor *cg_npy_read(const cg_allocator *allocator, const char *path,
                              cg_error *err);
/* The same from a file's contents in memory. */
CG_API cg_tensor *cg_npy_parse(const cg_allocator *allocator, const void *bytes,
                               size_t size, cg_error *err);

/* Writes any tensor, also a strided view, row-major in version 1.0. `path`
 * changes completely or not at all, as by cg_safetensors_write. ARG, IO or
 * NOMEM. */
CG_API cg_status cg_npy_write(const char *path, const cg_tensor *x,
                              cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
