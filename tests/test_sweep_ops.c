/* test_sweep_ops.c - every allocation of every op of the list fails once, at
 * each of its cases: forward, backward and double backward. */
#include "sweep.h"

typedef struct one_case {
  const cg_op *op;
  const cg_op_case *c;
  uint64_t seed;
} one_case;

static bool make_case(world *w) {
  const one_case *o = w->subject;
  cg_rng rng = cg_rng_seed(o->seed);
  w->n_leaves =
      cg_op_case_leaves(o->op, o->c, &rng, w->leaf, SWEEP_LEAVES, NULL);
  for (int k = 0; o->op->n_diff && k < w->n_leaves; k++)
    if (k >= o->op->n_diff) cg_leaf_set_requires_grad(w->leaf[k], false);
  return w->n_leaves > 0;
}

/* The sum of |x_i|^2 over the leaves' gradients x_i. */
static cg_tensor *norm_of(cg_tape *tape, cg_tensor *const *x, int n) {
  cg_tensor *sum = cg_scalar(tape, CG_F64, 0);
  for (int i = 0; i < n; i++)
    if (x[i])
      sum = cg_add(tape, sum, cg_sum_all(tape, cg_square(tape, x[i])));
  return sum;
}

static cg_status run_case_of(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  const one_case *o = w->subject;
  cg_tensor *in[SWEEP_LEAVES], *g[SWEEP_LEAVES], *gg[SWEEP_LEAVES];
  int n = 0;
  for (int i = 0; i < w->n_leaves; i++)
    if (cg_tensor_requires_grad(w->leaf[i])) in[n++] = w->leaf[i];
  cg_tensor *y = cg_record(tape, o->op, w->leaf, w->n_leaves, o->c->attr);
  if (!cg_tape_status(tape)) note_tensor(b, y);
  if (!cg_tensor_requires_grad(y)) return cg_tape_status(tape);
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y));
  int options = CG_CREATE_GRAPH | CG_ALLOW_UNUSED;
  cg_grad(tape, &loss, 1, NULL, in, n, g, options);
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  cg_tensor *norm = norm_of(tape, g, n);
  if (cg_tensor_requires_grad(norm))
    cg_grad(tape, &norm, 1, NULL, in, n, gg, CG_ALLOW_UNUSED);
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  for (int i = 0; i < n; i++) note_tensor(b, g[i]);
  for (int i = 0; cg_tensor_requires_grad(norm) && i < n; i++)
    note_tensor(b, gg[i]);
  return CG_OK;
}

START_TEST(op_survives) {
  const cg_op *op = cg_op_at(_i);
  size_t failures = 0;
  for (int c = 0; c < op->n_cases; c++) {
    one_case o = {op, &op->cases[c], 100 * (uint64_t)_i + (uint64_t)c};
    scenario s = {.name = op->name, .make = make_case, .run = run_case_of,
                  .subject = &o};
    failures += sweep(&s);
  }
  /* A tape of its own already has two blocks. */
  ck_assert_msg(failures > 10 * (size_t)op->n_cases, "%s: only %zu failures",
                op->name, failures);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, op_survives, 0, cg_op_count());
  return run_case("sweep over the ops", tc);
}
