/* test_clip_state.c - bounds on the gradient of a state, of one tensor and of h
 * and c together, while a walk goes on. */
#include "rnn_test.h"

/* ---- of one tensor ---- */

/* h = tanh(w x), the state, then loss = sum (v h)^2: w and v are leaves. */
typedef struct chunk {
  cg_tape *tape;
  cg_tensor *w, *v, *h, *loss;
} chunk;

static const double chunk_w[3] = {0.4, -0.7, 1.3}, chunk_v[3] = {3.1, 2.7, 5.9};

static chunk chunk_of(double gain) {
  double v[3];
  for (int i = 0; i < 3; i++) v[i] = gain * chunk_v[i];
  chunk c = {.tape = cg_tape_new(NULL), .w = leaf_of(chunk_w, CG_DIMS(3)),
             .v = leaf_of(v, CG_DIMS(3))};
  c.h = cg_tanh(c.tape, c.w);
  c.loss = cg_sum_all(c.tape, cg_square(c.tape, cg_mul(c.tape, c.v, c.h)));
  fine(c.tape);
  return c;
}

static void chunk_free(chunk *c) {
  cg_tape_free(c->tape);
  cg_leaf_free(c->w);
  cg_leaf_free(c->v);
}

static double gradient_of_h(int i, double gain) {
  return 2 * gain * gain * chunk_v[i] * chunk_v[i] * tanh(chunk_w[i]);
}

static double norm_of_h(double gain) {
  double sum = 0;
  for (int i = 0; i < 3; i++) sum += pow(gradient_of_h(i, gain), 2);
  return sqrt(sum);
}

START_TEST(state_gradients_are_clipped) {
  const double bound[] = {1.7, 1e9, INFINITY};
  chunk c = chunk_of(1);
  cg_state_clip clip = {.max_norm = bound[_i]};
  double norm = norm_of_h(1), factor = fmin(1, bound[_i] / norm);
  ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, &clip), CG_OK);
  ck_assert(isnan(clip.norm));
  for (int walk = 1; walk <= 2; walk++) {
    cg_leaf_zero_grad(c.w);
    ck_assert_int_eq(cg_backward(c.tape, c.loss), CG_OK);
    near(clip.norm, norm, 1e-14);
    ck_assert_int_eq(clip.walks, walk);
    ck_assert_int_eq(clip.clipped, _i == 0 ? walk : 0);
    for (int i = 0; i < 3; i++)
      near(cg_tensor_get(cg_tensor_grad(c.w), i),
           factor * gradient_of_h(i, 1) * (1 - pow(tanh(chunk_w[i]), 2)),
           1e-14);
  }
  near(cg_tensor_get(cg_tensor_grad(c.v), 1),
       2 * 2 * chunk_v[1] * pow(tanh(chunk_w[1]), 2), 1e-14);
  chunk_free(&c);
}
END_TEST

START_TEST(state_gradients_of_any_size) {
  const double gain[] = {1e150, 1e-150};
  for (int k = 0; k < 2; k++) {
    chunk c = chunk_of(gain[k]);
    cg_state_clip clip = {.max_norm = 1e-3};
    ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, &clip), CG_OK);
    ck_assert_int_eq(cg_backward(c.tape, c.loss), CG_OK);
    near(clip.norm / gain[k] / gain[k], norm_of_h(1), 1e-12);
    ck_assert_int_eq(clip.clipped, k == 0);
    chunk_free(&c);
  }
}
END_TEST

START_TEST(no_state_gradient_is_no_trouble) {
  chunk c = chunk_of(0);
  cg_state_clip clip = {.max_norm = 1};
  ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, &clip), CG_OK);
  ck_assert_int_eq(cg_backward(c.tape, c.loss), CG_OK);
  near(clip.norm, 0, 0);
  NEAR_ALL(cg_tensor_grad(c.w), 0, 0, 0, 0);
  chunk_free(&c);
}
END_TEST

START_TEST(state_gradients_must_be_finite) {
  const double gain[] = {1e160, NAN};
  for (int k = 0; k < 2; k++) {
    chunk c = chunk_of(gain[k]);
    cg_state_clip clip = {.max_norm = INFINITY};
    ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, &clip), CG_OK);
    ck_assert_int_eq(cg_backward(c.tape, c.loss), CG_ERR_NONFINITE);
    ck_assert_ptr_null(cg_tensor_grad(c.w));
    ck_assert(!isfinite(clip.norm));
    failed(c.tape, CG_ERR_NONFINITE, "clip_state_grad",
           k ? "NaN" : "infinite");
    chunk_free(&c);
  }
}
END_TEST

/* Every element is finite, but not the norm: no factor would be right. */
START_TEST(state_norms_must_be_finite) {
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = leaf_of(chunk_w, CG_DIMS(3));
  cg_tensor *h = cg_tanh(tape, w);
  cg_tensor *g = cg_full(tape, CG_F64, CG_DIMS(3), 1.7e308);
  cg_state_clip clip = {.max_norm = 1};
  cg_clip_state_grad(tape, h, &clip);
  ck_assert_int_eq(cg_backward_from(tape, &h, &g, 1), CG_ERR_NONFINITE);
  failed(tape, CG_ERR_NONFINITE, "clip_state_grad", "largest double");
  cg_tape_free(tape);
  cg_leaf_free(w);
}
END_TEST

START_TEST(state_clips_refuse_bad_bounds) {
  chunk c = chunk_of(1);
  cg_state_clip clip = {.max_norm = -1};
  ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, &clip), CG_ERR_ARG);
  failed(c.tape, CG_ERR_ARG, "clip_state_grad", "-1");
  ck_assert_int_eq(cg_clip_state_grad(c.tape, c.h, NULL), CG_ERR_ARG);
  cg_tape_clear_error(c.tape);
  clip.max_norm = 1;
  ck_assert_int_ne(cg_clip_state_grad(c.tape, NULL, &clip), CG_OK);
  chunk_free(&c);
}
END_TEST

/* ---- the state of a net, between chunks ---- */

enum { STEPS = 3, BATCH = 2 };

/* Two chunks of a sequence through a net of two layers; the state in between.
 */
typedef struct relay {
  cg_params *params;
  cg_rnn *rnn;
  cg_tape *tape;
  cg_tensor *x[2];
} relay;

static relay relay_of(int cell, cg_dtype dtype) {
  bool projected = cell == CG_CELL_COUNT;
  relay r = {.params = registry(dtype), .tape = cg_tape_new(NULL)};
  cg_rng rng = cg_rng_seed(59);
  r.rnn = cg_rnn_new(
      r.params, "rnn",
      &(cg_rnn_config){.cell = projected ? CG_CELL_LSTM : (cg_cell_kind)cell,
                       .input_size = 3, .hidden_size = 4, .num_layers = 2,
                       .proj_size = projected ? 2 : 0},
      &rng, NULL);
  for (int i = 0; i < 2; i++)
    r.x[i] = cg_rand_normal(r.tape, &rng, dtype, CG_DIMS(STEPS, BATCH, 3));
  fine(r.tape);
  return r;
}

static void relay_free(relay *r) {
  cg_tape_free(r->tape);
  cg_params_free(r->params);
}

static cg_rnn_result run_chunk(relay *r, int i, cg_rnn_state from) {
  return cg_rnn_forward_from(r->tape, r->rnn, r->x[i], from, NULL);
}

static cg_rnn_state last_of(cg_rnn_result r) {
  return (cg_rnn_state){r.h_last, r.c_last};
}

/* Large enough to be clipped. */
static cg_tensor *loss_of(relay *r, cg_tensor *h) {
  cg_tensor *apart = cg_add_scalar(r->tape, h, -0.37);
  return cg_mul_scalar(r->tape, cg_sum_all(r->tape, cg_square(r->tape, apart)),
                       7.3);
}

/* dL/dh and dL/dc of the second chunk's loss, at the state; c NULL without. */
static void gradients_at(relay *r, cg_rnn_state state, cg_tensor *g[2]) {
  cg_tensor *in[2] = {state.h, state.c};
  cg_tensor *loss = loss_of(r, run_chunk(r, 1, state).h);
  g[1] = NULL;
  cg_grad(r->tape, &loss, 1, NULL, in, state.c ? 2 : 1, g, 0);
  fine(r->tape);
}

static double norm_of_both(cg_tensor *const g[2]) {
  double sum = 0;
  for (int k = 0; k < 2 && g[k]; k++)
    for (int64_t i = 0; i < cg_tensor_numel(g[k]); i++)
      sum += pow(cg_tensor_get(g[k], i), 2);
  return sqrt(sum);
}

/* The first chunk's gradient when g, times factor, comes back to its state; and
 * the second one's own. All gradients one after another to `want`. */
static void gradients_by_hand(relay *r, cg_tensor *const g[2], double factor,
                              double *want) {
  cg_rnn_state state = last_of(run_chunk(r, 0, (cg_rnn_state){0}));
  cg_tensor *roots[2] = {state.h, state.c}, *seeds[2] = {NULL, NULL};
  for (int k = 0; k < 2 && g[k]; k++)
    seeds[k] = cg_mul_scalar(r->tape, g[k], factor);
  cg_params_zero_grad(r->params);
  cg_backward_from(r->tape, roots, seeds, g[1] ? 2 : 1);
  cg_backward(r->tape,
              loss_of(r, run_chunk(r, 1, cg_rnn_state_detach(r->tape, state))
                             .h));
  fine(r->tape);
  for (int i = 0, at = 0; i < cg_params_count(r->params); i++) {
    const cg_tensor *grad = cg_tensor_grad(cg_params_at(r->params, i));
    for (int64_t j = 0; j < cg_tensor_numel(grad); j++)
      want[at++] = cg_tensor_get(grad, j);
  }
}

/* Gradients of both chunks with the state's bounded to a share of its norm (0:
 * infinite) are those of two walks with the factor by hand. */
START_TEST(states_are_clipped_whole) {
  const double share[] = {0.3, 1.7, 0};
  relay r = relay_of(_i / 3, CG_F64);
  double want[512];
  cg_rnn_state state = last_of(run_chunk(&r, 0, (cg_rnn_state){0}));
  cg_tensor *g[2];
  gradients_at(&r, state, g);
  double norm = norm_of_both(g), bound = share[_i % 3] * norm;
  gradients_by_hand(&r, g, bound > 0 ? fmin(1, bound / norm) : 1, want);
  cg_state_clip clip = {.max_norm = bound > 0 ? bound : INFINITY};
  cg_rnn_state handed = last_of(run_chunk(&r, 0, (cg_rnn_state){0}));
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, &handed, &clip), CG_OK);
  near_tensor("h", handed.h, state.h, 0.0);
  ck_assert(!handed.c == !state.c);
  if (state.c) near_tensor("c", handed.c, state.c, 0.0);
  cg_params_zero_grad(r.params);
  cg_backward(r.tape, loss_of(&r, run_chunk(&r, 1, handed).h));
  fine(r.tape);
  near(clip.norm, norm, 1e-14);
  ck_assert_int_eq(clip.walks, 1);
  ck_assert_int_eq(clip.clipped, _i % 3 == 0);
  for (int i = 0, at = 0; i < cg_params_count(r.params); i++) {
    const cg_tensor *w = cg_params_at(r.params, i);
    for (int64_t j = 0; j < cg_tensor_numel(w); j++)
      near(cg_tensor_get(cg_tensor_grad(w), j), want[at++], 1e-13);
  }
  relay_free(&r);
}
END_TEST

/* A part that nobody reads has the gradient 0. */
START_TEST(half_a_state_has_a_norm) {
  relay r = relay_of(CG_CELL_LSTM, CG_F32);
  cg_state_clip clip = {.max_norm = 0.625};
  cg_rnn_state state = last_of(run_chunk(&r, 0, (cg_rnn_state){0}));
  cg_tensor *c = state.c, *seed[1] = {cg_full(r.tape, CG_F32,
                                              CG_DIMS(2, BATCH, 4), 1.5)};
  cg_retain_grad(r.tape, c);
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, &state, &clip), CG_OK);
  cg_backward_from(r.tape, &state.c, seed, 1);
  fine(r.tape);
  near(clip.norm, 6.0, 1e-6);
  near(cg_tensor_get(cg_tensor_grad(c), 11), 1.5 * 0.625 / 6.0, 1e-6);
  relay_free(&r);
}
END_TEST

/* Of either part; the gradients are as they were. */
START_TEST(whole_states_must_be_finite) {
  const double bad[] = {NAN, -INFINITY};
  relay r = relay_of(CG_CELL_LSTM, CG_F64);
  cg_state_clip clip = {.max_norm = 1};
  cg_rnn_state state = last_of(run_chunk(&r, 0, (cg_rnn_state){0}));
  cg_clip_rnn_state_grad(r.tape, &state, &clip);
  cg_tensor *roots[2] = {state.h, state.c};
  for (int k = 0; k < 4; k++) {
    double seed[2 * BATCH * 4] = {0.3, -1.7};
    seed[5] = bad[k / 2];
    cg_tensor *g = cg_input(r.tape, CG_F64, CG_DIMS(2, BATCH, 4), seed);
    cg_params_zero_grad(r.params);
    ck_assert_int_eq(cg_backward_from(r.tape, roots + k % 2, &g, 1),
                     CG_ERR_NONFINITE);
    failed(r.tape, CG_ERR_NONFINITE, "clip_state_grad",
           k / 2 ? "infinite" : "NaN");
    ck_assert(!isfinite(clip.norm));
  }
  relay_free(&r);
}
END_TEST

START_TEST(whole_states_refuse_what_does_not_fit) {
  relay r = relay_of(CG_CELL_LSTM, CG_F64);
  cg_state_clip clip = {.max_norm = 1}, bad = {0};
  cg_rnn_state none = {0}, state = last_of(run_chunk(&r, 0, none));
  const cg_rnn_state whole = state;
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, &none, &clip), CG_ERR_ARG);
  failed(r.tape, CG_ERR_ARG, "clip_state_grad", "no state");
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, NULL, &clip), CG_ERR_ARG);
  cg_tape_clear_error(r.tape);
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, &state, &bad), CG_ERR_ARG);
  failed(r.tape, CG_ERR_ARG, "clip_state_grad", "must be positive");
  ck_assert(!state.h && !state.c);
  state = whole;
  state.c = r.x[0];
  ck_assert_int_eq(cg_clip_rnn_state_grad(r.tape, &state, &clip),
                   CG_ERR_SHAPE);
  failed(r.tape, CG_ERR_SHAPE, "concat", "");
  state = whole;
  ck_assert_int_eq(cg_clip_rnn_state_grad(NULL, &state, &clip), CG_ERR_ARG);
  relay_free(&r);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("clip_state");
  tcase_add_loop_test(tc, state_gradients_are_clipped, 0, 3);
  tcase_add_test(tc, state_gradients_of_any_size);
  tcase_add_test(tc, no_state_gradient_is_no_trouble);
  tcase_add_test(tc, state_gradients_must_be_finite);
  tcase_add_test(tc, state_norms_must_be_finite);
  tcase_add_test(tc, state_clips_refuse_bad_bounds);
  tcase_add_loop_test(tc, states_are_clipped_whole, 0,
                      3 * (CG_CELL_COUNT + 1));
  tcase_add_test(tc, half_a_state_has_a_norm);
  tcase_add_test(tc, whole_states_must_be_finite);
  tcase_add_test(tc, whole_states_refuse_what_does_not_fit);
  return run_case("clip_state", tc);
}
