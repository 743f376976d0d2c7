/* ops_torch_other.c - the ops that are not elementwise, as test_ops_torch.c
 * calls them for golden/ops_other.safetensors. */
#include "engine_test.h"
#include "ops_torch.h"

/* Writes an array of axes and its length. */
#define AXES(...) \
  (const int[]){__VA_ARGS__}, N_OF(((const int[]){__VA_ARGS__}))

#define SIZES(...) (const int64_t[]){__VA_ARGS__}

/* ---- calls that are more than one expression ---- */

static cg_tensor *split_second(cg_tape *t, cg_tensor *x) {
  cg_tensor *parts[2];
  return cg_split(t, x, 1, SIZES(2, 3), 2, parts) ? NULL : parts[1];
}

static cg_tensor *chunk_last(cg_tape *t, cg_tensor *x) {
  cg_tensor *parts[3];
  return cg_chunk(t, x, 0, 3, parts) ? NULL : parts[2];
}

static cg_tensor *dropped(cg_tape *t, cg_tensor *x) {
  cg_rng rng = {2385, 7};
  cg_tensor *y = cg_dropout(t, x, 0.3, &rng);
  ck_assert_uint_eq(rng.counter, 7 + 12);
  return y;
}

static cg_tensor *gru_affine(cg_tape *t, cg_tensor *const *x) {
  const cg_gru_maps maps = {.z = x[0], .x = x[1], .V = x[2],
                            .d = x[3], .h = x[4], .W = x[5]};
  return cg_gru_affine(t, &maps, x[6]);
}

static cg_tensor *slices(cg_tape *t, cg_tensor *const *x) {
  return cg_sum_slices(t, x, cg_tensor_data(x[2]), 2, 0, CG_DIMS(4, 3));
}

static cg_tensor *affine_two(cg_tape *t, cg_tensor *const *x) {
  cg_tensor *a[2] = {x[1], x[3]}, *b[2] = {x[2], x[4]};
  return cg_affine2(t, CG_ACT_TANH, x[0], a, b, false, true);
}

static cg_tensor *affine_sums(cg_tape *t, cg_tensor *const *x) {
  cg_tensor *c[2] = {x[0], x[5]}, *a[2] = {x[1], x[3]}, *b[2] = {x[2], x[4]};
  return cg_affine_sums(t, CG_ACT_TANH, c, a, b, false, true);
}

/* ---- the cases: op, case, call with operands x ---- */

#define REDUCED(X, op, call)       \
  X(op, none, call(CG_REDUCE_NONE))  \
  X(op, sum, call(CG_REDUCE_SUM))    \
  X(op, mean, call(CG_REDUCE_MEAN))

#define CE(r) cg_cross_entropy_ignore(t, x[0], x[1], CG_IGNORE_INDEX, r)
#define NLL(r) cg_nll(t, x[0], x[1], CG_IGNORE_INDEX, r)
#define HUBER(r) cg_huber(t, x[0], x[1], 0.7, r)
#define BCE(r) cg_bce_with_logits(t, x[0], x[1], r)
#define L1(r) cg_l1(t, x[0], x[1], r)

#define REDUCTION_CASES(X)                                                   \
  X(sum, all, cg_sum_all(t, x[0]))                                           \
  X(sum, some, cg_sum(t, x[0], AXES(0, 2), false))                           \
  X(sum, keep, cg_sum(t, x[0], AXES(-1), true))                              \
  X(sum_to, row, cg_sum_to(t, x[0], CG_DIMS(1, 3)))                          \
  X(mean, all, cg_mean_all(t, x[0]))                                         \
  X(mean, axis, cg_mean(t, x[0], AXES(1), false))                            \
  X(max, axis, cg_max(t, x[0], AXES(1), false))                              \
  X(max, ties, cg_max(t, x[0], AXES(1), false))                              \
  X(max, all, cg_max(t, x[0], NULL, 0, false))                               \
  X(min, axes, cg_min(t, x[0], AXES(0, 2), true))                            \
  X(min, ties, cg_min(t, x[0], AXES(0), false))                              \
  X(extreme_share, ties, cg_extreme_share(t, x[0], x[1]))                    \
  X(argmax, axis, cg_argmax(t, x[0], 1, false))                              \
  X(argmin, keep, cg_argmin(t, x[0], 0, true))                               \
  X(var, sample, cg_var(t, x[0], AXES(1), 1, false))                         \
  X(var, population, cg_var(t, x[0], NULL, 0, 0, false))                     \
  X(norm, axis, cg_norm(t, x[0], AXES(1), false))                            \
  X(norm, zero, cg_norm(t, x[0], AXES(1), false))                            \
  X(sqrt0, plain, cg_sqrt0(t, x[0]))                                         \
  X(div0, plain, cg_div0(t, x[0], x[1]))                                     \
  X(logsumexp, axis, cg_logsumexp(t, x[0], 1, false))                        \
  X(logsumexp, far, cg_logsumexp(t, x[0], 0, true))                          \
  X(logsumexp, inf, cg_logsumexp(t, x[0], 1, false))                         \
  X(exp_sub, plain, cg_exp_sub(t, x[0], x[1]))                               \
  X(cumsum, axis, cg_cumsum(t, x[0], 1, false))                              \
  X(cumsum, reverse, cg_cumsum(t, x[0], 0, true))

#define AFFINE_NT x[0], x[1], x[2], false, true

#define PRODUCT_CASES(X)                                                     \
  X(matmul, nn, cg_matmul(t, x[0], x[1]))                                    \
  X(matmul, tt, cg_matmul_t(t, x[0], x[1], true, true))                      \
  X(addmm, nt, cg_addmm(t, x[0], x[1], x[2], false, true))                   \
  X(affine, tanh, cg_affine(t, CG_ACT_TANH, AFFINE_NT))                      \
  X(affine, relu, cg_affine(t, CG_ACT_RELU, AFFINE_NT))                      \
  X(affine, sigmoid, cg_affine(t, CG_ACT_SIGMOID, AFFINE_NT))                \
  X(affine, identity, cg_affine(t, CG_ACT_IDENTITY, AFFINE_NT))              \
  X(affine, two, affine_two(t, x))                                           \
  X(affine, sums, affine_sums(t, x))                                         \
  X(linear, batch, cg_linear(t, x[0], x[1], x[2]))                           \
  X(bmm, nn, cg_bmm(t, x[0], x[1], false, false))                            \
  X(bmm, broadcast, cg_bmm(t, x[0], x[1], false, true))                      \
  X(bmm, tn, cg_bmm(t, x[0], x[1], true, false))                             \
  X(dot, plain, cg_dot(t, x[0], x[1]))                                       \
  X(outer, plain, cg_outer(t, x[0], x[1]))

#define SHAPE_CASES(X)                                                       \
  X(reshape, plain, cg_reshape(t, x[0], CG_DIMS(3, 2)))                      \
  X(permute, plain, cg_permute(t, x[0], SIZES_AS_AXES))                      \
  X(narrow, plain, cg_narrow(t, x[0], 1, 1, 2))                              \
  X(select, plain, cg_select(t, x[0], 1, -1))                                \
  X(expand, plain, cg_expand(t, x[0], CG_DIMS(2, 3, 2)))                     \
  X(detach, plain, cg_detach(t, x[0]))                                       \
  X(copy, plain, cg_contiguous(t, cg_transpose(t, x[0], 0, 1)))              \
  X(slice, step, cg_slice(t, x[0], 1, 1, 2, 2))                              \
  X(slice, back, cg_slice(t, x[0], 1, 3, -2, 2))                             \
  X(slice_grad, step, cg_slice_grad(t, x[0], 1, 1, 2, 6))                    \
  X(flip, two, cg_flip(t, x[0], AXES(0, 2)))                                 \
  X(squeeze, plain, cg_squeeze(t, x[0], 1))                                  \
  X(unsqueeze, plain, cg_unsqueeze(t, x[0], -1))                             \
  X(flatten, plain, cg_flatten(t, x[0], 1, 2))                               \
  X(split, second, split_second(t, x[0]))                                    \
  X(chunk, last, chunk_last(t, x[0]))                                        \
  X(diagonal, plain, cg_diagonal(t, x[0]))                                   \
  X(diagonal, wide, cg_diagonal(t, x[0]))                                    \
  X(diag_embed, plain, cg_diag_embed(t, x[0]))                               \
  X(pad, plain, cg_pad(t, x[0], SIZES(0, 1), SIZES(1, 2), 2.385))            \
  X(stack, plain, cg_stack(t, x, 2, 1))                                      \
  X(concat, plain, cg_concat(t, x, 2, 1))                                    \
  X(sum_slices, overlap, slices(t, x))

#define SIZES_AS_AXES (const int[]){2, 0, 1}

#define OTHER_CASES(X)                                                       \
  X(embedding, plain, cg_embedding(t, x[0], x[1]))                           \
  X(embedding_grad, plain, cg_embedding_grad(t, x[0], x[1], 3))              \
  X(gather, plain, cg_gather(t, x[0], 1, x[1]))                              \
  X(gather_grad, plain, cg_gather_grad(t, x[0], x[1], 1, 3))                 \
  X(one_hot, plain, cg_one_hot(t, x[0], 4, CG_F64))                          \
  X(index_select, plain, cg_index_select(t, x[0], 1, x[1]))                  \
  X(scatter_add, plain, cg_scatter_add(t, x[0], 0, x[2], x[1]))              \
  X(log_softmax, axis, cg_log_softmax(t, x[0], 0))                           \
  X(softmax, axis, cg_softmax(t, x[0], -1))                                  \
  X(layer_norm, plain, cg_layer_norm(t, x[0], NULL, NULL, 1e-5))             \
  X(layer_norm, affine, cg_layer_norm(t, x[0], x[1], x[2], 0.1))             \
  X(layer_norm_rstd, plain, cg_layer_norm_rstd(t, x[0], 0.1))                \
  X(layer_norm_grad, plain, cg_layer_norm_grad(t, x[0], x[1], x[2]))         \
  X(dropout, plain, dropped(t, x[0]))                                        \
  X(cross_entropy, plain, cg_cross_entropy(t, x[0], x[1]))                   \
  X(cross_entropy_grad, plain,                                               \
    cg_cross_entropy_grad(t, x[0], x[1], x[2], NULL))                        \
  REDUCED(X, cross_entropy_ignore, CE)                                       \
  REDUCED(X, nll, NLL)                                                       \
  REDUCED(X, huber, HUBER)                                                   \
  REDUCED(X, bce_with_logits, BCE)                                           \
  REDUCED(X, l1, L1)                                                         \
  X(huber, edge, cg_huber(t, x[0], x[1], 1, CG_REDUCE_NONE))                 \
  X(mse, plain, cg_mse(t, x[0], x[1]))                                       \
  X(lstm_gates, plain, cg_lstm_gates(t, x[0], x[1]))                         \
  X(lstm_gates_grad, plain, cg_lstm_gates_grad(t, x[0], x[1], x[2]))         \
  X(lstm_affine, state,                                                      \
    cg_lstm_affine(t, x[0], NULL, NULL, x[1], x[2], x[3]))                   \
  X(lstm_affine, input,                                                      \
    cg_lstm_affine(t, x[0], x[4], x[5], x[1], x[2], x[3]))                   \
  X(gru_affine, plain, gru_affine(t, x))                                     \
  X(gru_gates, plain, cg_gru_gates(t, x[0], x[1], x[2]))                     \
  X(gru_gates_grad, plain, cg_gru_gates_grad(t, x[0], x[1], x[2]))

#define ALL_CASES(X)                                                         \
  REDUCTION_CASES(X) PRODUCT_CASES(X) SHAPE_CASES(X) OTHER_CASES(X)

#define DEFINE(op, name, ...)                                                \
  static cg_tensor *call_##op##_##name(cg_tape *t, cg_tensor *const *x,      \
                                       int n) {                              \
    (void)n;                                                                 \
    return __VA_ARGS__;                                                      \
  }
ALL_CASES(DEFINE)

static const torch_call calls[] = {
#define ROW(op, name, ...) {#op "@" #name, call_##op##_##name},
    ALL_CASES(ROW)
};

const torch_file torch_other = {"ops_other", calls, N_OF(calls)};
