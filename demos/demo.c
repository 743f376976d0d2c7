/* demo.c - errors of char_rnn as one line, and their exit statuses. */
#include "demo.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli.h"

int demo_fail(int status, const char *fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  fflush(stdout); /* what was said before comes before */
  cli_fail("%s", text);
  return status;
}

int demo_fail_cg(const cg_error *err, const char *fmt, ...) {
  char text[512];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  bool refused = err->status == CG_ERR_FORMAT || err->status == CG_ERR_DTYPE;
  return demo_fail(refused ? DEMO_USAGE : DEMO_FAILED, "%s: %s", text,
                   *err->message ? err->message
                                 : cg_status_sentence(err->status));
}
