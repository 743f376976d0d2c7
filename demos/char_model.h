/* char_model.h - the language model: one-hot symbols or their embeddings, a
 * recurrent net, a linear layer to the logits of the next symbol; and its
 * file. */
#ifndef CHAR_RNN_CHAR_MODEL_H
#define CHAR_RNN_CHAR_MODEL_H

#include <chronograd/nn.h>

#include "text_data.h"

enum {
  MODEL_MAX_EMBEDDING = 8192, MODEL_MAX_HIDDEN = 8192, MODEL_MAX_LAYERS = 16
};

typedef struct char_model {
  vocabulary vocabulary;
  cg_cell_kind cell;
  int64_t embedding; /* elements of a symbol's vector; 0: one-hot symbols */
  int64_t hidden;
  int layers;
  cg_params *params; /* owns both layers */
  cg_embedding_layer *embed; /* NULL without embedding */
  cg_rnn *rnn;
  cg_linear_layer *fc;
} char_model;

/* What --cell and the model's file call the cells. */
extern const char *const char_cell_names[CG_CELL_COUNT];

/* Fills in the net for the vocabulary, cell and sizes that are set, its values
 * drawn from `rng` (NULL: to be loaded). Complains and returns an exit
 * status. */
int char_model_build(char_model *model, cg_rng *rng);
void char_model_free(char_model *model);

/* The logits [T, B, V] of what follows each symbol [T, B]; *state (empty at
 * first: zeros) is replaced by the state after it. */
cg_tensor *char_model_logits(cg_tape *tape, const char_model *model,
                             cg_tensor *symbol, cg_rnn_state *state);
/* The same for symbols in an array. */
cg_tensor *char_model_forward(cg_tape *tape, const char_model *model,
                              const int64_t *in, int64_t T, int64_t B,
                              cg_rnn_state *state);

/* -log p in nats of every symbol of `text` but the first, their mean; the text
 * has 2 symbols or more. Reads it as up to max_B streams, T symbols at a time,
 * each stream from the zero state. Records nothing and leaves the tape as it
 * was. NaN in *loss is possible. */
int char_model_measure(cg_tape *tape, const char_model *model,
                       const symbols *text, int64_t max_B, int64_t T,
                       double *loss);

/* The file: parameters by PyTorch's names, and in the metadata what is needed
 * to build the net. The first answers only a status; the second complains. */
cg_status char_model_save(const char_model *model, const char *path,
                          cg_error *err);
int char_model_load(char_model *model, const char *path);

#endif
