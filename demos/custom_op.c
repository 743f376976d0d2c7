/* custom_op.c - an op of your own, from its formula to a checked node.
 *
 * The op is swish with a slope b: y = x s(b x), s being the sigmoid. A
 * descriptor holds all that the engine needs: the shape rule, a plain loop for
 * the value, and the derivative rule, written in ops so that it can be derived
 * in turn. The program compares first and second derivatives with central
 * differences and, given a file name, draws a graph that uses the op:
 *
 *     custom_op [FILE.dot]
 *
 * Exit status: 0 all agree, 1 they don't, 2 bad usage or a bad file. */
#include <chronograd/engine.h>

#include <math.h>
#include <stdio.h>

/* ---- the op ---- */

typedef struct swish_attr {
  double b;
} swish_attr;

static cg_status swish_infer(const cg_call *call, cg_spec *spec) {
  cg_status status = cg_call_want_float(call, 0);
  if (!status) cg_spec_like(spec, call->in[0]);
  return status;
}

/* cg_tensor_get reads any type and any strides; an op that is to be fast steps
 * through cg_tensor_data instead. */
static cg_status swish_forward(const cg_call *call, cg_tensor *out) {
  const swish_attr *attr = call->attr;
  const cg_tensor *x = call->in[0];
  bool wide = cg_tensor_dtype(x) == CG_F64;
  double *y64 = cg_out_data(out);
  float *y32 = cg_out_data(out);
  for (int64_t i = 0; i < cg_tensor_numel(x); i++) {
    double v = cg_tensor_get(x, i);
    double y = v / (1 + exp(-attr->b * v));
    if (wide)
      y64[i] = y;
    else
      y32[i] = (float)y;
  }
  return CG_OK;
}

/* With s = s(b x): gx = gy (s + b y (1 - s)). */
static void swish_vjp(cg_vjp *v) {
  const swish_attr *attr = cg_vjp_attr(v);
  cg_tape *t = cg_vjp_tape(v);
  cg_tensor *s = cg_sigmoid(t, cg_mul_scalar(t, cg_vjp_in(v, 0), attr->b));
  cg_tensor *rest = cg_add_scalar(t, cg_neg(t, s), 1);
  cg_tensor *slope = cg_mul_scalar(t, cg_mul(t, cg_vjp_out(v), rest), attr->b);
  cg_vjp_give(v, 0, cg_mul(t, cg_vjp_gy(v), cg_add(t, s, slope)));
}

static const swish_attr plain = {1}, steep = {1.7};
static const cg_op_case swish_cases[] = {
    {"f[]", &plain}, {"f[2,3]", &steep}, {"f[0,4]", &plain}};

static const cg_op swish_op = {
    .name = "swish",
    .formula = "y = x s(b x)",
    .derivative = "gx = gy (s + b y (1 - s)), s = s(b x)",
    .min_in = 1,
    .max_in = 1,
    .attr_size = sizeof(swish_attr),
    .infer = swish_infer,
    .forward = swish_forward,
    .vjp = swish_vjp,
    .cases = swish_cases,
    .n_cases = 3,
};

static cg_tensor *swish(cg_tape *tape, cg_tensor *x, double b) {
  return cg_record(tape, &swish_op, &x, 1, &(swish_attr){b});
}

/* ---- its checks ---- */

static cg_tensor *apply_case(cg_tape *tape, cg_tensor *const *in, int n_in,
                             void *context) {
  const cg_op_case *c = context;
  return cg_record(tape, &swish_op, in, n_in, c->attr);
}

static bool report(const char *in, int order, cg_status status,
                   const cg_gradcheck_report *r) {
  bool ok = !status && r->passed;
  printf("%-8s order %d  %2lld elements, worst error %.1e  %s\n", in, order,
         (long long)r->compared, r->worst, ok ? "agrees" : "DISAGREES");
  return ok;
}

static bool check_case(cg_tape *tape, cg_op_case c, cg_rng *rng) {
  cg_tensor *x = NULL;
  cg_gradcheck_report r = {0};
  if (cg_op_case_leaves(&swish_op, &c, rng, &x, 1, NULL) != 1) return false;
  cg_status status = cg_gradcheck(tape, apply_case, &x, 1, &c, NULL, &r);
  bool ok = report(c.in, 1, status, &r);
  status = cg_gradgradcheck(tape, apply_case, &x, 1, &c, NULL, &r);
  ok = report(c.in, 2, status, &r) && ok;
  cg_leaf_free(x);
  return ok;
}

/* ---- a graph with it ---- */

/* f(x) = swish(x w), its slope and curvature at w. */
static int show(cg_tape *tape, cg_tensor *w, const char *path) {
  cg_error err = {0};
  cg_tensor *y = swish(tape, cg_mul_scalar(tape, w, 2.5), 1.3), *g, *h;
  cg_grad(tape, &y, 1, NULL, &w, 1, &g, CG_CREATE_GRAPH);
  cg_grad(tape, &g, 1, NULL, &w, 1, &h, 0);
  if (cg_tape_status(tape)) {
    fprintf(stderr, "custom_op: %s\n", cg_tape_error(tape)->message);
    return 2;
  }
  printf("f(w) = swish(2.5 w), b = 1.3, at w = 0.4: f %.6f, f' %.6f, "
         "f'' %.6f\n",
         cg_tensor_item(y), cg_tensor_item(g), cg_tensor_item(h));
  if (!path || !cg_draw(tape, y, path, NULL, &err)) return 0;
  fprintf(stderr, "custom_op: %s\n", err.message);
  return 2;
}

int main(int argc, char **argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    fprintf(stderr, "usage: custom_op [FILE.dot]\n");
    return 2;
  }
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *w = cg_leaf_new(NULL, CG_F64, 0, NULL, NULL);
  int status = 2;
  if (tape && w) {
    cg_rng rng = cg_rng_seed(1);
    bool ok = true;
    for (int i = 0; i < swish_op.n_cases; i++)
      ok = check_case(tape, swish_cases[i], &rng) && ok;
    cg_leaf_fill(w, 0.4);
    cg_leaf_set_requires_grad(w, true);
    cg_leaf_set_name(w, "w");
    status = show(tape, w, argc == 2 ? argv[1] : NULL);
    if (!status && !ok) status = 1;
  }
  cg_tape_free(tape);
  cg_leaf_free(w);
  return status;
}
