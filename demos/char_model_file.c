/* char_model_file.c - the model's file: parameters, and in the metadata the
 * sizes and the vocabulary. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "char_model.h"
#include "demo.h"

cg_status char_model_save(const char_model *m, const char *path,
                          cg_error *err) {
  char hidden[24], layers[24], embedding[24], bytes[VOCABULARY_TEXT];
  snprintf(hidden, sizeof hidden, "%lld", (long long)m->hidden);
  snprintf(layers, sizeof layers, "%d", m->layers);
  snprintf(embedding, sizeof embedding, "%lld", (long long)m->embedding);
  vocabulary_print(&m->vocabulary, bytes);
  const cg_metadata metadata[] = {
      {"format", "pt"},     {"model", "char_rnn"}, {"hidden", hidden},
      {"layers", layers},   {"nonlinearity", "tanh"},
      {"vocabulary", bytes}, {"cell", char_cell_names[m->cell]},
      {"embedding", embedding}};
  int n = (int)(sizeof metadata / sizeof *metadata);
  return cg_params_save(m->params, path, metadata, n, err);
}

/* A size in the metadata; 0 if it is missing or not in 1 .. max. */
static long read_size(const cg_safetensors *file, const char *key, long max) {
  const char *text = cg_safetensors_metadata(file, key);
  if (!text || *text < '1' || *text > '9') return 0;
  char *end;
  errno = 0;
  long n = strtol(text, &end, 10);
  return errno || *end || n > max ? 0 : n;
}

static int read_word(const cg_safetensors *file, const char *path,
                     const char *key, const char *word) {
  const char *text = cg_safetensors_metadata(file, key);
  if (text && strcmp(text, word) == 0) return DEMO_OK;
  if (!text)
    return demo_fail(DEMO_USAGE, "%s is no char_rnn model: it has no \"%s\"",
                     path, key);
  return demo_fail(DEMO_USAGE, "%s has \"%s\": \"%s\", which is not %s", path,
                   key, text, word);
}

static int read_cell(char_model *m, const cg_safetensors *file,
                     const char *path) {
  const char *text = cg_safetensors_metadata(file, "cell");
  for (int i = 0; text && i < CG_CELL_COUNT; i++)
    if (strcmp(text, char_cell_names[i]) == 0) {
      m->cell = (cg_cell_kind)i;
      return DEMO_OK;
    }
  if (!text) return read_word(file, path, "cell", "");
  return demo_fail(DEMO_USAGE, "%s has \"cell\": \"%s\", which is not known",
                   path, text);
}

static int read_metadata(char_model *m, const cg_safetensors *file,
                         const char *path) {
  int status = read_word(file, path, "model", "char_rnn");
  if (!status) status = read_cell(m, file, path);
  if (!status) status = read_word(file, path, "nonlinearity", "tanh");
  if (status) return status;
  const char *bytes = cg_safetensors_metadata(file, "vocabulary");
  m->hidden = read_size(file, "hidden", MODEL_MAX_HIDDEN);
  m->layers = (int)read_size(file, "layers", MODEL_MAX_LAYERS);
  const char *embedding = cg_safetensors_metadata(file, "embedding");
  bool none = !embedding || strcmp(embedding, "0") == 0;
  m->embedding = none ? 0 : read_size(file, "embedding", MODEL_MAX_EMBEDDING);
  const char *bad = !m->hidden ? "hidden" : !m->layers ? "layers" : NULL;
  if (!none && !m->embedding) bad = "embedding";
  if (!bytes || !vocabulary_parse(&m->vocabulary, bytes)) bad = "vocabulary";
  if (!bad) return DEMO_OK;
  return demo_fail(DEMO_USAGE, "%s is damaged: its \"%s\" makes no sense", path,
                   bad);
}

int char_model_load(char_model *m, const char *path) {
  cg_error err = {0};
  *m = (char_model){0};
  cg_safetensors *file = cg_safetensors_open(NULL, path, &err);
  if (!file) {
    demo_fail_cg(&err, "cannot load %s", path);
    return err.status == CG_ERR_NOMEM ? DEMO_FAILED : DEMO_USAGE;
  }
  int status = read_metadata(m, file, path);
  if (!status) status = char_model_build(m, NULL);
  if (!status && cg_params_load_from(m->params, file, 0, &err)) {
    status = demo_fail_cg(&err, "cannot load %s", path);
    char_model_free(m);
  }
  cg_safetensors_close(file);
  return status;
}
