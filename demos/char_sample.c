/* char_sample.c - char_rnn sample: the model writes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "char_model.h"
#include "char_rnn.h"
#include "demo.h"

enum { STATES = 2 };

/* A model that reads one symbol after another: the step is recorded once, and
 * replayed with another symbol and the state that it left. */
typedef struct writer {
  const char_model *model;
  cg_tape *tape;
  int64_t symbol;          /* what the step reads, */
  cg_tensor *state[STATES]; /* leaves; NULL: the cell has no such state */
  cg_tensor *logits, *next[STATES]; /* and what comes of it */
  double p[256];           /* of the next symbol, not normalised */
  double temperature;
  cg_rng rng;
} writer;

/* False without memory, or after an error on the tape. */
static bool record_step(writer *w) {
  const char_model *m = w->model;
  const int states = m->cell == CG_CELL_LSTM ? 2 : 1;
  for (int s = 0; s < states; s++) {
    w->state[s] = cg_leaf_new(NULL, cg_params_dtype(m->params),
                              CG_DIMS(m->layers, 1, m->hidden), NULL);
    if (!w->state[s]) return false;
  }
  cg_rnn_state state = {w->state[0], w->state[1]};
  cg_tensor *symbol = cg_borrow(w->tape, CG_I64, CG_DIMS(1, 1), &w->symbol);
  w->logits = char_model_logits(w->tape, m, symbol, &state);
  w->next[0] = state.h;
  w->next[1] = state.c;
  return !cg_tape_status(w->tape);
}

static bool read_symbol(writer *w, int symbol) {
  w->symbol = symbol;
  if (cg_tape_replay(w->tape)) return false;
  for (int i = 0; i < w->model->vocabulary.size; i++)
    w->p[i] = cg_tensor_get(w->logits, i);
  for (int s = 0; s < STATES && w->state[s]; s++) {
    cg_tensor *to = w->state[s];
    size_t bytes = (size_t)cg_tensor_numel(to) *
                   cg_dtype_size(cg_tensor_dtype(to));
    if (cg_tensor_read(w->next[s], cg_leaf_data(to), bytes)) return false;
  }
  return true;
}

static int most_likely(const double *x, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

/* Draws from softmax(logits / temperature); 0 stands for its limit. */
static int draw(writer *w) {
  int n = w->model->vocabulary.size, best = most_likely(w->p, n);
  if (w->temperature == 0) return best;
  double top = w->p[best], sum = 0;
  for (int i = 0; i < n; i++)
    sum += w->p[i] = exp((w->p[i] - top) / w->temperature);
  double left = cg_rng_uniform(&w->rng) * sum;
  for (int i = 0; i < n; i++)
    if ((left -= w->p[i]) < 0) return i;
  return best;
}

static bool write_text(writer *w, int64_t length) {
  for (int64_t i = 0; i < length && !ferror(stdout); i++) {
    int symbol = draw(w);
    putchar(w->model->vocabulary.byte[symbol]);
    if (i + 1 < length && !read_symbol(w, symbol)) return false;
  }
  return true;
}

/* Without a prompt it begins as after the end of a line. */
static bool read_prompt(writer *w, const char *prompt) {
  const vocabulary *v = &w->model->vocabulary;
  int newline = v->symbol['\n'];
  if (!*prompt) return read_symbol(w, newline < 0 ? 0 : newline);
  fputs(prompt, stdout);
  for (; *prompt; prompt++)
    if (!read_symbol(w, v->symbol[(unsigned char)*prompt])) return false;
  return true;
}

static int check_prompt(const vocabulary *v, const char *prompt) {
  for (const char *c = prompt; *c; c++)
    if (v->symbol[(unsigned char)*c] < 0)
      return demo_fail(DEMO_USAGE,
                       "byte 0x%02x of the prompt is not in the model's "
                       "vocabulary",
                       (unsigned)(unsigned char)*c);
  return DEMO_OK;
}

static int write_sample(const char_model *m, const char_options *o,
                        const char *prompt) {
  writer w = {.model = m, .tape = cg_tape_new(NULL),
              .temperature = o->temperature, .rng = cg_rng_seed(o->seed)};
  int status = DEMO_OK;
  if (!record_step(&w) || !read_prompt(&w, prompt) ||
      !write_text(&w, o->length))
    status = w.tape && cg_tape_status(w.tape)
                 ? demo_fail_cg(cg_tape_error(w.tape), "cannot write")
                 : demo_fail(DEMO_FAILED, "out of memory");
  putchar('\n');
  for (int s = 0; s < STATES; s++) cg_leaf_free(w.state[s]);
  cg_tape_free(w.tape);
  return status;
}

int char_sample(const char_options *o) {
  char_model model;
  const char *prompt = o->prompt ? o->prompt : "";
  int status = char_model_load(&model, o->model);
  if (status) return status;
  status = check_prompt(&model.vocabulary, prompt);
  if (!status) status = write_sample(&model, o, prompt);
  char_model_free(&model);
  return status;
}
