/* optim_lbfgs.c - L-BFGS: its rule, its directions and its iterations. In the
 * terms of the literature s is a difference of parameters, y one of gradients,
 * rho = 1 / (y . s), and gamma scales the first approximation of the inverse
 * Hessian. */
#include <math.h>

#include "lbfgs_impl.h"

enum {
  LR, MAX_ITER, MAX_EVAL, HISTORY_SIZE, TOLERANCE_GRAD, TOLERANCE_CHANGE,
  STRONG_WOLFE, COUNT
};

static const cg_optim_setting settings[COUNT] = {
    [LR] = {"lr", 1, 0, INFINITY, false},
    [MAX_ITER] = {"max_iter", 20, 1, 1e9, true},
    [MAX_EVAL] = {"max_eval", 25, 1, 2e9, true},
    [HISTORY_SIZE] = {"history_size", 10, 1, 1e6, true},
    [TOLERANCE_GRAD] = {"tolerance_grad", 1e-7, 0, INFINITY, false},
    [TOLERANCE_CHANGE] = {"tolerance_change", 1e-9, 0, INFINITY, false},
    [STRONG_WOLFE] = {"strong_wolfe", 0, 0, 2, true},
};

static const cg_optim_buffer buffers[LBFGS_BUFFERS] = {
    [LBFGS_Y] = {.name = "y", .rows = HISTORY_SIZE},
    [LBFGS_S] = {.name = "s", .rows = HISTORY_SIZE},
    [LBFGS_D] = {.name = "direction"},
    [LBFGS_G0] = {.name = "gradient"},
    [LBFGS_G] = {.name = "g", .scratch = true},
    [LBFGS_LEFT] = {.name = "left", .scratch = true},
    [LBFGS_RIGHT] = {.name = "right", .scratch = true},
    [LBFGS_POINT] = {.name = "point", .scratch = true},
    [LBFGS_START] = {.name = "start", .scratch = true},
};
_Static_assert((int)LBFGS_BUFFERS <= CG_OPTIM_BUFFERS, "too many buffers");

/* ---- numbers that last from step to step ---- */

enum {
  ITERATIONS, /* so far; 0: there is no history, whatever the others say */
  KEPT,       /* pairs in Y and S */
  NEXT,       /* the row of the next pair: they form a ring */
  LENGTH,     /* of the last move along D */
  GAMMA,
  RHO /* one per row, and then alpha of the two loops, one per row */
};

static int64_t n_numbers(const double *s) {
  return RHO + 2 * (int64_t)s[HISTORY_SIZE];
}

static bool is_count(double x, double below) {
  return x >= 0.0 && x < below && x == floor(x);
}

static bool numbers_fit(const cg_optimizer *o, const double *x) {
  double rows = o->settings[HISTORY_SIZE];
  if (!is_count(x[ITERATIONS], 1e15) || !is_count(x[KEPT], rows + 1) ||
      !is_count(x[NEXT], rows))
    return false;
  return x[KEPT] == rows || x[NEXT] == x[KEPT];
}

static double *numbers_of(const lbfgs_walk *w) {
  return cg_leaf_data(w->o->numbers);
}

static int64_t history_size(const lbfgs_walk *w) {
  return (int64_t)w->o->settings[HISTORY_SIZE];
}

/* The row of pair k, counted from the oldest. */
static int64_t row_of(const lbfgs_walk *w, int64_t k) {
  const double *x = numbers_of(w);
  int64_t rows = history_size(w);
  return ((int64_t)x[NEXT] - (int64_t)x[KEPT] + k + rows) % rows;
}

/* ---- directions ---- */

static void remember_pair(lbfgs_walk *w) {
  double *x = numbers_of(w);
  int64_t row = (int64_t)x[NEXT];
  lbfgs_vector y = {LBFGS_LEFT, 0}, s = {LBFGS_RIGHT, 0};
  lbfgs_vector y_row = {LBFGS_Y, row}, s_row = {LBFGS_S, row};
  lbfgs_add(w->o, y, LBFGS_VECTOR(G), -1.0, LBFGS_VECTOR(G0));
  lbfgs_scale(w->o, s, x[LENGTH], LBFGS_VECTOR(D));
  double ys = lbfgs_dot(w->o, y, s);
  if (!(ys > 1e-10)) return;
  lbfgs_scale(w->o, y_row, 1.0, y);
  lbfgs_scale(w->o, s_row, 1.0, s);
  x[RHO + row] = 1.0 / ys;
  x[GAMMA] = ys / lbfgs_dot(w->o, y, y);
  x[NEXT] = (double)((row + 1) % history_size(w));
  x[KEPT] = fmin(x[KEPT] + 1.0, (double)history_size(w));
}

/* D = -H G by the two loops over the pairs. */
static void two_loops(lbfgs_walk *w) {
  double *x = numbers_of(w), *rho = x + RHO, *alpha = rho + history_size(w);
  const lbfgs_vector d = LBFGS_VECTOR(D);
  lbfgs_scale(w->o, d, -1.0, LBFGS_VECTOR(G));
  for (int64_t k = (int64_t)x[KEPT] - 1; k >= 0; k--) {
    int64_t row = row_of(w, k);
    lbfgs_vector y = {LBFGS_Y, row}, s = {LBFGS_S, row};
    alpha[row] = rho[row] * lbfgs_dot(w->o, s, d);
    lbfgs_add(w->o, d, d, -alpha[row], y);
  }
  lbfgs_scale(w->o, d, x[GAMMA], d);
  for (int64_t k = 0; k < (int64_t)x[KEPT]; k++) {
    int64_t row = row_of(w, k);
    lbfgs_vector y = {LBFGS_Y, row}, s = {LBFGS_S, row};
    double beta = rho[row] * lbfgs_dot(w->o, y, d);
    lbfgs_add(w->o, d, d, alpha[row] - beta, s);
  }
}

static void choose_direction(lbfgs_walk *w) {
  double *x = numbers_of(w);
  if (x[ITERATIONS]++ == 0.0) {
    x[KEPT] = x[NEXT] = 0.0;
    x[GAMMA] = 1.0;
  } else {
    remember_pair(w);
  }
  two_loops(w);
}

/* ---- iterations ---- */

cg_status lbfgs_evaluate(lbfgs_walk *w, double *loss) {
  cg_status status = w->closure(w->context, loss, w->err);
  w->evaluations++;
  if (!status && !cg_optim_alive(w->o))
    status = cg_error_set(w->err, CG_ERR_STATE, "optimizer_step",
                          "the closure dropped parameters");
  if (!status) lbfgs_take_gradients(w->o);
  return status;
}

/* Evaluates where it stands; NONFINITE if the loss is. */
static cg_status evaluate_here(lbfgs_walk *w) {
  cg_status status = lbfgs_evaluate(w, &w->loss);
  if (status || isfinite(w->loss)) return status;
  return cg_error_set(w->err, CG_ERR_NONFINITE, "optimizer_step",
                      "the loss is %g", w->loss);
}

/* Along D: as far as the search goes, or by the fixed length, after which the
 * loss of the last iteration is not needed. */
static cg_status move(lbfgs_walk *w, double slope, bool last) {
  double *t = &numbers_of(w)[LENGTH];
  const double *s = w->o->settings;
  lbfgs_scale(w->o, LBFGS_VECTOR(POINT), 1.0, LBFGS_VECTOR(W));
  if (s[STRONG_WOLFE] != 0.0) return lbfgs_search(w, t, slope);
  lbfgs_add(w->o, LBFGS_VECTOR(W), LBFGS_VECTOR(POINT), *t, LBFGS_VECTOR(D));
  return last ? CG_OK : evaluate_here(w);
}

static bool small_gradient(const lbfgs_walk *w) {
  return lbfgs_max_abs(w->o, LBFGS_VECTOR(G)) <=
         w->o->settings[TOLERANCE_GRAD];
}

/* One iteration; *more tells whether another is worth while. */
static cg_status iterate(lbfgs_walk *w, bool last, bool *more) {
  double *x = numbers_of(w), before = w->loss, lr = w->o->settings[LR];
  choose_direction(w);
  lbfgs_scale(w->o, LBFGS_VECTOR(G0), 1.0, LBFGS_VECTOR(G));
  x[LENGTH] = lr;
  if (x[ITERATIONS] == 1.0)
    x[LENGTH] = lr * fmin(1.0, 1.0 / lbfgs_sum_abs(w->o, LBFGS_VECTOR(G)));
  double slope = lbfgs_dot(w->o, LBFGS_VECTOR(G), LBFGS_VECTOR(D));
  *more = slope <= -w->tolerance_change;
  if (!*more) return CG_OK;
  cg_status status = move(w, slope, last);
  double moved = fabs(x[LENGTH]) * lbfgs_max_abs(w->o, LBFGS_VECTOR(D));
  *more = !last && w->evaluations < w->max_evaluations && !small_gradient(w) &&
          moved > w->tolerance_change &&
          !(fabs(w->loss - before) < w->tolerance_change);
  return status;
}

static cg_status walk(lbfgs_walk *w, double *loss) {
  cg_status status = evaluate_here(w);
  *loss = w->loss;
  if (!status) status = cg_optim_check(w->o, "optimizer_step", w->err);
  int n = (int)w->o->settings[MAX_ITER];
  bool more = !status && !small_gradient(w);
  for (int i = 1; more && !status; i++)
    status = iterate(w, i == n, &more);
  return status;
}

static cg_status minimize(cg_optimizer *o, cg_closure_fn closure, void *context,
                          double *loss, cg_error *err) {
  lbfgs_walk w = {.o = o, .closure = closure, .context = context, .err = err,
                  .max_evaluations = (int)o->settings[MAX_EVAL],
                  .tolerance_change = o->settings[TOLERANCE_CHANGE]};
  if (!cg_optim_alive(o)) return cg_optim_check(o, "optimizer_step", err);
  lbfgs_scale(o, LBFGS_VECTOR(START), 1.0, LBFGS_VECTOR(W));
  cg_status status = walk(&w, loss);
  if (!status) return CG_OK;
  numbers_of(&w)[ITERATIONS] = 0.0;
  if (cg_optim_alive(o))
    lbfgs_scale(o, LBFGS_VECTOR(W), 1.0, LBFGS_VECTOR(START));
  return status;
}

const cg_optim_rule cg_optim_lbfgs = {
    .name = "lbfgs", .fn = "lbfgs_new",
    .n_settings = COUNT, .settings = settings,
    .n_buffers = LBFGS_BUFFERS, .buffers = buffers,
    .minimize = minimize,
    .n_numbers = n_numbers, .numbers_fit = numbers_fit,
};

cg_optimizer *cg_lbfgs_new(cg_params *params, const cg_lbfgs_config *config,
                           cg_error *err) {
  cg_lbfgs_config c = config ? *config : (cg_lbfgs_config){0};
  double iterations = c.max_iter ? c.max_iter : settings[MAX_ITER].unset;
  double s[COUNT] = {c.lr, iterations, c.max_eval, c.history_size,
                     c.tolerance_grad, c.tolerance_change, c.strong_wolfe};
  if (!c.max_eval) s[MAX_EVAL] = floor(iterations * 5.0 / 4.0);
  return cg_optim_new(params, &cg_optim_lbfgs, s, err);
}
