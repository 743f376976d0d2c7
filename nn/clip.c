/* clip.c - bounds on gradients. */
#include <chronograd/clip.h>

#include <math.h>
#include <string.h>

#include "text.h"

/* The elements of one gradient: contiguous, like those of every leaf. */
typedef struct span {
  bool f32;
  const void *data;
  int64_t n;
} span;

static span gradient_of(const cg_params *params, int i) {
  const cg_tensor *g = cg_tensor_grad(cg_params_at(params, i));
  return (span){cg_tensor_dtype(g) == CG_F32, cg_tensor_data(g),
                cg_tensor_numel(g)};
}

/* The largest magnitude; NaN if there is one. */
static double largest(span s) {
  double max = 0.0;
  const float *f = s.data;
  const double *d = s.data;
  for (int64_t i = 0; i < s.n; i++) {
    double g = fabs(s.f32 ? (double)f[i] : d[i]);
    if (!(g <= max)) max = g;
    if (isnan(max)) break;
  }
  return max;
}

/* The sum of (g / scale)^2. */
static double squares(span s, double scale) {
  double sum = 0.0;
  const float *f = s.data;
  const double *d = s.data;
  for (int64_t i = 0; i < s.n; i++) {
    double g = (s.f32 ? (double)f[i] : d[i]) / scale;
    sum += g * g;
  }
  return sum;
}

/* *max = the largest magnitude of all; NONFINITE names the first bad one. */
static cg_status look(const cg_params *params, const char *fn, double *max,
                      cg_error *err) {
  *max = 0.0;
  if (!params)
    return cg_error_set(err, CG_ERR_ARG, fn, "there is no registry");
  for (int i = 0; i < cg_params_count(params); i++) {
    double m = largest(gradient_of(params, i));
    if (!isfinite(m)) {
      char name[128];
      *max = m;
      return cg_error_set(err, CG_ERR_NONFINITE, fn,
                          "the gradient of %s has an element that is %s",
                          cg_text_show(name, sizeof name,
                                       cg_params_name(params, i)),
                          isnan(m) ? "NaN" : "infinite");
    }
    *max = fmax(*max, m);
  }
  return CG_OK;
}

static cg_status norm_of(const cg_params *params, const char *fn, double *norm,
                         cg_error *err) {
  double max, sum = 0.0;
  cg_status status = look(params, fn, &max, err);
  *norm = max;
  if (status || max == 0.0) return status;
  /* A power of two, so that the divisions do not round. */
  int exponent;
  frexp(max, &exponent);
  double scale = ldexp(1.0, exponent - 1);
  for (int i = 0; i < cg_params_count(params); i++)
    sum += squares(gradient_of(params, i), scale);
  *norm = scale * sqrt(sum);
  if (isfinite(*norm)) return CG_OK;
  return cg_error_set(err, CG_ERR_NONFINITE, fn,
                      "the norm of the gradients is beyond the largest double");
}

cg_status cg_grad_norm(const cg_params *params, double *norm, cg_error *err) {
  double ignored;
  return norm_of(params, "grad_norm", norm ? norm : &ignored, err);
}

static void multiply(cg_tensor *g, double factor) {
  int64_t n = cg_tensor_numel(g);
  void *data = cg_leaf_data(g);
  float *f = data;
  double *d = data;
  if (cg_tensor_dtype(g) == CG_F32)
    for (int64_t i = 0; i < n; i++) f[i] = (float)((double)f[i] * factor);
  else
    for (int64_t i = 0; i < n; i++) d[i] *= factor;
}

cg_status cg_clip_grad_norm(cg_params *params, double max_norm, double *norm,
                            cg_error *err) {
  const char *fn = "clip_grad_norm";
  double before;
  if (!norm) norm = &before;
  if (!(max_norm > 0.0)) {
    *norm = NAN;
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "max_norm is %g but must be positive", max_norm);
  }
  cg_status status = norm_of(params, fn, norm, err);
  if (status || *norm <= max_norm) return status;
  for (int i = 0; i < cg_params_count(params); i++) {
    cg_tensor *leaf = cg_params_at(params, i);
    if (cg_tensor_grad(leaf)) multiply(cg_leaf_grad(leaf), max_norm / *norm);
  }
  return CG_OK;
}

static void cut(cg_tensor *g, double limit) {
  int64_t n = cg_tensor_numel(g);
  void *data = cg_leaf_data(g);
  float *f = data, to = (float)limit;
  double *d = data;
  if (cg_tensor_dtype(g) == CG_F32)
    for (int64_t i = 0; i < n; i++) f[i] = fminf(fmaxf(f[i], -to), to);
  else
    for (int64_t i = 0; i < n; i++) d[i] = fmin(fmax(d[i], -limit), limit);
}

cg_status cg_clip_grad_value(cg_params *params, double limit, cg_error *err) {
  const char *fn = "clip_grad_value";
  if (!(limit > 0.0))
    return cg_error_set(err, CG_ERR_ARG, fn,
                        "the limit is %g but must be positive", limit);
  double max;
  cg_status status = look(params, fn, &max, err);
  if (status || max <= limit) return status;
  for (int i = 0; i < cg_params_count(params); i++) {
    cg_tensor *leaf = cg_params_at(params, i);
    if (cg_tensor_grad(leaf)) cut(cg_leaf_grad(leaf), limit);
  }
  return CG_OK;
}
