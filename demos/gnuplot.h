/* gnuplot.h - pictures, drawn by gnuplot if it is installed. */
#ifndef CHRONOGRAD_DEMOS_GNUPLOT_H
#define CHRONOGRAD_DEMOS_GNUPLOT_H

#include <stdbool.h>
#include <stdio.h>

bool gnuplot_installed(void);

/* Starts gnuplot, which reads what is written; NULL if that fails. A gnuplot
 * that gives up early does no harm. */
FILE *gnuplot_begin(void);
/* Ends it. False if it didn't draw, or if `to` is NULL. */
bool gnuplot_end(FILE *to);

/* Writes `name = '<value>'`: any path is a string of gnuplot's then. */
void gnuplot_string(FILE *to, const char *name, const char *value);

#endif
