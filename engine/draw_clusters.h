/* draw_clusters.h - the scopes of a drawing as a tree of clusters, and what of
 * it is folded: long rows of like clusters, or of like ops.
 *
 * A scope that was entered several times is one cluster. What a recorded walk
 * made lies in the cluster "backward", in clusters of the same names. Clusters
 * with one parent, one behind the other, whose names differ at most in digits
 * and which have the same ops, with the same shapes, in the same order, are
 * alike; so are ops, one behind the other, that do the same to the same
 * operands (the selects of all steps). Of a long row all are folded but the
 * first two and the last.
 */
#ifndef CG_ENGINE_DRAW_CLUSTERS_H
#define CG_ENGINE_DRAW_CLUSTERS_H

#include "tape_impl.h"

/* The cluster of what recorded walks made. */
enum { BACKWARD = 1 };

typedef struct cluster {
  uint64_t like;        /* hash of what lies in it */
  uint32_t parent;      /* comes before it; cluster 0 is the whole drawing */
  uint32_t scope;       /* a scope of that name; 0: "backward" */
  uint32_t first, next; /* child, sibling, of those that are used; 0: none */
  uint32_t fold;        /* folded: the first cluster of the folded row; or 0 */
  uint32_t last, count; /* that first one: the row's last, and its length */
  const cg_tensor *op;  /* no cluster, but a folded row of ops like this one */
  bool used;            /* something lies in it */
  bool root;            /* what is drawn ends in it */
  bool drawn;           /* that first one: the ellipsis was drawn */
} cluster;

typedef struct clusters {
  cg_tape *tape;
  cluster *item;
  uint32_t *of_scope; /* clusters of all scopes, then of those backward */
  uint32_t *table;    /* hash of parent and name -> cluster */
  size_t n, cap, n_of_scope, table_size;
  cg_tensor *const *ops; /* all ops that are drawn, newest first */
  uint32_t *row;         /* of each: the folded row that it lies in, or 0 */
  size_t n_ops;
} clusters;

/* The clusters of all scopes of a tape, empty. NOMEM or LIMIT; clusters_free is
 * due in any case. */
cg_status clusters_make(clusters *c, cg_tape *tape);
void clusters_free(clusters *c);

/* The cluster that x lies in. */
uint32_t clusters_find(const clusters *c, const cg_tensor *x);
/* Notes that x lies in its cluster: first constants, in any order, then ops as
 * they were recorded. */
void clusters_add(clusters *c, const cg_tensor *x);
/* In the end: folds the rows of more than `longest`; negative: none. `ops` are
 * all that were added, newest first. */
cg_status clusters_fold(clusters *c, cg_tensor *const *ops, size_t n_ops,
                        const cg_tensor *root, int64_t longest);
/* The folded row that x lies in: its first cluster or what stands for a row of
 * ops, in `item`; 0 if x is drawn. */
uint32_t clusters_fold_of(const clusters *c, const cg_tensor *x);

#endif
