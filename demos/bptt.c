/* bptt.c - backpropagation through time, three ways: by autograd, by hand, and
 * by difference quotients. This file is the way through; see bptt.h. */
#include <stdio.h>
#include <unistd.h>

#include "bptt.h"
#include "cli.h"

const char *const cli_program = "bptt";

static const char usage[] =
    "usage: bptt [OPTION...]\n"
    "Compares backpropagation through time by autograd, by hand and by\n"
    "central differences, for a recurrent net with cross-entropy at each\n"
    "step.\n"
    "\n"
    "  --steps T, --batch B, --input D, --hidden H, --classes K\n"
    "                     sizes of a random problem (12, 4, 5, 8, 7)\n"
    "  --seed N           of the random problem (1)\n"
    "  --cell NAME        rnn (default), lstm or gru; the derivation by hand\n"
    "                     is that of rnn, so the others are compared with\n"
    "                     differences and with PyTorch's figures in a case\n"
    "  --activation NAME  of rnn: tanh (default), relu, sigmoid or identity\n"
    "  --reduction NAME   sum (default) or mean, over steps and batch\n"
    "  --dtype NAME       f64 (default) or f32: the type autograd works in;\n"
    "                     the other sides stay in f64\n"
    "  --tolerance X      largest error that passes (1e-10 for f64, 1e-4 for\n"
    "                     f32); differences get at least 1e-7\n"
    "  --no-differences   leave the differences out\n"
    "  --case FILE        read the problem from a safetensors file:\n"
    "                     x [T, B, D], y [T, B] int64, W_xh [H, D],\n"
    "                     W_hh [H, H], W_hy [K, H], b_h [H], b_y [K] and,\n"
    "                     if it isn't zero, h0 [B, H]; for lstm and gru with\n"
    "                     4H and 3H rows in W_xh, W_hh and b_h, with b_hh,\n"
    "                     c0 [B, H] as h0, and perhaps figures want.NAME\n"
    "  --out FILE         write autograd.NAME and manual.NAME of each\n"
    "                     quantity to a safetensors file\n"
    "  --dot FILE         write the unrolled graph for Graphviz\n"
    "  --study            instead of the comparison, print and check the\n"
    "                     derivation's statements one by one (T = 40): the\n"
    "                     ledger of the steps, all paths, recurrent\n"
    "                     Jacobians, truncation, real-time recurrent\n"
    "                     learning, and costs;\n"
    "                     --out PREFIX then writes PREFIX.*.tsv and .svg\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 all agree, 1 they don't, 2 bad usage or a bad file.\n";

/* ---- options ---- */

enum {
  OPT_STEPS = CLI_HELP + 1,
  OPT_BATCH,
  OPT_INPUT,
  OPT_HIDDEN,
  OPT_CLASSES,
  OPT_SEED, /* up to here: of a random problem only */
  OPT_CELL,
  OPT_ACTIVATION,
  OPT_REDUCTION,
  OPT_DTYPE,
  OPT_TOLERANCE,
  OPT_NO_DIFFERENCES,
  OPT_CASE,
  OPT_OUT,
  OPT_DOT,
  OPT_STUDY
};

static const struct option long_options[] = {
    {"steps", required_argument, NULL, OPT_STEPS},
    {"batch", required_argument, NULL, OPT_BATCH},
    {"input", required_argument, NULL, OPT_INPUT},
    {"hidden", required_argument, NULL, OPT_HIDDEN},
    {"classes", required_argument, NULL, OPT_CLASSES},
    {"seed", required_argument, NULL, OPT_SEED},
    {"cell", required_argument, NULL, OPT_CELL},
    {"activation", required_argument, NULL, OPT_ACTIVATION},
    {"reduction", required_argument, NULL, OPT_REDUCTION},
    {"dtype", required_argument, NULL, OPT_DTYPE},
    {"tolerance", required_argument, NULL, OPT_TOLERANCE},
    {"no-differences", no_argument, NULL, OPT_NO_DIFFERENCES},
    {"case", required_argument, NULL, OPT_CASE},
    {"out", required_argument, NULL, OPT_OUT},
    {"dot", required_argument, NULL, OPT_DOT},
    {"study", no_argument, NULL, OPT_STUDY},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

typedef struct command {
  bptt_options o;
  bool help;
  const char *random_option; /* the last one that only random problems have */
} command;

static bool parse_activation(const char *text, cg_activation *phi) {
  if (cg_activation_parse(text, phi)) return true;
  return cli_fail("--activation: \"%s\" is none of tanh, relu, sigmoid, "
                  "identity",
                  text);
}

static bool parse_cell(const char *text, cg_cell_kind *cell) {
  static const char *const words[CG_CELL_COUNT] = {
      [CG_CELL_RNN] = "rnn", [CG_CELL_LSTM] = "lstm", [CG_CELL_GRU] = "gru"};
  int i = 0;
  if (!cli_choice("--cell", text, words, CG_CELL_COUNT, &i)) return false;
  *cell = (cg_cell_kind)i;
  return true;
}

static bool parse_reduction(const char *text, cg_reduction *reduction) {
  static const char *const words[] = {"sum", "mean"};
  int i = 0;
  if (!cli_choice("--reduction", text, words, 2, &i)) return false;
  *reduction = i ? CG_REDUCE_MEAN : CG_REDUCE_SUM;
  return true;
}

static bool parse_dtype(const char *text, cg_dtype *dtype) {
  static const char *const words[] = {"f64", "f32"};
  int i = 0;
  if (!cli_choice("--dtype", text, words, 2, &i)) return false;
  *dtype = i ? CG_F32 : CG_F64;
  return true;
}

static bool parse_size(const char *option, int64_t *size) {
  return cli_int64(option, optarg, 1, 1000000000, size);
}

static bool parse_random_option(command *c, int option) {
  bptt_options *o = &c->o;
  switch (option) {
  case OPT_STEPS:
    return parse_size(c->random_option = "--steps", &o->steps);
  case OPT_BATCH:
    return parse_size(c->random_option = "--batch", &o->batch);
  case OPT_INPUT:
    return parse_size(c->random_option = "--input", &o->input);
  case OPT_HIDDEN:
    return parse_size(c->random_option = "--hidden", &o->hidden);
  case OPT_CLASSES:
    return parse_size(c->random_option = "--classes", &o->classes);
  default:
    return cli_uint64(c->random_option = "--seed", optarg, &o->seed);
  }
}

static bool parse_option(void *command_line, int option) {
  command *c = command_line;
  bptt_options *o = &c->o;
  switch (option) {
  case OPT_CELL: return parse_cell(optarg, &o->cell);
  case OPT_ACTIVATION: return parse_activation(optarg, &o->activation);
  case OPT_REDUCTION: return parse_reduction(optarg, &o->reduction);
  case OPT_DTYPE: return parse_dtype(optarg, &o->dtype);
  case OPT_TOLERANCE:
    return cli_double("--tolerance", optarg, 0, 1, &o->tolerance);
  case OPT_NO_DIFFERENCES: o->no_differences = true; return true;
  case OPT_CASE: o->case_path = optarg; return true;
  case OPT_OUT: o->out_path = optarg; return true;
  case OPT_DOT: o->dot_path = optarg; return true;
  case OPT_STUDY: o->study = true; return true;
  default: return parse_random_option(c, option);
  }
}

/* Nothing that is read may be overwritten, and nothing written twice. */
static bool check_files(const bptt_options *o) {
  return cli_may_write("--out", o->out_path, o->case_path) &&
         cli_may_write("--dot", o->dot_path, o->case_path) &&
         cli_may_write("--dot", o->dot_path, o->out_path);
}

/* The study knows one way to compute, and draws its own pictures. */
static bool check_study(bptt_options *o) {
  if (o->study && o->dtype != CG_F64)
    return cli_fail("--dtype f32 doesn't go with --study");
  if (o->study && o->cell != CG_CELL_RNN)
    return cli_fail("--study is about the derivation by hand: --cell rnn only");
  if (o->cell != CG_CELL_RNN && o->activation != CG_ACT_TANH)
    return cli_fail("--activation doesn't go with --cell lstm or gru");
  if (o->study && o->dot_path) return cli_fail("--dot doesn't go with --study");
  if (!o->steps) o->steps = o->study ? 40 : 12;
  return true;
}

static bool parse(command *c, int argc, char **argv) {
  if (!cli_options(argc, argv, long_options, parse_option, c, &c->help))
    return false;
  if (c->help) return true;
  if (!cli_no_operands(argc, argv)) return false;
  if (c->o.case_path && c->random_option)
    return cli_fail("%s doesn't go with --case", c->random_option);
  if (c->o.tolerance < 0) c->o.tolerance = c->o.dtype == CG_F64 ? 1e-10 : 1e-4;
  return check_files(&c->o) && check_study(&c->o);
}

/* ---- progress ---- */

/* For those who wait at a terminal longer than a second. */
static void show_progress(double done) {
  static double start, shown;
  double time = cli_seconds();
  if (start == 0) start = time;
  bool last = done >= 1 && shown > 0;
  if (!last && (time - start < 1 || time - shown < 0.1)) return;
  if (!isatty(STDERR_FILENO)) return;
  shown = time;
  if (last)
    fprintf(stderr, "\r%*s\r", 20, "");
  else
    fprintf(stderr, "\rdifferences: %3.0f %%", 100 * done);
}

/* ---- the way through ---- */

/* By hand, or as stored. */
static bool run_manual(const bptt_case *c, bool no_differences,
                       cg_bptt_result *result, bptt_figures *manual) {
  const cg_bptt_problem *p = &c->p;
  cg_error err = {0};
  *manual = (bptt_figures){0};
  if (c->cell != CG_CELL_RNN) {
    for (int q = 0; q < Q_COUNT; q++) manual->of[q] = c->want[q];
    return c->want[Q_LOSS] || !no_differences ||
           cli_fail("--no-differences leaves nothing to compare with: there "
                    "are no figures of PyTorch's");
  }
  cg_status failed = p->B == 1 ? cg_bptt_sequence(p, result, &err)
                               : cg_bptt_batch(p, result, &err);
  *manual = bptt_figures_of(result);
  return !failed || cli_fail("%s", err.message);
}

static bool compare(const bptt_options *o, const bptt_case *c,
                    bptt_figures *autograd, cg_bptt_result *by_hand,
                    bptt_quotients *d, bool *agree) {
  bptt_figures manual;
  if (!bptt_figures_make(autograd, c) || 
      !run_manual(c, o->no_differences, by_hand, &manual) ||
      !bptt_autograd(c, o->dtype, o->dot_path, autograd))
    return false;
  if (o->out_path && !bptt_write(o->out_path, c, autograd, &manual))
    return false;
  if (!o->no_differences && !bptt_differences(c, show_progress, d))
    return false;
  return bptt_report(o, c, autograd, &manual, o->no_differences ? NULL : d,
                     agree);
}

static int run(const bptt_options *o) {
  bptt_case c;
  bptt_figures autograd = {0};
  cg_bptt_result by_hand = {0};
  bptt_quotients d = {0};
  bool agree = false;
  bool ok = bptt_case_make(&c, o) &&
            (o->study ? bptt_study(o, &c, &agree)
                      : compare(o, &c, &autograd, &by_hand, &d, &agree));
  bptt_quotients_free(&d);
  cg_bptt_free(&by_hand);
  bptt_figures_free(&autograd);
  bptt_case_free(&c);
  return !ok ? CLI_BAD : agree ? CLI_OK : CLI_NO;
}

int main(int argc, char **argv) {
  command c = {.o = {.batch = 4,
                     .input = 5,
                     .hidden = 8,
                     .classes = 7,
                     .dtype = CG_F64,
                     .seed = 1,
                     .tolerance = -1}};
  if (!parse(&c, argc, argv)) return CLI_BAD;
  int status = CLI_OK;
  if (c.help)
    fputs(usage, stdout);
  else
    status = run(&c.o);
  return cli_close_stdout() ? status : CLI_BAD;
}
