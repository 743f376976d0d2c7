/* op_lstm.c - the elementwise part of a step of an LSTM as one op. With c' the
 * cell before, and q = tanh c,
 *
 *   i, f, o = sigmoid of z_i, z_f, z_o     g = tanh z_g
 *   c = f c' + i g                         h = o q
 *
 * and the result y = (h, c, i, f, g, o) has all that the derivative needs. All
 * six parts may have a gradient.
 */
#include "gates.h"

enum { H_, C, I, F, G, O, PARTS };

/* ---- lstm_gates ---- */

static const int gates_parts[] = {4, 1};

static cg_status lstm_gates_infer(const cg_call *call, cg_spec *spec) {
  return gates_infer(call, gates_parts, PARTS, spec);
}

static cg_status lstm_gates_forward(const cg_call *call, cg_tensor *out) {
  kernel_rows z, c, none = {0};
  cg_status status = gates_rows(call, 0, &z);
  if (!status) status = gates_rows(call, 1, &c);
  if (!status)
    kernel_lstm(out->dtype, out->dims[0], call->in[1]->dims[1], out->data, z,
                none, c);
  return status;
}

static void lstm_gates_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, 1)[1];
  cg_tensor *g = cg_lstm_gates_grad(t, cg_vjp_gy_head(v, 1, H), cg_vjp_out(v),
                                    cg_vjp_in(v, 1));
  if (cg_vjp_needs(v, 0)) cg_vjp_give(v, 0, cg_narrow(t, g, 1, 0, 4 * H));
  if (cg_vjp_needs(v, 1)) cg_vjp_give(v, 1, gates_part(t, g, 4, H));
}

static const cg_op_case lstm_gates_cases[] = {
    {"f[2,12] f[2,3]", NULL}, {"f[1,4] f[1,1]", NULL},
    {"f[2,68] f[2,17]", NULL}, {"f[0,8] f[0,2]", NULL},
    {"f[2,0] f[2,0]", NULL},
};

const cg_op cg_op_lstm_gates = {
    .name = "lstm_gates",
    .formula = "y = (h, c, i, f, g, o): i, f, o = sigmoid(z_i, z_f, z_o), "
               "g = tanh z_g, c = f c' + i g, h = o tanh c",
    .derivative = "(gz, gc') = lstm_gates_grad(gy, y, c')",
    .min_in = 2,
    .max_in = 2,
    .infer = lstm_gates_infer,
    .forward = lstm_gates_forward,
    .vjp = lstm_gates_vjp,
    CG_CASES(lstm_gates_cases),
};

cg_tensor *cg_lstm_gates(cg_tape *tape, cg_tensor *z, cg_tensor *c) {
  return record2(tape, &cg_op_lstm_gates, z, c);
}

/* ---- lstm_gates_grad: operands a (the first parts of gy), y, c' ---- */

static const int grad_parts[] = {-PARTS, PARTS, 1};

static cg_status lstm_gates_grad_infer(const cg_call *call, cg_spec *spec) {
  return gates_infer(call, grad_parts, 5, spec);
}

static cg_status lstm_gates_grad_forward(const cg_call *call, cg_tensor *out) {
  kernel_rows a, y, c;
  cg_status status = gates_rows(call, 0, &a);
  if (!status) status = gates_rows(call, 1, &y);
  if (!status) status = gates_rows(call, 2, &c);
  const int64_t H = call->in[2]->dims[1];
  const int given = gates_count(call->in[0]->dims[1], H, PARTS);
  if (!status)
    kernel_lstm_grad(out->dtype, out->dims[0], H, out->data, a, given, y, c);
  return status;
}

/* The op computes, with d x for the gradient of x as it comes together,
 *   d c = a_c + a_h o (1 - q^2)
 *   d i = a_i + d c g     d f = a_f + d c c'     d g = a_g + d c i
 *   d o = a_o + a_h q
 *   r = (d i i (1 - i), d f f (1 - f), d g (1 - g^2), d o o (1 - o), d c f)
 * Here e_x are the gradients of these d x, from r's gradient e. */
static void lstm_gates_grad_vjp(cg_vjp *v) {
  cg_tape *t = cg_vjp_tape(v);
  int64_t H = cg_vjp_in_shape(v, 2)[1];
  cg_tensor *e = cg_vjp_gy(v);
  cg_tensor *y_all = cg_vjp_in(v, 1), *c0 = cg_vjp_in(v, 2);
  cg_tensor *a[PARTS], *y[PARTS], *z[5];
  for (int k = 0; k < PARTS; k++) {
    a[k] = gates_part_or_zero(v, k, H);
    y[k] = gates_part(t, y_all, k, H);
    if (k < 5) z[k] = gates_part(t, e, k, H);
  }
  cg_tensor *q = cg_tanh(t, y[C]);
  cg_tensor *e_i = cg_sigmoid_grad(t, z[0], y[I]);
  cg_tensor *e_f = cg_sigmoid_grad(t, z[1], y[F]);
  cg_tensor *e_g = cg_tanh_grad(t, z[2], y[G]);
  cg_tensor *e_o = cg_sigmoid_grad(t, z[3], y[O]);
  cg_tensor *e_c = cg_add(t, cg_mul(t, z[4], y[F]), cg_mul(t, e_f, c0));
  e_c = cg_add(t, e_c, cg_mul(t, e_i, y[G]));
  e_c = cg_add(t, e_c, cg_mul(t, e_g, y[I]));
  cg_tensor *through = cg_tanh_grad(t, e_c, q); /* e_c (1 - q^2) */
  if (cg_vjp_needs(v, 0)) {
    cg_tensor *e_h = cg_add(t, cg_mul(t, e_o, q), cg_mul(t, through, y[O]));
    cg_tensor *given[PARTS] = {e_h, e_c, e_i, e_f, e_g, e_o};
    for (int k = 0; k < PARTS; k++) gates_give(v, 0, k, H, given[k]);
  }
  bool needs_y = cg_vjp_needs(v, 1), needs_c0 = cg_vjp_needs(v, 2);
  if (!needs_y && !needs_c0) return;
  cg_tensor *d_c =
      cg_add(t, a[C], cg_tanh_grad(t, cg_mul(t, a[H_], y[O]), q));
  if (needs_c0) cg_vjp_give(v, 2, cg_mul(t, e_f, d_c));
  if (!needs_y) return;
  cg_tensor *d[PARTS] = {[I] = cg_add(t, a[I], cg_mul(t, d_c, y[G])),
                         [F] = cg_add(t, a[F], cg_mul(t, d_c, c0)),
                         [G] = cg_add(t, a[G], cg_mul(t, d_c, y[I])),
                         [O] = cg_add(t, a[O], cg_mul(t, a[H_], q))};
  /* Of y (1 - y) the derivative is 1 - 2 y, of 1 - y^2 it is -2 y. */
  for (int k = I; k <= O; k++) {
    cg_tensor *slope = cg_mul_scalar(t, y[k], -2);
    if (k != G) slope = cg_add_scalar(t, slope, 1);
    gates_give(v, 1, k, H, cg_mul(t, cg_mul(t, z[k - I], d[k]), slope));
  }
  gates_give(v, 1, I, H, cg_mul(t, e_g, d_c));
  gates_give(v, 1, F, H, cg_mul(t, z[4], d_c));
  gates_give(v, 1, G, H, cg_mul(t, e_i, d_c));
  gates_give(v, 1, O, H, cg_mul(t, through, a[H_]));
  cg_tensor *e_q = cg_mul(t, cg_mul(t, cg_mul(t, e_c, a[H_]), y[O]), q);
  e_q = cg_add(t, cg_mul(t, e_o, a[H_]), cg_mul_scalar(t, e_q, -2));
  gates_give(v, 1, C, H, cg_tanh_grad(t, e_q, q));
}

static const cg_op_case lstm_gates_grad_cases[] = {
    {"f[2,18] f[2,18] f[2,3]", NULL}, {"f[1,6] f[1,6] f[1,1]", NULL},
    {"f[1,102] f[1,102] f[1,17]", NULL}, {"f[0,12] f[0,12] f[0,2]", NULL},
    {"f[2,6] f[2,18] f[2,3]", NULL}, {"f[1,68] f[1,102] f[1,17]", NULL},
    {"f[2,0] f[2,0] f[2,0]", NULL},
};

const cg_op cg_op_lstm_gates_grad = {
    .name = "lstm_gates_grad",
    .formula = "r = (dz_i, dz_f, dz_g, dz_o, dc'): dc = a_c + a_h o (1 - q^2), "
               "q = tanh c; dz_i = (a_i + dc g) i (1 - i), "
               "dz_f = (a_f + dc c') f (1 - f), dz_g = (a_g + dc i) (1 - g^2), "
               "dz_o = (a_o + a_h q) o (1 - o), dc' = dc f",
    .derivative = "r by a, by y and by c', composed of ops",
    .min_in = 3,
    .max_in = 3,
    .infer = lstm_gates_grad_infer,
    .forward = lstm_gates_grad_forward,
    .vjp = lstm_gates_grad_vjp,
    CG_CASES(lstm_gates_grad_cases),
};

cg_tensor *cg_lstm_gates_grad(cg_tape *tape, cg_tensor *gy, cg_tensor *y,
                              cg_tensor *c) {
  cg_tensor *in[] = {gy, y, c};
  return cg_record(tape, &cg_op_lstm_gates_grad, in, 3, NULL);
}
