/* draw.c - a graph as Graphviz text. */
#include <errno.h>
#include <string.h>

#include <chronograd/draw.h>

#include "draw_clusters.h"
#include "tape_impl.h"
#include "text_file.h"

/* Of scopes nested deeper than this, the innermost are drawn. */
enum { MAX_DEPTH = 64 };

/* Rows up to this long are drawn whole, if not asked otherwise. */
enum { LONGEST_ROW = 6 };

typedef struct list {
  cg_tensor **item;
  size_t n, cap;
} list;

/* From where to where: serials of nodes, or numbers of folded rows << 32. */
typedef struct edge {
  uint64_t from, to;
} edge;

typedef struct drawing {
  cg_tape *tape;
  cg_tensor *root;
  cg_draw_options options;
  list ops;     /* what was computed, newest first */
  list sources; /* leaves (by their newest proxy) and constants */
  size_t pending; /* ops that were reached and are not listed yet */
  clusters clusters;
  edge *edges; /* hash set of those from or to folded rows */
  size_t n_edges, cap_edges;
  cg_status status;
  text_file out;
  uint32_t open[MAX_DEPTH]; /* the clusters that are open, outermost first */
  int depth;
} drawing;

/* ---- what is drawn ---- */

static void append(drawing *d, list *l, cg_tensor *x) {
  if (!d->status)
    d->status = mem_grow(&d->tape->mem, (void **)&l->item, &l->cap, l->n,
                         l->n + 1, sizeof(cg_tensor *));
  if (!d->status) l->item[l->n++] = x;
}

/* All proxies of one leaf are one node: its newest. */
static cg_tensor *node_of(const drawing *d, cg_tensor *x) {
  if (!(x->flags & T_PROXY)) return x;
  cg_tensor *newest = tape_find_proxy(d->tape, t_proxied(x));
  return newest ? newest : x;
}

static void reach(drawing *d, cg_tensor *x) {
  x = node_of(d, x);
  if (x->flags & T_TEMP) { /* the root itself: it has no stamp, no history */
    append(d, &d->sources, x);
    return;
  }
  if (x->stamp == d->tape->stamp) return;
  x->stamp = d->tape->stamp;
  if (x->flags & T_HISTORY)
    d->pending++;
  else
    append(d, &d->sources, x);
}

/* Goes down the recording like walk_sort, but also through what needs no
 * gradient. */
static void collect(drawing *d) {
  d->tape->stamp++;
  reach(d, d->root);
  for (cg_tensor *x = d->tape->last; d->pending && !d->status; x = x->prev) {
    if (x->stamp != d->tape->stamp) continue;
    d->pending--;
    append(d, &d->ops, x);
    for (uint32_t i = 0; i < x->n_in; i++) reach(d, t_in(x)[i]);
  }
}

/* ---- text in quotes ---- */

/* The length of the UTF-8 sequence that s starts with, 0 if it is none. */
static size_t utf8_length(const unsigned char *s) {
  size_t n = *s < 0x80 ? 1 : *s >= 0xC2 && *s < 0xE0 ? 2
           : *s >= 0xE0 && *s < 0xF0 ? 3 : *s >= 0xF0 && *s < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  return n;
}

/* A name inside a quoted string. Graphviz gives a meaning to backslashes and
 * (as in HTML) to ampersands. */
static void put_escaped(text_file *out, const char *name) {
  const unsigned char *s = (const unsigned char *)name;
  while (*s) {
    size_t n = utf8_length(s);
    if (*s == '"' || *s == '\\')
      text_print(out, "\\%c", *s);
    else if (*s == '&')
      text_print(out, "&amp;");
    else if (*s == '\n')
      text_print(out, "\\n");
    else if (n == 0 || *s < 0x20 || *s == 0x7F)
      text_print(out, "?");
    else
      text_put(out, (const char *)s, n);
    s += n ? n : 1;
  }
}

/* ---- clusters ---- */

static void put_name(drawing *d, const cluster *c) {
  if (!c->scope) {
    put_escaped(&d->out, c->op ? t_label(c->op) : "backward");
    return;
  }
  const scope_entry *e = &d->tape->scopes[c->scope];
  put_escaped(&d->out, e->name);
  if (e->indexed) text_print(&d->out, "=%lld", (long long)e->index);
}

static void indent(drawing *d) {
  text_print(&d->out, "%*s", 2 * (d->depth + 1), "");
}

static void close_clusters(drawing *d, int depth) {
  while (d->depth > depth) {
    d->depth--;
    indent(d);
    text_print(&d->out, "}\n");
  }
}

/* A cluster may be opened several times: Graphviz joins what has one name. */
static void open_cluster(drawing *d, uint32_t k) {
  indent(d);
  d->open[d->depth++] = k;
  text_print(&d->out, "subgraph \"cluster%u\" {\n", k);
  indent(d);
  text_print(&d->out, "label=\"");
  put_name(d, &d->clusters.item[k]);
  text_print(&d->out, "\";\n");
  if (k != BACKWARD) return;
  indent(d);
  text_print(&d->out, "style=dashed;\n");
}

/* Makes cluster k and those around it the open ones. */
static void enter(drawing *d, uint32_t k) {
  uint32_t chain[MAX_DEPTH]; /* innermost first */
  int n = 0, same = 0;
  for (; k && n < MAX_DEPTH; k = d->clusters.item[k].parent) chain[n++] = k;
  while (same < n && same < d->depth && d->open[same] == chain[n - 1 - same])
    same++;
  close_clusters(d, same);
  while (d->depth < n) open_cluster(d, chain[n - 1 - d->depth]);
}

/* The node that stands for a folded row, once. */
static void put_ellipsis(drawing *d, uint32_t fold) {
  cluster *head = &d->clusters.item[fold];
  if (head->drawn) return;
  head->drawn = true;
  enter(d, head->parent);
  indent(d);
  text_print(&d->out, "f%u [label=\"...\\n", fold);
  put_name(d, head);
  if (head->last != fold && head->last) {
    text_print(&d->out, " to ");
    put_name(d, &d->clusters.item[head->last]);
  }
  text_print(&d->out, "\\n%u more like these\\n...\", "
                      "style=\"dashed,rounded\"];\n",
             head->count);
}

/* ---- nodes ---- */

static void put_values(drawing *d, const char *what, const cg_tensor *x) {
  if (!x) return;
  int64_t most = d->options.max_values > 0 ? d->options.max_values : 4;
  int64_t n = t_numel(x);
  if (n == 0 || n > most) return;
  text_print(&d->out, "\\n%s ", what);
  for (int64_t i = 0; i < n; i++)
    text_print(&d->out, i ? ", %.4g" : "%.4g", cg_tensor_get(x, i));
}

static void put_label(drawing *d, const cg_tensor *x) {
  const cg_tensor *leaf = x->flags & T_PROXY ? t_proxied(x) : x;
  char shape[192];
  put_escaped(&d->out, t_label(x));
  text_print(&d->out, "\\n%s %s",
             cg_tensor_shape_text(x, shape, sizeof shape),
             cg_dtype_name((cg_dtype)x->dtype));
  if (d->options.values) put_values(d, "=", x);
  if (d->options.gradients) put_values(d, "grad", cg_tensor_grad(leaf));
}

/* Leaves are boxes, blue if they want a gradient; constants are ellipses; ops
 * have round corners and are yellow, green if a recorded walk applied them, and
 * white where no gradient passes. */
static const char *style(const cg_tensor *x) {
  bool grad = x->flags & T_GRAD;
  if (x->flags & T_PROXY)
    return grad ? "style=filled, fillcolor=\"#cfe2ff\"" : "style=filled";
  if (!x->op) return "shape=ellipse, style=filled";
  if (!grad) return "fillcolor=white";
  return x->flags & T_BACKWARD ? "fillcolor=\"#d8efdc\""
                               : "fillcolor=\"#fff3cd\"";
}

static void put_node(drawing *d, const cg_tensor *x) {
  uint32_t fold = clusters_fold_of(&d->clusters, x);
  if (fold) {
    put_ellipsis(d, fold);
    return;
  }
  enter(d, clusters_find(&d->clusters, x));
  indent(d);
  text_print(&d->out, "n%u [label=\"", x->serial);
  put_label(d, x);
  text_print(&d->out, "\", %s%s];\n", style(x),
             x == d->root ? ", peripheries=2" : "");
}

static void put_nodes(drawing *d) {
  for (size_t i = 0; i < d->sources.n; i++)
    if (d->sources.item[i]->flags & T_PROXY) put_node(d, d->sources.item[i]);
  for (size_t i = 0; i < d->sources.n; i++)
    if (!(d->sources.item[i]->flags & T_PROXY)) put_node(d, d->sources.item[i]);
  for (size_t i = d->ops.n; i-- > 0;) put_node(d, d->ops.item[i]);
  close_clusters(d, 0);
}

/* ---- edges ---- */

/* The place of e in the set, or the free one where it would be. */
static edge *find_edge(edge *set, size_t size, edge e) {
  uint64_t hash = (e.from * 31 ^ e.to) * 0x9E3779B97F4A7C15u;
  size_t i = (hash ^ hash >> 32) & (size - 1);
  while (set[i].to && (set[i].from != e.from || set[i].to != e.to))
    i = (i + 1) & (size - 1);
  return &set[i];
}

static bool grow_edges(drawing *d) {
  size_t size = d->cap_edges ? 2 * d->cap_edges : 64;
  void *bigger;
  d->status = mem_alloc(&d->tape->mem, size * sizeof(edge), &bigger);
  if (d->status) return false;
  memset(bigger, 0, size * sizeof(edge));
  for (size_t i = 0; i < d->cap_edges; i++)
    if (d->edges[i].to) *find_edge(bigger, size, d->edges[i]) = d->edges[i];
  mem_free(&d->tape->mem, d->edges, d->cap_edges * sizeof(edge));
  d->edges = bigger;
  d->cap_edges = size;
  return true;
}

/* Many folded edges are one: is e the first? */
static bool new_edge(drawing *d, edge e) {
  if (2 * d->n_edges >= d->cap_edges && !grow_edges(d)) return false;
  edge *place = find_edge(d->edges, d->cap_edges, e);
  if (place->to) return false;
  *place = e;
  d->n_edges++;
  return true;
}

static void put_end(drawing *d, const cg_tensor *x, uint32_t fold) {
  text_print(&d->out, "%c%u", fold ? 'f' : 'n', fold ? fold : x->serial);
}

static void put_edge(drawing *d, const cg_tensor *x, const cg_tensor *y) {
  uint32_t from = clusters_fold_of(&d->clusters, x);
  uint32_t to = clusters_fold_of(&d->clusters, y);
  edge e = {from ? (uint64_t)from << 32 : x->serial,
            to ? (uint64_t)to << 32 : y->serial};
  if ((from || to) && (from == to || !new_edge(d, e))) return;
  text_print(&d->out, "  ");
  put_end(d, x, from);
  text_print(&d->out, " -> ");
  put_end(d, y, to);
  text_print(&d->out, "%s;\n",
             x->flags & y->flags & T_GRAD ? "" : " [color=gray60]");
}

static void put_edges(drawing *d) {
  for (size_t i = d->ops.n; i-- > 0 && !d->status;) {
    const cg_tensor *y = d->ops.item[i];
    for (uint32_t k = 0; k < y->n_in && !d->status; k++)
      put_edge(d, node_of(d, t_in(y)[k]), y);
  }
}

static void put_graph(drawing *d) {
  text_print(&d->out, "digraph chronograd {\n"
                      "  rankdir=TB;\n"
                      "  ranksep=0.3;\n"
                      "  nodesep=0.2;\n"
                      "  labeljust=l;\n"
                      "  color=gray50;\n"
                      "  fontname=\"Helvetica\";\n"
                      "  fontsize=15;\n");
  text_print(&d->out, "  node [fontname=\"Helvetica\", fontsize=14, "
                      "shape=box, height=0.3, margin=\"0.08,0.04\", "
                      "style=\"filled,rounded\", fillcolor=\"#eeeeee\"];\n");
  text_print(&d->out, "  edge [arrowsize=0.7];\n");
  put_nodes(d);
  put_edges(d);
  text_print(&d->out, "}\n");
}

/* ---- the call ---- */

/* The root on the tape. Its failure is told to the caller, not to the tape. */
static cg_tensor *find_root(cg_tape *tape, cg_tensor *root, cg_error *why) {
  bool clean = !tape->error.status;
  cg_tensor *x = tape_resolve(tape, root, "draw", 0);
  if (!x) *why = tape->error;
  if (clean) cg_tape_clear_error(tape);
  return x;
}

static void make_clusters(drawing *d) {
  if (d->status) return;
  d->status = clusters_make(&d->clusters, d->tape);
  if (d->status) return;
  for (size_t i = 0; i < d->sources.n; i++)
    clusters_add(&d->clusters, d->sources.item[i]);
  for (size_t i = d->ops.n; i-- > 0;)
    clusters_add(&d->clusters, d->ops.item[i]);
  int64_t longest = d->options.longest_row;
  d->status = clusters_fold(&d->clusters, d->ops.item, d->ops.n, d->root,
                            longest ? longest : LONGEST_ROW);
}

static cg_status draw(drawing *d, const char *path, cg_error *err) {
  collect(d);
  make_clusters(d);
  if (!d->status) {
    text_open(&d->out, path);
    if (!d->out.why) put_graph(d);
    if (d->status) d->out.why = ENOMEM; /* half a graph is none */
    cg_status status = text_close(&d->out, "draw", err);
    if (!d->status) return status;
  }
  return cg_error_set(err, d->status, "draw",
                      "no memory for the list of %zu nodes",
                      d->ops.n + d->sources.n);
}

static void free_drawing(drawing *d) {
  mem *m = &d->tape->mem;
  mem_free(m, d->ops.item, d->ops.cap * sizeof(cg_tensor *));
  mem_free(m, d->sources.item, d->sources.cap * sizeof(cg_tensor *));
  mem_free(m, d->edges, d->cap_edges * sizeof(edge));
  if (d->clusters.tape) clusters_free(&d->clusters);
}

cg_status cg_draw(cg_tape *tape, cg_tensor *root, const char *path,
                  const cg_draw_options *options, cg_error *err) {
  if (!tape || !path)
    return cg_error_set(err, CG_ERR_ARG, "draw", "the tape or path is NULL");
  cg_error why = {0};
  drawing d;
  memset(&d, 0, offsetof(drawing, out));
  d.tape = tape;
  d.root = find_root(tape, root, &why);
  if (!d.root) {
    if (err) *err = why;
    return why.status;
  }
  if (options) d.options = *options;
  d.depth = 0;
  cg_status status = draw(&d, path, err);
  free_drawing(&d);
  return status;
}
