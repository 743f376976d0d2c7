/* test_checkpoint_refused.c - functions of recompute segments that do what they
 * must not, and what is said about it. */
#include "checkpoint_test.h"

START_TEST(bad_arguments) {
  cg_tensor *o[2] = {X, X};
  ck_assert_int_eq(cg_checkpoint(NULL, layers, NULL, 0, &X, 1, o, 1),
                   CG_ERR_ARG);
  cg_checkpoint(tape, NULL, NULL, 0, &X, 1, o, 1);
  ck_assert_ptr_null(o[0]);
  failed(tape, CG_ERR_ARG, "checkpoint", "missing");
  cg_checkpoint(tape, layers, NULL, 8, &X, 1, o, 1);
  failed(tape, CG_ERR_ARG, "checkpoint", "missing");
  cg_checkpoint(tape, layers, NULL, 0, NULL, 1, o, 1);
  failed(tape, CG_ERR_ARG, "checkpoint", "missing");
  cg_checkpoint(tape, layers, NULL, 0, &X, 1, NULL, 1);
  failed(tape, CG_ERR_ARG, "checkpoint", "missing");
  cg_checkpoint(tape, layers, NULL, 0, &X, 1, o, 0);
  failed(tape, CG_ERR_ARG, "checkpoint", "missing");
  cg_tensor *nothing = NULL;
  cg_checkpoint(tape, layers, NULL, 0, &nothing, 1, o, 1);
  failed(tape, CG_ERR_ARG, "checkpoint", "operand 0 is NULL");
  cg_tape *other = cg_tape_new(NULL);
  cg_tensor *foreign = cg_scalar(other, CG_F64, 1.7);
  cg_checkpoint(tape, layers, NULL, 0, &foreign, 1, o, 1);
  failed(tape, CG_ERR_STALE, "checkpoint", "does not live on this tape");
  cg_tape_free(other);
  ck_assert_int_eq(runs, 0);
}
END_TEST

typedef struct fault {
  int kind, at;  /* of misbehaviour, and the first run that shows it */
  int *run;
  cg_tensor *extra;
  cg_mark *mark;
} fault;

enum {
  LEAVES_NULL,
  FAILS,
  GIVES_FOREIGN,
  GIVES_STALE,
  OTHER_VALUES,
  OTHER_SHAPE,
  OTHER_TYPE,
  FROM_OUTSIDE,
  NO_GRADIENT,
  USES_MORE,
  USES_LEAF,
  ONE_FOR_TWO,
  REWINDS,
  RESETS,
  WALKS,
  HOOKS
};

static cg_tensor *no_change(cg_tape *t, cg_tensor *x, cg_tensor *g, void *c) {
  (void)t, (void)x, (void)g, (void)c;
  return NULL;
}

static void misbehave(cg_tape *t, const fault *f, cg_tensor *x, cg_tensor *y,
                      cg_tensor **out) {
  switch (f->kind) {
    case LEAVES_NULL: out[0] = NULL; break;
    case FAILS: out[0] = cg_matmul(t, X, X); break;
    case GIVES_FOREIGN:
    case GIVES_STALE:
    case FROM_OUTSIDE: out[0] = f->extra; break;
    case OTHER_VALUES: out[0] = cg_mul_scalar(t, y, 1 + 1e-15); break;
    case OTHER_SHAPE: out[0] = cg_transpose(t, y, 0, 1); break;
    case OTHER_TYPE: out[0] = cg_cast(t, y, CG_F32); break;
    case NO_GRADIENT: out[0] = cg_detach(t, y); break;
    case USES_MORE:
      out[0] = cg_add(t, y, cg_mul_scalar(t, f->extra, 0));
      break;
    case USES_LEAF: out[0] = cg_add(t, y, cg_mul_scalar(t, W2, 0)); break;
    case ONE_FOR_TWO: out[1] = out[0]; break;
    case REWINDS: cg_tape_rewind(t, *f->mark); break;
    case RESETS: cg_tape_reset(t); break;
    case WALKS: cg_backward(t, cg_sum_all(t, y)); break;
    case HOOKS: cg_hook(t, x, no_change, NULL); break;
  }
}

static void faulty(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                   int n_out, void *context) {
  (void)n_in;
  const fault *f = context;
  cg_tensor *y = cg_exp(t, cg_mul(t, in[0], S));
  out[0] = cg_tanh(t, y);
  if (n_out > 1) out[1] = cg_tanh(t, y);
  if (++*f->run >= f->at) misbehave(t, f, in[0], out[0], out);
}

/* Has the fault show in run `at`; true if there was no error. A 5x5 input. */
static cg_status run_fault(int kind, int at, cg_tensor *extra) {
  int run = 0;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *x = cg_square(tape, W2), *o[2];
  cg_tensor *before = cg_sin(tape, x);
  fault f = {kind, at, &run, extra ? extra : before, &mark};
  cg_scope_push(tape, "part");
  cg_checkpoint(tape, faulty, &f, sizeof f, &x, 1, o, 2);
  cg_scope_pop(tape);
  cg_tensor *loss = sum_of_squares(cg_mul(tape, o[0], o[1]));
  if (cg_tape_status(tape)) {
    ck_assert_ptr_null(o[0]);
    ck_assert_ptr_null(o[1]);
  } else {
    cg_backward(tape, loss);
  }
  ck_assert_int_eq(run, at);
  ck_assert_int_eq(cg_tape_status(tape), cg_tape_error(tape)->status);
  return cg_tape_status(tape);
}

START_TEST(functions_that_misbehave) {
  cg_tape *other = cg_tape_new(NULL);
  cg_tensor *foreign = cg_full(other, CG_F64, CG_DIMS(D, D), 1.7);
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *stale = cg_square(tape, W2);
  cg_tape_rewind(tape, mark);
  for (int at = 1; at <= 2; at++) {
    run_fault(LEAVES_NULL, at, NULL);
    failed(tape, CG_ERR_ARG, "checkpoint", "left output 0 NULL");
    run_fault(GIVES_FOREIGN, at, foreign);
    failed(tape, CG_ERR_STALE, "checkpoint", "does not live on this tape");
    run_fault(REWINDS, at, NULL);
    failed(tape, CG_ERR_STATE, "tape_rewind", "cg_checkpoint needs it");
    run_fault(RESETS, at, NULL);
    failed(tape, CG_ERR_STATE, "tape_rewind", "cg_checkpoint needs it");
    run_fault(WALKS, at, NULL);
    failed(tape, CG_ERR_STATE, "backward", "use cg_grad there");
    run_fault(HOOKS, at, NULL);
    failed(tape, CG_ERR_STATE, "checkpoint", "a hook was set inside");
    run_fault(FAILS, at, NULL);
    failed(tape, CG_ERR_SHAPE, "matmul", "[3, 5] times [3, 5]");
  }
  run_fault(GIVES_STALE, 1, stale);
  failed(tape, CG_ERR_STALE, "checkpoint", "does not live on this tape");
  cg_tape_free(other);
}
END_TEST

START_TEST(functions_that_change) {
  static const struct {
    int kind;
    const char *what;
  } c[] = {{OTHER_VALUES, "gave other values for output 0"},
           {OTHER_SHAPE, "other values"}, /* [5, 5] transposed */
           {OTHER_TYPE, "another type or shape"},
           {FROM_OUTSIDE, "a tensor from outside for output 0"},
           {NO_GRADIENT, "another need of a gradient"},
           {USES_MORE, "used a result of sin that it did not use"},
           {ONE_FOR_TWO, "the tensor of another one for output 1"}};
  for (int i = 0; i < N_OF(c); i++) {
    run_fault(c[i].kind, 2, NULL);
    ck_assert_str_eq(cg_tape_error(tape)->scope, "part");
    failed(tape, CG_ERR_STALE, "checkpoint", c[i].what);
    cg_tape_reset(tape);
  }
  int run = 0; /* a leaf that the tape has not met */
  fault f = {USES_LEAF, 2, &run, NULL, NULL};
  cg_tensor *x = cg_linear(tape, W0, W1, NULL), *o[2];
  cg_checkpoint(tape, faulty, &f, sizeof f, &x, 1, o, 2);
  cg_backward(tape, sum_of_squares(cg_mul(tape, o[0], o[1])));
  failed(tape, CG_ERR_STALE, "checkpoint",
         "used W2, which it did not at first");
}
END_TEST

/* An op's own error is the error; the interior is dropped, the tape goes on. */
static void fails(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  cg_scope_push(t, "inside");
  out[0] = cg_matmul(t, cg_tanh(t, in[0]), in[0]);
}

START_TEST(failing_function) {
  cg_tensor *y = cg_sin(tape, X), *o;
  cg_tape_stats before = cg_tape_get_stats(tape);
  ck_assert_int_eq(cg_checkpoint(tape, fails, NULL, 0, &y, 1, &o, 1),
                   CG_ERR_SHAPE);
  ck_assert_ptr_null(o);
  ck_assert_str_eq(cg_tape_error(tape)->scope, "inside");
  failed(tape, CG_ERR_SHAPE, "matmul", "[3, 5] times [3, 5]");
  ck_assert_uint_eq(cg_tape_get_stats(tape).nodes, before.nodes);
  ck_assert_int_eq(cg_backward(tape, cg_sum_all(tape, y)), CG_OK);
}
END_TEST

START_TEST(modified_leaf) {
  cg_scope_push(tape, "net");
  cg_tensor *y = segment1(layers, X);
  cg_scope_pop(tape);
  cg_tensor *loss = sum_of_squares(y), *g;
  cg_leaf_touch(W2); /* nobody used it */
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  cg_leaf_touch(W1);
  cg_backward(tape, loss);
  ck_assert_str_eq(cg_tape_error(tape)->scope, "net");
  failed(tape, CG_ERR_STALE, "checkpoint",
         "with W1 [5, 5] as it was, but it was modified since");
  cg_grad(tape, &loss, 1, NULL, &S, 1, &g, 0);
  failed(tape, CG_ERR_STALE, "checkpoint", "W1");
  cg_tape_reset(tape);
  ck_assert_int_eq(cg_backward(tape, sum_of_squares(segment1(layers, X))),
                   CG_OK);
}
END_TEST

/* Numbers that go on instead of being replayed. */
static void undecided(cg_tape *t, cg_tensor *const *in, int n_in,
                      cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out;
  out[0] = cg_dropout(t, in[0], 0.5, context);
}

START_TEST(numbers_that_do_not_replay) {
  cg_rng rng = cg_rng_seed(12);
  cg_tensor *y;
  cg_checkpoint(tape, undecided, &rng, 0, &W0, 1, &y, 1);
  cg_backward(tape, sum_of_squares(y));
  failed(tape, CG_ERR_STALE, "checkpoint", "gave other values");
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, bad_arguments);
  tcase_add_test(tc, functions_that_misbehave);
  tcase_add_test(tc, functions_that_change);
  tcase_add_test(tc, failing_function);
  tcase_add_test(tc, modified_leaf);
  tcase_add_test(tc, numbers_that_do_not_replay);
  return run_case("checkpoint_refused", tc);
}
