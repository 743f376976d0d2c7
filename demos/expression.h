/* expression.h - arithmetic in text, as a tree, and the tree as a graph.
 *
 *     sum      = product (('+' | '-') product)*
 *     product  = sign (('*' | '/') sign)*
 *     sign     = ('+' | '-') sign | power
 *     power    = atom ('^' sign)?
 *     atom     = number | name | function '(' sum ')' | '(' sum ')'
 *
 * Functions: exp log sqrt square tanh sigmoid relu.
 */
#ifndef CHRONOGRAD_DEMOS_EXPRESSION_H
#define CHRONOGRAD_DEMOS_EXPRESSION_H

#include <chronograd/engine.h>

enum { EXPRESSION_NAMES = 26, EXPRESSION_NODES = 1000 };

typedef cg_tensor *(*expression_function)(cg_tape *tape, cg_tensor *x);

typedef struct expression_node {
  enum { NODE_NUMBER, NODE_NAME, NODE_CALL, NODE_BINARY } kind;
  double number;
  int name;                /* NODE_NAME: index into names */
  expression_function call; /* NODE_CALL */
  char symbol;             /* NODE_BINARY: one of + - * / ^ */
  int left, right;         /* nodes; NODE_CALL has left only */
} expression_node;

/* A parsed expression: operands stand before what uses them, the whole is the
 * last node. `names` are those of the variables, in order of appearance. */
typedef struct expression {
  expression_node nodes[EXPRESSION_NODES];
  int n_nodes;
  char names[EXPRESSION_NAMES][32];
  int n_names;
} expression;

/* Parses `text`; says what is wrong and where by cli_fail. */
bool expression_parse(const char *text, expression *e);

/* Index of the variable `name`, or -1. */
int expression_find(const expression *e, const char *name);

/* The value on the tape, variable i being variables[i]: rank-0 F64 tensors.
 * NULL after an error, which is on the tape. */
cg_tensor *expression_build(const expression *e, cg_tape *tape,
                            cg_tensor *const *variables);

#endif
