/* bptt_net.c - the problem as a net of nn's layers. */
#include "bptt.h"
#include "cli.h"

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

static bool write_param(bptt_net *n, const char *name, const double *from) {
  return write_leaf(cg_params_find(n->params, name), from);
}

/* nn has two biases, as PyTorch does; bias_hh of the simple cell stays zero. */
static bool write_params(bptt_net *n, const bptt_case *c) {
  const cg_bptt_problem *p = &c->p;
  return (!c->b_hh || write_param(n, "rnn.bias_hh_l0", c->b_hh)) &&
         write_param(n, "rnn.weight_ih_l0", p->W_xh) &&
         write_param(n, "rnn.weight_hh_l0", p->W_hh) &&
         write_param(n, "rnn.bias_ih_l0", p->b_h) &&
         write_param(n, "fc.weight", p->W_hy) &&
         write_param(n, "fc.bias", p->b_y);
}

static bool make_state(bptt_net *n, const cg_bptt_problem *p, cg_tensor **leaf,
                       const char *name, const double *from) {
  *leaf = cg_leaf_new(NULL, n->dtype, CG_DIMS(p->B, p->H), &n->err);
  return *leaf && !cg_leaf_set_requires_grad(*leaf, true) &&
         !cg_leaf_set_name(*leaf, name) && write_leaf(*leaf, from);
}

static bool make_states(bptt_net *n, const bptt_case *c) {
  return make_state(n, &c->p, &n->h0, "h0", c->p.h0) &&
         (!c->c0 || make_state(n, &c->p, &n->c0, "c0", c->c0));
}

static bool make(bptt_net *n, const bptt_case *c) {
  const cg_bptt_problem *p = &c->p;
  n->params = cg_params_new(NULL, n->dtype, &n->err);
  if (!n->params) return false;
  n->rnn = cg_rnn_new(n->params, "rnn",
                      &(cg_rnn_config){.cell = c->cell,
                                       .input_size = p->D,
                                       .hidden_size = p->H,
                                       .nonlinearity = p->phi},
                      NULL, &n->err);
  n->fc = cg_linear_layer_new(
      n->params, "fc",
      &(cg_linear_config){.in_features = p->H, .out_features = p->K}, NULL,
      &n->err);
  n->tape = cg_tape_new(NULL);
  return n->rnn && n->fc && n->tape && write_params(n, c) &&
         make_states(n, c);
}

bool bptt_net_make(bptt_net *n, const bptt_case *c, cg_dtype dtype) {
  *n = (bptt_net){.dtype = dtype};
  if (make(n, c)) return true;
  return cli_fail("%s",
                  n->err.status ? n->err.message : "out of memory for the net");
}

void bptt_net_free(bptt_net *n) {
  cg_tape_free(n->tape);
  cg_leaf_free(n->h0);
  cg_leaf_free(n->c0);
  cg_params_free(n->params);
  *n = (bptt_net){0};
}

bool bptt_net_fine(const bptt_net *n) {
  if (!cg_tape_status(n->tape)) return true;
  const cg_error *e = cg_tape_error(n->tape);
  return cli_fail("%s%s%s: %s", e->scope, *e->scope ? ": " : "", e->op,
                  e->message);
}
