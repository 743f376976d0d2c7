/* bptt_autograd.c - the autograd side: the net from nn's layers, one backward
 * walk, and every quantity read off the tape. Nothing here knows a derivative:
 * the error signals are gradients that the walk was asked to keep. */
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

typedef struct net {
  const cg_bptt_problem *p;
  cg_dtype dtype;
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  cg_tensor *h0; /* a leaf [B, H] with a gradient of its own */
  cg_tensor **z, **h; /* [T] tensors of each step */
  cg_tensor *logits, *loss;
  cg_tape *tape;
  cg_error err;
} net;

/* ---- construction ---- */

/* Writes float64 numbers to a leaf of either type; false if there is none. */
static bool write_leaf(cg_tensor *leaf, const double *from) {
  if (!leaf) return false;
  int64_t n = cg_tensor_numel(leaf);
  if (cg_tensor_dtype(leaf) == CG_F64)
    return !cg_leaf_write(leaf, from, (size_t)n * sizeof *from);
  float *to = cg_leaf_data(leaf);
  for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
  return true;
}

static bool write_param(net *n, const char *name, const double *from) {
  return write_leaf(cg_params_find(n->params, name), from);
}

/* nn has two biases, as PyTorch does; bias_hh stays zero. */
static bool write_params(net *n) {
  const cg_bptt_problem *p = n->p;
  return write_param(n, "rnn.weight_ih_l0", p->W_xh) &&
         write_param(n, "rnn.weight_hh_l0", p->W_hh) &&
         write_param(n, "rnn.bias_ih_l0", p->b_h) &&
         write_param(n, "fc.weight", p->W_hy) &&
         write_param(n, "fc.bias", p->b_y);
}

static bool make_h0(net *n) {
  cg_error *err = &n->err;
  n->h0 = cg_leaf_new(NULL, n->dtype, CG_DIMS(n->p->B, n->p->H), err);
  return n->h0 && !cg_leaf_set_requires_grad(n->h0, true) &&
         !cg_leaf_set_name(n->h0, "h0") && write_leaf(n->h0, n->p->h0);
}

static bool make_net(net *n) {
  const cg_bptt_problem *p = n->p;
  n->params = cg_params_new(NULL, n->dtype, &n->err);
  if (!n->params) return false;
  n->rnn = cg_rnn_new(n->params, "rnn",
                      &(cg_rnn_config){.input_size = p->D,
                                       .hidden_size = p->H,
                                       .nonlinearity = p->phi},
                      NULL, &n->err);
  n->fc = cg_linear_layer_new(
      n->params, "fc",
      &(cg_linear_config){.in_features = p->H, .out_features = p->K}, NULL,
      &n->err);
  n->tape = cg_tape_new(NULL);
  n->z = calloc((size_t)p->T, sizeof(cg_tensor *));
  n->h = calloc((size_t)p->T, sizeof(cg_tensor *));
  return n->rnn && n->fc && n->tape && n->z && n->h && write_params(n) &&
         make_h0(n);
}

static void free_net(net *n) {
  cg_tape_free(n->tape);
  cg_leaf_free(n->h0);
  cg_params_free(n->params);
  free(n->z);
  free(n->h);
}

/* ---- forward and back ---- */

/* x [T, B, D] as a constant of the run's type. */
static cg_tensor *input(net *n) {
  const cg_bptt_problem *p = n->p;
  cg_tensor *x = cg_borrow(n->tape, CG_F64, CG_DIMS(p->T, p->B, p->D), p->x);
  return n->dtype == CG_F64 ? x : cg_cast(n->tape, x, n->dtype);
}

static void forward(net *n) {
  const cg_bptt_problem *p = n->p;
  cg_tape *tape = n->tape;
  cg_tensor *h0 = cg_reshape(tape, n->h0, CG_DIMS(1, p->B, p->H));
  cg_tensor *x = input(n);
  cg_rnn_trace trace = {.z = n->z, .h = n->h};
  cg_rnn_result r = cg_rnn_forward_trace(tape, n->rnn, x, h0, &trace);
  n->logits = cg_linear_layer_forward(tape, n->fc, r.h);
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(p->T, p->B), p->y);
  n->loss = cg_cross_entropy_loss(tape, n->logits, y, p->over_steps,
                                  p->over_batch);
}

/* Keeps dL/dz_t, dL/dh_t and dL/do_t. */
static void retain(net *n) {
  cg_retain_grad(n->tape, n->logits);
  for (int64_t t = 0; t < n->p->T; t++) {
    cg_retain_grad(n->tape, n->z[t]);
    cg_retain_grad(n->tape, n->h[t]);
  }
}

static bool run(net *n) {
  forward(n);
  if (!cg_tape_status(n->tape)) retain(n);
  if (!cg_tape_status(n->tape)) cg_backward(n->tape, n->loss);
  if (!cg_tape_status(n->tape)) return true;
  const cg_error *e = cg_tape_error(n->tape);
  return cli_fail("%s%s%s: %s", e->scope, *e->scope ? ": " : "", e->op,
                  e->message);
}

/* ---- reading ---- */

/* Copies a tensor as float64; zeros where the walk left no gradient. */
static void copy_out(double *to, const cg_tensor *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = x ? cg_tensor_get(x, i) : 0;
}

static void read_steps(const net *n, bptt_figures *f) {
  int64_t BH = n->p->B * n->p->H;
  for (int64_t t = 0; t < n->p->T; t++) {
    copy_out(f->of[Q_H] + t * BH, n->h[t], BH);
    copy_out(f->of[Q_DELTA_H] + t * BH, cg_tensor_grad(n->h[t]), BH);
    copy_out(f->of[Q_DELTA_Z] + t * BH, cg_tensor_grad(n->z[t]), BH);
  }
}

static void read_whole(const net *n, bptt_figures *f, bptt_quantity q,
                       const cg_tensor *x) {
  copy_out(f->of[q], x, bptt_numel(n->p, q));
}

static const cg_tensor *grad_of(const net *n, const char *name) {
  return cg_tensor_grad(cg_params_find(n->params, name));
}

static void read_figures(const net *n, bptt_figures *f) {
  read_whole(n, f, Q_LOSS, n->loss);
  read_whole(n, f, Q_LOGITS, n->logits);
  read_whole(n, f, Q_DELTA_O, cg_tensor_grad(n->logits));
  read_steps(n, f);
  read_whole(n, f, Q_W_XH, grad_of(n, "rnn.weight_ih_l0"));
  read_whole(n, f, Q_W_HH, grad_of(n, "rnn.weight_hh_l0"));
  read_whole(n, f, Q_W_HY, grad_of(n, "fc.weight"));
  read_whole(n, f, Q_B_H, grad_of(n, "rnn.bias_ih_l0"));
  read_whole(n, f, Q_B_Y, grad_of(n, "fc.bias"));
  read_whole(n, f, Q_H0, cg_tensor_grad(n->h0));
}

/* The two biases are added up first of all, so their gradients are one and the
 * same to the last bit, NaN included. */
static bool biases_differ(const net *n) {
  const cg_tensor *ih = grad_of(n, "rnn.bias_ih_l0");
  const cg_tensor *hh = grad_of(n, "rnn.bias_hh_l0");
  for (int64_t i = 0; i < n->p->H; i++) {
    double a = cg_tensor_get(ih, i), b = cg_tensor_get(hh, i);
    if (memcmp(&a, &b, sizeof a)) return true;
  }
  return false;
}

static bool draw(net *n, const char *path) {
  if (!path || !cg_draw(n->tape, n->loss, path, NULL, &n->err)) return true;
  return cli_fail("--dot: %s", n->err.message);
}

bool bptt_autograd(const cg_bptt_problem *p, cg_dtype dtype,
                   const char *dot_path, bptt_figures *f) {
  net n = {.p = p, .dtype = dtype};
  bool made = make_net(&n), ok = made && run(&n);
  if (!made)
    cli_fail("%s", n.err.status ? n.err.message : "out of memory for the net");
  if (ok) read_figures(&n, f);
  if (ok) f->biases_differ = biases_differ(&n);
  ok = ok && draw(&n, dot_path);
  free_net(&n);
  return ok;
}
