/* walks.c - other ways to the derivatives of a random program: with hooks that
 * start walks of their own, into a caller's home, by products with the Jacobian
 * and the Hessian, in a recompute segment. All must agree with cg_grad. */
#include <math.h>

#include "fuzz.h"

enum { N = PROGRAM_LEAVES };

static void fine(cg_tape *tape, const char *when) {
  const cg_error *e = cg_tape_error(tape);
  if (e->status) fuzz_fail("%s: %s: %s", when, e->op, e->message);
}

static void agree(double a, double b, double size, const char *what) {
  if (!(fabs(a - b) <= 1e-9 * fmax(1, size)))
    fuzz_fail("%s: %.17g against %.17g", what, a, b);
}

static void agree_all(const cg_tensor *a, const cg_tensor *b,
                      const char *what) {
  int64_t n = cg_tensor_numel(a);
  if (!a || cg_tensor_numel(b) != n) fuzz_fail("%s: other sizes", what);
  for (int64_t k = 0; k < n; k++)
    agree(cg_tensor_get(a, k), cg_tensor_get(b, k), fabs(cg_tensor_get(b, k)),
          what);
}

/* <a, b>, and the sum of its terms' sizes. */
static double dot(cg_tensor *const *a, cg_tensor *const *b, double *size) {
  double sum = 0;
  *size = 0;
  for (int i = 0; i < N; i++)
    for (int64_t k = 0; k < cg_tensor_numel(a[i]); k++) {
      double term = cg_tensor_get(a[i], k) * cg_tensor_get(b[i], k);
      sum += term;
      *size += fabs(term);
    }
  return sum;
}

static void random_like(cg_tape *tape, const program *p, cg_rng *rng,
                        cg_tensor **v) {
  for (int i = 0; i < N; i++) {
    double data[64];
    const cg_tensor *x = p->leaf[i];
    for (int64_t k = 0; k < cg_tensor_numel(x); k++)
      data[k] = cg_rng_normal(rng);
    v[i] = cg_input(tape, CG_F64, cg_tensor_rank(x), cg_tensor_shape(x), data);
  }
}

/* A hook that changes nothing, but not without a walk of its own, which comes
 * to it again. */
static cg_tensor *busy_hook(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                            void *context) {
  static bool inside;
  cg_tensor *inner[N], *in[] = {x, x, x};
  (void)context;
  if (inside) return NULL;
  inside = true;
  cg_grad(tape, &x, 1, &g, in, N, inner, 0);
  inside = false;
  return cg_mul_scalar(tape, inner[1], 1);
}

static void check_hooks(program *p, cg_tape *tape, cg_tensor *const *want) {
  cg_tensor *g[N], *recorded[N];
  p->hook = busy_hook;
  cg_tensor *y = program_run(tape, p->leaf, N, p);
  p->hook = NULL;
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y));
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, g, 0);
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, recorded, CG_CREATE_GRAPH);
  fine(tape, "with hooks");
  for (int i = 0; i < N; i++) {
    agree_all(g[i], want[i], "with hooks");
    agree_all(recorded[i], want[i], "recorded, with hooks");
  }
}

static void check_home(program *p, cg_tape *tape, cg_tensor *loss,
                       cg_tensor *const *want) {
  cg_grads *home = cg_grads_new(NULL);
  if (!home) fuzz_fail("no memory");
  cg_backward_into(tape, &loss, NULL, 1, home);
  fine(tape, "into a home");
  for (int i = 0; i < N; i++)
    agree_all(cg_grads_get(home, p->leaf[i]), want[i], "into a home");
  cg_grads_free(home);
}

/* J v . 1 = g . v, and v . H w = w . H v. */
static void check_products(program *p, cg_tape *tape, cg_tensor *loss,
                           cg_tensor *const *g, cg_rng *rng) {
  cg_tensor *v[N], *w[N], *hv[N], *hw[N], *jv;
  double size, size_w, along;
  random_like(tape, p, rng, v);
  random_like(tape, p, rng, w);
  cg_jvp(tape, &loss, 1, p->leaf, v, N, &jv, 0);
  cg_hvp(tape, loss, p->leaf, v, N, hv, 0);
  cg_hvp(tape, loss, p->leaf, w, N, hw, 0);
  fine(tape, "products");
  along = dot(g, v, &size);
  agree(cg_tensor_item(jv), along, size, "J v");
  along = dot(w, hv, &size);
  double other = dot(v, hw, &size_w);
  agree(other, along, size + size_w, "H is not symmetric");
}

/* ---- recompute segments ---- */

static void segment(cg_tape *tape, cg_tensor *const *in, int n_in,
                    cg_tensor **out, int n_out, void *context) {
  (void)n_out;
  out[0] = program_run(tape, in, n_in, context);
}

/* The program as a segment: the same bits. */
static void check_segment(program *p, cg_tape *tape, cg_tensor *const *want) {
  cg_tensor *y, *g[N], *recorded[N];
  cg_checkpoint(tape, segment, p, 0, p->leaf, N, &y, 1);
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y));
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, g, 0);
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, recorded, CG_CREATE_GRAPH);
  fine(tape, "in a segment");
  for (int i = 0; i < N; i++) {
    for (int64_t k = 0; k < cg_tensor_numel(g[i]); k++)
      if (cg_tensor_get(g[i], k) != cg_tensor_get(want[i], k))
        fuzz_fail("other bits in a segment: leaf %d[%lld]: %.17g, not %.17g", i,
                  (long long)k, cg_tensor_get(g[i], k),
                  cg_tensor_get(want[i], k));
    agree_all(recorded[i], want[i], "recorded, in a segment");
  }
}

void walks_check(program *p, uint64_t seed) {
  cg_rng rng = cg_rng_seed(seed + 7);
  cg_tape *tape = cg_tape_new(NULL);
  cg_tensor *y = program_run(tape, p->leaf, N, p), *g[N];
  cg_tensor *loss = cg_sum_all(tape, cg_square(tape, y));
  cg_grad(tape, &loss, 1, NULL, p->leaf, N, g, 0);
  fine(tape, "a valid program");
  check_home(p, tape, loss, g);
  check_products(p, tape, loss, g, &rng);
  check_hooks(p, tape, g);
  check_segment(p, tape, g);
  cg_tape_free(tape);
}
