/* sunspots_picture.c - the series and both forecasts, as a table and drawn. */
#include "plot.h"
#include "sunspots.h"

static void put_table(FILE *to, const sunspots_forecast *net,
                      const sunspots_forecast *linear) {
  fputs("year\tsunspots\tnet\tlinear\n", to);
  for (int t = SUNSPOTS_KNOWN; t < SUNSPOTS_YEARS; t++)
    fprintf(to, "%d\t%.1f\t%.3f\t%.3f\n", SUNSPOTS_FIRST + t,
            sunspots_number[t], SUNSPOTS_SCALE * net->value[t],
            SUNSPOTS_SCALE * linear->value[t]);
}

static const char script[] =
    "set xlabel 'year'\n"
    "set ylabel 'sunspots, mean of the year'\n"
    "set xrange [1880:2009]\n"
    "set yrange [-10:240]\n"
    "set grid\n"
    "set key top left horizontal\n"
    "set arrow from 1920.5, graph 0 to 1920.5, graph 1 nohead dashtype 2\n"
    "set label 'fitted' at 1919.5, 215 right\n"
    "set label 'forecast of the next year' at 1921.5, 215\n"
    "plot table every ::1 using 1:2 with points pointtype 7 "
    "pointsize 0.4 linecolor 'black' title 'observed', "
    "table every ::1 using 1:3 with lines linewidth 2 "
    "linecolor '#0b5ed7' title 'recurrent net', "
    "table every ::1 using 1:4 with lines linewidth 1 "
    "linecolor '#d9480f' title 'linear autoregression'\n";

bool sunspots_picture(const char *base, const sunspots_forecast *net,
                      const sunspots_forecast *linear) {
  FILE *to = plot_table_open(base, NULL);
  if (!to) return false;
  put_table(to, net, linear);
  return plot_end(to, base, "forecasts", "900,420", script);
}
