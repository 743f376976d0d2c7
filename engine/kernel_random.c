/* kernel_random.c - many numbers of a counter-based stream at once: the same
 * bits as cg_rng_next, several blocks side by side. */
#include "kernel.h"

#include <math.h>

/* A block of Philox4x32-10 has two 64-bit numbers. */
enum { BLOCKS = 16, NUMBERS = 2 * BLOCKS };

/* A loop over j that stays a loop, and so becomes whole vectors. */
#if defined(__GNUC__) && !defined(__clang__)
#define IN_LANES _Pragma("GCC unroll 1") for (int j = 0; j < BLOCKS; j++)
#else
#define IN_LANES for (int j = 0; j < BLOCKS; j++)
#endif

#define LOW32 0xffffffffu

/* The 2 * BLOCKS numbers from number 2 * block on. Words of 32 bits are kept in
 * 64, in which their products fit. */
CG_CLONES static void numbers(uint64_t seed, uint64_t block, uint64_t *out) {
  uint64_t x0[BLOCKS], x1[BLOCKS], x2[BLOCKS], x3[BLOCKS];
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  IN_LANES {
    x0[j] = (block + (uint64_t)j) & LOW32;
    x1[j] = (block + (uint64_t)j) >> 32;
    x2[j] = x3[j] = 0;
  }
  for (int round = 0; round < 10; round++) {
    IN_LANES {
      const uint64_t p0 = 0xD2511F53u * x0[j], p1 = 0xCD9E8D57u * x2[j];
      x0[j] = (p1 >> 32) ^ x1[j] ^ k0;
      x2[j] = (p0 >> 32) ^ x3[j] ^ k1;
      x1[j] = p1 & LOW32;
      x3[j] = p0 & LOW32;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  IN_LANES {
    out[2 * j] = x1[j] << 32 | x0[j];
    out[2 * j + 1] = x3[j] << 32 | x2[j];
  }
}

/* Numbers of the stream, a stretch at a time. */
typedef struct stretch {
  uint64_t seed, counter;
  uint64_t bits[NUMBERS];
} stretch;

/* The next numbers, at most n: points *bits to them and returns how many. */
static int64_t next(stretch *s, int64_t n, const uint64_t **bits) {
  const int64_t skip = (int64_t)(s->counter & 1);
  if (n > NUMBERS - skip) n = NUMBERS - skip;
  numbers(s->seed, s->counter >> 1, s->bits);
  s->counter += (uint64_t)n;
  *bits = s->bits + skip;
  return n;
}

/* ---- uniform in [0, 1) ---- */

/* As many of the upper bits as the type can hold, so that rounding never makes
 * a 1 of them. */
#define UNIFORM(name, T, SHIFT, UNIT)                                        \
  CG_CLONES static void name(int64_t n, T *y, const uint64_t *bits) {        \
    for (int64_t i = 0; i < n; i++)                                          \
      y[i] = (T)(int64_t)(bits[i] >> SHIFT) * (T)UNIT;                       \
  }

UNIFORM(uniform_f32, float, 40, 0x1p-24)
UNIFORM(uniform_f64, double, 11, 0x1p-53)

void kernel_uniform(cg_dtype dtype, int64_t n, void *out, uint64_t seed,
                    uint64_t counter) {
  stretch s = {.seed = seed, .counter = counter};
  const uint64_t *bits;
  for (int64_t i = 0, m; i < n; i += m) {
    m = next(&s, n - i, &bits);
    if (dtype == CG_F32)
      uniform_f32(m, (float *)out + i, bits);
    else
      uniform_f64(m, (double *)out + i, bits);
  }
}

/* ---- dropout ---- */

/* `first` is the least number that keeps an element. */
#define DROPOUT(name, T)                                                     \
  CG_CLONES static void name(int64_t n, T *restrict y, const T *restrict x,  \
                             const uint64_t *bits, uint64_t first,           \
                             T scale) {                                      \
    for (int64_t i = 0; i < n; i++)                                          \
      y[i] = x[i] * ((int64_t)(bits[i] >> 11) >= (int64_t)first ? scale : 0); \
  }

DROPOUT(dropout_f32, float)
DROPOUT(dropout_f64, double)

void kernel_dropout(cg_dtype dtype, int64_t n, void *out, const void *x,
                    double p, uint64_t seed, uint64_t counter) {
  const double scale = p < 1 ? 1 / (1 - p) : 0;
  const uint64_t first = (uint64_t)ceil(p * 0x1p53);
  stretch s = {.seed = seed, .counter = counter};
  const uint64_t *bits;
  for (int64_t i = 0, m; i < n; i += m) {
    m = next(&s, n - i, &bits);
    if (dtype == CG_F32)
      dropout_f32(m, (float *)out + i, (const float *)x + i, bits, first,
                  (float)scale);
    else
      dropout_f64(m, (double *)out + i, (const double *)x + i, bits, first,
                  scale);
  }
}
