/* plot.c - tables as files, and pictures of them through gnuplot. */
#include "plot.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { PATH_SIZE = 4096 };

static bool path_of(char path[PATH_SIZE], const char *prefix, const char *name,
                    const char *ending) {
  int n = snprintf(path, PATH_SIZE, "%s.%s.%s", prefix, name, ending);
  return (n > 0 && n < PATH_SIZE) || cli_fail("--out: too long a name");
}

FILE *plot_table_open(const char *prefix, const char *name) {
  char path[PATH_SIZE];
  if (!path_of(path, prefix, name, "tsv")) return NULL;
  FILE *to = fopen(path, "w");
  if (!to) cli_fail("--out: %s: %s", path, strerror(errno));
  return to;
}

bool plot_table_close(FILE *to, const char *prefix, const char *name) {
  bool bad = ferror(to);
  if (fclose(to) == 0 && !bad) return true;
  return cli_fail("--out: %s.%s.tsv cannot be written", prefix, name);
}

/* A string of gnuplot's: in single quotes, which are doubled within. */
static void put_string(FILE *to, const char *name, const char *value) {
  fprintf(to, "%s = '", name);
  for (; *value; value++) {
    if (*value == '\'') fputc('\'', to);
    fputc(*value, to);
  }
  fputs("'\n", to);
}

bool plot_available(void) {
  return system("command -v gnuplot >/dev/null 2>&1") == 0;
}

bool plot_draw(const char *prefix, const char *name, const char *script) {
  char table[PATH_SIZE], picture[PATH_SIZE];
  if (!path_of(table, prefix, name, "tsv") ||
      !path_of(picture, prefix, name, "svg") || !plot_available())
    return false;
  fflush(stdout);
  void (*before)(int) = signal(SIGPIPE, SIG_IGN); /* gnuplot may give up */
  FILE *to = popen("gnuplot 2>/dev/null", "w");
  if (to) {
    put_string(to, "table", table);
    put_string(to, "picture", picture);
    fprintf(to,
            "set terminal svg size 720,460 background rgb 'white'\n"
            "set output picture\n"
            "set datafile separator tab\n"
            "set datafile missing 'nan'\n%s",
            script);
  }
  bool ok = to && pclose(to) == 0;
  signal(SIGPIPE, before);
  if (!ok) remove(picture); /* half of one */
  return ok;
}
