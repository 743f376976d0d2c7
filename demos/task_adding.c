/* task_adding.c - the adding problem (S. Hochreiter, J. Schmidhuber, "Long
 * short-term memory", 1997): two of 100 numbers are marked, one in either half
 * of the sequence; what is their sum? A guess of the mean has an error of 1/6.
 */
#include <stdio.h>

#include "task_net.h"

enum { T = 100, B = 32, TESTS = 1024, EVERY = 50 };

typedef struct batch {
  float x[T][B][2];
  float sum[B][1];
} batch;

static void draw(batch *b, cg_rng *rng) {
  for (int i = 0; i < B; i++) {
    int64_t first = cg_rng_below(rng, T / 2);
    int64_t second = T / 2 + cg_rng_below(rng, T / 2);
    for (int t = 0; t < T; t++) {
      b->x[t][i][0] = (float)cg_rng_uniform(rng);
      b->x[t][i][1] = t == first || t == second;
    }
    b->sum[i][0] = b->x[first][i][0] + b->x[second][i][0];
  }
}

static cg_tensor *mse(const task_net *net, const batch *b) {
  cg_tape *tape = net->tape;
  cg_tensor *x = cg_borrow(tape, CG_F32, CG_DIMS(T, B, 2), b->x);
  cg_tensor *y = cg_borrow(tape, CG_F32, CG_DIMS(B, 1), b->sum);
  cg_tensor *d = cg_sub(tape, task_net_last(net, x), y);
  return cg_mean_all(tape, cg_square(tape, d));
}

/* The error on sequences that are the same every time. */
static bool test(const task_net *net, batch *b, uint64_t seed,
                 task_result *result) {
  cg_rng rng = cg_rng_seed(~seed);
  double sum = 0;
  for (int i = 0; i < TESTS / B; i++) {
    draw(b, &rng);
    task_net_begin(net, false);
    cg_tensor *L = mse(net, b);
    if (!L) return task_net_fine(net, &result->error);
    sum += cg_tensor_item(L);
  }
  result->score = sum / (TESTS / B);
  result->solved = result->score < 0.005;
  return true;
}

void task_adding(const task *t, uint64_t seed, task_result *result) {
  static _Thread_local batch b;
  task_net net;
  task_net_config config = {.cell = t->cell, .inputs = 2, .hidden = 16,
                            .outputs = 1, .lr = 5e-3, .clip = 1, .seed = seed};
  bool ok = task_net_make(&net, &config, &result->error);
  cg_rng rng = cg_rng_seed(seed + 1000);
  double loss;
  while (ok && !result->solved && result->sequences < t->most) {
    for (int i = 0; ok && i < EVERY; i++) {
      draw(&b, &rng);
      task_net_begin(&net, true);
      ok = task_net_update(&net, mse(&net, &b), &loss, &result->error);
      result->sequences += B;
    }
    if (ok) ok = test(&net, &b, seed, result);
  }
  task_net_free(&net);
}
