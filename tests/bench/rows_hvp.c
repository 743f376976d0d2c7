/* rows_hvp.c - what a Hessian-vector product costs, in gradients: the loss of
 * an unrolled recurrent net, recorded anew each time, then its gradient by
 * cg_grad or its product with a random direction by cg_hvp. */
#include <chronograd/nn.h>

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "groups.h"

enum { T = 64, B = 32, H = 128, V = 65, N_PARAMS = 6 };

typedef struct job {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  float *x;
  int64_t *y;
  cg_tensor *w[N_PARAMS], *v[N_PARAMS], *result[N_PARAMS];
} job;

static void make_data(job *j, cg_rng *rng) {
  j->x = calloc((size_t)T * B * V, sizeof *j->x);
  j->y = malloc((size_t)T * B * sizeof *j->y);
  bench_check(j->x && j->y, "no memory");
  for (size_t i = 0; i < (size_t)T * B; i++) {
    j->x[i * V + (size_t)cg_rng_below(rng, V)] = 1;
    j->y[i] = cg_rng_below(rng, V);
  }
}

static void make_directions(job *j, cg_rng *rng) {
  bench_check(cg_params_count(j->params) == N_PARAMS, "other parameters");
  for (int k = 0; k < N_PARAMS; k++) {
    j->w[k] = cg_params_at(j->params, k);
    j->v[k] = cg_leaf_new(NULL, CG_F32, cg_tensor_rank(j->w[k]),
                          cg_tensor_shape(j->w[k]), NULL);
    float *data = cg_leaf_data(j->v[k]);
    bench_check(data, "no memory");
    for (int64_t i = 0; i < cg_tensor_numel(j->v[k]); i++)
      data[i] = (float)cg_rng_normal(rng);
  }
}

static void begin(job *j) {
  cg_rng rng = cg_rng_seed(7);
  cg_error err;
  cg_rnn_config rnn = {.input_size = V, .hidden_size = H};
  cg_linear_config fc = {.in_features = H, .out_features = V};
  j->params = cg_params_new(NULL, CG_F32, &err);
  j->rnn = j->params ? cg_rnn_new(j->params, "rnn", &rnn, &rng, &err) : NULL;
  j->fc = j->rnn ? cg_linear_layer_new(j->params, "fc", &fc, &rng, &err) : NULL;
  j->tape = cg_tape_new(NULL);
  bench_check(j->fc && j->tape, "no memory");
  make_data(j, &rng);
  make_directions(j, &rng);
}

static void end(job *j) {
  free(j->x);
  free(j->y);
  cg_tape_free(j->tape);
  for (int k = 0; k < N_PARAMS; k++) cg_leaf_free(j->v[k]);
  cg_params_free(j->params);
}

static cg_tensor *loss(job *j) {
  cg_tape *t = j->tape;
  cg_tape_reset(t);
  cg_tensor *x = cg_borrow(t, CG_F32, CG_DIMS(T, B, V), j->x);
  cg_tensor *y = cg_borrow(t, CG_I64, CG_DIMS(T, B), j->y);
  cg_tensor *h = cg_rnn_forward(t, j->rnn, x, NULL).h;
  return cg_cross_entropy_loss(t, cg_linear_layer_forward(t, j->fc, h), y,
                               CG_REDUCE_MEAN, CG_REDUCE_MEAN);
}

static void gradient(void *state) {
  job *j = state;
  cg_tensor *y = loss(j);
  bench_check(!cg_grad(j->tape, &y, 1, NULL, j->w, N_PARAMS, j->result, 0),
              cg_tape_error(j->tape)->message);
}

static void product(void *state) {
  job *j = state;
  bench_check(!cg_hvp(j->tape, loss(j), j->w, j->v, N_PARAMS, j->result, 0),
              cg_tape_error(j->tape)->message);
}

static double timed(void (*run)(void *), job *j) {
  double start = bench_clock();
  run(j);
  return bench_clock() - start;
}

/* In turns, so that a busy machine hits both alike. */
static double ratio(job *j) {
  enum { TURNS = 41 };
  double r[TURNS];
  for (int i = 0; i < TURNS; i++) {
    double g = timed(gradient, j);
    r[i] = timed(product, j) / g;
  }
  return sample_of(r, TURNS).median;
}

void rows_hvp(void) {
  const char *names[] = {"gradient rnn H128 B32 T64", "hvp rnn H128 B32 T64",
                         "hvp over gradient, in turns"};
  bool wanted[3], any = false;
  for (int i = 0; i < 3; i++) any |= wanted[i] = bench_wanted(names[i]);
  if (!any) return;
  job j = {0};
  begin(&j);
  for (int i = 0; i < 2; i++)
    if (wanted[i])
      bench_measure(&(bench_case){.row = names[i], .unit = "ms", .scale = 1e3,
                                  .run = i ? product : gradient, .state = &j});
  if (wanted[2]) bench_value(names[2], ratio(&j), "x");
  end(&j);
}
