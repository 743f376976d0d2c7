/* kernel_gemm_far.c - products with a matrix that is too large for the
 * second-level cache: what is needed next is fetched while the registers are
 * busy.
 *
 * A tile of C, some rows by four registers, is summed up in registers over the
 * inner index, along a panel of B that is as wide. At each step of that a line
 * of memory is asked for: of B's next panel, or of C's next tile. Each element
 * is a sum in the order of the inner index, wherever its tile lies.
 */
#include "kernel.h"

enum {
  WIDE = 64,           /* bytes of a register, and of a line of memory */
  REGISTERS = 4,       /* of a row of a tile */
  PANEL_BYTES = REGISTERS * WIDE,
  ROWS = 6,            /* of a tile, at most */
  STRIP = 8 * ROWS,    /* rows of C for which a transposed A is copied */
  CHUNK = 512,         /* rows of C that go over a panel at once */
  DEEP = 512,          /* products that add up at once, */
  DEEP_T = 256,        /* and if A is transposed */
  NEAR_BYTES = 1 << 19 /* a matrix of this size stays in the cache */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t size_of(const gemm_args *g) {
  return g->dtype == CG_F32 ? 4 : 8;
}
static int64_t panel_of(const gemm_args *g) { return PANEL_BYTES / size_of(g); }

/* ---- is it one? ---- */

/* A transposed A is copied by whole registers, and so is B. */
static bool suits_transposed(const gemm_args *g) {
  return g->m % (WIDE / size_of(g)) == 0 &&
         g->m * g->n * size_of(g) > NEAR_BYTES;
}

bool kernel_gemm_far_suits(const gemm_args *g) {
  if (g->tb || !kernel_has_wide() || g->n % panel_of(g)) return false;
  return g->panels ? !g->ta : g->ta && suits_transposed(g);
}

/* So many rows of B are copied at once: they shall stay in the cache, too. */
static int64_t deep_of(const gemm_args *g) {
  const int64_t most = NEAR_BYTES / (g->n * size_of(g));
  return least(g->k, most < WIDE ? WIDE : least(most, DEEP_T));
}

size_t kernel_gemm_far_scratch(const gemm_args *g) {
  if (g->panels) return 0;
  return (size_t)((g->n + STRIP) * deep_of(g) * size_of(g));
}

#if CG_CLONED

/* ---- a tile ---- */

typedef struct tile {
  cg_dtype dtype;
  bool add;           /* to what C is */
  int64_t k;
  const void *a, *b;  /* b: the panel */
  int64_t ai, ak;     /* from row to row of op(A), from column to column */
  void *c;
  int64_t ldc;
  const char *next;   /* `lines` of memory are fetched from here on: four side */
  int64_t apart, lines; /* by side, and the next four `apart` bytes on */
} tile;

#define ROWS_1(DO) DO(0)
#define ROWS_2(DO) ROWS_1(DO) DO(1)
#define ROWS_3(DO) ROWS_2(DO) DO(2)
#define ROWS_4(DO) ROWS_3(DO) DO(3)
#define ROWS_5(DO) ROWS_4(DO) DO(4)
#define ROWS_6(DO) ROWS_5(DO) DO(5)

/* Row r of a tile. (An array of registers would begin and end in memory.) */
#define BEGIN(r)                                                             \
  lanes *c##r = (lanes *)((T *)t->c + r * t->ldc);                           \
  lanes s##r##0 = {0}, s##r##1 = {0}, s##r##2 = {0}, s##r##3 = {0};          \
  if (t->add)                                                                \
    s##r##0 = c##r[0], s##r##1 = c##r[1], s##r##2 = c##r[2], s##r##3 = c##r[3];
#define MULTIPLY(r)                                                          \
  {                                                                          \
    const T x = a[r * ai];                                                   \
    s##r##0 += x * b0, s##r##1 += x * b1, s##r##2 += x * b2, s##r##3 += x * b3;\
  }
#define END(r)                                                               \
  c##r[0] = s##r##0, c##r[1] = s##r##1, c##r[2] = s##r##2, c##r[3] = s##r##3;

#define TILE(S, R)                                                           \
  CG_WIDE static void tile_##S##_##R(const tile *t) {                        \
    typedef S T;                                                             \
    typedef T lanes                                                          \
        __attribute__((vector_size(WIDE), aligned(sizeof(T)), may_alias));   \
    const int64_t k = t->k, ai = t->ai, ak = t->ak, lines = t->lines;        \
    const T *a = t->a;                                                       \
    const lanes *b = t->b;                                                   \
    ROWS_##R(BEGIN)                                                          \
    for (int64_t l = 0; l < k; l++, a += ak, b += REGISTERS) {               \
      const lanes b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3];                \
      if (l < lines)                                                         \
        __builtin_prefetch(t->next + l / 4 * t->apart + l % 4 * WIDE, 0, 2); \
      ROWS_##R(MULTIPLY)                                                     \
    }                                                                        \
    ROWS_##R(END)                                                            \
  }

#define TILES(S)                                                             \
  TILE(S, 1)                                                                 \
  TILE(S, 2)                                                                 \
  TILE(S, 3)                                                                 \
  TILE(S, 4)                                                                 \
  TILE(S, 5)                                                                 \
  TILE(S, 6)                                                                 \
  static void compute_##S(const tile *t, int64_t rows) {                     \
    switch (rows) {                                                          \
      case 1: tile_##S##_1(t); break;                                        \
      case 2: tile_##S##_2(t); break;                                        \
      case 3: tile_##S##_3(t); break;                                        \
      case 4: tile_##S##_4(t); break;                                        \
      case 5: tile_##S##_5(t); break;                                        \
      case 6: tile_##S##_6(t); break;                                        \
    }                                                                        \
  }

TILES(float)
TILES(double)

static void compute(const tile *t, int64_t rows) {
  if (t->dtype == CG_F32)
    compute_float(t, rows);
  else
    compute_double(t, rows);
}

static const void *at(const gemm_args *g, const void *x, int64_t i) {
  return (const char *)x + i * size_of(g);
}
static char *at_c(const gemm_args *g, int64_t i, int64_t j) {
  return (char *)g->c + (i * g->ldc + j) * size_of(g);
}

/* ---- A B, B in panels: the next one is fetched ---- */

/* What a tile of C holds, its rows `apart` bytes apart, is fetched: it is added
 * to. */
static void fetch_rows(const char *c, int64_t rows, int64_t apart) {
  for (int64_t r = 0; r < rows; r++)
    for (int k = 0; k < REGISTERS; k++)
      __builtin_prefetch(c + r * apart + k * WIDE, 0, 2);
}

/* Rows [first, first + rows) of a panel of C from column j on; what t->next has
 * the lines of is shared out among the tiles. */
static void down_panel(const gemm_args *g, tile *t, int64_t first,
                       int64_t rows, int64_t l, int64_t j) {
  int64_t tiles = (rows + ROWS - 1) / ROWS;
  int64_t lines = t->next ? t->k * REGISTERS : 0;
  for (int64_t i = first; tiles; tiles--) {
    const int64_t some = (first + rows - i + tiles - 1) / tiles;
    t->a = at(g, g->a, i * g->lda + l);
    t->c = at_c(g, i, j);
    t->lines = (lines + tiles - 1) / tiles;
    if (t->add && tiles > 1)
      fetch_rows(at_c(g, i + some, j), some, g->ldc * size_of(g));
    compute(t, some);
    t->next += t->lines * WIDE;
    lines -= t->lines;
    i += some;
  }
}

/* The panel of columns [j, ...), from row l on. */
static const void *panel(const gemm_args *g, int64_t l, int64_t j) {
  return at(g, g->b, j * g->k + l * panel_of(g));
}

static void times_panels(const gemm_args *g, int64_t first, int64_t rows) {
  const int64_t width = panel_of(g);
  tile t = {.dtype = g->dtype, .ai = g->lda, .ak = 1, .ldc = g->ldc,
            .apart = PANEL_BYTES};
  for (int64_t l = 0; l < g->k; l += DEEP) {
    t.k = least(DEEP, g->k - l);
    t.add = g->accumulate || l > 0;
    for (int64_t j = 0; j < g->n; j += width) {
      const bool last = j + width == g->n;
      t.b = panel(g, l, j);
      t.next = !last            ? panel(g, l, j + width)
               : l + DEEP < g->k ? panel(g, l + DEEP, 0)
                                 : NULL;
      down_panel(g, &t, first, rows, l, j);
    }
  }
}

/* ---- A^T B: the next tile of C is fetched ---- */

/* Rows [i, i + rows) of C, the strip of A for which is t->a, from column j on;
 * `below` is where C goes on. */
static void down_strip(const gemm_args *g, tile *t, int64_t i, int64_t rows,
                       int64_t j, const char *below) {
  const char *strip = t->a;
  const int64_t size = size_of(g), step = ROWS * g->ldc * size;
  char *c = at_c(g, i, j);
  t->lines = ROWS * REGISTERS;
  for (; rows > ROWS; rows -= ROWS, strip += ROWS * size, c += step) {
    t->a = strip;
    t->c = c;
    t->next = c + step;
    compute(t, ROWS);
  }
  t->a = strip;
  t->c = c;
  t->next = below;
  t->lines = below ? ROWS * REGISTERS : 0;
  compute(t, rows);
}

/* The strip goes along the panels of B. */
static void along_panels(const gemm_args *g, tile *t, int64_t i, int64_t rows,
                         const void *panels) {
  const int64_t width = panel_of(g);
  const void *strip = t->a;
  for (int64_t j = 0; j < g->n; j += width) {
    t->b = at(g, panels, j * t->k);
    const char *below = j + width < g->n     ? at_c(g, i, j + width)
                        : i + rows < g->m ? at_c(g, i + rows, 0)
                                             : NULL;
    t->a = strip;
    down_strip(g, t, i, rows, j, below);
  }
}

/* Copies rows [l, l + k) of B to panels. */
static void make_panels(const gemm_args *g, int64_t l, int64_t k, char *out) {
  const int64_t width = panel_of(g);
  for (int64_t j = 0; j < g->n; j += width, out += k * PANEL_BYTES)
    kernel_gather(k, PANEL_BYTES, at(g, g->b, l * g->ldb + j),
                  g->ldb * size_of(g), out, PANEL_BYTES);
}

static void transposed_times(const gemm_args *g, int64_t l, int64_t k) {
  char *panels = g->scratch, *strip = panels + g->n * k * size_of(g);
  tile t = {.dtype = g->dtype, .k = k, .ai = 1, .ldc = g->ldc,
            .add = g->accumulate || l > 0, .apart = g->ldc * size_of(g)};
  make_panels(g, l, k, panels);
  for (int64_t i = 0; i < g->m; i += STRIP) {
    const int64_t rows = least(STRIP, g->m - i);
    kernel_gather(k, rows * size_of(g), at(g, g->a, l * g->lda + i),
                  g->lda * size_of(g), strip, rows * size_of(g));
    t.a = strip;
    t.ak = rows;
    along_panels(g, &t, i, rows, panels);
  }
}

void kernel_gemm_far(const gemm_args *g) {
  if (g->panels) {
    for (int64_t i = 0; i < g->m; i += CHUNK)
      times_panels(g, i, least(CHUNK, g->m - i));
    return;
  }
  const int64_t deep = deep_of(g);
  for (int64_t l = 0; l < g->k; l += deep)
    transposed_times(g, l, least(deep, g->k - l));
}

#else

void kernel_gemm_far(const gemm_args *g) { kernel_gemm_plain(g); }

#endif
