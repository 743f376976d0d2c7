/* char_resume.c - a training that survives being killed. */
#include "char_resume.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "demo.h"

/* ---- what must be the same: options and text ---- */

enum { N_LINES = 17, LINE_TEXT = 40 };

typedef struct description {
  int count;
  cg_metadata lines[N_LINES];
  char text[N_LINES][LINE_TEXT];
} description;

static void put(description *d, const char *key, const char *text) {
  snprintf(d->text[d->count], LINE_TEXT, "%s", text);
  d->lines[d->count] = (cg_metadata){key, d->text[d->count]};
  d->count++;
}

static void put_int(description *d, const char *key, int64_t n) {
  char text[LINE_TEXT];
  snprintf(text, sizeof text, "%lld", (long long)n);
  put(d, key, text);
}

static void put_double(description *d, const char *key, double x) {
  char text[LINE_TEXT];
  snprintf(text, sizeof text, "%.17g", x);
  put(d, key, text);
}

/* FNV-1a over both parts of the text and its alphabet. */
static uint64_t text_sum(const text_data *data) {
  const symbols *parts[] = {&data->train, &data->validation};
  uint64_t sum = 14695981039346656037u;
  for (int k = 0; k < 2; k++)
    for (size_t i = 0; i < parts[k]->count; i++)
      sum = (sum ^ data->vocabulary.byte[parts[k]->at[i]]) * 1099511628211u;
  return sum;
}

static void describe(description *d, const trainer *t) {
  const char_options *o = t->o;
  char sum[LINE_TEXT];
  d->count = 0;
  put(d, "cell", char_cell_names[o->cell]);
  put_int(d, "embedding", o->embedding);
  put_int(d, "hidden", o->hidden);
  put_int(d, "layers", o->layers);
  put_int(d, "batch", o->batch);
  put_int(d, "steps", o->steps);
  put_int(d, "iterations", o->iterations);
  put_double(d, "seconds", o->iterations ? 0 : o->seconds);
  put(d, "optimizer-name", o->optimizer);
  put(d, "schedule", char_schedule_names[o->schedule]);
  put_double(d, "warmup", o->warmup);
  put_double(d, "lr", o->lr);
  put_double(d, "clip", o->clip);
  put_double(d, "val-fraction", o->val_fraction);
  put_int(d, "validations", o->validations);
  snprintf(sum, sizeof sum, "%llu", (unsigned long long)o->seed);
  put(d, "seed", sum);
  snprintf(sum, sizeof sum, "%016llx", (unsigned long long)text_sum(&t->data));
  put(d, "text", sum);
}

static int compare(const trainer *t, const cg_safetensors *file) {
  description d;
  describe(&d, t);
  for (int i = 0; i < d.count; i++) {
    const char *key = d.lines[i].key, *now = d.lines[i].value;
    const char *then = cg_safetensors_metadata(file, key);
    if (!then)
      return demo_fail(DEMO_USAGE, "%s is no state of char_rnn: it has no %s",
                       t->o->resume, key);
    if (strcmp(then, now) == 0) continue;
    if (strcmp(key, "text") == 0)
      return demo_fail(DEMO_USAGE, "%s was begun with another text",
                       t->o->resume);
    return demo_fail(DEMO_USAGE, "%s was begun with %s %s, not %s",
                     t->o->resume, key, then, now);
  }
  return DEMO_OK;
}

/* ---- the state ---- */

enum { N_COUNTS = 7, N_NUMBERS = 7 };

/* What the library does not know of. */
typedef struct extras {
  int64_t counts[N_COUNTS];
  double numbers[N_NUMBERS];
  cg_rng *rngs[1];
  cg_training_array arrays[4];
  cg_training training;
} extras;

static void extras_init(extras *e, trainer *t) {
  int64_t L = t->o->layers, B = t->o->batch, H = t->o->hidden;
  float *const *state = t->window.state;
  *e = (extras){.rngs = {&t->stream.rng}};
  e->arrays[0] =
      (cg_training_array){"counts", CG_I64, 1, {N_COUNTS}, e->counts};
  e->arrays[1] =
      (cg_training_array){"numbers", CG_F64, 1, {N_NUMBERS}, e->numbers};
  e->arrays[2] = (cg_training_array){"h", CG_F32, 3, {L, B, H}, state[0]};
  e->arrays[3] = (cg_training_array){"c", CG_F32, 3, {L, B, H}, state[1]};
  e->training = (cg_training){
      .params = t->model.params, .optimizer = t->optimizer,
      .plateau = &t->plateau, .rngs = e->rngs, .n_rngs = 1,
      .arrays = e->arrays, .n_arrays = t->o->cell == CG_CELL_LSTM ? 4 : 3};
}

/* The time is a part of the state only where the rate depends on it: so two
 * runs of as many iterations end with the same file. */
static double time_of(const trainer *t) {
  if (t->o->iterations) return 0;
  return t->before + (t->started > 0 ? seconds_now() - t->started : 0);
}

static void gather(extras *e, const trainer *t) {
  const int64_t counts[N_COUNTS] = {
      t->iteration, t->windows, t->validations, t->measured, t->best_iteration,
      t->stream.at, t->stream.origin};
  const double numbers[N_NUMBERS] = {t->loss, t->norm, t->loss_sum, t->val_loss,
                                     t->best, t->fallen, time_of(t)};
  memcpy(e->counts, counts, sizeof counts);
  memcpy(e->numbers, numbers, sizeof numbers);
}

static bool is_sound(const extras *e, const trainer *t) {
  for (int i = 0; i < N_COUNTS; i++)
    if (e->counts[i] < 0) return false;
  return e->counts[5] <= t->stream.length &&
         e->counts[6] < (int64_t)t->stream.text->count &&
         e->numbers[5] > 0 && e->numbers[5] <= 1 && e->numbers[6] >= 0;
}

static void scatter(const extras *e, trainer *t) {
  const int64_t *n = e->counts;
  const double *x = e->numbers;
  t->iteration = t->first = n[0], t->windows = n[1], t->validations = n[2];
  t->measured = n[3], t->best_iteration = n[4];
  t->stream.at = n[5], t->stream.origin = n[6];
  t->loss = x[0], t->norm = x[1], t->loss_sum = x[2], t->val_loss = x[3];
  t->best = x[4], t->fallen = x[5], t->before = x[6];
}

/* ---- files ---- */

static int load(trainer *t, extras *e, const cg_safetensors *file) {
  cg_error err = {0};
  int status = compare(t, file);
  if (!status && cg_training_load_from(&e->training, file, &err))
    status = demo_fail_cg(&err, "cannot resume %s", t->o->resume);
  if (!status && !is_sound(e, t))
    status = demo_fail(DEMO_USAGE, "%s is damaged: its counts make no sense",
                       t->o->resume);
  if (!status) scatter(e, t);
  return status;
}

static int resume(trainer *t) {
  cg_error err = {0};
  cg_safetensors *file = cg_safetensors_open(NULL, t->o->resume, &err);
  if (!file) {
    demo_fail_cg(&err, "cannot resume %s", t->o->resume);
    return err.status == CG_ERR_NOMEM ? DEMO_FAILED : DEMO_USAGE;
  }
  extras e;
  extras_init(&e, t);
  int status = load(t, &e, file);
  cg_safetensors_close(file);
  if (!status)
    printf("resuming %s after %lld iterations\n", t->o->resume,
           (long long)t->iteration);
  return status;
}

int char_resume_begin(trainer *t) {
  struct stat info;
  if (!t->o->resume) return DEMO_OK;
  if (stat(t->o->resume, &info) == 0) return resume(t);
  if (errno == ENOENT) return char_resume_save(t);
  return demo_fail(DEMO_USAGE, "cannot resume %s: %s", t->o->resume,
                   strerror(errno));
}

int char_resume_save(trainer *t) {
  description d;
  extras e;
  cg_error err = {0};
  extras_init(&e, t);
  describe(&d, t);
  gather(&e, t);
  if (!cg_training_save(&e.training, t->o->resume, d.lines, d.count, &err))
    return DEMO_OK;
  demo_fail_cg(&err, "cannot save the state to %s", t->o->resume);
  return DEMO_FAILED;
}
