/* gemm_operand.c - seeing strided tensors as operands of a matrix product, and
 * the forms of weights that products read fastest. */
#include "gemm_operand.h"

bool gemm_stored(const int64_t *shape, const int64_t *strides,
                 bool *transposed, int64_t *ld) {
  int64_t rows = shape[0], cols = shape[1];
  int64_t sr = strides[0], sc = strides[1];
  if (rows <= 1) sr = cols > 1 ? cols * sc : 1;
  if (cols <= 1) sc = 1;
  if (rows <= 1 && cols <= 1) sr = 1;
  if (sc == 1 && sr >= (cols > 1 ? cols : 1)) {
    *ld = sr;
    return true;
  }
  if (rows <= 1 && sc > 1) { /* a strided row: one column per stored row */
    *transposed = !*transposed;
    *ld = sc;
    return true;
  }
  if (sr == 1 && sc >= (rows > 1 ? rows : 1)) {
    *transposed = !*transposed;
    *ld = sc;
    return true;
  }
  return false;
}

/* That is soon said of nearly all matrices. */
static inline bool stored(const cg_tensor *x, bool *transposed, int64_t *ld) {
  if (!(x->flags & T_CONTIGUOUS) || x->dims[1] == 0)
    return gemm_stored(t_shape(x), t_strides(x), transposed, ld);
  *ld = x->dims[1];
  return true;
}

bool gemm_operands(const cg_tensor *a, bool ta, const cg_tensor *b, bool tb,
                   gemm_args *g) {
  if (a->rank != 2 || b->rank != 2 || a->dtype != b->dtype ||
      !dtype_is_float(a->dtype) || a->dims[!ta] != b->dims[tb])
    return false;
  *g = (gemm_args){ /* every member: that is less than to clear it first */
      .dtype = a->dtype,
      .ta = ta,
      .tb = tb,
      .accumulate = false,
      .often = false,
      .panels = false,
      .m = a->dims[ta],
      .k = a->dims[!ta],
      .n = b->dims[!tb],
      .a = a->data,
      .b = b->data,
      .c = NULL,
      .lda = 0,
      .ldb = 0,
      .ldc = 0,
      .ends = NULL,
      .scratch = NULL,
      .by = GEMM_NONE,
      .memo = NULL,
  };
  return stored(a, &g->ta, &g->lda) && stored(b, &g->tb, &g->ldb);
}

/* ---- kept forms ---- */

/* Forms of the matrix as it is and of its transpose, and one of its rows, which
 * pays if few rows are multiplied with it more than once. */
enum { ROWS = 2, FORMS };

struct gemm_forms {
  struct gemm_form {
    void *data;
    size_t bytes;
    bool panels; /* it is cut into such */
  } form[FORMS];
  bool rows_wanted; /* once */
  /* What the last product with the matrix as it is, and with its transpose,
   * came to, if it was one of those below that take less than the choice. */
  struct gemm_outcome {
    int64_t m; /* 0: none */
    bool ta, tb;
    gemm_kernel by;
    const void *of; /* B as it was given */
    const void *b, *ends;
    int64_t ldb;
  } last[2];
  gemm_memo memo[3]; /* the same, and for products that its gradient adds up */
};

static struct gemm_forms *forms_of(cg_tape *tape, cg_tensor *proxy) {
  void *block;
  if (!proxy->forms &&
      !pool_get(&tape->pool, sizeof *proxy->forms, &block)) {
    proxy->forms = block;
    *proxy->forms = (struct gemm_forms){0};
  }
  return proxy->forms;
}

/* The memory of a form; *is_new: it is to be filled. NULL without memory. */
static void *form_memory(cg_tape *tape, struct gemm_form *f, size_t bytes,
                         bool *is_new) {
  *is_new = !f->data && !pool_get(&tape->pool, bytes, &f->data);
  if (*is_new) f->bytes = bytes;
  return f->data;
}

/* False if that may be otherwise the next time. */
static bool use_rows(cg_tape *tape, cg_tensor *b, gemm_args *g) {
  size_t bytes = kernel_gemm_rows_bytes(g);
  struct gemm_forms *forms = forms_of(tape, b);
  bool is_new;
  if (!bytes || !forms) return forms;
  if (!forms->rows_wanted) {
    forms->rows_wanted = true;
    return false;
  }
  void *form = form_memory(tape, &forms->form[ROWS], bytes, &is_new);
  if (is_new) kernel_gemm_rows_form(g, form);
  if (form) kernel_gemm_rows_use(g, form);
  return form;
}

/* Products of other sizes may want another form than the one that is kept. */
static void use_if_suits(gemm_args *g, struct gemm_form *f, bool is_new) {
  const gemm_args without = {.tb = g->tb, .b = g->b, .ldb = g->ldb};
  kernel_gemm_use(g, f->data);
  if (is_new) f->panels = g->panels;
  if (f->panels != g->panels) {
    g->panels = false;
    g->tb = without.tb;
    g->b = without.b;
    g->ldb = without.ldb;
  }
  kernel_gemm_choose(g);
}

/* Without memory for a form, the product does without, and it returns false, as
 * above. */
static bool use_form(cg_tape *tape, cg_tensor *b, gemm_args *g) {
  size_t bytes = kernel_gemm_form_bytes(g);
  if (!bytes) return use_rows(tape, b, g);
  struct gemm_forms *forms = forms_of(tape, b);
  bool is_new;
  if (!forms) return false;
  struct gemm_form *f = &forms->form[g->tb];
  void *form = form_memory(tape, f, bytes, &is_new);
  if (is_new) kernel_gemm_form(g, form);
  if (form) use_if_suits(g, f, is_new);
  return form;
}

static bool use_last(const struct gemm_forms *forms, gemm_args *g) {
  const struct gemm_outcome *last = forms ? &forms->last[g->tb] : NULL;
  if (!last || last->m != g->m || last->ta != g->ta || last->of != g->b)
    return false;
  g->often = true;
  g->tb = last->tb;
  g->by = last->by;
  g->b = last->b;
  g->ends = last->ends;
  g->ldb = last->ldb;
  return true;
}

/* The choice of a weight's product depends on m and ta alone where neither
 * dots nor small products take scratch memory. */
static void use_often(cg_tape *tape, cg_tensor *b, gemm_args *g) {
  const bool tb = g->tb;
  const void *of = g->b;
  if (use_last(b->forms, g)) return;
  g->often = true;
  kernel_gemm_choose(g);
  const bool settled = use_form(tape, b, g);
  if (settled && (g->by == GEMM_DOTS || (g->by == GEMM_SMALL && !g->tb)))
    b->forms->last[tb] = (struct gemm_outcome){.m = g->m,
                                               .ta = g->ta,
                                               .tb = g->tb,
                                               .by = g->by,
                                               .of = of,
                                               .b = g->b,
                                               .ends = g->ends,
                                               .ldb = g->ldb};
}

void gemm_adds_to(const cg_tensor *x, gemm_args *g) {
  if (x->flags & T_PROXY && x->forms) g->memo = &x->forms->memo[2];
}

void gemm_drop_forms(cg_tape *tape, cg_tensor *proxy) {
  struct gemm_forms *forms = proxy->forms;
  for (int i = 0; forms && i < FORMS; i++)
    if (forms->form[i].data)
      pool_put(&tape->pool, forms->form[i].data, forms->form[i].bytes);
  if (forms) pool_put(&tape->pool, forms, sizeof *forms);
  proxy->forms = NULL;
}

/* (Without a row there is nothing to compute, and no size to choose a form by
 * that products with rows can read.) */
bool gemm_prepare(cg_tape *tape, cg_tensor *b, gemm_args *g, const char *op) {
  const bool transposed = g->tb; /* as it was given */
  g->by = GEMM_NONE;
  if (g->m == 0) return true;
  if (b && b->flags & T_PROXY) {
    use_often(tape, b, g);
    if (b->forms) g->memo = &b->forms->memo[transposed];
  } else {
    kernel_gemm_choose(g);
  }
  size_t bytes = kernel_gemm_scratch(g);
  g->scratch = bytes ? tape_scratch(tape, bytes, op) : NULL;
  return !bytes || g->scratch;
}
