/* test_ops_gradcheck.c - every op of the table, at every case that it names,
 * against central differences: first and second order, in several layouts.
 * Being on the list of ops is what puts an op here. */
#include <stdio.h>

#include "engine_test.h"

enum { MAX_IN = 16 };

/* How the operands reach the op. */
typedef enum layout {
  PLAIN,   /* leaves, contiguous */
  STRIDED, /* views of leaves that hold the data in another order */
  SHARED,  /* one leaf for all float operands of one shape */
  LAYOUTS
} layout;

static const char *const layout_names[LAYOUTS] = {"plain", "strided",
                                                  "shared"};

/* Ops that have no case with an empty operand, and why. */
static const struct {
  const char *op, *reason;
} no_empty_case[] = {
    {NULL, NULL},
};

/* ---- the function under check ---- */

typedef struct subject {
  const cg_op *op;
  const cg_op_case *c;
  layout layout;
  cg_tensor *in[MAX_IN];  /* what the check gets */
  cg_tensor *own[MAX_IN]; /* what is freed */
  int n;
} subject;

static bool is_float(const cg_tensor *x) {
  return cg_tensor_dtype(x) == CG_F64;
}

/* Undoes what strided_leaf did to a leaf that stood for `rank` axes. */
static cg_tensor *strided_view(cg_tape *tape, cg_tensor *x, int rank) {
  if (rank == 1) return cg_select(tape, x, 1, 1);
  return cg_transpose(tape, x, 0, -1);
}

static cg_tensor *apply(cg_tape *tape, cg_tensor *const *in, int n_in,
                        void *context) {
  const subject *s = context;
  cg_tensor *operand[MAX_IN];
  for (int k = 0; k < n_in; k++) {
    int rank = cg_tensor_rank(s->own[k]);
    bool viewed = s->layout == STRIDED && is_float(in[k]) && rank > 0;
    operand[k] = viewed ? strided_view(tape, in[k], rank) : in[k];
    if (!operand[k]) return NULL;
  }
  return cg_record(tape, s->op, operand, n_in, s->c->attr);
}

/* ---- layouts ---- */

static cg_tensor *leaf_like(cg_tensor *y) {
  int rank = cg_tensor_rank(y);
  cg_tensor *x = leaf_of(NULL, rank, cg_tensor_shape(y));
  size_t bytes = (size_t)cg_tensor_numel(y) * sizeof(double);
  if (bytes) cg_tensor_read(y, cg_leaf_data(x), bytes);
  return x;
}

/* A leaf from which strided_view makes a tensor equal to x: x transposed, or,
 * for a vector, a matrix with x in column 1. */
static cg_tensor *strided_leaf(cg_tape *tape, cg_tensor *x) {
  cg_tensor *pair[] = {cg_mul_scalar(tape, x, 0.875), x};
  cg_tensor *y = cg_tensor_rank(x) == 1 ? cg_stack(tape, pair, 2, 1)
                                        : cg_transpose(tape, x, 0, -1);
  fine(tape);
  return leaf_like(y);
}

static bool make_strided(cg_tape *tape, subject *s) {
  bool any = false;
  for (int k = 0; k < s->n; k++) {
    if (!is_float(s->own[k]) || cg_tensor_rank(s->own[k]) == 0) continue;
    bool wanted = cg_tensor_requires_grad(s->own[k]);
    s->in[k] = strided_leaf(tape, s->own[k]);
    cg_leaf_set_requires_grad(s->in[k], wanted);
    any = true;
  }
  return any;
}

static bool same_shape(const cg_tensor *a, const cg_tensor *b) {
  int rank = cg_tensor_rank(a);
  return rank == cg_tensor_rank(b) &&
         !memcmp(cg_tensor_shape(a), cg_tensor_shape(b),
                 sizeof(int64_t) * (size_t)rank);
}

static bool make_shared(subject *s) {
  bool any = false;
  for (int k = 1; k < s->n; k++)
    for (int j = 0; j < k && s->in[k] == s->own[k]; j++)
      if (cg_tensor_requires_grad(s->own[k]) &&
          cg_tensor_requires_grad(s->own[j]) &&
          same_shape(s->own[j], s->own[k])) {
        s->in[k] = s->own[j];
        any = true;
      }
  return any;
}

/* False if the layout is the plain one for these operands. */
static bool prepare(cg_tape *tape, subject *s, int op_index) {
  cg_rng rng = cg_rng_seed((uint64_t)op_index * 1000 + 17);
  cg_error err = {0};
  s->n = cg_op_case_leaves(s->op, s->c, &rng, s->own, MAX_IN, &err);
  ck_assert_msg(s->n > 0, "%s, \"%s\": %s", s->op->name, s->c->in,
                err.message);
  for (int k = 0; k < s->n; k++) {
    s->in[k] = s->own[k];
    if (s->op->n_diff && k >= s->op->n_diff && is_float(s->own[k]))
      cg_leaf_set_requires_grad(s->own[k], false);
  }
  if (s->layout == STRIDED) return make_strided(tape, s);
  if (s->layout == SHARED) return make_shared(s);
  return true;
}

static void dispose(subject *s) {
  for (int k = 0; k < s->n; k++) {
    bool made = s->layout == STRIDED && s->in[k] != s->own[k];
    if (made) cg_leaf_free(s->in[k]);
    cg_leaf_free(s->own[k]);
  }
}

/* ---- one check ---- */

typedef struct outcome {
  bool passed;
  int64_t compared;
  char text[600];
} outcome;

/* An op without a derivative: its result wants none. */
static bool has_no_gradient(cg_tape *tape, subject *s) {
  cg_tensor *y = apply(tape, s->in, s->n, s);
  return y && !cg_tensor_requires_grad(y);
}

static void check_one(cg_tape *tape, subject *s, int order, outcome *o) {
  const cg_gradcheck_options options = {.seed = 5081};
  cg_gradcheck_report r = {0};
  cg_status status = CG_OK;
  bool passed;
  if (s->op->vjp) {
    status = (order == 1 ? cg_gradcheck : cg_gradgradcheck)(
        tape, apply, s->in, s->n, s, &options, &r);
    passed = status == CG_OK && r.passed;
  } else {
    passed = has_no_gradient(tape, s);
  }
  o->compared += r.compared;
  if (passed || !o->passed) return;
  o->passed = false;
  snprintf(o->text, sizeof o->text,
           "%s, order %d, case \"%s\" (number %d), %s: %s operand %d element "
           "%lld: gradient %.12g, difference %.12g, error %.3g",
           s->op->name, order, s->c->in, (int)(s->c - s->op->cases),
           layout_names[s->layout], status ? cg_tape_error(tape)->message : "",
           r.input, (long long)r.index, r.analytic, r.difference, r.worst);
}

/* All cases and layouts of op i. */
static outcome check_op(int i, int order) {
  outcome o = {.passed = true};
  const cg_op *op = cg_op_at(i);
  for (int c = 0; c < op->n_cases; c++)
    for (int l = 0; l < LAYOUTS; l++) {
      cg_tape *tape = cg_tape_new(NULL);
      subject s = {.op = op, .c = &op->cases[c], .layout = (layout)l};
      if (prepare(tape, &s, i)) check_one(tape, &s, order, &o);
      cg_tape_free(tape);
      dispose(&s);
    }
  return o;
}

/* ---- the tests ---- */

START_TEST(first_order) {
  outcome o = check_op(_i, 1);
  ck_assert_msg(o.passed, "%s", o.text);
}
END_TEST

START_TEST(second_order) {
  outcome o = check_op(_i, 2);
  ck_assert_msg(o.passed, "%s", o.text);
}
END_TEST

/* Does any operand of the case have no elements? */
static bool is_empty_case(const cg_op *op, const cg_op_case *c) {
  cg_tensor *in[MAX_IN];
  cg_rng rng = cg_rng_seed(1);
  bool empty = false;
  int n = cg_op_case_leaves(op, c, &rng, in, MAX_IN, NULL);
  ck_assert_int_gt(n, 0);
  for (int k = 0; k < n; k++) {
    empty |= cg_tensor_numel(in[k]) == 0;
    cg_leaf_free(in[k]);
  }
  return empty;
}

static bool is_excused(const char *op) {
  for (int k = 0; k < N_OF(no_empty_case); k++)
    if (no_empty_case[k].op && !strcmp(no_empty_case[k].op, op)) return true;
  return false;
}

START_TEST(cases_cover_the_op) {
  const cg_op *op = cg_op_at(_i);
  bool empty = false, full = false;
  for (int c = 0; c < op->n_cases; c++) {
    bool is_empty = is_empty_case(op, &op->cases[c]);
    empty |= is_empty;
    full |= !is_empty;
  }
  ck_assert_msg(full, "%s has no case with elements", op->name);
  ck_assert_msg(empty || is_excused(op->name), "%s has no empty case",
                op->name);
}
END_TEST

/* Counts in one process, from the table. An op that passes without a single
 * comparison does not count, unless it has no derivative. */
START_TEST(all_are_counted) {
  int n = cg_op_count(), count[3] = {0};
  for (int i = 0; i < n; i++)
    for (int order = 1; order <= 2; order++) {
      outcome o = check_op(i, order);
      count[order] += o.passed && (o.compared > 0 || !cg_op_at(i)->vjp);
    }
  printf("ops: %d\nops gradchecked: %d\nops second-order gradchecked: %d\n", n,
         count[1], count[2]);
  fflush(stdout);
  ck_assert_int_gt(n, 0);
  ck_assert_int_eq(count[1], n);
  ck_assert_int_eq(count[2], n);
}
END_TEST

int main(void) {
  TCase *tc = tcase_create("ops");
  int n = cg_op_count();
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, cases_cover_the_op, 0, n);
  tcase_add_loop_test(tc, first_order, 0, n);
  tcase_add_loop_test(tc, second_order, 0, n);
  tcase_add_test(tc, all_are_counted);
  return run_case("ops against differences", tc);
}
