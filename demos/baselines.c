/* baselines.c - the entropies that a network's loss is compared with. */
#include "baselines.h"

#include <math.h>
#include <stdio.h>

#include "ngram.h"

bool baselines_measure(baselines *b, const text_data *data) {
  const symbols *train = &data->train, *test = &data->validation;
  ngram *counts =
      ngram_new(train->at, train->count, data->vocabulary.size);
  if (!counts) return false;
  for (int k = 0; k < 3; k++) {
    double one = ngram_entropy(counts, k + 1, NGRAM_ADD_ONE, test->at,
                               test->count);
    double wb = ngram_entropy(counts, k + 1, NGRAM_WITTEN_BELL, test->at,
                              test->count);
    b->entropy[k] = fmin(one, wb);
    b->smoothing[k] = one < wb ? "add one" : "Witten-Bell";
  }
  ngram_free(counts);
  return true;
}

static void print_row(const char *name, double nats, const char *remark) {
  printf("  %-12s %8.4f %12.4f   %s\n", name, nats, nats / M_LN2, remark);
}

void baselines_print(const baselines *b, double loss) {
  static const char *const names[] = {"unigram", "bigram", "trigram"};
  puts("validation text, per character:");
  puts("                   nats         bits");
  for (int k = 0; k < 3; k++)
    print_row(names[k], b->entropy[k], b->smoothing[k]);
  print_row("this network", loss,
            loss < b->entropy[2] ? "below the trigram baseline"
                                 : "not below the trigram baseline");
}
