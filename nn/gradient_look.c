/* gradient_look.c - is every gradient finite, and how large are they? */
#include "gradient_look.h"

#include <math.h>

#include "text.h"

double cg_largest_element(const cg_tensor *x) {
  double max = 0.0;
  int64_t n = cg_tensor_numel(x);
  const float *f = cg_tensor_data(x);
  const double *d = cg_tensor_data(x);
  bool f32 = cg_tensor_dtype(x) == CG_F32;
  for (int64_t i = 0; i < n; i++) {
    double g = fabs(f32 ? (double)f[i] : d[i]);
    if (!(g <= max)) max = g;
    if (isnan(max)) break;
  }
  return max;
}

cg_status cg_gradient_look(const cg_params *params, const char *fn,
                           double *largest, cg_error *err) {
  *largest = 0.0;
  if (!params)
    return cg_error_set(err, CG_ERR_ARG, fn, "there is no registry");
  for (int i = 0; i < cg_params_count(params); i++) {
    double m = cg_largest_element(cg_tensor_grad(cg_params_at(params, i)));
    if (!isfinite(m)) {
      char name[128];
      *largest = m;
      return cg_error_set(err, CG_ERR_NONFINITE, fn,
                          "the gradient of %s has an element that is %s",
                          cg_text_show(name, sizeof name,
                                       cg_params_name(params, i)),
                          isnan(m) ? "NaN" : "infinite");
    }
    *largest = fmax(*largest, m);
  }
  return CG_OK;
}
