/* sunspots.c - forecasts the sunspots of the next year with a recurrent net,
 * beside a linear autoregression that is fitted to the same years. */
#include "sunspots.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

const char *const cli_program = "sunspots";

static const char usage[] =
    "usage: sunspots [OPTION...]\n"
    "Fits nets (GRU) to the yearly sunspot numbers of 1700 to 1920 and\n"
    "forecasts each year after from those before it. The criterion: on 1921\n"
    "to 1955 the relative variance of every net is below that of a linear\n"
    "autoregression of order 9, and that of the nets' mean is at most 0.10.\n"
    "(Later cycles are stronger than any that was fitted, and there the\n"
    "linear one holds out.)\n"
    "\n"
    "  --seed N           of the first net (1)\n"
    "  --nets N           how many, from as many seeds (5)\n"
    "  --hidden H         units (8)\n"
    "  --steps N          of Adam (600)\n"
    "  --lr X             its learning rate (0.01)\n"
    "  --out BASE         write BASE.tsv and, with gnuplot, draw BASE.svg\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 the criterion is met, 1 not so, 2 bad usage or a file\n"
    "that cannot be written.\n";

enum { OPT_SEED = CLI_HELP + 1, OPT_NETS, OPT_HIDDEN, OPT_STEPS, OPT_LR,
       OPT_OUT };

static const struct option long_options[] = {
    {"seed", required_argument, NULL, OPT_SEED},
    {"nets", required_argument, NULL, OPT_NETS},
    {"hidden", required_argument, NULL, OPT_HIDDEN},
    {"steps", required_argument, NULL, OPT_STEPS},
    {"lr", required_argument, NULL, OPT_LR},
    {"out", required_argument, NULL, OPT_OUT},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

typedef struct command {
  sunspots_net_options net;
  int64_t nets;
  const char *out;
  bool help;
} command;

static bool parse_option(void *command_line, int option) {
  command *c = command_line;
  switch (option) {
  case OPT_SEED: return cli_uint64("--seed", optarg, &c->net.seed);
  case OPT_NETS: return cli_int64("--nets", optarg, 1, 1000, &c->nets);
  case OPT_HIDDEN: return cli_int64("--hidden", optarg, 1, 512, &c->net.hidden);
  case OPT_STEPS:
    return cli_int64("--steps", optarg, 1, 1000000, &c->net.steps);
  case OPT_LR: return cli_double("--lr", optarg, 0, 1, &c->net.lr);
  default: c->out = optarg; return true;
  }
}

static bool parse(command *c, int argc, char **argv) {
  return cli_options(argc, argv, long_options, parse_option, c, &c->help) &&
         (c->help || cli_no_operands(argc, argv));
}

double sunspots_relative_variance(const sunspots_forecast *f, int first,
                                  int last) {
  const int n = 1979 - SUNSPOTS_FIRST + 1;
  double mean = 0, variance = 0, error = 0;
  for (int t = 0; t < n; t++) mean += sunspots_number[t] / n;
  for (int t = 0; t < n; t++) {
    double d = sunspots_number[t] - mean;
    variance += d * d / n;
  }
  for (int year = first; year <= last; year++) {
    int t = year - SUNSPOTS_FIRST;
    double d = SUNSPOTS_SCALE * f->value[t] - sunspots_number[t];
    error += d * d / (last - first + 1);
  }
  return error / variance;
}

static const struct {
  int first, last;
} span[] = {{SUNSPOTS_FIRST + SUNSPOTS_KNOWN, SUNSPOTS_FITTED},
            {1921, 1955}, {1956, 1979}, {1980, 2008}};
enum { SPANS = sizeof span / sizeof *span };

static void print_row(const char *name, const sunspots_forecast *f,
                      double *v) {
  printf("%-24s", name);
  for (int i = 0; i < SPANS; i++) {
    v[i] = sunspots_relative_variance(f, span[i].first, span[i].last);
    printf(" %12.4f", v[i]);
  }
  printf("\n");
  fflush(stdout);
}

static bool nets(const command *c, sunspots_forecast *mean, double limit,
                 int *below) {
  *mean = (sunspots_forecast){{0}};
  for (int64_t i = 0; i < c->nets; i++) {
    sunspots_net_options o = c->net;
    sunspots_forecast f;
    double v[SPANS];
    char name[32];
    o.seed += (uint64_t)i;
    if (!sunspots_net(&f, &o)) return false;
    snprintf(name, sizeof name, "net, seed %llu", (unsigned long long)o.seed);
    print_row(name, &f, v);
    *below += v[1] < limit;
    for (int t = 1; t < SUNSPOTS_YEARS; t++)
      mean->value[t] += f.value[t] / (double)c->nets;
  }
  return true;
}

static int run(const command *c) {
  sunspots_forecast linear, mean;
  double a[SPANS], m[SPANS];
  int below = 0;
  printf("%-24s", "relative variance in");
  for (int i = 0; i < SPANS; i++)
    printf("    %d-%d", span[i].first, span[i].last);
  printf("\n");
  if (!sunspots_linear(&linear)) return CLI_BAD;
  print_row("linear autoregression", &linear, a);
  if (!nets(c, &mean, a[1], &below)) return CLI_BAD;
  print_row("mean of the nets", &mean, m);
  if (c->out && !sunspots_picture(c->out, &mean, &linear)) return CLI_BAD;
  bool met = below == c->nets && m[1] <= 0.10;
  printf("on 1921-1955 %d of %lld nets are below the autoregression, and their "
         "mean has %.4f: the criterion is %smet\n",
         below, (long long)c->nets, m[1], met ? "" : "NOT ");
  return met ? CLI_OK : CLI_NO;
}

int main(int argc, char **argv) {
  command c = {.net = {.hidden = 8, .steps = 600, .lr = 0.01, .seed = 1},
               .nets = 5};
  if (!parse(&c, argc, argv)) return CLI_BAD;
  int status = CLI_OK;
  if (c.help)
    fputs(usage, stdout);
  else
    status = run(&c);
  return cli_close_stdout() ? status : CLI_BAD;
}
