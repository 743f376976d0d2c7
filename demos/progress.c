/* progress.c - a progress bar, or lines where there is no terminal. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 20
#define BAR_SECONDS 0.1
#define LINE_FRACTION 0.05

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

progress progress_begin(void) {
  return (progress){.bar = isatty(STDOUT_FILENO)};
}

bool progress_due(const progress *p, double fraction, double now) {
  return p->bar ? now >= p->next_at : fraction >= p->next_at;
}

static void put_bar(double fraction) {
  int full = (int)(fraction * BAR_WIDTH);
  fputs("\r[", stdout);
  for (int i = 0; i < BAR_WIDTH; i++) fputc(i < full ? '#' : '.', stdout);
  fputs("] ", stdout);
}

void progress_show(progress *p, const progress_state *s, double now) {
  long left = lrint(ceil(fmin(s->left, 1e8)));
  if (p->bar) put_bar(s->fraction);
  printf("%3.0f %%  iteration %lld  loss %.3f  %.3f bits/char  "
         "%.0f k chars/s  %ld:%02ld left%s",
         100 * s->fraction, (long long)s->iteration, s->loss, s->loss / M_LN2,
         1e-3 * s->chars_per_s, left / 60, left % 60, p->bar ? "\033[K" : "\n");
  fflush(stdout);
  p->drawn = p->bar;
  double line = floor(s->fraction / LINE_FRACTION) + 1;
  p->next_at = p->bar ? now + BAR_SECONDS : line * LINE_FRACTION;
}

void progress_say(progress *p, const char *fmt, ...) {
  if (p->drawn) fputs("\r\033[K", stdout);
  p->drawn = false;
  va_list args;
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  fputc('\n', stdout);
  fflush(stdout);
}
