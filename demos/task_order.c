/* task_order.c - temporal order with four classes (Hochreiter, Schmidhuber
 * 1997): among 50 symbols two are X or Y, far apart; which, and in which order?
 */
#include "task_net.h"

enum { T = 50, B = 32, SYMBOLS = 8, X = 4, BEGIN = 6, END = 7, CLASSES = 4,
       TESTS = 2048, EVERY = 25 };

typedef struct batch {
  int64_t symbol[T][B], order[B];
} batch;

static void draw(batch *b, cg_rng *rng) {
  for (int i = 0; i < B; i++) {
    for (int t = 0; t < T; t++) b->symbol[t][i] = cg_rng_below(rng, X);
    b->symbol[0][i] = BEGIN;
    b->symbol[T - 1][i] = END;
    int64_t first = T / 10 + cg_rng_below(rng, T / 10 + 1);
    int64_t second = T / 2 + cg_rng_below(rng, T / 10 + 1);
    int64_t a = cg_rng_below(rng, 2), z = cg_rng_below(rng, 2);
    b->symbol[first][i] = X + a;
    b->symbol[second][i] = X + z;
    b->order[i] = 2 * a + z;
  }
}

static cg_tensor *logits(const task_net *net, const batch *b) {
  cg_tensor *s = cg_borrow(net->tape, CG_I64, CG_DIMS(T, B), b->symbol);
  return task_net_last(net, cg_one_hot(net->tape, s, SYMBOLS, CG_F32));
}

static cg_tensor *loss_of(const task_net *net, void *context, cg_rng *rng) {
  batch *b = context;
  draw(b, rng);
  cg_tensor *y = cg_borrow(net->tape, CG_I64, CG_DIMS(B), b->order);
  return cg_mean_all(net->tape,
                     cg_cross_entropy(net->tape, logits(net, b), y));
}

/* The share of test sequences that are classified right. */
static bool test(const task_net *net, void *context, cg_rng *rng,
                 task_result *result) {
  batch *b = context;
  int64_t right = 0;
  for (int k = 0; k < TESTS / B; k++) {
    draw(b, rng);
    task_net_begin(net, false);
    cg_tensor *guess = cg_argmax(net->tape, logits(net, b), 1, false);
    if (!guess) return false;
    const int64_t *g = cg_tensor_data(guess);
    for (int i = 0; i < B; i++) right += g[i] == b->order[i];
  }
  result->score = (double)right / TESTS;
  result->solved = right == TESTS;
  return true;
}

void task_order(const task *t, uint64_t seed, task_result *result) {
  static _Thread_local batch b;
  const task_net_config config = {.cell = t->cell, .inputs = SYMBOLS,
                                  .hidden = 16, .outputs = CLASSES, .lr = 5e-3,
                                  .clip = 1, .seed = seed};
  const task_kind kind = {loss_of, test, B, EVERY};
  task_net_solve(t, &config, &kind, &b, result);
}
