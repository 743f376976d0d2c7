/* targets.c - what the rows shall reach, on one thread where no other number is
 * said. */
#include "bench.h"

#include <string.h>

static const target targets[] = {
    {"train rnn H100 B1 T25", TARGET_AT_MOST, 0.045},
    {"train rnn H100 B1 T25", TARGET_TORCH, 15},
    {"train rnn H100 B1 T25, replayed", TARGET_AT_MOST, 0.045},
    {"train rnn H100 B1 T25, replayed", TARGET_TORCH, 15},
    {"train rnn H128 B32 T64", TARGET_FRACTION, 0.65},
    {"train rnn H128 B32 T64", TARGET_TORCH, 2.5},
    {"train rnn H256 B32 T64", TARGET_FRACTION, 0.75},
    {"train rnn H512 B50 T50", TARGET_FRACTION, 0.75},
    {"train lstm H128 L2 B50 T50", TARGET_FRACTION, 0.70},
    {"train lstm H512 L2 B50 T50", TARGET_FRACTION, 0.75},
    {"train gru H256 B32 T64", TARGET_FRACTION, 0.70},
    {"train rnn H128 B32 T64, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"train rnn H256 B32 T64, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"train rnn H512 B50 T50, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"train lstm H128 L2 B50 T50, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"train lstm H512 L2 B50 T50, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"train gru H256 B32 T64, 2 threads, over one", TARGET_AT_LEAST,
     1.85},
    {"scalar graph n=1000", TARGET_AT_MOST, 60},
    {"scalar graph n=10000", TARGET_AT_MOST, 60},
    {"scalar graph n=100000", TARGET_AT_MOST, 60},
    {"scalar graph n=1000000", TARGET_AT_MOST, 60},
    {"scalar graph, bytes per node", TARGET_AT_MOST, 160},
    {"scalar graph, slowest n over fastest", TARGET_AT_MOST, 1.5},
    {"scalar graph, most nodes over least, in turns", TARGET_AT_MOST, 1.5},
    {"scalar graph n=100000, denormals flushed", TARGET_AT_MOST, 60},
    {"scalar graph n=1000000, denormals flushed", TARGET_AT_MOST, 60},
    {"scalar chain, most nodes over least, in turns", TARGET_AT_MOST, 1.5},
    {"stream rnn H128", TARGET_AT_MOST, 1.5},
    {"stream rnn H512", TARGET_AT_MOST, 10},
    {"stream lstm H128", TARGET_AT_MOST, 4.5},
    {"stream lstm H512", TARGET_AT_MOST, 160},
    {"stream rnn H128, replayed", TARGET_AT_MOST, 1.5},
    {"stream rnn H512, replayed", TARGET_AT_MOST, 10},
    {"stream lstm H128, replayed", TARGET_AT_MOST, 4.5},
    {"stream lstm H512, replayed", TARGET_AT_MOST, 160},
    {"cell rnn, own over built-in", TARGET_AT_MOST, 1.5},
    {"cell lstm, own over built-in", TARGET_AT_MOST, 1.5},
    {"memory T10000, plain over floor", TARGET_AT_MOST, 1.5},
    {"memory T10000, segments over plain", TARGET_AT_MOST, 5},
    {"memory T10000, time segments over plain", TARGET_AT_MOST, 1.35},
    {"start-up to one train step", TARGET_AT_MOST, 3},
    {"start-up, resident memory", TARGET_AT_MOST, 8},
};

const target *target_next(const char *row, const target *after) {
  const target *end = targets + sizeof targets / sizeof *targets;
  for (const target *t = after ? after + 1 : targets; t < end; t++)
    if (!strcmp(t->row, row)) return t;
  return NULL;
}
