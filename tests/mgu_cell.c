/* mgu_cell.c - a cell that the library does not have, as a user would write it:
 * the minimal gated unit (G. Zhou, J. Wu, C. Zhang, Z. Zhou, "Minimal gated
 * unit for recurrent neural networks", 2016), with the rows of its weights in
 * the order f, n:
 *
 *   f_t = sigmoid(W_if x_t + b_f + W_hf h_{t-1})
 *   n_t = tanh(W_in x_t + b_n + W_hn (f_t h_{t-1}))
 *   h_t = (1 - f_t) h_{t-1} + f_t n_t
 */
#include "mgu_cell.h"

enum { W_IH, W_HH, BIAS };

/* What needs no state, for all steps; and both halves of W_hh, once. */
static cg_tensor *project(cg_tape *tape, cg_cell_args *a, cg_tensor *x) {
  a->kept[0] = cg_narrow(tape, a->w[W_HH], 0, 0, a->H);
  a->kept[1] = cg_narrow(tape, a->w[W_HH], 0, a->H, a->H);
  return cg_linear(tape, x, a->w[W_IH], a->w[BIAS]);
}

static cg_tensor *step(cg_tape *tape, const cg_cell_args *a, cg_tensor *xp_t,
                       cg_tensor **state) {
  cg_tensor *h = state[0];
  cg_tensor *xp_f = cg_narrow(tape, xp_t, 1, 0, a->H);
  cg_tensor *xp_n = cg_narrow(tape, xp_t, 1, a->H, a->H);
  cg_tensor *f = cg_sigmoid(
      tape, cg_addmm(tape, xp_f, h, a->kept[0], false, true));
  cg_tensor *n = cg_tanh(tape, cg_addmm(tape, xp_n, cg_mul(tape, f, h),
                                        a->kept[1], false, true));
  state[0] = cg_add(tape, h, cg_mul(tape, f, cg_sub(tape, n, h)));
  return NULL;
}

/* A gate that begins open forgets at once: b_f = -1. */
static cg_status init(const cg_cell_args *a, cg_rng *rng, cg_error *err) {
  (void)rng;
  if (!a->w[BIAS]) return CG_OK;
  return cg_init_rows(a->w[BIAS], 0, a->H,
                      &(cg_init_rule){CG_INIT_CONSTANT, -1.0, 0}, NULL,
                      NULL, err);
}

const cg_cell mgu_cell = {
    .name = "MGU",
    .gates = 2,
    .n_states = 1,
    .params = {{.name = "weight_ih", .rows = CG_SIZE_GH, .columns = CG_SIZE_I},
               {.name = "weight_hh", .rows = CG_SIZE_GH, .columns = CG_SIZE_R},
               {.name = "bias", .rows = CG_SIZE_GH, .when = CG_WHEN_BIAS}},
    .project = project,
    .step = step,
    .init = init};
