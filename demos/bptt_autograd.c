/* bptt_autograd.c - the autograd side: the net from nn's layers, one backward
 * walk, and every quantity read off the tape. Nothing here knows a derivative:
 * the error signals are gradients that the walk was asked to keep. */
#include <stdlib.h>
#include <string.h>

#include "bptt.h"
#include "cli.h"

typedef struct walk {
  const bptt_case *c;
  const cg_bptt_problem *p;
  bptt_net net;
  cg_tensor **z, **h; /* [T] tensors of each step */
  cg_tensor *logits, *loss;
} walk;

/* ---- forward and back ---- */

/* x [T, B, D] as a constant of the run's type. */
static cg_tensor *input(walk *n) {
  const cg_bptt_problem *p = n->p;
  cg_tape *tape = n->net.tape;
  cg_tensor *x = cg_borrow(tape, CG_F64, CG_DIMS(p->T, p->B, p->D), p->x);
  return n->net.dtype == CG_F64 ? x : cg_cast(tape, x, n->net.dtype);
}

static cg_rnn_state first_state(walk *n) {
  cg_tape *tape = n->net.tape;
  int64_t B = n->p->B, H = n->p->H;
  cg_rnn_state s = {.h = cg_reshape(tape, n->net.h0, CG_DIMS(1, B, H))};
  if (n->net.c0) s.c = cg_reshape(tape, n->net.c0, CG_DIMS(1, B, H));
  return s;
}

static void forward(walk *n) {
  const cg_bptt_problem *p = n->p;
  cg_tape *tape = n->net.tape;
  cg_rnn_state s = first_state(n);
  cg_tensor *x = input(n);
  cg_rnn_trace trace = {.z = n->z, .h = n->h};
  cg_rnn_result r = cg_rnn_forward_from(tape, n->net.rnn, x, s, &trace);
  n->logits = cg_linear_layer_forward(tape, n->net.fc, r.h);
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(p->T, p->B), p->y);
  n->loss = cg_cross_entropy_loss(tape, n->logits, y, p->over_steps,
                                  p->over_batch);
}

/* Keeps dL/dz_t, dL/dh_t and dL/do_t. */
static void retain(walk *n) {
  cg_retain_grad(n->net.tape, n->logits);
  for (int64_t t = 0; t < n->p->T; t++) {
    if (n->z) cg_retain_grad(n->net.tape, n->z[t]);
    cg_retain_grad(n->net.tape, n->h[t]);
  }
}

static bool run(walk *n) {
  forward(n);
  if (!cg_tape_status(n->net.tape)) retain(n);
  if (!cg_tape_status(n->net.tape)) cg_backward(n->net.tape, n->loss);
  return bptt_net_fine(&n->net);
}

/* ---- reading ---- */

/* Copies a tensor as float64; zeros where the walk left no gradient. */
static void copy_out(double *to, const cg_tensor *x, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = x ? cg_tensor_get(x, i) : 0;
}

static void read_steps(const walk *n, bptt_figures *f) {
  int64_t BH = n->p->B * n->p->H, BG = n->c->gates * BH;
  for (int64_t t = 0; t < n->p->T; t++) {
    copy_out(f->of[Q_H] + t * BH, n->h[t], BH);
    copy_out(f->of[Q_DELTA_H] + t * BH, cg_tensor_grad(n->h[t]), BH);
    if (n->z)
      copy_out(f->of[Q_DELTA_Z] + t * BG, cg_tensor_grad(n->z[t]), BG);
  }
}

static void read_whole(const walk *n, bptt_figures *f, bptt_quantity q,
                       const cg_tensor *x) {
  copy_out(f->of[q], x, bptt_numel(n->c, q));
}

static const cg_tensor *grad_of(const walk *n, const char *name) {
  return cg_tensor_grad(cg_params_find(n->net.params, name));
}

static void read_figures(const walk *n, bptt_figures *f) {
  read_whole(n, f, Q_LOSS, n->loss);
  read_whole(n, f, Q_LOGITS, n->logits);
  read_whole(n, f, Q_DELTA_O, cg_tensor_grad(n->logits));
  read_steps(n, f);
  read_whole(n, f, Q_W_XH, grad_of(n, "rnn.weight_ih_l0"));
  read_whole(n, f, Q_W_HH, grad_of(n, "rnn.weight_hh_l0"));
  read_whole(n, f, Q_W_HY, grad_of(n, "fc.weight"));
  read_whole(n, f, Q_B_H, grad_of(n, "rnn.bias_ih_l0"));
  read_whole(n, f, Q_B_HH, grad_of(n, "rnn.bias_hh_l0"));
  read_whole(n, f, Q_B_Y, grad_of(n, "fc.bias"));
  read_whole(n, f, Q_H0, cg_tensor_grad(n->net.h0));
  read_whole(n, f, Q_C0, cg_tensor_grad(n->net.c0));
}

/* The two biases are added up first of all, so their gradients are one and the
 * same to the last bit, NaN included. */
static bool biases_differ(const walk *n) {
  const cg_tensor *ih = grad_of(n, "rnn.bias_ih_l0");
  const cg_tensor *hh = grad_of(n, "rnn.bias_hh_l0");
  for (int64_t i = 0; i < n->p->H; i++) {
    double a = cg_tensor_get(ih, i), b = cg_tensor_get(hh, i);
    if (memcmp(&a, &b, sizeof a)) return true;
  }
  return false;
}

static bool draw(walk *n, const char *path) {
  if (!path || !cg_draw(n->net.tape, n->loss, path, NULL, &n->net.err))
    return true;
  return cli_fail("--dot: %s", n->net.err.message);
}

/* Room for the steps' tensors. A GRU has no z_t. */
static bool make_trace(walk *n) {
  size_t T = (size_t)n->p->T;
  bool whole_z = bptt_has(n->c, Q_DELTA_Z);
  n->z = whole_z ? calloc(T, sizeof(cg_tensor *)) : NULL;
  n->h = calloc(T, sizeof(cg_tensor *));
  return (n->h && (n->z || !whole_z)) ||
         cli_fail("out of memory for the steps");
}

bool bptt_autograd(const bptt_case *c, cg_dtype dtype, const char *dot_path,
                   bptt_figures *f) {
  walk n = {.c = c, .p = &c->p};
  bool ok = bptt_net_make(&n.net, c, dtype) && make_trace(&n) && run(&n);
  if (ok) read_figures(&n, f);
  if (ok) f->biases_differ = c->cell == CG_CELL_RNN && biases_differ(&n);
  ok = ok && draw(&n, dot_path);
  bptt_net_free(&n.net);
  free(n.z);
  free(n.h);
  return ok;
}
