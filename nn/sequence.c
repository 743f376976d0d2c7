/* sequence.c - the usual tasks on sequences, from an input to logits. */
#include <chronograd/sequence.h>

#include "rnn_impl.h"
#include "tape_end.h"

/* The numbers of state s that a layer has in all directions. */
static int64_t width_of(const cg_rnn *rnn, int s) {
  return cg_rnn_directions(rnn) * cg_rnn_width(rnn, s);
}

bool cg_rnn_check_head(cg_tape *tape, const char *fn, const cg_rnn *rnn,
                       const cg_linear_layer *fc) {
  if (cg_tape_status(tape)) return false;
  if (!rnn || !fc) {
    cg_tape_fail(tape, CG_ERR_ARG, fn, "there is no %s",
                 rnn ? "linear layer" : "net");
    return false;
  }
  if (cg_tensor_dim(fc->W, -1) == width_of(rnn, 0)) return true;
  char have[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, fn,
               "the linear layer %s takes %" PRId64 " numbers, but %s gives "
               "%" PRId64 " (%d x %" PRId64 ")",
               cg_tensor_shape_text(fc->W, have, sizeof have),
               cg_tensor_dim(fc->W, -1), rnn->name, width_of(rnn, 0),
               cg_rnn_directions(rnn), cg_rnn_width(rnn, 0));
  return false;
}

cg_tensor *cg_many_to_many(cg_tape *tape, const cg_rnn *rnn,
                           const cg_linear_layer *fc, cg_tensor *x,
                           const cg_rnn_run *run) {
  if (!cg_rnn_check_head(tape, "many_to_many", rnn, fc)) return NULL;
  cg_tensor *h = cg_rnn_forward_with(tape, rnn, x, run).h;
  return cg_linear_layer_forward(tape, fc, h);
}

/* What the last layer holds at the end, [B, D*R]. */
static cg_tensor *last_of(cg_tape *tape, const cg_rnn *rnn, cg_tensor *h) {
  if (cg_rnn_directions(rnn) == 1) return cg_select(tape, h, 0, -1);
  cg_tensor *both[2] = {cg_select(tape, h, 0, -2), cg_select(tape, h, 0, -1)};
  return cg_concat(tape, both, 2, 1);
}

cg_tensor *cg_many_to_one(cg_tape *tape, const cg_rnn *rnn,
                          const cg_linear_layer *fc, cg_tensor *x,
                          const cg_rnn_run *run) {
  if (!cg_rnn_check_head(tape, "many_to_one", rnn, fc)) return NULL;
  cg_tensor *h = cg_rnn_forward_with(tape, rnn, x, run).h_last;
  return cg_linear_layer_forward(tape, fc, last_of(tape, rnn, h));
}

/* ---- do encoder and decoder fit? ---- */

static bool check_parts(cg_tape *tape, const char *fn,
                        const cg_encoder_decoder *net) {
  if (cg_tape_status(tape)) return false;
  if (net && net->encoder && net->decoder)
    return cg_rnn_check_head(tape, fn, net->decoder, net->fc);
  cg_tape_fail(tape, CG_ERR_ARG, fn, "there is no %s",
               !net ? "net" : net->encoder ? "decoder" : "encoder");
  return false;
}

static bool check_cells(cg_tape *tape, const char *fn, const cg_rnn *encoder,
                        const cg_rnn *decoder) {
  if (cg_rnn_directions(decoder) == 2) {
    cg_tape_fail(tape, CG_ERR_ARG, fn,
                 "%s is bidirectional: a decoder would see what it is to say",
                 decoder->name);
    return false;
  }
  if (encoder->cell->n_states == decoder->cell->n_states) return true;
  cg_tape_fail(tape, CG_ERR_ARG, fn,
               "%s (%s) has a state of %d parts, but %s (%s) one of %d",
               encoder->name, encoder->cell->name, encoder->cell->n_states,
               decoder->name, decoder->cell->name, decoder->cell->n_states);
  return false;
}

static bool check_states(cg_tape *tape, const char *fn, const cg_rnn *encoder,
                         const cg_rnn *decoder) {
  int L = encoder->config.num_layers, layers = decoder->config.num_layers;
  for (int s = 0; s < encoder->cell->n_states; s++) {
    int64_t given = width_of(encoder, s), wanted = width_of(decoder, s);
    if (L == layers && given == wanted) continue;
    cg_tape_fail(tape, CG_ERR_SHAPE, fn,
                 "%s ends in a state %s of %d x %" PRId64
                 " (layers, all directions), but %s begins in one of %d x "
                 "%" PRId64,
                 encoder->name, s ? "c" : "h", L, given, decoder->name, layers,
                 wanted);
    return false;
  }
  return true;
}

/* How many symbols the decoder can read. */
static int64_t symbols_of(const cg_encoder_decoder *net) {
  return net->embedding ? cg_tensor_dim(net->embedding->W, 0)
                        : net->decoder->config.input_size;
}

static bool check_embedding(cg_tape *tape, const char *fn,
                            const cg_encoder_decoder *net) {
  if (!net->embedding) return true;
  int64_t E = cg_tensor_dim(net->embedding->W, -1);
  int64_t I = net->decoder->config.input_size;
  if (E == I) return true;
  cg_tape_fail(tape, CG_ERR_SHAPE, fn,
               "the embedding gives %" PRId64 " numbers, but %s reads %" PRId64,
               E, net->decoder->name, I);
  return false;
}

static bool check_net(cg_tape *tape, const char *fn,
                      const cg_encoder_decoder *net) {
  return check_parts(tape, fn, net) &&
         check_cells(tape, fn, net->encoder, net->decoder) &&
         check_states(tape, fn, net->encoder, net->decoder) &&
         check_embedding(tape, fn, net);
}

/* ---- encoder and decoder ---- */

/* [L*2, B, n] -> [L, B, 2n]: both directions of a layer side by side. */
static cg_tensor *side_by_side(cg_tape *tape, const cg_rnn *rnn,
                               cg_tensor *part) {
  if (!part || cg_rnn_directions(rnn) == 1) return part;
  int64_t L = rnn->config.num_layers, B = cg_tensor_dim(part, 1);
  int64_t n = cg_tensor_dim(part, 2);
  part = cg_reshape(tape, part, CG_DIMS(L, 2, B, n));
  part = cg_permute(tape, part, (const int[]){0, 2, 1, 3});
  return cg_reshape(tape, part, CG_DIMS(L, B, 2 * n));
}

/* The decoder's first state. */
static cg_rnn_state encode(cg_tape *tape, const cg_rnn *encoder, cg_tensor *x,
                           const cg_rnn_run *run) {
  cg_rnn_result r = cg_rnn_forward_with(tape, encoder, x, run);
  return (cg_rnn_state){.h = side_by_side(tape, encoder, r.h_last),
                        .c = side_by_side(tape, encoder, r.c_last)};
}

/* Symbols [...] as the decoder reads them, [..., I']. */
static cg_tensor *read_symbols(cg_tape *tape, const cg_encoder_decoder *net,
                               cg_tensor *symbols) {
  const cg_rnn *decoder = net->decoder;
  return net->embedding
             ? cg_embedding_layer_forward(tape, net->embedding, symbols)
             : cg_one_hot(tape, symbols, decoder->config.input_size,
                          decoder->dtype);
}

/* Symbols are of rank 2, numbers of rank 3 and only without an embedding. */
static bool check_fed(cg_tape *tape, const char *fn,
                      const cg_encoder_decoder *net, const cg_tensor *x,
                      const cg_tensor *fed) {
  if (!x || !fed) {
    cg_tape_fail(tape, CG_ERR_ARG, fn, "there is no input of %s",
                 x ? net->decoder->name : net->encoder->name);
    return false;
  }
  bool symbols = cg_tensor_dtype(fed) == CG_I64;
  bool fits = symbols ? cg_tensor_rank(fed) == 2
                      : cg_tensor_rank(fed) == 3 && !net->embedding;
  bool batches = cg_tensor_rank(x) != 3 || /* for the encoder to refuse */
                 cg_tensor_dim(x, !net->encoder->config.batch_first) ==
                     cg_tensor_dim(fed, !net->decoder->config.batch_first);
  if (fits && batches) return true;
  char xs[96], fs[96];
  cg_tape_fail(tape, CG_ERR_SHAPE, fn,
               fits ? "%s reads %s and %s reads %s: these are not equally many "
                      "sequences"
                    : "%s reads %s, but %s cannot read %s: symbols (I64) have "
                      "rank 2; numbers, without an embedding, rank 3",
               net->encoder->name, cg_tensor_shape_text(x, xs, sizeof xs),
               net->decoder->name, cg_tensor_shape_text(fed, fs, sizeof fs));
  return false;
}

cg_tensor *cg_encode_decode(cg_tape *tape, const cg_encoder_decoder *net,
                            cg_tensor *x, const cg_rnn_run *run,
                            cg_tensor *fed) {
  const char *fn = "encode_decode";
  if (!check_net(tape, fn, net) || !check_fed(tape, fn, net, x, fed))
    return NULL;
  cg_rnn_run decoding = {.rng = run ? run->rng : NULL};
  decoding.state = encode(tape, net->encoder, x, run);
  if (cg_tensor_dtype(fed) == CG_I64) fed = read_symbols(tape, net, fed);
  return cg_many_to_many(tape, net->decoder, net->fc, fed, &decoding);
}

/* ---- decoding without a teacher ---- */

typedef struct greedy {
  const cg_encoder_decoder *net;
  const cg_greedy_config *config;
  int64_t B;
  int64_t *fed;     /* [B], what the decoder reads next */
  int64_t *symbols; /* the caller's */
  int64_t *lengths; /* [B], T' where there is no end yet */
} greedy;

static bool check_greedy(cg_tape *tape, const char *fn,
                         const cg_encoder_decoder *net,
                         const cg_greedy_config *c, const int64_t *symbols) {
  if (!c || !symbols) {
    cg_tape_fail(tape, CG_ERR_ARG, fn, "there is no %s",
                 c ? "place for the symbols" : "configuration");
    return false;
  }
  int64_t V = symbols_of(net), K = cg_tensor_dim(net->fc->W, 0);
  if (K > V)
    cg_tape_fail(tape, CG_ERR_SHAPE, fn,
                 "the linear layer gives %" PRId64 " symbols, but %s reads "
                 "only %" PRId64, K, net->decoder->name, V);
  else if (c->steps < 1 || c->start < 0 || c->start >= V ||
           (c->has_end && (c->end < 0 || c->end >= K)))
    cg_tape_fail(tape, CG_ERR_ARG, fn,
                 "%" PRId64 " steps from symbol %" PRId64 " to symbol %" PRId64
                 ": %s reads 0 to %" PRId64 " and says 0 to %" PRId64,
                 c->steps, c->start, c->end, net->decoder->name, V - 1, K - 1);
  return !cg_tape_status(tape);
}

static void greedy_begin(cg_tape *tape, greedy *g, int64_t B,
                         int64_t *lengths) {
  size_t bytes = ((size_t)B + 1) * sizeof *lengths;
  g->B = B;
  g->fed = cg_tape_alloc(tape, bytes);
  g->lengths = lengths ? lengths : cg_tape_alloc(tape, bytes);
  for (int64_t b = 0; b < B && !cg_tape_status(tape); b++) {
    g->fed[b] = g->config->start;
    g->lengths[b] = g->config->steps;
  }
}

/* Writes down the symbols `said` after step t. Has every sequence ended? */
static bool write_down(const greedy *g, int64_t t, const cg_tensor *said) {
  int64_t steps = g->config->steps, ended = 0;
  bool batch_first = g->net->decoder->config.batch_first;
  for (int64_t b = 0; b < g->B; b++) {
    int64_t k = said ? (int64_t)cg_tensor_get(said, b) : g->config->end;
    bool over = g->lengths[b] < steps;
    if (over) k = g->config->end;
    else if (g->config->has_end && k == g->config->end) g->lengths[b] = t;
    g->fed[b] = k;
    g->symbols[batch_first ? b * steps + t : t * g->B + b] = k;
    ended += g->lengths[b] < steps;
  }
  return ended == g->B;
}

/* All steps, each of which drops what the one before has left. */
static void say(cg_tape *tape, const greedy *g, cg_rnn_state state) {
  cg_mark mark = cg_tape_mark(tape);
  bool over = false;
  for (int64_t t = 0; t < g->config->steps && !cg_tape_status(tape); t++) {
    if (over) {
      write_down(g, t, NULL);
      continue;
    }
    cg_tensor *fed = cg_borrow(tape, CG_I64, CG_DIMS(g->B), g->fed);
    cg_tensor *x = read_symbols(tape, g->net, fed);
    state = cg_rnn_step_from(tape, g->net->decoder, x, state);
    cg_tensor *h = cg_select(tape, state.h, 0, -1);
    cg_tensor *o = cg_linear_layer_forward(tape, g->net->fc, h);
    cg_tensor *said = cg_argmax(tape, o, 1, false);
    if (said) over = write_down(g, t, said);
    cg_rnn_state_keep(tape, mark, &state);
  }
}

cg_status cg_decode_greedy(cg_tape *tape, const cg_encoder_decoder *net,
                           cg_tensor *x, const cg_rnn_run *run,
                           const cg_greedy_config *config, int64_t *symbols,
                           int64_t *lengths) {
  const char *fn = "decode_greedy";
  if (!check_net(tape, fn, net) ||
      !check_greedy(tape, fn, net, config, symbols))
    return cg_tape_status(tape);
  cg_mark begin = cg_tape_mark(tape);
  bool recording = cg_tape_set_recording(tape, false);
  cg_rnn_run plain = {.state = run ? run->state : (cg_rnn_state){0},
                      .lengths = run ? run->lengths : NULL};
  cg_rnn_state state = encode(tape, net->encoder, x, &plain);
  cg_rnn_state_keep(tape, begin, &state);
  greedy g = {.net = net, .config = config, .symbols = symbols};
  greedy_begin(tape, &g, cg_tensor_dim(state.h, 1), lengths);
  say(tape, &g, state);
  cg_tape_set_recording(tape, recording);
  return cg_tape_end(tape, begin);
}
