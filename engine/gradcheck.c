/* gradcheck.c - derivatives against central differences.
 *
 * The scalar under check is s(x) = <u, f(x)> with a fixed random u, and its
 * gradient g_j = ds/dx_j. At second order it is s2(x, u) = sum_j <v_j, g_j>:
 * u is then a variable like the x_j, because only that shows a derivative rule
 * which uses the gradient it is given, gy, as if it were a constant.
 *
 * Every evaluation is dropped from the tape before the next.
 */
#include <math.h>
#include <string.h>

#include <chronograd/gradcheck.h>
#include <chronograd/ops.h>

#include "tape_impl.h"

enum { SEED_U = 0, SEED_V = 1 }; /* streams: numbers apart from each other */

typedef struct checker {
  cg_tape *tape;
  const char *name; /* of the public function, for errors */
  cg_function f;
  cg_tensor *const *in;
  int n_in;
  void *context;
  bool second;
  cg_gradcheck_options options;

  int n_x;            /* leaves of `in` that require a gradient */
  int n_var;          /* variables: these, and u at second order */
  cg_tensor **var;    /* [n_in + 1] the leaves, then u */
  cg_tensor **grad;   /* [n_in + 1] gradients, while they are computed */
  cg_tensor **result; /* [n_in + 1] the analytic gradients */
  cg_tensor **v;      /* [n_in + 1] the covectors of g_j */
  int *operand;       /* [n_in + 1] where var[j] stands in `in` */
  cg_tensor *u;
  double sum_aa, sum_dd, sum_ee; /* of squares: analytic, difference, error */
} checker;

static bool failed(const checker *c) { return c->tape->error.status; }

static bool refuse(checker *c, cg_status status, const char *what, int i) {
  cg_tape_fail(c->tape, status, c->name, what, i);
  return false;
}

/* ---- the scalars ---- */

/* y = f(x), converted to F64. */
static cg_tensor *call(checker *c) {
  cg_tensor *y = c->f(c->tape, c->in, c->n_in, c->context);
  if (failed(c)) return NULL;
  if (!y)
    return cg_tape_fail(c->tape, CG_ERR_ARG, c->name,
                        "the function returned NULL without an error");
  return cg_tensor_dtype(y) == CG_F64 ? y : cg_cast(c->tape, y, CG_F64);
}

static cg_tensor *inner(cg_tape *tape, cg_tensor *a, cg_tensor *b) {
  return cg_sum_all(tape, cg_mul(tape, a, b));
}

/* c->grad[j] = ds/dvar[j] for the first n variables; NULL stands for zero. */
static void differentiate(checker *c, cg_tensor *s, int n, int options) {
  for (int j = 0; j < n; j++) c->grad[j] = NULL;
  if (failed(c) || !cg_tensor_requires_grad(s)) return;
  cg_grad(c->tape, &s, 1, NULL, c->var, n, c->grad, options | CG_ALLOW_UNUSED);
}

/* The scalar to be derived. At second order, `recorded` tells how the first
 * order is walked: differences take the plain walk, so that both are seen to
 * agree. */
static cg_tensor *scalar(checker *c, bool recorded) {
  cg_tensor *s = inner(c->tape, c->u, call(c));
  if (!c->second || failed(c)) return s;
  differentiate(c, s, c->n_x, recorded ? CG_CREATE_GRAPH : 0);
  cg_tensor *s2 = cg_scalar(c->tape, CG_F64, 0);
  for (int j = 0; j < c->n_x; j++)
    if (c->grad[j])
      s2 = cg_add(c->tape, s2, inner(c->tape, c->v[j], c->grad[j]));
  return s2;
}

/* Its value at the present x. */
static double evaluate(checker *c) {
  if (failed(c)) return NAN;
  cg_mark mark = cg_tape_mark(c->tape);
  double value = cg_tensor_item(scalar(c, false));
  if (!failed(c)) cg_tape_rewind(c->tape, mark);
  return value;
}

/* ---- comparison ---- */

/* Puts back what a perturbation changed. The version goes back too: graphs that
 * the caller recorded before still hold. */
typedef struct saved {
  cg_tensor *leaf;
  double *at, value;
  uint32_t version;
} saved;

static double *element(cg_tensor *leaf, int64_t i) {
  return (double *)cg_leaf_data(leaf) + i;
}

static void set(const saved *s, double value) {
  *s->at = value;
  cg_leaf_touch(s->leaf);
}

/* (s(x + h) - s(x - h)) / 2h for element i of variable j. */
static double difference(checker *c, int j, int64_t i) {
  cg_tensor *leaf = c->var[j];
  saved s = {.leaf = leaf, .version = leaf->version};
  s.at = element(leaf, i);
  memcpy(&s.value, s.at, sizeof s.value);
  double size = fabs(s.value) > 1 ? fabs(s.value) : 1;
  double h = c->options.eps > 0 ? c->options.eps : 1e-6 * size;
  volatile double above = s.value + h, below = s.value - h;
  set(&s, above);
  double up = evaluate(c);
  set(&s, below);
  double down = evaluate(c);
  memcpy(s.at, &s.value, sizeof s.value);
  leaf->version = s.version;
  return (up - down) / (above - below);
}

static double larger(double a, double b) { return a > b ? a : b; }

static void compare(checker *c, cg_gradcheck_report *r, int j, int64_t i) {
  double a = cg_tensor_get(c->result[j], i);
  double d = difference(c, j, i);
  double error = fabs(a - d) / larger(1, larger(fabs(a), fabs(d)));
  if (isnan(error)) error = INFINITY;
  c->sum_aa += a * a;
  c->sum_dd += d * d;
  c->sum_ee += (a - d) * (a - d);
  r->compared++;
  if (r->compared > 1 && error <= r->worst) return;
  r->worst = error;
  r->input = c->operand[j];
  r->index = i;
  r->analytic = a;
  r->difference = d;
}

/* The analytic gradients, carried over the rewind of what led to them. */
static void analytic(checker *c) {
  cg_mark mark = cg_tape_mark(c->tape);
  cg_tensor *s = scalar(c, true);
  differentiate(c, s, c->n_var, 0);
  for (int j = 0; j < c->n_var && !failed(c); j++)
    if (!c->grad[j])
      c->grad[j] = cg_full(c->tape, CG_F64, c->var[j]->rank,
                           t_shape(c->var[j]), 0);
  if (failed(c)) return;
  cg_tape_rewind_keep(c->tape, mark, c->grad, c->n_var);
  memcpy(c->result, c->grad, sizeof *c->grad * (size_t)c->n_var);
}

static void compare_all(checker *c, cg_gradcheck_report *r) {
  for (int j = 0; j < c->n_var; j++) {
    int64_t n = cg_tensor_numel(c->var[j]);
    for (int64_t i = 0; i < n && !failed(c); i++) compare(c, r, j, i);
  }
  double norm = sqrt(larger(c->sum_aa, c->sum_dd));
  r->relative = norm > 0 ? sqrt(c->sum_ee) / norm : 0;
  double limit = c->options.tolerance;
  if (!(limit > 0)) limit = c->second ? 1e-5 : 1e-6;
  r->passed = !failed(c) && r->worst <= limit;
}

/* ---- preparation ---- */

/* Lists the leaves that require a gradient. */
static bool list_leaves(checker *c) {
  for (int i = 0; i < c->n_in; i++) {
    cg_tensor *x = c->in[i];
    if (!x) return refuse(c, CG_ERR_ARG, "operand %d is NULL", i);
    if (!cg_tensor_requires_grad(x)) continue;
    if (!cg_tensor_is_leaf(x))
      return refuse(c, CG_ERR_ARG,
                    "operand %d requires a gradient and is not a leaf", i);
    if (cg_tensor_dtype(x) != CG_F64)
      return refuse(c, CG_ERR_DTYPE, "leaf %d is not f64", i);
    c->operand[c->n_x] = i;
    c->var[c->n_x++] = x;
  }
  c->n_var = c->n_x;
  return c->n_x || refuse(c, CG_ERR_ARG,
                          "none of the %d operands requires a gradient",
                          c->n_in);
}

static void fill_normal(double *data, int64_t n, uint64_t seed,
                        uint64_t stream) {
  cg_rng rng = cg_rng_seed(seed);
  rng.counter = stream << 48;
  for (int64_t i = 0; i < n; i++) data[i] = cg_rng_normal(&rng);
}

/* A leaf u of the shape that f's result has. */
static bool make_u(checker *c) {
  cg_mark mark = cg_tape_mark(c->tape);
  cg_tensor *y = call(c);
  if (!y || failed(c)) return false;
  cg_error err = {0};
  c->u = cg_leaf_new(c->tape->mem.allocator, CG_F64, y->rank, t_shape(y), &err);
  cg_tape_rewind(c->tape, mark);
  if (!c->u) {
    cg_tape_fail(c->tape, err.status, c->name, "%s", err.message);
    return false;
  }
  fill_normal(cg_leaf_data(c->u), cg_tensor_numel(c->u), c->options.seed,
              SEED_U);
  if (c->second) {
    cg_leaf_set_requires_grad(c->u, true);
    c->operand[c->n_x] = c->n_in;
    c->var[c->n_x] = c->u;
    c->n_var = c->n_x + 1;
  }
  return !failed(c);
}

/* Constants v_j of the shapes of x_j. */
static bool make_v(checker *c) {
  for (int j = 0; c->second && j < c->n_x; j++) {
    const cg_tensor *x = c->var[j];
    c->v[j] = cg_input(c->tape, CG_F64, x->rank, t_shape(x), NULL);
    if (!c->v[j]) return false;
    fill_normal(cg_out_data(c->v[j]), cg_tensor_numel(x), c->options.seed,
                SEED_V + (uint64_t)j);
  }
  return true;
}

/* ---- the call ---- */

/* One block for all the lists. */
static cg_status run_in(checker *c, void *block, cg_gradcheck_report *r) {
  size_t n = (size_t)c->n_in + 1;
  c->var = block;
  c->v = c->var + n;
  c->grad = c->v + n;
  c->result = c->grad + n;
  c->operand = (int *)(void *)(c->result + n);
  cg_tape *tape = c->tape;
  cg_mark start = cg_tape_mark(tape);
  bool was = cg_tape_set_recording(tape, true);
  if (list_leaves(c) && make_u(c) && make_v(c)) {
    analytic(c);
    if (!failed(c)) compare_all(c, r);
  }
  cg_error error = tape->error;
  cg_status status = cg_tape_rewind(tape, start);
  if (error.status) tape->error = error;
  cg_tape_set_recording(tape, was);
  cg_leaf_free(c->u);
  return error.status ? error.status : status;
}

static cg_status run(checker *c, const cg_gradcheck_options *options,
                     cg_gradcheck_report *r) {
  cg_tape *tape = c->tape;
  if (!tape || !c->f || !r || c->n_in < 0 || (c->n_in && !c->in))
    return CG_ERR_ARG;
  *r = (cg_gradcheck_report){.input = -1, .index = -1};
  if (tape->error.status) return tape->error.status;
  if (options) c->options = *options;
  size_t bytes;
  if (!size_mul((size_t)c->n_in + 1, 4 * sizeof(cg_tensor *) + sizeof(int),
                &bytes))
    return CG_ERR_ARG;
  void *block;
  cg_status status = mem_alloc(&tape->mem, bytes, &block);
  if (status) {
    tape_fail_mem(tape, status, c->name);
    return status;
  }
  status = run_in(c, block, r);
  mem_free(&tape->mem, block, bytes);
  return status;
}

cg_status cg_gradcheck(cg_tape *tape, cg_function f, cg_tensor *const *in,
                       int n_in, void *context,
                       const cg_gradcheck_options *options,
                       cg_gradcheck_report *report) {
  checker c = {.tape = tape, .name = "gradcheck", .f = f, .in = in,
               .n_in = n_in, .context = context};
  return run(&c, options, report);
}

cg_status cg_gradgradcheck(cg_tape *tape, cg_function f, cg_tensor *const *in,
                           int n_in, void *context,
                           const cg_gradcheck_options *options,
                           cg_gradcheck_report *report) {
  checker c = {.tape = tape, .name = "gradgradcheck", .f = f, .in = in,
               .n_in = n_in, .context = context, .second = true};
  return run(&c, options, report);
}
