/* kernel_map.c - elementwise functions: one expression per function, from which
 * the row loops of both float types are made.
 *
 * In an expression A and B are the elements, C the number, all of type T.
 *
 * An element's result never depends on its position: functions of the vector
 * maths library always run on whole blocks, the last one padded, so that the
 * same function computes every element.
 */
#include "kernel.h"

#include <string.h>

#include "kernel_lanes.h"
#include "nd.h"

/* ---- row loops ---- */

/* Functions that the processor computes exactly rounded. */
#define ROW(name, T, EXPR)                                                   \
  CG_CLONES static void name(int64_t n, void *yy, const void *aa,            \
                             int64_t sa, const void *bb, int64_t sb,         \
                             double cc) {                                    \
    T *restrict y = yy;                                                      \
    const T *a = aa, *b = bb, C = (T)cc;                                     \
    (void)C;                                                                 \
    if (sa == 1 && sb == 1) {                                                \
      for (int64_t i = 0; i < n; i++) {                                      \
        const T A = a[i], B = b[i];                                          \
        (void)B;                                                             \
        y[i] = (EXPR);                                                       \
      }                                                                      \
    } else if (sa == 1 && sb == 0) {                                         \
      const T B = b ? *b : (T)0;                                             \
      (void)B;                                                               \
      for (int64_t i = 0; i < n; i++) {                                      \
        const T A = a[i];                                                    \
        y[i] = (EXPR);                                                       \
      }                                                                      \
    } else if (sa == 0 && sb == 1) {                                         \
      const T A = *a;                                                        \
      for (int64_t i = 0; i < n; i++) {                                      \
        const T B = b[i];                                                    \
        (void)B;                                                             \
        y[i] = (EXPR);                                                       \
      }                                                                      \
    } else {                                                                 \
      for (int64_t i = 0; i < n; i++) {                                      \
        const T A = a[i * sa], B = b ? b[i * sb] : (T)0;                     \
        (void)B;                                                             \
        y[i] = (EXPR);                                                       \
      }                                                                      \
    }                                                                        \
  }

/* Functions of the vector maths library, in blocks of LANES elements. */
#define BLOCK_ROW(name, T, EXPR)                                             \
  CG_CLONES static void name##_blocks(int64_t blocks, T *restrict y,         \
                                      const T *restrict a,                   \
                                      const T *restrict b, T C) {            \
    (void)C;                                                                 \
    for (int64_t k = 0; k < blocks * LANES; k += LANES)                      \
      IN_LANES {                                                             \
        const T A = a[k + j], B = b[k + j];                                  \
        (void)B;                                                             \
        y[k + j] = (EXPR);                                                   \
      }                                                                      \
  }                                                                          \
  static void name(int64_t n, void *yy, const void *aa, int64_t sa,          \
                   const void *bb, int64_t sb, double cc) {                  \
    T *y = yy, out[LANES], left[LANES], right[LANES];                        \
    const T *a = aa, *b = bb ? bb : aa;                                      \
    int64_t done = 0;                                                        \
    if (!bb) sb = sa;                                                        \
    if (sa == 1 && sb == 1) {                                                \
      done = n / LANES * LANES;                                              \
      if (done) name##_blocks(n / LANES, y, a, b, (T)cc);                    \
    }                                                                        \
    for (; done < n; done += LANES) {                                        \
      int64_t m = n - done < LANES ? n - done : LANES;                       \
      for (int64_t i = 0; i < LANES; i++) {                                  \
        int64_t j = done + (i < m ? i : 0);                                  \
        left[i] = a[j * sa];                                                 \
        right[i] = b[j * sb];                                                \
      }                                                                      \
      name##_blocks(1, out, left, right, (T)cc);                             \
      memcpy(y + done, out, (size_t)m * sizeof(T));                          \
    }                                                                        \
  }

#define MAP(name, EXPR)                                                      \
  ROW(name##_f32, float, EXPR)                                               \
  ROW(name##_f64, double, EXPR)                                              \
  const kernel_map kernel_##name = {name##_f32, name##_f64};

#define MAP_FN(name, EXPR32, EXPR64)                                         \
  BLOCK_ROW(name##_f32, float, EXPR32)                                       \
  BLOCK_ROW(name##_f64, double, EXPR64)                                      \
  const kernel_map kernel_##name = {name##_f32, name##_f64};

/* ---- the functions ---- */

/* The greater or lesser of two, NaN if either is. */
#define GREATEST(A, B) ((A) > (B) || (A) != (A) ? (A) : (B))
#define LEAST(A, B) ((A) < (B) || (A) != (A) ? (A) : (B))
/* max(A, 0) and min(A, 0), the latter NaN for NaN. */
#define ABOVE(A) ((A) > 0 ? (A) : 0)
#define BELOW(A) ((A) > 0 ? 0 : (A))

MAP(add, A + B)
MAP(sub, A - B)
MAP(mul, A *B)
MAP(div, A / B)
MAP(add_scalar, A + C)
MAP(mul_scalar, A *C)
MAP(neg, -A)
MAP(square, A *A)
MAP(is_equal, A == B)
MAP(div0, B == 0 ? 0 : A / B)
MAP(relu, RELU(A))
MAP(tanh_grad, TANH_GRAD(A, B))
MAP(sigmoid_grad, SIGMOID_GRAD(A, B))
MAP(relu_grad, RELU_GRAD(A, B))
MAP(abs, fabs(A))
MAP(sign, A > 0 ? 1 : (A < 0 ? -1 : 0))
MAP(reciprocal, 1 / A)
MAP(leaky_relu, A > 0 ? A : A *C)
MAP(leaky_relu_grad, B > 0 ? A : A *C)
/* B <= C are the bounds. */
MAP(clamp, A > C || C != C ? C : (A < B ? B : A))
MAP(maximum, GREATEST(A, B))
MAP(minimum, LEAST(A, B))

MAP_FN(sqrt, sqrtf(A), sqrt(A))
MAP_FN(exp, expf(A), exp(A))
MAP_FN(log, logf(A), log(A))
/* The exponential is always computed, which makes whole vectors of it. */
MAP_FN(exp_sub, expf(A == -INFINITY ? A : A - B),
       exp(A == -INFINITY ? A : A - B))
MAP_FN(bce_with_logits, (A > 0 ? A : 0) - A * B + log1pf(expf(-fabsf(A))),
       (A > 0 ? A : 0) - A * B + log1p(exp(-fabs(A))))
MAP_FN(tanh, tanhf(A), tanh(A))
MAP_FN(sigmoid, SIGMOID(expf, A), SIGMOID(exp, A))
MAP_FN(pow, powf(A, B), pow(A, B))
MAP_FN(pow_scalar, powf(A, C), pow(A, C))
MAP_FN(pow_da, B == 0 ? 0 : B * powf(A, B - 1), B == 0 ? 0 : B * pow(A, B - 1))
MAP_FN(pow_db, A == 0 && B >= 0 ? 0 : powf(A, B) * logf(A),
       A == 0 && B >= 0 ? 0 : pow(A, B) * log(A))
MAP_FN(rsqrt, 1 / sqrtf(A), 1 / sqrt(A))
MAP_FN(log1p, log1pf(A), log1p(A))
MAP_FN(expm1, expm1f(A), expm1(A))
MAP_FN(sin, sinf(A), sin(A))
MAP_FN(cos, cosf(A), cos(A))
/* e^-|x| cannot overflow. */
MAP_FN(softplus, ABOVE(A) + log1pf(expf(-fabsf(A))),
       ABOVE(A) + log1p(exp(-fabs(A))))
/* Both parts are always computed, for there are no vector functions to call in
 * a branch. */
MAP_FN(elu, ABOVE(A) + C *expm1f(BELOW(A)), ABOVE(A) + C *expm1(BELOW(A)))
MAP_FN(elu_grad, A *(B <= 0 ? C : 1) * expf(B <= 0 ? B : 0),
       A *(B <= 0 ? C : 1) * exp(B <= 0 ? B : 0))
/* x Phi(x) with Phi(x) = erfc(-x / sqrt 2) / 2, which is exact also where
 * 1 + erf would cancel; the density is phi(x) = e^(-x^2 / 2) / sqrt(2 pi). */
#define ROOT_HALF 0.70710678118654752440
#define PHI_0 0.39894228040143267794 /* 1 / sqrt(2 pi) */
MAP_FN(gelu, A * (0.5f * erfcf(-A * (float)ROOT_HALF)),
       A * (0.5 * erfc(-A * ROOT_HALF)))
MAP_FN(gelu_grad,
       A * (0.5f * erfcf(-B * (float)ROOT_HALF) +
            B * ((float)PHI_0 * expf(-0.5f * B * B))),
       A * (0.5 * erfc(-B * ROOT_HALF) + B * (PHI_0 * exp(-0.5 * B * B))))

/* ---- whole arrays ---- */

void kernel_map_run(const kernel_map *f, cg_dtype dtype, int rank,
                    const int64_t *shape, void *y, const void *a,
                    const int64_t *a_strides, const void *b,
                    const int64_t *b_strides, double c) {
  kernel_row row = dtype == CG_F32 ? f->f32 : f->f64;
  nd it;
  void *data[ND_ARRAYS] = {y, (void *)(uintptr_t)a, (void *)(uintptr_t)b};
  const int64_t *strides[ND_ARRAYS] = {NULL, a_strides, b_strides};
  if (!nd_begin(&it, rank, shape, cg_dtype_size(dtype), data, strides)) return;
  do row(it.n, it.at[0], it.at[1], it.step[1], it.at[2],
         it.at[2] ? it.step[2] : 0, c);
  while (nd_next(&it));
}
