/* ngram.h - how well the one or two symbols before predict the next: the
 * baselines that a network has to beat. */
#ifndef CHAR_RNN_NGRAM_H
#define CHAR_RNN_NGRAM_H

#include <stddef.h>
#include <stdint.h>

/* How the probability of what was never seen is estimated. n() counts in the
 * training text, t() counts the different symbols seen after a context, and V
 * is the size of the alphabet:
 *
 *   add one      p(c | ab) = (n(abc) + 1) / (n(ab) + V)
 *   Witten-Bell  p(c | ab) = (n(abc) + t(ab) p(c | b)) / (n(ab) + t(ab)),
 *                p(c | b) likewise from p(c), and p(c) from 1/V; a context that
 *                was never seen leaves it to the shorter one
 */
typedef enum ngram_smoothing {
  NGRAM_ADD_ONE,
  NGRAM_WITTEN_BELL
} ngram_smoothing;

/* Counts of single symbols, pairs and triples. */
typedef struct ngram ngram;

/* Counts a text of n symbols below V, 1 <= V <= 256. NULL if out of memory. */
ngram *ngram_new(const uint8_t *text, size_t n, int V);
void ngram_free(ngram *counts);

/* p(c) for order 1, p(c | b) for order 2, p(c | ab) for order 3. */
double ngram_probability(const ngram *counts, int order,
                         ngram_smoothing smoothing, int a, int b, int c);

/* The mean of -log p over text[1], ..., text[n-1], in nats: what a model that
 * has read the first symbol needs for each of the rest. (The second symbol has
 * one before it: order 3 predicts it as order 2.) NaN for n < 2. */
double ngram_entropy(const ngram *counts, int order, ngram_smoothing smoothing,
                     const uint8_t *text, size_t n);

#endif
