/* train_curve.c - the picture of a learning curve, through gnuplot. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gnuplot.h"
#include "train_log.h"

/* "curve.tsv" becomes "curve.svg"; any other name gets ".svg" added. */
static char *picture_path(const char *log) {
  size_t length = strlen(log);
  char *path = malloc(length + 5);
  if (!path) return NULL;
  memcpy(path, log, length + 1);
  if (length > 4 && strcmp(path + length - 4, ".tsv") == 0) length -= 4;
  memcpy(path + length, ".svg", 5);
  return path;
}

static void put_script(FILE *to, const char *log, const char *picture,
                       double baseline) {
  gnuplot_string(to, "log", log);
  gnuplot_string(to, "picture", picture);
  fprintf(to, "baseline = %.6f\n", baseline / M_LN2);
  fputs("set terminal svg size 800,500 background rgb 'white'\n"
        "set output picture\n"
        "set datafile separator tab\n"
        "set datafile missing 'nan'\n"
        "set title 'char\\_rnn: what a character costs'\n"
        "set xlabel 'seconds of training'\n"
        "set ylabel 'bits per character'\n"
        "set grid\n"
        "set key top right\n"
        "plot log every ::1 using 2:4 with lines title 'training', "
        "log every ::1 using 2:(valid(6) ? $6 : 1/0) with linespoints "
        "linewidth 2 pointtype 7 title 'validation', "
        "baseline with lines dashtype 2 title 'trigram baseline'\n",
        to);
}

void train_log_draw(const char *log, double baseline) {
  if (!log) return;
  struct stat info;
  if (stat(log, &info) || !S_ISREG(info.st_mode)) return;
  if (!gnuplot_installed()) {
    puts("no picture of the learning curve: gnuplot is not installed");
    return;
  }
  char *picture = picture_path(log);
  FILE *to = picture ? gnuplot_begin() : NULL;
  if (to) put_script(to, log, picture, baseline);
  if (gnuplot_end(to))
    printf("learning curve drawn in %s\n", picture);
  else
    puts("no picture of the learning curve: gnuplot failed");
  free(picture);
}
