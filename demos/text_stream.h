/* text_stream.h - a text as B parallel streams, window by window.
 *
 * The text is cut into B streams of equal length. A window takes the next T
 * symbols of each, so that a net which carries its state from window to window
 * reads every stream from its beginning to its end.
 */
#ifndef CHAR_RNN_TEXT_STREAM_H
#define CHAR_RNN_TEXT_STREAM_H

#include <stdbool.h>

#include <chronograd/rng.h>

#include "text_data.h"

typedef struct text_stream {
  const symbols *text;
  int64_t B, T;
  int64_t length; /* symbols of a stream that are read and have a successor */
  int64_t at;     /* position in each stream */
  int64_t origin; /* where stream 0 begins */
  cg_rng rng;     /* of the origins */
  int64_t *in;    /* [T, B], the window */
  int64_t *next;  /* [T, B], what follows each */
} text_stream;

/* False when out of memory. The text is borrowed. */
bool text_stream_init(text_stream *s, const symbols *text, int64_t B, int64_t T,
                      uint64_t seed);
void text_stream_free(text_stream *s);

/* The length that a text needs to give one window of every stream. */
size_t text_stream_needs(int64_t B, int64_t T);

/* For training: the next window. When no whole window is left, a new pass
 * begins, over a text that is turned around a circle to a random origin, so
 * that its windows are others. Returns whether a pass has begun: states start
 * anew. */
bool text_stream_next(text_stream *s);

/* For measuring: rewinds to the beginning of the text itself. */
void text_stream_rewind(text_stream *s);
/* The next window, which may be the last and shorter; returns its number of
 * steps, 0 at the end. Every symbol but the text's first is predicted exactly
 * once: places past the end have next = -1. */
int64_t text_stream_measure(text_stream *s);

#endif
