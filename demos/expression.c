/* expression.c - arithmetic in text, as a tree, and the tree as a graph. */
#include "expression.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { DEPTH = 200 }; /* of nesting, for the parser recurses */

typedef struct parser {
  const char *text, *at;
  expression *e;
  int depth;
} parser;

static const struct {
  const char *name;
  expression_function call;
} functions[] = {{"exp", cg_exp},         {"log", cg_log},
                 {"sqrt", cg_sqrt},       {"square", cg_square},
                 {"tanh", cg_tanh},       {"sigmoid", cg_sigmoid},
                 {"relu", cg_relu}};

enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

/* ---- what is wrong, and where ---- */

/* Positions are counted from 1. Returns -1, for no node. */
static int fail_at(const parser *p, const char *at, const char *what) {
  cli_fail("\"%.200s\", position %d: %s", p->text, (int)(at - p->text) + 1,
           what);
  return -1;
}

static int expected(const parser *p, const char *what) {
  char message[96];
  if (*p->at)
    snprintf(message, sizeof message, "%s is expected, not '%c'", what, *p->at);
  else
    snprintf(message, sizeof message, "%s is expected, not the end", what);
  return fail_at(p, p->at, message);
}

/* ---- nodes ---- */

static int add(parser *p, expression_node node) {
  if (p->e->n_nodes == EXPRESSION_NODES)
    return fail_at(p, p->at, "the expression is too long");
  p->e->nodes[p->e->n_nodes] = node;
  return p->e->n_nodes++;
}

static int add_binary(parser *p, char symbol, int left, int right) {
  if (left < 0 || right < 0) return -1;
  return add(p, (expression_node){.kind = NODE_BINARY, .symbol = symbol,
                                  .left = left, .right = right});
}

/* Goes on to the next thing, which is looked at. */
static char peek(parser *p) {
  while (isspace((unsigned char)*p->at)) p->at++;
  return *p->at;
}

/* ---- the grammar ---- */

static int parse_sum(parser *p);
static int parse_sign(parser *p);

static int parse_number(parser *p) {
  char *end;
  double number = strtod(p->at, &end);
  if (end == p->at) return expected(p, "a number");
  if (!isfinite(number)) return fail_at(p, p->at, "the number is too large");
  p->at = end;
  return add(p, (expression_node){.kind = NODE_NUMBER, .number = number});
}

/* "( sum )" */
static int parse_inside(parser *p) {
  if (peek(p) != '(') return expected(p, "'('");
  p->at++;
  int inside = parse_sum(p);
  if (inside < 0) return -1;
  if (peek(p) != ')') return expected(p, "')' or an operator");
  p->at++;
  return inside;
}

static int parse_variable(parser *p, const char *name, const char *at) {
  int i = expression_find(p->e, name);
  if (i < 0) {
    if (p->e->n_names == EXPRESSION_NAMES)
      return fail_at(p, at, "there are too many variables");
    i = p->e->n_names++;
    strcpy(p->e->names[i], name);
  }
  return add(p, (expression_node){.kind = NODE_NAME, .name = i});
}

static int parse_word(parser *p) {
  const char *start = p->at;
  char name[sizeof p->e->names[0]];
  while (isalnum((unsigned char)*p->at) || *p->at == '_') p->at++;
  size_t length = (size_t)(p->at - start);
  if (length >= sizeof name) return fail_at(p, start, "the name is too long");
  memcpy(name, start, length);
  name[length] = '\0';
  for (int i = 0; i < N_FUNCTIONS; i++)
    if (strcmp(name, functions[i].name) == 0) {
      int inside = parse_inside(p);
      if (inside < 0) return -1;
      return add(p, (expression_node){.kind = NODE_CALL, .left = inside,
                                      .call = functions[i].call});
    }
  if (peek(p) == '(')
    return fail_at(p, start, "there is no such function; there are exp, log, "
                             "sqrt, square, tanh, sigmoid and relu");
  return parse_variable(p, name, start);
}

static int parse_atom(parser *p) {
  char c = peek(p);
  if (c == '(') return parse_inside(p);
  if (isalpha((unsigned char)c) || c == '_') return parse_word(p);
  if (isdigit((unsigned char)c) || c == '.') return parse_number(p);
  return expected(p, "a number, a name or '('");
}

static int parse_power(parser *p) {
  int base = parse_atom(p);
  if (base < 0 || peek(p) != '^') return base;
  p->at++;
  return add_binary(p, '^', base, parse_sign(p));
}

static int parse_sign(parser *p) {
  int node;
  if (p->depth == DEPTH) return fail_at(p, p->at, "the nesting is too deep");
  p->depth++;
  char c = peek(p);
  if (c == '+' || c == '-') {
    p->at++;
    node = parse_sign(p);
    if (c == '-' && node >= 0)
      node = add(p, (expression_node){.kind = NODE_CALL, .left = node,
                                      .call = cg_neg});
  } else {
    node = parse_power(p);
  }
  p->depth--;
  return node;
}

static int parse_product(parser *p) {
  int left = parse_sign(p);
  while (left >= 0 && (peek(p) == '*' || *p->at == '/')) {
    char symbol = *p->at++;
    left = add_binary(p, symbol, left, parse_sign(p));
  }
  return left;
}

static int parse_sum(parser *p) {
  int left = parse_product(p);
  while (left >= 0 && (peek(p) == '+' || *p->at == '-')) {
    char symbol = *p->at++;
    left = add_binary(p, symbol, left, parse_product(p));
  }
  return left;
}

bool expression_parse(const char *text, expression *e) {
  parser p = {.text = text, .at = text, .e = e};
  e->n_nodes = e->n_names = 0;
  if (parse_sum(&p) < 0) return false;
  return !peek(&p) || expected(&p, "an operator") >= 0;
}

int expression_find(const expression *e, const char *name) {
  for (int i = 0; i < e->n_names; i++)
    if (strcmp(e->names[i], name) == 0) return i;
  return -1;
}

/* ---- the graph ---- */

static cg_tensor *combine(cg_tape *tape, char symbol, cg_tensor *a,
                          cg_tensor *b) {
  switch (symbol) {
  case '+': return cg_add(tape, a, b);
  case '-': return cg_sub(tape, a, b);
  case '*': return cg_mul(tape, a, b);
  case '/': return cg_div(tape, a, b);
  default: return cg_pow(tape, a, b);
  }
}

/* x to a number that stands there is derived by x only, so that x may be
 * negative. */
static bool is_fixed_power(const expression *e, const expression_node *n,
                           double *power) {
  if (n->kind != NODE_BINARY || n->symbol != '^') return false;
  const expression_node *by = &e->nodes[n->right];
  double sign = 1;
  while (by->kind == NODE_CALL && by->call == cg_neg) {
    sign = -sign;
    by = &e->nodes[by->left];
  }
  *power = sign * by->number;
  return by->kind == NODE_NUMBER;
}

cg_tensor *expression_build(const expression *e, cg_tape *tape,
                            cg_tensor *const *variables) {
  cg_tensor *built[EXPRESSION_NODES];
  double power;
  for (int i = 0; i < e->n_nodes; i++) {
    const expression_node *n = &e->nodes[i];
    if (n->kind == NODE_NUMBER)
      built[i] = cg_scalar(tape, CG_F64, n->number);
    else if (n->kind == NODE_NAME)
      built[i] = variables[n->name];
    else if (n->kind == NODE_CALL)
      built[i] = n->call(tape, built[n->left]);
    else if (is_fixed_power(e, n, &power))
      built[i] = cg_pow_scalar(tape, built[n->left], power);
    else
      built[i] = combine(tape, n->symbol, built[n->left], built[n->right]);
  }
  return cg_tape_status(tape) ? NULL : built[e->n_nodes - 1];
}
