/* moons_picture.c - the decision boundary: a table of p over the plane and the
 * points, and a picture of it through gnuplot. */
#include <stdio.h>

#include "moons.h"
#include "plot.h"

enum { SIDE = 121 };

static double grid_x(int i) { return -1.6 + 4.2 * i / (SIDE - 1); }
static double grid_y(int j) { return -1.1 + 2.7 * j / (SIDE - 1); }

/* Block 0: x y p, a row of the grid at a time; block 1: x y class. */
static void put_table(FILE *to, const double *p, const moons_data *d) {
  for (int j = 0; j < SIDE; j++) {
    for (int i = 0; i < SIDE; i++)
      fprintf(to, "%.4f\t%.4f\t%.6f\n", grid_x(i), grid_y(j),
              p[j * SIDE + i]);
    fputc('\n', to);
  }
  fputc('\n', to);
  for (int64_t i = 0; i < d->n; i++)
    fprintf(to, "%.6f\t%.6f\t%d\n", d->x[2 * i], d->x[2 * i + 1],
            (int)d->y[i]);
}

/* The boundary's table is gnuplot's own, with blanks between the columns. */
static const char script[] =
    "set datafile separator whitespace\n"
    "set contour base\n"
    "set cntrparam levels discrete 0.5\n"
    "unset surface\n"
    "set table $boundary\n"
    "splot table index 0 using 1:2:3\n"
    "unset table\n"
    "set palette defined (0 '#9ec5fe', 0.5 '#ffffff', 1 '#ffc9a3')\n"
    "set cbrange [0:1]\n"
    "set cblabel 'probability of the second moon'\n"
    "set xrange [-1.6:2.6]\n"
    "set yrange [-1.1:1.6]\n"
    "unset key\n"
    "plot table index 0 using 1:2:3 with image, "
    "$boundary using 1:2 with lines linewidth 2 linecolor 'black', "
    "table index 1 using 1:($3 < 0.5 ? $2 : 1/0) with points "
    "pointtype 7 pointsize 0.5 linecolor '#0b5ed7', "
    "table index 1 using 1:($3 > 0.5 ? $2 : 1/0) with points "
    "pointtype 7 pointsize 0.5 linecolor '#d9480f'\n";

bool moons_picture(const moons_net *net, const moons_data *d, cg_tape *tape,
                   const char *base) {
  static double x[SIDE * SIDE * 2], p[SIDE * SIDE];
  for (int k = 0; k < SIDE * SIDE; k++) {
    x[2 * k] = grid_x(k % SIDE);
    x[2 * k + 1] = grid_y(k / SIDE);
  }
  if (!moons_predict(net, x, SIDE * SIDE, tape, p)) return false;
  FILE *to = plot_table_open(base, NULL);
  if (!to) return false;
  put_table(to, p, d);
  return plot_end(to, base, "decision boundary", "800,540", script);
}
