/* truncation_lab.h - what the tests of truncated BPTT share: a problem by hand
 * and as a net of nn, a window of it, and the explicit sum over paths. */
#ifndef TRUNCATION_LAB_H
#define TRUNCATION_LAB_H

#include "engine_test.h"

#undef F
#undef I

#define fill fill_net
#define net bptt_net
#include "bptt_net.h"
#undef net

#include <chronograd/nn.h>

enum { T = 11, B = 3, D = 3, H = 4, K = 5 };

typedef struct lab {
  bptt_net n;
  cg_bptt_result full;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  cg_tensor *h0; /* [1, B, H], a leaf */
} lab;

static inline void write_to(lab *l, const char *name, const double *from) {
  cg_tensor *leaf = cg_params_find(l->params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  ck_assert_int_eq(cg_leaf_write(leaf, from, bytes), CG_OK);
}

static inline void lab_init(lab *l, cg_activation phi) {
  static double x[T * B * D];
  static int64_t y[T * B];
  uint64_t seed = 97;
  *l = (lab){.tape = cg_tape_new(NULL)};
  net_init(&l->n, 1, B, phi);
  fill_net(x, T * B * D, 1.37, &seed);
  for (int i = 0; i < T * B; i++) y[i] = (3 * i + 1) % K;
  l->n.p.T = T;
  l->n.p.x = x;
  l->n.p.y = y;
  l->full = run(cg_bptt_batch, &l->n.p);
  l->params = cg_params_new(NULL, CG_F64, NULL);
  l->rnn = cg_rnn_new(l->params, "rnn",
                      &(cg_rnn_config){.input_size = D, .hidden_size = H,
                                       .nonlinearity = phi},
                      NULL, NULL);
  l->fc = cg_linear_layer_new(
      l->params, "fc", &(cg_linear_config){.in_features = H, .out_features = K},
      NULL, NULL);
  write_to(l, "rnn.weight_ih_l0", l->n.W_xh);
  write_to(l, "rnn.weight_hh_l0", l->n.W_hh);
  write_to(l, "rnn.bias_ih_l0", l->n.b_h);
  write_to(l, "fc.weight", l->n.W_hy);
  write_to(l, "fc.bias", l->n.b_y);
  l->h0 = leaf_of(l->n.h0, CG_DIMS(1, B, H));
}

static inline void lab_free(lab *l) {
  cg_tape_free(l->tape);
  cg_leaf_free(l->h0);
  cg_params_free(l->params);
  cg_bptt_free(&l->full);
}

/* One window, forward and back; its outputs are those of the whole net. */
static inline void one_window(lab *l, cg_tbptt *tb, cg_window w) {
  const cg_bptt_problem *p = &l->n.p;
  const int64_t n = w.end - w.fresh;
  cg_tape_reset(l->tape);
  cg_tensor *x = cg_borrow(l->tape, CG_F64, CG_DIMS(w.end - w.begin, B, D),
                           p->x + w.begin * B * D);
  cg_tensor *h = cg_tbptt_forward(tb, l->tape, x);
  fine(l->tape);
  has_shape(h, CG_DIMS(n, B, H));
  for (int64_t i = 0; i < n * B * H; i++)
    near(cg_tensor_get(h, i), l->full.h[w.fresh * B * H + i], 1e-13);
  cg_tensor *y =
      cg_borrow(l->tape, CG_I64, CG_DIMS(n, B), p->y + w.fresh * B);
  cg_tensor *o = cg_linear_layer_forward(l->tape, l->fc, h);
  cg_tensor *loss =
      cg_cross_entropy_loss(l->tape, o, y, CG_REDUCE_SUM, CG_REDUCE_SUM);
  cg_backward(l->tape, loss);
  fine(l->tape);
}

static inline const double *gradient_at(const lab *l, const char *name) {
  return cg_tensor_data(cg_tensor_grad(cg_params_find(l->params, name)));
}

/* What the windows' walks accumulated is the window sum with these weights. */
static inline void check_sum(const lab *l, const double *weight) {
  cg_bptt_result want;
  ck_assert_int_eq(
      cg_bptt_window_sum(&l->n.p, &l->full, weight, &want, NULL), CG_OK);
  near_n("W_xh", gradient_at(l, "rnn.weight_ih_l0"), want.dW_xh, H * D, 1.0,
         1e-12);
  near_n("W_hh", gradient_at(l, "rnn.weight_hh_l0"), want.dW_hh, H * H, 1.0,
         1e-12);
  near_n("b_h", gradient_at(l, "rnn.bias_ih_l0"), want.db_h, H, 1.0, 1e-12);
  near_n("W_hy", gradient_at(l, "fc.weight"), want.dW_hy, K * H, 1.0, 1e-12);
  near_n("b_y", gradient_at(l, "fc.bias"), want.db_y, K, 1.0, 1e-12);
  cg_bptt_free(&want);
}

#endif
