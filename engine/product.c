/* product.c - denormal products by integers, to the same bits. */
#include "product.h"

#ifdef __x86_64__

#include <stdbool.h>
#include <xmmintrin.h>

__extension__ typedef unsigned __int128 wide;

/* A float type: bits of its fraction and, of its exponent, all and the one of
 * 1. */
typedef struct format {
  int fraction, all, one;
} format;

static const format f32 = {23, 0xff, 127}, f64 = {52, 0x7ff, 1023};

/* Does this thread round to nearest, compute denormal numbers, and go on after
 * all exceptions? Their flags may stand as they like. */
static bool plain_mode(void) {
  return (_mm_getcsr() & ~_MM_EXCEPT_MASK) == _MM_MASK_MASK;
}

/* p / 2^s to the nearest integer, of two the even one; 0 < s. */
static uint64_t divided(wide p, int s) {
  if (s > 127) return 0; /* p has 106 bits at most */
  const uint64_t q = (uint64_t)(p >> s);
  const wide rest = p - ((wide)q << s), half = (wide)1 << (s - 1);
  return q + (rest > half || (rest == half && q & 1));
}

/* The integer m of a number m 2^(e - offset), with as many bits as a normal one
 * has; nothing if the number is 0. */
static uint64_t mantissa(format f, uint64_t x, int *e) {
  const uint64_t one = (uint64_t)1 << f.fraction;
  uint64_t m = x & (one - 1);
  *e = (int)(x >> f.fraction) & f.all;
  if (*e) return m | one;
  if (!m) return 0;
  const int up = __builtin_clzll(m) - (63 - f.fraction);
  *e = 1 - up;
  return m << up;
}

/* The bits of the product of the numbers with bits x and y, but for its sign,
 * in *z; false if the processor had better do it. */
static bool multiply(format f, uint64_t x, uint64_t y, uint64_t *z) {
  int a, b;
  const uint64_t m = mantissa(f, x, &a), n = mantissa(f, y, &b);
  if (!m || !n || a + b > f.one || !plain_mode()) return false;
  /* In units of the least denormal number, of which a normal one's bits are
   * the count as well, up to twice the least normal number. */
  *z = divided((wide)m * n, f.one + f.fraction + 1 - a - b);
  return true;
}

double product_small_f64(double a, double b) {
  const uint64_t sign = (uint64_t)1 << 63;
  uint64_t x, y, z;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  if (!multiply(f64, x, y, &z)) return a * b;
  z |= (x ^ y) & sign;
  memcpy(&a, &z, sizeof a);
  return a;
}

float product_small_f32(float a, float b) {
  const uint32_t sign = (uint32_t)1 << 31;
  uint32_t x, y, z;
  uint64_t bits;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  if (!multiply(f32, x, y, &bits)) return a * b;
  z = (uint32_t)bits | ((x ^ y) & sign);
  memcpy(&a, &z, sizeof a);
  return a;
}

#endif
