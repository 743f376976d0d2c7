/* model_io.h - a registry to a safetensors file, and back.
 *
 * The file has exactly the registry's parameters, by name. With PyTorch,
 *
 *     safetensors.torch.save_file(model.state_dict(), "model.safetensors")
 *
 * writes a file that cg_params_load reads, and load_file reads ours.
 */
#ifndef CHRONOGRAD_MODEL_IO_H
#define CHRONOGRAD_MODEL_IO_H

#include <chronograd/param.h>
#include <chronograd/safetensors.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of loading, combined with |. */
enum {
  CG_LOAD_CONVERT = 1 /* between F32 and F64, by rounding; otherwise another
                         type is an error */
};

/* Writes all parameters and the `n_metadata` lines to `path`, which changes
 * completely or not at all (cg_safetensors_write). */
CG_API cg_status cg_params_save(const cg_params *params, const char *path,
                                const cg_metadata *metadata, int n_metadata,
                                cg_error *err);

/* Replaces the values of all parameters by those of a file. Strict: a parameter
 * that the file lacks, an array that the registry lacks, another shape (FORMAT)
 * or another type (DTYPE) are errors that name it, and then no parameter has
 * changed. */
CG_API cg_status cg_params_load(cg_params *params, const char *path,
                                int options, cg_error *err);
/* The same from an opened file, whose metadata can be looked at first, to build
 * a net that fits. */
CG_API cg_status cg_params_load_from(cg_params *params,
                                     const cg_safetensors *file, int options,
                                     cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
