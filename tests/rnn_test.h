/* rnn_test.h - what the tests of the recurrent net share: a small net, alone
 * and with a linear layer, an input and targets. */
#ifndef RNN_TEST_H
#define RNN_TEST_H

#include "nn_test.h"

enum { T = 5, B = 3, I = 4, H = 6, K = 7 };

static inline cg_rnn *new_rnn(cg_params *params, cg_rnn_config config,
                              uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  cg_error err = {0};
  cg_rnn *rnn = cg_rnn_new(params, "rnn", &config, &rng, &err);
  ck_assert_msg(rnn != NULL, "%s", err.message);
  return rnn;
}

#define RNN(...) \
  ((cg_rnn_config){.input_size = I, .hidden_size = H, __VA_ARGS__})

/* First and second order, against finite differences. */
static inline void check_gradients(cg_function f, cg_tensor *const *in,
                                   int n_in, void *context) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_gradcheck_report report = {0};
  ck_assert_msg(!cg_gradcheck(tape, f, in, n_in, context, NULL, &report), "%s",
                cg_tape_error(tape)->message);
  ck_assert_msg(report.passed, "input %d: error %g", report.input,
                report.worst);
  ck_assert_int_eq(cg_gradgradcheck(tape, f, in, n_in, context, NULL, &report),
                   CG_OK);
  ck_assert_msg(report.passed, "second order, input %d: error %g",
                report.input, report.worst);
  cg_tape_free(tape);
}

typedef struct net {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *x, *h0;
  int64_t y[T * B];
} net;

static inline net new_net(cg_activation phi) {
  net n = {.params = registry(CG_F64)};
  n.rnn = new_rnn(n.params, RNN(.nonlinearity = phi), 77);
  cg_rng rng = cg_rng_seed(78);
  n.fc = cg_linear_layer_new(
      n.params, "fc", &(cg_linear_config){.in_features = H, .out_features = K},
      &rng, NULL);
  n.x = some_leaf(79, CG_DIMS(T, B, I));
  n.h0 = some_leaf(80, CG_DIMS(1, B, H));
  for (int i = 0; i < T * B; i++) n.y[i] = (5 * i + 2) % K;
  return n;
}

static inline void free_net(net *n) {
  cg_leaf_free(n->x);
  cg_leaf_free(n->h0);
  cg_params_free(n->params);
}

#endif
