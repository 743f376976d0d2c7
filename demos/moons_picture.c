/* moons_picture.c - the decision boundary: a table of p over the plane and the
 * points, and a picture of it through gnuplot. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "gnuplot.h"
#include "moons.h"

enum { SIDE = 121, PATH_SIZE = 4096 };

static double grid_x(int i) { return -1.6 + 4.2 * i / (SIDE - 1); }
static double grid_y(int j) { return -1.1 + 2.7 * j / (SIDE - 1); }

/* Block 0: x y p, a row of the grid at a time; block 1: x y class. */
static bool write_table(const char *path, const double *p,
                        const moons_data *d) {
  FILE *to = fopen(path, "w");
  if (!to) return cli_fail("%s: %s", path, strerror(errno));
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
  bool bad = ferror(to);
  if (fclose(to) == 0 && !bad) return true;
  return cli_fail("%s: it cannot be written", path);
}

static void put_script(FILE *to, const char *table, const char *picture) {
  gnuplot_string(to, "table", table);
  gnuplot_string(to, "picture", picture);
  fputs("set contour base\n"
        "set cntrparam levels discrete 0.5\n"
        "unset surface\n"
        "set table $boundary\n"
        "splot table index 0 using 1:2:3\n"
        "unset table\n"
        "set terminal svg size 800,540 background rgb 'white'\n"
        "set output picture\n"
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
        "pointtype 7 pointsize 0.5 linecolor '#d9480f'\n",
        to);
}

static bool draw(const char *table, const char *picture) {
  if (!gnuplot_installed()) {
    printf("decision boundary in %s; no picture: gnuplot is not installed\n",
           table);
    return true;
  }
  FILE *to = gnuplot_begin();
  if (to) put_script(to, table, picture);
  bool ok = gnuplot_end(to);
  if (!ok) return cli_fail("%s: gnuplot failed", picture);
  printf("decision boundary in %s, drawn in %s\n", table, picture);
  return true;
}

bool moons_picture(const moons_net *net, const moons_data *d, cg_tape *tape,
                   const char *base) {
  static double x[SIDE * SIDE * 2], p[SIDE * SIDE];
  char table[PATH_SIZE], picture[PATH_SIZE];
  if (strlen(base) + 5 > PATH_SIZE) return cli_fail("--out: too long a name");
  snprintf(table, sizeof table, "%s.tsv", base);
  snprintf(picture, sizeof picture, "%s.svg", base);
  for (int k = 0; k < SIDE * SIDE; k++) {
    x[2 * k] = grid_x(k % SIDE);
    x[2 * k + 1] = grid_y(k / SIDE);
  }
  return moons_predict(net, x, SIDE * SIDE, tape, p) &&
         write_table(table, p, d) && draw(table, picture);
}
