/* model_io.c - a registry to a safetensors file, and back. */
#include <chronograd/model_io.h>

#include <string.h>

#include "array_check.h"
#include "text.h"

enum { NAME_TEXT = 128 };

/* ---- saving ---- */

static cg_array array_of(const cg_params *params, int i) {
  const cg_tensor *w = cg_params_at(params, i);
  cg_array a = {.name = cg_params_name(params, i),
                .dtype = cg_tensor_dtype(w),
                .rank = cg_tensor_rank(w),
                .data = cg_tensor_data(w)};
  if (a.rank)
    memcpy(a.shape, cg_tensor_shape(w), (size_t)a.rank * sizeof *a.shape);
  return a;
}

cg_status cg_params_save(const cg_params *params, const char *path,
                         const cg_metadata *metadata, int n_metadata,
                         cg_error *err) {
  if (!params)
    return cg_error_set(err, CG_ERR_ARG, "params_save", "there is no registry");
  const cg_allocator *a = cg_params_allocator(params);
  int n = cg_params_count(params);
  size_t size = ((size_t)n + 1) * sizeof(cg_array);
  cg_array *arrays = a->alloc(a->context, size);
  if (!arrays)
    return cg_error_set(err, CG_ERR_NOMEM, "params_save",
                        "no memory for %zu bytes", size);
  for (int i = 0; i < n; i++) arrays[i] = array_of(params, i);
  cg_status status =
      cg_safetensors_write(path, arrays, n, metadata, n_metadata, err);
  a->release(a->context, arrays, size);
  return status;
}

/* ---- checking a file against the registry ---- */

static bool is_float(cg_dtype dtype) {
  return dtype == CG_F32 || dtype == CG_F64;
}

static cg_status check_array(const cg_array *a, const cg_tensor *w,
                             const char *name, int options, cg_error *err) {
  const char *fn = "params_load";
  cg_dtype dtype = cg_tensor_dtype(w);
  cg_status status = cg_array_check_shape(a, name, cg_tensor_rank(w),
                                          cg_tensor_shape(w), fn, err);
  if (status) return status;
  bool convert = options & CG_LOAD_CONVERT && is_float(a->dtype);
  if (a->dtype == dtype || convert) return CG_OK;
  return cg_error_set(err, CG_ERR_DTYPE, fn,
                      "%s has type %s in the file and %s in the model%s", name,
                      cg_dtype_name(a->dtype), cg_dtype_name(dtype),
                      is_float(a->dtype) ? "; CG_LOAD_CONVERT converts" : "");
}

static cg_status check_parameters(const cg_params *params,
                                  const cg_safetensors *file, int options,
                                  cg_error *err) {
  for (int i = 0; i < cg_params_count(params); i++) {
    char name[NAME_TEXT];
    cg_text_show(name, sizeof name, cg_params_name(params, i));
    const cg_array *a = cg_safetensors_find(file, cg_params_name(params, i));
    if (!a)
      return cg_error_set(err, CG_ERR_FORMAT, "params_load",
                          "the file has no array %s, which the model needs",
                          name);
    cg_status status =
        check_array(a, cg_params_at(params, i), name, options, err);
    if (status) return status;
  }
  return CG_OK;
}

static cg_status check_extra(const cg_params *params,
                             const cg_safetensors *file, cg_error *err) {
  for (int i = 0; i < cg_safetensors_count(file); i++) {
    const cg_array *a = cg_safetensors_at(file, i);
    char name[NAME_TEXT];
    if (!cg_params_find(params, a->name))
      return cg_error_set(err, CG_ERR_FORMAT, "params_load",
                          "the file has an array %s, which the model lacks",
                          cg_text_show(name, sizeof name, a->name));
  }
  return CG_OK;
}

/* ---- loading ---- */

static void copy_values(cg_tensor *w, const cg_array *a) {
  int64_t n = cg_tensor_numel(w);
  cg_dtype dtype = cg_tensor_dtype(w);
  void *to = cg_leaf_data(w);
  if (dtype == a->dtype) {
    memcpy(to, a->data, (size_t)n * cg_dtype_size(dtype));
  } else if (dtype == CG_F32) {
    const double *from = a->data;
    for (int64_t i = 0; i < n; i++) ((float *)to)[i] = (float)from[i];
  } else {
    const float *from = a->data;
    for (int64_t i = 0; i < n; i++) ((double *)to)[i] = (double)from[i];
  }
}

cg_status cg_params_load_from(cg_params *params, const cg_safetensors *file,
                              int options, cg_error *err) {
  if (!params || !file)
    return cg_error_set(err, CG_ERR_ARG, "params_load", "there is no %s",
                        params ? "file" : "registry");
  cg_status status = check_parameters(params, file, options, err);
  if (!status) status = check_extra(params, file, err);
  if (status) return status;
  for (int i = 0; i < cg_params_count(params); i++)
    copy_values(cg_params_at(params, i),
                cg_safetensors_find(file, cg_params_name(params, i)));
  return CG_OK;
}

cg_status cg_params_load(cg_params *params, const char *path, int options,
                         cg_error *err) {
  cg_error local = {0};
  cg_safetensors *file =
      cg_safetensors_open(cg_params_allocator(params), path, &local);
  if (!file) {
    if (err) *err = local;
    return local.status;
  }
  cg_status status = cg_params_load_from(params, file, options, err);
  cg_safetensors_close(file);
  return status;
}
