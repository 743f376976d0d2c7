/* chaos_call.c - one random call of a public function that makes a tensor, or
 * of an op from the list with the attributes of one of its cases. */
#include <math.h>

#include "chaos.h"

/* ---- arguments ---- */

cg_tensor *chaos_tensor(chaos *c) {
  if (!c->sane && fuzz_pick(&c->rng, 40) == 0) return NULL;
  if (fuzz_pick(&c->rng, 3) == 0)
    return c->leaf[fuzz_pick(&c->rng, c->sane ? 2 : CHAOS_LEAVES)];
  return c->n ? c->pool[fuzz_pick(&c->rng, c->n)] : c->leaf[0];
}

static int64_t size(chaos *c) {
  static const int64_t absurd[] = {-1, -7, INT64_MAX, INT64_MIN, 1LL << 33,
                                   1LL << 61};
  if (!c->sane && fuzz_pick(&c->rng, 8) == 0)
    return absurd[fuzz_pick(&c->rng, 6)];
  return fuzz_pick(&c->rng, 4);
}

int chaos_shape(chaos *c, int64_t shape[CG_MAX_RANK]) {
  for (int i = 0; i < CG_MAX_RANK; i++) shape[i] = size(c);
  if (!c->sane && fuzz_pick(&c->rng, 30) == 0)
    return fuzz_pick(&c->rng, 2) ? -1 : CG_MAX_RANK + 1;
  return fuzz_pick(&c->rng, fuzz_pick(&c->rng, 8) ? 4 : CG_MAX_RANK + 1);
}

static int axis(chaos *c) {
  if (!c->sane && fuzz_pick(&c->rng, 20) == 0)
    return fuzz_pick(&c->rng, 2) ? INT32_MAX : INT32_MIN;
  return fuzz_pick(&c->rng, 7) - 3;
}

static cg_dtype dtype(chaos *c) {
  return (cg_dtype)fuzz_pick(&c->rng, CG_DTYPE_COUNT + (c->sane ? 0 : 1));
}

static double number(chaos *c) {
  static const double odd[] = {0, -1, 0.5, NAN, INFINITY, 1e308, -1e-310};
  if (fuzz_pick(&c->rng, 3) == 0) return odd[fuzz_pick(&c->rng, 7)];
  return cg_rng_normal(&c->rng);
}

/* ---- families ---- */

static cg_tensor *elementwise(chaos *c) {
  cg_tape *t = c->tape;
  cg_tensor *x = chaos_tensor(c), *y = chaos_tensor(c);
  switch (fuzz_pick(&c->rng, 20)) {
    case 0: return cg_add(t, x, y);
    case 1: return cg_sub(t, x, y);
    case 2: return cg_mul(t, x, y);
    case 3: return cg_div(t, x, y);
    case 4: return cg_pow(t, x, y);
    case 5: return cg_add_scalar(t, x, number(c));
    case 6: return cg_mul_scalar(t, x, number(c));
    case 7: return cg_pow_scalar(t, x, number(c));
    case 8: return cg_neg(t, x);
    case 9: return cg_exp(t, x);
    case 10: return cg_log(t, x);
    case 11: return cg_sqrt(t, x);
    case 12: return cg_square(t, x);
    case 13: return cg_tanh(t, x);
    case 14: return cg_sigmoid(t, x);
    case 15: return cg_relu(t, x);
    case 16: return cg_tanh_grad(t, x, y);
    case 17: return cg_sigmoid_grad(t, x, y);
    case 18: return cg_relu_grad(t, x, y);
    default: return cg_cast(t, x, dtype(c));
  }
}

static cg_tensor *shaping(chaos *c) {
  cg_tape *t = c->tape;
  cg_tensor *x = chaos_tensor(c);
  int64_t shape[CG_MAX_RANK];
  int axes[CG_MAX_RANK], rank = chaos_shape(c, shape);
  for (int i = 0; i < CG_MAX_RANK; i++) axes[i] = axis(c);
  switch (fuzz_pick(&c->rng, 12)) {
    case 0: return cg_reshape(t, x, rank, shape);
    case 1: return cg_permute(t, x, axes);
    case 2: return cg_transpose(t, x, axes[0], axes[1]);
    case 3: return cg_narrow(t, x, axes[0], shape[0], shape[1]);
    case 4: return cg_select(t, x, axes[0], shape[0]);
    case 5: /* huge views are legal, but slow to walk through */
      for (int i = 0; i < CG_MAX_RANK; i++)
        if (shape[i] > 4) shape[i] = INT64_MAX;
      return cg_expand(t, x, rank, shape);
    case 6: return cg_detach(t, x);
    case 7: return cg_contiguous(t, x);
    case 8: return cg_sum(t, x, axes, fuzz_pick(&c->rng, 4), axes[5] > 0);
    case 9: return cg_mean(t, x, axes, fuzz_pick(&c->rng, 3), axes[5] > 0);
    case 10: return cg_sum_to(t, x, rank, shape);
    default: return axes[0] > 0 ? cg_sum_all(t, x) : cg_mean_all(t, x);
  }
}

static cg_tensor *joining(chaos *c) {
  cg_tape *t = c->tape;
  cg_tensor *x[12] = {NULL};
  int n = fuzz_pick(&c->rng, 12) - (c->sane ? 0 : 1), ax = axis(c);
  bool alike = fuzz_pick(&c->rng, 2);
  for (int i = 0; i < 12; i++)
    x[i] = alike && i ? x[0] : chaos_tensor(c);
  int64_t shape[CG_MAX_RANK], starts[12];
  int rank = chaos_shape(c, shape);
  for (int i = 0; i < 12; i++) starts[i] = size(c);
  switch (fuzz_pick(&c->rng, 3)) {
    case 0: return cg_stack(t, x, n, ax);
    case 1: return cg_concat(t, x, n, ax);
    default: return cg_sum_slices(t, x, starts, n, ax, rank, shape);
  }
}

static cg_tensor *products(chaos *c) {
  cg_tape *t = c->tape;
  cg_tensor *x = chaos_tensor(c), *y = chaos_tensor(c), *z = chaos_tensor(c);
  bool ta = fuzz_pick(&c->rng, 2), tb = fuzz_pick(&c->rng, 2);
  cg_tensor *a[2] = {y, chaos_tensor(c)}, *b[2] = {z, chaos_tensor(c)};
  cg_tensor *s[2] = {x, chaos_tensor(c)}, *none[2] = {y, NULL};
  switch (fuzz_pick(&c->rng, 8)) {
    case 0: return cg_matmul(t, x, y);
    case 1: return cg_matmul_t(t, x, y, ta, tb);
    case 2: return cg_matmul_t(t, x, x, ta, !ta);
    case 3: return cg_addmm(t, x, y, z, ta, tb);
    case 4:
      return cg_affine(t, (cg_activation)fuzz_pick(&c->rng, CG_ACT_COUNT + 1),
                       x, y, z, ta, tb);
    case 5:
      return cg_affine2(t, (cg_activation)fuzz_pick(&c->rng, CG_ACT_COUNT + 1),
                        x, a, b, ta, tb);
    case 6:
      return cg_affine_sums(t, CG_ACT_TANH, s, ta ? a : none, ta ? b : none,
                            false, tb);
    default: return cg_linear(t, x, y, ta ? z : NULL);
  }
}

static cg_tensor *indexing(chaos *c) {
  cg_tape *t = c->tape;
  cg_tensor *x = chaos_tensor(c), *y = chaos_tensor(c), *i = c->leaf[4];
  if (fuzz_pick(&c->rng, 2)) i = chaos_tensor(c);
  switch (fuzz_pick(&c->rng, 10)) {
    case 0: return cg_embedding(t, x, i);
    case 1: return cg_embedding_grad(t, x, i, size(c));
    case 2: return cg_gather(t, x, axis(c), i);
    case 3: return cg_gather_grad(t, x, i, axis(c), size(c));
    case 4: return cg_one_hot(t, i, size(c), dtype(c));
    case 5: return cg_log_softmax(t, x, axis(c));
    case 6: return cg_softmax(t, x, axis(c));
    case 7: return cg_cross_entropy(t, x, i);
    case 8: return cg_cross_entropy_grad(t, x, y, i,
                                         i == y ? NULL : chaos_tensor(c));
    default: return cg_mse(t, x, y);
  }
}

static cg_tensor *constant(chaos *c) {
  int64_t shape[CG_MAX_RANK];
  int rank = chaos_shape(c, shape);
  cg_dtype d = fuzz_pick(&c->rng, 2) ? CG_F64 : dtype(c);
  switch (fuzz_pick(&c->rng, 3)) {
    case 0: return cg_input(c->tape, d, rank, shape, NULL);
    case 1: return cg_full(c->tape, d, rank, shape, number(c));
    default: return cg_scalar(c->tape, d, number(c));
  }
}

/* Any op of the list, with attributes that fit other operands. */
static cg_tensor *listed(chaos *c) {
  const cg_op *op = cg_op_at(fuzz_pick(&c->rng, cg_op_count()));
  const void *attr = NULL;
  if (op->n_cases) attr = op->cases[fuzz_pick(&c->rng, op->n_cases)].attr;
  cg_tensor *in[12];
  for (int i = 0; i < 12; i++) in[i] = chaos_tensor(c);
  int n = op->min_in;
  if (fuzz_pick(&c->rng, 4) == 0) n = fuzz_pick(&c->rng, 14) - 1;
  return cg_record(c->tape, op, n > 12 ? NULL : in, n, attr);
}

cg_tensor *chaos_call(chaos *c) {
  switch (fuzz_pick(&c->rng, 8)) {
    case 0:
    case 1: return elementwise(c);
    case 2: return shaping(c);
    case 3: return joining(c);
    case 4: return products(c);
    case 5: return indexing(c);
    case 6: return constant(c);
    default: return listed(c);
  }
}
