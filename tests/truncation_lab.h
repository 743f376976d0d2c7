/* truncation_lab.h - what the tests of truncated BPTT share: a window of a
 * problem, and the explicit sum over paths. */
#ifndef TRUNCATION_LAB_H
#define TRUNCATION_LAB_H

#include "bptt_twin.h"

enum { T = 11, B = 3, D = 3, H = 4, K = 5 };

/* One window, forward and back; its outputs are those of the whole net. */
static inline void one_window(twin *l, cg_tbptt *tb, cg_window w) {
  const cg_bptt_problem *p = &l->n.p;
  const int64_t n = w.end - w.fresh;
  cg_tape_reset(l->tape);
  cg_tensor *x = cg_borrow(l->tape, CG_F64, CG_DIMS(w.end - w.begin, B, D),
                           p->x + w.begin * B * D);
  cg_tensor *h = cg_tbptt_forward(tb, l->tape, x);
  fine(l->tape);
  has_shape(h, CG_DIMS(n, B, H));
  for (int64_t i = 0; i < n * B * H; i++)
    near(cg_tensor_get(h, i), l->r.h[w.fresh * B * H + i], 1e-13);
  cg_tensor *y =
      cg_borrow(l->tape, CG_I64, CG_DIMS(n, B), p->y + w.fresh * B);
  cg_tensor *o = cg_linear_layer_forward(l->tape, l->fc, h);
  cg_tensor *loss =
      cg_cross_entropy_loss(l->tape, o, y, CG_REDUCE_SUM, CG_REDUCE_SUM);
  cg_backward(l->tape, loss);
  fine(l->tape);
}

static inline const double *gradient_at(const twin *l, const char *name) {
  return cg_tensor_data(cg_tensor_grad(cg_params_find(l->params, name)));
}

/* What the windows' walks accumulated is the window sum with these weights. */
static inline void check_sum(const twin *l, const double *weight) {
  cg_bptt_result want;
  ck_assert_int_eq(
      cg_bptt_window_sum(&l->n.p, &l->r, weight, &want, NULL), CG_OK);
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
