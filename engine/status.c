/* status.c - the texts of error codes, and filling in an error record. */
#include <chronograd/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[CG_STATUS_COUNT] = {
#define ROW(name, sentence) #name,
    CG_STATUS_LIST(ROW)
#undef ROW
};

static const char *const sentences[CG_STATUS_COUNT] = {
#define ROW(name, sentence) sentence,
    CG_STATUS_LIST(ROW)
#undef ROW
};

const char *cg_status_name(cg_status status) {
  return (unsigned)status < CG_STATUS_COUNT ? names[status] : "UNKNOWN";
}

const char *cg_status_sentence(cg_status status) {
  return (unsigned)status < CG_STATUS_COUNT ? sentences[status]
                                            : "unknown error code";
}

cg_status cg_error_set(cg_error *err, cg_status status, const char *op,
                       const char *fmt, ...) {
  if (!err) return status;
  err->status = status;
  err->scope[0] = '\0';
  snprintf(err->op, sizeof err->op, "%s", op ? op : "");
  if (!fmt) {
    snprintf(err->message, sizeof err->message, "%s",
             cg_status_sentence(status));
    return status;
  }
  va_list args;
  va_start(args, fmt);
  vsnprintf(err->message, sizeof err->message, fmt, args);
  va_end(args);
  return status;
}
