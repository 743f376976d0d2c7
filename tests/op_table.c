/* op_table.c - prints the op table of the documentation, from the
 * registrations: a Markdown row per op of cg_op_at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chronograd/engine.h>

/* A cell: what Markdown would take for a column or markup is escaped. */
static void put_cell(const char *text) {
  printf("| ");
  for (; *text; text++) {
    if (*text == '|' || *text == '*' || *text == '_' || *text == '<' ||
        *text == '[' || *text == '`' || *text == '\\')
      putchar('\\');
    putchar(*text == '\n' ? ' ' : *text);
  }
  putchar(' ');
}

static void put_count(const cg_op *op) {
  if (op->max_in == op->min_in)
    printf("| %d ", op->min_in);
  else if (op->max_in < 0)
    printf("| %d or more ", op->min_in);
  else
    printf("| %d to %d ", op->min_in, op->max_in);
}

/* One of the op's checked cases as an example of shapes: the longest text. */
static const char *example(const cg_op *op) {
  const char *best = "";
  for (int i = 0; i < op->n_cases; i++)
    if (strlen(op->cases[i].in) > strlen(best)) best = op->cases[i].in;
  return best;
}

static void put_row(const cg_op *op) {
  put_cell(op->name);
  put_count(op);
  put_cell(example(op));
  put_cell(op->formula ? op->formula : "");
  put_cell(op->vjp ? op->derivative : "none");
  printf("|\n");
}

int main(void) {
  printf("# The ops\n\n"
         "Made from the registrations. gy is the gradient of the result, gx, "
         "ga, ... those of the operands. The example is one call of the "
         "automatic checks: f is a float tensor, i an int64 one with values "
         "below the number after <, u a mask.\n\n"
         "| op | operands | example | result | derivative |\n"
         "|---|---|---|---|---|\n");
  for (int i = 0; i < cg_op_count(); i++) put_row(cg_op_at(i));
  return fflush(stdout) || ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
