/* kernel_lanes.h - blocks of elements that become whole vectors, the functions
 * of the vector maths library that can be called on them, and activations. */
#ifndef CG_ENGINE_KERNEL_LANES_H
#define CG_ENGINE_KERNEL_LANES_H

#include <math.h>

enum { LANES = 16 };

/* A loop over j that stays a loop, and so becomes whole vectors: unrolled, GCC
 * would vectorise the loop around it instead, with scalar calls in a remainder
 * of that, or nothing. */
#if defined(__GNUC__) && !defined(__clang__)
#define FOR_J(n) _Pragma("GCC unroll 1") for (int j = 0; j < (n); j++)
#else
#define FOR_J(n) for (int j = 0; j < (n); j++)
#endif
#define IN_LANES FOR_J(LANES)

#if defined(CG_HAVE_LIBMVEC) && defined(__GNUC__) && !defined(__clang__)
#define CG_VECTOR __attribute__((simd("notinbranch")))
CG_VECTOR float expf(float);
CG_VECTOR double exp(double);
CG_VECTOR float logf(float);
CG_VECTOR double log(double);
CG_VECTOR float tanhf(float);
CG_VECTOR double tanh(double);
CG_VECTOR float powf(float, float);
CG_VECTOR double pow(double, double);
CG_VECTOR float log1pf(float);
CG_VECTOR double log1p(double);
CG_VECTOR float expm1f(float);
CG_VECTOR double expm1(double);
CG_VECTOR float sinf(float);
CG_VECTOR double sin(double);
CG_VECTOR float cosf(float);
CG_VECTOR double cos(double);
CG_VECTOR float erfcf(float);
CG_VECTOR double erfc(double);
#endif

/* The activations that several kernels compute. */
#define SIGMOID(EXP, z) (1 / (1 + EXP(-(z))))
#define RELU(z) ((z) > 0 ? (z) : ((z) != (z) ? (z) : 0)) /* NaN stays NaN */

/* A phi'(z), of B = phi(z). */
#define TANH_GRAD(A, B) ((A) * (1 - (B) * (B)))
#define SIGMOID_GRAD(A, B) ((A) * (B) * (1 - (B)))
#define RELU_GRAD(A, B) ((B) > 0 ? (A) : 0)

#endif
