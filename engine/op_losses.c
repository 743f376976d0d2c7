/* op_losses.c - losses with a reduction: binary cross entropy as an op, the
 * others composed. */
#include "op_map.h"
#include "tape_impl.h"

static cg_tensor *reduce(cg_tape *tape, const char *op, cg_tensor *x,
                         cg_reduction reduction) {
  if (!x) return NULL;
  switch (reduction) {
    case CG_REDUCE_NONE: return x;
    case CG_REDUCE_SUM: return cg_sum_all(tape, x);
    case CG_REDUCE_MEAN: return cg_mean_all(tape, x);
  }
  return cg_tape_fail(tape, CG_ERR_ARG, op, "%d is not a reduction",
                      (int)reduction);
}

/* ---- bce_with_logits ---- */

static cg_status bce_forward(const cg_call *call, cg_tensor *out) {
  return op_map(call, out, &kernel_bce_with_logits, 0);
}

static void bce_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *g = cg_vjp_gy(v), *o = cg_vjp_in(v, 0);
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *d = cg_sub(t, cg_sigmoid(t, o), cg_vjp_in(v, 1));
    cg_vjp_give(v, 0, cg_mul(t, g, d));
  }
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_neg(t, cg_mul(t, g, o)));
}

static const cg_op_case bce_cases[] = {
    {"f[] f[]", NULL},      {"f[2,3] f[2,3]", NULL}, {"f[2,3] f[3]", NULL},
    {"f[19] f[19]", NULL},  {"f[0,3] f[0,3]", NULL},
};

const cg_op cg_op_bce_with_logits = {
    .name = "bce_with_logits",
    .formula = "loss = log(1 + e^o) - o y",
    .derivative = "go = gy (sigmoid(o) - y), gt = -gy o for the target",
    .min_in = 2,
    .max_in = 2,
    .infer = cg_spec_broadcast,
    .forward = bce_forward,
    .vjp = bce_vjp,
    CG_CASES(bce_cases),
};

cg_tensor *cg_bce_with_logits(cg_tape *tape, cg_tensor *o, cg_tensor *y,
                              cg_reduction reduction) {
  return reduce(tape, "bce_with_logits",
                record2(tape, &cg_op_bce_with_logits, o, y), reduction);
}

/* ---- differences: composed ---- */

cg_tensor *cg_l1(cg_tape *tape, cg_tensor *a, cg_tensor *b,
                 cg_reduction reduction) {
  return reduce(tape, "l1", cg_abs(tape, cg_sub(tape, a, b)), reduction);
}

/* With d = a - b and c = d clamped to -delta .. delta the loss is c (d - c/2):
 * d^2 / 2 inside, delta |d| - delta^2 / 2 outside. */
cg_tensor *cg_huber(cg_tape *tape, cg_tensor *a, cg_tensor *b, double delta,
                    cg_reduction reduction) {
  if (cg_tape_status(tape)) return NULL;
  if (!(delta > 0))
    return cg_tape_fail(tape, CG_ERR_ARG, "huber",
                        "delta is %g; it must be positive", delta);
  cg_tensor *d = cg_sub(tape, a, b), *c = cg_clamp(tape, d, -delta, delta);
  cg_tensor *rest = cg_sub(tape, d, cg_mul_scalar(tape, c, 0.5));
  return reduce(tape, "huber", cg_mul(tape, c, rest), reduction);
}

/* ---- targets, of which some are ignored: composed ----
 *
 * The rows that count are taken out, and their losses put back among zeros: so
 * nothing of an ignored row, were it NaN, touches a loss or a gradient. */

/* The loss of each row: x [n, K], y [n] -> [n]. */
typedef cg_tensor *(*row_loss)(cg_tape *tape, cg_tensor *x, cg_tensor *y);

/* How many of the targets count. */
static int64_t count_kept(const cg_tensor *y, int64_t ignore_index) {
  const int64_t *target = y->data, n = t_numel(y);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) kept += target[i] != ignore_index;
  return kept;
}

static cg_status kept_targets_infer(const cg_call *call, cg_spec *spec) {
  const int64_t *ignore_index = call->attr;
  cg_spec_set(spec, CG_I64,
              CG_DIMS(2, count_kept(call->in[0], *ignore_index)));
  return CG_OK;
}

/* In a replay as many must count as before. */
static cg_status kept_targets_forward(const cg_call *call, cg_tensor *out) {
  const int64_t *ignore_index = call->attr, n = t_numel(call->in[0]);
  const int64_t *target = call->in[0]->data, room = out->dims[1];
  const int64_t kept = count_kept(call->in[0], *ignore_index);
  if (kept != room)
    return cg_call_fail(call, CG_ERR_STATE,
                        "%lld targets count, and %lld did when the loss was "
                        "recorded: record anew",
                        (long long)kept, (long long)room);
  int64_t *index = out->data;
  for (int64_t i = 0, k = 0; i < n; i++) {
    if (target[i] == *ignore_index) continue;
    index[k] = i;
    index[room + k++] = target[i];
  }
  return CG_OK;
}

/* Of dense targets y [n]: the places of those that count, and these [2, kept].
 */
static const cg_op op_kept_targets = {.name = "kept_targets",
                                      .min_in = 1,
                                      .max_in = 1,
                                      .attr_size = sizeof(int64_t),
                                      .infer = kept_targets_infer,
                                      .forward = kept_targets_forward};

static cg_tensor *loss_of_rows(cg_tape *tape, cg_tensor *x, cg_tensor *y,
                               int64_t ignore_index, row_loss f,
                               cg_reduction reduction) {
  const int64_t n = cg_tensor_numel(y), flat[2] = {n, cg_tensor_dim(x, -1)};
  cg_tensor *some = cg_reshape(tape, x, 2, flat), *index = NULL;
  cg_tensor *all = cg_reshape(tape, y, 1, &n);
  cg_tensor *kept = cg_record(tape, &op_kept_targets, &all, 1, &ignore_index);
  if (!kept) return NULL;
  if (kept->dims[1] < n) {
    index = cg_select(tape, kept, 0, 0);
    some = cg_embedding(tape, some, index);
  }
  cg_tensor *loss = f(tape, some, cg_select(tape, kept, 0, 1));
  if (reduction != CG_REDUCE_NONE || !loss) return loss;
  if (index) loss = cg_embedding_grad(tape, loss, index, n);
  return cg_reshape(tape, loss, y->rank, t_shape(y));
}

static cg_tensor *targeted(cg_tape *tape, const char *op, cg_tensor *x,
                           cg_tensor *y, int64_t ignore_index, row_loss f,
                           cg_reduction reduction) {
  if (cg_tape_status(tape)) return NULL;
  if (!x || !y) return cg_tape_fail(tape, CG_ERR_ARG, op, "x or y is NULL");
  cg_tensor *at = tape_resolve(tape, y, op, 1);
  if (!at) return NULL;
  if (at->dtype != CG_I64)
    return cg_tape_fail(tape, CG_ERR_DTYPE, op,
                        "the targets have type %s; indices are i64",
                        cg_dtype_name((cg_dtype)at->dtype));
  char xs[96], ys[96];
  int rank = cg_tensor_rank(x);
  if (rank == 0 || !shape_equal(rank - 1, t_shape(x), at->rank, t_shape(at)))
    return cg_tape_fail(tape, CG_ERR_SHAPE, op,
                        "targets %s do not fit %s: one target per row of the "
                        "last axis is needed",
                        cg_tensor_shape_text(at, ys, sizeof ys),
                        cg_tensor_shape_text(x, xs, sizeof xs));
  return reduce(tape, op, loss_of_rows(tape, x, at, ignore_index, f, reduction),
                reduction);
}

static cg_tensor *nll_rows(cg_tape *tape, cg_tensor *log_p, cg_tensor *y) {
  int64_t n = cg_tensor_numel(y), column[2] = {n, 1};
  cg_tensor *index = cg_reshape(tape, y, 2, column);
  cg_tensor *picked = cg_gather(tape, log_p, 1, index);
  return cg_neg(tape, cg_reshape(tape, picked, 1, &n));
}

cg_tensor *cg_nll(cg_tape *tape, cg_tensor *log_p, cg_tensor *y,
                  int64_t ignore_index, cg_reduction reduction) {
  return targeted(tape, "nll", log_p, y, ignore_index, nll_rows, reduction);
}

cg_tensor *cg_cross_entropy_ignore(cg_tape *tape, cg_tensor *o, cg_tensor *y,
                                   int64_t ignore_index,
                                   cg_reduction reduction) {
  return targeted(tape, "cross_entropy", o, y, ignore_index, cg_cross_entropy,
                  reduction);
}
