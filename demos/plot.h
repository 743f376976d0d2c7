/* plot.h - tables as files, and pictures of them through gnuplot, where that is
 * installed. Functions that return bool have printed one line (cli.h) when it
 * is false. */
#ifndef CHRONOGRAD_DEMOS_PLOT_H
#define CHRONOGRAD_DEMOS_PLOT_H

#include <stdbool.h>
#include <stdio.h>

/* PREFIX.NAME.tsv for writing, or PREFIX.tsv if `name` is NULL; NULL after a
 * message. */
FILE *plot_table_open(const char *prefix, const char *name);
/* Closes it; everything must have arrived. */
bool plot_table_close(FILE *to, const char *prefix, const char *name);

/* Draws PREFIX.NAME.svg by a script of gnuplot's, in which the string `table`
 * is the name of PREFIX.NAME.tsv; terminal and output are set, tabs separate.
 * False, with nothing printed, without gnuplot, or if it finds nothing to draw.
 */
bool plot_draw(const char *prefix, const char *name, const char *script);

/* Closes BASE.tsv, draws BASE.svg by such a script, `size` ("720,460") large,
 * and says where `what` is to be seen. */
bool plot_end(FILE *to, const char *base, const char *what, const char *size,
              const char *script);

#endif
