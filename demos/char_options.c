/* char_options.c - char_rnn's command line. */
#include "char_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "char_model.h"
#include "cli.h"
#include "demo.h"
#include "train_log.h"

enum { FILE_ARGUMENT = 1 }; /* what getopt answers for an operand */

enum {
  DATA = 256, MODEL, SAVE, LOG, PROMPT, CELL, HIDDEN, LAYERS, BATCH, STEPS,
  EMBEDDING,
  ITERATIONS, SECONDS, OPTIMIZER, LR, CLIP, VAL_FRACTION, VALIDATIONS, LENGTH,
  TEMPERATURE, SEED, SCHEDULE, WARMUP, RESUME, SAVE_EVERY, THREADS, HELP
};

#define ROW(name, val) {name, required_argument, NULL, val}
#define END {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}

static const struct option train_options[] = {
    ROW("data", DATA), ROW("cell", CELL), ROW("embedding", EMBEDDING),
    ROW("hidden", HIDDEN), ROW("layers", LAYERS), ROW("batch", BATCH),
    ROW("steps", STEPS),
    ROW("iterations", ITERATIONS), ROW("seconds", SECONDS),
    ROW("optimizer", OPTIMIZER), ROW("lr", LR), ROW("clip", CLIP),
    ROW("val-fraction", VAL_FRACTION), ROW("validations", VALIDATIONS),
    ROW("schedule", SCHEDULE), ROW("warmup", WARMUP), ROW("resume", RESUME),
    ROW("save-every", SAVE_EVERY), ROW("threads", THREADS), ROW("seed", SEED),
    ROW("save", SAVE), ROW("log", LOG), END};
static const struct option sample_options[] = {
    ROW("model", MODEL), ROW("prompt", PROMPT), ROW("length", LENGTH),
    ROW("temperature", TEMPERATURE), ROW("seed", SEED), END};
static const struct option eval_options[] = {ROW("model", MODEL),
                                             ROW("data", DATA), END};

static const struct option *const options_of[] = {train_options, sample_options,
                                                  eval_options};

void char_options_help(void) {
  fputs(
      "char_rnn - a character-level language model\n"
      "\n"
      "char_rnn train --data FILE...      learns to continue the texts\n"
      "  --save MODEL.safetensors  keeps the model\n"
      "  --log LOG.tsv             keeps the learning curve, and draws it in\n"
      "                            LOG.svg if gnuplot is installed\n"
      "  --seconds S               how long to train (60)\n"
      "  --iterations N            or: how many updates; then the same seed\n"
      "                            gives the same losses to the last bit\n"
      "  --cell rnn|gru|lstm (rnn)  --hidden N (256)  --layers N (1)\n"
      "  --embedding N (0)         elements of each symbol's learned vector;\n"
      "                            0: the net sees which symbol it is\n"
      "  --batch N (32)  --steps N (32)    streams, and symbols per window\n"
      "  --threads N (1)           share the streams; any number of threads\n"
      "                            gives the same bits\n"
      "  --optimizer adam|adamw|rmsprop|adagrad|sgd (adam)\n"
      "  --lr X (0.004; rmsprop: 0.002, adagrad: 0.03, sgd: 0.1)\n"
      "  --schedule cosine|constant|step|exponential|one-cycle|plateau\n"
      "                            how the rate falls, over the iterations\n"
      "                            or, with --seconds, the time (cosine)\n"
      "  --warmup X (0)            the part of training in which it rises\n"
      "  --clip X (1)              largest norm of the gradient; 0: any\n"
      "  --val-fraction X (0.05)   the end of each file that is held out\n"
      "  --validations N (10)      how often to measure the loss on it\n"
      "  --seed N (1)\n"
      "  --resume STATE            keeps all of the training there; if the\n"
      "                            file exists, goes on from it: the same\n"
      "                            command continues what was killed, with\n"
      "                            --iterations to the same bits\n"
      "  --save-every N (500)      iterations between two such states\n"
      "  Ctrl-C ends training early; the model is kept.\n"
      "\n"
      "char_rnn sample --model MODEL      writes\n"
      "  --prompt TEXT  --length N (400)  --temperature X (0.7)  --seed N (1)\n"
      "\n"
      "char_rnn eval --model MODEL --data FILE...      measures the loss\n"
      "\n"
      "Exit status: 0 done, 1 failed, 2 wrong options or files.\n",
      stdout);
}

/* ---- values ---- */

static bool set_cell(char_options *o, const char *text) {
  int cell;
  if (!cli_choice("--cell", text, char_cell_names, CG_CELL_COUNT, &cell))
    return false;
  o->cell = (cg_cell_kind)cell;
  return true;
}

/* Those of the library that a sample of the loss is enough for. */
static const struct {
  const char *name;
  double lr;
} optimizers[] = {{"adam", 0.004}, {"adamw", 0.004}, {"rmsprop", 0.002},
                  {"adagrad", 0.03}, {"sgd", 0.1}};

enum { N_OPTIMIZERS = sizeof optimizers / sizeof *optimizers };

static bool set_optimizer(char_options *o, const char *text) {
  const char *names[N_OPTIMIZERS];
  int which;
  for (int i = 0; i < N_OPTIMIZERS; i++) names[i] = optimizers[i].name;
  if (!cli_choice("--optimizer", text, names, N_OPTIMIZERS, &which))
    return false;
  o->optimizer = names[which];
  return true;
}

static double default_lr(const char_options *o) {
  int i = 0;
  while (strcmp(optimizers[i].name, o->optimizer) != 0) i++;
  return optimizers[i].lr;
}

static bool set_schedule(char_options *o, const char *text) {
  int which;
  if (!cli_choice("--schedule", text, char_schedule_names, CHAR_SCHEDULES,
                  &which))
    return false;
  o->schedule = (char_schedule)which;
  return true;
}

static bool set_number(char_options *o, int option, const char *text) {
  switch (option) {
    case EMBEDDING:
      return cli_int64("--embedding", text, 0, MODEL_MAX_EMBEDDING,
                       &o->embedding);
    case HIDDEN:
      return cli_int64("--hidden", text, 1, MODEL_MAX_HIDDEN, &o->hidden);
    case LAYERS:
      return cli_int64("--layers", text, 1, MODEL_MAX_LAYERS, &o->layers);
    case BATCH: return cli_int64("--batch", text, 1, 65536, &o->batch);
    case STEPS: return cli_int64("--steps", text, 1, 65536, &o->steps);
    case ITERATIONS:
      return cli_int64("--iterations", text, 1, 1000000000, &o->iterations);
    case SECONDS: return cli_double("--seconds", text, 0.1, 1e8, &o->seconds);
    case LR: return cli_double("--lr", text, 1e-12, 1e38, &o->lr);
    case CLIP: return cli_double("--clip", text, 0, 1e12, &o->clip);
    case VAL_FRACTION:
      return cli_double("--val-fraction", text, 1e-6, 0.9, &o->val_fraction);
    case VALIDATIONS:
      return cli_int64("--validations", text, 1, 1000000, &o->validations);
    case WARMUP: return cli_double("--warmup", text, 0, 1, &o->warmup);
    case SAVE_EVERY:
      return cli_int64("--save-every", text, 1, 1000000000, &o->save_every);
    case THREADS: return cli_int64("--threads", text, 1, 256, &o->threads);
    case LENGTH: return cli_int64("--length", text, 0, INT64_MAX, &o->length);
    case TEMPERATURE:
      return cli_double("--temperature", text, 0, 100, &o->temperature);
    default: return cli_uint64("--seed", text, &o->seed);
  }
}

static bool set(char_options *o, int option, const char *text) {
  switch (option) {
    case CELL: return set_cell(o, text);
    case OPTIMIZER: return set_optimizer(o, text);
    case SCHEDULE: return set_schedule(o, text);
    case RESUME: o->resume = text; return true;
    case MODEL: o->model = text; return true;
    case SAVE: o->save = text; return true;
    case LOG: o->log = text; return true;
    case PROMPT: o->prompt = text; return true;
    default: return set_number(o, option, text);
  }
}

/* ---- the whole line ---- */

/* The learning curve's picture, whose name follows from the log's. */
static bool check_picture(const char_options *o) {
  const char *what = "--log's picture";
  if (!o->log) return true;
  char *path = train_log_picture(o->log);
  bool good = path || cli_fail("out of memory");
  good = good && cli_may_write(what, path, o->save) &&
         cli_may_write(what, path, o->resume);
  for (int i = 0; good && i < o->n_files; i++)
    good = cli_may_write(what, path, o->files[i]);
  free(path);
  return good;
}

/* Nothing that is read may be overwritten, and nothing written twice. */
static bool check_files(const char_options *o) {
  bool good = cli_may_write("--log", o->log, NULL) &&
              cli_may_write("--save", o->save, o->log) &&
              cli_may_write("--resume", o->resume, o->log) &&
              cli_may_write("--resume", o->resume, o->save);
  for (int i = 0; good && i < o->n_files; i++)
    good = cli_may_write("--save", o->save, o->files[i]) &&
           cli_may_write("--log", o->log, o->files[i]) &&
           cli_may_write("--resume", o->resume, o->files[i]);
  return good && check_picture(o);
}

static bool check(const char_options *o, char_command command) {
  if (command != CHAR_SAMPLE && o->n_files == 0)
    return cli_fail("--data FILE... is missing; see --help");
  if (command != CHAR_TRAIN && !o->model)
    return cli_fail("--model MODEL is missing; see --help");
  if (command == CHAR_TRAIN && o->batch * o->steps > (int64_t)1 << 26)
    return cli_fail("--batch times --steps is above %d", 1 << 26);
  return check_files(o);
}

int char_options_parse(char_options *o, char_command command, int argc,
                       char **argv, bool *help) {
  *o = (char_options){.hidden = 256, .layers = 1, .batch = 32, .steps = 32,
                      .threads = 1,
                      .seconds = 60, .clip = 1, .val_fraction = 0.05,
                      .validations = 10, .length = 400, .temperature = 0.7,
                      .seed = 1, .optimizer = optimizers[0].name,
                      .schedule = CHAR_COSINE, .save_every = 500};
  const struct option *options = options_of[command];
  bool data = false, timed = false;
  int found, kept = 1;
  opterr = 0;
  optind = 2;
  while ((found = getopt_long(argc, argv, "-:", options, NULL)) != -1) {
    timed = timed || found == SECONDS;
    data = found == DATA || (data && found == FILE_ARGUMENT);
    if (found == HELP) {
      *help = true;
      return DEMO_OK;
    }
    if (data) {
      argv[kept++] = optarg; /* places that were read already */
      continue;
    }
    if (found == FILE_ARGUMENT)
      return demo_fail(DEMO_USAGE, "what is \"%s\"? See --help", optarg);
    if (found == '?' || found == ':')
      return cli_refused(found, argv, options) ? DEMO_OK : DEMO_USAGE;
    if (!set(o, found, optarg)) return DEMO_USAGE;
  }
  if (optind < argc)
    return demo_fail(DEMO_USAGE, "what is \"%s\"? See --help", argv[optind]);
  if (timed && o->iterations)
    return demo_fail(DEMO_USAGE,
                     "--seconds and --iterations exclude each other");
  o->files = argv + 1;
  o->n_files = kept - 1;
  if (o->lr == 0) o->lr = default_lr(o);
  return check(o, command) ? DEMO_OK : DEMO_USAGE;
}
