/* char_options.h - what can be said on char_rnn's command line. */
#ifndef CHAR_RNN_CHAR_OPTIONS_H
#define CHAR_RNN_CHAR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <chronograd/rnn.h>

#include "char_schedule.h"

/* The options of all three commands; each reads its own. */
typedef struct char_options {
  char *const *files; /* --data, in order; points into argv */
  int n_files;
  const char *model, *save, *log, *prompt, *resume; /* NULL: not given */
  cg_cell_kind cell;
  int64_t embedding; /* 0: none */
  int64_t hidden, layers, batch, steps;
  int64_t threads;
  int64_t iterations; /* 0: as many as fit in `seconds` */
  double seconds;
  const char *optimizer; /* its name in the library */
  char_schedule schedule;
  double warmup;         /* the part of training that it takes */
  double lr, clip;       /* clip 0: none */
  int64_t save_every;    /* iterations, with `resume` */
  double val_fraction;
  int64_t validations;
  int64_t length;
  double temperature;
  uint64_t seed;
} char_options;

typedef enum char_command { CHAR_TRAIN, CHAR_SAMPLE, CHAR_EVAL } char_command;

/* Reads argv[2..] for the command argv[1]. Complains and returns DEMO_USAGE;
 * --help sets *help. Rearranges argv. */
int char_options_parse(char_options *o, char_command command, int argc,
                       char **argv, bool *help);
void char_options_help(void);

#endif
