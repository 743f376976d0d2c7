/* profile_write.c - a profile as a file: tab-separated, or as a table. */
#include <chronograd/profile.h>

#include <inttypes.h>
#include <string.h>

#include "text_file.h"

/* Op names are free text; a line and its columns must stay what they are. */
static void put_name(text_file *out, const char *name) {
  for (; *name; name++) {
    unsigned char c = (unsigned char)*name;
    text_print(out, "%c", c < 0x20 || c == 0x7F ? '?' : c);
  }
}

/* ---- tab-separated ---- */

static void put_tsv(text_file *out, const cg_profile_row *rows, int n) {
  text_print(out, "op\tforward_calls\tforward_ns\tforward_bytes\t"
                  "backward_calls\tbackward_ns\tbackward_bytes\n");
  for (int i = 0; i < n; i++) {
    const cg_profile_part *f = &rows[i].forward, *b = &rows[i].backward;
    put_name(out, rows[i].name);
    text_print(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, f->calls,
               f->nanoseconds, f->bytes);
    text_print(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", b->calls,
               b->nanoseconds, b->bytes);
  }
}

/* ---- a table ---- */

static uint64_t time_of(const cg_profile_row *r) {
  return r->forward.nanoseconds + r->backward.nanoseconds;
}

static void put_part(text_file *out, const cg_profile_part *p) {
  text_print(out, " %10" PRIu64 " %10.3f %14" PRIu64, p->calls,
             (double)p->nanoseconds * 1e-6, p->bytes);
}

static void put_line(text_file *out, const cg_profile_row *r, double all) {
  put_name(out, r->name);
  text_print(out, "%*s", 32 - (int)strlen(r->name), "");
  put_part(out, &r->forward);
  put_part(out, &r->backward);
  text_print(out, " %6.1f %%\n", all > 0 ? 100 * (double)time_of(r) / all : 0);
}

static void add(cg_profile_part *sum, const cg_profile_part *p) {
  sum->calls += p->calls;
  sum->nanoseconds += p->nanoseconds;
  sum->bytes += p->bytes;
}

static void put_table(text_file *out, const cg_profile_row *rows, int n) {
  cg_profile_row sum = {.name = "total"};
  for (int i = 0; i < n; i++) {
    add(&sum.forward, &rows[i].forward);
    add(&sum.backward, &rows[i].backward);
  }
  text_print(out, "%-32s %10s %10s %14s %10s %10s %14s %8s\n", "op", "forward",
             "ms", "bytes", "backward", "ms", "bytes", "time");
  for (int i = 0; i < n; i++) put_line(out, &rows[i], (double)time_of(&sum));
  put_line(out, &sum, (double)time_of(&sum));
}

/* ---- the call ---- */

cg_status cg_profile_write(const cg_tape *tape, const char *path,
                           cg_profile_format format, cg_error *err) {
  if (!tape || !path ||
      (format != CG_PROFILE_TSV && format != CG_PROFILE_TABLE))
    return cg_error_set(err, CG_ERR_ARG, "profile_write",
                        "the tape, path or format is none");
  text_file out;
  int n;
  const cg_profile_row *rows = cg_profile_rows(tape, &n);
  text_open(&out, path);
  if (format == CG_PROFILE_TSV)
    put_tsv(&out, rows, n);
  else
    put_table(&out, rows, n);
  return text_close(&out, "profile_write", err);
}
