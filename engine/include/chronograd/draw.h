/* draw.h - a graph as Graphviz text. */
#ifndef CHRONOGRAD_DRAW_H
#define CHRONOGRAD_DRAW_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cg_draw_options {
  bool values;        /* show the values of tensors with few elements */
  bool gradients;     /* and their gradients, where they are kept */
  int64_t max_values; /* what counts as few; 0: 4 */
} cg_draw_options;

/* Writes to `path` (through a temporary file that is renamed) the graph that
 * `root` depends on, in the DOT language: a node per op with its shape and
 * type, leaves with their names, nested scopes as nested clusters. Render it
 * with `dot -Tsvg`. `options` may be NULL. IO errors leave no file behind. */
CG_API cg_status cg_draw(cg_tape *tape, cg_tensor *root, const char *path,
                         const cg_draw_options *options, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
