/* test_collect.c - a weight used at many time steps, with few rows at each:
 * its gradient, which the walk puts together from chunks of rows, against the
 * sum by three loops. */
#include "engine_test.h"

enum { IN = 5, OUT = 3 };

static cg_tape *tape;
static cg_rng rng;

static void setup(void) {
  tape = cg_tape_new(NULL);
  ck_assert_ptr_nonnull(tape);
  rng = cg_rng_seed(17);
}

static void teardown(void) { cg_tape_free(tape); }

static cg_tensor *random_constant(int rank, const int64_t *shape) {
  double buf[512];
  for (int i = 0; i < N_OF(buf); i++) buf[i] = cg_rng_normal(&rng);
  return cg_input(tape, CG_F64, rank, shape, buf);
}

static cg_tensor *random_leaf(int64_t rows, int64_t cols) {
  double buf[1200];
  for (int i = 0; i < N_OF(buf); i++) buf[i] = cg_rng_normal(&rng);
  return leaf_of(buf, CG_DIMS(rows, cols));
}

/* Adds <g, x W^T> with random x [B, IN] and g [B, OUT] to *loss and its
 * gradient by W to `want`. */
static void step(cg_tensor *W, int64_t B, cg_tensor **loss, double *want) {
  cg_tensor *x = random_constant(CG_DIMS(B, IN));
  cg_tensor *g = random_constant(CG_DIMS(B, OUT));
  cg_tensor *y = cg_matmul_t(tape, x, W, false, true);
  cg_tensor *part = cg_sum_all(tape, cg_mul(tape, y, g));
  *loss = *loss ? cg_add(tape, *loss, part) : part;
  for (int64_t b = 0; b < B; b++)
    for (int i = 0; i < OUT; i++)
      for (int j = 0; j < IN; j++)
        want[i * IN + j] +=
            cg_tensor_get(g, b * OUT + i) * cg_tensor_get(x, b * IN + j);
}

/* A batch and a number of steps. What is put together is up to 64 rows of
 * products with up to 16, but for the first if it has more than 4, and of more
 * where the gradient is large. */
static const int sizes[][2] = {{1, 1},   {1, 2},   {1, 64},  {1, 65},  {1, 66},
                               {1, 600}, {3, 90},  {4, 1},   {4, 17},  {5, 1},
                               {5, 17},   {15, 5},  {15, 6},  {15, 40},
                               {16, 5},  {16, 6},  {16, 7},  {17, 20}};

START_TEST(chunks_of_all_sizes) {
  cg_tensor *W = random_leaf(OUT, IN), *loss = NULL;
  double want[OUT * IN] = {0};
  for (int t = 0; t < sizes[_i][1]; t++) step(W, sizes[_i][0], &loss, want);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_all(cg_tensor_grad(W), want, OUT * IN, 1e-12);
  double bits[2][OUT * IN];
  for (int round = 0; round < 2; round++) {
    cg_leaf_zero_grad(W);
    ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
    ck_assert_int_eq(cg_tensor_read(cg_tensor_grad(W), bits[round],
                                    sizeof bits[round]), CG_OK);
  }
  ck_assert_int_eq(memcmp(bits[0], bits[1], sizeof bits[0]), 0);
  cg_leaf_free(W);
}
END_TEST

/* loss + sum of g * (x W^T), for so many rows of x and g; loss may be NULL. */
static cg_tensor *with_step(cg_tensor *loss, cg_tensor *W, int rows,
                            const void *x, const void *g) {
  const cg_dtype dtype = cg_tensor_dtype(W);
  const int64_t n = cg_tensor_dim(W, 1);
  cg_tensor *y = cg_matmul_t(tape, cg_borrow(tape, dtype, CG_DIMS(rows, n), x),
                             W, false, true);
  cg_tensor *part = cg_sum_all(
      tape, cg_mul(tape, y, cg_borrow(tape, dtype, CG_DIMS(rows, n), g)));
  return loss ? cg_add(tape, loss, part) : part;
}

/* A gradient of half a megabyte, with more rows at each step. */
START_TEST(a_large_leaf) {
  enum { N = 256, ROWS = 17, STEPS = 20, ALL = ROWS * STEPS };
  static double a[ALL][N], b[ALL][N];
  cg_tensor *W = leaf_of(NULL, CG_DIMS(N, N)), *loss = NULL;
  for (int r = 0; r < ALL; r++)
    for (int i = 0; i < N; i++) {
      a[r][i] = cg_rng_normal(&rng);
      b[r][i] = cg_rng_normal(&rng);
    }
  for (int t = 0; t < STEPS; t++)
    loss = with_step(loss, W, ROWS, a[t * ROWS], b[t * ROWS]);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int k = 0; k < N * N; k += 97) {
    double want = 0;
    for (int r = 0; r < ALL; r++) want += b[r][k / N] * a[r][k % N];
    near(cg_tensor_get(cg_tensor_grad(W), k), want, 1e-10);
  }
  cg_leaf_free(W);
}
END_TEST

/* The same in float32, with a product of more rows than a chunk of the first
 * one's size has; the walk sees the last first. */
START_TEST(more_rows_than_a_chunk) {
  enum { N = 700, MOST = 87, ALL = 1 + MOST + 3 + 66 };
  static const int rows[] = {66, 3, MOST, 1};
  static float a[ALL][N], b[ALL][N];
  cg_tensor *W = cg_leaf_new(NULL, CG_F32, CG_DIMS(N, N), NULL), *loss = NULL;
  cg_leaf_set_requires_grad(W, true);
  for (int r = 0; r < ALL; r++)
    for (int i = 0; i < N; i++) {
      a[r][i] = (float)(cg_rng_normal(&rng) + 2.385);
      b[r][i] = (float)(cg_rng_normal(&rng) + 2.385);
    }
  for (int t = 0, at = 0; t < N_OF(rows); at += rows[t++])
    loss = with_step(loss, W, rows[t], a[at], b[at]);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int k = 0; k < N * N; k += 97) {
    double want = 0;
    for (int r = 0; r < ALL; r++)
      want += (double)b[r][k / N] * (double)a[r][k % N];
    near(cg_tensor_get(cg_tensor_grad(W), k), want, 1e-5);
  }
  cg_leaf_free(W);
}
END_TEST

/* Rows so long that a chunk has three of them. */
START_TEST(a_wide_leaf) {
  enum { WIDE = 40000, STEPS = 9 };
  int64_t shape[2] = {2, WIDE};
  cg_tensor *W = leaf_of(NULL, 2, shape), *loss = NULL;
  double sum = 0;
  for (int t = 0; t < STEPS; t++) {
    double value = cg_rng_normal(&rng);
    cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(1, WIDE), value);
    cg_tensor *part = cg_sum_all(tape, cg_matmul_t(tape, x, W, false, true));
    loss = loss ? cg_add(tape, loss, part) : part;
    sum += value;
  }
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int i = 0; i < 2 * WIDE; i += 997)
    near(cg_tensor_get(cg_tensor_grad(W), i), sum, 1e-13);
  cg_leaf_free(W);
}
END_TEST

/* Steps [from, to) of a loss, as a segment's function. */
typedef struct stretch {
  cg_tensor *W, **x;
  int from, to;
} stretch;

static void stretch_loss(cg_tape *t, cg_tensor *const *in, int n_in,
                         cg_tensor **out, int n_out, void *context) {
  const stretch *s = context;
  (void)n_in;
  (void)n_out;
  out[0] = in[0];
  for (int i = s->from; i < s->to; i++) {
    cg_tensor *y = cg_tanh(t, cg_matmul_t(t, s->x[i], s->W, false, true));
    out[0] = cg_add(t, out[0], cg_sum_all(t, y));
  }
}

/* Chunks do not end where segments do. */
START_TEST(the_same_bits_in_segments) {
  enum { STEPS = 300 };
  cg_tensor *W = random_leaf(OUT, IN), *x[STEPS];
  double bits[2][OUT * IN];
  for (int t = 0; t < STEPS; t++) x[t] = random_constant(CG_DIMS(1, IN));
  for (int segments = 0; segments < 2; segments++) {
    cg_tensor *loss = cg_sum_all(tape, W);
    for (int from = 0; from < STEPS; from += 7) {
      stretch s = {W, x, from, from + 7 < STEPS ? from + 7 : STEPS};
      if (segments)
        ck_assert_int_eq(cg_checkpoint(tape, stretch_loss, &s, sizeof s,
                                       &loss, 1, &loss, 1), CG_OK);
      else
        stretch_loss(tape, &loss, 1, &loss, 1, &s);
    }
    cg_leaf_zero_grad(W);
    ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
    ck_assert_int_eq(cg_tensor_read(cg_tensor_grad(W), bits[segments],
                                    sizeof bits[segments]), CG_OK);
  }
  ck_assert_int_eq(memcmp(bits[0], bits[1], sizeof bits[0]), 0);
  cg_leaf_free(W);
}
END_TEST

/* In turns over more leaves than the walk remembers, or fewer. */
START_TEST(leaves_in_turns) {
  enum { MANY = 40, STEPS = 9 };
  int n = _i ? MANY : 3;
  cg_tensor *W[MANY], *loss = NULL;
  double want[MANY][OUT * IN] = {{0}};
  for (int k = 0; k < n; k++) W[k] = random_leaf(OUT, IN);
  for (int t = 0; t < STEPS; t++)
    for (int k = 0; k < n; k++) step(W[k], 1 + (t + k) % 4, &loss, want[k]);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  for (int k = 0; k < n; k++) {
    near_all(cg_tensor_grad(W[k]), want[k], OUT * IN, 1e-12);
    cg_leaf_free(W[k]);
  }
}
END_TEST

/* The leaf also receives what is no product, and a product the other way. */
START_TEST(among_other_contributions) {
  cg_tensor *W = random_leaf(OUT, IN), *loss = NULL;
  double want[OUT * IN] = {0};
  for (int t = 0; t < 30; t++) {
    step(W, 1, &loss, want);
    if (t % 7 == 3)
      loss = cg_add(tape, loss, cg_sum_all(tape, cg_square(tape, W)));
  }
  for (int i = 0; i < OUT * IN; i++) want[i] += 8 * cg_tensor_get(W, i);
  cg_tensor *x = random_constant(CG_DIMS(4, OUT));
  loss = cg_add(tape, loss, cg_sum_all(tape, cg_matmul(tape, x, W)));
  for (int b = 0; b < 4; b++)
    for (int i = 0; i < OUT * IN; i++)
      want[i] += cg_tensor_get(x, b * OUT + i / IN);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_all(cg_tensor_grad(W), want, OUT * IN, 1e-12);
  cg_leaf_free(W);
}
END_TEST

typedef struct seen {
  double g[OUT * IN];
  int calls;
} seen;

static cg_tensor *look(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  (void)t;
  (void)x;
  seen *s = context;
  s->calls++;
  cg_tensor_read(g, s->g, sizeof s->g);
  return NULL;
}

START_TEST(hooks_and_homes_see_all_of_it) {
  cg_tensor *W = random_leaf(OUT, IN), *loss = NULL;
  double want[OUT * IN] = {0};
  for (int t = 0; t < 300; t++) step(W, 1, &loss, want);
  cg_grads *home = cg_grads_new(NULL);
  ck_assert_int_eq(cg_backward_into(tape, &loss, NULL, 1, home), CG_OK);
  near_all(cg_grads_get(home, W), want, OUT * IN, 1e-12);
  ck_assert(!cg_tensor_grad(W));
  seen s = {.calls = 0};
  ck_assert_int_eq(cg_hook(tape, W, look, &s), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  ck_assert_int_eq(s.calls, 1);
  for (int i = 0; i < OUT * IN; i++) near(s.g[i], want[i], 1e-12);
  near_all(cg_tensor_grad(W), want, OUT * IN, 1e-12);
  cg_grads_free(home);
  cg_leaf_free(W);
}
END_TEST

START_TEST(as_a_tensor_plain_and_recorded) {
  cg_tensor *W = random_leaf(OUT, IN), *loss = NULL, *g;
  double want[OUT * IN] = {0};
  for (int t = 0; t < 300; t++) step(W, 1, &loss, want);
  for (int options = 0; options <= CG_CREATE_GRAPH; options++) {
    ck_assert_int_eq(cg_grad(tape, &loss, 1, NULL, &W, 1, &g, options), CG_OK);
    near_all(g, want, OUT * IN, 1e-12);
  }
  cg_leaf_free(W);
}
END_TEST

/* In the middle of the walk another one over the same products. */
static cg_tensor *walk_inside(cg_tape *t, cg_tensor *x, cg_tensor *g,
                              void *context) {
  cg_tensor **roots = context, *inner;
  (void)x;
  (void)g;
  ck_assert_int_eq(cg_grad(t, &roots[0], 1, NULL, &roots[1], 1, &inner, 0),
                   CG_OK);
  ck_assert_int_eq(cg_tensor_read(inner, cg_out_data(roots[2]),
                                  sizeof(double) * OUT * IN), CG_OK);
  return NULL;
}

START_TEST(a_walk_inside_a_walk) {
  cg_tensor *W = random_leaf(OUT, IN), *loss = NULL, *middle = NULL;
  cg_tensor *later = NULL;
  double want[OUT * IN] = {0}, half[OUT * IN];
  for (int t = 0; t < 40; t++) {
    step(W, 1, &loss, want);
    if (t == 19) {
      middle = loss;
      memcpy(half, want, sizeof half);
    }
    if (t == 29) later = loss;
  }
  cg_tensor *inner = cg_full(tape, CG_F64, CG_DIMS(OUT, IN), 0);
  cg_tensor *roots[] = {middle, W, inner};
  ck_assert_int_eq(cg_hook(tape, later, walk_inside, roots), CG_OK);
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  near_all(inner, half, OUT * IN, 1e-12);
  near_all(cg_tensor_grad(W), want, OUT * IN, 1e-12);
  cg_leaf_free(W);
}
END_TEST

/* Second derivatives through many uses of one leaf: sum_t (x_t w)^3. */
START_TEST(gradcheck_to_second_order) {
  cg_tensor *W = random_leaf(1, IN), *y = NULL;
  double want[IN * IN] = {0};
  for (int t = 0; t < 20; t++) {
    cg_tensor *x = random_constant(CG_DIMS(1, IN));
    cg_tensor *z = cg_matmul_t(tape, x, W, false, true);
    cg_tensor *cube = cg_sum_all(tape, cg_mul(tape, cg_square(tape, z), z));
    y = y ? cg_add(tape, y, cube) : cube;
    for (int i = 0; i < IN * IN; i++)
      want[i] += 6 * cg_tensor_item(z) * cg_tensor_get(x, i / IN) *
                 cg_tensor_get(x, i % IN);
  }
  double v[IN] = {0.3, -1.2, 0.7, 2.1, -0.4}, hv[IN] = {0};
  for (int i = 0; i < IN * IN; i++) hv[i / IN] += want[i] * v[i % IN];
  cg_tensor *direction = cg_input(tape, CG_F64, CG_DIMS(1, IN), v), *result;
  ck_assert_int_eq(cg_hvp(tape, y, &W, &direction, 1, &result, 0), CG_OK);
  near_all(result, hv, IN, 1e-12);
  cg_leaf_free(W);
}
END_TEST

/* Every allocation fails once: a clean error, nothing leaked. */
START_TEST(without_memory) {
  cg_tape_free(tape);
  size_t n = 1;
  for (bool done = false; !done; n++) {
    counter c;
    counter_init(&c);
    c.fail_at = n;
    cg_tape_options options = {.allocator = &c.allocator};
    tape = cg_tape_new(&options);
    if (!tape) continue;
    cg_tensor *W = random_leaf(30, 40), *loss = NULL;
    cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(8, 40), 0.385);
    for (int t = 0; t < 3; t++) {
      cg_tensor *y = cg_matmul_t(tape, x, W, false, true);
      cg_tensor *part = cg_sum_all(tape, y);
      loss = loss ? cg_add(tape, loss, part) : part;
    }
    cg_status status = cg_backward(tape, loss);
    ck_assert(status == CG_OK || status == CG_ERR_NOMEM ||
              status == CG_ERR_ARG);
    done = c.calls < n;
    if (done) near(cg_tensor_get(cg_tensor_grad(W), 7), 24 * 0.385, 1e-12);
    cg_tape_free(tape);
    ck_assert_uint_eq(c.live_blocks, 0);
    cg_leaf_free(W);
  }
  ck_assert_uint_gt(n, 6);
  tape = cg_tape_new(NULL);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_add_loop_test(tc, chunks_of_all_sizes, 0, N_OF(sizes));
  tcase_add_test(tc, a_large_leaf);
  tcase_add_test(tc, more_rows_than_a_chunk);
  tcase_add_test(tc, a_wide_leaf);
  tcase_add_test(tc, the_same_bits_in_segments);
  tcase_add_loop_test(tc, leaves_in_turns, 0, 2);
  tcase_add_test(tc, among_other_contributions);
  tcase_add_test(tc, hooks_and_homes_see_all_of_it);
  tcase_add_test(tc, as_a_tensor_plain_and_recorded);
  tcase_add_test(tc, a_walk_inside_a_walk);
  tcase_add_test(tc, gradcheck_to_second_order);
  tcase_add_test(tc, without_memory);
  return run_case("collect", tc);
}
