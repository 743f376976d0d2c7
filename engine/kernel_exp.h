/* kernel_exp.h - the exponential of float32 numbers that are not large, as a
 * few operations that a loop over it makes whole vectors of: no call, no
 * branch, no table.
 *
 *   e^x = 2^k e^r with k = round(x / ln 2), |r| <= ln(2) / 2
 *
 * The polynomial is the one of its degree with the least relative error of e^r
 * there, 3e-9; with rounding, the result is within 1.2 units of its last place.
 */
#ifndef CG_ENGINE_KERNEL_EXP_H
#define CG_ENGINE_KERNEL_EXP_H

#include <stdint.h>
#include <string.h>

#include "inline.h"

/* e^x for x <= 88 or NaN; 0 for x < -87.3, where e^x is about to leave the
 * normal numbers. */
INLINE float exp_f32(float x) {
  const float round = 0x1.8p23f; /* t's last place is 1, k is in its low bits */
  const float t = x * 0x1.715476p0f + round, k = t - round;
  /* ln 2 in two parts; k times the first is exact */
  const float r = x - k * 0x1.62e4p-1f - k * 0x1.7f7d1cp-20f;
  float y = 0.00138145986f;
  y = y * r + 0.00836871688f;
  y = y * r + 0.0416683880f;
  y = y * r + 0.166665206f;
  y = y * r + 0.499999934f;
  y = y * r + 1;
  y = y * r + 1;
  uint32_t bits;
  float power; /* 2^k */
  memcpy(&bits, &t, sizeof bits);
  bits = (bits << 23) + (127u << 23);
  memcpy(&power, &bits, sizeof power);
  return x < -87.3f ? 0 : y * power;
}

#endif
