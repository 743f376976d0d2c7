/* flow_jacobian.c - recurrent Jacobians against the gap, from the end of a
 * sequence back, and the rates at which they grow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "gradient_flow.h"
#include "spectrum.h"

bool flow_figures_make(flow_figures *f, int64_t gaps) {
  double **arrays[] = {&f->norm,      &f->values[0], &f->values[1],
                       &f->values[2], &f->plain,     &f->clipped};
  double *block = calloc((size_t)(6 * gaps), sizeof *block);
  if (!block) return cli_fail("out of memory for the figures");
  for (int i = 0; i < 6; i++) *arrays[i] = block + i * gaps;
  return true;
}

void flow_figures_free(flow_figures *f) { free(f->norm); }

typedef struct work {
  const flow_net *n;
  int64_t H, HH;
  cg_bptt_result r;
  double *steps; /* [T, H, H], dh_t / dh_{t-1} */
  double *J, *next, *power, *room; /* [H, H]; room has twice that */
  double *values;                  /* [H] */
} work;

static double distance(const double *a, const double *b, double *room,
                       int64_t n) {
  double larger = fmax(spectrum_norm(a, n), spectrum_norm(b, n));
  for (int64_t i = 0; i < n; i++) room[i] = a[i] - b[i];
  return larger > 0 ? spectrum_norm(room, n) / larger : 0;
}

static bool all_steps(work *w) {
  cg_error err = {0};
  if (cg_bptt_batch(&w->n->p, &w->r, &err)) return cli_fail("%s", err.message);
  for (int64_t t = 1; t <= w->n->p.T; t++)
    if (cg_bptt_jacobian(&w->n->p, &w->r, 0, t, t - 1,
                         w->steps + (t - 1) * w->HH, &err))
      return cli_fail("%s", err.message);
  return true;
}

static bool exponents(work *w, flow_figures *f) {
  cg_error err = {0};
  if (cg_lyapunov_exponents(w->steps, w->n->p.T, w->H, w->values, NULL, &err))
    return cli_fail("%s", err.message);
  f->lyapunov = w->values[0];
  for (int64_t i = 1; i < w->H; i++)
    f->lyapunov = fmax(f->lyapunov, w->values[i]);
  return true;
}

/* Values below the rounding of the product mean nothing. */
static void enter(work *w, flow_figures *f, int64_t g) {
  const int64_t H = w->H, at[3] = {0, H / 2, H - 1};
  f->norm[g] = spectrum_norm(w->J, w->HH);
  spectrum_singular_values(w->J, H, w->values, w->room);
  for (int i = 0; i < 3; i++) {
    double value = w->values[at[i]];
    bool trusted = value > w->values[0] * (double)H * 0x1p-48;
    f->values[i][g] = trusted ? value : NAN;
  }
}

/* dh_T / dh_{T-gap} from the tape. */
static bool compare_with_tape(const work *w, flow_figures *f, cg_tape *tape,
                              const cg_rnn *rnn, int64_t gap) {
  const cg_bptt_problem *p = &w->n->p;
  const int64_t k = p->T - gap;
  const double *h_k = k ? w->r.h + (k - 1) * w->H : p->h0;
  cg_tensor *x =
      cg_borrow(tape, CG_F64, CG_DIMS(gap, 1, p->D), p->x + k * p->D);
  cg_rnn_state from = {.h = cg_borrow(tape, CG_F64, CG_DIMS(1, 1, w->H), h_k)};
  const cg_tensor *J = cg_rnn_jacobian(tape, rnn, x, from);
  if (!J) return cli_fail("%s", cg_tape_error(tape)->message);
  double apart = distance(w->J, cg_tensor_data(J), w->room, w->HH);
  f->tape_error = fmax(f->tape_error, apart);
  cg_tape_reset(tape);
  return true;
}

static bool write_leaf(cg_params *params, const char *name,
                       const double *from) {
  cg_tensor *leaf = cg_params_find(params, name);
  size_t bytes = (size_t)cg_tensor_numel(leaf) * sizeof *from;
  return leaf && !cg_leaf_write(leaf, from, bytes);
}

/* All gaps; some of them checked against the tape and the closed form. */
static bool walk_gaps(work *w, flow_figures *f, int64_t gaps, cg_tape *tape,
                      const cg_rnn *rnn) {
  const int64_t T = w->n->p.T;
  memcpy(w->J, w->steps + (T - 1) * w->HH, (size_t)w->HH * sizeof *w->J);
  for (int64_t gap = 1; gap <= gaps; gap++) {
    enter(w, f, gap - 1);
    bool check = gap == 1 || gap == gaps || gap == gaps / 2;
    if (check && !compare_with_tape(w, f, tape, rnn, gap)) return false;
    if (check && f->phi == CG_ACT_IDENTITY) {
      flow_power(w->n, gap, w->power, w->room);
      f->power_error = fmax(f->power_error,
                            distance(w->J, w->power, w->room, w->HH));
    }
    if (gap == gaps) break;
    flow_multiply(w->next, w->J, w->steps + (T - 1 - gap) * w->HH, w->H);
    memcpy(w->J, w->next, (size_t)w->HH * sizeof *w->J);
  }
  return true;
}

static bool measure(work *w, flow_figures *f, int64_t gaps) {
  const cg_bptt_problem *p = &w->n->p;
  cg_error err = {0};
  cg_tape *tape = cg_tape_new(NULL);
  cg_params *params = cg_params_new(NULL, CG_F64, &err);
  const cg_rnn *rnn =
      params ? cg_rnn_new(params, "rnn",
                          &(cg_rnn_config){.input_size = p->D,
                                           .hidden_size = p->H,
                                           .nonlinearity = p->phi},
                          NULL, &err)
             : NULL;
  bool ok = (tape && rnn && write_leaf(params, "rnn.weight_ih_l0", p->W_xh) &&
             write_leaf(params, "rnn.weight_hh_l0", p->W_hh)) ||
            cli_fail("out of memory for the net");
  ok = ok && all_steps(w) && exponents(w, f) &&
       walk_gaps(w, f, gaps, tape, rnn);
  cg_tape_free(tape);
  cg_params_free(params);
  return ok;
}

bool flow_jacobians(flow_figures *f, const flow_net *n,
                    const flow_options *o) {
  const int64_t H = o->hidden, HH = H * H;
  double *block = malloc((size_t)(HH * (o->steps + 5) + H) * sizeof *block);
  if (!block) return cli_fail("out of memory for the Jacobians");
  work w = {.n = n, .H = H, .HH = HH, .J = block, .next = block + HH,
            .power = block + 2 * HH, .room = block + 3 * HH,
            .steps = block + 5 * HH, .values = block + HH * (o->steps + 5)};
  bool ok = measure(&w, f, o->gaps);
  cg_bptt_free(&w.r);
  free(block);
  return ok;
}
