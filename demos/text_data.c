/* text_data.c - texts from files: symbols, training part, validation part. */
#include "text_data.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

/* ---- vocabulary ---- */

void vocabulary_from_set(vocabulary *v, const unsigned char set[256]) {
  v->size = 0;
  for (int byte = 0; byte < 256; byte++) {
    v->symbol[byte] = -1;
    if (!set[byte]) continue;
    v->symbol[byte] = (int16_t)v->size;
    v->byte[v->size++] = (unsigned char)byte;
  }
}

void vocabulary_print(const vocabulary *v, char text[VOCABULARY_TEXT]) {
  text[0] = '\0';
  for (int i = 0; i < v->size; i++)
    snprintf(text + 2 * i, 3, "%02x", (unsigned)v->byte[i]);
}

static int digit(char c) {
  const char *digits = "0123456789abcdef";
  const char *found = c ? strchr(digits, c) : NULL;
  return found ? (int)(found - digits) : -1;
}

int vocabulary_parse(vocabulary *v, const char *text) {
  size_t length = strlen(text);
  if (length == 0 || length % 2 != 0 || length >= VOCABULARY_TEXT) return 0;
  unsigned char set[256] = {0};
  int last = -1;
  for (size_t i = 0; i < length; i += 2) {
    int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0 || 16 * high + low <= last) return 0;
    last = 16 * high + low;
    set[last] = 1;
  }
  vocabulary_from_set(v, set);
  return 1;
}

/* ---- files ---- */

typedef struct bytes {
  unsigned char *at;
  size_t count, capacity;
} bytes;

static bool make_room(bytes *b, size_t more) {
  if (b->capacity - b->count >= more) return true;
  size_t capacity = 2 * b->capacity + more;
  unsigned char *at = capacity > b->capacity ? realloc(b->at, capacity) : NULL;
  if (!at) return false;
  b->at = at;
  b->capacity = capacity;
  return true;
}

/* Appends what is left of `in`; errno tells what went wrong. */
static bool read_all(bytes *b, FILE *in) {
  enum { PIECE = 1 << 16 };
  size_t got;
  do {
    if (!make_room(b, PIECE)) {
      errno = ENOMEM;
      return false;
    }
    got = fread(b->at + b->count, 1, PIECE, in);
    b->count += got;
  } while (got == PIECE);
  return !ferror(in);
}

static int append_file(bytes *b, const char *path) {
  FILE *in = fopen(path, "rb");
  bool good = in && read_all(b, in);
  int reason = errno;
  if (in) fclose(in);
  if (good) return DEMO_OK;
  return demo_fail(reason == ENOMEM ? DEMO_FAILED : DEMO_USAGE,
                   "cannot read %s: %s", path, strerror(reason));
}

/* Reads all files; ends[i] is where file i ends. */
static int read_files(bytes *b, size_t *ends, char *const *paths, int count) {
  for (int i = 0; i < count; i++) {
    int status = append_file(b, paths[i]);
    if (status) return status;
    ends[i] = b->count;
  }
  if (b->count > 0) return DEMO_OK;
  return demo_fail(DEMO_USAGE, "%s: the text is empty",
                   count == 1 ? paths[0] : "all files");
}

/* ---- both parts ---- */

static void append(symbols *to, const vocabulary *v, const unsigned char *from,
                   size_t count) {
  for (size_t i = 0; i < count; i++)
    to->at[to->count++] = (uint8_t)v->symbol[from[i]];
}

static int split(text_data *data, const bytes *b, const size_t *ends, int count,
                 double val_fraction) {
  unsigned char set[256] = {0};
  for (size_t i = 0; i < b->count; i++) set[b->at[i]] = 1;
  vocabulary_from_set(&data->vocabulary, set);
  data->train.at = malloc(b->count);
  data->validation.at = malloc(b->count);
  if (!data->train.at || !data->validation.at)
    return demo_fail(DEMO_FAILED, "out of memory");
  size_t begin = 0;
  for (int i = 0; i < count; i++) {
    size_t n = ends[i] - begin;
    size_t held = (size_t)ceil((double)n * val_fraction);
    append(&data->train, &data->vocabulary, b->at + begin, n - held);
    append(&data->validation, &data->vocabulary, b->at + ends[i] - held, held);
    begin = ends[i];
  }
  return DEMO_OK;
}

int text_data_load(text_data *data, char *const *paths, int count,
                   double val_fraction) {
  *data = (text_data){0};
  bytes b = {0};
  size_t *ends = calloc((size_t)count, sizeof *ends);
  int status = ends ? read_files(&b, ends, paths, count)
                    : demo_fail(DEMO_FAILED, "out of memory");
  if (!status) status = split(data, &b, ends, count, val_fraction);
  free(ends);
  free(b.at);
  if (status) text_data_free(data);
  return status;
}

void text_data_free(text_data *data) {
  free(data->train.at);
  free(data->validation.at);
  data->train = data->validation = (symbols){0};
}

/* ---- in a given vocabulary ---- */

static int translate(const bytes *b, const size_t *ends, char *const *paths,
                     const vocabulary *v) {
  size_t begin = 0;
  for (size_t i = 0; i < b->count; i++) {
    while (i >= *ends) begin = *ends++, paths++;
    int symbol = v->symbol[b->at[i]];
    if (symbol < 0)
      return demo_fail(DEMO_USAGE,
                       "%s: byte 0x%02x at offset %zu is not in the model's "
                       "vocabulary",
                       *paths, (unsigned)b->at[i], i - begin);
    b->at[i] = (unsigned char)symbol;
  }
  return DEMO_OK;
}

int text_load(symbols *text, char *const *paths, int count,
              const vocabulary *v) {
  bytes b = {0};
  size_t *ends = calloc((size_t)count, sizeof *ends);
  int status = ends ? read_files(&b, ends, paths, count)
                    : demo_fail(DEMO_FAILED, "out of memory");
  if (!status) status = translate(&b, ends, paths, v);
  free(ends);
  if (status) free(b.at);
  *text = status ? (symbols){0} : (symbols){b.at, b.count};
  return status;
}
