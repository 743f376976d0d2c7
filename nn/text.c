/* text.c - checking and displaying strings that came from outside. */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

/* Bytes of the sequence that `lead` announces; 0 if it can't start one. */
static size_t sequence_length(unsigned char lead) {
  if (lead < 0x80)
    return 1;
  if (lead < 0xc2)
    return 0;
  if (lead < 0xe0)
    return 2;
  if (lead < 0xf0)
    return 3;
  return lead < 0xf5 ? 4 : 0;
}

/* The length of the character at s and its code point; 0 if it is not UTF-8.
 * A terminating zero is no continuation byte, so this never reads beyond it. */
static size_t decode(const char *s, uint32_t *code) {
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char lead = (unsigned char)s[0];
  size_t length = sequence_length(lead);
  if (length < 2) {
    *code = lead;
    return length;
  }
  uint32_t value = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    if (!is_continuation((unsigned char)s[i]))
      return 0;
    value = value << 6 | ((unsigned char)s[i] & 0x3fu);
  }
  *code = value;
  bool surrogate = value >= 0xd800 && value <= 0xdfff;
  return value < smallest[length] || value > 0x10ffff || surrogate ? 0 : length;
}

bool cg_text_is_utf8(const char *text) {
  uint32_t code;
  while (*text != '\0') {
    size_t length = decode(text, &code);
    if (length == 0)
      return false;
    text += length;
  }
  return true;
}

/* Characters that would act on a terminal or log instead of being seen:
 * C0 and C1 controls, line separators, changes of writing direction. */
static bool is_unseen(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
         (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f;
}

/* Writes one character of text at `out` (at least 17 bytes) as it is shown;
 * returns how many bytes of text it was, *written how many it became. */
static size_t show_character(char *out, const char *text, size_t *written) {
  uint32_t code;
  size_t length = decode(text, &code);
  if (length > 0 && !is_unseen(code)) {
    memcpy(out, text, length);
    *written = length;
    return length;
  }
  length = length == 0 ? 1 : length;
  for (size_t i = 0; i < length; i++)
    snprintf(out + 4 * i, 5, "\\x%02x", (unsigned char)text[i] & 0xffu);
  *written = 4 * length;
  return length;
}

const char *cg_text_show(char *buf, size_t size, const char *text) {
  char shown[20];
  size_t used = 0, written, last_fit = 0;
  while (*text != '\0') {
    text += show_character(shown, text, &written);
    if (used + written + 1 > size) {
      memcpy(buf + last_fit, "...", 4);
      return buf;
    }
    memcpy(buf + used, shown, written);
    used += written;
    if (used + 4 <= size)
      last_fit = used;
  }
  buf[used] = '\0';
  return buf;
}

const char *cg_text_show_path(char *buf, size_t size, const char *path) {
  size_t length = strlen(path);
  if (length < size)
    return cg_text_show(buf, size, path);
  const char *tail = path + length - (size - 4);
  while (is_continuation((unsigned char)*tail))
    tail++;
  memcpy(buf, "...", 3);
  cg_text_show(buf + 3, size - 3, tail);
  return buf;
}
