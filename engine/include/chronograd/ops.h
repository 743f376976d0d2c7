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

/* ---- elementwise with a number c (rounded to x's type) ---- */

CG_API cg_tensor *cg_add_scalar(cg_tape *tape, cg_tensor *x, double c); /* x+c */
CG_API cg_tensor *cg_mul_scalar(cg_tape *tape, cg_tensor *x, double c); /* x*c */
CG_API cg_tensor *cg_pow_scalar(cg_tape *tape, cg_tensor *x, double c); /* x^c */

/* ---- elementwise, one operand ---- */

CG_API cg_tensor *cg_neg(cg_tape *tape, cg_tensor *x);     /* -x */
CG_API cg_tensor *cg_exp(cg_tape *tape, cg_tensor *x);     /* e^x */
CG_API cg_tensor *cg_log(cg_tape *tape, cg_tensor *x);     /* natural log */
CG_API cg_tensor *cg_sqrt(cg_tape *tape, cg_tensor *x);    /* x^(1/2) */
CG_API cg_tensor *cg_square(cg_tape *tape, cg_tensor *x);  /* x^2 */
CG_API cg_tensor *cg_tanh(cg_tape *tape, cg_tensor *x);    /* d = 1 - y^2 */
CG_API cg_tensor *cg_sigmoid(cg_tape *tape, cg_tensor *x); /* 1/(1+e^-x) */
CG_API cg_tensor *cg_relu(cg_tape *tape, cg_tensor *x);    /* max(x,0); d(0)=0 */
/* The derivative factors of the three above, as ops: gy*(1-y^2), gy*y*(1-y),
 * and gy where y > 0, else 0. */
CG_API cg_tensor *cg_tanh_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
CG_API cg_tensor *cg_sigmoid_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
CG_API cg_tensor *cg_relu_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y);
/* x converted to another float type; also from I64 and U8, without gradient. */
CG_API cg_tensor *cg_cast(cg_tape *tape, cg_tensor *x, cg_dtype dtype);

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

/* ---- matrix products ---- */

/* a b for a [m, k] and b [k, n]: [m, n]. */
CG_API cg_tensor *cg_matmul(cg_tape *tape, cg_tensor *a, cg_tensor *b);
/* The same with a^T for a [k, m] if ta, and b^T for b [n, k] if tb. */
CG_API cg_tensor *cg_matmul_t(cg_tape *tape, cg_tensor *a, cg_tensor *b,
                              bool ta, bool tb);
/* c + op(a) op(b), where c broadcasts to [m, n]. */
CG_API cg_tensor *cg_addmm(cg_tape *tape, cg_tensor *c, cg_tensor *a,
                           cg_tensor *b, bool ta, bool tb);
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
/* x broadcast to `shape`, by strides of 0. */
CG_API cg_tensor *cg_expand(cg_tape *tape, cg_tensor *x, int rank,
                            const int64_t *shape);
/* x's value, cut off from its history: no gradient flows through. */
CG_API cg_tensor *cg_detach(cg_tape *tape, cg_tensor *x);
/* x itself if contiguous, otherwise a contiguous copy. */
CG_API cg_tensor *cg_contiguous(cg_tape *tape, cg_tensor *x);

/* ---- putting together ---- */

/* n >= 1 tensors of equal shape along a new axis. */
CG_API cg_tensor *cg_stack(cg_tape *tape, cg_tensor *const *x, int n, int axis);
/* n >= 1 tensors of shapes that differ at most along `axis`. */
CG_API cg_tensor *cg_concat(cg_tape *tape, cg_tensor *const *x, int n,
                            int axis);
/* Zeros of `shape` to which each parts[k] is added at starts[k] <= index <
 * starts[k] + (its size) along `axis`: what the derivatives of n narrows of one
 * tensor make together. Parts may overlap. */
CG_API cg_tensor *cg_sum_slices(cg_tape *tape, cg_tensor *const *parts,
                                const int64_t *starts, int n, int axis, int rank,
                                const int64_t *shape);

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
/* Vectors of K with a 1 at index and 0 elsewhere: index S -> S + [K], of float
 * type `dtype`. */
CG_API cg_tensor *cg_one_hot(cg_tape *tape, cg_tensor *index, int64_t K,
                             cg_dtype dtype);

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

#ifdef __cplusplus
}
#endif
#endif
