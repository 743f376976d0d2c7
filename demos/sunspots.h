/* sunspots.h - the forecasts that the program sunspots compares: what a net and
 * a linear autoregression say about the next year. */
#ifndef CHRONOGRAD_DEMOS_SUNSPOTS_H
#define CHRONOGRAD_DEMOS_SUNSPOTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
  SUNSPOTS_FIRST = 1700, /* years */
  SUNSPOTS_LAST = 2008,
  SUNSPOTS_YEARS = SUNSPOTS_LAST - SUNSPOTS_FIRST + 1,
  SUNSPOTS_FITTED = 1920, /* the last year that is fitted */
  SUNSPOTS_ORDER = 9,     /* years that the autoregression looks back */
  SUNSPOTS_KNOWN = 12     /* years before the first forecast that counts */
};

extern const double sunspots_number[SUNSPOTS_YEARS];

/* The series that is fitted, sunspot numbers / SUNSPOTS_SCALE. */
#define SUNSPOTS_SCALE 191.2

/* What is said about each year from those before it; none for the first. */
typedef struct sunspots_forecast {
  double value[SUNSPOTS_YEARS]; /* in units of SUNSPOTS_SCALE */
} sunspots_forecast;

/* The mean square error over the years from `first` to `last`, in units of the
 * variance of the series up to 1979, which is usual for this series. */
double sunspots_relative_variance(const sunspots_forecast *f, int first,
                                  int last);

/* x_t = a_0 + sum_k a_k x_{t-k}, by least squares on the years to 1920. */
bool sunspots_linear(sunspots_forecast *f);

/* A recurrent net that reads the series year by year, fitted to the same. */
typedef struct sunspots_net_options {
  int64_t hidden, steps;
  double lr;
  uint64_t seed;
} sunspots_net_options;

bool sunspots_net(sunspots_forecast *f, const sunspots_net_options *o);

/* Writes BASE.tsv and draws BASE.svg. */
bool sunspots_picture(const char *base, const sunspots_forecast *net,
                      const sunspots_forecast *linear);

#endif
