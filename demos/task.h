/* task.h - the experiments: what a run of one is given and what it reports.
 *
 * A run trains a net of its own from one seed, so that several can go on at
 * once in different threads.
 */
#ifndef CHRONOGRAD_DEMOS_TASK_H
#define CHRONOGRAD_DEMOS_TASK_H

#include <chronograd/nn.h>

typedef struct task_result {
  bool solved;
  double score;      /* what the criterion looks at */
  int64_t sequences; /* trained on until solved, or until it gave up */
  double seconds;
  char note[96];  /* what else is worth a look */
  cg_error error; /* of a run that could not be done */
} task_result;

/* An experiment: a task and a cell. */
typedef struct task {
  const char *name, *about;
  cg_cell_kind cell;
  void (*run)(const struct task *task, uint64_t seed, task_result *result);
  int seeds;         /* how many runs there are */
  bool shown_only;   /* it is there to be seen failing, or slow */
  const char *score; /* its name */
  const char *criterion;
  int64_t most; /* sequences until it gives up */
} task;

void task_adding(const task *t, uint64_t seed, task_result *result);
void task_order(const task *t, uint64_t seed, task_result *result);
void task_reber(const task *t, uint64_t seed, task_result *result);
void task_addition(const task *t, uint64_t seed, task_result *result);

#endif
