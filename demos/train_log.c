/* train_log.c - the learning curve: a table that grows while it trains. */
#include "train_log.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "demo.h"

int train_log_open(train_log *log, const char *path) {
  *log = (train_log){.path = path};
  if (!path) return DEMO_OK;
  log->file = fopen(path, "w");
  if (!log->file)
    return demo_fail(DEMO_FAILED, "cannot write %s: %s", path, strerror(errno));
  setvbuf(log->file, NULL, _IOLBF, BUFSIZ);
  fputs("iteration\tseconds\ttrain_loss\ttrain_bits\tval_loss\tval_bits\t"
        "chars_per_s\tgrad_norm\n",
        log->file);
  if (!fflush(log->file) && !ferror(log->file)) return DEMO_OK;
  int reason = errno;
  fclose(log->file);
  log->file = NULL;
  return demo_fail(DEMO_FAILED, "cannot write %s: %s", path, strerror(reason));
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
