/* test_slot.c - the gradient of a tensor that is used in parts: whatever the
 * order in which the parts come, and whether some never come. */
#include "engine_test.h"

enum { T = 5, N = 3 };

static counter memory; /* whose blocks are full of other things than zeros */
static cg_tape *tape;
static double weight[4 * T]; /* of the k-th use */

static void setup(void) {
  counter_init(&memory);
  tape = cg_tape_new(&(cg_tape_options){.allocator = &memory.allocator});
  ck_assert_ptr_nonnull(tape);
  cg_rng rng = cg_rng_seed(23);
  for (int i = 0; i < N_OF(weight); i++) weight[i] = cg_rng_normal(&rng);
}

static void teardown(void) {
  cg_tape_free(tape);
  ck_assert_uint_eq(memory.live_blocks, 0);
}

/* Rows in the order of their use; a walk meets the last one first. -1 uses all
 * of x, 10 + r rows r and r + 1, 20 + j column j, 30 + j columns j and
 * j + 1. */
static const int uses[][8] = {
    {0, 1, 2, 3, 4, -2},     /* a time loop */
    {4, 3, 2, 1, 0, -2},     /* the other way */
    {0, 2, 3, -2},           /* with gaps */
    {1, 2, -2},              /* and ends */
    {0, 1, 2, 2, 3, 4, -2},  /* one twice */
    {0, -1, 3, 4, -2},       /* all of it in between */
    {-1, 0, 1, 2, 3, 4, -2}, /* before */
    {0, 1, 2, 3, 4, -1, -2}, /* behind */
    {10, 2, 13, -2},         /* several rows */
    {11, 12, 13, -2},        /* that overlap */
    {20, 3, 4, 21, -2},      /* columns */
    {20, 21, 22, -2},
    {22, 21, 20, -2},
    {20, 22, -2},
    {1, 22, -2}, /* a row before a column */
    {21, -2},
    {30, 22, -2},
    {20, 31, -2},
    {30, 31, -2},
    {21, -1, 20, -2},
    {4, -2},
    {0, -2},
};

static cg_tensor *use(cg_tensor *x, int what) {
  if (what == -1) return x;
  if (what >= 30) return cg_narrow(tape, x, 1, what - 30, 2);
  if (what >= 20) return cg_select(tape, x, 1, what - 20);
  if (what >= 10) return cg_narrow(tape, x, 0, what - 10, 2);
  return cg_select(tape, x, 0, what);
}

static bool is_used(int what, int row, int column) {
  if (what == -1) return true;
  if (what >= 30) return column == what - 30 || column == what - 29;
  if (what >= 20) return column == what - 20;
  if (what >= 10) return row == what - 10 || row == what - 9;
  return row == what;
}

/* sum_k weight[k] sum (part k of x)^2, with dL/dx in `want`. */
static cg_tensor *loss_of(cg_tensor *x, const int *list, double *want) {
  cg_tensor *loss = NULL;
  memset(want, 0, sizeof(double) * T * N);
  for (int k = 0; list[k] != -2; k++) {
    cg_tensor *part = cg_sum_all(tape, cg_square(tape, use(x, list[k])));
    part = cg_mul_scalar(tape, part, weight[k]);
    loss = loss ? cg_add(tape, loss, part) : part;
    for (int i = 0; i < T * N; i++)
      if (is_used(list[k], i / N, i % N))
        want[i] += 2 * weight[k] * cg_tensor_get(x, i);
  }
  return loss;
}

static cg_tensor *leaf(void) {
  double v[T * N];
  for (int i = 0; i < T * N; i++) v[i] = 0.385 + 0.7 * i;
  return leaf_of(v, CG_DIMS(T, N));
}

START_TEST(parts_in_any_order) {
  double want[T * N], scaled[T * N];
  cg_tensor *w = leaf(), *x = cg_mul_scalar(tape, w, -1.5), *g;
  cg_tensor *loss = loss_of(x, uses[_i], want);
  for (int i = 0; i < T * N; i++) scaled[i] = -1.5 * want[i];
  ck_assert_int_eq(cg_retain_grad(tape, x), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_all(cg_tensor_grad(x), want, T * N, 1e-13);
  near_all(cg_tensor_grad(w), scaled, T * N, 1e-13);
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &x, 1, &g, options), CG_OK);
    near_all(g, want, T * N, 1e-13);
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &w, 1, &g, options), CG_OK);
    near_all(g, scaled, T * N, 1e-13);
  }
  cg_leaf_free(w);
}
END_TEST

/* The parts of a leaf itself. */
START_TEST(parts_of_a_leaf) {
  double want[T * N];
  cg_tensor *w = leaf(), *g;
  cg_tensor *loss = loss_of(w, uses[_i], want);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_all(cg_tensor_grad(w), want, T * N, 1e-13);
  ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &w, 1, &g, 0), CG_OK);
  near_all(g, want, T * N, 1e-13);
  cg_leaf_free(w);
}
END_TEST

static cg_tensor *look(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  (void)t;
  (void)x;
  cg_tensor_read(g, context, sizeof(double) * T * N);
  return NULL;
}

START_TEST(a_hook_sees_zeros_where_nothing_came) {
  double want[T * N], seen[T * N];
  cg_tensor *w = leaf(), *x = cg_mul_scalar(tape, w, -1.5);
  cg_tensor *loss = loss_of(x, uses[_i], want);
  ck_assert_int_eq(cg_hook(tape, x, look, seen), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int i = 0; i < T * N; i++) near(seen[i], want[i], 1e-13);
  cg_leaf_free(w);
}
END_TEST

/* ---- gradients that are given in pieces ---- */

/* What is put together; other uses of the operands have their turn in a walk
 * when the pieces were given. */
static const int joined[][8] = {
    {0, 1, 2, 3, 4, -2}, {4, 2, 0, -2}, {1, 1, -2}, {0, 1, 0, 2, 2, -2}, {3, -2},
};

/* sum_i weight[i] sum x_i^2 + 0.5 sum y^2 for y = x's of `list` put together,
 * with dL/dx in `want`, and dL/dy for the k-th of the list y itself. */
static cg_tensor *joined_loss(cg_tensor *const *x, const int *list, int how,
                              cg_tensor **y, double *want) {
  cg_tensor *in[8], *loss = cg_scalar(tape, CG_F64, 0);
  int n = 0;
  for (int i = 0; i < T; i++) {
    cg_tensor *part = cg_sum_all(tape, cg_square(tape, x[i]));
    loss = cg_add(tape, loss, cg_mul_scalar(tape, part, weight[i]));
    for (int k = 0; k < N; k++)
      want[i * N + k] = 2 * weight[i] * cg_tensor_get(x[i], k);
  }
  for (; list[n] != -2; n++) {
    in[n] = x[list[n]];
    for (int k = 0; k < N; k++)
      want[list[n] * N + k] += cg_tensor_get(in[n], k);
  }
  *y = how ? cg_concat(tape, in, n, 0) : cg_stack(tape, in, n, 0);
  cg_tensor *half = cg_mul_scalar(tape, cg_square(tape, *y), 0.5);
  return cg_add(tape, loss, cg_sum_all(tape, half));
}

static void same_values(const cg_tensor *g, const cg_tensor *y) {
  for (int64_t i = 0; i < cg_tensor_numel(y); i++)
    near(cg_tensor_get(g, i), cg_tensor_get(y, i), 1e-15);
}

START_TEST(pieces_are_summed_up_where_they_lie) {
  double want[T * N];
  cg_tensor *w = leaf(), *x[T], *y, *g[1 + T];
  const bool retain = _i & 1;
  for (int i = 0; i < T; i++)
    g[1 + i] = x[i] = cg_exp(tape, cg_select(tape, w, 0, i));
  cg_tensor *loss =
      joined_loss(x, joined[_i / 4], _i & 2, &y, want);
  if (retain) ck_assert_int_eq(cg_retain_grad(tape, y), CG_OK);
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    cg_tensor *in[1 + T] = {y};
    for (int i = 0; i < T; i++) in[1 + i] = x[i];
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, in, 1 + T, g, options),
                     CG_OK);
    same_values(g[0], y);
    for (int i = 0; i < T; i++) near_all(g[1 + i], want + i * N, N, 1e-14);
  }
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  if (retain) same_values(cg_tensor_grad(y), y);
  for (int i = 0; i < T; i++)
    for (int k = 0; k < N; k++) want[i * N + k] *= cg_tensor_get(x[i], k);
  near_all(cg_tensor_grad(w), want, T * N, 1e-14);
  cg_leaf_free(w);
}
END_TEST

/* Parts of a gradient that overlap are no pieces. */
START_TEST(parts_that_overlap_are_summed_up_elsewhere) {
  const int64_t starts[2] = {0, 1};
  cg_tensor *w = leaf(), *x[2], *loss = cg_scalar(tape, CG_F64, 0), *g[2];
  for (int i = 0; i < 2; i++)
    x[i] = cg_exp(tape, cg_narrow(tape, w, 0, i, 3));
  for (int i = 0; i < 2; i++)
    loss = cg_add(tape, loss, cg_sum_all(tape, cg_square(tape, x[i])));
  cg_tensor *y = cg_sum_slices(tape, x, starts, 2, 0, CG_DIMS(4, N));
  cg_tensor *half = cg_mul_scalar(tape, cg_square(tape, y), 0.5);
  loss = cg_add(tape, loss, cg_sum_all(tape, half));
  ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, x, 2, g, 0), CG_OK);
  for (int i = 0; i < 2; i++)
    for (int k = 0; k < 3 * N; k++)
      near(cg_tensor_get(g[i], k),
           2 * cg_tensor_get(x[i], k) + cg_tensor_get(y, i * N + k), 1e-15);
  cg_leaf_free(w);
}
END_TEST

/* Nor is anything added to a seed, or to what two of them share. */
START_TEST(what_is_not_alone_is_left_alone) {
  cg_tensor *w = leaf(), *x = cg_exp(tape, w), *in[2] = {x, x}, *list[2];
  cg_tensor *squares = cg_square(tape, x), *y = cg_concat(tape, in, 2, 0);
  cg_tensor *seeds[2] = {cg_full(tape, CG_F64, CG_DIMS(2 * T, N), 0.5),
                         cg_full(tape, CG_F64, CG_DIMS(T, N), 2)};
  list[0] = y;
  list[1] = squares;
  ck_assert_int_eq(cg_backward_from(tape, list, seeds, 2), CG_OK);
  for (int i = 0; i < 2 * T * N; i++)
    near(cg_tensor_get(seeds[0], i), 0.5, 0);
  for (int i = 0; i < T * N; i++) {
    const double e = cg_tensor_get(x, i);
    near(cg_tensor_get(seeds[1], i), 2, 0);
    near(cg_tensor_get(cg_tensor_grad(w), i), e * (1 + 4 * e), 1e-15);
  }
  cg_leaf_free(w);
}
END_TEST

/* ---- tracers, which look at all of it ---- */

/* Rows so wide that gradients with all of them are in blocks of their own. */
enum { WIDE = 300 };

static void *nan_alloc(void *context, size_t size) {
  void *p = counter_alloc(context, size);
  return p ? memset(p, 0xFF, size) : NULL;
}

static cg_tensor *trace_now(cg_tape *t, cg_tensor *x, cg_tensor *g, void *on) {
  (void)x;
  (void)g;
  cg_tape_trace_nonfinite(t, *(bool *)on);
  return NULL;
}

/* What a walk from -0 gives to w, by way of a row of x, and to u, of which a
 * row is used; traced from the beginning, or from where the row of x has had
 * its turn, or not at all. */
static void trace_row(bool begin, bool then, double g[2][T * WIDE]) {
  const double v[T * WIDE] = {2.385}, minus = -0.0;
  cg_tensor *w = leaf_of(v, CG_DIMS(T, WIDE)), *grads[2];
  cg_tensor *u = leaf_of(v, CG_DIMS(T, WIDE));
  cg_tensor *x = cg_mul_scalar(tape, w, 1.5);
  cg_tensor *y = cg_select(tape, u, 0, 2), *z = cg_select(tape, x, 0, 1);
  cg_tensor *loss = cg_sum_all(tape, cg_add(tape, y, z));
  cg_tensor *seed = cg_input(tape, CG_F64, 0, NULL, &minus);
  ck_assert_int_eq(cg_hook(tape, y, trace_now, &then), CG_OK);
  cg_tape_trace_nonfinite(tape, begin);
  cg_grad(tape, &loss, 1, &seed, (cg_tensor *[]){w, u}, 2, grads, 0);
  fine(tape);
  for (int k = 0; k < 2; k++)
    ck_assert_int_eq(cg_tensor_read(grads[k], g[k], sizeof g[k]), CG_OK);
  cg_leaf_free(w);
  cg_leaf_free(u);
}

START_TEST(a_tracer_sees_zeros_where_nothing_came) {
  static double none[2][T * WIDE], some[2][T * WIDE];
  for (int how = 0; how < 4; how++) {
    cg_tape_free(tape);
    memory.allocator.alloc = nan_alloc;
    tape = cg_tape_new(&(cg_tape_options){.allocator = &memory.allocator});
    trace_row(how & 2, how & 1, how ? some : none);
    if (how) ck_assert_mem_eq(none, some, sizeof none);
  }
  ck_assert(signbit(none[0][WIDE]) && !signbit(none[0][0]));
  ck_assert(signbit(none[1][2 * WIDE]) && !signbit(none[1][0]));
}
END_TEST

/* ---- rules that read no more than they must ---- */

/* y = x, by a rule that reads gy's head along `axis`, and all of gy besides if
 * `whole`. */
static struct {
  int axis;
  int64_t unit, length; /* of the head */
  bool whole;
} head;

static void head_vjp(cg_vjp *v) {
  cg_tensor *g = cg_vjp_gy_head(v, head.axis, head.unit);
  head.length = cg_tensor_dim(g, head.axis);
  cg_vjp_give_narrow(v, 0, g, head.axis, 0);
  if (head.whole) cg_vjp_give(v, 0, cg_vjp_gy(v));
}

static const cg_op head_op = {.name = "head", .min_in = 1, .max_in = 1,
                              .infer = identity_infer,
                              .forward = identity_forward,
                              .vjp = head_vjp};

START_TEST(a_head_has_all_that_is_not_zero) {
  double want[T * N];
  cg_tensor *w = leaf(), *x = cg_mul_scalar(tape, w, 1), *g;
  cg_tensor *y = cg_record(tape, &head_op, &x, 1, NULL);
  cg_tensor *loss = loss_of(y, uses[_i], want);
  for (int how = 0; how < 24; how++) {
    head.axis = how & 1;
    head.whole = how & 2;
    head.unit = 1 + how / 8;
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &w, 1, &g,
                             how & 4 ? CG_CREATE_GRAPH : 0), CG_OK);
    for (int i = 0; i < T * N; i++)
      near(cg_tensor_get(g, i), (head.whole ? 2 : 1) * want[i], 1e-13);
    if (how & 4) ck_assert_int_eq(head.length, head.axis ? N : T);
  }
  cg_leaf_free(w);
}
END_TEST

/* Uses of y, how its head is asked for, and how long that is. */
static const struct {
  int uses[4], axis;
  int64_t unit, length;
} heads[] = {
    {{20, -2}, 1, 1, 1},     {{20, -2}, 1, 2, 2},     {{20, -2}, 1, 3, 3},
    {{21, -2}, 1, 1, 2},     {{20, 21, -2}, 1, 1, 2}, {{21, 20, -2}, 1, 1, 2},
    {{30, -2}, 1, 1, 2},     {{22, -2}, 1, 1, 3},     {{20, 22, -2}, 1, 1, 3},
    {{20, -1, -2}, 1, 1, 3}, {{20, 20, -2}, 1, 1, 3}, {{20, -2}, 0, 1, T},
    {{20, -2}, 1, 0, 3},     {{0, 1, -2}, 0, 1, 2},   {{2, -2}, 0, 4, 4},
    {{10, -2}, 1, 1, 3},     {{20, -2}, 1, 9, 3},
    {{21, -2}, 1, INT64_MAX, 3},
};

START_TEST(a_head_is_as_short_as_its_parts_allow) {
  double want[T * N];
  cg_tensor *w = leaf(), *all, *g;
  all = cg_sum_all(tape, cg_square(tape, cg_exp(tape, w)));
  ck_assert_int_eq(cg_grad(tape, &all, 1, NULL, &w, 1, &g, 0), CG_OK);
  /* Memory for gradients now has other numbers in it. */
  cg_tensor *y = cg_record(tape, &head_op, &w, 1, NULL);
  head.axis = heads[_i].axis;
  head.unit = heads[_i].unit;
  head.whole = false;
  cg_tensor *loss = loss_of(y, heads[_i].uses, want);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  ck_assert_int_eq(head.length, heads[_i].length);
  near_all(cg_tensor_grad(w), want, T * N, 1e-13);
  cg_leaf_free(w);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, parts_in_any_order, 0, N_OF(uses));
  tcase_add_loop_test(tc, parts_of_a_leaf, 0, N_OF(uses));
  tcase_add_loop_test(tc, a_hook_sees_zeros_where_nothing_came, 0, N_OF(uses));
  tcase_add_loop_test(tc, pieces_are_summed_up_where_they_lie, 0,
                      4 * N_OF(joined));
  tcase_add_test(tc, parts_that_overlap_are_summed_up_elsewhere);
  tcase_add_test(tc, what_is_not_alone_is_left_alone);
  tcase_add_test(tc, a_tracer_sees_zeros_where_nothing_came);
  tcase_add_loop_test(tc, a_head_has_all_that_is_not_zero, 0, N_OF(uses));
  tcase_add_loop_test(tc, a_head_is_as_short_as_its_parts_allow, 0,
                      N_OF(heads));
  return run_case("slot", tc);
}
