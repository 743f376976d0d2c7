/* test_threads.c - two threads with a tape each and the same leaves: no race
 * (tests/run has the thread sanitizer look) and the same bits. */
#include "engine_test.h"

#include <pthread.h>

enum { ROUNDS = 200, H = 6, T = 5 };

typedef struct job {
  cg_tensor *W, *x;
  double loss[ROUNDS], grad[ROUNDS][H * H];
  cg_status status;
} job;

/* A small recurrent net over shared leaves, its gradient by cg_grad, with a
 * second order one in between; nothing of the leaves is written. */
static cg_status round_of(cg_tape *tape, job *j, int round) {
  cg_tensor *h = cg_full(tape, CG_F64, CG_DIMS(1, H), 0.1 * (round % 7)), *g;
  for (int t = 0; t < T; t++) {
    cg_tensor *x = cg_narrow(tape, j->x, 0, t, 1);
    h = cg_tanh(tape, cg_addmm(tape, x, h, j->W, false, true));
  }
  cg_tensor *loss = cg_mean_all(tape, cg_square(tape, h));
  if (cg_grad(tape, &loss, 1, NULL, &j->W, 1, &g, CG_CREATE_GRAPH))
    return cg_tape_status(tape);
  cg_tensor *norm = cg_sum_all(tape, cg_square(tape, g)), *gg;
  if (cg_grad(tape, &norm, 1, NULL, &j->W, 1, &gg, 0))
    return cg_tape_status(tape);
  j->loss[round] = cg_tensor_item(loss);
  return cg_tensor_read(gg, j->grad[round], sizeof j->grad[round]);
}

static void *run(void *argument) {
  job *j = argument;
  cg_tape *tape = cg_tape_new(NULL);
  cg_mark start = cg_tape_mark(tape);
  for (int round = 0; round < ROUNDS && !j->status; round++) {
    j->status = round_of(tape, j, round);
    if (!j->status) j->status = cg_tape_rewind(tape, start);
  }
  cg_tape_free(tape);
  return NULL;
}

START_TEST(two_tapes_share_leaves) {
  double w[H * H], x[T * H];
  cg_rng rng = cg_rng_seed(99);
  for (int i = 0; i < H * H; i++) w[i] = cg_rng_normal(&rng) / H;
  for (int i = 0; i < T * H; i++) x[i] = cg_rng_normal(&rng);
  cg_tensor *W = leaf_of(w, CG_DIMS(H, H)), *X = leaf_of(x, CG_DIMS(T, H));
  static job jobs[3];
  pthread_t thread[2];
  for (int i = 0; i < 3; i++) jobs[i] = (job){.W = W, .x = X};
  run(&jobs[2]);
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(pthread_create(&thread[i], NULL, run, &jobs[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < 3; i++) ck_assert_int_eq(jobs[i].status, CG_OK);
  for (int i = 0; i < 2; i++) {
    ck_assert_mem_eq(jobs[i].loss, jobs[2].loss, sizeof jobs[i].loss);
    ck_assert_mem_eq(jobs[i].grad, jobs[2].grad, sizeof jobs[i].grad);
  }
  ck_assert(jobs[2].loss[0] != jobs[2].loss[1]);
  ck_assert_ptr_null(cg_tensor_grad(W));
  ck_assert_ptr_null(cg_tensor_grad(X));
  cg_leaf_free(W);
  cg_leaf_free(X);
}
END_TEST

/* ---- the rest of the engine, at once ---- */

enum { WIDEST = 24, OPS_SEEN = 4096 };

/* What two threads may not disturb in each other: choosing product kernels for
 * sizes not seen before, the list of ops, random numbers, errors, gradients in
 * a home of one's own. */
typedef struct tour {
  cg_tensor *W; /* shared */
  double seen[OPS_SEEN];
  int n;
  cg_error error;
} tour;

static void see(tour *t, const cg_tensor *x) {
  for (int64_t i = 0; i < cg_tensor_numel(x) && t->n < OPS_SEEN; i++)
    t->seen[t->n++] = cg_tensor_get(x, i);
}

static void multiply(cg_tape *tape, tour *t) {
  for (int n = 1; n < WIDEST; n++)
    for (int f64 = 0; f64 < 2; f64++) {
      cg_dtype dtype = f64 ? CG_F64 : CG_F32;
      cg_tensor *a = cg_full(tape, dtype, CG_DIMS(n, n + 3), 0.125 * n);
      cg_tensor *b = cg_full(tape, dtype, CG_DIMS(n + 3, WIDEST - n), 0.25);
      see(t, cg_sum_all(tape, cg_matmul(tape, a, b)));
    }
}

static void apply_ops(cg_tape *tape, tour *t) {
  for (int i = 0; i < cg_op_count(); i++) {
    const cg_op *op = cg_op_find(cg_op_at(i)->name);
    cg_rng rng = cg_rng_seed((uint64_t)i);
    cg_tensor *in[16], *g[16];
    int n = cg_op_case_leaves(op, op->cases, &rng, in, 16, NULL);
    cg_tensor *y = cg_record(tape, op, in, n, op->cases->attr);
    see(t, y);
    if (cg_tensor_requires_grad(y)) {
      y = cg_sum_all(tape, y);
      int k = 0;
      while (!cg_tensor_requires_grad(in[k])) k++;
      if (!cg_grad(tape, &y, 1, NULL, &in[k], 1, g, CG_ALLOW_UNUSED))
        see(t, g[0]);
    }
    cg_tape_reset(tape);
    for (int k = 0; k < n; k++) cg_leaf_free(in[k]);
  }
}

static void *take_tour(void *argument) {
  tour *t = argument;
  cg_tape *tape = cg_tape_new(NULL);
  cg_grads *grads = cg_grads_new(NULL);
  multiply(tape, t);
  cg_tape_reset(tape);
  apply_ops(tape, t);
  for (int k = 0; k < 20; k++) {
    cg_tensor *loss = cg_mean_all(tape, cg_tanh(tape, t->W));
    cg_backward_into(tape, &loss, NULL, 1, grads);
    cg_tape_reset(tape);
  }
  see(t, cg_grads_get(grads, t->W));
  cg_add(tape, t->W, cg_full(tape, CG_F64, CG_DIMS(2), 1));
  t->error = *cg_tape_error(tape);
  cg_grads_free(grads);
  cg_tape_free(tape);
  return NULL;
}

START_TEST(tours_do_not_meet) {
  static tour tours[3];
  double w[9] = {0.3, -1.2, 0.77, 2.1, -0.4, 0.9, -0.05, 1.6, -2.2};
  cg_tensor *W = leaf_of(w, CG_DIMS(3, 3));
  pthread_t thread[2];
  for (int i = 0; i < 3; i++) tours[i].W = W;
  for (int i = 0; i < 2; i++)
    ck_assert_int_eq(pthread_create(&thread[i], NULL, take_tour, &tours[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  take_tour(&tours[2]);
  ck_assert_int_gt(tours[2].n, 2 * cg_op_count());
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(tours[i].n, tours[2].n);
    ck_assert_mem_eq(tours[i].seen, tours[2].seen,
                     sizeof(double) * (size_t)tours[2].n);
    ck_assert_int_eq(tours[i].error.status, CG_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(tours[i].error.message, "[3, 3] and [2]"));
  }
  ck_assert_ptr_null(cg_tensor_grad(W));
  cg_leaf_free(W);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_test(tc, two_tapes_share_leaves);
  tcase_add_test(tc, tours_do_not_meet);
  return run_case("threads", tc);
}
