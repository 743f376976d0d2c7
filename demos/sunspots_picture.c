/* sunspots_picture.c - the series and both forecasts, as a table and drawn. */
#include <errno.h>
#include <string.h>

#include "cli.h"
#include "gnuplot.h"
#include "sunspots.h"

enum { PATH_SIZE = 4096 };

static bool write_table(const char *path, const sunspots_forecast *net,
                        const sunspots_forecast *linear) {
  FILE *to = fopen(path, "w");
  if (!to) return cli_fail("%s: %s", path, strerror(errno));
  fputs("year\tsunspots\tnet\tlinear\n", to);
  for (int t = SUNSPOTS_KNOWN; t < SUNSPOTS_YEARS; t++)
    fprintf(to, "%d\t%.1f\t%.3f\t%.3f\n", SUNSPOTS_FIRST + t,
            sunspots_number[t], SUNSPOTS_SCALE * net->value[t],
            SUNSPOTS_SCALE * linear->value[t]);
  bool bad = ferror(to);
  if (fclose(to) == 0 && !bad) return true;
  return cli_fail("%s: it cannot be written", path);
}

static void put_script(FILE *to, const char *table, const char *picture) {
  gnuplot_string(to, "table", table);
  gnuplot_string(to, "picture", picture);
  fputs("set terminal svg size 900,420 background rgb 'white'\n"
        "set output picture\n"
        "set datafile separator tab\n"
        "set xlabel 'year'\n"
        "set ylabel 'sunspots, mean of the year'\n"
        "set xrange [1880:2009]\n"
        "set yrange [-10:240]\n"
        "set grid\n"
        "set key top left horizontal\n"
        "set arrow from 1920.5, graph 0 to 1920.5, graph 1 nohead "
        "dashtype 2\n"
        "set label 'fitted' at 1919.5, 215 right\n"
        "set label 'forecast of the next year' at 1921.5, 215\n"
        "plot table every ::1 using 1:2 with points pointtype 7 "
        "pointsize 0.4 linecolor 'black' title 'observed', "
        "table every ::1 using 1:3 with lines linewidth 2 "
        "linecolor '#0b5ed7' title 'recurrent net', "
        "table every ::1 using 1:4 with lines linewidth 1 "
        "linecolor '#d9480f' title 'linear autoregression'\n",
        to);
}

bool sunspots_picture(const char *base, const sunspots_forecast *net,
                      const sunspots_forecast *linear) {
  char table[PATH_SIZE], picture[PATH_SIZE];
  if (strlen(base) + 5 > PATH_SIZE) return cli_fail("--out: too long a name");
  snprintf(table, sizeof table, "%s.tsv", base);
  snprintf(picture, sizeof picture, "%s.svg", base);
  if (!write_table(table, net, linear)) return false;
  if (!gnuplot_installed()) {
    printf("forecasts in %s; no picture: gnuplot is not installed\n", table);
    return true;
  }
  FILE *to = gnuplot_begin();
  if (to) put_script(to, table, picture);
  if (!gnuplot_end(to)) return cli_fail("%s: gnuplot failed", picture);
  printf("forecasts in %s, drawn in %s\n", table, picture);
  return true;
}
