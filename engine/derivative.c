/* derivative.c - products with Jacobians and Hessians, and the matrices, as
 * reverse walks over reverse walks. */
#include <string.h>

#include <chronograd/derivative.h>

#include "backward_impl.h"
#include "kernel.h"
#include "op_impl.h"

/* One call: where the tape was, and a list in scratch memory. */
typedef struct job {
  cg_tape *tape;
  const char *name; /* of the public function, for errors */
  int options;
  cg_mark mark;
  tape_mode was;
  struct scratch_block *outer, *inner;
  cg_tensor **list;
} job;

static bool failed(const job *d) { return d->tape->error.status; }

/* The list gets `count` entries; false after an error. To be ended anyway. */
static bool begin(job *d, int64_t count) {
  cg_tape *tape = d->tape;
  d->mark = cg_tape_mark(tape);
  d->was = tape->mode;
  tape->mode = MODE_RECORD;
  d->outer = tape_scratch_begin(tape);
  d->list = tape_scratch(tape, ((size_t)count + 1) * sizeof *d->list, d->name);
  d->inner = tape_scratch_begin(tape);
  return d->list;
}

/* Drops all that was recorded since `begin`, but for the results' values. */
static void keep_values(job *d, cg_tensor **results, int n) {
  int m = 0;
  for (int i = 0; i < n; i++)
    if (results[i]) d->list[m++] = results[i];
  cg_tape_rewind_keep(d->tape, d->mark, d->list, m);
  for (int i = n; i-- > 0;)
    if (results[i]) results[i] = d->list[--m];
}

static cg_status end(job *d, cg_tensor **results, int n) {
  cg_tape *tape = d->tape;
  if (!failed(d) && !(d->options & CG_CREATE_GRAPH))
    keep_values(d, results, n);
  tape_scratch_end(tape, d->inner);
  tape_scratch_end(tape, d->outer);
  tape->mode = d->was;
  for (int i = 0; i < n && failed(d); i++) results[i] = NULL;
  return tape->error.status;
}

static cg_tensor *zeros_like(job *d, const cg_tensor *x) {
  return cg_full(d->tape, x->dtype, x->rank, t_shape(x), 0);
}

/* ---- directions ---- */

static bool check_direction(job *d, const cg_tensor *x, cg_tensor *v, int j) {
  v = tape_resolve(d->tape, v, d->name, j);
  if (!v) return false;
  if (t_same_shape(x, v) && x->dtype == v->dtype) return true;
  char have[128], want[128];
  return cg_tape_fail(d->tape, CG_ERR_SHAPE, d->name,
                      "direction %d is %s %s where input %d (%s) is %s %s", j,
                      cg_dtype_name(v->dtype),
                      cg_tensor_shape_text(v, have, sizeof have), j, t_label(x),
                      cg_dtype_name(x->dtype),
                      cg_tensor_shape_text(x, want, sizeof want));
}

/* v[j] must fit inputs[j], which a walk has seen to be live. */
static bool check_directions(job *d, cg_tensor *const *inputs,
                             cg_tensor *const *v, int n) {
  if (!v)
    return cg_tape_fail(d->tape, CG_ERR_ARG, d->name, "no direction is given");
  for (int j = 0; j < n; j++)
    if (!check_direction(d, inputs[j], v[j], j)) return false;
  return true;
}

/* Derives <g, v> with respect to `to`. Both lists lie in d->list, n behind each
 * other, and lose the pairs that depend on nothing. What nothing is given to
 * stays NULL. */
static void second_walk(job *d, cg_tensor **g, cg_tensor *const *v, int n,
                        cg_tensor *const *to, int n_to, cg_tensor **result) {
  cg_tensor **seeds = g + n;
  int m = 0;
  for (int j = 0; j < n; j++)
    if (g[j] && cg_tensor_requires_grad(g[j])) {
      g[m] = g[j];
      seeds[m++] = v[j];
    }
  if (m)
    grad_for(d->tape, d->name, g, m, seeds, to, n_to, result,
             (d->options & CG_CREATE_GRAPH) | CG_ALLOW_UNUSED);
}

/* ---- J v ---- */

/* u: stands for any vector with the shape of y. The value does not matter, for
 * u' J is linear in u; y is an operand to give the shape, and so that u counts
 * as something to be derived by. */
static cg_status u_infer(const cg_call *call, cg_spec *spec) {
  cg_spec_like(spec, call->in[0]);
  return cg_call_want_float(call, 0);
}

static cg_status u_forward(const cg_call *call, cg_tensor *out) {
  (void)call;
  kernel_fill(out->dtype, t_numel(out), out->data, 0);
  return CG_OK;
}

static void u_vjp(cg_vjp *v) { (void)v; }

static const cg_op any_u = {.name = "jvp",
                            .formula = "u = 0",
                            .derivative = "gy is dropped",
                            .min_in = 1,
                            .max_in = 1,
                            .infer = u_infer,
                            .forward = u_forward,
                            .vjp = u_vjp};

static void jvp(job *d, cg_tensor *const *outputs, int n_outputs,
                cg_tensor *const *inputs, cg_tensor *const *v, int n_inputs,
                cg_tensor **jv) {
  cg_tensor **u = d->list, **g = u + n_outputs;
  for (int i = 0; i < n_outputs; i++)
    u[i] = record1(d->tape, &any_u, outputs[i]);
  if (failed(d)) return;
  grad_for(d->tape, d->name, outputs, n_outputs, u, inputs, n_inputs, g,
           d->options | CG_CREATE_GRAPH);
  if (failed(d) || !check_directions(d, inputs, v, n_inputs)) return;
  second_walk(d, g, v, n_inputs, u, n_outputs, jv);
  for (int i = 0; i < n_outputs && !failed(d); i++)
    if (!jv[i]) jv[i] = zeros_like(d, u[i]);
}

cg_status cg_jvp(cg_tape *tape, cg_tensor *const *outputs, int n_outputs,
                 cg_tensor *const *inputs, cg_tensor *const *v, int n_inputs,
                 cg_tensor **jv, int options) {
  if (!tape || !jv) return CG_ERR_ARG;
  for (int i = 0; i < n_outputs; i++) jv[i] = NULL;
  if (tape->error.status) return tape->error.status;
  job d = {.tape = tape, .name = "jvp", .options = options};
  bool ok = n_outputs > 0 && outputs && n_inputs > 0 && inputs;
  if (!ok)
    cg_tape_fail(tape, CG_ERR_ARG, d.name, "no output or no input is given");
  if (begin(&d, ok ? (int64_t)n_outputs + 2 * (int64_t)n_inputs : 0))
    jvp(&d, outputs, n_outputs, inputs, v, n_inputs, jv);
  return end(&d, jv, n_outputs);
}

/* ---- H v ---- */

static void hvp(job *d, cg_tensor *y, cg_tensor *const *inputs,
                cg_tensor *const *v, int n, cg_tensor **hv) {
  cg_tensor **g = d->list;
  grad_for(d->tape, d->name, &y, 1, NULL, inputs, n, g,
           d->options | CG_CREATE_GRAPH);
  if (failed(d) || !check_directions(d, inputs, v, n)) return;
  cg_tensor **first = memcpy(g + 2 * (size_t)n, g, sizeof *g * (size_t)n);
  second_walk(d, g, v, n, inputs, n, hv);
  for (int j = 0; j < n && !failed(d); j++) {
    if (!first[j]) hv[j] = NULL;
    if (first[j] && !hv[j]) hv[j] = zeros_like(d, first[j]);
  }
}

cg_status cg_hvp(cg_tape *tape, cg_tensor *y, cg_tensor *const *inputs,
                 cg_tensor *const *v, int n_inputs, cg_tensor **hv,
                 int options) {
  if (!tape || !hv) return CG_ERR_ARG;
  for (int j = 0; j < n_inputs; j++) hv[j] = NULL;
  if (tape->error.status) return tape->error.status;
  job d = {.tape = tape, .name = "hvp", .options = options};
  if (begin(&d, n_inputs > 0 ? 3 * (int64_t)n_inputs : 0))
    hvp(&d, y, inputs, v, n_inputs, hv);
  return end(&d, hv, n_inputs);
}

/* ---- matrices ---- */

/* The shape of a derivative of y by x: y's, then x's. */
static bool join_shapes(job *d, const cg_tensor *y, const cg_tensor *x,
                        cg_spec *spec) {
  int rank = y->rank + x->rank;
  char of[128], by[128];
  if (rank > CG_MAX_RANK)
    return cg_tape_fail(d->tape, CG_ERR_SHAPE, d->name,
                        "the derivative of %s by %s would have rank %d, above "
                        "%d; reshape one of them",
                        cg_tensor_shape_text(y, of, sizeof of),
                        cg_tensor_shape_text(x, by, sizeof by), rank,
                        CG_MAX_RANK);
  cg_spec_set(spec, (cg_dtype)x->dtype, y->rank, t_shape(y));
  memcpy(spec->shape + y->rank, t_shape(x), sizeof(int64_t) * x->rank);
  spec->rank = rank;
  return true;
}

/* Zeros around a one, as a tensor of which every window of m elements is a unit
 * vector: e_i begins at m - 1 - i. */
static cg_tensor *unit_vectors(job *d, const cg_tensor *y, int64_t m) {
  cg_tensor *base = cg_full(d->tape, y->dtype, CG_DIMS(2 * m - 1), 0);
  if (base)
    kernel_fill(y->dtype, 1,
                (char *)base->data + (size_t)(m - 1) * dtype_size(y->dtype), 1);
  return base;
}

/* Row i of dy/dx; NULL after an error, or if y does not depend on x. */
static cg_tensor *row(job *d, cg_tensor *y, cg_tensor *x, cg_tensor *units,
                      int64_t i) {
  int64_t m = t_numel(y);
  cg_tensor *e = cg_narrow(d->tape, units, 0, m - 1 - i, m), *g = NULL;
  e = cg_reshape(d->tape, e, y->rank, t_shape(y));
  grad_for(d->tape, d->name, &y, 1, &e, &x, 1, &g, d->options);
  return g;
}

/* The rows as constants, one below the other in J. Each row's walk is dropped
 * before the next. False after an error, or if y does not depend on x. */
static bool fill_rows(job *d, cg_tensor *y, cg_tensor *x, cg_tensor *J) {
  int64_t m = t_numel(y), n = t_numel(x);
  cg_tensor *units = unit_vectors(d, y, m);
  cg_mark mark = cg_tape_mark(d->tape);
  for (int64_t i = 0; i < m; i++) {
    cg_tensor *g = row(d, y, x, units, i);
    if (!g) return false;
    char *to = (char *)J->data + (size_t)(i * n) * dtype_size(J->dtype);
    kernel_copy(g->dtype, g->rank, t_shape(g), to, g->data, t_strides(g));
    cg_tape_rewind(d->tape, mark);
  }
  return true;
}

/* The rows as they were recorded, put together by an op. */
static cg_tensor *stack_rows(job *d, cg_tensor *y, cg_tensor *x,
                             const cg_spec *spec) {
  int64_t m = t_numel(y);
  if (m > INT32_MAX)
    return cg_tape_fail(d->tape, CG_ERR_SHAPE, d->name, "too many rows");
  cg_tensor **rows = cg_tape_alloc(d->tape, (size_t)m * sizeof *rows);
  cg_tensor *units = unit_vectors(d, y, m);
  for (int64_t i = 0; i < m && !failed(d); i++) {
    rows[i] = row(d, y, x, units, i);
    if (!rows[i]) return NULL;
  }
  if (failed(d)) return NULL;
  cg_tensor *J = cg_stack(d->tape, rows, (int)m, 0);
  return cg_reshape(d->tape, J, spec->rank, spec->shape);
}

/* dy/dx into J if there is one, otherwise recorded. NULL after an error, or if
 * y does not depend on x. */
static cg_tensor *matrix(job *d, cg_tensor *y, cg_tensor *x,
                         const cg_spec *spec, cg_tensor *J) {
  if (t_numel(y) == 0)
    return J ? J : cg_full(d->tape, spec->dtype, spec->rank, spec->shape, 0);
  if (!J) return stack_rows(d, y, x, spec);
  return fill_rows(d, y, x, J) ? J : NULL;
}

/* The same for y's gradient g by x, where not to depend on x means zeros. */
static cg_tensor *second_matrix(job *d, cg_tensor *y, cg_tensor *x,
                                const cg_spec *spec, cg_tensor *J) {
  cg_tensor *g = NULL, *H = NULL;
  grad_for(d->tape, d->name, &y, 1, NULL, &x, 1, &g,
           d->options | CG_CREATE_GRAPH);
  if (!g) return NULL;
  d->options |= CG_ALLOW_UNUSED;
  if (cg_tensor_requires_grad(g)) H = matrix(d, g, x, spec, J);
  if (H || failed(d)) return H;
  if (!J) return cg_full(d->tape, spec->dtype, spec->rank, spec->shape, 0);
  kernel_fill(J->dtype, t_numel(J), J->data, 0);
  return J;
}

/* Without a graph, the result lies below all that is recorded on the way. */
static cg_status derive(job *d, cg_tensor *y, cg_tensor *x, bool second,
                        cg_tensor **out) {
  cg_tape *tape = d->tape;
  cg_spec spec;
  cg_tensor *J = NULL;
  cg_tensor *of = tape_resolve(tape, y, d->name, 0);
  cg_tensor *by = of ? tape_resolve(tape, x, d->name, 1) : NULL;
  if (!by || !join_shapes(d, second ? by : of, by, &spec))
    return tape->error.status;
  bool plain = !(d->options & CG_CREATE_GRAPH);
  if (plain) {
    J = cg_full(tape, spec.dtype, spec.rank, spec.shape, 0);
    if (!J) return tape->error.status;
  }
  cg_mark mark = cg_tape_mark(tape);
  tape_mode was = tape->mode;
  tape->mode = MODE_RECORD;
  *out = second ? second_matrix(d, of, by, &spec, J)
                : matrix(d, of, by, &spec, J);
  if (plain && !failed(d)) cg_tape_rewind(tape, mark);
  tape->mode = was;
  if (failed(d)) *out = NULL;
  return tape->error.status;
}

cg_status cg_jacobian(cg_tape *tape, cg_tensor *y, cg_tensor *x, cg_tensor **J,
                      int options) {
  if (!tape || !J) return CG_ERR_ARG;
  *J = NULL;
  if (tape->error.status) return tape->error.status;
  job d = {.tape = tape, .name = "jacobian", .options = options};
  return derive(&d, y, x, false, J);
}

cg_status cg_hessian(cg_tape *tape, cg_tensor *y, cg_tensor *x, cg_tensor **H,
                     int options) {
  if (!tape || !H) return CG_ERR_ARG;
  *H = NULL;
  if (tape->error.status) return tape->error.status;
  job d = {.tape = tape, .name = "hessian", .options = options};
  return derive(&d, y, x, true, H);
}
