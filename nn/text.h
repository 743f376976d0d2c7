/* text.h - strings that came from outside: are they UTF-8, and how to show them
 * in an error message. Private to nn. */
#ifndef CHRONOGRAD_NN_TEXT_H
#define CHRONOGRAD_NN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Is `text` well-formed UTF-8 (no overlong forms, no surrogates)? */
bool cg_text_is_utf8(const char *text);

/* Copies `text` to buf for display and returns buf: control characters and
 * bytes that are not UTF-8 become \xNN, what does not fit ends in "...".
 * size >= 16. */
const char *cg_text_show(char *buf, size_t size, const char *text);

/* The same for a path: of one that does not fit, the end is kept. */
const char *cg_text_show_path(char *buf, size_t size, const char *path);

#endif
