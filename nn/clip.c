/* clip.c - bounds on gradients. */
#include <chronograd/clip.h>

#include <math.h>

#include "gradient_look.h"

/* A power of two near `max` > 0, by which divisions do not round, and squares
 * neither overflow nor vanish. */
static double scale_of(double max) {
  int exponent;
  frexp(max, &exponent);
  return ldexp(1.0, exponent - 1);
}

/* The sum of (g / scale)^2 over one gradient. */
static double squares(const cg_tensor *gradient, double scale) {
  double sum = 0.0;
  int64_t n = cg_tensor_numel(gradient);
  const float *f = cg_tensor_data(gradient);
  const double *d = cg_tensor_data(gradient);
  bool f32 = cg_tensor_dtype(gradient) == CG_F32;
  for (int64_t i = 0; i < n; i++) {
    double g = (f32 ? (double)f[i] : d[i]) / scale;
    sum += g * g;
  }
  return sum;
}

static cg_status norm_of(const cg_params *params, const char *fn, double *norm,
                         cg_error *err) {
  double max, sum = 0.0;
  cg_status status = cg_gradient_look(params, fn, &max, err);
  *norm = max;
  if (status || max == 0.0) return status;
  double scale = scale_of(max);
  for (int i = 0; i < cg_params_count(params); i++)
    sum += squares(cg_tensor_grad(cg_params_at(params, i)), scale);
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
  cg_status status = cg_gradient_look(params, fn, &max, err);
  if (status || max <= limit) return status;
  for (int i = 0; i < cg_params_count(params); i++) {
    cg_tensor *leaf = cg_params_at(params, i);
    if (cg_tensor_grad(leaf)) cut(cg_leaf_grad(leaf), limit);
  }
  return CG_OK;
}

/* ---- of a state ---- */

static cg_tensor *clip_state(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                             void *context) {
  (void)x;
  cg_state_clip *clip = context;
  cg_tensor *dense = cg_contiguous(tape, g);
  if (!dense) return NULL;
  double max = cg_largest_element(dense);
  clip->walks++;
  clip->norm = max;
  if (!isfinite(max))
    return cg_tape_fail(tape, CG_ERR_NONFINITE, "clip_state_grad",
                        "the gradient of the state has an element that is %s",
                        isnan(max) ? "NaN" : "infinite");
  if (max > 0.0) {
    double scale = scale_of(max);
    clip->norm = scale * sqrt(squares(dense, scale));
  }
  if (!isfinite(clip->norm))
    return cg_tape_fail(tape, CG_ERR_NONFINITE, "clip_state_grad",
                        "the norm of the state's gradient is beyond the "
                        "largest double");
  if (clip->norm <= clip->max_norm) return NULL;
  clip->clipped++;
  return cg_mul_scalar(tape, g, clip->max_norm / clip->norm);
}

cg_status cg_clip_state_grad(cg_tape *tape, cg_tensor *x, cg_state_clip *clip) {
  const char *fn = "clip_state_grad";
  if (!clip || !(clip->max_norm > 0.0)) {
    cg_tape_fail(tape, CG_ERR_ARG, fn, "max_norm is %g but must be positive",
                 clip ? clip->max_norm : NAN);
    return CG_ERR_ARG;
  }
  clip->norm = NAN;
  return cg_hook(tape, x, clip_state, clip);
}

/* Side by side both parts have one gradient, complete when theirs are. */
static cg_rnn_state clip_both(cg_tape *tape, cg_rnn_state state,
                              cg_state_clip *clip) {
  const int64_t R = cg_tensor_dim(state.h, -1), H = cg_tensor_dim(state.c, -1);
  cg_tensor *s = cg_concat(tape, (cg_tensor *[]){state.h, state.c}, 2, -1);
  cg_clip_state_grad(tape, s, clip);
  return (cg_rnn_state){cg_narrow(tape, s, -1, 0, R),
                        cg_narrow(tape, s, -1, R, H)};
}

cg_status cg_clip_rnn_state_grad(cg_tape *tape, cg_rnn_state *state,
                                 cg_state_clip *clip) {
  if (!state || !state->h) {
    cg_tape_fail(tape, CG_ERR_ARG, "clip_state_grad", "there is no state");
    return cg_tape_status(tape);
  }
  if (state->c)
    *state = clip_both(tape, *state, clip);
  else
    cg_clip_state_grad(tape, state->h, clip);
  cg_status status = cg_tape_status(tape);
  if (status) *state = (cg_rnn_state){0};
  return status;
}
