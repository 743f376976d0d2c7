/* test_hook.c - hooks: when they are called, with what, what they change. */
#include "engine_test.h"

static cg_tape *tape;
static cg_tensor *w, *v;

/* What was called, in order. */
static struct call {
  const void *context;
  cg_tensor *x;
  double g;
} calls[20];
static int n_calls;

static void setup(void) {
  tape = cg_tape_new(NULL);
  w = scalar_leaf(0.7);
  v = scalar_leaf(1.3);
  n_calls = 0;
}

static void teardown(void) {
  cg_tape_free(tape);
  cg_leaf_free(w);
  cg_leaf_free(v);
}

static void note(cg_tensor *x, const cg_tensor *g, const void *context) {
  ck_assert_int_lt(n_calls, N_OF(calls));
  calls[n_calls++] = (struct call){context, x, cg_tensor_item(g)};
}

static cg_tensor *look(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  ck_assert_ptr_eq(t, tape);
  note(x, g, context);
  return NULL;
}

/* Multiplies by the number that the context points to. */
static cg_tensor *scale(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  note(x, g, context);
  return cg_mul_scalar(t, g, *(double *)context);
}

static void hook(cg_tensor *x, cg_hook_fn fn, void *context) {
  ck_assert_int_eq(cg_hook(tape, x, fn, context), CG_OK);
}

static void called(int i, const cg_tensor *x, double g) {
  ck_assert_int_lt(i, n_calls);
  ck_assert_ptr_eq(calls[i].x, x);
  near(calls[i].g, g, 1e-14);
}

static double grad_of(const cg_tensor *x) {
  return cg_tensor_item(cg_tensor_grad(x));
}

START_TEST(complete_gradients_newest_first) {
  cg_tensor *a = cg_square(tape, w), *b = cg_mul(tape, a, v);
  cg_tensor *L = cg_add(tape, cg_square(tape, b), a);
  hook(a, look, NULL);
  hook(w, look, NULL);
  hook(L, look, NULL);
  hook(b, look, NULL);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  double gb = 2 * 0.49 * 1.3, ga = gb * 1.3 + 1;
  ck_assert_int_eq(n_calls, 4);
  called(0, L, 1);
  called(1, b, gb);
  called(2, a, ga);
  called(3, w, ga * 1.4);
  near(grad_of(w), ga * 1.4, 1e-14);
}
END_TEST

START_TEST(replaced_in_order) {
  double two = 2, three = 3;
  cg_tensor *a = cg_square(tape, w), *L = cg_mul(tape, a, v);
  hook(a, scale, &two);
  hook(a, look, NULL);
  hook(a, scale, &three);
  ck_assert_int_eq(cg_retain_grad(tape, a), CG_OK);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  called(0, a, 1.3);
  called(1, a, 2.6);
  called(2, a, 2.6);
  near(grad_of(a), 7.8, 1e-14);
  near(grad_of(w), 7.8 * 1.4, 1e-14);
  near(grad_of(v), 0.49, 1e-14);
}
END_TEST

START_TEST(leaves_at_the_end) {
  double two = 2, three = 3;
  cg_tensor *a = cg_mul(tape, w, v), *L = cg_mul(tape, a, w);
  hook(v, scale, &three);
  hook(w, scale, &two);
  hook(w, look, NULL);
  hook(a, look, NULL);
  for (int i = 1; i <= 2; i++) { /* leaves accumulate; hooks see one walk */
    n_calls = 0;
    ck_assert_int_eq(cg_backward(tape, L), CG_OK);
    ck_assert_int_eq(n_calls, 4);
    called(0, a, 0.7);
    called(1, w, 2 * 0.7 * 1.3);
    called(2, w, 4 * 0.7 * 1.3);
    called(3, v, 0.49);
    near(grad_of(w), i * 4 * 0.7 * 1.3, 1e-14);
    near(grad_of(v), i * 3 * 0.49, 1e-14);
  }
}
END_TEST

/* A leaf changed between uses has two proxies on the tape, but one gradient. */
START_TEST(leaf_that_was_modified) {
  double two = 2;
  cg_tensor *a = cg_mul_scalar(tape, w, 5);
  hook(w, scale, &two);
  cg_leaf_fill(w, 0.9);
  cg_tensor *b = cg_mul_scalar(tape, w, 3);
  hook(w, look, NULL);
  ck_assert_int_eq(cg_backward(tape, cg_add(tape, a, b)), CG_OK);
  ck_assert_int_eq(n_calls, 2);
  called(0, w, 8);
  called(1, w, 16);
  near(grad_of(w), 16, 1e-14);
}
END_TEST

START_TEST(functional) {
  double two = 2, three = 3;
  cg_tensor *a = cg_square(tape, w), *L = cg_mul(tape, a, v), *g[3];
  hook(a, scale, &two);
  hook(w, scale, &three);
  hook(v, look, NULL); /* not among the inputs: not called */
  cg_tensor *in[] = {w, a, w};
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, in, 3, g, 0), CG_OK);
  ck_assert_int_eq(n_calls, 2);
  near(cg_tensor_item(g[0]), 3 * 2 * 1.3 * 1.4, 1e-14);
  near(cg_tensor_item(g[1]), 2.6, 1e-14);
  near(cg_tensor_item(g[2]), 3 * 2 * 1.3 * 1.4, 1e-14);
  ck_assert_ptr_null(cg_tensor_grad(w));
}
END_TEST

/* Squares the gradient: what it does is derived like the rest. */
static cg_tensor *squared(cg_tape *t, cg_tensor *x, cg_tensor *g,
                          void *context) {
  note(x, g, context);
  return cg_square(t, g);
}

START_TEST(recorded) {
  cg_tensor *a = cg_square(tape, w), *L = cg_mul(tape, a, a), *g, *gg;
  hook(a, squared, NULL);
  /* da = (2 w^2)^2, g = da 2 w = 8 w^5 */
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, &w, 1, &g, CG_CREATE_GRAPH),
                   CG_OK);
  near(cg_tensor_item(g), 8 * pow(0.7, 5), 1e-14);
  cg_tape_clear_error(tape);
  ck_assert_int_eq(cg_grad(tape, &g, 1, NULL, &v, 1, &gg, CG_ALLOW_UNUSED),
                   CG_OK);
  ck_assert_ptr_null(gg);
  /* By w, a's hook is met again: with the sum of both uses of a in g,
   * G = 2 * 2 da/da, squared on the way to w. */
  ck_assert_int_eq(cg_grad(tape, &g, 1, NULL, &w, 1, &gg, 0), CG_OK);
  double ga = 2 * 2 * 2 * 0.49 * 1.4; /* d(4 a^2 * 2w)/da = 16 a w */
  near(cg_tensor_item(gg), ga * ga * 1.4 + 8 * pow(0.7, 4), 1e-13);
}
END_TEST

START_TEST(removed_by_rewind) {
  double two = 2;
  cg_tensor *a = cg_square(tape, w), *L = cg_mul(tape, a, v);
  hook(a, look, NULL);
  cg_mark mark = cg_tape_mark(tape);
  hook(a, scale, &two);
  hook(w, scale, &two);
  hook(cg_square(tape, a), look, NULL);
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  ck_assert_int_eq(n_calls, 1);
  called(0, a, 1.3);
  near(grad_of(w), 1.3 * 1.4, 1e-14);
  cg_tape_reset(tape);
  cg_leaf_zero_grad(w);
  a = cg_square(tape, w);
  ck_assert_int_eq(cg_backward(tape, a), CG_OK);
  ck_assert_int_eq(n_calls, 1);
  near(grad_of(w), 1.4, 1e-14);
}
END_TEST

/* A hook set before a mark outlives the windows of a training loop. */
START_TEST(kept_over_rewinds) {
  double two = 2;
  hook(w, scale, &two);
  cg_mark mark = cg_tape_mark(tape);
  for (int i = 0; i < 3; i++) {
    cg_leaf_zero_grad(w);
    cg_leaf_touch(w);
    ck_assert_int_eq(cg_backward(tape, cg_square(tape, w)), CG_OK);
    near(grad_of(w), 2.8, 1e-14);
    cg_tape_rewind(tape, mark);
  }
}
END_TEST

static cg_tensor *too_long(cg_tape *t, cg_tensor *x, cg_tensor *g,
                           void *context) {
  note(x, g, context);
  return cg_full(t, CG_F64, CG_DIMS(2), 1);
}

static cg_tensor *give_up(cg_tape *t, cg_tensor *x, cg_tensor *g,
                          void *context) {
  note(x, g, context);
  return cg_tape_fail(t, CG_ERR_NONFINITE, "my hook", "gradient %g",
                      cg_tensor_item(g));
}

START_TEST(errors_inside) {
  cg_hook_fn bad[] = {too_long, give_up};
  for (int i = 0; i < 4; i++) {
    cg_leaf_zero_grad(w);
    cg_scope_push(tape, "part");
    cg_tensor *a = cg_square(tape, w);
    cg_scope_pop(tape);
    cg_tensor *L = cg_mul(tape, a, v);
    hook(i < 2 ? a : w, bad[i % 2], NULL);
    ck_assert_int_ne(cg_backward(tape, L), CG_OK);
    if (i < 2) ck_assert_str_eq(cg_tape_error(tape)->scope, "part");
    if (i % 2)
      failed(tape, CG_ERR_NONFINITE, "my hook", "gradient 1");
    else
      failed(tape, CG_ERR_SHAPE, "hook", i ? "leaf" : "square");
    cg_tape_reset(tape);
    cg_tensor *y = cg_square(tape, w);
    ck_assert_int_eq(cg_backward(tape, y), CG_OK);
    near(grad_of(w), 1.4, 1e-14);
  }
}
END_TEST

START_TEST(bad_calls) {
  ck_assert_int_eq(cg_hook(NULL, w, look, NULL), CG_ERR_ARG);
  ck_assert_int_eq(cg_hook(tape, w, NULL, NULL), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hook", "NULL");
  ck_assert_int_eq(cg_hook(tape, NULL, look, NULL), CG_ERR_ARG);
  failed(tape, CG_ERR_ARG, "hook", "NULL");
  cg_tensor *c = cg_scalar(tape, CG_F64, 1);
  ck_assert_int_eq(cg_hook(tape, c, look, NULL), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "hook", "needs no gradient");
}
END_TEST

/* Many, set in no particular order. */
START_TEST(many) {
  enum { N = 15 };
  double factor[N];
  cg_tensor *x[N + 1];
  x[0] = cg_square(tape, w);
  for (int i = 0; i < N; i++) x[i + 1] = cg_mul(tape, x[i], v);
  for (int i = 0; i < N; i++) {
    int k = i * 7 % N;
    factor[k] = 1 + k / 16.0;
    hook(x[k], scale, &factor[k]);
  }
  ck_assert_int_eq(cg_backward(tape, x[N]), CG_OK);
  double g = 1;
  for (int k = N - 1; k >= 0; k--) {
    g *= 1.3;
    called(N - 1 - k, x[k], g);
    g *= factor[k];
  }
  near(grad_of(w), g * 1.4, 1e-12);
}
END_TEST

/* A hook that walks over what lies below, on the same tape. */
static cg_tensor *with_slope(cg_tape *t, cg_tensor *x, cg_tensor *g,
                             void *context) {
  note(x, g, context);
  cg_tensor *below = context, *d = NULL;
  cg_grad(t, &below, 1, NULL, &w, 1, &d, 0);
  return cg_add(t, g, d);
}

START_TEST(walk_in_a_hook) {
  cg_tensor *a = cg_square(tape, w), *b = cg_mul(tape, a, v);
  cg_tensor *L = cg_add(tape, cg_exp(tape, b), a);
  hook(b, with_slope, a);
  hook(w, look, NULL);
  ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  double gb = exp(0.49 * 1.3) + 1.4;
  called(1, w, 1.4); /* of the inner walk */
  called(2, w, (gb * 1.3 + 1) * 1.4);
  near(grad_of(w), (gb * 1.3 + 1) * 1.4, 1e-14);
  near(grad_of(v), gb * 0.49, 1e-14);
}
END_TEST

static cg_tensor *mark_here(cg_tape *t, cg_tensor *x, cg_tensor *g,
                            void *context) {
  (void)x, (void)g;
  *(cg_mark *)context = cg_tape_mark(t);
  return NULL;
}

/* Drops what a recorded walk has made since that, its gradients as well. */
static cg_tensor *go_back(cg_tape *t, cg_tensor *x, cg_tensor *g,
                          void *context) {
  (void)x, (void)g;
  ck_assert_int_eq(cg_tape_rewind(t, *(const cg_mark *)context), CG_OK);
  return NULL;
}

/* Also a rule that passes gy on as it is gives nothing that was dropped. */
START_TEST(rewind_in_a_hook) {
  cg_mark mark;
  cg_tensor *a = cg_add_scalar(tape, w, 2), *L = cg_mul(tape, a, a), *g;
  cg_tensor *L_again = cg_mul(tape, L, L);
  hook(L, mark_here, &mark);
  hook(a, go_back, &mark);
  cg_grad(tape, &L_again, 1, NULL, &w, 1, &g, CG_CREATE_GRAPH);
  ck_assert_int_eq(cg_tape_status(tape), CG_ERR_STALE);
  ck_assert_ptr_null(g);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, complete_gradients_newest_first);
  tcase_add_test(tc, replaced_in_order);
  tcase_add_test(tc, leaves_at_the_end);
  tcase_add_test(tc, leaf_that_was_modified);
  tcase_add_test(tc, functional);
  tcase_add_test(tc, recorded);
  tcase_add_test(tc, removed_by_rewind);
  tcase_add_test(tc, kept_over_rewinds);
  tcase_add_test(tc, errors_inside);
  tcase_add_test(tc, bad_calls);
  tcase_add_test(tc, many);
  tcase_add_test(tc, walk_in_a_hook);
  tcase_add_test(tc, rewind_in_a_hook);
  return run_case("hook", tc);
}
