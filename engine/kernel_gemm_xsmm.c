/* kernel_gemm_xsmm.c - matrix products by libxsmm, which compiles kernels for
 * small shapes at run time.
 *
 * libxsmm's matrices are column-major: a row-major C = A B is the column-major
 * C^T = B^T A^T on the same memory. So rows of B and of C fill its vectors, A
 * may be transposed, and B may not. Products of the size of a time step are one
 * kernel; larger ones are cut into blocks, and what does not lie well in memory
 * is copied to panels: B as [n / PANEL][k][PANEL], A^T as [m / M_BLOCK][k]
 * [M_BLOCK].
 */
#include "kernel.h"

#ifdef CG_HAVE_XSMM

#include <string.h>

enum {
  PANEL_BYTES = 256, /* four registers: the widest row of a block of C */
  M_BLOCK = 64,
  K_BLOCK = 256,
  WHOLE_BYTES = 1024, /* a column of an A^T that is not cut into blocks */
  M_CHUNK = 512,      /* rows of C for which B's panels are made at once, */
  M_CHUNK_A = 256,    /* and A's: that much of C stays in the cache */
  M_CHUNK_KEPT = 128, /* rows that go over panels of B that were kept, */
  K_KEPT = 2048,      /* which are cut only where they are longer */
  PAGE = 4096,
  FAR_BYTES = 2048,   /* rows so far apart compete for places in the cache: */
  LINE = 64,
  SETS = 64, /* of lines in the first-level cache, */
  WAYS = 8,  /* with so many places each */
  NEAR_BYTES = 1 << 20, /* a B of this size stays in the second-level cache */
  FORM_LEAST = 160 * 1024, /* but one of so many elements not from product to
                              product; more than small products can have, whose
                              forms are other ones, */
  FORM_ROWS = 8, /* and if A has as many rows, panels are then worth while */
  REUSE = 128, /* A is copied if it goes over so many columns of B, and B */
  LITTLE_BYTES = 1 << 15, /* of this size if over so many rows of C */
  ODD_ROWS = 2 * M_BLOCK, /* rows of C that are completed at once, */
  ODD_ROWS_T = 8 * M_BLOCK, /* and if A is transposed */
  FAR_K = 4 * K_BLOCK,      /* but not if so many products add up */
  FLIP_K = 128 /* and C is computed as C^T if so many products add up */
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t size_of(const gemm_args *g) {
  return g->dtype == CG_F32 ? 4 : 8;
}
static int64_t panel_of(const gemm_args *g) { return PANEL_BYTES / size_of(g); }
/* How many more elements than whole registers (of 2^i elements). */
static int64_t beyond_lanes(const gemm_args *g, int64_t n) {
  return n & (LINE / size_of(g) - 1);
}
static const void *at(const gemm_args *g, const void *x, int64_t i) {
  return (const char *)x + i * size_of(g);
}

/* ---- how a product is cut ---- */

typedef struct plan {
  bool pack_a, pack_b; /* into scratch memory */
  int64_t m_block, n_block, k_block;
  int64_t chunk; /* rows of C */
} plan;

/* Do as many rows, ld elements apart, have places in the first-level cache? */
static bool rows_fit(const gemm_args *g, int64_t rows, int64_t ld) {
  const int64_t bytes = ld * size_of(g), lines = bytes / LINE;
  if (bytes < FAR_BYTES) return true;
  int64_t shared = lines & -lines; /* rows fall on every so many-th set */
  if (shared > SETS) shared = SETS;
  return bytes % LINE ? rows <= SETS * WAYS : rows <= SETS / shared * WAYS;
}

/* Copies pay only where every row of a transposed A lies on a page of its own:
 * other strides cost the kernels next to nothing. */
static bool packs_a(const gemm_args *g) {
  return g->ta && g->n >= REUSE && g->lda * size_of(g) > PAGE &&
         !rows_fit(g, least(g->k, K_BLOCK), g->lda);
}

/* B must be transposed, or it is little, goes over many rows of C, and its own
 * compete for places in the cache. */
static bool packs_b(const gemm_args *g) {
  const bool little = g->n * g->k * size_of(g) <= LITTLE_BYTES;
  if (g->panels || g->tb) return !g->panels;
  return g->ta && little && g->m >= REUSE && !rows_fit(g, g->k, g->ldb);
}

/* As many columns as lie in the second-level cache: whole rows of C if they
 * can. */
static int64_t near_columns(const gemm_args *g, int64_t k) {
  if (g->n * k * size_of(g) <= NEAR_BYTES) return g->n;
  const int64_t panel = panel_of(g), most = NEAR_BYTES / (k * size_of(g));
  return least(g->n, most > panel ? most / panel * panel : panel);
}

/* The longest piece of the sum that is not cut, and where longer ones are. */
static int64_t longest(const gemm_args *g) {
  if (g->ta) return WHOLE_BYTES / size_of(g);
  return g->panels ? K_KEPT : 2 * K_BLOCK;
}

static int64_t deep(const gemm_args *g) {
  if (g->ta) return K_BLOCK / 2;
  return g->panels ? K_KEPT / 2 : K_BLOCK;
}

static plan plan_for(const gemm_args *g) {
  plan p = {.pack_a = packs_a(g),
            .pack_b = packs_b(g),
            .k_block = g->k <= longest(g) ? g->k : deep(g),
            .chunk = g->m};
  p.m_block = p.pack_a ? M_BLOCK : g->ta ? M_CHUNK : 2 * M_BLOCK;
  if (g->panels || p.pack_b) {
    p.n_block = panel_of(g);
    p.chunk = g->panels && !g->ta ? M_CHUNK_KEPT : M_CHUNK;
  } else {
    p.n_block = near_columns(g, p.k_block);
  }
  if (p.pack_a) p.chunk = M_CHUNK_A;
  return p;
}

/* The columns beyond whole registers, if they are few and inner products are
 * cheaper for them than a register each: as long as what they are made of is
 * still in the cache. */
static int64_t odd_columns(const gemm_args *g) {
  const int64_t odd = beyond_lanes(g, g->n);
  bool few = odd && odd <= 2 && g->n > LINE / size_of(g) && g->m >= M_BLOCK;
  bool near = !g->ta || g->k < FAR_K;
  return few && near && !g->tb && !g->panels ? odd : 0;
}

/* n, rounded up to whole registers. */
static int64_t whole_lanes(const gemm_args *g, int64_t n) {
  const int64_t lanes = LINE / size_of(g);
  return n + beyond_lanes(g, lanes - beyond_lanes(g, n));
}

/* More columns than whole registers waste what C^T would not? */
static bool flips(const gemm_args *g) {
  return g->ta && !g->tb && !g->panels && g->k >= FLIP_K &&
         whole_lanes(g, g->n) * g->m * 9 > whole_lanes(g, g->m) * g->n * 10 &&
         !odd_columns(g);
}

static int64_t odd_rows(const gemm_args *g) {
  return least(g->ta ? ODD_ROWS_T : ODD_ROWS, g->m);
}

static int64_t odd_scratch(const gemm_args *g) {
  return !odd_columns(g) ? 0 : g->ta ? odd_rows(g) : g->k;
}

static int64_t packed_a(const plan *p, const gemm_args *g) {
  return p->pack_a ? least(p->chunk, g->m) * least(p->k_block, g->k) : 0;
}

static int64_t packed_b(const plan *p, const gemm_args *g) {
  return p->pack_b ? least(p->n_block, g->n) * least(p->k_block, g->k) : 0;
}

static gemm_args flipped(const gemm_args *g) {
  gemm_args f = *g;
  f.m = g->n;
  f.n = g->m;
  f.a = g->b;
  f.b = g->a;
  f.lda = g->ldb;
  f.ldb = g->lda;
  f.c = g->scratch;
  f.ldc = f.n;
  f.accumulate = false;
  f.scratch = g->scratch ? (char *)g->scratch + f.m * f.n * size_of(g) : NULL;
  return f;
}

static size_t scratch_of(const gemm_args *g) {
  plan p = plan_for(g);
  int64_t n = odd_scratch(g) + packed_a(&p, g) + packed_b(&p, g);
  return (size_t)(n * size_of(g));
}

size_t kernel_gemm_xsmm_scratch(const gemm_args *g) {
  if (flips(g)) {
    gemm_args f = flipped(g);
    return (size_t)(g->m * g->n * size_of(g)) + scratch_of(&f);
  }
  return scratch_of(g);
}

/* ---- panels ---- */

/* Rows [l, l + k) of columns [j, j + n) of op(B), contiguous. */
static void pack_b(const gemm_args *g, int64_t l, int64_t k, int64_t j,
                   int64_t n, void *out) {
  if (g->tb) {
    kernel_transpose(g->dtype, n, k, at(g, g->b, j * g->ldb + l), g->ldb, out,
                     n, false);
    return;
  }
  kernel_gather(k, n * size_of(g), at(g, g->b, l * g->ldb + j),
                g->ldb * size_of(g), out, n * size_of(g));
}

/* Rows [l, l + k) of columns [i, i + m) of a transposed A, as panels: row by
 * row, as they lie in memory, and what is left of the last panel. */
static void pack_a(const gemm_args *g, int64_t l, int64_t k, int64_t i,
                   int64_t m, char *out) {
  const int64_t width = M_BLOCK * size_of(g), rest = m % M_BLOCK;
  for (int64_t r = 0; r < k; r++)
    kernel_gather(m / M_BLOCK, width, at(g, g->a, (l + r) * g->lda + i), width,
                  out + r * width, k * width);
  m -= rest;
  kernel_gather(k, rest * size_of(g), at(g, g->a, l * g->lda + i + m),
                g->lda * size_of(g), out + m * k * size_of(g),
                rest * size_of(g));
}

/* ---- a form of op(B) that is worth keeping ---- */

static bool wants_panels(const gemm_args *g) {
  const int64_t elements = g->n * g->k;
  const bool far = elements * size_of(g) > NEAR_BYTES;
  return elements >= FORM_LEAST && g->n > panel_of(g) &&
         (far || g->m >= FORM_ROWS);
}

size_t kernel_gemm_xsmm_form_bytes(const gemm_args *g) {
  if (g->panels || !(g->tb || wants_panels(g))) return 0;
  return (size_t)(g->n * g->k * size_of(g));
}

void kernel_gemm_xsmm_form(const gemm_args *g, void *out) {
  const int64_t width = wants_panels(g) ? panel_of(g) : g->n;
  for (int64_t j = 0; j < g->n; j += width)
    pack_b(g, 0, g->k, j, least(width, g->n - j),
           (char *)out + j * g->k * size_of(g));
}

void kernel_gemm_xsmm_use(gemm_args *g, const void *form) {
  g->panels = wants_panels(g);
  g->b = form;
  g->ldb = g->n;
  g->tb = false;
}

/* ---- the whole product ---- */

/* Columns [j, j + n) of B, rows from l on, as an operand of the block *b. */
static void place_b(const gemm_args *g, const plan *p, int64_t l, int64_t j,
                    void *packed, gemm_args *b) {
  b->tb = false;
  b->n = least(p->n_block, g->n - j);
  b->ldb = b->n;
  if (g->panels) {
    b->b = at(g, g->b, j * g->k + l * b->n);
  } else if (p->pack_b) {
    pack_b(g, l, b->k, j, b->n, packed);
    b->b = packed;
  } else {
    b->b = at(g, g->b, l * g->ldb + j);
    b->ldb = g->ldb;
  }
}

/* Rows [i, i + m) of op(A), columns from l on; `first` is the chunk's row. */
static void place_a(const gemm_args *g, const plan *p, int64_t l, int64_t i,
                    int64_t first, const void *packed, gemm_args *b) {
  if (p->pack_a) {
    b->a = at(g, packed, (i - first) * b->k);
    b->lda = b->m;
  } else {
    b->a = at(g, g->a, g->ta ? l * g->lda + i : i * g->lda + l);
  }
}

/* Rows [first, first + rows) of C from op(A)'s columns [l, l + b->k). */
static void chunk(const gemm_args *g, const plan *p, int64_t first,
                  int64_t rows, int64_t l, gemm_args *b) {
  char *packed = (char *)g->scratch;
  char *panel = p->pack_a ? packed + packed_a(p, g) * size_of(g) : packed;
  if (p->pack_a) pack_a(g, l, b->k, first, rows, packed);
  for (int64_t j = 0; j < g->n; j += p->n_block) {
    place_b(g, p, l, j, panel, b);
    for (int64_t i = first; i < first + rows; i += p->m_block) {
      b->m = least(p->m_block, first + rows - i);
      place_a(g, p, l, i, first, packed, b);
      b->c = (char *)g->c + (i * g->ldc + j) * size_of(g);
      kernel_gemm_block(b);
    }
  }
}

/* Is that one block, with the operands where they are? */
static bool one_block(const gemm_args *g, const plan *p) {
  return !p->pack_a && !p->pack_b && !g->panels && p->m_block >= g->m &&
         p->n_block >= g->n && p->k_block >= g->k;
}

/* (The members one by one: a copy of the struct reads several at once, and then
 * waits until they, just written, have left the store buffer behind whatever
 * was written before.) */
static void multiply(const gemm_args *g) {
  plan p = plan_for(g);
  if (one_block(g, &p)) {
    kernel_gemm_block(g);
    return;
  }
  gemm_memo blocks = {.kernel = NULL}; /* most are of one size */
  gemm_args b = {.dtype = g->dtype,
                 .ta = g->ta,
                 .lda = g->lda,
                 .ldb = g->ldb,
                 .ldc = g->ldc,
                 .memo = &blocks};
  for (int64_t i = 0; i < g->m; i += p.chunk)
    for (int64_t l = 0; l < g->k; l += p.k_block) {
      b.k = least(p.k_block, g->k - l);
      b.accumulate = g->accumulate || l > 0;
      chunk(g, &p, i, least(p.chunk, g->m - i), l, &b);
    }
}

/* Column j of C, with B's gathered in scratch memory. */
static void odd_column(const gemm_args *g, int64_t j) {
  gemm_args c = *g;
  const size_t size = (size_t)size_of(g);
  for (int64_t l = 0; l < g->k; l++)
    memcpy((char *)g->scratch + (size_t)l * size, at(g, g->b, l * g->ldb + j),
           size);
  c.c = (char *)g->c + (size_t)j * size;
  kernel_gemm_column(&c, g->scratch);
}

/* The same for a transposed A: as a row of C^T = B^T A. The last rows of C may
 * be fewer than a register holds; it then reads those of A before them, too,
 * which are there: the first ODD_ROWS_T, or all, are at least M_BLOCK. */
static void odd_row(const gemm_args *g, int64_t j) {
  gemm_args c = {.dtype = g->dtype,
                 .ta = true,
                 .m = 1,
                 .n = g->m,
                 .k = g->k,
                 .a = at(g, g->b, j),
                 .lda = g->ldb,
                 .b = g->a,
                 .ldb = g->lda,
                 .c = g->scratch,
                 .ldc = g->m};
  kernel_gemm_small(&c);
  kernel_transpose(g->dtype, 1, g->m, g->scratch, g->m,
                   (char *)g->c + j * size_of(g), g->ldc, g->accumulate);
}

/* Some rows at a time, which the odd columns find in the cache. */
static void multiply_odd(const gemm_args *g, int64_t odd) {
  const int64_t rows = odd_rows(g);
  gemm_args some = *g;
  for (int64_t i = 0; i < g->m; i += rows) {
    some.m = least(rows, g->m - i);
    some.a = at(g, g->a, g->ta ? i : i * g->lda);
    some.c = (char *)g->c + i * g->ldc * size_of(g);
    some.n = g->n - odd;
    multiply(&some);
    for (int64_t j = some.n; j < g->n; j++)
      (g->ta ? odd_row : odd_column)(&some, j);
  }
}

static void multiply_any(const gemm_args *g) {
  int64_t odd = odd_columns(g);
  if (odd)
    multiply_odd(g, odd);
  else
    multiply(g);
}

void kernel_gemm_xsmm(const gemm_args *g) {
  if (!flips(g)) {
    multiply_any(g);
    return;
  }
  gemm_args f = flipped(g);
  multiply(&f);
  kernel_transpose(g->dtype, f.m, f.n, f.c, f.ldc, g->c, g->ldc,
                   g->accumulate);
}

/* The library is not asked: its start, which takes longer than many small
 * products, waits for the first large one. */
bool kernel_gemm_xsmm_usable(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#endif
