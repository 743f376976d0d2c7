/* test_checkpoint.c - recompute segments give the bits that the plain graph
 * gives: values, gradients of every kind of walk, hooks, random numbers. */
#include "checkpoint_test.h"

/* ---- functions ---- */

/* h = tanh(x W0^T), used inside; y = s h^2 W2^T; z depends on nothing else;
 * i has no gradient. */
static void several(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                    int n_out, void *context) {
  (void)n_in, (void)context;
  runs++;
  cg_tensor *h = cg_tanh(t, cg_linear(t, in[0], W0, NULL));
  cg_tensor *y = cg_linear(t, cg_mul(t, S, cg_square(t, h)), W2, NULL);
  cg_tensor *z = cg_exp(t, cg_mul(t, W1, S));
  out[0] = h;
  out[1] = y;
  out[2] = z;
  if (n_out > 3) out[3] = cg_argmax(t, y, 1, false);
  if (n_out > 4) out[4] = cg_detach(t, y);
}

static void walk_back(cg_tensor *loss) {
  keep(loss);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  keep_leaf_gradients();
}

/* ---- one output ---- */

static void a_chain(void) {
  cg_tensor *y = segment1(layers, segment1(layers, segment1(layers, X)));
  walk_back(sum_of_squares(y));
}

START_TEST(chain) { same_bits(a_chain); }
END_TEST

/* x and W0 are used before, inside and after, in a sum of five terms. */
static void an_outside_use(void) {
  cg_tensor *a = cg_linear(tape, cg_sin(tape, X), W0, NULL);
  cg_tensor *y = segment1(layers, a);
  cg_tensor *z = segment1(layers, cg_add(tape, a, y));
  cg_tensor *loss = cg_add(tape, sum_of_squares(cg_mul(tape, z, a)),
                           sum_of_squares(cg_linear(tape, y, W0, BIAS)));
  walk_back(cg_add(tape, loss, sum_of_squares(a)));
}

START_TEST(used_inside_and_outside) { same_bits(an_outside_use); }
END_TEST

/* A constant input, and one that is modified later without being needed. */
static void no_gradient_of_input(void) {
  cg_tensor *x = cg_full(tape, dtype, CG_DIMS(ROWS, D), 0.37);
  walk_back(sum_of_squares(segment1(layers, x)));
}

START_TEST(input_without_gradient) { same_bits(no_gradient_of_input); }
END_TEST

/* ---- several outputs ---- */

static void use_all(void) {
  cg_tensor *o[5];
  segment(several, NULL, 0, &X, 1, o, 5);
  ck_assert(!cg_tensor_requires_grad(o[3]) && !cg_tensor_requires_grad(o[4]));
  ck_assert(cg_tensor_requires_grad(o[0]) && cg_tensor_requires_grad(o[2]));
  keep(o[3]);
  cg_tensor *mix = cg_mul(tape, cg_mul(tape, o[0], o[1]), o[4]);
  cg_tensor *loss = cg_add(tape, sum_of_squares(mix), sum_of_squares(o[2]));
  walk_back(cg_add(tape, loss, sum_of_squares(o[0])));
}

static void use_first(void) {
  cg_tensor *o[4];
  segment(several, NULL, 0, &X, 1, o, 4);
  walk_back(sum_of_squares(o[0]));
}

static void use_last(void) {
  cg_tensor *o[3];
  segment(several, NULL, 0, &X, 1, o, 3);
  walk_back(sum_of_squares(o[2]));
}

START_TEST(several_outputs) {
  same_bits(use_all);
  same_bits(use_first);
  same_bits(use_last);
}
END_TEST

/* out: the input, a view of it, a view of a leaf, h, h again, a view of h, a
 * leaf. */
static void odd_outputs(cg_tape *t, cg_tensor *const *in, int n_in,
                        cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  out[0] = in[0];
  out[1] = cg_transpose(t, in[0], 0, 1);
  out[2] = cg_narrow(t, W0, 0, 1, ROWS);
  out[3] = cg_tanh(t, cg_mul(t, in[0], S));
  out[4] = out[3];
  out[5] = cg_select(t, out[3], 0, -1);
  out[6] = W1;
}

static void use_odd(void) {
  cg_tensor *x = cg_linear(tape, X, W2, NULL), *o[7];
  segment(odd_outputs, NULL, 0, &x, 1, o, 7);
  ck_assert_ptr_eq(o[0], x);
  ck_assert_ptr_eq(o[4], o[3]);
  ck_assert_ptr_eq(o[6], W1);
  cg_tensor *a = cg_mul(tape, cg_mul(tape, o[0], o[2]), o[3]);
  cg_tensor *b = cg_matmul(tape, o[1], cg_mul(tape, o[4], o[5]));
  cg_tensor *loss = cg_add(tape, sum_of_squares(a),
                           sum_of_squares(cg_mul(tape, b, o[6])));
  walk_back(cg_add(tape, loss, sum_of_squares(o[3])));
}

START_TEST(outputs_that_were_there) { same_bits(use_odd); }
END_TEST

/* ---- nested, random ---- */

static void two_deep(cg_tape *t, cg_tensor *const *in, int n_in,
                     cg_tensor **out, int n_out, void *context) {
  (void)t, (void)n_in, (void)n_out, (void)context;
  cg_tensor *o[3];
  cg_tensor *x = segment1(layers, in[0]);
  segment(several, NULL, 0, &x, 1, o, 3);
  out[0] = segment1(layers, o[1]);
  out[1] = o[0]; /* an output of the inner one as it is */
}

static void nest(void) {
  cg_tensor *o[2];
  segment(two_deep, NULL, 0, &X, 1, o, 2);
  segment(two_deep, NULL, 0, &o[0], 1, o, 2);
  walk_back(cg_add(tape, sum_of_squares(o[0]), sum_of_squares(o[1])));
}

START_TEST(nested) { same_bits(nest); }
END_TEST

static void noisy(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out;
  cg_tensor *h = cg_dropout(t, cg_linear(t, in[0], W0, BIAS), 0.4, context);
  out[0] = cg_mul(t, cg_dropout(t, cg_tanh(t, h), 0.3, context), h);
}

static void drop_out(void) {
  cg_rng rng = cg_rng_seed(41);
  cg_tensor *y = X;
  for (int i = 0; i < 3; i++)
    segment(noisy, &rng, sizeof rng, &y, 1, &y, 1);
  keep(cg_scalar(tape, CG_F64, (double)rng.counter)); /* the caller's goes on */
  walk_back(sum_of_squares(y));
}

START_TEST(dropout_replays) { same_bits(drop_out); }
END_TEST

/* ---- other walks ---- */

static void every_walk(void) {
  cg_tensor *a = cg_linear(tape, X, W0, NULL), *o[3];
  segment(several, NULL, 0, &a, 1, o, 3);
  cg_tensor *loss = sum_of_squares(cg_mul(tape, o[0], o[1]));
  cg_tensor *rest = segment1(layers, o[1]);
  cg_tensor *seed = cg_full(tape, dtype, CG_DIMS(ROWS, D), 0.71);
  walk_back(loss);
  walk_back(loss); /* once more, adding */
  ck_assert_int_eq(cg_backward_from(tape, (cg_tensor *[]){rest, o[0], o[2]},
                                    (cg_tensor *[]){seed, seed, W2}, 3),
                   CG_OK);
  keep_leaf_gradients();
  cg_grads *grads = cg_grads_new(NULL);
  ck_assert_int_eq(cg_backward_into(tape, &loss, NULL, 1, grads), CG_OK);
  keep(cg_grads_get(grads, W0));
  keep(cg_grads_get(grads, S));
  cg_grads_free(grads);
  cg_tensor *in[] = {W0, a, o[0], o[1], S, X}, *g[6];
  for (int i = 0; i < 6; i++) { /* alone: only a path is visited */
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, in + i, 1, g, 0), CG_OK);
    keep(g[0]);
  }
  cg_tensor *roots[] = {rest, loss}, *seeds[] = {seed, NULL};
  ck_assert_int_eq(cg_grad(tape, roots, 2, seeds, in, 6, g, 0), CG_OK);
  for (int i = 0; i < 6; i++) keep(g[i]);
}

START_TEST(walks) { same_bits(every_walk); }
END_TEST

/* The gradient of an output that is used inside only: it is known. */
static void used_inside_only(void) {
  cg_tensor *o[3], *g;
  segment(several, NULL, 0, &X, 1, o, 3);
  cg_tensor *loss = sum_of_squares(o[1]);
  ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, o, 1, &g, 0), CG_OK);
  keep(g);
  ck_assert_int_eq(cg_grad(tape, &o[1], 1, &X, &o[1], 1, &g, 0), CG_OK);
  keep(g);
}

START_TEST(gradient_of_an_output) { same_bits(used_inside_only); }
END_TEST

START_TEST(unused_inputs) {
  make_leaves(CG_F64);
  tape = cg_tape_new(NULL);
  cg_tensor *o[3], *g[2];
  cg_checkpoint(tape, several, NULL, 0, &X, 1, o, 3);
  cg_tensor *in[] = {W1, BIAS}, *loss = sum_of_squares(o[1]);
  ck_assert_int_eq(
      cg_grad(tape, &loss, 1, NULL, in, 2, g, CG_ALLOW_UNUSED), CG_OK);
  for (int i = 0; i < D * D; i++) ck_assert(cg_tensor_get(g[0], i) == 0);
  ck_assert_ptr_null(g[1]); /* no function used it */
  cg_tape_free(tape);
  free_leaves();
}
END_TEST

/* ---- looking at gradients ---- */

static int calls;

static cg_tensor *look(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  (void)x;
  calls++;
  keep(g);
  return context ? cg_mul_scalar(t, g, *(double *)context) : NULL;
}

static double half = 0.5, twice = 2.25;

static void look_at_outputs(void) {
  cg_tensor *o[3];
  segment(several, NULL, 0, &X, 1, o, 3);
  cg_tensor *y = segment1(layers, o[1]);
  calls = 0;
  cg_hook(tape, o[0], look, NULL); /* used inside and outside */
  cg_hook(tape, o[0], look, &half);
  cg_hook(tape, o[1], look, &twice);
  cg_hook(tape, o[2], look, NULL); /* nothing comes to it */
  cg_hook(tape, W0, look, &half);
  cg_hook(tape, X, look, NULL);
  for (int i = 0; i < 3; i++) cg_retain_grad(tape, o[i]);
  cg_retain_grad(tape, y);
  cg_tensor *loss = sum_of_squares(cg_mul(tape, y, o[0]));
  walk_back(loss);
  ck_assert_int_eq(calls, 5);
  for (int i = 0; i < 2; i++) keep(cg_tensor_grad(o[i]));
  ck_assert_ptr_null(cg_tensor_grad(o[2]));
  walk_back(loss); /* retained gradients add up */
  for (int i = 0; i < 2; i++) keep(cg_tensor_grad(o[i]));
  keep(cg_tensor_grad(y));
}

START_TEST(hooks_and_retained) { same_bits(look_at_outputs); }
END_TEST

/* The same through two levels of segments. */
static void look_through_nested(void) {
  cg_tensor *o[2];
  segment(two_deep, NULL, 0, &X, 1, o, 2);
  cg_hook(tape, o[1], look, &half);
  cg_retain_grad(tape, o[1]);
  cg_tensor *g, *loss = sum_of_squares(o[0]);
  walk_back(loss);
  keep(cg_tensor_grad(o[1]));
  ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &o[1], 1, &g, 0), CG_OK);
  keep(g);
}

START_TEST(hooks_through_nested) { same_bits(look_through_nested); }
END_TEST

static void hooked_inside(cg_tape *t, cg_tensor *const *in, int n_in,
                          cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out;
  cg_tensor *h = cg_tanh(t, cg_mul(t, in[0], S));
  cg_hook(t, h, look, context);
  out[0] = cg_mul(t, h, h);
  out[1] = h;
}

static void hook_inside(void) {
  cg_tensor *o[2];
  segment(hooked_inside, &half, sizeof half, &X, 1, o, 2);
  walk_back(sum_of_squares(cg_add(tape, o[0], o[1])));
}

START_TEST(hooks_of_the_interior) { same_bits(hook_inside); }
END_TEST

/* A hook that walks over the segment which is being walked over. */
static cg_tensor *walk_inside(cg_tape *t, cg_tensor *x, cg_tensor *g,
                              void *context) {
  cg_tensor *loss = context, *in[] = {W1, S}, *gs[2];
  (void)x;
  ck_assert_int_eq(cg_grad(t, &loss, 1, NULL, in, 2, gs, 0), CG_OK);
  keep(gs[0]);
  return cg_mul(t, g, gs[1]);
}

static void walks_in_walks(void) {
  cg_tensor *o[3], *g;
  segment(several, NULL, 0, &X, 1, o, 3);
  cg_tensor *other = sum_of_squares(o[1]);
  cg_hook(tape, o[0], walk_inside, sum_of_squares(cg_tanh(tape, o[2])));
  cg_tensor *loss = cg_add(tape, other, sum_of_squares(o[0]));
  walk_back(loss);
  ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &o[0], 1, &g, 0), CG_OK);
  keep(g);
}

START_TEST(nested_walks) { same_bits(walks_in_walks); }
END_TEST

/* A rule that gives an interior tensor as gradient: it must outlive that.
 * y = sum(x c), gx = c for gy = 1. */
static cg_tensor *product(cg_tape *t, cg_tensor *const *in, int n, void *c) {
  (void)n, (void)c;
  return cg_sum_all(t, cg_mul(t, in[0], in[1]));
}

static void product_back(cg_vjp *v, void *context) {
  (void)context;
  cg_vjp_give(v, 0, cg_vjp_in(v, 1));
}

/* A view of operand 0 that looks at operand 1, too. */
static cg_status shown_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  spec->is_view = true;
  spec->offset = 0;
  memcpy(spec->strides, cg_tensor_strides(call->in[0]), 2 * sizeof(int64_t));
  return CG_OK;
}

static const cg_op shown = {
    .name = "shown", .min_in = 2, .max_in = 2, .infer = shown_infer};

static void gives_interior(cg_tape *t, cg_tensor *const *in, int n_in,
                           cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  cg_tensor *c = cg_exp(t, cg_full(t, dtype, CG_DIMS(ROWS, D), 0.8));
  cg_tensor *seen[] = {cg_transpose(t, c, 0, 1), S}, *pair[] = {in[0], NULL};
  pair[1] = cg_transpose(t, cg_record(t, &shown, seen, 2, NULL), 0, 1);
  out[0] = cg_custom(t, "product", product, product_back, NULL, pair, 2);
}

static void give_interior(void) {
  cg_tensor *x = cg_mul(tape, X, S), *y = segment1(gives_interior, x), *g;
  cg_tensor *more = segment1(layers, x); /* goes over the same memory first */
  ck_assert_ptr_nonnull(more);
  walk_back(y);
  ck_assert_int_eq(cg_grad(tape, &y, 1, NULL, &x, 1, &g, 0), CG_OK);
  keep(g);
}

START_TEST(gradients_from_the_interior) { same_bits(give_interior); }
END_TEST

/* ---- value mode ---- */

static void values_only(void) {
  cg_tape_set_recording(tape, false);
  runs = 0;
  cg_tensor *y = segment1(layers, X);
  ck_assert_int_eq(runs, 1);
  ck_assert(!cg_tensor_requires_grad(y));
  keep(y);
}

START_TEST(without_recording) { same_bits(values_only); }
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, chain);
  tcase_add_test(tc, used_inside_and_outside);
  tcase_add_test(tc, input_without_gradient);
  tcase_add_test(tc, several_outputs);
  tcase_add_test(tc, outputs_that_were_there);
  tcase_add_test(tc, nested);
  tcase_add_test(tc, dropout_replays);
  tcase_add_test(tc, walks);
  tcase_add_test(tc, gradient_of_an_output);
  tcase_add_test(tc, unused_inputs);
  tcase_add_test(tc, hooks_and_retained);
  tcase_add_test(tc, hooks_through_nested);
  tcase_add_test(tc, hooks_of_the_interior);
  tcase_add_test(tc, nested_walks);
  tcase_add_test(tc, gradients_from_the_interior);
  tcase_add_test(tc, without_recording);
  return run_case("checkpoint", tc);
}
