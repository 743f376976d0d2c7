/* rng.c - Philox4x32-10, a counter-based generator. */
#include <chronograd/rng.h>

#include <math.h>

typedef struct block {
  uint32_t v[4];
} block;

static uint32_t mul_hi(uint32_t a, uint32_t b, uint32_t *lo) {
  uint64_t p = (uint64_t)a * b;
  *lo = (uint32_t)p;
  return (uint32_t)(p >> 32);
}

/* Ten rounds of the bijection of the paper's section 4.2. */
static block philox(uint64_t counter, uint64_t key) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  block x = {{(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0}};
  for (int round = 0; round < 10; round++) {
    uint32_t lo0, lo1;
    uint32_t hi0 = mul_hi(0xD2511F53u, x.v[0], &lo0);
    uint32_t hi1 = mul_hi(0xCD9E8D57u, x.v[2], &lo1);
    x = (block){{hi1 ^ x.v[1] ^ k0, lo1, hi0 ^ x.v[3] ^ k1, lo0}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return x;
}

cg_rng cg_rng_seed(uint64_t seed) { return (cg_rng){seed, 0}; }

uint64_t cg_rng_next(cg_rng *rng) {
  /* A block has two 64-bit numbers: the counter's low bit chooses. */
  block x = philox(rng->counter >> 1, rng->seed);
  int half = (int)(rng->counter & 1) * 2;
  rng->counter++;
  return (uint64_t)x.v[half + 1] << 32 | x.v[half];
}

double cg_rng_uniform(cg_rng *rng) {
  return (double)(cg_rng_next(rng) >> 11) * 0x1p-53;
}

double cg_rng_normal(cg_rng *rng) {
  double u = 1.0 - cg_rng_uniform(rng); /* in (0, 1] */
  double v = cg_rng_uniform(rng);
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

int64_t cg_rng_below(cg_rng *rng, int64_t n) {
  if (n <= 0) return 0;
  uint64_t limit = UINT64_MAX - UINT64_MAX % (uint64_t)n;
  uint64_t r;
  do r = cg_rng_next(rng);
  while (r >= limit);
  return (int64_t)(r % (uint64_t)n);
}
