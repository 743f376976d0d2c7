/* task_addition.c - binary addition: the net reads two numbers bit by bit, the
 * lowest first, and writes their sum. Trained on sums below 10,000, it must add
 * numbers of 20 bits without a mistake: it has learned to carry.
 */
#include <math.h>
#include <stdio.h>

#include "task_net.h"

enum { B = 32, SHORT = 14, LONG = 21, LIMIT = 10000, TESTS = 4096, EVERY = 50 };

typedef struct batch {
  int T;
  float x[LONG * B * 2];
  int64_t y[LONG * B];
} batch;

static void put(batch *b, int i, uint32_t p, uint32_t q) {
  for (int t = 0; t < b->T; t++) {
    int at = t * B + i;
    b->x[2 * at] = (float)(p >> t & 1);
    b->x[2 * at + 1] = (float)(q >> t & 1);
    b->y[at] = (p + q) >> t & 1;
  }
}

/* Two numbers with a sum below LIMIT. */
static void draw_pair(cg_rng *rng, uint32_t *p, uint32_t *q) {
  do {
    *p = (uint32_t)cg_rng_below(rng, LIMIT);
    *q = (uint32_t)cg_rng_below(rng, LIMIT);
  } while (*p + *q >= LIMIT);
}

/* Two whose sum is 2^k - 1 or 2^k: a carry goes through all bits, or just does
 * not, which is rare among pairs drawn evenly. */
static void draw_carry(cg_rng *rng, uint32_t *p, uint32_t *q) {
  uint32_t ones = (1u << (1 + cg_rng_below(rng, SHORT - 1))) - 1;
  *p = (uint32_t)cg_rng_below(rng, ones + 1);
  *q = ones - *p + (uint32_t)cg_rng_below(rng, 2);
}

static void draw_short(batch *b, cg_rng *rng) {
  b->T = SHORT;
  for (int i = 0; i < B; i++) {
    uint32_t p, q;
    if (i % 4)
      draw_pair(rng, &p, &q);
    else
      draw_carry(rng, &p, &q);
    put(b, i, p, q);
  }
}

static void draw_long(batch *b, cg_rng *rng) {
  const int64_t limit = 1 << (LONG - 1);
  b->T = LONG;
  for (int i = 0; i < B; i++)
    put(b, i, (uint32_t)cg_rng_below(rng, limit),
        (uint32_t)cg_rng_below(rng, limit));
}

static cg_tensor *logits(const task_net *net, const batch *b) {
  return task_net_all(
      net, cg_borrow(net->tape, CG_F32, CG_DIMS(b->T, B, 2), b->x));
}

static cg_tensor *loss_of(const task_net *net, const batch *b) {
  cg_tensor *y = cg_borrow(net->tape, CG_I64, CG_DIMS(b->T, B), b->y);
  return cg_mean_all(net->tape,
                     cg_cross_entropy(net->tape, logits(net, b), y));
}

/* How many sums of a batch are right in all bits; -1 after an error. */
static int count_right(const task_net *net, const batch *b) {
  task_net_begin(net, false);
  cg_tensor *o = logits(net, b);
  if (!o) return -1;
  const float *row = cg_tensor_data(o);
  int right = 0;
  for (int i = 0; i < B; i++) {
    int t = 0;
    while (t < b->T && (row[2 * (t * B + i)] < row[2 * (t * B + i) + 1]) ==
                           b->y[t * B + i])
      t++;
    right += t == b->T;
  }
  return right;
}

/* The share of long sums that are exact. */
static bool test(const task_net *net, batch *b, uint64_t seed,
                 task_result *result) {
  cg_rng rng = cg_rng_seed(~seed);
  int right = 0;
  for (int k = 0; k < TESTS / B; k++) {
    draw_long(b, &rng);
    int n = count_right(net, b);
    if (n < 0) return task_net_fine(net, &result->error);
    right += n;
  }
  result->score = (double)right / TESTS;
  result->solved = right == TESTS;
  return true;
}

/* Trains until the short sums are sure. */
void task_addition(const task *t, uint64_t seed, task_result *result) {
  const double sure = 5e-4;
  static _Thread_local batch b;
  task_net net;
  task_net_config config = {.cell = t->cell, .inputs = 2, .hidden = 16,
                            .outputs = 2, .lr = 1e-2, .clip = 1, .seed = seed};
  bool ok = task_net_make(&net, &config, &result->error);
  cg_rng rng = cg_rng_seed(seed + 1000);
  double mean = INFINITY;
  while (ok && mean > sure && result->sequences < t->most) {
    double sum = 0, loss = 0;
    for (int i = 0; ok && i < EVERY; i++) {
      draw_short(&b, &rng);
      task_net_begin(&net, true);
      ok = task_net_update(&net, loss_of(&net, &b), &loss, &result->error);
      result->sequences += B;
      sum += loss;
    }
    mean = sum / EVERY;
  }
  if (ok) test(&net, &b, seed, result);
  snprintf(result->note, sizeof result->note, "loss on short sums %.2g", mean);
  task_net_free(&net);
}
