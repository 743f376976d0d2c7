/* demo.h - what the rooms of char_rnn share: exit statuses, and how an error
 * becomes one line on stderr. */
#ifndef CHAR_RNN_DEMO_H
#define CHAR_RNN_DEMO_H

#include <chronograd/status.h>

enum {
  DEMO_OK = 0,
  DEMO_FAILED = 1, /* it could not be done: memory, disk, a loss of NaN */
  DEMO_USAGE = 2   /* it cannot be done: bad options, bad files */
};

/* Prints "char_rnn: <message>" as one line on stderr and returns `status`. */
int demo_fail(int status, const char *fmt, ...) CG_PRINTF(2, 3);

/* The same for an error of the library, after a few words of ours. A file that
 * is refused is the user's (DEMO_USAGE), all else is DEMO_FAILED. */
int demo_fail_cg(const cg_error *err, const char *fmt, ...) CG_PRINTF(2, 3);

#endif
