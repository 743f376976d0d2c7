/* train_log.h - the learning curve: a table that grows while it trains, and its
 * picture. */
#ifndef CHAR_RNN_TRAIN_LOG_H
#define CHAR_RNN_TRAIN_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A file of tab-separated values, its header first. Each row is written out at
 * once, so that a crash loses none. */
typedef struct train_log {
  FILE *file;       /* NULL: no log was asked for */
  const char *path;
  bool failed;      /* a row could not be written; said once */
} train_log;

typedef struct train_row {
  int64_t iteration;
  double seconds;
  double train_loss; /* nats; NaN: not measured */
  double val_loss;   /* likewise */
  double chars_per_s;
  double grad_norm;
} train_row;

/* Creates the file and writes the header; `path` NULL: no log. Complains and
 * returns an exit status. */
int train_log_open(train_log *log, const char *path);
/* The same for a training that goes on after `iteration`: keeps the rows up to
 * there of a log that is there, and writes the time of the last one to
 * *seconds, if there is any. */
int train_log_resume(train_log *log, const char *path, int64_t iteration,
                     double *seconds);
void train_log_row(train_log *log, const train_row *row);
/* Closes it; DEMO_FAILED if anything was not written. */
int train_log_close(train_log *log);

/* Where the log's curve is drawn: "curve.svg" for "curve.tsv"; any other name
 * gets ".svg" added. To be freed; NULL without memory. */
char *train_log_picture(const char *path);
/* Draws it, with a line at `baseline` nats, through gnuplot; says where it is,
 * or why there is none. A picture by gnuplot is replaced, no other file is. */
void train_log_draw(const char *path, double baseline);

#endif
