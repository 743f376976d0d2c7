/* test_data_parallel.c - a mini-batch in shards: the gradient of the whole, the
 * same bits for any number of threads, and errors that change nothing. */
#include "nn_test.h"

#include <fenv.h>
#include <time.h>

enum { T = 7, B = 37, I = 3, H = 5, K = 4 };

typedef struct job {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
  double x[T][B][I];
  int64_t y[T][B];
  cg_reduction over_batch;
  int fails_at; /* the shard whose loss fails; -1: none */
  cg_rnn_state state[8];
  bool carries;
} job;

static void job_init(job *j) {
  cg_rng rng = cg_rng_seed(31);
  *j = (job){.over_batch = CG_REDUCE_MEAN, .fails_at = -1};
  j->params = registry(CG_F64);
  j->rnn = cg_rnn_new(j->params, "rnn",
                      &(cg_rnn_config){.input_size = I, .hidden_size = H}, &rng,
                      NULL);
  j->fc = cg_linear_layer_new(
      j->params, "fc",
      &(cg_linear_config){.in_features = H, .out_features = K}, &rng, NULL);
  ck_assert(j->rnn && j->fc);
  for (int t = 0; t < T; t++)
    for (int b = 0; b < B; b++) {
      for (int i = 0; i < I; i++) j->x[t][b][i] = cg_rng_normal(&rng);
      j->y[t][b] = cg_rng_below(&rng, K);
    }
}

/* The loss of rows begin to begin + rows of the batch. */
static cg_tensor *loss_of(cg_tape *tape, job *j, int64_t begin, int64_t rows,
                          cg_rnn_state *state) {
  cg_tensor *x = cg_borrow(tape, CG_F64, CG_DIMS(T, B, I), j->x);
  cg_tensor *y = cg_borrow(tape, CG_I64, CG_DIMS(T, B), j->y);
  cg_rnn_result r = cg_rnn_forward_from(
      tape, j->rnn, cg_narrow(tape, x, 1, begin, rows), *state, NULL);
  *state = (cg_rnn_state){r.h_last, r.c_last};
  return cg_cross_entropy_loss(
      tape, cg_linear_layer_forward(tape, j->fc, r.h),
      cg_narrow(tape, y, 1, begin, rows), CG_REDUCE_MEAN, j->over_batch);
}

static cg_tensor *shard_loss(cg_tape *tape, const cg_shard *s, void *context) {
  job *j = context;
  cg_rnn_state zero = {0}, *state = j->carries ? &j->state[s->index] : &zero;
  if (!j->carries) cg_tape_reset(tape);
  if (s->index == j->fails_at)
    return cg_tape_fail(tape, CG_ERR_STATE, "test", "shard %d of %d fails",
                        s->index, s->count);
  return loss_of(tape, j, s->begin, s->rows, state);
}

/* All gradients, one behind the other. */
static size_t gradients(const job *j, double *out) {
  size_t n = 0;
  for (int i = 0; i < cg_params_count(j->params); i++) {
    const cg_tensor *g = cg_tensor_grad(cg_params_at(j->params, i));
    for (int64_t k = 0; g && k < cg_tensor_numel(g); k++)
      out[n++] = cg_tensor_get(g, k);
  }
  return n;
}

static double norm_of(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double d = a[i] - (b ? b[i] : 0);
    sum += d * d;
  }
  return sqrt(sum);
}

static cg_data_parallel *parallel_of(int n_threads, int n_shards) {
  cg_error err = {0};
  cg_data_parallel *p = cg_data_parallel_new(
      &(cg_data_parallel_config){.n_threads = n_threads, .n_shards = n_shards},
      &err);
  ck_assert_msg(p != NULL, "%s", err.message);
  return p;
}

enum { MOST = 256, ROUNDS = 30 };

/* The sum of the gradients of some rounds, and the last loss. */
static double rounds(job *j, int n_threads, int n_shards, double *g) {
  cg_data_parallel *p = parallel_of(n_threads, n_shards);
  double loss = 0;
  cg_params_zero_grad(j->params);
  for (int i = 0; i < ROUNDS; i++)
    ck_assert_int_eq(cg_data_parallel_backward(p, B, j->over_batch, shard_loss,
                                               j, &loss, NULL),
                     CG_OK);
  ck_assert_uint_lt(gradients(j, g), MOST);
  cg_data_parallel_free(p);
  return loss;
}

START_TEST(gradient_of_the_whole_batch) {
  const cg_reduction over_batch = (cg_reduction)(_i % 2);
  const int n_shards = _i / 2 == 0 ? 1 : _i / 2 == 1 ? 3 : 37;
  job j;
  job_init(&j);
  j.over_batch = over_batch;
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *L = loss_of(tape, &j, 0, B, &(cg_rnn_state){0});
  double whole[MOST], parts[MOST];
  for (int i = 0; i < ROUNDS; i++)
    ck_assert_int_eq(cg_backward(tape, L), CG_OK);
  size_t n = gradients(&j, whole);
  double loss = rounds(&j, 2, n_shards, parts);
  near(loss, cg_tensor_item(L), 1e-13 * fabs(loss));
  ck_assert_uint_gt(n, 50);
  double error = norm_of(whole, parts, n) / norm_of(whole, NULL, n);
  ck_assert_msg(error < 1e-14, "relative error %g", error);
  cg_tape_free(tape);
  cg_params_free(j.params);
}
END_TEST

START_TEST(any_number_of_threads) {
  job j;
  job_init(&j);
  double one[MOST] = {0}, many[MOST] = {0};
  double loss = rounds(&j, 1, 4, one);
  for (int n_threads = 2; n_threads <= 5; n_threads++) {
    double same = rounds(&j, n_threads, 4, many);
    ck_assert_mem_eq(&loss, &same, sizeof loss);
    ck_assert_mem_eq(one, many, sizeof one);
  }
  rounds(&j, 1, 3, many); /* the split does change them */
  ck_assert(memcmp(one, many, sizeof one) != 0);
  cg_params_free(j.params);
}
END_TEST

enum { WIDE = 1000 };

/* Its gradient is below the least normal number; and it is long enough in the
 * making for threads to be worth while. */
static cg_tensor *tiny_loss(cg_tape *tape, const cg_shard *s, void *w) {
  (void)s;
  nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  cg_tape_reset(tape);
  cg_tensor *y = cg_mul_scalar(tape, w, 2e-160);
  return cg_sum_all(tape, cg_mul_scalar(tape, y, 1e-150));
}

/* How many elements of the gradient are not 0, by those rules. */
static int tiny_gradient(cg_data_parallel *p, cg_tensor *w, bool flush) {
  int n = 0;
  cg_flush_denormals(flush);
  cg_leaf_zero_grad(w);
  for (int i = 0; i < ROUNDS; i++)
    ck_assert_int_eq(cg_data_parallel_backward(p, 4, CG_REDUCE_SUM, tiny_loss,
                                               w, NULL, NULL),
                     CG_OK);
  cg_flush_denormals(false);
  for (int i = 0; i < WIDE; i++)
    n += cg_tensor_get(cg_tensor_grad(w), i) != 0;
  return n;
}

/* Whoever computes a shard treats denormal numbers as the caller does now. */
START_TEST(denormal_numbers) {
  cg_tensor *w = some_leaf(7, CG_DIMS(WIDE));
  const bool can = cg_flush_denormals(true);
  for (int n_threads = 1; n_threads <= 4; n_threads++) {
    cg_data_parallel *p = parallel_of(n_threads, 4);
    ck_assert_int_eq(tiny_gradient(p, w, false), WIDE);
    ck_assert_int_eq(tiny_gradient(p, w, true), can ? 0 : WIDE);
    ck_assert_int_eq(tiny_gradient(p, w, false), WIDE);
    cg_data_parallel_free(p);
  }
  cg_leaf_free(w);
}
END_TEST

/* The gradient of one round that rounds as the caller does now. */
static void rounded(cg_data_parallel *p, job *j, int rounding, double *g) {
  cg_params_zero_grad(j->params);
  ck_assert_int_eq(fesetround(rounding), 0);
  cg_status status = cg_data_parallel_backward(p, B, j->over_batch, shard_loss,
                                               j, NULL, NULL);
  fesetround(FE_TONEAREST);
  ck_assert_int_eq(status, CG_OK);
  gradients(j, g);
}

/* An emulated processor may not round vectors as it is told. */
static bool vectors_round(void) {
  typedef double pair __attribute__((vector_size(16)));
  volatile pair x = {1, 2}, y[2];
  for (int i = 0; i < 2; i++) {
    fesetround(i ? FE_UPWARD : FE_TONEAREST);
    y[i] = x / 3;
  }
  fesetround(FE_TONEAREST);
  pair nearest = y[0], upward = y[1];
  return nearest[0] != upward[0];
}

/* And rounds as the caller does. */
START_TEST(rounding) {
  if (!vectors_round()) return;
  job j;
  job_init(&j);
  double nearest[MOST] = {0}, one[MOST] = {0}, many[MOST] = {0};
  cg_data_parallel *p = parallel_of(1, 4), *q = parallel_of(4, 4);
  rounded(p, &j, FE_TONEAREST, nearest);
  rounded(p, &j, FE_UPWARD, one);
  ck_assert(memcmp(nearest, one, sizeof one) != 0);
  for (int i = 0; i < ROUNDS; i++) {
    rounded(q, &j, FE_UPWARD, many);
    ck_assert_mem_eq(one, many, sizeof one);
    rounded(q, &j, FE_TONEAREST, many);
    ck_assert_mem_eq(nearest, many, sizeof nearest);
  }
  cg_data_parallel_free(p);
  cg_data_parallel_free(q);
  cg_params_free(j.params);
}
END_TEST

/* Windows whose states go on, on the shards' tapes. */
START_TEST(carried_states) {
  job j;
  job_init(&j);
  j.carries = true;
  cg_data_parallel *p = parallel_of(2, 2);
  cg_mark mark[2];
  for (int s = 0; s < 2; s++)
    mark[s] = cg_tape_mark(cg_data_parallel_tape(p, s));
  cg_tape *tape = cg_tape_new(NULL);
  cg_mark start = cg_tape_mark(tape);
  cg_rnn_state whole = {0};
  for (int window = 0; window < 4; window++) {
    double loss;
    cg_tensor *L = loss_of(tape, &j, 0, B, &whole);
    double want = cg_tensor_item(L);
    ck_assert_int_eq(cg_rnn_state_keep(tape, start, &whole), CG_OK);
    ck_assert_int_eq(cg_data_parallel_backward(p, B, CG_REDUCE_MEAN, shard_loss,
                                               &j, &loss, NULL),
                     CG_OK);
    near(loss, want, 1e-13);
    for (int s = 0; s < 2; s++)
      ck_assert_int_eq(cg_rnn_state_keep(cg_data_parallel_tape(p, s), mark[s],
                                         &j.state[s]),
                       CG_OK);
  }
  ck_assert_ptr_null(cg_data_parallel_tape(p, 2));
  cg_data_parallel_free(p);
  cg_tape_free(tape);
  cg_params_free(j.params);
}
END_TEST

/* ---- shards that are recorded once ---- */

typedef struct replays {
  job *job;
  cg_tensor *w, *loss[4];
} replays;

static cg_tensor *replayed_loss(cg_tape *tape, const cg_shard *s,
                                void *context) {
  replays *r = context;
  cg_tensor **loss = &r->loss[s->index];
  cg_rnn_state zero = {0};
  if (!*loss)
    *loss = loss_of(tape, r->job, s->begin, s->rows, &zero);
  else if (cg_tape_replay(tape))
    return NULL;
  return *loss;
}

START_TEST(replayed_shards) {
  job j;
  job_init(&j);
  replays r = {.job = &j};
  double want[MOST] = {0}, got[MOST] = {0};
  cg_data_parallel *p = parallel_of(2, 4), *q = parallel_of(2, 4);
  size_t nodes = 0;
  for (int i = 0; i < ROUNDS; i++) {
    j.x[i % T][i][0] += 0.5;
    fill_some(cg_params_at(j.params, i % 3), (uint64_t)i);
    cg_params_zero_grad(j.params);
    ck_assert(!cg_data_parallel_backward(p, B, CG_REDUCE_MEAN, shard_loss, &j,
                                         NULL, NULL));
    gradients(&j, want);
    cg_params_zero_grad(j.params);
    ck_assert(!cg_data_parallel_backward(q, B, CG_REDUCE_MEAN, replayed_loss,
                                         &r, NULL, NULL));
    gradients(&j, got);
    ck_assert_mem_eq(want, got, sizeof want);
    size_t n = cg_tape_get_stats(cg_data_parallel_tape(q, 3)).nodes;
    ck_assert(i == 0 || n == nodes);
    nodes = n;
  }
  cg_data_parallel_free(p);
  cg_data_parallel_free(q);
  cg_params_free(j.params);
}
END_TEST

/* w . w in every shard, whatever its rows. */
static cg_tensor *square_of(cg_tape *tape, const cg_shard *s, void *context) {
  replays *r = context;
  cg_tensor **loss = &r->loss[s->index], *w = r->w;
  if (!*loss)
    *loss = cg_sum_all(tape, cg_square(tape, w));
  else if (cg_tape_replay(tape))
    return NULL;
  return *loss;
}

/* The weights of the shards change, and add up to 1. */
START_TEST(replayed_shards_of_other_batches) {
  replays r = {.w = some_leaf(9, CG_DIMS(5))};
  cg_data_parallel *p = parallel_of(1, 3);
  for (int batch = 3; batch < 12; batch++) {
    double loss, want = 0;
    fill_some(r.w, (uint64_t)batch);
    cg_leaf_zero_grad(r.w);
    ck_assert(!cg_data_parallel_backward(p, batch, CG_REDUCE_MEAN, square_of,
                                         &r, &loss, NULL));
    for (int i = 0; i < 5; i++) {
      const double w = cg_tensor_get(r.w, i);
      want += w * w;
      near(cg_tensor_get(cg_tensor_grad(r.w), i), 2 * w, 1e-14);
    }
    near(loss, want, 1e-14);
  }
  cg_data_parallel_free(p);
  cg_leaf_free(r.w);
}
END_TEST

START_TEST(shards_of_a_batch) {
  static const int64_t batch[] = {0, 1, 31, 32, 63, 64, 1000};
  static const int by_default[] = {0, 1, 1, 2, 2, 4, 4};
  static const int of_three[] = {0, 1, 3, 3, 3, 3, 3};
  cg_data_parallel *p = parallel_of(0, 0), *three = parallel_of(1, 3);
  for (int i = 0; i < N_OF(batch); i++) {
    ck_assert_int_eq(cg_data_parallel_shards(p, batch[i]), by_default[i]);
    ck_assert_int_eq(cg_data_parallel_shards(three, batch[i]), of_three[i]);
  }
  ck_assert_int_eq(cg_data_parallel_shards(NULL, 5), 0);
  cg_data_parallel_free(p);
  cg_data_parallel_free(three);
}
END_TEST

/* ---- errors ---- */

START_TEST(a_failing_shard) {
  job j;
  job_init(&j);
  double before[MOST] = {0}, after[MOST] = {0}, loss = 2.385;
  rounds(&j, 2, 4, before);
  cg_data_parallel *p = parallel_of(2, 4);
  cg_error err = {0};
  for (j.fails_at = 0; j.fails_at < 4; j.fails_at++) {
    ck_assert_int_eq(cg_data_parallel_backward(p, B, CG_REDUCE_MEAN, shard_loss,
                                               &j, &loss, &err),
                     CG_ERR_STATE);
    char text[32];
    snprintf(text, sizeof text, "shard %d of 4", j.fails_at);
    has_error(&err, CG_ERR_STATE, text);
    near(loss, 2.385, 0);
    gradients(&j, after);
    ck_assert_mem_eq(before, after, sizeof before);
  }
  j.fails_at = -1; /* and it goes on */
  ck_assert_int_eq(cg_data_parallel_backward(p, B, CG_REDUCE_MEAN, shard_loss,
                                             &j, &loss, NULL),
                   CG_OK);
  cg_data_parallel_free(p);
  cg_params_free(j.params);
}
END_TEST

static cg_tensor *no_loss(cg_tape *tape, const cg_shard *s, void *context) {
  (void)s, (void)context;
  cg_tape_reset(tape);
  return NULL;
}

static cg_tensor *vector_loss(cg_tape *tape, const cg_shard *s, void *context) {
  (void)s;
  cg_tape_reset(tape);
  return cg_square(tape, context);
}

START_TEST(bad_calls) {
  cg_error err = {0};
  double loss;
  cg_data_parallel *p = parallel_of(2, 2);
  cg_tensor *w = some_leaf(5, CG_DIMS(3));
  const cg_reduction mean = CG_REDUCE_MEAN;
  cg_data_parallel_backward(p, 4, mean, no_loss, NULL, &loss, &err);
  has_error(&err, CG_ERR_ARG, "the loss of shard 0 is NULL");
  cg_data_parallel_backward(p, 4, mean, vector_loss, w, &loss, &err);
  has_error(&err, CG_ERR_SHAPE, "[3]");
  cg_data_parallel_backward(p, 0, mean, no_loss, NULL, &loss, &err);
  has_error(&err, CG_ERR_ARG, "a batch of 0 rows");
  cg_data_parallel_backward(p, 4, CG_REDUCE_NONE, no_loss, NULL, &loss, &err);
  has_error(&err, CG_ERR_ARG, "sums or means");
  cg_data_parallel_backward(p, 4, mean, NULL, NULL, &loss, &err);
  has_error(&err, CG_ERR_ARG, "the function is NULL");
  cg_data_parallel_backward(NULL, 4, mean, no_loss, NULL, &loss, &err);
  has_error(&err, CG_ERR_ARG, "the first argument is NULL");
  cg_data_parallel_config config = {.n_threads = 1025};
  ck_assert_ptr_null(cg_data_parallel_new(&config, &err));
  has_error(&err, CG_ERR_ARG, "n_threads is 1025");
  config = (cg_data_parallel_config){.n_shards = -1};
  ck_assert_ptr_null(cg_data_parallel_new(&config, &err));
  has_error(&err, CG_ERR_ARG, "n_shards is -1");
  cg_data_parallel_free(NULL);
  cg_data_parallel_free(p);
  ck_assert_ptr_null(cg_tensor_grad(w));
  cg_leaf_free(w);
}
END_TEST

START_TEST(allocation_fails) {
  job j;
  job_init(&j);
  double before[MOST] = {0}, after[MOST] = {0};
  rounds(&j, 1, 2, before);
  counter c;
  bool ok = false;
  for (size_t n = 1; !ok; n++) {
    counter_init(&c);
    c.fail_at = n;
    cg_error err = {0};
    cg_data_parallel *p = cg_data_parallel_new(
        &(cg_data_parallel_config){.n_shards = 2, .allocator = &c.allocator},
        &err);
    ok = p && !cg_data_parallel_backward(p, B, CG_REDUCE_MEAN, shard_loss, &j,
                                         NULL, &err);
    gradients(&j, after);
    if (!ok) {
      ck_assert_int_eq(err.status, CG_ERR_NOMEM);
      ck_assert_mem_eq(before, after, sizeof before);
    }
    cg_data_parallel_free(p);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert(memcmp(before, after, sizeof before) != 0);
  cg_params_free(j.params);
}
END_TEST

/* ---- what it rests on: gradients that several threads add ---- */

START_TEST(parts_of_gradients) {
  cg_tensor *w = some_leaf(6, CG_DIMS(100)), *twin = some_leaf(6, CG_DIMS(100));
  cg_tape *tape = cg_tape_new(NULL);
  cg_grads *grads = cg_grads_new(NULL);
  cg_tensor *L = cg_sum_all(tape, cg_mul(tape, cg_square(tape, w), twin));
  ck_assert_int_eq(cg_backward_into(tape, &L, NULL, 1, grads), CG_OK);
  ck_assert_int_eq(cg_grads_add_to_leaves(grads), CG_OK);
  double *whole = calloc(100, sizeof *whole);
  cg_tensor_read(cg_tensor_grad(w), whole, 100 * sizeof *whole);
  for (int parts = 1; parts < 9; parts++) {
    cg_leaf_zero_grad(w);
    ck_assert_int_eq(cg_grads_add_begin(grads), CG_OK);
    for (int i = parts; i-- > 0;) cg_grads_add_part(grads, i, parts);
    for (int i = 0; i < 100; i++)
      near(cg_tensor_get(cg_tensor_grad(w), i), whole[i], 0);
  }
  cg_grads_add_part(grads, 1, 1); /* there is no such part */
  cg_grads_add_part(NULL, 0, 1);
  near(cg_tensor_get(cg_tensor_grad(w), 99), whole[99], 0);
  ck_assert(whole[99] != 0);
  ck_assert_int_eq(cg_grads_add_begin(NULL), CG_ERR_ARG);
  free(whole);
  cg_grads_free(grads);
  cg_tape_free(tape);
  cg_leaf_free(w);
  cg_leaf_free(twin);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_loop_test(tc, gradient_of_the_whole_batch, 0, 6);
  tcase_add_test(tc, any_number_of_threads);
  tcase_add_test(tc, denormal_numbers);
  tcase_add_test(tc, rounding);
  tcase_add_test(tc, carried_states);
  tcase_add_test(tc, replayed_shards);
  tcase_add_test(tc, replayed_shards_of_other_batches);
  tcase_add_test(tc, shards_of_a_batch);
  tcase_add_test(tc, a_failing_shard);
  tcase_add_test(tc, bad_calls);
  tcase_add_test(tc, allocation_fails);
  tcase_add_test(tc, parts_of_gradients);
  return run_case("data_parallel", tc);
}
