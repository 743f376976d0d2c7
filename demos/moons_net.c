/* moons_net.c - the net on the tape: training, prediction, and autograd's
 * error signals. */
#include "cli.h"
#include "moons.h"

static bool tape_fine(const cg_tape *tape) {
  const cg_error *error = cg_tape_error(tape);
  return !error->status || cli_fail("%s: %s", error->op, error->message);
}

bool moons_net_make(moons_net *net, int64_t hidden, double rate,
                    uint64_t seed) {
  static const char *const names[] = {"fc1", "fc2", "fc3"};
  const int64_t size[] = {2, hidden, hidden, MOONS_CLASSES};
  cg_error err = {0};
  cg_rng rng = cg_rng_seed(seed);
  net->params = cg_params_new(NULL, CG_F64, &err);
  for (int l = 0; l < MOONS_LAYERS && !err.status; l++) {
    cg_linear_config c = {.in_features = size[l], .out_features = size[l + 1]};
    net->layer[l] = cg_linear_layer_new(net->params, names[l], &c, &rng, &err);
  }
  if (!err.status)
    net->adam = cg_adam_new(net->params, &(cg_adam_config){.lr = rate}, &err);
  return !err.status || cli_fail("%s", err.message);
}

void moons_net_free(moons_net *net) {
  cg_optimizer_free(net->adam);
  cg_params_free(net->params);
}

/* The logits; z[l], if asked for, are all the layers' sums. */
static cg_tensor *logits(const moons_net *net, cg_tape *tape, cg_tensor *a,
                         cg_tensor **z) {
  for (int l = 0; l < MOONS_LAYERS; l++) {
    cg_tensor *sum = cg_linear_layer_forward(tape, net->layer[l], a);
    if (z) z[l] = sum;
    a = l + 1 < MOONS_LAYERS ? cg_tanh(tape, sum) : sum;
  }
  return a;
}

static cg_tensor *mean_loss(const moons_net *net, const moons_data *d,
                            cg_tape *tape, cg_tensor **z) {
  cg_tensor *x = cg_borrow(tape, CG_F64, CG_DIMS(d->n, 2), d->x);
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(d->n), d->y);
  return cg_mean_all(tape,
                     cg_cross_entropy(tape, logits(net, tape, x, z), y));
}

bool moons_train(const moons_net *net, const moons_data *d, cg_tape *tape,
                 int64_t steps, double *loss) {
  for (int64_t i = 0; i < steps; i++) {
    cg_tape_reset(tape);
    cg_tensor *L = mean_loss(net, d, tape, NULL);
    cg_params_zero_grad(net->params);
    if (cg_backward(tape, L)) return tape_fine(tape);
    if (cg_optimizer_step(net->adam, NULL))
      return cli_fail("the optimizer failed");
    *loss = cg_tensor_item(L);
  }
  return true;
}

bool moons_predict(const moons_net *net, const double *x, int64_t n,
                   cg_tape *tape, double *p) {
  cg_tape_reset(tape);
  cg_tape_set_recording(tape, false);
  cg_tensor *in = cg_borrow(tape, CG_F64, CG_DIMS(n, 2), x);
  cg_tensor *all = cg_softmax(tape, logits(net, tape, in, NULL), 1);
  cg_tensor *one = cg_contiguous(tape, cg_select(tape, all, 1, 1));
  if (one) cg_tensor_read(one, p, sizeof *p * (size_t)n);
  return tape_fine(tape);
}

static void copy(const cg_tensor *from, double *to) {
  for (int64_t i = 0; i < cg_tensor_numel(from); i++)
    to[i] = cg_tensor_get(from, i);
}

/* The z_l are inputs of the gradient, like the parameters. */
bool moons_autograd(const moons_net *net, const moons_data *d, cg_tape *tape,
                    moons_errors *e) {
  enum { N = 3 * MOONS_LAYERS };
  cg_tensor *in[N], *g[N];
  cg_tape_reset(tape);
  cg_tensor *L = mean_loss(net, d, tape, in);
  for (int l = 0; l < MOONS_LAYERS; l++) {
    in[MOONS_LAYERS + l] = net->layer[l]->W;
    in[2 * MOONS_LAYERS + l] = net->layer[l]->b;
  }
  if (cg_grad(tape, &L, 1, NULL, in, N, g, 0)) return tape_fine(tape);
  e->loss = cg_tensor_item(L);
  for (int l = 0; l < MOONS_LAYERS; l++) {
    copy(g[l], e->delta[l]);
    copy(g[MOONS_LAYERS + l], e->dW[l]);
    copy(g[2 * MOONS_LAYERS + l], e->db[l]);
  }
  return true;
}
