/* flow_clip.c - the gradient of L = <u, h_T> on its way back through a net,
 * watched and clipped by hooks on the states. */
#include <math.h>
#include <stdlib.h>

#include "cli.h"
#include "gradient_flow.h"
#include "spectrum.h"

typedef struct flow {
  const cg_bptt_problem *p;
  int64_t gaps;
  cg_params *params;
  cg_rnn *rnn;
  cg_tape *tape;
} flow;

/* What a hook of h_t notes and does. */
typedef struct station {
  double *norm; /* where to write |dL/dh_t| */
  double clip;  /* the norm it is cut to; INFINITY: not */
} station;

/* g min(1, clip / |g|) */
static cg_tensor *watch(cg_tape *tape, cg_tensor *h_t, cg_tensor *g,
                        void *context) {
  const station *s = context;
  (void)h_t;
  *s->norm = spectrum_norm(cg_tensor_data(g), cg_tensor_numel(g));
  if (!(*s->norm > s->clip)) return NULL;
  return cg_mul_scalar(tape, g, s->clip / *s->norm);
}

/* One walk back from the last of gaps + 1 steps, with a row of W_hy as u;
 * h_{T - gap} is watched by stations[gap]. The gradient of W_hh goes to the
 * leaf. */
static bool walk_back(flow *f, station *stations) {
  const cg_bptt_problem *p = f->p;
  const int64_t n = f->gaps + 1, begin = p->T - n;
  cg_tape_reset(f->tape);
  cg_params_zero_grad(f->params);
  cg_tensor *x = cg_borrow(f->tape, CG_F64, CG_DIMS(n, 1, p->D),
                           p->x + begin * p->D);
  cg_rnn_trace trace = {.h = cg_tape_alloc(f->tape,
                                           (size_t)n * sizeof(cg_tensor *))};
  cg_rnn_result r = cg_rnn_forward_trace(f->tape, f->rnn, x, NULL, &trace);
  for (int64_t gap = 1; gap <= f->gaps && r.h; gap++)
    cg_hook(f->tape, trace.h[n - 1 - gap], watch, &stations[gap]);
  cg_tensor *u = cg_borrow(f->tape, CG_F64, CG_DIMS(p->H), p->W_hy);
  cg_tensor *h_T = cg_reshape(f->tape, r.h_last, CG_DIMS(p->H));
  cg_backward(f->tape, cg_dot(f->tape, u, h_T));
  return !cg_tape_status(f->tape) ||
         cli_fail("%s", cg_tape_error(f->tape)->message);
}

static bool both_ways(flow *f, flow_figures *out, double clip, double *copy,
                      station *stations) {
  const int64_t HH = f->p->H * f->p->H;
  cg_tensor *W = cg_params_find(f->params, "rnn.weight_hh_l0");
  for (int64_t g = 0; g < f->gaps; g++)
    stations[g + 1] = (station){&out->plain[g], INFINITY};
  if (!walk_back(f, stations)) return false;
  const double *dW = cg_tensor_data(cg_tensor_grad(W));
  for (int64_t i = 0; i < HH; i++) copy[i] = dW[i];
  for (int64_t g = 0; g < f->gaps; g++)
    stations[g + 1] = (station){&out->clipped[g], clip};
  if (!walk_back(f, stations)) return false;
  dW = cg_tensor_data(cg_tensor_grad(W));
  out->norm_W = spectrum_norm(copy, HH);
  out->norm_clipped = spectrum_norm(dW, HH);
  for (int64_t i = 0; i < HH; i++)
    out->cosine += copy[i] / out->norm_W * (dW[i] / out->norm_clipped);
  return true;
}

static bool write_param(flow *f, const char *name, const double *from) {
  cg_tensor *leaf = cg_params_find(f->params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  return leaf && !cg_leaf_write(leaf, from, bytes);
}

static bool make(flow *f) {
  const cg_bptt_problem *p = f->p;
  f->tape = cg_tape_new(NULL);
  f->params = cg_params_new(NULL, CG_F64, NULL);
  if (!f->tape || !f->params) return false;
  f->rnn = cg_rnn_new(f->params, "rnn",
                      &(cg_rnn_config){.input_size = p->D,
                                       .hidden_size = p->H,
                                       .nonlinearity = p->phi},
                      NULL, NULL);
  return f->rnn && write_param(f, "rnn.weight_ih_l0", p->W_xh) &&
         write_param(f, "rnn.weight_hh_l0", p->W_hh);
}

bool flow_clipping(flow_figures *out, const flow_net *n,
                   const flow_options *o) {
  flow f = {.p = &n->p, .gaps = o->gaps};
  double *copy = malloc((size_t)(n->p.H * n->p.H) * sizeof *copy);
  station *stations = malloc((size_t)(o->gaps + 1) * sizeof *stations);
  bool ok = (copy && stations && make(&f)) ||
            cli_fail("out of memory for the net");
  ok = ok && both_ways(&f, out, o->clip, copy, stations);
  cg_tape_free(f.tape);
  cg_params_free(f.params);
  free(copy);
  free(stations);
  return ok;
}
