/* test_sweep.c - every allocation of whole engine scenarios fails once. */
#include "sweep.h"

#include <unistd.h>

enum { N = 3 };

static char path[64];

/* ---- the net: tanh(x W^T + b) over rows of x, then a loss ---- */

static cg_tensor *net_loss(cg_tape *tape, const world *w) {
  cg_tensor *rows[3];
  for (int t = 0; t < 3; t++) {
    cg_scope_push_index(tape, "t", t);
    cg_tensor *x = cg_narrow(tape, w->leaf[2], 0, t, 1);
    rows[t] = cg_tanh(tape, cg_linear(tape, x, w->leaf[0], w->leaf[1]));
    cg_scope_pop(tape);
  }
  cg_tensor *h = cg_concat(tape, rows, 3, 0);
  return cg_mean_all(tape, cg_square(tape, cg_mul(tape, h, h)));
}

static cg_tensor *net_function(cg_tape *tape, cg_tensor *const *in, int n_in,
                               void *context) {
  world w = {.leaf = {in[0], in[1], in[2]}, .n_leaves = n_in};
  (void)context;
  return net_loss(tape, &w);
}

static cg_status note_all(cg_tape *tape, bits *b, cg_tensor *const *x, int n) {
  if (cg_tape_status(tape)) {
    for (int i = 0; i < n; i++) ck_assert_ptr_null(x[i]);
    return cg_tape_status(tape);
  }
  for (int i = 0; i < n; i++) note_tensor(b, x[i]);
  return CG_OK;
}

/* ---- walks ---- */

static cg_status backward(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *loss = net_loss(tape, w);
  cg_status status = cg_backward(tape, loss);
  if (status) return status;
  note_tensor(b, loss);
  for (int i = 0; i < N; i++) note_tensor(b, cg_tensor_grad(w->leaf[i]));
  return CG_OK;
}

static cg_status grad(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *loss = net_loss(tape, w), *g[N] = {NULL};
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, 0);
  return note_all(tape, b, g, N);
}

static cg_status double_backward(cg_tape *tape, world *w, bits *b,
                                 cg_error *err) {
  (void)err;
  cg_tensor *loss = net_loss(tape, w), *g[N] = {NULL}, *gg[N] = {NULL};
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, CG_CREATE_GRAPH);
  cg_tensor *sum = NULL;
  for (int i = 0; i < N; i++) {
    cg_tensor *s = cg_sum_all(tape, cg_square(tape, g[i]));
    sum = i ? cg_add(tape, sum, s) : s;
  }
  cg_grad(tape, &sum, 1, NULL, w->leaf, N, gg, 0);
  return note_all(tape, b, gg, N);
}

/* A recording with its gradient, as another one would be with these leaves. */
static cg_status replayed(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *loss = net_loss(tape, w), *g[N] = {NULL};
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, CG_CREATE_GRAPH);
  for (int k = 0; k < 2; k++) {
    for (int i = 0; i < N; i++) cg_leaf_touch(w->leaf[i]);
    cg_tape_replay(tape);
  }
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  note_tensor(b, loss);
  return note_all(tape, b, g, N);
}

static cg_status products(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *loss = net_loss(tape, w), *v[N], *hv[N] = {NULL}, *jv[1] = {NULL};
  for (int i = 0; i < N; i++)
    v[i] = cg_mul_scalar(tape, cg_detach(tape, w->leaf[i]), 0.7 + i);
  cg_hvp(tape, loss, w->leaf, v, N, hv, 0);
  cg_status status = note_all(tape, b, hv, N);
  if (status) return status;
  cg_jvp(tape, &loss, 1, w->leaf, v, N, jv, 0);
  return note_all(tape, b, jv, 1);
}

static cg_status matrices(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *y = cg_tanh(tape, cg_linear(tape, w->leaf[2], w->leaf[0], NULL));
  cg_tensor *m[2] = {NULL};
  cg_jacobian(tape, y, w->leaf[0], &m[0], CG_CREATE_GRAPH);
  cg_hessian(tape, net_loss(tape, w), w->leaf[1], &m[1], 0);
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  return note_all(tape, b, m, 2);
}

/* ---- gradients elsewhere ---- */

static cg_status home(cg_tape *tape, world *w, bits *b, cg_error *err) {
  cg_grads *grads = cg_grads_new(w->allocator);
  if (!grads)
    return cg_error_set(err, CG_ERR_NOMEM, "grads_new", NULL);
  cg_tensor *loss = net_loss(tape, w);
  cg_status status = cg_backward_into(tape, &loss, NULL, 1, grads);
  for (int i = 0; i < N && !status; i++)
    note_tensor(b, cg_grads_get(grads, w->leaf[i]));
  cg_grads_free(grads);
  return status;
}

/* Of an error, nothing is added; without one, everything is. */
static cg_status home_to_leaves(cg_tape *tape, world *w, bits *b,
                                cg_error *err) {
  cg_grads *grads = cg_grads_new(w->allocator);
  if (!grads) return cg_error_set(err, CG_ERR_NOMEM, "grads_new", NULL);
  cg_tensor *loss = net_loss(tape, w);
  cg_status status = cg_backward_into(tape, &loss, NULL, 1, grads);
  if (!status) {
    status = cg_grads_add_to_leaves(grads);
    if (status) cg_error_set(err, status, "add_to_leaves", NULL);
    for (int i = 0; i < N; i++) {
      const cg_tensor *g = cg_tensor_grad(w->leaf[i]);
      for (int64_t k = 0; status && k < cg_tensor_numel(g); k++)
        near(cg_tensor_get(g, k), 0, 0);
      if (!status) note_tensor(b, g);
    }
  }
  cg_grads_free(grads);
  return status;
}

/* ---- callbacks ---- */

static cg_tensor *halve(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                        void *context) {
  (void)x, (void)context;
  return cg_mul_scalar(tape, g, 0.5);
}

static cg_status hooks(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *g[N] = {NULL}, *h = NULL;
  for (int i = 0; i < 20; i++) { /* more than the first block has room for */
    h = cg_tanh(tape, i ? h : w->leaf[1]);
    cg_hook(tape, h, halve, NULL);
    cg_retain_grad(tape, h);
  }
  cg_hook(tape, w->leaf[0], halve, NULL);
  cg_tensor *loss = cg_add(tape, net_loss(tape, w), cg_sum_all(tape, h));
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, 0);
  return note_all(tape, b, g, N);
}

/* With a walk inside of the walk, which comes to this hook again. */
static cg_tensor *add_inner(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                            void *context) {
  static bool inside;
  const world *w = context;
  if (inside) return NULL;
  inside = true;
  cg_tensor *leaf = w->leaf[1], *inner;
  cg_tensor *y = cg_sum_all(tape, cg_square(tape, leaf));
  cg_grad(tape, &x, 1, &g, &leaf, 1, &inner, 0);
  inside = false;
  return cg_add(tape, cg_mul(tape, g, inner), cg_mul_scalar(tape, y, 0.1));
}

static cg_status nested(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *g[N] = {NULL}, *gg[N] = {NULL};
  cg_tensor *x = cg_square(tape, w->leaf[1]), *y = cg_exp(tape, x);
  cg_hook(tape, y, add_inner, w);
  cg_tensor *loss =
      cg_add(tape, net_loss(tape, w), cg_sum_all(tape, cg_square(tape, y)));
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, 0);
  cg_status status = note_all(tape, b, g, N);
  if (status) return status;
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, gg, CG_CREATE_GRAPH);
  return note_all(tape, b, gg, N);
}

static cg_tensor *cube(cg_tape *tape, cg_tensor *const *in, int n_in,
                       void *context) {
  (void)n_in, (void)context;
  return cg_mul(tape, in[0], cg_square(tape, in[0]));
}

static void cube_rule(cg_vjp *v, void *context) {
  (void)context;
  cg_tape *tape = cg_vjp_tape(v);
  cg_tensor *x = cg_vjp_in(v, 0);
  cg_tensor *d = cg_mul_scalar(tape, cg_square(tape, x), 3);
  cg_vjp_give(v, 0, cg_mul(tape, cg_vjp_gy(v), d));
}

static cg_status custom(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *y = cg_custom(tape, "cube", cube, cube_rule, NULL, w->leaf, 1);
  cg_tensor *loss = cg_sum_all(tape, y), *g = NULL, *gg = NULL;
  cg_grad(tape, &loss, 1, NULL, w->leaf, 1, &g, CG_CREATE_GRAPH);
  cg_tensor *sum = cg_sum_all(tape, cg_square(tape, g));
  cg_grad(tape, &sum, 1, NULL, w->leaf, 1, &gg, 0);
  return note_all(tape, b, &gg, 1);
}

/* Segments inside each other, with their own copy of a context. */
static void inner_segment(cg_tape *tape, cg_tensor *const *in, int n_in,
                          cg_tensor **out, int n_out, void *context) {
  (void)n_in, (void)n_out;
  cg_tensor *x = cg_mul_scalar(tape, in[0], *(double *)context);
  out[0] = cg_tanh(tape, cg_mul(tape, x, in[0]));
}

static void outer_segment(cg_tape *tape, cg_tensor *const *in, int n_in,
                          cg_tensor **out, int n_out, void *context) {
  (void)n_out;
  double factor = 0.8;
  world w = {.leaf = {in[0], in[1], in[2]}, .n_leaves = n_in};
  (void)context;
  cg_checkpoint(tape, inner_segment, &factor, sizeof factor, in, 1, out, 1);
  out[1] = net_loss(tape, &w);
}

static cg_status segments(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tensor *out[2] = {NULL}, *g[N] = {NULL}, *gg[N] = {NULL};
  cg_checkpoint(tape, outer_segment, NULL, 0, w->leaf, N, out, 2);
  cg_tensor *loss = cg_add(tape, cg_sum_all(tape, out[0]), out[1]);
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, g, 0);
  cg_status status = note_all(tape, b, g, N);
  if (status) return status;
  cg_grad(tape, &loss, 1, NULL, w->leaf, N, gg, CG_CREATE_GRAPH);
  return note_all(tape, b, gg, N);
}

/* ---- looking ---- */

static cg_status traced(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_tape_trace_nonfinite(tape, true);
  cg_status status = nested(tape, w, b, err);
  if (!status) status = home(tape, w, b, err);
  cg_tape_trace_nonfinite(tape, false);
  return status;
}

static cg_status looked_at(cg_tape *tape, world *w, bits *b, cg_error *err) {
  if (cg_profile_begin(tape)) return cg_tape_status(tape);
  cg_tensor *loss = net_loss(tape, w), *const *order;
  size_t count = 0;
  cg_tape_toposort(tape, loss, &order, &count);
  cg_status status = grad(tape, w, b, err);
  cg_scope_stats stats[8];
  int n = 0, rows = 0;
  if (!status) {
    status = cg_tape_scope_stats(tape, stats, 8, &n);
    cg_error_set(err, status, "scope_stats", NULL); /* not the tape's error */
  }
  for (int i = 0; i < n && !status; i++)
    note(b, stats[i].name, strlen(stats[i].name));
  const cg_profile_row *row = cg_profile_rows(tape, &rows);
  for (int i = 0; i < rows && !status; i++) {
    note(b, row[i].name, strlen(row[i].name));
    note(b, &row[i].backward.calls, sizeof row[i].backward.calls);
  }
  cg_profile_end(tape);
  note(b, &count, sizeof count);
  return status;
}

static cg_status drawn(cg_tape *tape, world *w, bits *b, cg_error *err) {
  unlink(path);
  cg_tensor *loss = net_loss(tape, w);
  if (cg_tape_status(tape)) return cg_tape_status(tape);
  cg_status status = cg_draw(tape, loss, path,
                             &(cg_draw_options){.values = true}, err);
  FILE *in = fopen(path, "r");
  ck_assert_msg(!in == (status != CG_OK), "a drawing that failed left a file");
  static char text[SWEEP_BITS];
  size_t size = in ? fread(text, 1, sizeof text, in) : 0;
  note(b, text, size);
  if (in) fclose(in);
  return status;
}

static cg_status checked(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_gradcheck_report r = {0};
  cg_status status =
      cg_gradcheck(tape, net_function, w->leaf, N, NULL, NULL, &r);
  if (!status)
    status = cg_gradgradcheck(tape, net_function, w->leaf, N, NULL, NULL, &r);
  if (status) return status;
  note(b, &r.worst, sizeof r.worst);
  return CG_OK;
}

/* Long windows whose state is carried over rewinds, with much of everything:
 * scopes, operands, leaves. */
static bool make_many(world *w) {
  for (int i = 0; i < SWEEP_LEAVES; i++)
    world_leaf(w, 30 + (uint64_t)i, CG_DIMS(2));
  return true;
}

static cg_status carried(cg_tape *tape, world *w, bits *b, cg_error *err) {
  (void)err;
  cg_mark mark = cg_tape_mark(tape);
  cg_tensor *h[2] = {cg_full(tape, CG_F64, CG_DIMS(2), 0.3), NULL};
  for (int k = 0; k < 3 && h[0]; k++) {
    cg_scope_push(tape, "window");
    for (int t = 0; t < 20; t++) cg_scope_push_index(tape, "t", t);
    h[0] = cg_sum(tape, cg_stack(tape, w->leaf, w->n_leaves, 0), (int[]){0}, 1,
                  false);
    h[0] = cg_tanh(tape, h[0]);
    h[1] = cg_exp(tape, h[0]);
    cg_tape_alloc(tape, 1000);
    cg_status status = cg_tape_rewind_keep(tape, mark, h, 2);
    if (status) return status;
  }
  return note_all(tape, b, h, h[0] ? 2 : 1);
}

/* ---- the tests ---- */

static const scenario scenarios[] = {
    {.name = "backward", .run = backward, .adds = true},
    {.name = "grad", .run = grad},
    {.name = "double backward", .run = double_backward},
    {.name = "replay", .run = replayed},
    {.name = "jvp and hvp", .run = products},
    {.name = "jacobian and hessian", .run = matrices},
    {.name = "backward_into", .run = home},
    {.name = "grads_add_to_leaves", .run = home_to_leaves, .adds = true},
    {.name = "hooks", .run = hooks},
    {.name = "nested walks", .run = nested},
    {.name = "custom", .run = custom},
    {.name = "recompute segments", .run = segments},
    {.name = "trace", .run = traced},
    {.name = "profile, stats, sort", .run = looked_at},
    {.name = "draw", .run = drawn},
    {.name = "gradcheck", .run = checked},
    {.name = "rewind_keep", .run = carried, .make = make_many},
};

START_TEST(scenario_survives) {
  const scenario *s = &scenarios[_i];
  size_t failures = sweep(s);
  printf("sweep: %s: %zu failures\n", s->name, failures);
  fflush(stdout);
  ck_assert_uint_gt(failures, 20);
}
END_TEST

int main(void) {
  snprintf(path, sizeof path, "test_sweep.%d.dot", (int)getpid());
  TCase *tc = tcase_create("all");
  tcase_set_timeout(tc, 300);
  tcase_add_loop_test(tc, scenario_survives, 0, N_OF(scenarios));
  int status = run_case("sweep", tc);
  unlink(path);
  return status;
}
