/* test_threads.c - two threads with a tape each and the same leaves: no race
 * (which the thread sanitizer would report) and the same bits. */
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

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 100);
  tcase_add_test(tc, two_tapes_share_leaves);
  return run_case("threads", tc);
}
