/* cell_norm.c - the cells with layer normalisation (J. Ba, J. Kiros, G. Hinton,
 * "Layer normalization", 2016). N normalises the rows of one product to mean 0
 * and variance 1; g are gains, which begin at 1.
 *
 *   RNN   z_t = g N(W_ih x_t + W_hh h_{t-1}) + b        h_t = phi(z_t)
 *   LSTM  z_t = g_ih N(W_ih x_t) + g_hh N(W_hh h_{t-1}) + b, of all gates at
 *         once; c_t as ever; h_t = o_t tanh(g_c N(c_t) + b_c)
 *   GRU   r_t, u_t = sigmoid(g N(W_i x_t) + b_i + g N(W_h h_{t-1}) + b_h), N of
 *         both together; n_t = tanh(g N(W_in x_t) + b_in +
 *         r_t (g N(W_hn h_{t-1}) + b_hn)); h_t as ever
 */
#include "cells.h"

#define EPS 1e-5 /* added to variances, as PyTorch does */

static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  return cg_linear(tape, x, a->w[CG_W_IH], NULL);
}

static cg_tensor *times_W_hh(cg_tape *tape, const cg_cell_args *a,
                             cg_tensor *h) {
  return cg_linear(tape, cg_cell_entering(tape, a, h), a->w[CG_W_HH], NULL);
}

#define WEIGHTS                                                               \
  {.name = "weight_ih", .rows = CG_SIZE_GH, .columns = CG_SIZE_I}, {          \
    .name = "weight_hh", .rows = CG_SIZE_GH, .columns = CG_SIZE_R             \
  }
#define GAIN(which, size) \
  {.name = which, .rows = size, .first = CG_FIRST_ONE}
#define BIAS(which, size)                                                     \
  {.name = which, .rows = size, .when = CG_WHEN_BIAS, .first = CG_FIRST_ZERO}

/* ---- RNN ---- */

enum { GAIN_Z = CG_W_HH + 1, BIAS_Z };

static cg_tensor *simple_step(cg_tape *tape, const cg_cell_args *a,
                              cg_tensor *xp_t, cg_tensor **state) {
  cg_tensor *h = cg_cell_entering(tape, a, state[0]);
  cg_tensor *sum = cg_addmm(tape, xp_t, h, a->w[CG_W_HH], false, true);
  cg_tensor *z_t =
      cg_layer_norm(tape, sum, a->w[GAIN_Z], a->w[BIAS_Z], EPS);
  state[0] = cg_cell_activate(tape, a, z_t);
  return z_t;
}

const cg_cell cg_cell_simple_norm = {
    .name = "RNN with layer_norm",
    .gates = 1,
    .n_states = 1,
    .params = {WEIGHTS, GAIN("norm_weight", CG_SIZE_H),
               BIAS("bias", CG_SIZE_H)},
    .has_phi = true,
    .project = project,
    .step = simple_step,
    .whole_z = true};

/* ---- LSTM ---- */

enum { GAIN_IH = CG_W_HH + 1, GAIN_HH, BIAS_LSTM, GAIN_C, BIAS_C, W_HR };

static cg_tensor *lstm_project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  return cg_layer_norm(tape, project(tape, a, x), a->w[GAIN_IH],
                       a->w[BIAS_LSTM], EPS);
}

static cg_tensor *lstm_step(cg_tape *tape, const cg_cell_args *a,
                            cg_tensor *xp_t, cg_tensor **state) {
  cg_tensor *hp_t = cg_layer_norm(tape, times_W_hh(tape, a, state[0]),
                                  a->w[GAIN_HH], NULL, EPS);
  cg_tensor *z_t = cg_add(tape, xp_t, hp_t);
  cg_tensor *y = cg_lstm_gates(tape, z_t, state[1]); /* h, c, i, f, g, o */
  state[1] = cg_narrow(tape, y, 1, a->H, a->H);
  cg_tensor *o = cg_narrow(tape, y, 1, 5 * a->H, a->H);
  cg_tensor *c = cg_layer_norm(tape, state[1], a->w[GAIN_C], a->w[BIAS_C], EPS);
  state[0] = cg_mul(tape, o, cg_tanh(tape, c));
  if (a->w[W_HR]) state[0] = cg_linear(tape, state[0], a->w[W_HR], NULL);
  return z_t;
}

const cg_cell cg_cell_lstm_norm = {
    .name = "LSTM with layer_norm",
    .gates = 4,
    .n_states = 2,
    .params = {WEIGHTS,
               GAIN("norm_ih_weight", CG_SIZE_GH),
               GAIN("norm_hh_weight", CG_SIZE_GH),
               BIAS("bias", CG_SIZE_GH),
               GAIN("norm_c_weight", CG_SIZE_H),
               BIAS("norm_c_bias", CG_SIZE_H),
               {.name = "weight_hr",
                .rows = CG_SIZE_R,
                .columns = CG_SIZE_H,
                .when = CG_WHEN_PROJECTION}},
    .projects = true,
    .project = lstm_project,
    .step = lstm_step,
    .whole_z = true};

/* ---- GRU ---- */

enum { GRU_GAIN_IH = CG_W_HH + 1, GRU_BIAS_IH, GRU_GAIN_HH, GRU_BIAS_HH };
enum { GAIN_RU, BIAS_RU, GAIN_N, BIAS_N }; /* of W_hh h, in `kept` */

static cg_tensor *rows(cg_tape *tape, cg_tensor *w, int64_t first,
                       int64_t count) {
  return w ? cg_narrow(tape, w, 0, first, count) : NULL;
}

/* p [.., 3H] -> its first 2H or last H elements, normalised by themselves. */
static cg_tensor *norm_part(cg_tape *tape, cg_tensor *p, int64_t first,
                            int64_t count, cg_tensor *gain, cg_tensor *bias) {
  return cg_layer_norm(tape, cg_narrow(tape, p, -1, first, count), gain, bias,
                       EPS);
}

static cg_tensor *gru_project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  int64_t H = a->H;
  cg_tensor *g = a->w[GRU_GAIN_IH], *b = a->w[GRU_BIAS_IH];
  a->kept[GAIN_RU] = rows(tape, a->w[GRU_GAIN_HH], 0, 2 * H);
  a->kept[BIAS_RU] = rows(tape, a->w[GRU_BIAS_HH], 0, 2 * H);
  a->kept[GAIN_N] = rows(tape, a->w[GRU_GAIN_HH], 2 * H, H);
  a->kept[BIAS_N] = rows(tape, a->w[GRU_BIAS_HH], 2 * H, H);
  cg_tensor *p = project(tape, a, x);
  cg_tensor *parts[] = {
      norm_part(tape, p, 0, 2 * H, rows(tape, g, 0, 2 * H),
                rows(tape, b, 0, 2 * H)),
      norm_part(tape, p, 2 * H, H, rows(tape, g, 2 * H, H),
                rows(tape, b, 2 * H, H))};
  return cg_concat(tape, parts, 2, -1);
}

static cg_tensor *gru_step(cg_tape *tape, const cg_cell_args *a,
                           cg_tensor *xp_t, cg_tensor **state) {
  int64_t H = a->H;
  cg_tensor *hp_t = times_W_hh(tape, a, state[0]);
  cg_tensor *parts[] = {
      norm_part(tape, hp_t, 0, 2 * H, a->kept[GAIN_RU], a->kept[BIAS_RU]),
      norm_part(tape, hp_t, 2 * H, H, a->kept[GAIN_N], a->kept[BIAS_N])};
  cg_tensor *y = cg_gru_gates(tape, xp_t, cg_concat(tape, parts, 2, 1),
                              state[0]); /* h_t and others */
  state[0] = cg_narrow(tape, y, 1, 0, H);
  return NULL;
}

const cg_cell cg_cell_gru_norm = {
    .name = "GRU with layer_norm",
    .gates = 3,
    .n_states = 1,
    .params = {WEIGHTS, GAIN("norm_ih_weight", CG_SIZE_GH),
               BIAS("bias_ih", CG_SIZE_GH), GAIN("norm_hh_weight", CG_SIZE_GH),
               BIAS("bias_hh", CG_SIZE_GH)},
    .project = gru_project,
    .step = gru_step};
