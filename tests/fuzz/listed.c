/* listed.c - any op of the list, at one of its cases, as a step of a random
 * program: an op that is added to the list is fuzzed from then on. */
#include <math.h>

#include "fuzz.h"

enum { MAX_IN = 16 };

/* x in `like`'s shape: its own elements if there are as many, or their mean. */
static cg_tensor *fitted(cg_tape *tape, cg_tensor *x, const cg_tensor *like) {
  int rank = cg_tensor_rank(like);
  const int64_t *shape = cg_tensor_shape(like);
  if (cg_tensor_numel(x) == cg_tensor_numel(like))
    return cg_reshape(tape, x, rank, shape);
  if (!cg_tensor_numel(x)) x = cg_scalar(tape, CG_F64, 0.385);
  return cg_expand(tape, cg_mean_all(tape, x), rank, shape);
}

/* Between `drawn`, whose numbers are in the op's domain lo..hi, and a function
 * of x that stays in it. */
static cg_tensor *mixed(cg_tape *tape, const cg_op *op, cg_tensor *drawn,
                        cg_tensor *x) {
  bool given = op->lo != 0 || op->hi != 0;
  double lo = given ? op->lo : -2, hi = given ? op->hi : 2;
  x = cg_sigmoid(tape, fitted(tape, x, drawn));
  x = cg_add_scalar(tape, cg_mul_scalar(tape, x, (hi - lo) / 3), lo / 3);
  return cg_add(tape, cg_mul_scalar(tape, drawn, 2. / 3), x);
}

static cg_tensor *constant_like(cg_tape *tape, cg_tensor *leaf) {
  return cg_input(tape, cg_tensor_dtype(leaf), cg_tensor_rank(leaf),
                  cg_tensor_shape(leaf), cg_tensor_data(leaf));
}

static bool is_finite(const cg_tensor *y) {
  for (int64_t i = 0; i < cg_tensor_numel(y); i++)
    if (!isfinite(cg_tensor_get(y, i))) return false;
  return true;
}

/* The result as a step to go on with, or x: a mean of nothing is NaN, and f32
 * is too coarse for differences. */
static cg_tensor *usable(cg_tape *tape, cg_tensor *y, cg_tensor *x) {
  cg_dtype dtype = cg_tensor_dtype(y);
  if (!y || dtype == CG_F32 || !is_finite(y)) return x;
  return dtype == CG_F64 ? y : cg_cast(tape, y, CG_F64);
}

cg_tensor *program_listed(cg_tape *tape, cg_rng *rng, cg_tensor *x) {
  const cg_op *op = cg_op_at(fuzz_pick(rng, cg_op_count()));
  if (!op->n_cases) return x;
  const cg_op_case *c = &op->cases[fuzz_pick(rng, op->n_cases)];
  cg_tensor *drawn[MAX_IN], *in[MAX_IN];
  int n = cg_op_case_leaves(op, c, rng, drawn, MAX_IN, NULL);
  if (n < 1) fuzz_fail("no operands for %s, \"%s\"", op->name, c->in);
  for (int k = 0; k < n; k++) {
    in[k] = constant_like(tape, drawn[k]);
    bool derived = op->vjp && cg_tensor_dtype(drawn[k]) == CG_F64 &&
                   (!op->n_diff || k < op->n_diff);
    if (derived) in[k] = mixed(tape, op, in[k], x);
    cg_leaf_free(drawn[k]);
  }
  return usable(tape, cg_record(tape, op, in, n, c->attr), x);
}
