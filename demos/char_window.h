/* char_window.h - loss and gradients of a window of training, its streams split
 * over threads, and the state that goes on to the next window. */
#ifndef CHAR_RNN_CHAR_WINDOW_H
#define CHAR_RNN_CHAR_WINDOW_H

#include "char_model.h"
#include "text_stream.h"

typedef struct char_window {
  cg_data_parallel *parallel;
  float *state[2];    /* h and, of an LSTM, c: [L, B, H]; zeros at first */
  float *next[2];     /* what they become; the walk needs the former */
  size_t state_bytes; /* of each */
} char_window;

/* For windows of B streams. Complains and returns an exit status. */
int char_window_init(char_window *w, const char_model *model, int64_t B,
                     int64_t threads);
void char_window_free(char_window *w);

/* Streams begin anew: the state is zero. */
void char_window_reset(char_window *w);

/* Adds the gradients of the mean loss of the window in `stream` to those of the
 * parameters, and advances the state. */
cg_status char_window_walk(char_window *w, const char_model *model,
                           const text_stream *stream, double *loss,
                           cg_error *err);

/* The sums over the tapes. */
cg_tape_stats char_window_stats(const char_window *w);

#endif
