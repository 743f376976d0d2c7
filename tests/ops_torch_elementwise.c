/* ops_torch_elementwise.c - how the cases of golden/ops_elementwise.safetensors
 * are called; the numbers are those of golden/make_ops.py. */
#include <math.h>

#include "ops_torch.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

/* An op that has no function of its own. */
static cg_tensor *record(cg_tape *t, const char *name, cg_tensor *const *x,
                         int n, const void *attr) {
  return cg_record(t, cg_op_find(name), x, n, attr);
}

static const double slope[] = {0.13}, alpha[] = {0.7};
static const double bounds[] = {-1.25, 0.9375};

#define ONE(X)                                                               \
  X(neg) X(exp) X(square) X(tanh) X(sigmoid) X(sin) X(cos) X(expm1)          \
  X(softplus) X(silu) X(gelu) X(abs) X(sign) X(relu) X(log) X(sqrt) X(rsqrt) \
  X(reciprocal) X(log1p)
#define TWO(X)                                                            \
  X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(eq) X(ne)    \
  X(lt) X(le) X(gt) X(ge) X(tanh_grad) X(sigmoid_grad) X(relu_grad)

ONE(TORCH_1)
TWO(TORCH_2)
TORCH_CALL(add_scalar, cg_add_scalar(t, x[0], 1.37))
TORCH_CALL(mul_scalar, cg_mul_scalar(t, x[0], -1.73))
TORCH_CALL(pow_scalar, cg_pow_scalar(t, x[0], -1.7))
TORCH_CALL(cube, cg_pow_scalar(t, x[0], 3))
TORCH_CALL(pow_2, cg_pow_scalar(t, x[0], 2))
TORCH_CALL(pow_1, cg_pow_scalar(t, x[0], 1))
TORCH_CALL(pow_0, cg_pow_scalar(t, x[0], 0))
TORCH_CALL(rsub_scalar, cg_rsub_scalar(t, x[0], 2.61))
TORCH_CALL(rdiv_scalar, cg_rdiv_scalar(t, x[0], 2.61))
TORCH_CALL(leaky_relu, cg_leaky_relu(t, x[0], slope[0]))
TORCH_CALL(elu, cg_elu(t, x[0], alpha[0]))
TORCH_CALL(clamp, cg_clamp(t, x[0], bounds[0], bounds[1]))
TORCH_CALL(below, cg_clamp(t, x[0], bounds[0], INFINITY))
TORCH_CALL(above, cg_clamp(t, x[0], -INFINITY, bounds[1]))
TORCH_CALL(crossed, cg_clamp(t, x[0], bounds[1], bounds[0]))
TORCH_CALL(cast, cg_mul_scalar(t, cg_cast(t, cg_cast(t, x[0], CG_F32), CG_F64),
                               1.5))
TORCH_CALL(where, cg_where(t, x[0], x[1], x[2]))
TORCH_CALL(masked_fill, cg_masked_fill(t, x[0], x[1], -1.83))
TORCH_CALL(gelu_grad, record(t, "gelu_grad", x, 2, NULL))
TORCH_CALL(pow_da, record(t, "pow_da", x, 2, NULL))
TORCH_CALL(pow_db, record(t, "pow_db", x, 2, NULL))
TORCH_CALL(maximum_grad, record(t, "maximum_grad", x, 3, NULL))
TORCH_CALL(elu_grad, record(t, "elu_grad", x, 2, alpha))
TORCH_CALL(leaky_relu_grad, record(t, "leaky_relu_grad", x, 2, slope))
TORCH_CALL(clamp_grad, record(t, "clamp_grad", x, 2, bounds))

#define ROW(name) {#name, name##_call},
static const torch_call calls[] = {
    ONE(ROW) TWO(ROW) ROW(add_scalar) ROW(mul_scalar) ROW(pow_scalar)
    ROW(rsub_scalar) ROW(rdiv_scalar) ROW(leaky_relu) ROW(elu) ROW(clamp)
    ROW(cast) ROW(where) ROW(masked_fill) ROW(gelu_grad) ROW(pow_da)
    ROW(pow_db) ROW(maximum_grad) ROW(elu_grad) ROW(leaky_relu_grad)
    ROW(clamp_grad)
    {"pow_scalar@cube", cube_call},
    {"pow_scalar@square", pow_2_call},
    {"pow_scalar@one", pow_1_call},
    {"pow_scalar@zero", pow_0_call},
    {"clamp@below", below_call},
    {"clamp@above", above_call},
    {"clamp@crossed", crossed_call},
};

const torch_file torch_elementwise = {"ops_elementwise", calls, N_OF(calls)};
