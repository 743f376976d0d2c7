/* cli.c - what the programs share: one-line errors, options, their values. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

bool cli_fail(const char *fmt, ...) {
  char line[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  for (char *c = line; *c; c++)
    if (iscntrl((unsigned char)*c)) *c = '?';
  fprintf(stderr, "%s: %s\n", cli_program, line);
  return false;
}

/* ---- numbers ---- */

/* Numbers begin with no white space, which strtol would skip. */
static bool is_whole(const char *text, const char *end) {
  return *text && !isspace((unsigned char)*text) && *end == '\0';
}

bool cli_int64(const char *option, const char *text, int64_t lo, int64_t hi,
               int64_t *value) {
  char *end;
  errno = 0;
  intmax_t n = strtoimax(text, &end, 10);
  if (!is_whole(text, end))
    return cli_fail("%s: \"%s\" is no whole number", option, text);
  if (errno || n < lo || n > hi)
    return cli_fail("%s: %s is not in %" PRId64 " .. %" PRId64, option, text,
                    lo, hi);
  *value = (int64_t)n;
  return true;
}

bool cli_uint64(const char *option, const char *text, uint64_t *value) {
  char *end;
  errno = 0;
  uintmax_t n = strtoumax(text, &end, 10);
  if (!isdigit((unsigned char)*text) || *end)
    return cli_fail("%s: \"%s\" is no whole number from 0 on", option, text);
  if (errno || n > UINT64_MAX)
    return cli_fail("%s: %s is above %" PRIu64, option, text, UINT64_MAX);
  *value = (uint64_t)n;
  return true;
}

bool cli_double(const char *option, const char *text, double lo, double hi,
                double *value) {
  char *end;
  double x = strtod(text, &end);
  if (!is_whole(text, end) || !isfinite(x))
    return cli_fail("%s: \"%s\" is no finite number", option, text);
  if (x < lo || x > hi)
    return cli_fail("%s: %s is not in %g .. %g", option, text, lo, hi);
  *value = x;
  return true;
}

/* ---- words ---- */

bool cli_choice(const char *option, const char *text, const char *const *words,
                int count, int *value) {
  char list[256] = "";
  for (int i = 0; i < count; i++) {
    if (strcmp(text, words[i]) == 0) {
      *value = i;
      return true;
    }
    size_t at = strlen(list);
    snprintf(list + at, sizeof list - at, i ? ", %s" : "%s", words[i]);
  }
  return cli_fail("%s: \"%s\" is none of %s", option, text, list);
}

/* ---- files ---- */

static bool same_file(const char *a, const char *b) {
  struct stat info[2];
  if (stat(a, &info[0]) != 0 || stat(b, &info[1]) != 0)
    return strcmp(a, b) == 0;
  return S_ISREG(info[0].st_mode) && info[0].st_dev == info[1].st_dev &&
         info[0].st_ino == info[1].st_ino;
}

bool cli_may_write(const char *option, const char *path, const char *other) {
  if (!path) return true;
  if (!*path) return cli_fail("%s: a file needs a name", option);
  if (!other || !same_file(path, other)) return true;
  return cli_fail("%s: %s is already in use as %s", option, path, other);
}

/* ---- options ---- */

static const char *long_name(const struct option *options, int val) {
  for (; options->name; options++)
    if (options->val == val) return options->name;
  return NULL;
}

bool cli_refused(int result, char *const *argv, const struct option *options) {
  const char *known = long_name(options, optopt);
  if (result == ':' && known) return cli_fail("--%s needs a value", known);
  if (result == ':') return cli_fail("-%c needs a value", optopt);
  if (known) return cli_fail("--%s takes no value", known);
  if (optopt && optopt < 256)
    return cli_fail("unknown option -%c; see --help", optopt);
  return cli_fail("unknown option %s; see --help", argv[optind - 1]);
}

bool cli_options(int argc, char **argv, const struct option *options,
                 bool (*set)(void *command, int val), void *command,
                 bool *help) {
  int option;
  opterr = 0;
  while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
    if (option == '?' || option == ':')
      return cli_refused(option, argv, options);
    if (option == CLI_HELP) return *help = true;
    if (!set(command, option)) return false;
  }
  return true;
}

bool cli_no_operands(int argc, char **argv) {
  return optind >= argc ||
         cli_fail("what is \"%s\"? there are only options; see --help",
                  argv[optind]);
}

/* ---- time ---- */

double cli_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the end ---- */

bool cli_close_stdout(void) {
  bool before = ferror(stdout);
  errno = 0;
  if (fclose(stdout) == 0 && !before) return true;
  return cli_fail("cannot write to standard output: %s",
                  errno ? strerror(errno) : "an earlier write failed");
}
