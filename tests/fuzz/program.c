/* program.c - random programs of smooth ops with sizes that fit, whose
 * gradient can be compared with differences. */
#include "fuzz.h"

enum { MAX_VALUES = 24, LARGEST = 48 };

typedef struct value {
  cg_tensor *x;
  double bound; /* no element is larger */
} value;

typedef struct builder {
  cg_tape *tape;
  cg_hook_fn hook;
  cg_rng rng;
  value v[MAX_VALUES];
  int n;
} builder;

/* ---- leaves ---- */

void program_make(program *p, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  *p = (program){.seed = seed, .n_steps = 3 + fuzz_pick(&rng, 12)};
  for (int i = 0; i < PROGRAM_LEAVES; i++) {
    int64_t shape[4];
    int rank = fuzz_pick(&rng, 4);
    for (int k = 0; k < rank; k++) shape[k] = 1 + fuzz_pick(&rng, 3);
    cg_tensor *x = cg_leaf_new(NULL, CG_F64, rank, shape, NULL);
    if (!x) fuzz_fail("no memory for a leaf");
    double *data = cg_leaf_data(x);
    for (int64_t k = 0; k < cg_tensor_numel(x); k++)
      data[k] = 4 * cg_rng_uniform(&rng) - 2;
    cg_leaf_set_requires_grad(x, true);
    p->leaf[i] = x;
  }
}

void program_free(program *p) {
  for (int i = 0; i < PROGRAM_LEAVES; i++) cg_leaf_free(p->leaf[i]);
}

/* ---- helpers ---- */

/* c + x^2: positive, and smooth. */
static cg_tensor *positive(cg_tape *t, cg_tensor *x, double c) {
  return cg_add_scalar(t, cg_square(t, x), c);
}

/* x with at most two axes, of which the last is x's last. */
static cg_tensor *as_matrix(builder *b, cg_tensor *x) {
  int rank = cg_tensor_rank(x);
  int64_t k = rank ? cg_tensor_dim(x, -1) : 1;
  int64_t rows = k ? cg_tensor_numel(x) / k : 0;
  return cg_reshape(b->tape, x, CG_DIMS(rows, k));
}

/* An operand that broadcasts with x: of the same shape, or a scalar. */
static cg_tensor *partner(builder *b, const cg_tensor *x) {
  cg_tensor *y = b->v[fuzz_pick(&b->rng, b->n)].x;
  int rank = cg_tensor_rank(x);
  bool same = cg_tensor_rank(y) == rank;
  for (int i = 0; same && i < rank; i++)
    same = cg_tensor_dim(x, i) == cg_tensor_dim(y, i);
  return same ? y : cg_tanh(b->tape, cg_sum_all(b->tape, y));
}

/* Targets or rows below `limit`, in `shape`. */
static cg_tensor *indices(builder *b, int rank, const int64_t *shape,
                          int64_t limit) {
  int64_t data[LARGEST * 4], n = 1;
  for (int i = 0; i < rank; i++) n *= shape[i];
  if (n > LARGEST * 4) return NULL;
  for (int64_t i = 0; i < n; i++) data[i] = cg_rng_below(&b->rng, limit);
  return cg_input(b->tape, CG_I64, rank, shape, data);
}

/* ---- families ---- */

static cg_tensor *unary(builder *b, cg_tensor *x, double *bound) {
  cg_tape *t = b->tape;
  double c = 4 * cg_rng_uniform(&b->rng) - 2;
  switch (fuzz_pick(&b->rng, 10)) {
    case 0: return *bound = 1, cg_tanh(t, x);
    case 1: return *bound = 1, cg_sigmoid(t, x);
    case 2: return *bound = 3, cg_exp(t, cg_tanh(t, x));
    case 3: return *bound += 1, cg_log(t, positive(t, x, 0.7));
    case 4: return *bound += 1, cg_sqrt(t, positive(t, x, 0.5));
    case 5: return *bound *= *bound, cg_square(t, x);
    case 6: return *bound += 2, cg_add_scalar(t, x, c);
    case 7: return *bound *= 2, cg_mul_scalar(t, x, c);
    case 8: return *bound = 9, cg_pow_scalar(t, positive(t, cg_tanh(t, x), 0.4),
                                             c);
    default: {
      cg_tensor *in[] = {x}; /* the same by the op's name */
      return cg_record(t, cg_op_find("neg"), in, 1, NULL);
    }
  }
}

static cg_tensor *binary(builder *b, cg_tensor *x, double *bound) {
  cg_tape *t = b->tape;
  cg_tensor *y = partner(b, x);
  double other = 4; /* squashed values, see keep */
  switch (fuzz_pick(&b->rng, 8)) {
    case 0: return *bound += other, cg_add(t, x, y);
    case 1: return *bound += other, cg_sub(t, y, x);
    case 2: return *bound *= other, cg_mul(t, x, y);
    case 3: return *bound *= 2, cg_div(t, x, positive(t, y, 0.6));
    case 4:
      return *bound = 9, cg_pow(t, positive(t, cg_tanh(t, x), 0.4),
                                cg_tanh(t, y));
    case 5: return *bound = 4, cg_tanh_grad(t, y, cg_tanh(t, x));
    case 6: return *bound = 4, cg_sigmoid_grad(t, y, cg_sigmoid(t, x));
    default:
      if (!cg_tensor_numel(x)) return x;
      return *bound *= 99, cg_mse(t, x, y);
  }
}

static cg_tensor *reduce(builder *b, cg_tensor *x, double *bound) {
  cg_tape *t = b->tape;
  int rank = cg_tensor_rank(x);
  int axis = rank ? fuzz_pick(&b->rng, rank) : 0;
  bool keep = fuzz_pick(&b->rng, 2);
  *bound *= LARGEST;
  switch (fuzz_pick(&b->rng, 5)) {
    case 0: return cg_sum(t, x, &axis, rank ? 1 : 0, keep);
    case 1: return cg_tensor_numel(x) ? cg_mean(t, x, &axis, rank ? 1 : 0, keep)
                                      : x;
    case 2: return cg_sum_to(t, x, 0, NULL);
    case 3: return rank ? cg_softmax(t, x, axis - rank) : cg_sum_all(t, x);
    default: return rank ? cg_log_softmax(t, x, axis) : cg_neg(t, x);
  }
}

static cg_tensor *permuted(builder *b, cg_tensor *x) {
  int axes[CG_MAX_RANK], rank = cg_tensor_rank(x);
  for (int i = 0; i < rank; i++) axes[i] = i;
  for (int i = rank - 1; i > 0; i--) {
    int k = fuzz_pick(&b->rng, i + 1), kept = axes[i];
    axes[i] = axes[k];
    axes[k] = kept;
  }
  return cg_permute(b->tape, x, axes);
}

static cg_tensor *expanded(builder *b, cg_tensor *x) {
  int rank = cg_tensor_rank(x);
  int64_t shape[CG_MAX_RANK] = {2};
  if (rank > 3) return x;
  for (int i = 0; i < rank; i++) shape[i + 1] = cg_tensor_dim(x, i);
  return cg_expand(b->tape, x, rank + 1, shape);
}

static cg_tensor *view(builder *b, cg_tensor *x) {
  cg_tape *t = b->tape;
  int rank = cg_tensor_rank(x);
  if (!rank) return expanded(b, x);
  int axis = fuzz_pick(&b->rng, rank);
  int64_t size = cg_tensor_dim(x, axis);
  int64_t start = cg_rng_below(&b->rng, size + 1);
  int64_t length = cg_rng_below(&b->rng, size - start + 1);
  switch (fuzz_pick(&b->rng, 7)) {
    case 0: return cg_reshape(t, x, CG_DIMS(cg_tensor_numel(x)));
    case 1: return permuted(b, x);
    case 2: return cg_narrow(t, x, axis, start, length);
    case 3: return size ? cg_select(t, x, axis, start % size) : x;
    case 4: return expanded(b, x);
    case 5: return cg_contiguous(t, permuted(b, x));
    default: return cg_transpose(t, x, axis, -1);
  }
}

static cg_tensor *join(builder *b, cg_tensor *x) {
  int rank = cg_tensor_rank(x);
  cg_tensor *parts[] = {x, cg_sigmoid(b->tape, x), x};
  int n = 1 + fuzz_pick(&b->rng, 3);
  if (!rank || (rank < 3 && fuzz_pick(&b->rng, 2)))
    return cg_stack(b->tape, parts, n, fuzz_pick(&b->rng, rank + 1));
  return cg_concat(b->tape, parts, n, fuzz_pick(&b->rng, rank));
}

static cg_tensor *product(builder *b, cg_tensor *x, double *bound) {
  cg_tape *t = b->tape;
  cg_tensor *y = b->v[fuzz_pick(&b->rng, b->n)].x;
  cg_tensor *A = as_matrix(b, x), *B = as_matrix(b, y);
  bool fits = cg_tensor_dim(A, 1) == cg_tensor_dim(B, 1);
  *bound *= 4 * LARGEST;
  if (!fits) return cg_matmul_t(t, A, A, true, false);
  switch (fuzz_pick(&b->rng, 4)) {
    case 0: return cg_matmul(t, A, cg_transpose(t, B, 0, 1));
    case 1: return cg_matmul_t(t, A, B, false, true);
    case 2: return cg_linear(t, cg_tensor_rank(x) ? x : A, B, NULL);
    default:
      return cg_addmm(t, cg_tanh(t, cg_sum_all(t, y)), A, B, false, true);
  }
}

static cg_tensor *indexed(builder *b, cg_tensor *x, double *bound) {
  cg_tape *t = b->tape;
  int rank = cg_tensor_rank(x);
  const int64_t *shape = cg_tensor_shape(x);
  if (!rank || !cg_tensor_numel(x)) return x;
  int64_t rows = shape[0], K = shape[rank - 1];
  *bound *= 8;
  switch (fuzz_pick(&b->rng, 4)) {
    case 0: return cg_embedding(t, x, indices(b, CG_DIMS(2), rows));
    case 1:
      return cg_embedding_grad(t, x, indices(b, CG_DIMS(rows), 3), 3);
    case 2: return cg_gather(t, x, 0, indices(b, rank, shape, rows));
    default: return cg_cross_entropy(t, x, indices(b, rank - 1, shape, K));
  }
}

/* ---- the program ---- */

/* Remembers a result, made small enough to go on with. */
static void keep(builder *b, cg_tensor *x, double bound) {
  if (cg_tensor_numel(x) > LARGEST || cg_tensor_rank(x) > 4)
    x = cg_mean_all(b->tape, x);
  if (bound > 4) x = cg_tanh(b->tape, x), bound = 1;
  if (b->hook && b->n % 2 && cg_tensor_requires_grad(x))
    cg_hook(b->tape, x, b->hook, NULL);
  if (b->n < MAX_VALUES) b->v[b->n++] = (value){x, bound};
}

static void step(builder *b) {
  value from = b->v[fuzz_pick(&b->rng, b->n)];
  cg_tensor *x = from.x, *y;
  double bound = from.bound;
  switch (fuzz_pick(&b->rng, 11)) {
    case 0: y = unary(b, x, &bound); break;
    case 1: y = binary(b, x, &bound); break;
    case 2: y = reduce(b, x, &bound); break;
    case 3: y = view(b, x); break;
    case 4: y = join(b, x); break;
    case 5: y = product(b, x, &bound); break;
    case 6: y = indexed(b, x, &bound); break;
    default:
      y = cg_mul_scalar(b->tape, program_listed(b->tape, &b->rng, x), 0.5);
      bound = 5;
  }
  keep(b, y, bound);
}

cg_tensor *program_run(cg_tape *tape, cg_tensor *const *in, int n_in,
                       void *context) {
  const program *p = context;
  builder b = {.tape = tape, .hook = p->hook,
               .rng = cg_rng_seed(p->seed ^ 0x9e3779b9)};
  for (int i = 0; i < n_in; i++) b.v[b.n++] = (value){in[i], 2};
  for (int i = 0; i < p->n_steps && !cg_tape_status(tape); i++) step(&b);
  cg_tensor *sums[MAX_VALUES];
  for (int i = 0; i < b.n; i++)
    sums[i] = cg_sum_all(tape, cg_tanh(tape, b.v[i].x));
  return cg_stack(tape, sums, b.n, 0);
}
