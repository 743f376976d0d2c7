/* char_train.c - char_rnn train: truncated backpropagation through time over
 * contiguous windows of a text. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "char_resume.h"
#include "char_rnn.h"
#include "char_save.h"
#include "char_trainer.h"
#include "demo.h"

enum { LOG_EVERY = 10, WARM = 10 };

/* ---- Ctrl-C ---- */

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

/* The first signal asks for an end; the next one has its usual effect. One that
 * is ignored, as in the background of a script, stays so. */
static void catch_signal(int number) {
  struct sigaction before;
  struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(number, &action, NULL);
}

/* ---- one update ---- */

/* A loss or gradient that is no number: there is nothing to go on with. */
static int fail_number(const trainer *t) {
  char kept[512] = "";
  if (t->o->save && t->best_iteration)
    snprintf(kept, sizeof kept, "; %s keeps the model of iteration %lld",
             t->o->save, (long long)t->best_iteration);
  return demo_fail(DEMO_FAILED,
                   "the loss or its gradient is not finite in iteration %lld: "
                   "try a smaller --lr or --clip%s",
                   (long long)t->iteration + 1, kept);
}

/* Loss and gradients of the next window; advances the state. */
static int walk_window(trainer *t) {
  cg_error err = {0};
  if (text_stream_next(&t->stream)) char_window_reset(&t->window);
  cg_data_parallel_zero_grad(t->window.parallel, t->model.params);
  if (char_window_walk(&t->window, &t->model, &t->stream, &t->loss, &err))
    return demo_fail_cg(&err, "iteration %lld", (long long)t->iteration + 1);
  return DEMO_OK;
}

static int clip(trainer *t) {
  cg_error err = {0};
  cg_params *params = t->model.params;
  cg_status status =
      t->o->clip > 0 ? cg_clip_grad_norm(params, t->o->clip, &t->norm, &err)
                     : cg_grad_norm(params, &t->norm, &err);
  if (status == CG_ERR_NONFINITE || !isfinite(t->loss)) return fail_number(t);
  return status ? demo_fail_cg(&err, "clipping") : DEMO_OK;
}

static int update(trainer *t) {
  cg_error err = {0};
  int status = walk_window(t);
  if (!status) status = clip(t);
  if (status) return status;
  double lr = t->o->lr * t->fallen *
              char_schedule_factor(t->o->schedule, t->fraction, t->o->warmup);
  if (cg_optimizer_set_lr(t->optimizer, lr) ||
      cg_data_parallel_step(t->window.parallel, t->optimizer, &err))
    return demo_fail_cg(&err, "iteration %lld", (long long)t->iteration + 1);
  t->iteration++;
  t->loss_sum += t->loss;
  t->windows++;
  if (t->iteration - t->first == WARM) t->warm = char_window_stats(&t->window);
  return DEMO_OK;
}

/* ---- what is seen and kept ---- */

/* Since this program began to train, and with what went before. */
static double elapsed(const trainer *t) { return seconds_now() - t->started; }
static double total(const trainer *t) { return t->before + elapsed(t); }

static double speed(const trainer *t) {
  int64_t n = t->iteration - t->first;
  return (double)(n * t->o->batch * t->o->steps) / elapsed(t);
}

/* A row of the log, with the mean loss since the last one. */
static void write_row(trainer *t, double val_loss) {
  double loss = t->windows ? t->loss_sum / (double)t->windows : NAN;
  train_log_row(&t->log,
                &(train_row){.iteration = t->iteration, .seconds = total(t),
                             .train_loss = loss, .val_loss = val_loss,
                             .chars_per_s = speed(t),
                             .grad_norm = t->norm});
  t->loss_sum = 0;
  t->windows = 0;
}

static double fraction_of(const trainer *t, int64_t iteration) {
  return (double)iteration / (double)t->o->iterations;
}

static void show(trainer *t) {
  double now = seconds_now(), seconds = t->before + now - t->started;
  if (!progress_due(&t->progress, t->fraction, now)) return;
  double left = t->o->iterations
                    ? (now - t->started) * (1 - t->fraction) /
                          fmax(t->fraction - fraction_of(t, t->first), 1e-9)
                    : t->o->seconds - seconds;
  progress_show(&t->progress,
                &(progress_state){.fraction = t->fraction, .elapsed = seconds,
                                  .left = fmax(left, 0),
                                  .iteration = t->iteration, .loss = t->loss,
                                  .chars_per_s = speed(t)},
                now);
}

/* Measures the validation loss, and keeps the model if it is the best yet. */
static int validate(trainer *t) {
  int status = char_model_measure(t->tape, &t->model, &t->data.validation,
                                  t->o->batch, t->o->steps, &t->val_loss);
  if (status) return status;
  if (!isfinite(t->val_loss)) return fail_number(t);
  t->measured = t->iteration;
  bool best = t->val_loss < t->best;
  if (best && t->o->save) status = char_save(&t->model, t->o->save);
  if (best) {
    t->best = t->val_loss;
    t->best_iteration = t->iteration;
  }
  write_row(t, t->val_loss);
  progress_say(&t->progress,
               "validation after %lld iterations, %.1f s: loss %.4f, "
               "%.4f bits/char",
               (long long)t->iteration, total(t), t->val_loss,
               t->val_loss / M_LN2);
  if (t->o->schedule == CHAR_PLATEAU)
    t->fallen = cg_plateau_lr(&t->plateau, t->fallen, t->val_loss);
  return status;
}

/* ---- the loop ---- */

static double fraction_done(const trainer *t) {
  if (t->o->iterations) return fraction_of(t, t->iteration);
  return fmin(total(t) / t->o->seconds, 1);
}

/* What follows an update that is not the last. */
static int look(trainer *t) {
  int64_t due = (int64_t)(t->fraction * (double)t->o->validations);
  int status = DEMO_OK;
  show(t);
  if (due > t->validations) {
    t->validations = due;
    status = validate(t);
  } else if (t->windows >= LOG_EVERY) {
    write_row(t, NAN);
  }
  if (!status && t->o->resume && t->iteration % t->o->save_every == 0)
    status = char_resume_save(t);
  return status;
}

static int run(trainer *t) {
  int status = DEMO_OK;
  catch_signal(SIGINT);
  catch_signal(SIGTERM);
  t->progress = progress_begin();
  t->started = seconds_now();
  t->fraction = fraction_done(t);
  while (!status && !stopped && t->fraction < 1) {
    status = update(t);
    t->fraction = fraction_done(t);
    if (!status && t->fraction < 1) status = look(t);
  }
  if (stopped) progress_say(&t->progress, "stopped by a signal");
  if (!status && t->o->resume) status = char_resume_save(t);
  if (!status && t->measured < t->iteration) status = validate(t);
  return status;
}

static void report(const trainer *t) {
  cg_tape_stats stats = char_window_stats(&t->window);
  printf("trained %lld iterations in %.1f s\n",
         (long long)(t->iteration - t->first), elapsed(t));
  if (t->iteration - t->first >= WARM)
    printf("the tapes hold %zu bytes (iteration %lld: %zu bytes); "
           "%zu system allocations since then\n",
           stats.bytes_held, (long long)t->first + WARM, t->warm.bytes_held,
           stats.system_allocs - t->warm.system_allocs);
  baselines_print(&t->baselines, t->val_loss);
  if (t->o->save)
    printf("saved %s: the model after %lld iterations, validation loss %.4f\n",
           t->o->save, (long long)t->best_iteration, t->best);
}

/* ---- before the loop ---- */

static int check_lengths(const trainer *t) {
  size_t needed = text_stream_needs(t->o->batch, t->o->steps);
  if (t->data.train.count < needed)
    return demo_fail(DEMO_USAGE,
                     "the text has %zu bytes for training, but a window of "
                     "%lld streams and %lld steps needs %zu: give more text, "
                     "or a smaller --batch or --steps",
                     t->data.train.count, (long long)t->o->batch,
                     (long long)t->o->steps, needed);
  if (t->data.validation.count < 2)
    return demo_fail(DEMO_USAGE,
                     "the text has %zu byte for validation, but 2 are needed: "
                     "give more text, or a larger --val-fraction",
                     t->data.validation.count);
  return DEMO_OK;
}

static int make_optimizer(trainer *t) {
  cg_error err = {0};
  cg_params *params = t->model.params;
  double lr = t->o->lr;
  const char *name = t->o->optimizer;
  cg_sgd_config sgd = {.lr = lr, .momentum = 0.9};
  t->optimizer = strcmp(name, "sgd") == 0
                     ? cg_sgd_new(params, &sgd, &err)
                     : cg_optimizer_new(params, name, lr, &err);
  return t->optimizer ? DEMO_OK : demo_fail_cg(&err, "the optimizer");
}

static int make_model(trainer *t) {
  cg_rng rng = cg_rng_seed(t->o->seed);
  t->model.vocabulary = t->data.vocabulary;
  t->model.cell = t->o->cell;
  t->model.embedding = t->o->embedding;
  t->model.hidden = t->o->hidden;
  t->model.layers = (int)t->o->layers;
  int status = char_model_build(&t->model, &rng);
  if (!status && t->o->save) status = char_save_try(&t->model, t->o->save);
  return status ? status : make_optimizer(t);
}

/* A log that goes on tells the time where the state does not. */
static int open_log(trainer *t) {
  double seconds = 0;
  if (!t->iteration) return train_log_open(&t->log, t->o->log);
  /* With windows that no row has told of, that row is still to come. */
  int64_t last = t->iteration - (t->windows > 0);
  int status = train_log_resume(&t->log, t->o->log, last, &seconds);
  if (t->o->iterations) t->before = seconds;
  return status;
}

static int prepare(trainer *t) {
  const char_options *o = t->o;
  int status = text_data_load(&t->data, o->files, o->n_files, o->val_fraction);
  if (!status) status = check_lengths(t);
  if (!status) status = make_model(t);
  if (status) return status;
  t->tape = cg_tape_new(NULL);
  if (!t->tape || !baselines_measure(&t->baselines, &t->data) ||
      !text_stream_init(&t->stream, &t->data.train, o->batch, o->steps,
                        ~o->seed))
    return demo_fail(DEMO_FAILED, "out of memory");
  status = char_window_init(&t->window, &t->model, o->batch, o->threads);
  if (!status) status = char_resume_begin(t);
  if (!status) status = open_log(t);
  if (status) return status;
  printf("%zu bytes to train on, %zu to validate on, %d different\n",
         t->data.train.count, t->data.validation.count,
         t->data.vocabulary.size);
  printf("%s, %lld layer(s) of %lld, %lld parameters; %s\n",
         char_cell_names[o->cell], (long long)o->layers, (long long)o->hidden,
         (long long)cg_params_numel(t->model.params), o->optimizer);
  fflush(stdout);
  return DEMO_OK;
}

static void clean_up(trainer *t) {
  char_window_free(&t->window);
  text_stream_free(&t->stream);
  cg_optimizer_free(t->optimizer);
  cg_tape_free(t->tape);
  char_model_free(&t->model);
  text_data_free(&t->data);
}

int char_train(const char_options *o) {
  trainer t = {.o = o, .best = INFINITY, .val_loss = NAN, .fallen = 1,
               .plateau = {.factor = 0.5, .patience = 1}};
  int status = prepare(&t);
  if (!status) status = run(&t);
  if (!status) report(&t);
  int logged = train_log_close(&t.log);
  if (!status) {
    train_log_draw(o->log, t.baselines.entropy[2]);
    status = logged;
  }
  clean_up(&t);
  return status;
}
