/* product.h - one product, of which denormal results cost little.
 *
 * A processor takes some 150 cycles for a product with a denormal operand or
 * result, ten times as long as integers take for the same bits. Gradients that
 * vanish along a graph of scalars are such products.
 */
#ifndef CG_ENGINE_PRODUCT_H
#define CG_ENGINE_PRODUCT_H

#include <stdint.h>
#include <string.h>

#ifdef __x86_64__

/* The same for products below twice the least normal number. */
double product_small_f64(double a, double b);
float product_small_f32(float a, float b);

/* The product: only one whose exponents add up to no more than that of 1 can be
 * as small as that. (A denormal times 2 or more is left to the processor.) */
static inline double product_f64(double a, double b) {
  uint64_t x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  const uint64_t e = (x >> 52 & 0x7ff) + (y >> 52 & 0x7ff);
  return e > 1023 ? a * b : product_small_f64(a, b);
}

static inline float product_f32(float a, float b) {
  uint32_t x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  const uint32_t e = (x >> 23 & 0xff) + (y >> 23 & 0xff);
  return e > 127 ? a * b : product_small_f32(a, b);
}

#else

static inline double product_f64(double a, double b) { return a * b; }
static inline float product_f32(float a, float b) { return a * b; }

#endif

/* a * b, of one float type. */
#define PRODUCT(a, b) \
  _Generic((a), float: product_f32, double: product_f64)((a), (b))

#endif
