/* progress.h - what a person sees while it trains: a bar that is drawn over and
 * over on a terminal, a line now and then elsewhere. */
#ifndef CHAR_RNN_PROGRESS_H
#define CHAR_RNN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <chronograd/status.h>

/* Seconds from some fixed moment, of a clock that is never set back. */
double seconds_now(void);

/* Where training stands. */
typedef struct progress_state {
  double fraction; /* done, 0 .. 1 */
  double elapsed, left; /* seconds */
  int64_t iteration;
  double loss; /* nats */
  double chars_per_s;
} progress_state;

typedef struct progress {
  bool bar;       /* stdout is a terminal */
  bool drawn;     /* a bar stands on the current line */
  double next_at; /* when (bar) or at what fraction (lines) to show again */
} progress;

progress progress_begin(void);
/* Is it time to show something? Asks the clock only on a terminal. */
bool progress_due(const progress *p, double fraction, double now);
void progress_show(progress *p, const progress_state *state, double now);
/* Prints a line of its own, in place of a bar. */
void progress_say(progress *p, const char *fmt, ...) CG_PRINTF(2, 3);

#endif
