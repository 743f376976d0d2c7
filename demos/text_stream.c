/* text_stream.c - a text as B parallel streams, window by window. */
#include "text_stream.h"

#include <stdlib.h>

bool text_stream_init(text_stream *s, const symbols *text, int64_t B, int64_t T,
                      uint64_t seed) {
  *s = (text_stream){.text = text, .B = B, .T = T, .rng = cg_rng_seed(seed)};
  s->length = ((int64_t)text->count - 1) / B;
  s->at = s->length; /* the first window begins a pass */
  s->in = calloc((size_t)(B * T), sizeof *s->in);
  s->next = calloc((size_t)(B * T), sizeof *s->next);
  if (s->in && s->next) return true;
  text_stream_free(s);
  return false;
}

void text_stream_free(text_stream *s) {
  free(s->in);
  free(s->next);
  s->in = s->next = NULL;
}

size_t text_stream_needs(int64_t B, int64_t T) { return (size_t)(B * T + 1); }

bool text_stream_next(text_stream *s) {
  bool begins = s->at + s->T > s->length;
  int64_t n = (int64_t)s->text->count;
  if (begins) {
    s->at = 0;
    s->origin = cg_rng_below(&s->rng, n);
  }
  for (int64_t t = 0; t < s->T; t++)
    for (int64_t b = 0; b < s->B; b++) {
      int64_t i = (s->origin + b * s->length + s->at + t) % n;
      s->in[t * s->B + b] = s->text->at[i];
      s->next[t * s->B + b] = s->text->at[(i + 1) % n];
    }
  s->at += s->T;
  return begins;
}

/* ---- measuring ---- */

void text_stream_rewind(text_stream *s) {
  s->at = s->origin = 0;
  s->length = ((int64_t)s->text->count - 1 + s->B - 1) / s->B;
}

int64_t text_stream_measure(text_stream *s) {
  int64_t n = (int64_t)s->text->count;
  int64_t steps = s->length - s->at < s->T ? s->length - s->at : s->T;
  for (int64_t t = 0; t < steps; t++)
    for (int64_t b = 0; b < s->B; b++) {
      int64_t i = b * s->length + s->at + t;
      s->in[t * s->B + b] = i < n - 1 ? s->text->at[i] : 0;
      s->next[t * s->B + b] = i < n - 1 ? s->text->at[i + 1] : -1;
    }
  s->at += steps;
  return steps;
}
