/* ngram.c - counts of symbols, pairs and triples, and what they predict. */
#include "ngram.h"

#include <math.h>
#include <stdlib.h>

/* The successors of every context of one length. */
typedef struct table {
  uint32_t *count; /* [contexts, V] */
  uint32_t *total; /* [contexts]: sum of a row of count */
  uint32_t *types; /* [contexts]: entries of a row that are not 0 */
  size_t contexts;
} table;

struct ngram {
  int V;
  table after[3]; /* after no symbol, after one, after two */
};

static int table_init(table *t, size_t contexts, int V) {
  t->contexts = contexts;
  t->count = calloc(contexts * (size_t)V, sizeof *t->count);
  t->total = calloc(contexts, sizeof *t->total);
  t->types = calloc(contexts, sizeof *t->types);
  return t->count && t->total && t->types;
}

static void table_add(table *t, int V, size_t context, int c) {
  uint32_t *count = &t->count[context * (size_t)V + (size_t)c];
  t->types[context] += *count == 0;
  t->total[context]++;
  ++*count;
}

ngram *ngram_new(const uint8_t *text, size_t n, int V) {
  ngram *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  g->V = V;
  size_t contexts = 1;
  for (int k = 0; k < 3; k++, contexts *= (size_t)V)
    if (!table_init(&g->after[k], contexts, V)) {
      ngram_free(g);
      return NULL;
    }
  for (size_t i = 0; i < n; i++) {
    size_t b = i > 0 ? text[i - 1] : 0, a = i > 1 ? text[i - 2] : 0;
    table_add(&g->after[0], V, 0, text[i]);
    if (i > 0) table_add(&g->after[1], V, b, text[i]);
    if (i > 1) table_add(&g->after[2], V, a * (size_t)V + b, text[i]);
  }
  return g;
}

void ngram_free(ngram *g) {
  if (!g) return;
  for (int k = 0; k < 3; k++) {
    free(g->after[k].count);
    free(g->after[k].total);
    free(g->after[k].types);
  }
  free(g);
}

static size_t context_of(const ngram *g, int order, int a, int b) {
  size_t V = (size_t)g->V;
  return order == 3 ? (size_t)a * V + (size_t)b : order == 2 ? (size_t)b : 0;
}

static double add_one(const ngram *g, int order, int a, int b, int c) {
  const table *t = &g->after[order - 1];
  size_t context = context_of(g, order, a, b);
  double n = t->count[context * (size_t)g->V + (size_t)c];
  return (n + 1) / ((double)t->total[context] + g->V);
}

static double witten_bell(const ngram *g, int order, int a, int b, int c) {
  double p = 1.0 / g->V;
  for (int k = 1; k <= order; k++) {
    const table *t = &g->after[k - 1];
    size_t context = context_of(g, k, a, b);
    double n = t->count[context * (size_t)g->V + (size_t)c];
    double total = t->total[context], types = t->types[context];
    if (total > 0) p = (n + types * p) / (total + types);
  }
  return p;
}

double ngram_probability(const ngram *g, int order, ngram_smoothing smoothing,
                         int a, int b, int c) {
  return smoothing == NGRAM_ADD_ONE ? add_one(g, order, a, b, c)
                                    : witten_bell(g, order, a, b, c);
}

double ngram_entropy(const ngram *g, int order, ngram_smoothing smoothing,
                     const uint8_t *text, size_t n) {
  double sum = 0;
  for (size_t i = 1; i < n; i++) {
    int known = i == 1 && order == 3 ? 2 : order;
    int a = i > 1 ? text[i - 2] : 0;
    sum -= log(ngram_probability(g, known, smoothing, a, text[i - 1], text[i]));
  }
  return n < 2 ? NAN : sum / (double)(n - 1);
}
