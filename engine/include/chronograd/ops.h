/* ops.h - every op, by family.
 *
 * Each function records one op on the tape and returns its result, which
 * belongs to the tape; after an error, or given a NULL operand, it returns NULL
 * (tape.h). Unless said otherwise operands are float tensors of one type, x has
 * any shape and strides, and axes may be negative, counting from the end.
 *
 * Broadcasting is NumPy's: shapes are aligned at their last axes, and a size of
 * 1, or a missing axis, is repeated.
 */
#ifndef CHRONOGRAD_OPS_H
#define CHRONOGRAD_OPS_H

#include <chronograd/reduction.h>
#include <chronograd/rng.h>
#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise, two operands (broadcasting) ---- */

CG_API cg_tensor *cg_add(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a + b */
CG_API cg_tensor *cg_sub(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a - b */
CG_API cg_tensor *cg_mul(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a * b */
CG_API cg_tensor *cg_div(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a / b */
/* a^b; d/da = b a^(b-1) (0 where b = 0), d/db = a^b log a (0 where a = 0 and
 * b >= 0). */
CG_API cg_tensor *cg_pow(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* The greater or lesser of two; NaN if either is NaN. Where a = b, half of the
 * gradient goes to each. */
CG_API cg_tensor *cg_maximum(cg_tape *tape, cg_tensor *a, cg_tensor *b);
CG_API cg_tensor *cg_minimum(cg_tape *tape, cg_tensor *a, cg_tensor *b);

/* ---- comparisons and choices (broadcasting) ---- */

/* Masks (U8, 0 or 1) of two operands of one type, which may be any. Without
 * derivative. As in IEEE arithmetic, NaN differs from everything and -0 = 0. */
CG_API cg_tensor *cg_eq(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a == b */
CG_API cg_tensor *cg_ne(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a != b */
CG_API cg_tensor *cg_lt(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a < b */
CG_API cg_tensor *cg_le(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a <= b */
CG_API cg_tensor *cg_gt(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a > b */
CG_API cg_tensor *cg_ge(cg_tape *tape, cg_tensor *a, cg_tensor *b); /* a >= b */
/* a where mask (U8) is not 0, else b; a and b have one type, which may be any.
 * What is not chosen receives gradient 0, also where gy is NaN or infinite. */
CG_API cg_tensor *cg_where(cg_tape *tape, cg_tensor *mask, cg_tensor *a,
                           cg_tensor *b);
/* `value` (rounded to x's type) where mask is not 0, else x. */
CG_API cg_tensor *cg_masked_fill(cg_tape *tape, cg_tensor *x, cg_tensor *mask,
                                 double value);

/* ---- elementwise with a number c (rounded to x's type) ---- */

/* x + c, x * c and x^c. */
CG_API cg_tensor *cg_add_scalar(cg_tape *tape, cg_tensor *x, double c);
CG_API cg_tensor *cg_mul_scalar(cg_tape *tape, cg_tensor *x, double c);
CG_API cg_tensor *cg_pow_scalar(cg_tape *tape, cg_tensor *x, double c);
/* c - x and c / x. */
CG_API cg_tensor *cg_rsub_scalar(cg_tape *tape, cg_tensor *x, double c);
CG_API cg_tensor *cg_rdiv_scalar(cg_tape *tape, cg_tensor *x, double c);
/* min(max(x, lo), hi), so hi everywhere if lo > hi; an infinite bound is none,
 * a NaN makes everything NaN. Gradient 1 for lo <= x <= hi, the edges included,
 * else 0 (also where x is NaN, which stays). */
CG_API cg_tensor *cg_clamp(cg_tape *tape, cg_tensor *x, double lo, double hi);

/* ---- elementwise, one operand ---- */

CG_API cg_tensor *cg_neg(cg_tape *tape, cg_tensor *x);     /* -x */
CG_API cg_tensor *cg_exp(cg_tape *tape, cg_tensor *x);     /* e^x */
CG_API cg_tensor *cg_log(cg_tape *tape, cg_tensor *x);     /* natural log */
CG_API cg_tensor *cg_sqrt(cg_tape *tape, cg_tensor *x);    /* x^(1/2) */
CG_API cg_tensor *cg_square(cg_tape *tape, cg_tensor *x);  /* x^2 */
CG_API cg_tensor *cg_tanh(cg_tape *tape, cg_tensor *x);    /* d = 1 - y^2 */
CG_API cg_tensor *cg_sigmoid(cg_tape *tape, cg_tensor *x); /* 1/(1+e^-x) */
/* max(x, 0); its derivative at 0 is 0. */
CG_API cg_tensor *cg_relu(cg_tape *tape, cg_tensor *x);
CG_API cg_tensor *cg_abs(cg_tape *tape, cg_tensor *x);     /* |x|; d(0) = 0 */
/* 1, -1, or 0 (at 0 and NaN); derivative 0 everywhere. */
CG_API cg_tensor *cg_sign(cg_tape *tape, cg_tensor *x);
CG_API cg_tensor *cg_reciprocal(cg_tape *tape, cg_tensor *x); /* 1/x */
CG_API cg_tensor *cg_rsqrt(cg_tape *tape, cg_tensor *x);      /* x^(-1/2) */
CG_API cg_tensor *cg_log1p(cg_tape *tape, cg_tensor *x); /* log(1+x), near 0 */
CG_API cg_tensor *cg_expm1(cg_tape *tape, cg_tensor *x); /* e^x - 1, near 0 */
CG_API cg_tensor *cg_sin(cg_tape *tape, cg_tensor *x);
CG_API cg_tensor *cg_cos(cg_tape *tape, cg_tensor *x);
/* The derivative factors of tanh, sigmoid and relu, as ops: gy*(1-y^2),
 * gy*y*(1-y), and gy where y > 0, else 0. */
CG_API cg_tensor *cg_tanh_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
CG_API cg_tensor *cg_sigmoid_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
CG_API cg_tensor *cg_relu_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
/* x converted to another float type; also from I64 and U8, without gradient. */
CG_API cg_tensor *cg_cast(cg_tape *tape, cg_tensor *x, cg_dtype dtype);

/* ---- activations ---- */

/* log(1 + e^x), without overflow, and without a threshold from which on it
 * would be x. */
CG_API cg_tensor *cg_softplus(cg_tape *tape, cg_tensor *x);
/* x where x > 0, else slope * x; d(0) = slope. */
CG_API cg_tensor *cg_leaky_relu(cg_tape *tape, cg_tensor *x, double slope);
/* x where x > 0, else alpha (e^x - 1); d(0) = alpha. */
CG_API cg_tensor *cg_elu(cg_tape *tape, cg_tensor *x, double alpha);
/* x Phi(x) with the normal distribution function Phi, not its approximation by
 * tanh; accurate also far out to the left. NaN at -infinity. */
CG_API cg_tensor *cg_gelu(cg_tape *tape, cg_tensor *x);
/* x sigmoid(x); NaN at -infinity. */
CG_API cg_tensor *cg_silu(cg_tape *tape, cg_tensor *x);

/* ---- reductions ---- */

/* Sums over the `n_axes` axes in `axes`; n_axes 0 means all of them. With
 * `keep`, reduced axes stay with size 1; otherwise they are dropped. The sum of
 * no elements is 0. */
CG_API cg_tensor *cg_sum(cg_tape *tape, cg_tensor *x, const int *axes,
                         int n_axes, bool keep);
/* The mean over axes, as cg_sum divided by the number of elements summed. */
CG_API cg_tensor *cg_mean(cg_tape *tape, cg_tensor *x, const int *axes,
                          int n_axes, bool keep);
/* Sum and mean of all elements, rank 0. */
CG_API cg_tensor *cg_sum_all(cg_tape *tape, cg_tensor *x);
CG_API cg_tensor *cg_mean_all(cg_tape *tape, cg_tensor *x);
/* x summed to `shape`, from which it could have been broadcast. */
CG_API cg_tensor *cg_sum_to(cg_tape *tape, cg_tensor *x, int rank,
                            const int64_t *shape);

/* The largest and the smallest element over axes, given as for cg_sum; NaN if
 * there is a NaN. k equal ones receive 1/k of the gradient each, as PyTorch's
 * amax and amin do. Axes without elements are an error. */
CG_API cg_tensor *cg_max(cg_tape *tape, cg_tensor *x, const int *axes,
                         int n_axes, bool keep);
CG_API cg_tensor *cg_min(cg_tape *tape, cg_tensor *x, const int *axes,
                         int n_axes, bool keep);
/* The derivative factor of both: 1/k at each of the k elements of x that equal
 * y, to which x was reduced with `keep`, else 0; NaN if none is (a NaN). */
CG_API cg_tensor *cg_extreme_share(cg_tape *tape, cg_tensor *x, cg_tensor *y);
/* The index (I64) of the largest or smallest element along `axis`: of the first
 * one if several are equal, of the first NaN if there is one. */
CG_API cg_tensor *cg_argmax(cg_tape *tape, cg_tensor *x, int axis, bool keep);
CG_API cg_tensor *cg_argmin(cg_tape *tape, cg_tensor *x, int axis, bool keep);
/* The variance over axes: sum of (x - mean)^2 / max(0, n - correction) over n
 * elements each. The correction is 0 or 1 as a rule; NaN for n <= correction.
 */
CG_API cg_tensor *cg_var(cg_tape *tape, cg_tensor *x, const int *axes,
                         int n_axes, int correction, bool keep);
/* The 2-norm over axes, sqrt(sum x^2); its gradient at 0 is 0. */
CG_API cg_tensor *cg_norm(cg_tape *tape, cg_tensor *x, const int *axes,
                          int n_axes, bool keep);
/* What it is composed of: sqrt(x) whose derivative at 0 is 0, and a / b that is
 * 0, with derivatives 0, where b = 0 (broadcasting). */
CG_API cg_tensor *cg_sqrt0(cg_tape *tape, cg_tensor *x);
CG_API cg_tensor *cg_div0(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* log sum_j e^x_j along `axis`, without overflow; -inf for nothing but -inf or
 * for no elements. A row of nothing but -inf receives gradient 0, where
 * PyTorch's is NaN. */
CG_API cg_tensor *cg_logsumexp(cg_tape *tape, cg_tensor *x, int axis,
                               bool keep);
/* e^(a - b), 0 where a = -inf (broadcasting): the derivative factor of the
 * above. */
CG_API cg_tensor *cg_exp_sub(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* y_i = sum of x_j over j <= i along `axis`; over j >= i if `reverse`. */
CG_API cg_tensor *cg_cumsum(cg_tape *tape, cg_tensor *x, int axis,
                            bool reverse);

/* ---- matrix products ---- */

/* a b for a [m, k] and b [k, n]: [m, n]. */
CG_API cg_tensor *cg_matmul(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* The same with a^T for a [k, m] if ta, and b^T for b [n, k] if tb. */
CG_API cg_tensor *cg_matmul_t(cg_tape *tape, cg_tensor *a, cg_tensor *b,
                              bool ta, bool tb);
/* c + op(a) op(b), where c broadcasts to [m, n]. */
CG_API cg_tensor *cg_addmm(cg_tape *tape, cg_tensor *c, cg_tensor *a,
                           cg_tensor *b, bool ta, bool tb);
/* phi and its derivative, from the saved result h = phi(z) where that is
 * possible. */
typedef enum cg_activation {
  CG_ACT_TANH,     /* phi' = 1 - h^2 */
  CG_ACT_RELU,     /* phi' = 1 where z > 0, else 0 */
  CG_ACT_SIGMOID,  /* phi' = h (1 - h) */
  CG_ACT_IDENTITY, /* phi' = 1 */
  CG_ACT_COUNT     /* how many there are */
} cg_activation;

/* phi(z) for z = c + op(a) op(b) as above, element for element what phi's op
 * makes of cg_addmm; but z is not kept, which saves its memory and a node. An
 * unknown phi is an error (ARG). */
CG_API cg_tensor *cg_affine(cg_tape *tape, cg_activation phi, cg_tensor *c,
                            cg_tensor *a, cg_tensor *b, bool ta, bool tb);
/* phi(c + op(a[0]) op(b[0]) + op(a[1]) op(b[1])) likewise, such as a state from
 * what comes in and the state before. Both products have the same shape, or it
 * is an error (SHAPE). */
CG_API cg_tensor *cg_affine2(cg_tape *tape, cg_activation phi, cg_tensor *c,
                             cg_tensor *const a[2], cg_tensor *const b[2],
                             bool ta, bool tb);
/* The same with c[0] + c[1], two biases say, in the place of c; and without the
 * second product if a[1] and b[1] are NULL. */
CG_API cg_tensor *cg_affine_sums(cg_tape *tape, cg_activation phi,
                                 cg_tensor *const c[2], cg_tensor *const a[2],
                                 cg_tensor *const b[2], bool ta, bool tb);
/* op(a) op(b) for each pair of matrices in the last two axes, where the leading
 * axes broadcast: a [..., m, k] and b [..., k, n], the last two exchanged where
 * ta or tb. */
CG_API cg_tensor *cg_bmm(cg_tape *tape, cg_tensor *a, cg_tensor *b, bool ta,
                         bool tb);
/* sum_i a_i b_i of two vectors [n], rank 0. */
CG_API cg_tensor *cg_dot(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* a_i b_j of vectors [m] and [n]: [m, n]. */
CG_API cg_tensor *cg_outer(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* x W^T + b over the last axis: x [..., I], W [O, I], b [O] or NULL for none:
 * [..., O]. */
CG_API cg_tensor *cg_linear(cg_tape *tape, cg_tensor *x, cg_tensor *W,
                            cg_tensor *b);

/* ---- views: share memory with x ---- */

/* x with another shape of as many elements, in row-major order; one size may be
 * -1, to be computed. A view where the strides allow it, otherwise a copy. */
CG_API cg_tensor *cg_reshape(cg_tape *tape, cg_tensor *x, int rank,
                             const int64_t *shape);
/* Axis i of the result is axis axes[i] of x; `rank` axes, each once. */
CG_API cg_tensor *cg_permute(cg_tape *tape, cg_tensor *x, const int *axes);
/* Two axes exchanged. */
CG_API cg_tensor *cg_transpose(cg_tape *tape, cg_tensor *x, int axis0,
                               int axis1);
/* Indices start .. start+length-1 along `axis`. */
CG_API cg_tensor *cg_narrow(cg_tape *tape, cg_tensor *x, int axis,
                            int64_t start, int64_t length);
/* Index `index` (negative: from the end) along `axis`, which is dropped. */
CG_API cg_tensor *cg_select(cg_tape *tape, cg_tensor *x, int axis,
                            int64_t index);
/* Indices start, start + step, ... (`length` of them) along `axis`; step may be
 * negative but not 0. */
CG_API cg_tensor *cg_slice(cg_tape *tape, cg_tensor *x, int axis, int64_t start,
                           int64_t step, int64_t length);
/* The order along each of the `n_axes` axes turned round. */
CG_API cg_tensor *cg_flip(cg_tape *tape, cg_tensor *x, const int *axes,
                          int n_axes);
/* Without an axis of size 1 (another size is an error, as in NumPy), and with a
 * new one, which will be axis `axis` of the result. */
CG_API cg_tensor *cg_squeeze(cg_tape *tape, cg_tensor *x, int axis);
CG_API cg_tensor *cg_unsqueeze(cg_tape *tape, cg_tensor *x, int axis);
/* The axes first .. last made into one; a scalar becomes [1]. As for
 * cg_reshape, a copy where it takes one. */
CG_API cg_tensor *cg_flatten(cg_tape *tape, cg_tensor *x, int first, int last);
/* Writes n narrows of x along `axis` to parts[], of sizes[k] elements each,
 * which must add up to the axis. After an error all parts are NULL. */
CG_API cg_status cg_split(cg_tape *tape, cg_tensor *x, int axis,
                          const int64_t *sizes, int n, cg_tensor **parts);
/* The same in n parts of ceil(size / n) elements; the last ones may be shorter
 * or empty (PyTorch would give fewer parts instead). */
CG_API cg_status cg_chunk(cg_tape *tape, cg_tensor *x, int axis, int n,
                          cg_tensor **parts);
/* x broadcast to `shape`, by strides of 0. */
CG_API cg_tensor *cg_expand(cg_tape *tape, cg_tensor *x, int rank,
                            const int64_t *shape);
/* x's value, cut off from its history: no gradient flows through. */
CG_API cg_tensor *cg_detach(cg_tape *tape, cg_tensor *x);
/* x itself if contiguous, otherwise a contiguous copy. */
CG_API cg_tensor *cg_contiguous(cg_tape *tape, cg_tensor *x);

/* ---- putting together ---- */

/* n >= 1 tensors of equal shape along a new axis. Results that lie one behind
 * the other in the tape's memory (cg_tape_reserve) are not copied: along axis 0
 * the stack is a view of them. */
CG_API cg_tensor *cg_stack(cg_tape *tape, cg_tensor *const *x, int n, int axis);
/* n >= 1 tensors of shapes that differ at most along `axis`. */
CG_API cg_tensor *cg_concat(cg_tape *tape, cg_tensor *const *x, int n,
                            int axis);
/* Zeros of `shape` to which each parts[k] is added at starts[k] <= index <
 * starts[k] + (its size) along `axis`: what the derivatives of n narrows of one
 * tensor make together. Parts may overlap. */
CG_API cg_tensor *cg_sum_slices(cg_tape *tape, cg_tensor *const *parts,
                                const int64_t *starts, int n, int axis,
                                int rank, const int64_t *shape);

/* x with before[i] and after[i] elements `value` added along each axis i; NULL
 * for none. */
CG_API cg_tensor *cg_pad(cg_tape *tape, cg_tensor *x, const int64_t *before,
                         const int64_t *after, double value);
/* The diagonals of the matrices in the last two axes: y[..., i] = x[..., i, i],
 * x [..., m, n] and y [..., min(m, n)]; a view. */
CG_API cg_tensor *cg_diagonal(cg_tape *tape, cg_tensor *x);
/* Matrices with the last axis as their diagonals and zeros elsewhere, such as
 * the Jacobian diag(phi'(z)) of an activation: y[..., i, i] = x[..., i],
 * x [..., n] and y [..., n, n]. */
CG_API cg_tensor *cg_diag_embed(cg_tape *tape, cg_tensor *x);
/* The transpose of cg_slice: zeros with g's shape, but `size` along `axis`, and
 * g at start, start + step, ... */
CG_API cg_tensor *cg_slice_grad(cg_tape *tape, cg_tensor *g, int axis,
                                int64_t start, int64_t step, int64_t size);

/* ---- indices (I64) ---- */

/* Row table[index[i]] for each i: table [V, ...], index of any shape S: S +
 * table's shape without its first axis. */
CG_API cg_tensor *cg_embedding(cg_tape *tape, cg_tensor *table,
                               cg_tensor *index);
/* y with y[index[i]] += g[i] over zeros with V rows: the transpose of
 * cg_embedding. */
CG_API cg_tensor *cg_embedding_grad(cg_tape *tape, cg_tensor *g,
                                    cg_tensor *index, int64_t V);
/* Along `axis`: y[.., i, ..] = x[.., index[.., i, ..], ..]; index has x's rank
 * and, off the axis, x's sizes. */
CG_API cg_tensor *cg_gather(cg_tape *tape, cg_tensor *x, int axis,
                            cg_tensor *index);
/* The transpose of cg_gather: zeros with x's shape, to which g is added at
 * index along `axis`, where the shape has `size` elements. */
CG_API cg_tensor *cg_gather_grad(cg_tape *tape, cg_tensor *g, cg_tensor *index,
                                 int axis, int64_t size);
/* y[.., i, ..] = x[.., index[i], ..] along `axis`, for a vector of indices. */
CG_API cg_tensor *cg_index_select(cg_tape *tape, cg_tensor *x, int axis,
                                  cg_tensor *index);
/* x, to which src is added at index along `axis`: index has the shape of src,
 * which off the axis is x's. What meets at one place adds up. */
CG_API cg_tensor *cg_scatter_add(cg_tape *tape, cg_tensor *x, int axis,
                                 cg_tensor *index, cg_tensor *src);
/* Vectors of K with a 1 at index and 0 elsewhere: index S -> S + [K], of float
 * type `dtype`. */
CG_API cg_tensor *cg_one_hot(cg_tape *tape, cg_tensor *index, int64_t K,
                             cg_dtype dtype);

/* ---- random numbers ---- */

/* Constants of a float type: uniform in [0, 1), where element i is number
 * counter + i of *rng (for F32 its upper 24 bits), and standard normal, two
 * numbers each. *rng moves behind them, unless there is an error. */
CG_API cg_tensor *cg_rand_uniform(cg_tape *tape, cg_rng *rng, cg_dtype dtype,
                                  int rank, const int64_t *shape);
CG_API cg_tensor *cg_rand_normal(cg_tape *tape, cg_rng *rng, cg_dtype dtype,
                                 int rank, const int64_t *shape);
/* x_i / (1 - p) where the uniform u_i >= p, else 0 x_i; 0 <= p <= 1. u_i, in
 * row-major order, is number counter + i of *rng, which moves on by the number
 * of elements: the same position gives the same mask, also when the op is
 * derived, any number of times. Applies it also while nothing is recorded:
 * leaving it out when not training is the caller's decision. */
CG_API cg_tensor *cg_dropout(cg_tape *tape, cg_tensor *x, double p,
                             cg_rng *rng);

/* ---- normalisation ---- */

/* (x - mean) / sqrt(variance + eps) weight + bias over the last axis, with the
 * variance of correction 0; weight and bias have one element per element of the
 * axis, NULL for none. */
CG_API cg_tensor *cg_layer_norm(cg_tape *tape, cg_tensor *x, cg_tensor *weight,
                                cg_tensor *bias, double eps);
/* The parts of its derivatives: r = 1 / sqrt(variance + eps), with a last axis
 * of size 1, and r (gy - mean(gy) - y mean(gy y)). */
CG_API cg_tensor *cg_layer_norm_rstd(cg_tape *tape, cg_tensor *x, double eps);
CG_API cg_tensor *cg_layer_norm_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y,
                                     cg_tensor *r);

/* ---- gates of recurrent cells ---- */

/* The elementwise part of a step of an LSTM in one op: from pre-activations
 * z = (z_i, z_f, z_g, z_o) [B, 4H] and the cell c' [B, H] before it,
 *
 *   y = (h, c, i, f, g, o) [B, 6H]     i, f, o = sigmoid of z_i, z_f, z_o
 *   g = tanh z_g     c = f c' + i g     h = o tanh c
 *
 * Views of its parts, such as cg_narrow(tape, y, 1, 0, H) for h, cost
 * nothing. */
CG_API cg_tensor *cg_lstm_gates(cg_tape *tape, cg_tensor *z, cg_tensor *c);
/* A whole step: cg_lstm_gates(z + x V^T + h W^T, c), where z broadcasts to
 * [B, 4H], what that op makes of cg_addmm, to rounding; but the sum is not
 * kept. x [B, I] and V [4H, I] may both be NULL, h is [B, R], W [4H, R]. */
CG_API cg_tensor *cg_lstm_affine(cg_tape *tape, cg_tensor *z, cg_tensor *x,
                                 cg_tensor *V, cg_tensor *h, cg_tensor *W,
                                 cg_tensor *c);
/* Its derivative as an op: (gz, gc') [B, 5H] from gy and y [B, 6H], and c'. Of
 * gy the last parts may be missing, for zeros (cg_vjp_gy_head). */
CG_API cg_tensor *cg_lstm_gates_grad(cg_tape *tape, cg_tensor *gy,
                                     cg_tensor *y, cg_tensor *c);
/* The same of a GRU: from what the input and the state contribute, x and p
 * [B, 3H] each with the parts r, u, n, and the state h' [B, H] before,
 *
 *   y = (h, n, r, u, p_n) [B, 5H]     r = sigmoid(x_r + p_r), u likewise
 *   n = tanh(x_n + r p_n)             h = (1 - u) n + u h' */
CG_API cg_tensor *cg_gru_gates(cg_tape *tape, cg_tensor *x, cg_tensor *p,
                               cg_tensor *h);
/* Its derivative as an op: (gx, gp, gh') [B, 7H] from gy, of which the last
 * parts may be missing, and y [B, 5H], and h'. */
CG_API cg_tensor *cg_gru_gates_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y,
                                    cg_tensor *h);
/* The two maps of a step of a GRU: z + x V^T and d + h W^T. */
typedef struct cg_gru_maps {
  cg_tensor *z; /* broadcasts to [B, 3H] */
  cg_tensor *x; /* [B, I] */
  cg_tensor *V; /* [3H, I] */
  cg_tensor *d; /* [3H] */
  cg_tensor *h; /* [B, R] */
  cg_tensor *W; /* [3H, R] */
} cg_gru_maps;

/* A whole step: cg_gru_gates(z + x V^T, d + h W^T, h'), what that op
 * makes of cg_addmm, to rounding; but the sums are not kept. */
CG_API cg_tensor *cg_gru_affine(cg_tape *tape, const cg_gru_maps *maps,
                                cg_tensor *h0);

/* ---- softmax and losses ---- */

/* log(e^x_k / sum_j e^x_j) over `axis`, without overflow. */
CG_API cg_tensor *cg_log_softmax(cg_tape *tape, cg_tensor *x, int axis);
/* e^x_k / sum_j e^x_j over `axis`. */
CG_API cg_tensor *cg_softmax(cg_tape *tape, cg_tensor *x, int axis);
/* -log softmax(o)[y] over the last axis: logits o [..., K], targets y [...]
 * (I64, 0 <= y < K): losses [...]. Derivative: p - onehot(y). */
CG_API cg_tensor *cg_cross_entropy(cg_tape *tape, cg_tensor *o, cg_tensor *y);
/* Its derivative as an op: gy (p - onehot(y)), p = softmax(o), for gy like y.
 * `loss` spares a second normalisation: it must be cg_cross_entropy(o, y), and
 * as such it counts as a part of o and gets no gradient itself; or NULL. */
CG_API cg_tensor *cg_cross_entropy_grad(cg_tape *tape, cg_tensor *gy,
                                        cg_tensor *o, cg_tensor *y,
                                        cg_tensor *loss);
/* mean((a - b)^2) over all elements (broadcasting), rank 0. */
CG_API cg_tensor *cg_mse(cg_tape *tape, cg_tensor *a, cg_tensor *b);

/* The following end with a reduction over all their losses, to rank 0, or none.
 * The mean of no losses is NaN, their sum 0. */

/* |a - b| (broadcasting); gradient 0 where a = b. */
CG_API cg_tensor *cg_l1(cg_tape *tape, cg_tensor *a, cg_tensor *b,
                        cg_reduction reduction);
/* d^2 / 2 for |d| <= delta, delta (|d| - delta / 2) beyond, with d = a - b
 * (broadcasting) and delta > 0. */
CG_API cg_tensor *cg_huber(cg_tape *tape, cg_tensor *a, cg_tensor *b,
                           double delta, cg_reduction reduction);
/* log(1 + e^o) - o y: binary cross entropy of logits o and targets y, floats in
 * 0..1 (broadcasting), which have a gradient too. Accurate for any o. */
CG_API cg_tensor *cg_bce_with_logits(cg_tape *tape, cg_tensor *o, cg_tensor *y,
                                     cg_reduction reduction);
/* The target that PyTorch ignores by default. */
#define CG_IGNORE_INDEX (-100)
/* -log_p[y] over the last axis: log_p [..., K], targets y [...] (I64). Rows
 * whose target is `ignore_index` have loss 0 and gradient 0, whatever they
 * hold, and do not count for the mean. How many are ignored is recorded:
 * cg_tape_replay with another number of them is refused (STATE). */
CG_API cg_tensor *cg_nll(cg_tape *tape, cg_tensor *log_p, cg_tensor *y,
                         int64_t ignore_index, cg_reduction reduction);
/* The same for cg_cross_entropy of logits o. */
CG_API cg_tensor *cg_cross_entropy_ignore(cg_tape *tape, cg_tensor *o,
                                          cg_tensor *y, int64_t ignore_index,
                                          cg_reduction reduction);

#ifdef __cplusplus
}
#endif
#endif
