/* test_determinism.c - the same inputs give the same bits, whatever the tape
 * did before, in a fresh process, and whatever number of threads the BLAS is
 * told to use.
 * usage: test_determinism [--print]   prints the bits in hexadecimal */
#include "nn_test.h"

enum { T = 6, B = 5, I = 7, H = 40, K = 9, WIDE = 150, BITS = 40000 };

/* Check's own asserts work under Check only, not with --print. */
static void must(bool holds) {
  if (holds) return;
  fputs("test_determinism: something failed\n", stderr);
  exit(2);
}

typedef struct bits {
  double at[BITS];
  int n;
} bits;

static void see(bits *b, const cg_tensor *x) {
  must(x != NULL);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    must(b->n < BITS);
    b->at[b->n++] = cg_tensor_get(x, i);
  }
}

/* ---- what is computed ---- */

static void see_net(cg_tape *tape, cg_dtype dtype, cg_cell_kind cell, bits *b) {
  cg_mark mark = cg_tape_mark(tape);
  cg_params *params = cg_params_new(NULL, dtype, NULL);
  cg_rng rng = cg_rng_seed(4);
  cg_rnn *rnn = cg_rnn_new(
      params, "rnn",
      &(cg_rnn_config){.input_size = I, .hidden_size = H, .cell = cell}, &rng,
      NULL);
  cg_tensor *x = cg_leaf_new(NULL, dtype, CG_DIMS(T, B, I), NULL);
  must(params && rnn && x);
  cg_init_normal(x, &rng, 0, 1, NULL);
  cg_tensor *h = cg_rnn_forward(tape, rnn, x, NULL).h;
  cg_tensor *loss = cg_mean_all(tape, cg_log_softmax(tape, h, -1));
  must(cg_backward(tape, loss) == CG_OK);
  see(b, loss);
  for (int i = 0; i < cg_params_count(params); i++)
    see(b, cg_tensor_grad(cg_params_at(params, i)));
  cg_tape_rewind(tape, mark);
  cg_leaf_free(x);
  cg_params_free(params);
}

/* A product large enough for threads to pay. */
static void see_product(cg_tape *tape, cg_dtype dtype, bits *b) {
  static double data[WIDE * WIDE];
  cg_rng rng = cg_rng_seed(5);
  for (int i = 0; i < WIDE * WIDE; i++) data[i] = cg_rng_normal(&rng);
  cg_tensor *x = cg_input(tape, CG_F64, CG_DIMS(WIDE, WIDE), data);
  x = cg_cast(tape, x, dtype);
  cg_tensor *y = cg_matmul_t(tape, cg_matmul(tape, x, x), x, false, true);
  see(b, cg_select(tape, y, 0, 3));
  see(b, cg_sum_all(tape, y));
}

static void see_ops(cg_tape *tape, bits *b) {
  for (int i = 0; i < cg_op_count(); i++) {
    const cg_op *op = cg_op_at(i);
    cg_rng rng = cg_rng_seed((uint64_t)i + 3);
    cg_tensor *in[16], *g[16];
    const cg_op_case *c = &op->cases[op->n_cases - 1];
    int n = cg_op_case_leaves(op, c, &rng, in, 16, NULL);
    cg_mark mark = cg_tape_mark(tape);
    cg_tensor *y = cg_record(tape, op, in, n, c->attr);
    see(b, y);
    if (cg_tensor_requires_grad(y)) {
      y = cg_sum_all(tape, cg_square(tape, y));
      int k = 0;
      while (!cg_tensor_requires_grad(in[k])) k++;
      must(!cg_grad(tape, &y, 1, NULL, &in[k], 1, g, CG_ALLOW_UNUSED));
      if (g[0]) see(b, g[0]);
    }
    cg_tape_rewind(tape, mark);
    for (int k = 0; k < n; k++) cg_leaf_free(in[k]);
  }
}

static void compute(cg_tape *tape, bits *b) {
  cg_mark mark = cg_tape_mark(tape);
  b->n = 0;
  for (int dtype = CG_F32; dtype <= CG_F64; dtype++) {
    see_product(tape, (cg_dtype)dtype, b);
    for (int cell = 0; cell < CG_CELL_COUNT; cell++)
      see_net(tape, (cg_dtype)dtype, (cg_cell_kind)cell, b);
  }
  cg_tape_rewind(tape, mark);
  see_ops(tape, b);
}

/* ---- what may have happened before ---- */

static void other_graphs(cg_tape *tape) {
  static bits unused;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(33, 17), 0.3);
  for (int i = 0; i < 50; i++) x = cg_tanh(tape, cg_add_scalar(tape, x, 0.01));
  cg_tape_rewind(tape, mark);
  unused.n = 0;
  see_ops(tape, &unused);
  cg_tape_rewind(tape, mark);
  for (int i = 0; i < 7; i++) { /* some of it stays */
    cg_scalar(tape, CG_F32, i);
    cg_full(tape, CG_F64, CG_DIMS(3 + i), NAN);
    cg_tape_alloc(tape, 100 + 8 * (size_t)i);
  }
}

static void errors(cg_tape *tape) {
  for (int i = 0; i < 5; i++) {
    cg_tensor *x = cg_full(tape, CG_F64, CG_DIMS(2, 3), i);
    cg_matmul(tape, x, x);
    ck_assert_int_eq(cg_tape_status(tape), CG_ERR_SHAPE);
    cg_tape_clear_error(tape);
  }
}

static void resets(cg_tape *tape) {
  other_graphs(tape);
  cg_tape_reset(tape);
}

static void much(cg_tape *tape) { /* another block of the arenas */
  for (int i = 0; i < 3; i++) cg_full(tape, CG_F64, CG_DIMS(7777), NAN);
  for (int i = 0; i < 3000; i++) cg_scalar(tape, CG_F64, i);
}

static void watched(cg_tape *tape) {
  cg_tape_trace_nonfinite(tape, false);
  ck_assert_int_eq(cg_profile_begin(tape), CG_OK);
}

static void (*const before[])(cg_tape *) = {other_graphs, errors, resets, much,
                                            watched};

static bits want, got;

static void same(const char *when) {
  ck_assert_int_eq(got.n, want.n);
  for (int i = 0; i < want.n; i++)
    ck_assert_msg(!memcmp(&got.at[i], &want.at[i], sizeof(double)),
                  "number %d is %a, not %a, %s", i, got.at[i], want.at[i],
                  when);
}

START_TEST(whatever_the_tape_did_before) {
  counter c;
  counter_init(&c); /* fills memory with other bytes */
  cg_tape *clean = cg_tape_new(NULL);
  cg_tape *dirty = cg_tape_new(&(cg_tape_options){.allocator = &c.allocator});
  compute(clean, &want);
  ck_assert_int_gt(want.n, 2000);
  before[_i](dirty);
  compute(dirty, &got);
  same("on a tape that was used before");
  compute(dirty, &got);
  same("the second time");
  cg_tape_free(clean);
  cg_tape_free(dirty);
}
END_TEST

/* ---- other processes ---- */

static const char *self;

/* The numbers that this program prints under some settings. */
static void read_other(const char *settings) {
  char command[1024];
  snprintf(command, sizeof command, "%s '%s' --print", settings, self);
  FILE *in = popen(command, "r");
  ck_assert_ptr_nonnull(in);
  got.n = 0;
  while (got.n < BITS && fscanf(in, "%la", &got.at[got.n]) == 1) got.n++;
  ck_assert_int_eq(pclose(in), 0);
}

START_TEST(whatever_the_process) {
  static const char *const settings[] = {
      "OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1",
      "OPENBLAS_NUM_THREADS=2 OMP_NUM_THREADS=2",
      "OPENBLAS_NUM_THREADS=5 OMP_NUM_THREADS=3 MALLOC_PERTURB_=90"};
  cg_tape *tape = cg_tape_new(NULL);
  compute(tape, &want);
  cg_tape_free(tape);
  for (int i = 0; i < N_OF(settings); i++) {
    read_other(settings[i]);
    same(settings[i]);
  }
}
END_TEST

static int print_bits(void) {
  cg_tape *tape = cg_tape_new(NULL);
  compute(tape, &want);
  for (int i = 0; i < want.n; i++) printf("%a\n", want.at[i]);
  cg_tape_free(tape);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--print")) return print_bits();
  self = argv[0];
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, whatever_the_tape_did_before, 0, N_OF(before));
  tcase_add_test(tc, whatever_the_process);
  return run_case("determinism", tc);
}
