/* graph.c - an expression from the command line: its value, all first and
 * second derivatives, and a drawing. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "expression.h"

const char *const cli_program = "graph";

static const char usage[] =
    "usage: graph EXPRESSION NAME=VALUE... [--dot FILE]\n"
    "Evaluates an expression and prints its first and second derivatives by\n"
    "all of its variables:\n"
    "\n"
    "  graph 'tanh(w*x + b)' x=0.5 w=-1.2 b=0.3\n"
    "\n"
    "There are + - * / ^, parentheses, and the functions exp log sqrt square\n"
    "tanh sigmoid relu. An expression that begins with a minus goes behind\n"
    "--.\n"
    "\n"
    "  --dot FILE         write the graph for Graphviz, with all values\n"
    "  --help             print this\n"
    "\n"
    "Exit status: 0 done, 2 bad usage, or a file that cannot be written.\n";

enum { OPT_DOT = CLI_HELP + 1 };

static const struct option long_options[] = {
    {"dot", required_argument, NULL, OPT_DOT},
    {"help", no_argument, NULL, CLI_HELP},
    {0}};

typedef struct command {
  const char *text, *dot_path;
  bool help;
  expression e;
  double values[EXPRESSION_NAMES];
  bool given[EXPRESSION_NAMES];
} command;

/* ---- the command line ---- */

/* "w=-1.2" */
static bool parse_value(command *c, const char *word) {
  const char *sign = strchr(word, '=');
  if (!sign) return cli_fail("\"%s\" is no NAME=VALUE", word);
  char name[sizeof c->e.names[0]];
  size_t length = (size_t)(sign - word);
  int i = -1;
  if (length < sizeof name) {
    memcpy(name, word, length);
    name[length] = '\0';
    i = expression_find(&c->e, name);
  }
  if (i < 0)
    return cli_fail("\"%s\": the expression has no such variable", word);
  if (c->given[i]) return cli_fail("%s is given twice", name);
  c->given[i] = true;
  return cli_double(name, sign + 1, -1e300, 1e300, &c->values[i]);
}

static bool parse_words(command *c, int count, char **words) {
  if (count < 1) return cli_fail("which expression? see --help");
  c->text = words[0];
  if (!expression_parse(c->text, &c->e)) return false;
  for (int i = 1; i < count; i++)
    if (!parse_value(c, words[i])) return false;
  for (int i = 0; i < c->e.n_names; i++)
    if (!c->given[i]) return cli_fail("%s has no value", c->e.names[i]);
  return true;
}

/* There is only one. */
static bool parse_option(void *command_line, int option) {
  (void)option;
  ((command *)command_line)->dot_path = optarg;
  return true;
}

static bool parse(command *c, int argc, char **argv) {
  if (!cli_options(argc, argv, long_options, parse_option, c, &c->help))
    return false;
  return c->help || parse_words(c, argc - optind, argv + optind);
}

/* ---- derivatives ---- */

/* The value, first[i] = dy/dx_i and second[i][j] = d^2 y/dx_i dx_j. */
typedef struct figures {
  double value, first[EXPRESSION_NAMES];
  double second[EXPRESSION_NAMES][EXPRESSION_NAMES];
} figures;

static bool tape_fine(const cg_tape *tape) {
  const cg_error *error = cg_tape_error(tape);
  return !error->status || cli_fail("%s: %s", error->op, error->message);
}

/* g[j] = dy/dx_j; NULL for all if y is a constant. */
static void differentiate(cg_tape *tape, cg_tensor *y, cg_tensor **x, int n,
                          cg_tensor **g, int options) {
  memset(g, 0, sizeof *g * (size_t)n);
  if (n && cg_tensor_requires_grad(y))
    cg_grad(tape, &y, 1, NULL, x, n, g, options | CG_ALLOW_UNUSED);
}

static double value_or_zero(const cg_tensor *g) {
  return g ? cg_tensor_item(g) : 0;
}

static bool derive(cg_tape *tape, cg_tensor *y, cg_tensor **x, int n,
                   figures *f) {
  cg_tensor *g[EXPRESSION_NAMES], *h[EXPRESSION_NAMES];
  f->value = cg_tensor_item(y);
  differentiate(tape, y, x, n, g, CG_CREATE_GRAPH);
  for (int i = 0; i < n; i++) {
    f->first[i] = value_or_zero(g[i]);
    differentiate(tape, g[i], x, n, h, 0);
    for (int j = 0; j < n; j++) f->second[i][j] = value_or_zero(h[j]);
  }
  return tape_fine(tape);
}

/* ---- the table ---- */

static void print(const command *c, const figures *f) {
  const expression *e = &c->e;
  printf("y = %s = %.10g\n", c->text, f->value);
  if (!e->n_names) return;
  printf("\n%-12s %14s %14s    d2y by it and", "by", "at", "dy");
  for (int j = 0; j < e->n_names; j++) printf(" %14s", e->names[j]);
  printf("\n");
  for (int i = 0; i < e->n_names; i++) {
    printf("%-12s %14.8g %14.8g %16s", e->names[i], c->values[i], f->first[i],
           "");
    for (int j = 0; j < e->n_names; j++) printf(" %14.8g", f->second[i][j]);
    printf("\n");
  }
}

static bool draw(const command *c, cg_tape *tape, cg_tensor *y) {
  cg_error err = {0};
  cg_draw_options options = {.values = true};
  return !c->dot_path || !cg_draw(tape, y, c->dot_path, &options, &err) ||
         cli_fail("--dot: %s", err.message);
}

/* ---- the way through ---- */

static bool make_variable(const command *c, int i, cg_tensor **x) {
  cg_error err = {0};
  *x = cg_leaf_new(NULL, CG_F64, 0, NULL, &err);
  if (!*x) return cli_fail("%s", err.message);
  cg_leaf_fill(*x, c->values[i]);
  cg_leaf_set_name(*x, c->e.names[i]);
  return !cg_leaf_set_requires_grad(*x, true);
}

static bool show(const command *c, cg_tape *tape, cg_tensor **x) {
  figures f = {0};
  for (int i = 0; i < c->e.n_names; i++)
    if (!make_variable(c, i, &x[i])) return false;
  cg_tensor *y = expression_build(&c->e, tape, x);
  if (!y) return tape_fine(tape);
  if (!derive(tape, y, x, c->e.n_names, &f) || !draw(c, tape, y)) return false;
  print(c, &f);
  return true;
}

static bool run(const command *c) {
  cg_tensor *x[EXPRESSION_NAMES] = {0};
  cg_tape *tape = cg_tape_new(NULL);
  bool ok = tape ? show(c, tape, x) : cli_fail("out of memory");
  cg_tape_free(tape);
  for (int i = 0; i < c->e.n_names; i++) cg_leaf_free(x[i]);
  return ok;
}

int main(int argc, char **argv) {
  static command c;
  if (!parse(&c, argc, argv)) return CLI_BAD;
  bool ok = true;
  if (c.help)
    fputs(usage, stdout);
  else
    ok = run(&c);
  return cli_close_stdout() && ok ? CLI_OK : CLI_BAD;
}
