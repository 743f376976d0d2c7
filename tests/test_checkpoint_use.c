/* test_checkpoint_use.c - recompute segments in use: higher derivatives,
 * memory, and those who look at a tape. */
#include <unistd.h>

#include "checkpoint_test.h"

static void two_deep(cg_tape *t, cg_tensor *const *in, int n_in,
                     cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  out[1] = segment1(layers, in[0]);
  out[0] = cg_mul(t, segment1(layers, out[1]), out[1]);
}

/* ---- higher derivatives ---- */

static cg_tensor *checked(cg_tape *t, cg_tensor *const *in, int n,
                          void *context) {
  cg_tensor *o[2], *x = cg_mul(t, in[0], in[1]);
  (void)n, (void)context;
  cg_checkpoint(t, two_deep, NULL, 0, &x, 1, o, 2);
  return cg_add(t, cg_sin(t, o[0]), o[1]);
}

START_TEST(gradchecks) {
  cg_gradcheck_report r;
  cg_tensor *in[] = {X, S};
  ck_assert_int_eq(cg_gradcheck(tape, checked, in, 2, NULL, NULL, &r), CG_OK);
  ck_assert(r.passed);
  ck_assert_int_eq(cg_gradgradcheck(tape, checked, in, 2, NULL, NULL, &r),
                   CG_OK);
  ck_assert(r.passed);
}
END_TEST

/* Gradients of any order of a net of three segments, one of them nested. */
static cg_tensor *net(void) {
  cg_tensor *o[2], *y = segment1(layers, X);
  segment(two_deep, NULL, 0, &y, 1, o, 2);
  return cg_sum_all(tape, cg_mul(tape, cg_sin(tape, cg_add(tape, o[0], y)),
                                 cg_add(tape, o[1], y)));
}

static void derive(double *to, int *n) {
  cg_tensor *in[] = {X, W0, S}, *g[3], *gg[3], *ggg[3], *hv[3];
  cg_tensor *v[] = {cg_sin(tape, X), cg_cos(tape, W1), S};
  cg_tensor *loss = net();
  cg_grad(tape, &loss, 1, NULL, in, 3, g, CG_CREATE_GRAPH);
  cg_tensor *norm = cg_add(tape, sum_of_squares(g[0]), sum_of_squares(g[1]));
  cg_grad(tape, &norm, 1, NULL, in, 3, gg, CG_CREATE_GRAPH);
  cg_tensor *more = cg_add(tape, sum_of_squares(gg[1]), loss);
  cg_grad(tape, &more, 1, NULL, in, 3, ggg, 0);
  cg_hvp(tape, loss, in, v, 3, hv, 0);
  fine(tape);
  *n = 0;
  for (int j = 0; j < 3; j++)
    for (int i = 0; i < cg_tensor_numel(in[j]); i++) {
      to[(*n)++] = cg_tensor_get(g[j], i);
      to[(*n)++] = cg_tensor_get(gg[j], i);
      to[(*n)++] = cg_tensor_get(ggg[j], i);
      to[(*n)++] = cg_tensor_get(hv[j], i);
    }
  cg_backward(tape, norm); /* over what was recorded, into leaves */
  fine(tape);
  for (int i = 0; i < D * D; i++)
    to[(*n)++] = cg_tensor_get(cg_tensor_grad(W0), i);
}

START_TEST(higher_orders) {
  double with[400], without[400];
  cg_leaf_fill(S, 2.385);
  int n, m;
  derive(with, &n);
  cg_tape_reset(tape);
  cg_leaf_zero_grad(W0);
  plain = true;
  derive(without, &m);
  ck_assert_int_eq(n, m);
  double scale = 0;
  for (int i = 0; i < n; i++) scale = fmax(scale, fabs(without[i]));
  ck_assert(scale > 1e-3);
  for (int i = 0; i < n; i++)
    ck_assert_msg(fabs(with[i] - without[i]) <=
                      1e-12 * fmax(fabs(without[i]), 1e-3 * scale),
                  "number %d is %.17g, not %.17g", i, with[i], without[i]);
}
END_TEST

/* ---- memory ---- */

/* Draws random numbers. */
static void undecided(cg_tape *t, cg_tensor *const *in, int n_in,
                      cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out;
  out[0] = cg_dropout(t, in[0], 0.5, context);
}

static cg_tensor *no_change(cg_tape *t, cg_tensor *x, cg_tensor *g, void *c) {
  (void)t, (void)x, (void)g, (void)c;
  return NULL;
}

static void allocations(void) {
  cg_rng rng = cg_rng_seed(3);
  cg_tensor *o[2], *g, *y;
  cg_checkpoint(tape, undecided, &rng, sizeof rng, &X, 1, &y, 1);
  cg_checkpoint(tape, two_deep, NULL, 0, &y, 1, o, 2);
  cg_retain_grad(tape, o[1]);
  cg_hook(tape, o[0], no_change, NULL);
  cg_tensor *loss = sum_of_squares(cg_mul(tape, o[0], o[1]));
  cg_backward(tape, loss);
  cg_grad(tape, &loss, 1, NULL, &o[1], 1, &g, 0);
  cg_grad(tape, &loss, 1, NULL, &W0, 1, &g, CG_CREATE_GRAPH);
  cg_backward(tape, sum_of_squares(g));
}

START_TEST(allocation_fails) {
  cg_tape_free(tape);
  bool ok = false;
  size_t n = 2;
  for (; !ok; n++) {
    counter c;
    counter_init(&c);
    c.fail_at = n;
    tape = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
    if (!tape) continue;
    allocations();
    ok = c.calls < n;
    cg_status status = cg_tape_status(tape);
    /* A matrix is not transposed beforehand if there is no memory. */
    ck_assert(status == CG_OK || (!ok && status == CG_ERR_NOMEM));
    cg_tape_reset(tape);
    allocations(); /* the tape is as good as new */
    fine(tape);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert_uint_gt(n, 8);
  tape = cg_tape_new(NULL);
}
END_TEST

/* Ceilings in small steps until one suffices. */
START_TEST(byte_limit) {
  cg_tape_free(tape);
  bool ok = false;
  for (size_t limit = 70000; !ok; limit += 1900) {
    tape = cg_tape_new(&(cg_tape_options){.byte_limit = limit});
    ck_assert_ptr_nonnull(tape);
    allocations();
    ck_assert_uint_le(cg_tape_get_stats(tape).bytes_peak, limit);
    ok = !cg_tape_status(tape);
    if (!ok) ck_assert_int_eq(cg_tape_status(tape), CG_ERR_LIMIT);
    cg_tape_free(tape);
  }
  tape = cg_tape_new(NULL);
}
END_TEST

START_TEST(no_allocation_when_warm) {
  size_t calls = 0;
  for (int i = 0; i < 6; i++) {
    cg_tape_reset(tape);
    calls = cg_tape_get_stats(tape).system_allocs;
    cg_backward(tape, net());
    fine(tape);
  }
  ck_assert_uint_eq(cg_tape_get_stats(tape).system_allocs, calls);
}
END_TEST

/* T steps in sqrt(T) segments. */
enum { SEGMENTS = 32, BATCH = 64 };

static void steps(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  cg_tensor *h = in[0];
  for (int i = 0; i < SEGMENTS; i++)
    h = cg_tanh(t, cg_linear(t, h, W0, BIAS));
  out[0] = h;
}

static size_t peak_of_steps(bool without) {
  plain = without;
  cg_tape_free(tape);
  tape = cg_tape_new(NULL);
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(BATCH, D), 0.3);
  for (int i = 0; i < SEGMENTS; i++) h = segment1(steps, h);
  cg_backward(tape, sum_of_squares(h));
  fine(tape);
  return cg_tape_get_stats(tape).bytes_peak;
}

START_TEST(peak_is_lower) {
  size_t with = peak_of_steps(false), without = peak_of_steps(true);
  ck_assert_msg(8 * with < without, "%zu bytes with, %zu without segments",
                with, without);
}
END_TEST

START_TEST(the_interior_is_dropped) {
  plain = false;
  cg_tensor *y = segment1(layers, X);
  cg_tape_stats before = cg_tape_get_stats(tape);
  y = segment1(layers, y);
  cg_tape_stats after = cg_tape_get_stats(tape);
  ck_assert_uint_eq(after.nodes, before.nodes + 2);
  cg_tensor *loss = sum_of_squares(y);
  before = cg_tape_get_stats(tape);
  for (int i = 0; i < 3; i++) cg_backward(tape, loss);
  after = cg_tape_get_stats(tape);
  ck_assert_uint_eq(after.nodes, before.nodes);
  ck_assert_uint_eq(after.bytes_used, before.bytes_used);
}
END_TEST

START_TEST(counts_runs) {
  cg_tensor *y = segment1(layers, X), *z = segment1(layers, y);
  ck_assert_int_eq(runs, 2);
  cg_tensor *loss = sum_of_squares(z), *g;
  cg_backward(tape, loss);
  ck_assert_int_eq(runs, 4);
  cg_grad(tape, &loss, 1, NULL, &y, 1, &g, 0); /* only the last on the path,
                                                  and y's own for its inside */
  fine(tape);
  ck_assert_int_le(runs, 6);
}
END_TEST

/* ---- those who look ---- */

START_TEST(drawn_as_a_node) {
  char path[] = "/tmp/checkpoint-XXXXXX", text[8192];
  int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  cg_tensor *loss = sum_of_squares(segment1(layers, X));
  ck_assert_int_eq(cg_draw(tape, loss, path, NULL, NULL), CG_OK);
  FILE *f = fopen(path, "r");
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = 0;
  fclose(f);
  close(fd);
  unlink(path);
  ck_assert_ptr_nonnull(strstr(text, "label=\"checkpoint\\n"));
  ck_assert_ptr_nonnull(strstr(text, "label=\"checkpoint_output\\n[3, 5] f64"));
  ck_assert_ptr_null(strstr(text, "tanh"));
}
END_TEST

static const cg_profile_row *row(const char *op) {
  int n;
  const cg_profile_row *r = cg_profile_rows(tape, &n);
  for (int i = 0; i < n; i++)
    if (!strcmp(r[i].name, op)) return &r[i];
  ck_abort_msg("no row for %s", op);
}

START_TEST(profiled_once) {
  cg_profile_begin(tape);
  cg_backward(tape, sum_of_squares(segment1(layers, X)));
  cg_profile_end(tape);
  fine(tape);
  ck_assert_uint_eq(row("checkpoint")->forward.calls, 1);
  ck_assert_uint_eq(row("checkpoint")->backward.calls, 1);
  ck_assert_uint_eq(row("checkpoint")->backward.bytes, 0);
  ck_assert_uint_eq(row("tanh")->forward.calls, 2);
  ck_assert_uint_eq(row("tanh")->backward.calls, 1);
  ck_assert_uint_eq(row("tanh")->forward.bytes, 2 * ROWS * D * 8);
  ck_assert_uint_gt(row("tanh")->backward.bytes, 0);
}
END_TEST

static void roots(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                  int n_out, void *context) {
  (void)n_in, (void)n_out, (void)context;
  cg_scope_push(t, "roots");
  out[0] = cg_sqrt(t, cg_square(t, in[0]));
  cg_scope_pop(t);
}

START_TEST(traced_inside) {
  cg_tape_trace_nonfinite(tape, true);
  cg_leaf_fill(X, 0);
  cg_backward(tape, cg_sum_all(tape, segment1(roots, X)));
  ck_assert_str_eq(cg_tape_error(tape)->scope, "roots");
  failed(tape, CG_ERR_NONFINITE, "sqrt", "derivative rule gave operand 0");
}
END_TEST

START_TEST(sorted) {
  cg_tensor *const *order, *y = segment1(layers, X);
  size_t n;
  ck_assert_int_eq(cg_tape_toposort(tape, cg_exp(tape, y), &order, &n), CG_OK);
  ck_assert_uint_eq(n, 3);
  ck_assert_str_eq(cg_tensor_op_name(order[0]), "checkpoint");
  ck_assert_ptr_eq(order[1], y);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_test(tc, gradchecks);
  tcase_add_test(tc, higher_orders);
  tcase_add_test(tc, allocation_fails);
  tcase_add_test(tc, byte_limit);
  tcase_add_test(tc, no_allocation_when_warm);
  tcase_add_test(tc, peak_is_lower);
  tcase_add_test(tc, the_interior_is_dropped);
  tcase_add_test(tc, counts_runs);
  tcase_add_test(tc, drawn_as_a_node);
  tcase_add_test(tc, profiled_once);
  tcase_add_test(tc, traced_inside);
  tcase_add_test(tc, sorted);
  return run_case("checkpoint_use", tc);
}
