/* text_data.h - texts from files: symbols, training part, validation part. */
#ifndef CHAR_RNN_TEXT_DATA_H
#define CHAR_RNN_TEXT_DATA_H

#include <stddef.h>
#include <stdint.h>

/* The symbols of a text: the bytes that occur in it, in ascending order. */
typedef struct vocabulary {
  int size;
  unsigned char byte[256]; /* of a symbol */
  int16_t symbol[256];     /* of a byte; -1 if it is none */
} vocabulary;

/* Fills in the numbers from a set of bytes (256 flags). */
void vocabulary_from_set(vocabulary *v, const unsigned char set[256]);
/* As hexadecimal digits, two a byte, and back; parse answers 0 for anything but
 * 1 to 256 different bytes in ascending order. */
enum { VOCABULARY_TEXT = 2 * 256 + 1 };
void vocabulary_print(const vocabulary *v, char text[VOCABULARY_TEXT]);
int vocabulary_parse(vocabulary *v, const char *text);

/* A text as symbols. */
typedef struct symbols {
  uint8_t *at;
  size_t count;
} symbols;

/* Both parts of a text, in one alphabet. */
typedef struct text_data {
  vocabulary vocabulary; /* of both */
  symbols train;
  symbols validation;
} text_data;

/* Reads files. The last `val_fraction` of each file is for validation, so that
 * both parts are of the same kind whatever the files are. Complains and returns
 * an exit status if a file cannot be read, or if all are empty. */
int text_data_load(text_data *data, char *const *paths, int count,
                   double val_fraction);
void text_data_free(text_data *data);

/* Reads files into symbols of a given vocabulary; a byte that is not in it is
 * an error, as above. The caller frees text->at. */
int text_load(symbols *text, char *const *paths, int count,
              const vocabulary *v);

#endif
