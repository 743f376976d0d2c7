/* char_model.c - the language model on the tape. */
#include "char_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "demo.h"
#include "text_stream.h"

const char *const char_cell_names[CG_CELL_COUNT] = {
    [CG_CELL_RNN] = "rnn", [CG_CELL_LSTM] = "lstm", [CG_CELL_GRU] = "gru"};

/* ---- construction ---- */

/* PyTorch's first values are slow to learn from here. A symbol picks a column
 * of W_ih, which is its embedding, and +-1/sqrt(H) is too little to be heard
 * beside the state: it begins standard normal, as embeddings do. An orthogonal
 * W_hh shrinks all directions of the state alike. The gain was chosen by the
 * loss on a validation text. */
static cg_status draw_values(const char_model *m, cg_rng *rng, cg_error *err) {
  const double gain = 0.7;
  cg_status status = CG_OK;
  if (!m->embed)
    status = cg_init_normal(cg_params_find(m->params, "rnn.weight_ih_l0"), rng,
                            0.0, 1.0, err);
  for (int k = 0; k < m->layers && !status; k++) {
    char name[32];
    snprintf(name, sizeof name, "rnn.weight_hh_l%d", k);
    status = cg_init_orthogonal(cg_params_find(m->params, name), rng, gain,
                                NULL, err);
  }
  return status;
}

/* The first layer, if there is one. */
static bool build_embedding(char_model *m, cg_rng *rng, cg_error *err) {
  if (!m->embedding) return true;
  m->embed = cg_embedding_layer_new(
      m->params, "embedding",
      &(cg_embedding_config){.num_embeddings = m->vocabulary.size,
                             .embedding_dim = m->embedding}, rng, err);
  return m->embed;
}

int char_model_build(char_model *m, cg_rng *rng) {
  cg_error err = {0};
  int V = m->vocabulary.size;
  m->embed = NULL;
  m->rnn = NULL;
  m->fc = NULL;
  m->params = cg_params_new(NULL, CG_F32, &err);
  if (m->params && build_embedding(m, rng, &err))
    m->rnn = cg_rnn_new(m->params, "rnn",
                        &(cg_rnn_config){.cell = m->cell,
                                         .input_size = m->embed ? m->embedding
                                                                : V,
                                         .hidden_size = m->hidden,
                                         .num_layers = m->layers},
                        rng, &err);
  if (m->rnn)
    m->fc = cg_linear_layer_new(
        m->params, "fc",
        &(cg_linear_config){.in_features = m->hidden, .out_features = V}, rng,
        &err);
  if (m->fc && (!rng || !draw_values(m, rng, &err))) return DEMO_OK;
  char_model_free(m);
  return demo_fail_cg(&err, "cannot build the model");
}

void char_model_free(char_model *m) {
  cg_params_free(m->params);
  m->params = NULL;
}

/* ---- use ---- */

cg_tensor *char_model_logits(cg_tape *tape, const char_model *m,
                             cg_tensor *symbol, cg_rnn_state *state) {
  cg_tensor *x =
      m->embed ? cg_embedding_layer_forward(tape, m->embed, symbol)
               : cg_one_hot(tape, symbol, m->vocabulary.size, CG_F32);
  cg_rnn_result r = cg_rnn_forward_from(tape, m->rnn, x, *state, NULL);
  *state = (cg_rnn_state){r.h_last, r.c_last};
  return cg_linear_layer_forward(tape, m->fc, r.h);
}

cg_tensor *char_model_forward(cg_tape *tape, const char_model *m,
                              const int64_t *in, int64_t T, int64_t B,
                              cg_rnn_state *state) {
  cg_tensor *symbol = cg_input(tape, CG_I64, CG_DIMS(T, B), in);
  return char_model_logits(tape, m, symbol, state);
}

/* Adds up the losses of the places where something follows. */
static double sum_of(const cg_tensor *losses, const int64_t *next) {
  const float *loss = cg_tensor_data(losses);
  double sum = 0;
  for (int64_t i = 0; i < cg_tensor_numel(losses); i++)
    if (next[i] >= 0) sum += (double)loss[i];
  return sum;
}

/* One window of T steps; 0 after an error, which is on the tape. */
static double measure_window(cg_tape *tape, const char_model *m,
                             const text_stream *s, int64_t T, int64_t *target,
                             cg_rnn_state *state) {
  int64_t n = T * s->B;
  for (int64_t i = 0; i < n; i++) target[i] = s->next[i] < 0 ? 0 : s->next[i];
  cg_tensor *logits = char_model_forward(tape, m, s->in, T, s->B, state);
  cg_tensor *y = cg_input(tape, CG_I64, CG_DIMS(T, s->B), target);
  cg_tensor *losses = cg_cross_entropy(tape, logits, y);
  return losses ? sum_of(losses, s->next) : 0;
}

static double measure_stream(cg_tape *tape, const char_model *m,
                             text_stream *s, int64_t *target) {
  cg_mark mark = cg_tape_mark(tape);
  cg_rnn_state state = {0};
  double sum = 0;
  int64_t T;
  text_stream_rewind(s);
  while ((T = text_stream_measure(s)) > 0) {
    sum += measure_window(tape, m, s, T, target, &state);
    if (cg_tape_status(tape) || cg_rnn_state_keep(tape, mark, &state))
      break;
  }
  return sum;
}

/* Every stream begins without a memory, so a short text is cut less. */
static int64_t streams_of(const symbols *text, int64_t max_B) {
  const int64_t shortest = 1000;
  int64_t B = (int64_t)text->count / shortest;
  return B < 1 ? 1 : B > max_B ? max_B : B;
}

int char_model_measure(cg_tape *tape, const char_model *m, const symbols *text,
                       int64_t max_B, int64_t T, double *loss) {
  text_stream s = {0};
  int64_t B = streams_of(text, max_B);
  int64_t *target = calloc((size_t)(B * T), sizeof *target);
  int status = DEMO_OK;
  if (!target || !text_stream_init(&s, text, B, T, 0)) {
    status = demo_fail(DEMO_FAILED, "out of memory");
  } else {
    cg_mark mark = cg_tape_mark(tape);
    bool recording = cg_tape_set_recording(tape, false);
    double sum = measure_stream(tape, m, &s, target);
    if (cg_tape_status(tape))
      status = demo_fail_cg(cg_tape_error(tape), "cannot measure the loss");
    cg_tape_rewind(tape, mark);
    cg_tape_set_recording(tape, recording);
    *loss = sum / (double)(text->count - 1);
  }
  text_stream_free(&s);
  free(target);
  return status;
}
