/* test_nested.c - walks inside walks: a derivative rule that asks for
 * gradients on the tape that is being walked. */
#include "engine_test.h"

static cg_tape *tape;
static cg_tensor *w, *v;
static int options;      /* of the inner cg_grad */
static void (*inner)(void); /* what the rule does besides, or NULL */
static cg_tensor *middle; /* a node that both walks go over */

static void setup(void) {
  tape = cg_tape_new(NULL);
  w = scalar_leaf(0.7);
  v = scalar_leaf(1.3);
  options = 0;
  inner = NULL;
}

static void teardown(void) {
  cg_tape_free(tape);
  cg_leaf_free(w);
  cg_leaf_free(v);
}

/* y = x with a rule of its own: gx = gy * dx/dw. */
static cg_status spy_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return CG_OK;
}

static cg_status spy_forward(const cg_call *call, cg_tensor *out) {
  *(double *)cg_out_data(out) = cg_tensor_item(call->in[0]);
  return CG_OK;
}

static void spy_vjp(cg_vjp *vjp) {
  cg_tensor *x = cg_vjp_in(vjp, 0), *g = NULL;
  if (inner) inner();
  cg_grad(tape, &x, 1, NULL, &w, 1, &g, options);
  cg_vjp_give(vjp, 0, cg_mul(tape, cg_vjp_gy(vjp), g));
}

static const cg_op spy = {.name = "spy",
                          .min_in = 1,
                          .max_in = 1,
                          .infer = spy_infer,
                          .forward = spy_forward,
                          .vjp = spy_vjp};

/* L = spy(a) v + m with a = m w, m = w^2 v, and m used after spy as well, so
 * that m's sum is under way when the inner walk comes across it. */
static cg_tensor *loss(void) {
  cg_tensor *m = middle = cg_mul(tape, cg_square(tape, w), v);
  cg_tensor *a = cg_mul(tape, m, w);
  cg_tensor *s = cg_record(tape, &spy, &a, 1, NULL);
  return cg_add(tape, cg_mul(tape, s, v), cg_exp(tape, m));
}

/* With W = w, V = v: a = W^3 V, and through spy v counts v a'. */
static double want_w(double W, double V) {
  double da = 3 * W * W * V;
  return V * da * da + exp(W * W * V) * 2 * W * V;
}

static double want_v(double W, double V) {
  double da = 3 * W * W * V;
  return W * W * W * V + V * da * (W * W * W) + exp(W * W * V) * W * W;
}

static void check_backward(void) {
  ck_assert_int_eq(cg_backward(tape, loss()), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(w)), want_w(0.7, 1.3), 1e-14);
}

START_TEST(plain_in_plain) {
  check_backward();
  near(cg_tensor_item(cg_tensor_grad(v)), want_v(0.7, 1.3), 1e-14);
  fine(tape);
}
END_TEST

START_TEST(recorded_in_plain) {
  options = CG_CREATE_GRAPH;
  check_backward();
  near(cg_tensor_item(cg_tensor_grad(v)), want_v(0.7, 1.3), 1e-14);
}
END_TEST

START_TEST(in_functional) {
  cg_tensor *L = loss(), *in[] = {w, v, middle}, *g[3];
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, in, 3, g, 0), CG_OK);
  near(cg_tensor_item(g[0]), want_w(0.7, 1.3), 1e-14);
  near(cg_tensor_item(g[1]), want_v(0.7, 1.3), 1e-14);
  double da = 3 * 0.49 * 1.3;
  near(cg_tensor_item(g[2]), 1.3 * da * 0.7 + exp(0.49 * 1.3), 1e-14);
  ck_assert_ptr_null(cg_tensor_grad(w));
}
END_TEST

START_TEST(recorded_in_recorded) {
  options = CG_CREATE_GRAPH;
  cg_tensor *L = loss(), *g, *gg;
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, &w, 1, &g, CG_CREATE_GRAPH),
                   CG_OK);
  near(cg_tensor_item(g), want_w(0.7, 1.3), 1e-14);
  ck_assert_int_eq(cg_grad(tape, &g, 1, NULL, &w, 1, &gg, 0), CG_OK);
  double e = 1e-6;
  near(cg_tensor_item(gg),
       (want_w(0.7 + e, 1.3) - want_w(0.7 - e, 1.3)) / (2 * e), 1e-8);
}
END_TEST

/* A rule may also add to leaves, or only look at the order. */
static void add_to_leaves(void) {
  cg_tensor *seed = cg_scalar(tape, CG_F64, 10);
  cg_backward_from(tape, &middle, &seed, 1);
}

START_TEST(backward_in_backward) {
  inner = add_to_leaves;
  ck_assert_int_eq(cg_backward(tape, loss()), CG_OK);
  near(cg_tensor_item(cg_tensor_grad(w)), want_w(0.7, 1.3) + 10 * 2 * 0.7 * 1.3,
       1e-14);
  near(cg_tensor_item(cg_tensor_grad(v)), want_v(0.7, 1.3) + 10 * 0.49, 1e-14);
}
END_TEST

START_TEST(backward_in_functional) {
  inner = add_to_leaves;
  cg_tensor *L = loss(), *g;
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, &w, 1, &g, 0), CG_OK);
  near(cg_tensor_item(g), want_w(0.7, 1.3), 1e-14);
  near(cg_tensor_item(cg_tensor_grad(w)), 10 * 2 * 0.7 * 1.3, 1e-14);
}
END_TEST

static void sort_much(void) {
  cg_tensor *const *order;
  size_t count;
  ck_assert_int_eq(cg_tape_toposort(tape, middle, &order, &count), CG_OK);
  ck_assert_uint_eq(count, 2);
  ck_assert_ptr_eq(order[1], middle);
}

START_TEST(sort_in_backward) {
  inner = sort_much;
  check_backward();
}
END_TEST

static cg_tensor *side; /* of w, not of the loss */

static void sort_side(void) {
  cg_tensor *const *order;
  size_t count;
  ck_assert_int_eq(cg_tape_toposort(tape, side, &order, &count), CG_OK);
}

/* An input that gets nothing is told from one that is not used, whatever the
 * rules sorted last. */
START_TEST(unused_is_still_known) {
  inner = sort_side;
  cg_tensor *L = loss(), *g[2];
  side = cg_exp(tape, w);
  cg_tensor *in[] = {w, side};
  ck_assert_int_eq(cg_grad(tape, &L, 1, NULL, in, 2, g, CG_ALLOW_UNUSED),
                   CG_OK);
  near(cg_tensor_item(g[0]), want_w(0.7, 1.3), 1e-14);
  ck_assert_ptr_null(g[1]);
}
END_TEST

static cg_mark start;

static void go_back(void) { cg_tape_rewind(tape, start); }
static void drop_all(void) { cg_tape_reset(tape); }

START_TEST(rewinding_the_walk_is_refused) {
  start = cg_tape_mark(tape);
  inner = go_back;
  cg_tensor *L = loss();
  ck_assert_int_eq(cg_backward(tape, L), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_rewind", "a walk is running");
  inner = drop_all;
  ck_assert_int_eq(cg_backward(tape, L), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "tape_rewind", "a walk is running");
  inner = NULL;
  ck_assert_int_eq(cg_tape_rewind(tape, start), CG_OK);
  cg_leaf_zero_grad(w);
  check_backward();
}
END_TEST

/* What the rule records for itself, it may drop. */
static void own_part(void) {
  cg_mark mark = cg_tape_mark(tape);
  ck_assert_ptr_nonnull(cg_tape_alloc(tape, 100));
  ck_assert_int_eq(cg_tape_rewind(tape, mark), CG_OK);
}

START_TEST(own_part_may_be_dropped) {
  inner = own_part;
  check_backward();
}
END_TEST

/* A hook that leads to itself is an error, not the end of the stack. */
static cg_tensor *hook_again(cg_tape *on, cg_tensor *x, cg_tensor *g,
                             void *context) {
  (void)context;
  cg_tensor *again;
  cg_grad(on, &x, 1, &g, &w, 1, &again, 0);
  return NULL;
}

START_TEST(endless_nesting_is_refused) {
  start = cg_tape_mark(tape);
  cg_tensor *L = loss();
  ck_assert_int_eq(cg_hook(tape, middle, hook_again, NULL), CG_OK);
  ck_assert_int_eq(cg_backward(tape, L), CG_ERR_STATE);
  failed(tape, CG_ERR_STATE, "grad", "64 walks are running inside each other");
  cg_tape_rewind(tape, start);
  inner = NULL;
  cg_leaf_zero_grad(w);
  cg_leaf_zero_grad(v);
  check_backward();
}
END_TEST

static void fail_inside(void) {
  cg_tensor *two = cg_full(tape, CG_F64, CG_DIMS(2), 1);
  cg_tensor *three = cg_full(tape, CG_F64, CG_DIMS(3), 1);
  cg_add(tape, two, three);
}

START_TEST(error_in_inner_walk) {
  inner = fail_inside;
  start = cg_tape_mark(tape);
  ck_assert_int_eq(cg_backward(tape, loss()), CG_ERR_SHAPE);
  failed(tape, CG_ERR_SHAPE, "add", "[2] and [3]");
  cg_tape_rewind(tape, start);
  inner = NULL;
  cg_leaf_zero_grad(w);
  check_backward();
}
END_TEST

/* Warm walks ask the system for nothing. */
START_TEST(no_allocation_when_warm) {
  start = cg_tape_mark(tape);
  for (int i = 0; i < 5; i++) {
    size_t before = cg_tape_get_stats(tape).system_allocs;
    ck_assert_int_eq(cg_backward(tape, loss()), CG_OK);
    size_t after = cg_tape_get_stats(tape).system_allocs;
    if (i > 1) ck_assert_uint_eq(after, before);
    cg_tape_rewind(tape, start);
  }
}
END_TEST

/* Every allocation fails once. */
START_TEST(allocation_fails) {
  counter c;
  counter_init(&c);
  cg_tape *mine = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  size_t calls = c.calls;
  cg_tape_free(mine);
  bool ok = false;
  for (size_t n = calls + 1; !ok; n++) {
    counter_init(&c);
    c.fail_at = n;
    cg_tape *was = tape;
    tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    cg_leaf_zero_grad(w);
    cg_status status = cg_backward(tape, loss());
    ok = c.calls < n;
    ck_assert(status == CG_ERR_NOMEM || status == CG_OK);
    if (ok) ck_assert_int_eq(status, CG_OK);
    cg_tape_free(tape);
    tape = was;
    ck_assert_uint_eq(c.live_blocks, 0);
  }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, plain_in_plain);
  tcase_add_test(tc, recorded_in_plain);
  tcase_add_test(tc, in_functional);
  tcase_add_test(tc, recorded_in_recorded);
  tcase_add_test(tc, backward_in_backward);
  tcase_add_test(tc, backward_in_functional);
  tcase_add_test(tc, sort_in_backward);
  tcase_add_test(tc, unused_is_still_known);
  tcase_add_test(tc, rewinding_the_walk_is_refused);
  tcase_add_test(tc, own_part_may_be_dropped);
  tcase_add_test(tc, endless_nesting_is_refused);
  tcase_add_test(tc, error_in_inner_walk);
  tcase_add_test(tc, no_allocation_when_warm);
  tcase_add_test(tc, allocation_fails);
  return run_case("nested", tc);
}
