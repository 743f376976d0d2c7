/* sequence_test.h - what the tests of tasks on sequences share: encoders and
 * decoders that fit, and data for them. */
#ifndef SEQUENCE_TEST_H
#define SEQUENCE_TEST_H

#include "rnn_test.h"

enum { U = 4 }; /* the decoder's steps */

typedef struct task {
  cg_params *params;
  cg_rnn *encoder;
  cg_encoder_decoder net;
  cg_tensor *x;
  int64_t fed[U * B];
} task;

typedef struct form {
  cg_rnn_config encoder, decoder;
  bool embedding;
} form;

static const form forms[] = {
    {{.input_size = I, .hidden_size = H},
     {.input_size = K, .hidden_size = H}, false},
    {{.cell = CG_CELL_LSTM, .input_size = I, .hidden_size = H, .num_layers = 2,
      .bidirectional = true},
     {.cell = CG_CELL_LSTM, .input_size = 3, .hidden_size = 2 * H,
      .num_layers = 2}, true},
    {{.cell = CG_CELL_LSTM, .input_size = I, .hidden_size = H, .proj_size = 5},
     {.cell = CG_CELL_LSTM, .input_size = K, .hidden_size = H, .proj_size = 5},
     false},
    {{.cell = CG_CELL_GRU, .input_size = I, .hidden_size = H,
      .bidirectional = true, .learned_h0 = true},
     {.input_size = 3, .hidden_size = 2 * H}, true},
};

static inline int64_t outputs(cg_rnn_config c) {
  int64_t R = c.proj_size ? c.proj_size : c.hidden_size;
  return c.bidirectional ? 2 * R : R;
}

static inline cg_linear_layer *new_head(cg_params *params, const char *name,
                                        int64_t in, cg_rng *rng) {
  cg_linear_layer *fc = cg_linear_layer_new(
      params, name, &(cg_linear_config){.in_features = in, .out_features = K},
      rng, NULL);
  ck_assert_ptr_nonnull(fc);
  return fc;
}

static inline cg_rnn *named_rnn(cg_params *params, const char *name,
                                cg_rnn_config config, cg_rng *rng) {
  cg_error err = {0};
  cg_rnn *rnn = cg_rnn_new(params, name, &config, rng, &err);
  ck_assert_msg(rnn != NULL, "%s", err.message);
  return rnn;
}

static inline task new_task(const form *f) {
  task s = {.params = registry(CG_F64)};
  cg_rng rng = cg_rng_seed(385);
  s.encoder = named_rnn(s.params, "enc", f->encoder, &rng);
  s.net = (cg_encoder_decoder){
      .encoder = s.encoder,
      .decoder = named_rnn(s.params, "dec", f->decoder, &rng),
      .fc = new_head(s.params, "fc", outputs(f->decoder), &rng)};
  if (f->embedding)
    s.net.embedding = cg_embedding_layer_new(
        s.params, "emb",
        &(cg_embedding_config){.num_embeddings = K + 1,
                               .embedding_dim = f->decoder.input_size},
        &rng, NULL);
  s.x = some_leaf(386, CG_DIMS(T, B, I));
  for (int i = 0; i < U * B; i++) s.fed[i] = (3 * i + 1) % K;
  return s;
}

static inline void free_task(task *s) {
  cg_leaf_free(s->x);
  cg_params_free(s->params);
}

static inline cg_tensor *fed_of(cg_tape *tape, const task *s) {
  return cg_borrow(tape, CG_I64, CG_DIMS(U, B), s->fed);
}

static const int64_t ragged[B] = {2, 5, 4};

#endif
