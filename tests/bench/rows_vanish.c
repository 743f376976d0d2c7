/* rows_vanish.c - what vanishing gradients cost: a recurrent net with small
 * weights and its loss at the last of many steps, so that the gradients of most
 * steps are denormal or zero; as IEEE 754 wants it, and flushed. */
#include <chronograd/engine.h>

#include "bench.h"
#include "groups.h"

enum { T = 400, B = 32, H = 128 };

/* Standard deviation of the weights: a step back shrinks gradients to some
 * 60 %. */
#define SCALE 0.05

typedef struct job {
  cg_tape *tape;
  cg_tensor *W, *x;
  bool flush;
} job;

static cg_tensor *normal(int64_t rows, double scale, cg_rng *rng) {
  cg_tensor *x = cg_leaf_new(NULL, CG_F32, CG_DIMS(rows, H), NULL);
  float *data = cg_leaf_data(x);
  bench_check(data, "no memory");
  for (int64_t i = 0; i < rows * H; i++)
    data[i] = (float)(scale * cg_rng_normal(rng));
  return x;
}

static void run(void *state) {
  job *j = state;
  cg_tape *t = j->tape;
  cg_flush_denormals(j->flush);
  cg_tape_reset(t);
  cg_leaf_zero_grad(j->W);
  cg_tensor *h = j->x;
  for (int i = 0; i < T; i++)
    h = cg_tanh(t, cg_addmm(t, j->x, h, j->W, false, true));
  cg_backward(t, cg_sum_all(t, cg_square(t, h)));
  cg_flush_denormals(false);
  bench_check(!cg_tape_status(t), cg_tape_error(t)->message);
}

void rows_vanish(void) {
  const char *names[] = {"vanish rnn H128 B32 T400",
                         "vanish rnn H128 B32 T400, flushed"};
  const char *ratio = "vanish rnn, flushed over denormal";
  bool wanted[2] = {bench_wanted(names[0]), bench_wanted(names[1])};
  bool both = bench_wanted(ratio);
  if (!wanted[0] && !wanted[1]) return;
  cg_rng rng = cg_rng_seed(1);
  job j = {.tape = cg_tape_new(NULL),
           .W = normal(H, SCALE, &rng),
           .x = normal(B, 1, &rng)};
  bench_check(j.tape, "no memory");
  cg_leaf_set_requires_grad(j.W, true);
  double best[2] = {0};
  for (int i = 0; i < 2; i++) {
    j.flush = i;
    if (wanted[i])
      best[i] = bench_measure(&(bench_case){.row = names[i], .unit = "ms",
                                            .scale = 1e3, .run = run,
                                            .state = &j});
  }
  if (both && best[0] > 0 && best[1] > 0)
    bench_value(ratio, best[1] / best[0], "x");
  cg_tape_free(j.tape);
  cg_leaf_free(j.W);
  cg_leaf_free(j.x);
}
