/* draw.h - a graph as Graphviz text. */
#ifndef CHRONOGRAD_DRAW_H
#define CHRONOGRAD_DRAW_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to show; all zero is a fine beginning. */
typedef struct cg_draw_options {
  bool values;        /* show the values of tensors with few elements */
  bool gradients;     /* and their gradients, where they are kept */
  int64_t max_values; /* what counts as few; 0: 4 */
  int64_t longest_row; /* of like scopes that is drawn whole; 0: 6; negative:
                          fold nothing */
} cg_draw_options;

/* Writes to `path` (through a temporary file that is renamed) the graph that
 * `root` depends on, in the DOT language: a node per op with its shape and
 * type, leaves with their names, nested scopes as nested clusters. What a
 * recorded walk (CG_CREATE_GRAPH) applied is green, in a cluster "backward"
 * that has the scopes again. Render it with `dot -Tsvg`.
 *
 * Scopes one behind the other are alike if their names differ at most in digits
 * and they hold the same ops, with the same shapes, in the same order, like the
 * steps of an unrolled net; ops of one scope are, if they do the same to the
 * same operands. Of a row of more than longest_row such scopes or ops the first
 * two and the last are drawn, and one node for the others.
 *
 * `options` may be NULL. IO, NOMEM, LIMIT or ARG, described in *err; errors
 * leave no file behind. */
CG_API cg_status cg_draw(cg_tape *tape, cg_tensor *root, const char *path,
                         const cg_draw_options *options, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
