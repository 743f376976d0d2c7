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

bool gemm_operands(const cg_tensor *a, bool ta, const cg_tensor *b, bool tb,
                   gemm_args *g) {
  if (a->rank != 2 || b->rank != 2 || a->dtype != b->dtype ||
      !dtype_is_float(a->dtype) || a->dims[!ta] != b->dims[tb])
    return false;
  *g = (gemm_args){
      .dtype = a->dtype,
      .ta = ta,
      .tb = tb,
      .m = a->dims[ta],
      .k = a->dims[!ta],
      .n = b->dims[!tb],
      .a = a->data,
      .b = b->data,
  };
  return gemm_stored(t_shape(a), t_strides(a), &g->ta, &g->lda) &&
         gemm_stored(t_shape(b), t_strides(b), &g->tb, &g->ldb);
}

/* ---- kept forms ---- */

/* Of the matrix as it is, and of its transpose. */
struct gemm_forms {
  struct gemm_form {
    void *data;
    size_t bytes;
  } by_tb[2];
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

/* Without memory for a form, the product does without. */
static void use_form(cg_tape *tape, cg_tensor *b, gemm_args *g) {
  if (!b || !(b->flags & T_PROXY)) return;
  size_t bytes = kernel_gemm_form_bytes(g);
  struct gemm_forms *forms = bytes ? forms_of(tape, b) : NULL;
  if (!forms) return;
  struct gemm_form *f = &forms->by_tb[g->tb];
  if (!f->data) {
    if (pool_get(&tape->pool, bytes, &f->data)) return;
    f->bytes = bytes;
    kernel_gemm_form(g, f->data);
  }
  kernel_gemm_use(g, f->data);
}

void gemm_drop_forms(cg_tape *tape, cg_tensor *proxy) {
  struct gemm_forms *forms = proxy->forms;
  for (int i = 0; forms && i < 2; i++)
    if (forms->by_tb[i].data)
      pool_put(&tape->pool, forms->by_tb[i].data, forms->by_tb[i].bytes);
  if (forms) pool_put(&tape->pool, forms, sizeof *forms);
  proxy->forms = NULL;
}

bool gemm_prepare(cg_tape *tape, cg_tensor *b, gemm_args *g, const char *op) {
  use_form(tape, b, g);
  size_t bytes = kernel_gemm_scratch(g);
  g->scratch = bytes ? tape_scratch(tape, bytes, op) : NULL;
  return !bytes || g->scratch;
}
