/* gnuplot.c - a pipe to gnuplot. */
#include "gnuplot.h"

#include <signal.h>
#include <stdlib.h>

bool gnuplot_installed(void) {
  return system("command -v gnuplot >/dev/null 2>&1") == 0;
}

/* SIGPIPE is ignored as long as the pipe is open: gnuplot may give up. */
FILE *gnuplot_begin(void) {
  fflush(stdout);
  signal(SIGPIPE, SIG_IGN);
  FILE *to = popen("gnuplot 2>/dev/null", "w");
  if (!to) signal(SIGPIPE, SIG_DFL);
  return to;
}

bool gnuplot_end(FILE *to) {
  bool ok = to && pclose(to) == 0;
  if (to) signal(SIGPIPE, SIG_DFL);
  return ok;
}

/* In single quotes, which are doubled within. */
void gnuplot_string(FILE *to, const char *name, const char *value) {
  fprintf(to, "%s = '", name);
  for (; *value; value++) {
    if (*value == '\'') fputc('\'', to);
    fputc(*value, to);
  }
  fputs("'\n", to);
}
