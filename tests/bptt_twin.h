/* bptt_twin.h - a problem of bptt_net.h, solved by hand, and its twin: the same
 * net of nn on a tape. */
#ifndef CHRONOGRAD_TESTS_BPTT_TWIN_H
#define CHRONOGRAD_TESTS_BPTT_TWIN_H

#include "engine_test.h"

#undef F
#undef I

#define fill fill_net
#define net bptt_net
#include "bptt_net.h"
#undef net

#include <chronograd/nn.h>

typedef struct twin {
  bptt_net n;
  cg_bptt_result r;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tape *tape;
  cg_tensor *x;
  cg_rnn_state first;
} twin;

static inline void write_to(twin *w, const char *name, const double *from) {
  cg_tensor *leaf = cg_params_find(w->params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  ck_assert_int_eq(cg_leaf_write(leaf, from, bytes), CG_OK);
}

static inline void twin_init(twin *w, int64_t T, int64_t B, cg_activation phi) {
  *w = (twin){.tape = cg_tape_new(NULL)};
  net_init(&w->n, T, B, phi);
  w->r = run(cg_bptt_batch, &w->n.p);
  w->params = cg_params_new(NULL, CG_F64, NULL);
  w->rnn = cg_rnn_new(w->params, "rnn",
                      &(cg_rnn_config){.input_size = 3, .hidden_size = 4,
                                       .nonlinearity = phi},
                      NULL, NULL);
  w->fc = cg_linear_layer_new(
      w->params, "fc", &(cg_linear_config){.in_features = 4, .out_features = 5},
      NULL, NULL);
  write_to(w, "rnn.weight_ih_l0", w->n.W_xh);
  write_to(w, "rnn.weight_hh_l0", w->n.W_hh);
  write_to(w, "rnn.bias_ih_l0", w->n.b_h);
  write_to(w, "fc.weight", w->n.W_hy);
  write_to(w, "fc.bias", w->n.b_y);
  w->x = cg_borrow(w->tape, CG_F64, CG_DIMS(T, B, 3), w->n.x);
  w->first.h = leaf_of(w->n.h0, CG_DIMS(1, B, 4));
}

static inline void twin_free(twin *w) {
  cg_tape_free(w->tape);
  cg_leaf_free(w->first.h);
  cg_params_free(w->params);
  cg_bptt_free(&w->r);
}

#endif
