/* train_curve.c - the picture of a learning curve, through gnuplot. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gnuplot.h"
#include "train_log.h"

char *train_log_picture(const char *log) {
  size_t length = strlen(log);
  char *path = malloc(length + 5);
  if (!path) return NULL;
  memcpy(path, log, length + 1);
  if (length > 4 && strcmp(path + length - 4, ".tsv") == 0) length -= 4;
  memcpy(path + length, ".svg", 5);
  return path;
}

/* Is there a file that gnuplot did not draw? Its pictures say so early on. */
static bool is_foreign(const char *path) {
  char head[1024];
  FILE *file = fopen(path, "r");
  if (!file) return false;
  size_t n = fread(head, 1, sizeof head - 1, file);
  fclose(file);
  head[n] = '\0';
  return n > 0 && !strstr(head, "Produced by GNUPLOT");
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

static void draw(const char *log, const char *picture, double baseline) {
  FILE *to = gnuplot_begin();
  if (to) put_script(to, log, picture, baseline);
  if (gnuplot_end(to))
    printf("learning curve drawn in %s\n", picture);
  else
    puts("no picture of the learning curve: gnuplot failed");
}

void train_log_draw(const char *log, double baseline) {
  if (!log) return;
  struct stat info;
  if (stat(log, &info) || !S_ISREG(info.st_mode)) return;
  char *picture = train_log_picture(log);
  if (!gnuplot_installed())
    puts("no picture of the learning curve: gnuplot is not installed");
  else if (!picture)
    puts("no picture of the learning curve: out of memory");
  else if (is_foreign(picture))
    printf("no picture of the learning curve: %s is another file\n", picture);
  else
    draw(log, picture, baseline);
  free(picture);
}
