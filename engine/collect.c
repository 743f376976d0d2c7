/* collect.c - gradients of leaves that come as many thin products.
 *
 * A weight that is used at every time step receives A_t^T B_t at every step,
 * with as many rows in A_t and B_t as the batch has. Each product reads and
 * writes the whole gradient. So a plain walk lays the rows of all A_t one below
 * the other, and those of B_t, and multiplies when there are enough of them:
 * sum_t A_t^T B_t = A^T B. The first product of a leaf in a walk is computed at
 * once, for it may be the only one, unless it is so thin that it is little work
 * to copy it.
 *
 * What is laid together depends on the order of the products alone, so the
 * same graph has the same bits.
 */
#include <string.h>

#include "backward_impl.h"
#include "kernel.h"

enum {
  FEW_ROWS = 17,      /* products of so many need no company (measured) */
  BIG_BYTES = 1 << 19, /* unless the gradient is so large that it drives the
                          weights from the cache, */
  HUGE_BYTES = 1 << 21, /* not so large that they don't fit there anyway, */
  LESS = 4,           /* and has so many times the elements of the rows, */
  FAR_ROWS = 32,      /* or these take as long as fetching it does */
  SOME_ROWS = 64,     /* are multiplied at once: more fill the cache; or so */
  PRODUCTS = 4,       /* many products, */
  MANY_ROWS = 256,    /* but not more rows than that */
  FIRST_ROWS = 32,    /* room for so many at first, or for a whole chunk if a
                         product has as many */
  ALONE = 4,          /* a first product with more rows is computed at once */
  LINE = 64,
  LONG_ROW = 2048,
  MAX_BYTES = 1 << 20 /* of the rows of one leaf */
};

/* How far rows of n elements are apart: an odd number of cache lines, if they
 * are long, lest columns compete for places in the cache. */
static int64_t apart(const collected *c, int64_t n) {
  const int64_t size = (int64_t)dtype_size(c->dtype), bytes = n * size;
  return bytes < LONG_ROW || bytes % (2 * LINE) ? n : n + LINE / size;
}

/* Of a block with room for `cap` rows of either. */
static size_t bytes_of(const collected *c, int64_t cap) {
  const int64_t row = apart(c, c->m) + apart(c, c->n);
  return (size_t)(row * cap) * dtype_size(c->dtype);
}

static size_t row_bytes(const collected *c, int64_t n) {
  return (size_t)n * dtype_size(c->dtype);
}

/* Is it better not to touch the whole gradient for these rows? Not if they
 * suffice to fetch it in good time. */
static bool few_rows(const gemm_args *g) {
  const int64_t size = (int64_t)dtype_size(g->dtype);
  const int64_t elements = g->m * g->n, bytes = elements * size;
  if (g->k < FEW_ROWS) return true;
  return bytes >= BIG_BYTES && bytes < HUGE_BYTES &&
         elements >= LESS * g->k * (g->m + g->n) &&
         !(g->k >= FAR_ROWS && kernel_gemm_far_suits(g));
}

static bool is_thin(const gemm_args *g) {
  const int64_t size = (int64_t)dtype_size(g->dtype);
  return g->ta && !g->tb && g->k > 0 && g->m > 0 && g->n > 0 &&
         g->m < MAX_BYTES && g->n < MAX_BYTES &&
         2 * g->k * (g->m + g->n) * size <= MAX_BYTES && few_rows(g);
}

/* So many rows are multiplied at once. */
static int64_t chunk_of(const gemm_args *g) {
  int64_t most = MAX_BYTES / ((g->m + g->n) * (int64_t)dtype_size(g->dtype));
  int64_t rows = PRODUCTS * g->k;
  if (rows < SOME_ROWS) rows = SOME_ROWS;
  if (rows > MANY_ROWS) rows = MANY_ROWS;
  return rows < most ? rows : most;
}

/* ---- the rows of one leaf ---- */

static void multiply(walk *w, collected *c) {
  gemm_args g = {.dtype = c->dtype,
                 .ta = true,
                 .m = c->m,
                 .n = c->n,
                 .k = c->rows,
                 .a = c->a,
                 .b = c->b,
                 .lda = apart(c, c->m),
                 .ldb = apart(c, c->n)};
  if (c->rows) slot_add_product(w, c->x, NULL, &g);
  c->rows = 0;
}

static void drop(walk *w, collected *c) {
  if (c->a) pool_put(&w->tape->pool, c->a, bytes_of(c, c->cap));
  *c = (collected){0};
}

/* Room for k rows more, of which there is enough in a whole chunk. */
static bool make_room(walk *w, collected *c, int64_t k) {
  if (c->rows + k <= c->cap) return true;
  int64_t cap = c->cap ? 2 * c->cap : k < FIRST_ROWS ? FIRST_ROWS : c->chunk;
  while (cap < c->rows + k) cap *= 2;
  if (cap > c->chunk) cap = c->chunk;
  void *block;
  pool *from = &w->tape->pool;
  cg_status status = pool_get(from, bytes_of(c, cap), &block);
  if (status) { /* there may be memory for these rows at least */
    cap = c->rows + k;
    status = pool_get(from, bytes_of(c, cap), &block);
  }
  if (status) {
    tape_fail_mem(w->tape, status, w->name);
    return false;
  }
  const int64_t lda = apart(c, c->m), ldb = apart(c, c->n);
  char *a = block, *b = a + row_bytes(c, lda * cap);
  if (c->a) {
    memcpy(a, c->a, row_bytes(c, lda * c->rows));
    memcpy(b, c->b, row_bytes(c, ldb * c->rows));
    pool_put(&w->tape->pool, c->a, bytes_of(c, c->cap));
  }
  c->a = a;
  c->b = b;
  c->cap = cap;
  return true;
}

/* n elements of each of g->k rows, which are ld apart, below the others. */
static void copy_rows(const collected *c, char *to, int64_t n,
                      const gemm_args *g, const void *from, int64_t ld) {
  const size_t bytes = row_bytes(c, n), to_next = row_bytes(c, apart(c, n));
  const size_t from_next = row_bytes(c, ld);
  to += (size_t)c->rows * to_next;
  if (from_next == bytes && to_next == bytes) {
    memcpy(to, from, (size_t)g->k * bytes);
    return;
  }
  for (int64_t i = 0; i < g->k; i++)
    memcpy(to + (size_t)i * to_next, (const char *)from + (size_t)i * from_next,
           bytes);
}

static void append(walk *w, collected *c, const gemm_args *g) {
  if (c->rows + g->k > c->chunk) multiply(w, c);
  if (g->k > c->chunk) c->chunk = chunk_of(g); /* the first product had fewer */
  if (!make_room(w, c, g->k)) return;
  copy_rows(c, c->a, c->m, g, g->a, g->lda);
  copy_rows(c, c->b, c->n, g, g->b, g->ldb);
  c->rows += g->k;
}

/* ---- those of a walk ---- */

static collected *find(collection *all, const cg_tensor *x) {
  for (int i = 0; i < all->n; i++)
    if (all->items[i].x == x) return &all->items[i];
  return NULL;
}

/* Notes that x has received a product; if there are too many to remember, one
 * of them after the other is forgotten. */
static collected *note(walk *w, cg_tensor *x, const gemm_args *g) {
  collection *all = w->collection;
  collected *c = &all->items[all->next];
  if (all->n < COLLECTED) {
    all->n++;
  } else {
    multiply(w, c);
    drop(w, c);
  }
  *c = (collected){.x = x,
                   .dtype = g->dtype,
                   .m = g->m,
                   .n = g->n,
                   .chunk = chunk_of(g)};
  all->next = (all->next + 1) % COLLECTED;
  return c;
}

bool collect_product(walk *w, cg_tensor *x, const gemm_args *g) {
  if (!w->collection || !(x->flags & T_PROXY) || !is_thin(g)) return false;
  collected *c = find(w->collection, x);
  if (!c) {
    c = note(w, x, g);
    if (g->k > ALONE) return false;
  }
  append(w, c, g);
  return true;
}

void collect_end(walk *w) {
  collection *all = w->collection;
  for (int i = 0; i < all->n; i++) {
    if (!w->tape->error.status) multiply(w, &all->items[i]);
    drop(w, &all->items[i]);
  }
  w->collection = NULL;
}
