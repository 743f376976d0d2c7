/* task_adding.c - the adding problem (S. Hochreiter, J. Schmidhuber, "Long
 * short-term memory", 1997): two of 100 numbers are marked, one in either half
 * of the sequence; what is their sum? A guess of the mean has an error of 1/6.
 */
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

static cg_tensor *mse(const task_net *net, void *context, cg_rng *rng) {
  batch *b = context;
  cg_tape *tape = net->tape;
  draw(b, rng);
  cg_tensor *x = cg_borrow(tape, CG_F32, CG_DIMS(T, B, 2), b->x);
  cg_tensor *y = cg_borrow(tape, CG_F32, CG_DIMS(B, 1), b->sum);
  cg_tensor *d = cg_sub(tape, task_net_last(net, x), y);
  return cg_mean_all(tape, cg_square(tape, d));
}

static bool test(const task_net *net, void *b, cg_rng *rng,
                 task_result *result) {
  double sum = 0;
  for (int i = 0; i < TESTS / B; i++) {
    task_net_begin(net, false);
    cg_tensor *L = mse(net, b, rng);
    if (!L) return false;
    sum += cg_tensor_item(L);
  }
  result->score = sum / (TESTS / B);
  result->solved = result->score < 0.005;
  return true;
}

void task_adding(const task *t, uint64_t seed, task_result *result) {
  static _Thread_local batch b;
  const task_net_config config = {.cell = t->cell, .inputs = 2, .hidden = 16,
                                  .outputs = 1, .lr = 5e-3, .clip = 1,
                                  .seed = seed};
  const task_kind kind = {mse, test, B, EVERY};
  task_net_solve(t, &config, &kind, &b, result);
}
