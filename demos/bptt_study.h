/* bptt_study.h - what the files of `bptt --study` share: the derivation's
 * statements 4 to 8 for one problem, printed, checked and written. */
#ifndef CHRONOGRAD_DEMOS_BPTT_STUDY_H
#define CHRONOGRAD_DEMOS_BPTT_STUDY_H

#include <stdio.h>

#include "bptt.h"

typedef struct study {
  const cg_bptt_problem *p;
  cg_bptt_result r; /* BPTT by hand */
  bptt_net net;
  const char *prefix; /* of the files, or NULL */
  double tolerance;
  int checks, bad;
  int pictures; /* drawn */
} study;

/* Each prints its part. False after an error, which was printed: not if
 * something does not agree. */
bool study_ledger(study *s);     /* 4: who contributed what */
bool study_paths(study *s);      /* 5: the long form */
bool study_jacobians(study *s);  /* 6: vanishing and exploding */
bool study_truncation(study *s); /* 7: full against truncated */
bool study_rtrl(study *s);       /* 8: forward in time */
bool study_costs(study *s);      /* of 5 and 8, beside the recursion's */

/* Prints whether `error` is within the tolerance, and counts. */
void study_check(study *s, const char *what, double error);
/* |a - b| / max(|a|, |b|) over n numbers; 0 if both vanish. */
double study_distance(const double *a, const double *b, int64_t n);
/* The next row of a long table to print after row i: all at first, fewer and
 * fewer then. */
int64_t study_next_row(int64_t i);

/* A table for --out: NULL without it, or after a message, which *ok tells. */
FILE *study_open(const study *s, const char *name, bool *ok);
/* Closes it (NULL is fine) and draws it, unless `script` is NULL. */
bool study_close(study *s, FILE *to, const char *name, const char *script);

#endif
