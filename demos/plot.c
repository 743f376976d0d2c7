/* plot.c - tables as files, and pictures of them through gnuplot. */
#include "plot.h"

#include <errno.h>
#include <string.h>

#include "cli.h"
#include "gnuplot.h"

enum { PATH_SIZE = 4096 };

/* PREFIX.NAME.ENDING, or PREFIX.ENDING. */
static bool path_of(char path[PATH_SIZE], const char *prefix, const char *name,
                    const char *ending) {
  int n = name ? snprintf(path, PATH_SIZE, "%s.%s.%s", prefix, name, ending)
               : snprintf(path, PATH_SIZE, "%s.%s", prefix, ending);
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
  char path[PATH_SIZE];
  bool bad = ferror(to);
  if (fclose(to) == 0 && !bad) return true;
  if (!path_of(path, prefix, name, "tsv")) return false;
  return cli_fail("--out: %s cannot be written", path);
}

static bool draw(const char *prefix, const char *name, const char *size,
                 const char *script) {
  char table[PATH_SIZE], picture[PATH_SIZE];
  if (!path_of(table, prefix, name, "tsv") ||
      !path_of(picture, prefix, name, "svg") || !gnuplot_installed())
    return false;
  FILE *to = gnuplot_begin();
  if (to) {
    gnuplot_string(to, "table", table);
    gnuplot_string(to, "picture", picture);
    fprintf(to,
            "set terminal svg size %s background rgb 'white'\n"
            "set output picture\n"
            "set datafile separator tab\n"
            "set datafile missing 'nan'\n%s",
            size, script);
  }
  bool ok = gnuplot_end(to);
  if (!ok) remove(picture); /* half of one */
  return ok;
}

bool plot_draw(const char *prefix, const char *name, const char *script) {
  return draw(prefix, name, "720,460", script);
}

bool plot_end(FILE *to, const char *base, const char *what, const char *size,
              const char *script) {
  if (!plot_table_close(to, base, NULL)) return false;
  if (draw(base, NULL, size, script))
    printf("%s in %s.tsv, drawn in %s.svg\n", what, base, base);
  else if (gnuplot_installed())
    return cli_fail("%s.svg: gnuplot failed", base);
  else
    printf("%s in %s.tsv; no picture: gnuplot is not installed\n", what, base);
  return true;
}
