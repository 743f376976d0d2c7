/* lbfgs_vector.c - arithmetic on all parameters as one vector. Sums are formed
 * in double. */
#include <math.h>
#include <string.h>

#include "lbfgs_impl.h"

/* The part of a vector that belongs to one parameter. */
static void *part(const cg_optimizer *o, int i, lbfgs_vector v) {
  const cg_optim_slot *s = &o->slots[i];
  cg_tensor *x = v.buffer == LBFGS_W ? s->leaf : s->buffer[v.buffer];
  size_t element = cg_dtype_size(cg_tensor_dtype(x));
  return (char *)cg_leaf_data(x) + (size_t)(v.row * s->numel) * element;
}

static bool is_f32(const cg_optimizer *o) {
  return cg_params_dtype(o->params) == CG_F32;
}

double lbfgs_dot(const cg_optimizer *o, lbfgs_vector a, lbfgs_vector b) {
  double sum = 0.0;
  bool f32 = is_f32(o);
  for (int i = 0; i < o->count; i++) {
    const double *x = part(o, i, a), *y = part(o, i, b);
    const float *p = (const void *)x, *q = (const void *)y;
    for (int64_t k = 0; k < o->slots[i].numel; k++)
      sum += f32 ? (double)p[k] * (double)q[k] : x[k] * y[k];
  }
  return sum;
}

double lbfgs_sum_abs(const cg_optimizer *o, lbfgs_vector a) {
  double sum = 0.0;
  bool f32 = is_f32(o);
  for (int i = 0; i < o->count; i++) {
    const double *x = part(o, i, a);
    const float *p = (const void *)x;
    for (int64_t k = 0; k < o->slots[i].numel; k++)
      sum += fabs(f32 ? (double)p[k] : x[k]);
  }
  return sum;
}

double lbfgs_max_abs(const cg_optimizer *o, lbfgs_vector a) {
  double max = 0.0;
  bool f32 = is_f32(o);
  for (int i = 0; i < o->count; i++) {
    const double *x = part(o, i, a);
    const float *p = (const void *)x;
    for (int64_t k = 0; k < o->slots[i].numel; k++) {
      double v = fabs(f32 ? (double)p[k] : x[k]);
      if (!(v <= max)) max = v;
      if (isnan(max)) return max;
    }
  }
  return max;
}

void lbfgs_add(cg_optimizer *o, lbfgs_vector y, lbfgs_vector a, double c,
               lbfgs_vector b) {
  bool f32 = is_f32(o);
  for (int i = 0; i < o->count; i++) {
    void *out = part(o, i, y);
    const void *x = part(o, i, a), *z = part(o, i, b);
    int64_t n = o->slots[i].numel;
    if (f32)
      for (int64_t k = 0; k < n; k++)
        ((float *)out)[k] =
            ((const float *)x)[k] + (float)c * ((const float *)z)[k];
    else
      for (int64_t k = 0; k < n; k++)
        ((double *)out)[k] =
            ((const double *)x)[k] + c * ((const double *)z)[k];
  }
}

void lbfgs_scale(cg_optimizer *o, lbfgs_vector y, double c, lbfgs_vector a) {
  bool f32 = is_f32(o);
  for (int i = 0; i < o->count; i++) {
    void *out = part(o, i, y);
    const void *x = part(o, i, a);
    int64_t n = o->slots[i].numel;
    if (f32)
      for (int64_t k = 0; k < n; k++)
        ((float *)out)[k] = (float)c * ((const float *)x)[k];
    else
      for (int64_t k = 0; k < n; k++)
        ((double *)out)[k] = c * ((const double *)x)[k];
  }
}

void lbfgs_take_gradients(cg_optimizer *o) {
  for (int i = 0; i < o->count; i++) {
    const cg_tensor *leaf = o->slots[i].leaf, *g = cg_tensor_grad(leaf);
    size_t bytes = (size_t)o->slots[i].numel *
                   cg_dtype_size(cg_tensor_dtype(leaf));
    void *to = part(o, i, LBFGS_VECTOR(G));
    if (g && bytes)
      memcpy(to, cg_tensor_data(g), bytes);
    else if (bytes)
      memset(to, 0, bytes);
  }
}
