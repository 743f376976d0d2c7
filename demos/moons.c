/* moons.c - a classifier of two moons: trains, compares autograd's error
 * signals with a backward pass by hand, and draws the decision boundary. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "moons.h"

const char *const cli_program = "moons";

static const char usage[] =
    "usage: moons [OPTION...]\n"
    "Trains a net of two hidden layers to tell two half circles apart, and\n"
    "compares the error signals of autograd with those of a backward pass by\n"
    "hand, before and after training.\n"
    "\n"
    "  --points N         how many (400)\n"
    "  --noise X          deviation of a point from its circle (0.1)\n"
    "  --hidden H         units of each hidden layer (16)\n"
    "  --steps N          of Adam, on all points (600)\n"
    "  --seed N           of the points and of the net (1)\n"
    "  --out BASE         write BASE.tsv and, with gnuplot, draw BASE.svg\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 all agree and the accuracy is above 99 %, 1 not so, 2 bad\n"
    "usage or a file that cannot be written.\n";

enum { OPT_POINTS = CLI_HELP + 1, OPT_NOISE, OPT_HIDDEN, OPT_STEPS, OPT_SEED,
       OPT_OUT };

static const struct option long_options[] = {
    {"points", required_argument, NULL, OPT_POINTS},
    {"noise", required_argument, NULL, OPT_NOISE},
    {"hidden", required_argument, NULL, OPT_HIDDEN},
    {"steps", required_argument, NULL, OPT_STEPS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"out", required_argument, NULL, OPT_OUT},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

static const double TOLERANCE = 1e-10, GOOD = 0.99;

typedef struct command {
  int64_t points, hidden, steps;
  double noise;
  uint64_t seed;
  const char *out;
  bool help;
} command;

static bool parse_option(void *command_line, int option) {
  command *c = command_line;
  switch (option) {
  case OPT_POINTS: return cli_int64("--points", optarg, 2, 100000, &c->points);
  case OPT_NOISE: return cli_double("--noise", optarg, 0, 10, &c->noise);
  case OPT_HIDDEN: return cli_int64("--hidden", optarg, 1, 1000, &c->hidden);
  case OPT_STEPS: return cli_int64("--steps", optarg, 1, 1000000, &c->steps);
  case OPT_SEED: return cli_uint64("--seed", optarg, &c->seed);
  default: c->out = optarg; return true;
  }
}

static bool parse(command *c, int argc, char **argv) {
  return cli_options(argc, argv, long_options, parse_option, c, &c->help) &&
         (c->help || cli_no_operands(argc, argv));
}

/* ---- the comparison ---- */

/* |a - b| / max(|a|, |b|), prints a row. */
static bool compare(const char *name, int l, const double *a, const double *b,
                    int64_t n) {
  double aa = 0, bb = 0, dd = 0;
  for (int64_t i = 0; i < n; i++) {
    aa += a[i] * a[i];
    bb += b[i] * b[i];
    dd += (a[i] - b[i]) * (a[i] - b[i]);
  }
  double norm = sqrt(fmax(aa, bb)), error = norm > 0 ? sqrt(dd) / norm : 0;
  bool ok = error <= TOLERANCE; /* false for NaN */
  char label[24];
  snprintf(label, sizeof label, "%s_%d", name, l + 1);
  printf("  %-11s %10.4g %12.1e  %s\n", label, norm, error,
         ok ? "agrees" : "DISAGREES");
  return ok;
}

static bool compare_all(const moons_net *net, int64_t n, const moons_errors *a,
                        const moons_errors *m) {
  bool ok = fabs(a->loss - m->loss) <= TOLERANCE * fmax(1, fabs(m->loss));
  printf("  %-11s %10s %12s\n", "quantity", "norm", "error");
  printf("  %-11s %10.4g %12.1e  %s\n", "loss", a->loss,
         fabs(a->loss - m->loss), ok ? "agrees" : "DISAGREES");
  for (int l = 0; l < MOONS_LAYERS; l++) {
    int64_t out = cg_tensor_dim(net->layer[l]->W, 0);
    int64_t in = cg_tensor_dim(net->layer[l]->W, 1);
    ok = compare("delta", l, a->delta[l], m->delta[l], n * out) && ok;
    ok = compare("dW", l, a->dW[l], m->dW[l], out * in) && ok;
    ok = compare("db", l, a->db[l], m->db[l], out) && ok;
  }
  return ok;
}

static bool check(const char *when, const moons_net *net, const moons_data *d,
                  cg_tape *tape, bool *agree) {
  moons_errors a = {0}, m = {0};
  bool ok = moons_errors_make(&a, net, d->n) &&
            moons_errors_make(&m, net, d->n) &&
            moons_autograd(net, d, tape, &a) && moons_manual(net, d, &m);
  if (ok) {
    printf("autograd against the backward pass by hand, %s training:\n", when);
    *agree = compare_all(net, d->n, &a, &m) && *agree;
  }
  moons_errors_free(&a);
  moons_errors_free(&m);
  return ok;
}

/* ---- the way through ---- */

static bool accuracy(const moons_net *net, const moons_data *d, cg_tape *tape,
                     double *share) {
  double *p = malloc(sizeof *p * (size_t)d->n);
  if (!p) return cli_fail("out of memory");
  bool ok = moons_predict(net, d->x, d->n, tape, p);
  int64_t right = 0;
  for (int64_t i = 0; ok && i < d->n; i++) right += (p[i] > 0.5) == d->y[i];
  *share = (double)right / (double)d->n;
  free(p);
  return ok;
}

static bool steps(const command *c, moons_net *net, moons_data *d,
                  cg_tape *tape, bool *good) {
  double loss = 0, share = 0;
  bool agree = true;
  if (!moons_data_make(d, c->points, c->noise, c->seed) ||
      !moons_net_make(net, c->hidden, 0.02, c->seed) ||
      !check("before", net, d, tape, &agree))
    return false;
  double start = cli_seconds();
  if (!moons_train(net, d, tape, c->steps, &loss)) return false;
  double seconds = cli_seconds() - start;
  if (!check("after", net, d, tape, &agree) ||
      !accuracy(net, d, tape, &share) ||
      (c->out && !moons_picture(net, d, tape, c->out)))
    return false;
  printf("%lld steps in %.2f s: loss %.4f, accuracy %.2f %%\n",
         (long long)c->steps, seconds, loss, 100 * share);
  *good = agree && share > GOOD;
  puts(!agree        ? "The error signals DISAGREE."
       : share > GOOD ? "All agree, and the moons are told apart."
                      : "All agree, but the moons are NOT told apart.");
  return true;
}

static int run(const command *c) {
  moons_net net = {0};
  moons_data d = {0};
  bool good = false;
  cg_tape *tape = cg_tape_new(NULL);
  bool ok = tape ? steps(c, &net, &d, tape, &good) : cli_fail("out of memory");
  cg_tape_free(tape);
  moons_net_free(&net);
  moons_data_free(&d);
  return !ok ? CLI_BAD : good ? CLI_OK : CLI_NO;
}

int main(int argc, char **argv) {
  command c = {.points = 400, .noise = 0.1, .hidden = 16, .steps = 600,
               .seed = 1};
  if (!parse(&c, argc, argv)) return CLI_BAD;
  int status = CLI_OK;
  if (c.help)
    fputs(usage, stdout);
  else
    status = run(&c);
  return cli_close_stdout() ? status : CLI_BAD;
}
