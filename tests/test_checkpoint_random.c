/* test_checkpoint_random.c - random programs of segments inside each other and
 * beside each other, with captures, views, dropout, hooks and targets: the bits
 * are those of the plain graph. */
#include "checkpoint_test.h"

enum { POOL = 24, N_OUT = 3, PROGRAMS = 120 };

typedef struct choice {
  cg_rng rng;
  int depth; /* of segments that may still be opened */
} choice;

static cg_tensor *outside[2]; /* older tensors that functions capture */
static uint64_t seed;
static bool listening; /* cg_grad may call more hooks than in the plain graph */

static void body(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                 int n_out, void *context);

static cg_tensor *nested(cg_tensor *a, cg_tensor *b, choice *c) {
  choice inner = {cg_rng_seed(cg_rng_next(&c->rng)), c->depth - 1};
  cg_tensor *in[] = {a, b}, *out[N_OUT];
  segment(body, &inner, sizeof inner, in, 2, out, N_OUT);
  return out[cg_rng_below(&c->rng, N_OUT)];
}

/* One [D, D] tensor more. */
static cg_tensor *random_op(cg_tape *t, cg_tensor *a, cg_tensor *b, choice *c) {
  switch (cg_rng_below(&c->rng, c->depth > 0 ? 13 : 11)) {
    case 0: return cg_tanh(t, a);
    case 1: return cg_add(t, a, b);
    case 2: return cg_mul(t, a, cg_tanh(t, b));
    case 3: return cg_tanh(t, cg_matmul_t(t, a, b, false, true));
    case 4: return cg_transpose(t, a, 0, 1);
    case 5: return cg_mul(t, a, S);
    case 6: return cg_add(t, a, cg_select(t, b, 0, -1));
    case 7: return cg_dropout(t, a, 0.3, &c->rng);
    case 8: return cg_linear(t, cg_tanh(t, a), W1, BIAS);
    case 9: return cg_add(t, cg_detach(t, a), b);
    case 10: return cg_flip(t, a, (const int[]){0, 1}, 2);
    default: return nested(a, b, c);
  }
}

static void body(cg_tape *t, cg_tensor *const *in, int n_in, cg_tensor **out,
                 int n_out, void *context) {
  choice *c = context;
  cg_tensor *pool[POOL] = {W0, W2, outside[0], outside[1]};
  int n = 4;
  for (int i = 0; i < n_in; i++) pool[n++] = in[i];
  for (int steps = 3 + (int)cg_rng_below(&c->rng, 7); steps > 0; steps--, n++) {
    int64_t a = cg_rng_below(&c->rng, n), b = cg_rng_below(&c->rng, n);
    pool[n] = random_op(t, pool[a], pool[b], c);
  }
  for (int i = 0; i < n_out; i++) /* mostly of what was made last */
    out[i] = pool[n - 1 - cg_rng_below(&c->rng, i ? 4 : 2)];
}

static cg_tensor *halve(cg_tape *t, cg_tensor *x, cg_tensor *g, void *context) {
  (void)x, (void)context;
  if (listening) keep(g);
  return cg_mul_scalar(t, g, 0.5);
}

static cg_tensor *mean_of_squares(cg_tensor *x) {
  return cg_mean_all(tape, cg_square(tape, x));
}

static void keep_or_zeros(cg_tensor *g) {
  keep(g ? g : cg_full(tape, dtype, CG_DIMS(D, D), 0));
}

static void program(void) {
  cg_rng rng = cg_rng_seed(seed);
  cg_tensor *out[2 * N_OUT], *loss = mean_of_squares(W0);
  outside[0] = cg_sin(tape, W0);
  outside[1] = cg_mul(tape, outside[0], cg_full(tape, dtype, CG_DIMS(D, D), 1));
  cg_tensor *in[] = {W1, outside[0]};
  for (int k = 0; k < 2; k++) {
    choice c = {cg_rng_seed(cg_rng_next(&rng)), 2};
    segment(body, &c, sizeof c, in, 2, out + k * N_OUT, N_OUT);
    in[0] = out[k * N_OUT];
    in[1] = out[k * N_OUT + 1];
  }
  for (int i = 0; i < 2 * N_OUT; i++) {
    cg_tensor *x = out[i];
    if (cg_rng_below(&rng, 2)) loss = cg_add(tape, loss, mean_of_squares(x));
    if (!cg_tensor_requires_grad(x) || cg_tensor_is_leaf(x)) continue;
    if (cg_rng_below(&rng, 3) == 0) cg_hook(tape, x, halve, NULL);
    if (cg_rng_below(&rng, 3) == 0) cg_retain_grad(tape, x);
  }
  keep(loss);
  listening = true;
  ck_assert_int_eq(cg_backward(tape, loss), CG_OK);
  keep_leaf_gradients();
  listening = false;
  for (int i = 0; i < 2 * N_OUT; i++) {
    cg_tensor *g;
    if (!cg_tensor_requires_grad(out[i])) continue;
    if (cg_tensor_grad(out[i])) keep(cg_tensor_grad(out[i]));
    cg_grad(tape, &loss, 1, NULL, &out[i], 1, &g, CG_ALLOW_UNUSED);
    keep_or_zeros(g);
  }
}

START_TEST(random_programs) {
  for (seed = 1; seed <= PROGRAMS; seed++) same_bits(program);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 110);
  tcase_add_test(tc, random_programs);
  return run_case("checkpoint_random", tc);
}
