/* op_case.c - leaves from the text of a case: "f[2,3] f[3] i[4]<5". */
#include <ctype.h>
#include <stdlib.h>

#include <chronograd/gradcheck.h>

static const char fn[] = "op_case_leaves";

/* One operand as the text describes it. */
typedef struct operand {
  cg_dtype dtype;
  int rank;
  int64_t shape[CG_MAX_RANK];
  int64_t limit; /* of indices */
} operand;

/* ---- the text ---- */

/* A number at *p, which moves behind it; -1 if there is none. */
static int64_t read_number(const char **p) {
  if (!isdigit((unsigned char)**p)) return -1;
  char *end;
  long long n = strtoll(*p, &end, 10);
  *p = end;
  return n;
}

static bool read_shape(const char **p, operand *o) {
  o->rank = 0;
  if (*(*p)++ != '[') return false;
  if (**p == ']') return (*p)++, true;
  for (;;) {
    if (o->rank == CG_MAX_RANK) return false;
    int64_t size = read_number(p);
    if (size < 0) return false;
    o->shape[o->rank++] = size;
    char next = *(*p)++;
    if (next == ']') return true;
    if (next != ',') return false;
  }
}

/* The operand at *p, which moves behind it and the blanks that follow. */
static bool read_operand(const char **p, operand *o) {
  switch (*(*p)++) {
    case 'f': o->dtype = CG_F64; break;
    case 'i': o->dtype = CG_I64; break;
    case 'u': o->dtype = CG_U8; break;
    default: return false;
  }
  if (!read_shape(p, o)) return false;
  o->limit = 0;
  if (o->dtype == CG_I64) {
    if (*(*p)++ != '<') return false;
    o->limit = read_number(p);
    if (o->limit < 1) return false;
  }
  if (**p && **p != ' ') return false;
  while (**p == ' ') (*p)++;
  return true;
}

/* ---- the values ---- */

static void fill(const cg_op *op, const operand *o, cg_rng *rng, cg_tensor *x) {
  bool given = op->lo != 0 || op->hi != 0;
  double lo = given ? op->lo : -2, hi = given ? op->hi : 2;
  int64_t n = cg_tensor_numel(x);
  void *data = cg_leaf_data(x);
  for (int64_t i = 0; i < n; i++)
    switch (o->dtype) {
      case CG_I64: ((int64_t *)data)[i] = cg_rng_below(rng, o->limit); break;
      case CG_U8: ((uint8_t *)data)[i] = (uint8_t)cg_rng_below(rng, 2); break;
      default: ((double *)data)[i] = lo + (hi - lo) * cg_rng_uniform(rng);
    }
}

static cg_tensor *make_leaf(const cg_op *op, const operand *o, cg_rng *rng,
                            cg_error *err) {
  cg_tensor *x = cg_leaf_new(NULL, o->dtype, o->rank, o->shape, err);
  if (!x) return NULL;
  fill(op, o, rng, x);
  if (o->dtype == CG_F64) cg_leaf_set_requires_grad(x, true);
  return x;
}

static int give_up(cg_tensor **in, int n) {
  while (n-- > 0) {
    cg_leaf_free(in[n]);
    in[n] = NULL;
  }
  return -1;
}

int cg_op_case_leaves(const cg_op *op, const cg_op_case *c, cg_rng *rng,
                      cg_tensor **in, int max, cg_error *err) {
  if (!op || !c || !c->in || !rng || !in) {
    cg_error_set(err, CG_ERR_ARG, fn, "an argument is NULL");
    return -1;
  }
  const char *p = c->in;
  int n = 0;
  while (*p == ' ') p++;
  while (*p) {
    operand o;
    if (n >= max) {
      cg_error_set(err, CG_ERR_ARG, fn,
                   "\"%s\" of %s has more than the %d operands there is room "
                   "for",
                   c->in, op->name, max);
      return give_up(in, n);
    }
    if (!read_operand(&p, &o)) {
      cg_error_set(err, CG_ERR_FORMAT, fn,
                   "\"%s\" of %s: operand %d is not of the form f[2,3], "
                   "i[4]<5 or u[2]",
                   c->in, op->name, n);
      return give_up(in, n);
    }
    in[n] = make_leaf(op, &o, rng, err);
    if (!in[n]) return give_up(in, n);
    n++;
  }
  return n;
}
