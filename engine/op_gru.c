/* op_gru.c - the elementwise part of a step of a GRU as one op. With x and p
 * what the input and the state h' before contribute,
 *
 *   r = sigmoid(x_r + p_r)     u = sigmoid(x_u + p_u)
 *   n = tanh(x_n + r p_n)      h = (1 - u) n + u h'
 *
 * and the result y = (h, n, r, u, p_n) has what the derivative needs besides
 * h'. All five parts may have a gradient.
 */
#include "gates.h"

enum { H_, N, R, U, P, PARTS };

/* ---- gru_gates ---- */

static const int gates_parts[] = {3, 3, 1};

static cg_status gru_gates_infer(const cg_call *call, cg_spec *spec) {
  return gates_infer(call, gates_parts, PARTS, spec);
}

static cg_status gru_gates_forward(const cg_call *call, cg_tensor *out) {
  kernel_gru_maps maps = {0};
  kernel_rows h;
  cg_status status = gates_rows(call, 0, &maps.x);
  if (!status) status = gates_rows(call, 1, &maps.p);
  if (!status) status = gates_rows(call, 2, &h);
  if (!status)
    kernel_gru(out->dtype, out->dims[0], call->in[2]->dims[1], out->data,
               &maps, h);
  return status;
}

static void gru_gates_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, 2)[1];
  cg_tensor *g = cg_gru_gates_grad(t, cg_vjp_gy_head(v, 1, H), cg_vjp_out(v),
                                   cg_vjp_in(v, 2));
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_narrow(t, g, 1, 0, 3 * H));
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, cg_narrow(t, g, 1, 3 * H, 3 * H));
  if (cg_vjp_needs(v, 2)) cg_vjp_give(v, 2, gates_part(t, g, 6, H));
}

static const cg_op_case gru_gates_cases[] = {
    {"f[2,9] f[2,9] f[2,3]", NULL},    {"f[1,3] f[1,3] f[1,1]", NULL},
    {"f[2,51] f[2,51] f[2,17]", NULL}, {"f[0,6] f[0,6] f[0,2]", NULL},
    {"f[2,0] f[2,0] f[2,0]", NULL},
};

const cg_op cg_op_gru_gates = {
    .name = "gru_gates",
    .formula = "y = (h, n, r, u, p_n): r = sigmoid(x_r + p_r), "
               "u = sigmoid(x_u + p_u), n = tanh(x_n + r p_n), "
               "h = (1 - u) n + u h'",
    .derivative = "(gx, gp, gh') = gru_gates_grad(gy, y, h')",
    .min_in = 3,
    .max_in = 3,
    .infer = gru_gates_infer,
    .forward = gru_gates_forward,
    .vjp = gru_gates_vjp,
    CG_CASES(gru_gates_cases),
};

cg_tensor *cg_gru_gates(cg_tape *tape, cg_tensor *x, cg_tensor *p,
                        cg_tensor *h) {
  cg_tensor *in[] = {x, p, h};
  return cg_record(tape, &cg_op_gru_gates, in, 3, NULL);
}

/* ---- gru_gates_grad: operands a (the first parts of gy), y, h' ---- */

static const int grad_parts[] = {-PARTS, PARTS, 1};

static cg_status gru_gates_grad_infer(const cg_call *call, cg_spec *spec) {
  return gates_infer(call, grad_parts, 7, spec);
}

static cg_status gru_gates_grad_forward(const cg_call *call, cg_tensor *out) {
  kernel_rows in[3];
  for (int i = 0; i < 3; i++) {
    cg_status status = gates_rows(call, i, &in[i]);
    if (status) return status;
  }
  const int64_t H = call->in[2]->dims[1];
  const int given = gates_count(call->in[0]->dims[1], H, PARTS);
  kernel_gru_grad(out->dtype, out->dims[0], H, out->data, in[0], given, in[1],
                  in[2]);
  return CG_OK;
}

/* The op computes, with d x for the gradient of x as it comes together,
 *   d n = a_n + a_h (1 - u)        z_n = d n (1 - n^2)
 *   d r = a_r + z_n p_n            z_r = d r r (1 - r)
 *   d u = a_u + a_h (h' - n)       z_u = d u u (1 - u)
 *   r = (z_r, z_u, z_n,  z_r, z_u, z_n r + a_p,  a_h u)
 * Here e_x are the gradients of these d x, from r's gradient e. */
static void gru_gates_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, 2)[1];
  cg_tensor *e_all = cg_vjp_gy(v);
  cg_tensor *y_all = cg_vjp_in(v, 1), *h0 = cg_vjp_in(v, 2);
  cg_tensor *a[PARTS], *y[PARTS], *e[7];
  for (int k = 0; k < 7; k++) e[k] = gates_part(t, e_all, k, H);
  for (int k = 0; k < PARTS; k++) {
    a[k] = gates_part_or_zero(v, k, H);
    y[k] = gates_part(t, y_all, k, H);
  }
  cg_tensor *e_zr = cg_add(t, e[0], e[3]), *e_zu = cg_add(t, e[1], e[4]);
  cg_tensor *e_r = cg_sigmoid_grad(t, e_zr, y[R]);
  cg_tensor *e_u = cg_sigmoid_grad(t, e_zu, y[U]);
  cg_tensor *e_zn = cg_add(t, e[2], cg_mul(t, e[5], y[R]));
  e_zn = cg_add(t, e_zn, cg_mul(t, e_r, y[P]));
  cg_tensor *e_n = cg_tanh_grad(t, e_zn, y[N]);
  cg_tensor *stay = cg_rsub_scalar(t, y[U], 1); /* 1 - u */
  cg_tensor *gap = cg_sub(t, h0, y[N]);
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *e_h = cg_add(t, cg_mul(t, e_n, stay), cg_mul(t, e_u, gap));
    gates_give(v, 0, H_, H, cg_add(t, e_h, cg_mul(t, e[6], y[U])));
    gates_give(v, 0, R, H, e_r);
    gates_give(v, 0, U, H, e_u);
    gates_give(v, 0, N, H, e_n);
    gates_give(v, 0, P, H, e[5]);
  }
  cg_tensor *d_n = cg_add(t, a[N], cg_mul(t, a[H_], stay));
  cg_tensor *z_n = cg_tanh_grad(t, d_n, y[N]);
  cg_tensor *h_u = cg_mul(t, e_u, a[H_]);
  if (cg_vjp_needs(v, 2)) cg_vjp_give(v, 2, h_u);
  if (!cg_vjp_needs(v, 1)) return;
  /* Of y (1 - y) the derivative is 1 - 2 y, of 1 - y^2 it is -2 y. */
  cg_tensor *slope_r = cg_add_scalar(t, cg_mul_scalar(t, y[R], -2), 1);
  cg_tensor *slope_u = cg_add_scalar(t, cg_mul_scalar(t, y[U], -2), 1);
  cg_tensor *slope_n = cg_mul_scalar(t, y[N], -2);
  cg_tensor *d_r = cg_add(t, a[R], cg_mul(t, z_n, y[P]));
  cg_tensor *d_u = cg_add(t, a[U], cg_mul(t, a[H_], gap));
  cg_tensor *back = cg_sub(t, e[6], e_n); /* a_h u stands in r and d n */
  gates_give(v, 1, R, H, cg_mul(t, cg_mul(t, e_zr, d_r), slope_r));
  gates_give(v, 1, R, H, cg_mul(t, e[5], z_n));
  gates_give(v, 1, U, H, cg_mul(t, cg_mul(t, e_zu, d_u), slope_u));
  gates_give(v, 1, U, H, cg_mul(t, back, a[H_]));
  gates_give(v, 1, N, H, cg_mul(t, cg_mul(t, e_zn, d_n), slope_n));
  gates_give(v, 1, N, H, cg_neg(t, h_u));
  gates_give(v, 1, P, H, cg_mul(t, e_r, z_n));
}

static const cg_op_case gru_gates_grad_cases[] = {
    {"f[2,15] f[2,15] f[2,3]", NULL}, {"f[1,5] f[1,5] f[1,1]", NULL},
    {"f[1,85] f[1,85] f[1,17]", NULL}, {"f[0,10] f[0,10] f[0,2]", NULL},
    {"f[2,3] f[2,15] f[2,3]", NULL}, {"f[1,51] f[1,85] f[1,17]", NULL},
    {"f[2,0] f[2,0] f[2,0]", NULL},
};

const cg_op cg_op_gru_gates_grad = {
    .name = "gru_gates_grad",
    .formula = "r = (z_r, z_u, z_n, z_r, z_u, z_n r + a_p, a_h u): "
               "z_n = (a_n + a_h (1 - u)) (1 - n^2), "
               "z_r = (a_r + z_n p_n) r (1 - r), "
               "z_u = (a_u + a_h (h' - n)) u (1 - u)",
    .derivative = "r by a, by y and by h', composed of ops",
    .min_in = 3,
    .max_in = 3,
    .infer = gru_gates_grad_infer,
    .forward = gru_gates_grad_forward,
    .vjp = gru_gates_grad_vjp,
    CG_CASES(gru_gates_grad_cases),
};

cg_tensor *cg_gru_gates_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y,
                             cg_tensor *h) {
  cg_tensor *in[] = {gy, y, h};
  return cg_record(tape, &cg_op_gru_gates_grad, in, 3, NULL);
}
