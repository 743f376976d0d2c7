/* test_replay_ops.c - every op of the list, replayed, gives the bits of
 * recording it anew, gradients recorded or not; and wild indices are refused.
 */
#include "tape_test.h"

enum { MAX_IN = 16, BITS = 1 << 14 };

/* ---- every op, at every case ---- */

typedef struct bits {
  double at[BITS];
  int n;
} bits;

static void see(bits *b, const cg_tensor *x) {
  for (int64_t i = 0; x && i < cg_tensor_numel(x); i++) {
    ck_assert_int_lt(b->n, BITS);
    b->at[b->n++] = cg_tensor_get(x, i);
  }
}

static bool same(const bits *a, const bits *b) {
  return a->n == b->n &&
         !memcmp(a->at, b->at, sizeof *a->at * (size_t)a->n);
}

typedef struct operands {
  cg_tensor *leaf[MAX_IN];
  int n;
} operands;

static operands draw(const cg_op *op, const cg_op_case *c, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed);
  cg_error err = {0};
  operands o = {.n = 0};
  o.n = cg_op_case_leaves(op, c, &rng, o.leaf, MAX_IN, &err);
  ck_assert_msg(o.n > 0, "%s: %s", op->name, err.message);
  return o;
}

static void release(operands *o) {
  for (int i = 0; i < o->n; i++) {
    cg_leaf_free(o->leaf[i]);
    o->leaf[i] = NULL;
  }
}

/* Ops whose derivative rule reads an operand that is no float when it is
 * recorded: a recorded gradient keeps to what that was. */
static bool keeps_index(const cg_op *op) {
  return !strcmp(op->name, "sum_slices");
}

/* The leaves of `to`, or those that hold indices, take the numbers of `from`.
 */
static void assign(const operands *to, const operands *from,
                   bool only_indices) {
  for (int i = 0; i < to->n; i++) {
    cg_dtype dtype = cg_tensor_dtype(to->leaf[i]);
    size_t bytes = (size_t)cg_tensor_numel(to->leaf[i]) * cg_dtype_size(dtype);
    if (!bytes || (only_indices && dtype == CG_F64)) continue;
    ck_assert_int_eq(cg_leaf_write(to->leaf[i], cg_tensor_data(from->leaf[i]),
                                   bytes),
                     CG_OK);
  }
}

/* y, a loss, and the gradients of it, recorded, by the leaves that have one. */
typedef struct graph {
  cg_tensor *y, *loss, *in[MAX_IN], *g[MAX_IN];
  int n;
} graph;

static graph record(cg_tape *t, const cg_op *op, const cg_op_case *c,
                    const operands *o) {
  graph r = {.y = cg_record(t, op, o->leaf, o->n, c->attr)};
  fine(t);
  if (!cg_tensor_requires_grad(r.y)) return r;
  r.loss = cg_sum_all(t, cg_square(t, r.y));
  for (int i = 0; i < o->n; i++)
    if (cg_tensor_requires_grad(o->leaf[i])) r.in[r.n++] = o->leaf[i];
  cg_grad(t, &r.loss, 1, NULL, r.in, r.n, r.g, CG_CREATE_GRAPH);
  fine(t);
  return r;
}

/* The values of r, and what cg_backward gives its leaves now. */
static void look(cg_tape *t, const graph *r, bits *b) {
  b->n = 0;
  see(b, r->y);
  if (!r->loss) return;
  for (int i = 0; i < r->n; i++) {
    see(b, r->g[i]);
    cg_leaf_zero_grad(r->in[i]);
  }
  ck_assert_int_eq(cg_backward(t, r->loss), CG_OK);
  for (int i = 0; i < r->n; i++) see(b, cg_tensor_grad(r->in[i]));
}

static int check_case(const cg_op *op, const cg_op_case *c, uint64_t seed) {
  static bits first, want, got;
  operands a = draw(op, c, seed), b = draw(op, c, seed + 1);
  if (keeps_index(op)) assign(&b, &a, true);
  cg_tape *fresh = cg_tape_new(NULL);
  graph expected = record(fresh, op, c, &b), r = record(tape, op, c, &a);
  look(fresh, &expected, &want);
  look(tape, &r, &first);
  assign(&a, &b, false);
  ck_assert_msg(!cg_tape_replay(tape), "%s, \"%s\": %s", op->name, c->in,
                cg_tape_error(tape)->message);
  look(tape, &r, &got);
  ck_assert_msg(same(&got, &want), "%s, \"%s\": other bits", op->name, c->in);
  bool moved = !same(&got, &first);
  cg_tape_free(fresh);
  cg_tape_reset(tape);
  release(&a);
  release(&b);
  return moved;
}

START_TEST(every_op_as_recorded_anew) {
  const cg_op *op = cg_op_at(_i);
  int moved = 0;
  if (op->once) return;
  for (int k = 0; k < op->n_cases; k++)
    moved += check_case(op, &op->cases[k], (uint64_t)(1000 * _i + 2 * k));
  /* (Comparisons may well come out the same.) */
  ck_assert_msg(moved || !op->vjp,
                "%s: no case has other values for other operands", op->name);
}
END_TEST

static int overwrite_indices(const operands *o, int64_t value) {
  int n = 0;
  for (int i = 0; i < o->n; i++) {
    if (cg_tensor_dtype(o->leaf[i]) != CG_I64) continue;
    int64_t *index = cg_leaf_data(o->leaf[i]);
    for (int64_t e = 0; e < cg_tensor_numel(o->leaf[i]); e++, n++)
      index[e] = value;
  }
  return n;
}

/* Indices that were in range when they were looked at first. */
START_TEST(wild_indices_are_refused) {
  static const int64_t wild[] = {INT64_MIN, -1000000, 1000000, INT64_MAX};
  const cg_op *op = cg_op_at(_i);
  for (int k = 0; k < op->n_cases && !op->once; k++)
    for (int j = 0; j < N_OF(wild); j++) {
      operands o = draw(op, &op->cases[k], (uint64_t)(7 * _i + k));
      cg_record(tape, op, o.leaf, o.n, op->cases[k].attr);
      fine(tape);
      int n_wild = overwrite_indices(&o, wild[j]);
      cg_tape_replay(tape);
      ck_assert_msg(!n_wild || cg_tape_status(tape), "%s, \"%s\": %lld is fine",
                    op->name, op->cases[k].in, (long long)wild[j]);
      cg_tape_reset(tape);
      release(&o);
    }
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("replay_ops");
  tcase_add_checked_fixture(tc, setup, teardown);
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, every_op_as_recorded_anew, 0, cg_op_count());
  tcase_add_loop_test(tc, wild_indices_are_refused, 0, cg_op_count());
  return run_case("replay_ops", tc);
}
