/* task_net.h - what the experiments share: a recurrent layer, a linear one on
 * top, an optimizer and a tape. */
#ifndef CHRONOGRAD_DEMOS_TASK_NET_H
#define CHRONOGRAD_DEMOS_TASK_NET_H

#include "task.h"

typedef struct task_net_config {
  cg_cell_kind cell;
  int64_t inputs, hidden, outputs;
  double lr, clip; /* of Adam; of the norm of the gradient */
  double weight_decay;
  uint64_t seed;
} task_net_config;

typedef struct task_net {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_optimizer *adam;
  cg_tape *tape;
  double clip;
} task_net;

/* False after an error, which is then in *err. */
bool task_net_make(task_net *net, const task_net_config *config, cg_error *err);
void task_net_free(task_net *net);

/* The outputs for x [T, B, I]: of all steps [T, B, K] or of the last [B, K]. */
cg_tensor *task_net_all(const task_net *net, cg_tensor *x);
cg_tensor *task_net_last(const task_net *net, cg_tensor *x);

/* One step of the optimizer down the gradient of L, which becomes *loss. */
bool task_net_update(const task_net *net, cg_tensor *L, double *loss,
                     cg_error *err);

/* A task: the training loss of a fresh batch, drawn from *rng, on the tape; and
 * a test on batches that are the same every time, which sets result's score and
 * whether it is solved. NULL and false after an error, which task_net_fine
 * finds. Both draw into `batch`. */
typedef struct task_kind {
  cg_tensor *(*loss)(const task_net *net, void *batch, cg_rng *rng);
  bool (*test)(const task_net *net, void *batch, cg_rng *rng,
               task_result *result);
  int sequences; /* in a batch */
  int every;     /* batches between two tests */
} task_kind;

/* Trains a net from `seed`, then tests it, until it is solved or has seen
 * t->most sequences. */
void task_net_solve(const task *t, const task_net_config *config,
                    const task_kind *kind, void *batch, task_result *result);

/* Forgets what is on the tape; records or only computes from here on. */
void task_net_begin(const task_net *net, bool training);
/* False if something on the tape failed, which is then in *err. */
bool task_net_fine(const task_net *net, cg_error *err);

#endif
