/* draw_test.h - what the tests of drawings share: a directory of their own, the
 * text of the last drawing, and what Graphviz says to it. */
#ifndef DRAW_TEST_H
#define DRAW_TEST_H

#include <stdio.h>
#include <unistd.h>

#include "engine_test.h"

#define PATH_SIZE 512

static cg_tape *tape;
static char directory[PATH_SIZE / 2], file[PATH_SIZE];
static char *text; /* of the last drawing */

static inline void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  const char *base = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/test_draw.XXXXXX",
           base ? base : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  snprintf(file, sizeof file, "%s/graph.dot", directory);
}

static inline void teardown(void) {
  cg_tape_free(tape);
  free(text);
  text = NULL;
  unlink(file);
  ck_assert_msg(rmdir(directory) == 0, "%s is not empty", directory);
}

/* ---- helpers ---- */

static inline char *read_whole(const char *path) {
  FILE *in = fopen(path, "rb");
  ck_assert_ptr_nonnull(in);
  fseek(in, 0, SEEK_END);
  size_t size = (size_t)ftell(in);
  rewind(in);
  char *bytes = malloc(size + 1);
  ck_assert_ptr_nonnull(bytes);
  ck_assert_uint_eq(fread(bytes, 1, size, in), size);
  bytes[size] = '\0';
  fclose(in);
  return bytes;
}

static inline void draw(cg_tensor *root, const cg_draw_options *options) {
  cg_error err = {0};
  cg_status status = cg_draw(tape, root, file, options, &err);
  ck_assert_msg(status == CG_OK, "%s", err.message);
  free(text);
  text = read_whole(file);
}

/* Not with strstr, which under a sanitizer measures all that follows, each
 * time. */
static inline int count(const char *part) {
  size_t n = strlen(part), size = strlen(text);
  int times = 0;
  for (size_t i = 0; i + n <= size; i++)
    times += text[i] == *part && !memcmp(text + i, part, n);
  return times;
}

static inline void has(const char *part, int times) {
  int n = count(part);
  ck_assert_msg(n == times, "\"%s\" is there %d times, not %d, in\n%s", part, n,
                times, text);
}

/* The depth of braces at which `part` stands. */
static inline int depth_of(const char *part) {
  const char *end = strstr(text, part);
  ck_assert_msg(end != NULL, "no %s", part);
  int depth = 0;
  for (const char *p = text; p < end; p++) depth += (*p == '{') - (*p == '}');
  return depth;
}

static inline bool have_dot(void) {
  return system("dot -V >/dev/null 2>&1") == 0;
}

/* Graphviz reads it without a word and keeps `parts` (in SVG). */
static inline void dot_accepts(const char *const *parts, int n_parts) {
  if (!have_dot()) return;
  char command[3 * PATH_SIZE];
  snprintf(command, sizeof command, "cd '%s' && dot -Tsvg graph.dot >svg 2>log",
           directory);
  int status = system(command);
  char path[PATH_SIZE + 8];
  snprintf(path, sizeof path, "%s/log", directory);
  char *log = read_whole(path);
  unlink(path);
  snprintf(path, sizeof path, "%s/svg", directory);
  char *svg = read_whole(path);
  unlink(path);
  ck_assert_msg(status == 0 && !*log, "dot says: %s\n%s", log, text);
  for (int i = 0; i < n_parts; i++)
    ck_assert_msg(strstr(svg, parts[i]), "the picture lacks %s\n%s", parts[i],
                  svg);
  free(log);
  free(svg);
}

static inline cg_tensor *named(const char *name, int rank,
                               const int64_t *shape) {
  cg_tensor *x = leaf_of(NULL, rank, shape);
  cg_leaf_fill(x, 0.385);
  cg_leaf_set_name(x, name);
  return x;
}

#endif
