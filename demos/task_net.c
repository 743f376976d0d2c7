/* task_net.c - the net of an experiment. */
#include "task_net.h"

/* Of an LSTM: gates that keep 95 % a step remember some twenty of them from the
 * start, and no seed has to find that out (Tallec and Ollivier 2018). */
#define FORGET_BIAS 3

bool task_net_make(task_net *net, const task_net_config *c, cg_error *err) {
  cg_rng rng = cg_rng_seed(c->seed);
  *net = (task_net){.clip = c->clip};
  const bool forgets = c->cell == CG_CELL_LSTM;
  cg_rnn_config rnn = {.cell = c->cell,
                       .input_size = c->inputs,
                       .hidden_size = c->hidden,
                       .forget_bias = forgets ? FORGET_BIAS : 0};
  cg_linear_config fc = {.in_features = c->hidden, .out_features = c->outputs};
  cg_adam_config adam = {.lr = c->lr, .weight_decay = c->weight_decay};
  net->tape = cg_tape_new(NULL);
  if (!net->tape) return cg_error_set(err, CG_ERR_NOMEM, "tape", NULL), false;
  net->params = cg_params_new(NULL, CG_F32, err);
  if (net->params) net->rnn = cg_rnn_new(net->params, "rnn", &rnn, &rng, err);
  if (net->rnn)
    net->fc = cg_linear_layer_new(net->params, "fc", &fc, &rng, err);
  if (net->fc) net->adam = cg_adam_new(net->params, &adam, err);
  return net->adam != NULL;
}

void task_net_free(task_net *net) {
  cg_optimizer_free(net->adam);
  cg_tape_free(net->tape);
  cg_params_free(net->params);
}

static cg_tensor *states(const task_net *net, cg_tensor *x) {
  return cg_rnn_forward_from(net->tape, net->rnn, x, (cg_rnn_state){0}, NULL).h;
}

cg_tensor *task_net_all(const task_net *net, cg_tensor *x) {
  return cg_linear_layer_forward(net->tape, net->fc, states(net, x));
}

cg_tensor *task_net_last(const task_net *net, cg_tensor *x) {
  return cg_linear_layer_forward(net->tape, net->fc,
                                 cg_select(net->tape, states(net, x), 0, -1));
}

bool task_net_update(const task_net *net, cg_tensor *L, double *loss,
                     cg_error *err) {
  cg_params_zero_grad(net->params);
  if (cg_backward(net->tape, L)) return task_net_fine(net, err);
  *loss = cg_tensor_item(L);
  return !cg_clip_grad_norm(net->params, net->clip, NULL, err) &&
         !cg_optimizer_step(net->adam, err);
}

/* Some batches, but none behind t->most. */
static bool train(const task_net *net, const task *t, const task_kind *kind,
                  void *batch, cg_rng *rng, task_result *result) {
  double loss;
  for (int i = 0; i < kind->every && result->sequences < t->most; i++) {
    task_net_begin(net, true);
    cg_tensor *L = kind->loss(net, batch, rng);
    if (!task_net_update(net, L, &loss, &result->error)) return false;
    result->sequences += kind->sequences;
  }
  return true;
}

void task_net_solve(const task *t, const task_net_config *config,
                    const task_kind *kind, void *batch, task_result *result) {
  task_net net;
  cg_rng rng = cg_rng_seed(config->seed + 1000);
  bool ok = task_net_make(&net, config, &result->error);
  while (ok && !result->solved && result->sequences < t->most) {
    cg_rng same = cg_rng_seed(~config->seed);
    ok = train(&net, t, kind, batch, &rng, result) &&
         (kind->test(&net, batch, &same, result) ||
          task_net_fine(&net, &result->error));
  }
  task_net_free(&net);
}

void task_net_begin(const task_net *net, bool training) {
  cg_tape_reset(net->tape);
  cg_tape_set_recording(net->tape, training);
}

bool task_net_fine(const task_net *net, cg_error *err) {
  if (!cg_tape_status(net->tape)) return true;
  *err = *cg_tape_error(net->tape);
  return false;
}
