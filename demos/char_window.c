/* char_window.c - a window of training. */
#include "char_window.h"

#include <stdlib.h>
#include <string.h>

#include "demo.h"

static bool has_c(const char_model *m) { return m->cell == CG_CELL_LSTM; }

int char_window_init(char_window *w, const char_model *m, int64_t B,
                     int64_t threads) {
  cg_error err = {0};
  *w = (char_window){0};
  w->state_bytes = (size_t)(m->layers * B * m->hidden) * sizeof(float);
  for (int i = 0; i < 2; i++) {
    w->state[i] = calloc(1, w->state_bytes);
    w->next[i] = calloc(1, w->state_bytes);
    if (!w->state[i] || !w->next[i])
      return demo_fail(DEMO_FAILED, "out of memory");
  }
  w->parallel = cg_data_parallel_new(
      &(cg_data_parallel_config){.n_threads = (int)threads}, &err);
  return w->parallel ? DEMO_OK : demo_fail_cg(&err, "--threads");
}

void char_window_free(char_window *w) {
  cg_data_parallel_free(w->parallel);
  for (int i = 0; i < 2; i++) {
    free(w->state[i]);
    free(w->next[i]);
  }
}

void char_window_reset(char_window *w) {
  for (int i = 0; i < 2; i++) memset(w->state[i], 0, w->state_bytes);
}

/* ---- a shard ---- */

typedef struct job {
  const char_window *window;
  const char_model *model;
  const text_stream *stream;
} job;

/* The shard's part of the carried state, a constant. */
static cg_tensor *enter(cg_tape *tape, const job *j, const cg_shard *s, int i) {
  const char_model *m = j->model;
  cg_tensor *all =
      cg_borrow(tape, CG_F32, CG_DIMS(m->layers, j->stream->B, m->hidden),
                j->window->state[i]);
  return cg_narrow(tape, all, 1, s->begin, s->rows);
}

/* Puts the state after the window where it is carried on. */
static void leave(const job *j, const cg_tensor *x, int64_t begin, int i) {
  int64_t B = j->stream->B, H = j->model->hidden, rows = cg_tensor_dim(x, 1);
  for (int64_t k = 0; k < cg_tensor_dim(x, 0); k++)
    memcpy(j->window->next[i] + (k * B + begin) * H,
           (const float *)cg_tensor_data(x) + k * rows * H,
           sizeof(float) * (size_t)(rows * H));
}

static cg_tensor *shard_loss(cg_tape *tape, const cg_shard *s, void *context) {
  const job *j = context;
  int64_t T = j->stream->T, B = j->stream->B;
  cg_tape_reset(tape);
  cg_rnn_state state = {.h = enter(tape, j, s, 0)};
  if (has_c(j->model)) state.c = enter(tape, j, s, 1);
  cg_tensor *in = cg_borrow(tape, CG_I64, CG_DIMS(T, B), j->stream->in);
  cg_tensor *next = cg_borrow(tape, CG_I64, CG_DIMS(T, B), j->stream->next);
  cg_tensor *logits = char_model_logits(
      tape, j->model, cg_narrow(tape, in, 1, s->begin, s->rows), &state);
  if (!logits) return NULL;
  cg_tensor *h = cg_contiguous(tape, state.h);
  cg_tensor *c = state.c ? cg_contiguous(tape, state.c) : NULL;
  if (h) leave(j, h, s->begin, 0);
  if (c) leave(j, c, s->begin, 1);
  return cg_cross_entropy_loss(tape, logits,
                               cg_narrow(tape, next, 1, s->begin, s->rows),
                               CG_REDUCE_MEAN, CG_REDUCE_MEAN);
}

/* ---- all of them ---- */

cg_status char_window_walk(char_window *w, const char_model *m,
                           const text_stream *stream, double *loss,
                           cg_error *err) {
  job j = {w, m, stream};
  cg_status status = cg_data_parallel_backward(
      w->parallel, stream->B, CG_REDUCE_MEAN, shard_loss, &j, loss, err);
  for (int i = 0; i < 2 && !status; i++) {
    float *before = w->state[i];
    w->state[i] = w->next[i];
    w->next[i] = before;
  }
  return status;
}

cg_tape_stats char_window_stats(const char_window *w) {
  cg_tape_stats sum = {0};
  const cg_tape *tape;
  for (int i = 0; (tape = cg_data_parallel_tape(w->parallel, i)); i++) {
    cg_tape_stats s = cg_tape_get_stats(tape);
    sum.bytes_held += s.bytes_held;
    sum.system_allocs += s.system_allocs;
  }
  return sum;
}
