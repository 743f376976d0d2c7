/* test_sweep_nn.c - every allocation of training steps, of making nets, of
 * model files and of manual BPTT fails once. */
#include "sweep.h"

#include <unistd.h>

#include <chronograd/nn.h>

enum { T = 4, B = 2, I = 3, H = 4, K = 5 };

static char path[64];

/* ---- the C library's heap, which fails on demand ----
 * Some calls have no allocator: this program's functions stand in front of the
 * C library's, for the library under test too. */

static struct {
  bool armed, refused;
  size_t calls, fail_at;
} heap;

static bool refuse(void) {
  if (!heap.armed || ++heap.calls != heap.fail_at) return false;
  return heap.refused = true;
}

void *aligned_alloc(size_t alignment, size_t size) {
  void *p;
  return refuse() || posix_memalign(&p, alignment, size) ? NULL : p;
}

void *calloc(size_t n, size_t size) {
  if (refuse()) return NULL;
  void *p; /* malloc and memset would be made a calloc */
  if (posix_memalign(&p, 16, n * size)) return NULL;
  return memset(p, 0, n * size);
}

/* Has allocation n of what comes now fail. */
static void arm(size_t n) {
  heap.calls = 0;
  heap.fail_at = n;
  heap.refused = false;
  heap.armed = true;
}

/* ---- training ---- */

typedef struct training {
  cg_params *params;
  cg_rnn *rnn;
  cg_linear_layer *fc;
} training;

static const cg_rnn_config configs[] = {
    {.input_size = I, .hidden_size = H, .num_layers = 2},
    {.input_size = I, .hidden_size = H, .cell = CG_CELL_LSTM},
    {.input_size = I, .hidden_size = H, .cell = CG_CELL_GRU,
     .learned_h0 = true},
};

static bool build(training *t, const cg_allocator *allocator,
                  const cg_rnn_config *config, cg_error *err) {
  cg_rng rng = cg_rng_seed(2385);
  t->params = cg_params_new(allocator, CG_F64, err);
  t->rnn = t->params ? cg_rnn_new(t->params, "rnn", config, &rng, err) : NULL;
  cg_linear_config fc = {.in_features = H, .out_features = K};
  t->fc = t->rnn ? cg_linear_layer_new(t->params, "fc", &fc, &rng, err) : NULL;
  return t->fc != NULL;
}

static training the_net; /* of the world */

static bool make_training(world *w) {
  if (!build(&the_net, w->allocator, w->subject, NULL)) return false;
  w->n_leaves = cg_params_count(the_net.params);
  for (int i = 0; i < w->n_leaves; i++)
    w->leaf[i] = cg_params_at(the_net.params, i);
  return true;
}

static void free_training(world *w) {
  (void)w;
  cg_params_free(the_net.params);
}

static cg_tensor *training_loss(cg_tape *tape) {
  double x[T * B * I];
  int64_t y[T * B];
  for (int i = 0; i < T * B * I; i++) x[i] = sin(2.385 * i);
  for (int i = 0; i < T * B; i++) y[i] = 3 * i % K;
  cg_tensor *input = cg_input(tape, CG_F64, CG_DIMS(T, B, I), x);
  cg_tensor *targets = cg_input(tape, CG_I64, CG_DIMS(T, B), y);
  cg_tensor *h = cg_rnn_forward(tape, the_net.rnn, input, NULL).h;
  cg_tensor *o = cg_linear_layer_forward(tape, the_net.fc, h);
  return cg_cross_entropy_loss(tape, o, targets, CG_REDUCE_SUM,
                               CG_REDUCE_MEAN);
}

static cg_status train(cg_tape *tape, world *w, bits *b, cg_error *err) {
  cg_optimizer *adam =
      cg_adam_new(the_net.params, &(cg_adam_config){.lr = 0.01}, err);
  if (!adam) return err->status;
  cg_tensor *loss = training_loss(tape);
  cg_status status = cg_backward(tape, loss);
  double norm;
  if (!status)
    status = cg_clip_grad_norm(the_net.params, 0.5, &norm, err);
  if (!status) status = cg_optimizer_step(adam, err);
  cg_optimizer_free(adam);
  if (status) return status;
  note_tensor(b, loss);
  note(b, &norm, sizeof norm);
  for (int i = 0; i < w->n_leaves; i++) {
    note_tensor(b, cg_tensor_grad(w->leaf[i]));
    note_tensor(b, w->leaf[i]);
  }
  return CG_OK;
}

/* H v over the unrolled net. */
static cg_status curvature(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *v[SWEEP_LEAVES], *hv[SWEEP_LEAVES];
  cg_tensor *loss = training_loss(tape);
  for (int i = 0; i < w->n_leaves; i++)
    v[i] = cg_detach(tape, cg_mul_scalar(tape, w->leaf[i], 0.9));
  cg_status status =
      cg_hvp(tape, loss, w->leaf, v, w->n_leaves, hv, 0);
  for (int i = 0; i < w->n_leaves && !status; i++) note_tensor(b, hv[i]);
  return status;
}

/* Windows that overlap, with a bound on what flows back in them. */
static cg_status windows(cg_tape *tape, world *w, bits *b, cg_error *err) {
  cg_state_clip clip = {.max_norm = 0.01};
  cg_tbptt *tb = cg_tbptt_new(
      the_net.rnn, &(cg_tbptt_config){.horizon = 3, .period = 2, .clip = &clip},
      w->allocator, err);
  cg_status status = tb ? CG_OK : err->status;
  for (cg_window u; !status && (u = cg_tbptt_next(tb, T), u.begin < u.end);) {
    cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(u.end - u.begin, B, I), 0.385);
    cg_tensor *h = cg_tbptt_forward(tb, tape, x);
    status = cg_backward(tape, cg_sum_all(tape, cg_square(tape, h)));
  }
  cg_tbptt_free(tb);
  ck_assert(status || clip.clipped == 1);
  for (int i = 0; i < w->n_leaves && !status; i++)
    note_tensor(b, cg_tensor_grad(w->leaf[i]));
  return status;
}

static const scenario trainings[] = {
    {.name = "RNN training", .run = train, .adds = true},
    {.name = "RNN hvp", .run = curvature},
    {.name = "RNN truncated", .run = windows, .adds = true},
};

START_TEST(training_survives) {
  scenario s = trainings[_i / N_OF(configs)];
  s.make = make_training;
  s.dispose = free_training;
  s.subject = &configs[_i % N_OF(configs)];
  ck_assert_uint_gt(sweep(&s), 200);
}
END_TEST

START_TEST(making_survives) {
  size_t n = 1;
  for (bool made = false; !made; n++) {
    counter c;
    counter_init(&c);
    c.fail_at = n;
    cg_error err = {0};
    training t = {0};
    made = build(&t, &c.allocator, &configs[_i], &err);
    if (!made) {
      ck_assert_int_eq(err.status, CG_ERR_NOMEM);
      ck_assert_ptr_nonnull(strstr(err.message, "memory"));
    }
    cg_params_free(t.params);
    ck_assert_uint_eq(c.live_blocks, 0);
  }
  ck_assert_uint_gt(n, 20);
}
END_TEST

/* ---- files ---- */

#ifdef CG_HAVE_JANSSON

static cg_status save_and_load(cg_tape *tape, world *w, bits *b,
                               cg_error *err) {
  (void)tape;
  const cg_metadata line = {"cell", "any"};
  cg_status status = cg_params_save(the_net.params, path, &line, 1, err);
  if (!status) {
    cg_params *other = the_net.params; /* loads its own values again */
    status = cg_params_load(other, path, 0, err);
  }
  for (int i = 0; i < w->n_leaves && !status; i++) note_tensor(b, w->leaf[i]);
  return status;
}

START_TEST(files_survive_with_an_allocator) {
  scenario s = {.name = "save and load", .make = make_training,
                .dispose = free_training, .run = save_and_load,
                .subject = &configs[_i]};
  ck_assert_uint_gt(sweep(&s), 20);
}
END_TEST

/* Saving has no allocator. A file that is there stays as it was. */
START_TEST(saving_survives) {
  training t = {0};
  ck_assert(build(&t, NULL, &configs[_i], NULL));
  ck_assert_int_eq(cg_params_save(t.params, path, NULL, 0, NULL), CG_OK);
  double old = cg_tensor_get(cg_params_at(t.params, 0), 1);
  cg_leaf_fill(cg_params_at(t.params, 0), 0.5);
  size_t n = 1;
  for (bool refused = true; refused; n++) {
    cg_error err = {0};
    arm(n);
    cg_status status = cg_params_save(t.params, path, NULL, 0, &err);
    heap.armed = false;
    refused = heap.refused;
    ck_assert_int_eq(status, refused ? CG_ERR_NOMEM : CG_OK);
    ck_assert_int_eq(err.status, status);
    cg_safetensors *file = cg_safetensors_open(NULL, path, &err);
    ck_assert_msg(file != NULL, "%s", err.message);
    const cg_array *a = cg_safetensors_find(
        file, cg_params_name(t.params, 0));
    near(((const double *)a->data)[1], refused ? old : 0.5, 0);
    cg_safetensors_close(file);
  }
  ck_assert_uint_gt(n, 2);
  cg_params_free(t.params);
}
END_TEST

#endif

/* ---- manual BPTT ---- */

START_TEST(manual_bptt_survives) {
  double x[T * I], W_xh[H * I], W_hh[H * H], W_hy[K * H], b_h[H], b_y[K];
  int64_t y[T] = {1, 4, 0, 2};
  double *all[] = {x, W_xh, W_hh, W_hy, b_h, b_y};
  const int sizes[] = {T * I, H * I, H * H, K * H, H, K};
  for (int k = 0; k < 6; k++)
    for (int i = 0; i < sizes[k]; i++) all[k][i] = cos(1.7 * i + k);
  const cg_bptt_problem p = {.T = T, .B = 1, .D = I, .H = H, .K = K, .x = x,
                             .y = y, .W_xh = W_xh, .W_hh = W_hh, .W_hy = W_hy,
                             .b_h = b_h, .b_y = b_y};
  cg_bptt_result want, r;
  ck_assert_int_eq(cg_bptt_batch(&p, &want, NULL), CG_OK);
  size_t n = 1;
  for (bool refused = true; refused; n++) {
    cg_error err = {0};
    arm(n);
    cg_status status =
        (_i ? cg_bptt_sequence : cg_bptt_batch)(&p, &r, &err);
    heap.armed = false;
    refused = heap.refused;
    ck_assert_int_eq(status, refused ? CG_ERR_NOMEM : CG_OK);
    ck_assert_int_eq(err.status, status);
    if (refused)
      ck_assert_ptr_null(r.o);
    else
      near(r.dW_hh[3], want.dW_hh[3], 1e-14);
    cg_bptt_free(&r);
  }
  ck_assert_uint_gt(n, 2);
  cg_bptt_free(&want);
}
END_TEST

int main(void) {
  snprintf(path, sizeof path, "test_sweep_nn.%d.safetensors", (int)getpid());
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, training_survives, 0,
                      N_OF(trainings) * N_OF(configs));
  tcase_add_loop_test(tc, making_survives, 0, N_OF(configs));
#ifdef CG_HAVE_JANSSON
  tcase_add_loop_test(tc, files_survive_with_an_allocator, 0, N_OF(configs));
  tcase_add_loop_test(tc, saving_survives, 0, N_OF(configs));
#endif
  tcase_add_loop_test(tc, manual_bptt_survives, 0, 2);
  int status = run_case("sweep over nets", tc);
  unlink(path);
  return status;
}
