/* char_trainer.h - all that lives while char_rnn trains. */
#ifndef CHAR_RNN_CHAR_TRAINER_H
#define CHAR_RNN_CHAR_TRAINER_H

#include <chronograd/nn.h>

#include "baselines.h"
#include "char_model.h"
#include "char_options.h"
#include "char_window.h"
#include "progress.h"
#include "text_stream.h"
#include "train_log.h"

typedef struct trainer {
  const char_options *o;
  text_data data;
  baselines baselines;
  text_stream stream;
  char_model model;
  cg_optimizer *optimizer;
  cg_plateau plateau;
  cg_tape *tape; /* to measure on */
  char_window window;
  progress progress;
  train_log log;
  double started;            /* seconds_now() */
  double before;             /* seconds of training that went before that */
  int64_t first;             /* iterations that went before */
  int64_t iteration;         /* updates so far */
  double fraction;           /* of the work done */
  double loss, norm;         /* of the last window */
  double loss_sum;           /* over the windows since the log's last row */
  int64_t windows;           /* how many those are */
  int64_t validations;       /* so far */
  int64_t measured;          /* iteration of the last of them */
  double val_loss;           /* its loss */
  double fallen;             /* the rate's factor by --schedule plateau */
  double best;               /* the lowest, of the model that is kept */
  int64_t best_iteration;
  cg_tape_stats warm;        /* the tapes after the first iterations */
} trainer;

#endif
