/* train_log.c - the learning curve: a table that grows while it trains. */
#include "train_log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

static const char header[] =
    "iteration\tseconds\ttrain_loss\ttrain_bits\tval_loss\tval_bits\t"
    "chars_per_s\tgrad_norm\n";

int train_log_open(train_log *log, const char *path) {
  *log = (train_log){.path = path};
  if (!path) return DEMO_OK;
  log->file = fopen(path, "w");
  if (!log->file)
    return demo_fail(DEMO_FAILED, "cannot write %s: %s", path, strerror(errno));
  setvbuf(log->file, NULL, _IOLBF, BUFSIZ);
  fputs(header, log->file);
  if (!fflush(log->file) && !ferror(log->file)) return DEMO_OK;
  int reason = errno;
  fclose(log->file);
  log->file = NULL;
  return demo_fail(DEMO_FAILED, "cannot write %s: %s", path, strerror(reason));
}

/* Where the rows end that are whole and not after `iteration`; -1 if this is no
 * log. */
static long end_of_rows(FILE *file, int64_t iteration, double *seconds) {
  char line[512];
  if (!fgets(line, sizeof line, file) || strcmp(line, header) != 0) return -1;
  long end = ftell(file);
  while (fgets(line, sizeof line, file) && strchr(line, '\n')) {
    long long at;
    double time;
    if (sscanf(line, "%lld\t%lf\t", &at, &time) != 2 || at > iteration) break;
    *seconds = time;
    end = ftell(file);
  }
  return end;
}

int train_log_resume(train_log *log, const char *path, int64_t iteration,
                     double *seconds) {
  *log = (train_log){.path = path};
  if (!path) return DEMO_OK;
  FILE *file = fopen(path, "r+");
  if (!file) return train_log_open(log, path);
  long end = end_of_rows(file, iteration, seconds);
  if (end < 0) {
    fclose(file);
    return train_log_open(log, path);
  }
  if (fseek(file, end, SEEK_SET) || ftruncate(fileno(file), end)) {
    int reason = errno;
    fclose(file);
    return demo_fail(DEMO_FAILED, "cannot write %s: %s", path,
                     strerror(reason));
  }
  setvbuf(file, NULL, _IOLBF, BUFSIZ);
  log->file = file;
  return DEMO_OK;
}

static void put(FILE *file, const char *fmt, double value, const char *end) {
  if (isnan(value))
    fputs("nan", file); /* printf may write -nan */
  else
    fprintf(file, fmt, value);
  fputs(end, file);
}

void train_log_row(train_log *log, const train_row *r) {
  if (!log->file || log->failed) return;
  errno = 0;
  fprintf(log->file, "%lld\t%.3f\t", (long long)r->iteration, r->seconds);
  put(log->file, "%.17g", r->train_loss, "\t");
  put(log->file, "%.6f", r->train_loss / M_LN2, "\t");
  put(log->file, "%.17g", r->val_loss, "\t");
  put(log->file, "%.6f", r->val_loss / M_LN2, "\t");
  put(log->file, "%.0f", r->chars_per_s, "\t");
  put(log->file, "%.6g", r->grad_norm, "\n");
  if (!ferror(log->file)) return;
  log->failed = true;
  demo_fail(DEMO_FAILED, "cannot write %s: %s; going on without it", log->path,
            strerror(errno));
}

int train_log_close(train_log *log) {
  if (!log->file) return DEMO_OK;
  bool good = !fclose(log->file) && !log->failed;
  log->file = NULL;
  if (good || log->failed) return good ? DEMO_OK : DEMO_FAILED;
  return demo_fail(DEMO_FAILED, "cannot write %s: %s", log->path,
                   strerror(errno));
}
