/* gradient_flow.c - vanishing and exploding gradients: recurrent Jacobians for
 * a sweep of spectral radii, with tanh and without. This file is the way
 * through; see gradient_flow.h. */
#include "gradient_flow.h"

#include <stdio.h>

#include "cli.h"

const char *const cli_program = "gradient_flow";

static const char usage[] =
    "usage: gradient_flow [OPTION...]\n"
    "Shows what becomes of a gradient on its way back through a recurrent\n"
    "net: norms and singular values of dh_T/dh_{T-gap}, Lyapunov exponents\n"
    "and the effect of clipping, for a sweep of the spectral radius of W_hh,\n"
    "with tanh and without.\n"
    "\n"
    "  --radius X         a spectral radius; repeat it for several (0.5, 0.8,\n"
    "                     0.95, 1, 1.05, 1.25, 1.5)\n"
    "  --hidden H         units (24)\n"
    "  --gap N            the longest gap (60)\n"
    "  --steps T          steps for the Lyapunov exponents (1000)\n"
    "  --clip X           norm that the state's gradient is cut to (0.1)\n"
    "  --seed N           of the matrix and the input (1)\n"
    "  --out PREFIX       write PREFIX.*.tsv, and draw PREFIX.*.svg with\n"
    "                     gnuplot\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 all agree, 1 they don't, 2 bad usage or no file.\n";

enum { RADIUS = CLI_HELP + 1, HIDDEN, GAP, STEPS, CLIP, SEED, OUT };

static const struct option long_options[] = {
    {"radius", required_argument, NULL, RADIUS},
    {"hidden", required_argument, NULL, HIDDEN},
    {"gap", required_argument, NULL, GAP},
    {"steps", required_argument, NULL, STEPS},
    {"clip", required_argument, NULL, CLIP},
    {"seed", required_argument, NULL, SEED},
    {"out", required_argument, NULL, OUT},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

static bool add_radius(flow_options *o) {
  if (o->n_radii == FLOW_RADII)
    return cli_fail("--radius: at most %d of them", FLOW_RADII);
  return cli_double("--radius", optarg, 0.01, 10,
                    &o->radii[o->n_radii++]);
}

static bool parse_option(void *command_line, int option) {
  flow_options *o = command_line;
  switch (option) {
  case RADIUS: return add_radius(o);
  case HIDDEN: return cli_int64("--hidden", optarg, 2, 256, &o->hidden);
  case GAP: return cli_int64("--gap", optarg, 2, 1000, &o->gaps);
  case STEPS: return cli_int64("--steps", optarg, 10, 100000, &o->steps);
  case CLIP: return cli_double("--clip", optarg, 1e-12, 1e12, &o->clip);
  case SEED: return cli_uint64("--seed", optarg, &o->seed);
  default: o->out = optarg; return cli_may_write("--out", optarg, NULL);
  }
}

static bool parse(flow_options *o, bool *help, int argc, char **argv) {
  static const double sweep[] = {0.5, 0.8, 0.95, 1, 1.05, 1.25, 1.5};
  if (!cli_options(argc, argv, long_options, parse_option, o, help))
    return false;
  if (*help) return true;
  if (!cli_no_operands(argc, argv)) return false;
  if (o->gaps >= o->steps)
    return cli_fail("--gap: the longest gap must be below --steps");
  if (!o->n_radii)
    for (size_t i = 0; i < sizeof sweep / sizeof *sweep; i++)
      o->radii[o->n_radii++] = sweep[i];
  return true;
}

static bool one_net(flow_figures *f, const flow_options *o) {
  flow_net n;
  bool ok = flow_net_make(&n, o, f->radius, f->phi) &&
            flow_jacobians(f, &n, o) && flow_clipping(f, &n, o);
  flow_net_free(&n);
  return ok;
}

static int run(const flow_options *o) {
  static flow_figures f[2 * FLOW_RADII];
  const int count = 2 * o->n_radii;
  bool ok = true, agree = false;
  for (int i = 0; i < count && ok; i++) {
    f[i].radius = o->radii[i % o->n_radii];
    f[i].phi = i < o->n_radii ? CG_ACT_IDENTITY : CG_ACT_TANH;
    ok = flow_figures_make(&f[i], o->gaps) && one_net(&f[i], o);
  }
  ok = ok && flow_report(f, count, o, &agree);
  for (int i = 0; i < count; i++) flow_figures_free(&f[i]);
  return !ok ? CLI_BAD : agree ? CLI_OK : CLI_NO;
}

int main(int argc, char **argv) {
  flow_options o = {.hidden = 24, .gaps = 60, .steps = 1000, .seed = 1,
                    .clip = 0.1};
  bool help = false;
  if (!parse(&o, &help, argc, argv)) return CLI_BAD;
  int status = CLI_OK;
  if (help)
    fputs(usage, stdout);
  else
    status = run(&o);
  return cli_close_stdout() ? status : CLI_BAD;
}
