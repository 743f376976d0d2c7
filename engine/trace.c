/* trace.c - the first NaN or infinity: is a tensor finite, and the sentences
 * that say where one came from. */
#include <chronograd/trace.h>

#include <math.h>
#include <string.h>

#include "nd.h"
#include "watch.h"

enum { MAX_SHOWN = 3 }; /* operands that a message describes */

bool cg_tape_trace_nonfinite(cg_tape *tape, bool on) {
  if (!tape) return false;
  bool was = tracing(tape);
  unsigned others = tape->watch & ~(unsigned)WATCH_TRACE;
  tape->watch = (uint8_t)(others | (on ? WATCH_TRACE : 0));
  return was;
}

/* ---- looking ---- */

static bool begin(nd *it, const cg_tensor *x) {
  void *data[ND_ARRAYS] = {x->data, NULL, NULL};
  const int64_t *strides[ND_ARRAYS] = {t_strides(x), NULL, NULL};
  return nd_begin(it, x->rank, t_shape(x), dtype_size(x->dtype), data, strides);
}

/* An element is finite unless all bits of its exponent are set. */
#define BAD_ROW(name, U, EXPONENT)                                           \
  static bool name(int64_t n, const void *row, int64_t step) {               \
    const U *bits = row, mask = EXPONENT;                                    \
    unsigned bad = 0;                                                        \
    if (step == 1)                                                           \
      for (int64_t i = 0; i < n; i++) bad |= (bits[i] & mask) == mask;       \
    else                                                                     \
      for (int64_t i = 0; i < n; i++) bad |= (bits[i * step] & mask) == mask;\
    return bad;                                                              \
  }

BAD_ROW(bad_row_32, uint32_t, 0x7F800000u)
BAD_ROW(bad_row_64, uint64_t, 0x7FF0000000000000u)

static bool is_finite(const cg_tensor *x) {
  nd it;
  if (!dtype_is_float(x->dtype) || !begin(&it, x)) return true;
  bool bad = false;
  do
    bad = x->dtype == CG_F32 ? bad_row_32(it.n, it.at[0], it.step[0])
                             : bad_row_64(it.n, it.at[0], it.step[0]);
  while (!bad && nd_next(&it));
  return !bad;
}

/* ---- describing ---- */

/* What a message tells of a tensor's elements. */
typedef struct range {
  double lo, hi; /* of the finite ones */
  int64_t n, n_nan, n_inf;
} range;

static void include(range *r, double value) {
  r->n++;
  if (isnan(value)) {
    r->n_nan++;
  } else if (isinf(value)) {
    r->n_inf++;
  } else {
    r->lo = fmin(r->lo, value);
    r->hi = fmax(r->hi, value);
  }
}

static range range_of(const cg_tensor *x) {
  range r = {.lo = INFINITY, .hi = -INFINITY};
  nd it;
  if (!begin(&it, x)) return r;
  do {
    const void *row = it.at[0];
    for (int64_t i = 0; i < it.n; i++) {
      int64_t at = i * it.step[0];
      include(&r, x->dtype == CG_F32 ? ((const float *)row)[at]
                                     : ((const double *)row)[at]);
    }
  } while (nd_next(&it));
  return r;
}

/* A sentence that grows in a buffer of fixed size. */
typedef struct sentence {
  char text[320];
  size_t at;
} sentence;

static void say(sentence *s, const char *fmt, ...) CG_PRINTF(2, 3);

static void say(sentence *s, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(s->text + s->at, sizeof s->text - s->at, fmt, args);
  va_end(args);
  if (n > 0) s->at += (size_t)n;
  if (s->at >= sizeof s->text) s->at = sizeof s->text - 1;
}

/* "[2, 3] in -1.5..2.385, 1 NaN" */
static void say_range(sentence *s, const cg_tensor *x) {
  char shape[96];
  say(s, "%s", cg_tensor_shape_text(x, shape, sizeof shape));
  if (!dtype_is_float(x->dtype)) {
    say(s, " %s", cg_dtype_name((cg_dtype)x->dtype));
    return;
  }
  range r = range_of(x);
  if (r.lo <= r.hi) say(s, " in %.4g..%.4g", r.lo, r.hi);
  if (r.n_nan) say(s, ", %lld NaN", (long long)r.n_nan);
  if (r.n_inf) say(s, ", %lld infinite", (long long)r.n_inf);
}

static void say_operands(sentence *s, cg_tensor *const *in, int n) {
  for (int i = 0; i < n && i < MAX_SHOWN; i++) {
    say(s, "; operand %d (%s) ", i, t_label(in[i]));
    say_range(s, in[i]);
  }
  if (n > MAX_SHOWN) say(s, "; and %d more", n - MAX_SHOWN);
}

static void fail(cg_tape *tape, const char *op, const sentence *s) {
  cg_tape_fail(tape, CG_ERR_NONFINITE, op, "%s", s->text);
}

/* ---- forward ---- */

/* The first operand that is not finite, or n. */
static int first_bad(cg_tensor *const *in, int n) {
  int i = 0;
  while (i < n && is_finite(in[i])) i++;
  return i;
}

void trace_result(const cg_call *call, const cg_tensor *y) {
  if (is_finite(y)) return;
  sentence s = {.at = 0};
  int i = first_bad(call->in, call->n_in);
  if (i == call->n_in)
    say(&s, "made from finite operands: ");
  else
    say(&s, "%s %d (%s) brought it in: ",
        call->in[i]->op ? "operand" : "the input or leaf that is operand", i,
        t_label(call->in[i]));
  say(&s, "result ");
  say_range(&s, y);
  say_operands(&s, call->in, call->n_in);
  fail(call->tape, call->op->name, &s);
}

/* ---- backward ---- */

void trace_seed(const walk *w, const cg_tensor *seed, int i) {
  if (is_finite(seed)) return;
  sentence s = {.at = 0};
  say(&s, "the walk starts from seed %d: ", i);
  say_range(&s, seed);
  fail(w->tape, w->name, &s);
}

void trace_arrived(const cg_vjp *v) {
  if (is_finite(cg_vjp_gy(v))) return;
  sentence s = {.at = 0};
  say(&s, "finite contributions to the gradient of the result have a sum that "
          "is not: ");
  say_range(&s, v->gy);
  fail(v->tape, v->node->op->name, &s);
}

void trace_given(const cg_vjp *v, int i, const cg_tensor *g) {
  if (is_finite(g)) return;
  const cg_tensor *y = v->node;
  sentence s = {.at = 0};
  say(&s, "its derivative rule gave operand %d (%s) ", i, t_label(t_in(y)[i]));
  say_range(&s, g);
  say(&s, "; gy ");
  say_range(&s, v->gy);
  say(&s, "; result ");
  say_range(&s, y);
  say_operands(&s, t_in(y), (int)y->n_in);
  fail(v->tape, y->op->name, &s);
}

/* The gradient that the walk left with a leaf, or NULL. */
static const cg_tensor *left_at(const walk *w, const cg_tensor *proxy) {
  if (proxy->flags & T_PARTS) return NULL;
  if (w->functional) {
    if (proxy->slot) slot_fill(proxy->slot);
    return proxy->slot;
  }
  return w->grads ? cg_grads_get(w->grads, t_proxied(proxy))
                  : t_proxied(proxy)->grad;
}

void trace_leaves(const walk *w, uint32_t stamp) {
  cg_tape *tape = w->tape;
  for (size_t i = 0; i < tape->n_proxies && !tape->error.status; i++) {
    const cg_tensor *p = tape->proxies[i];
    const cg_tensor *g = p->stamp >= stamp ? left_at(w, p) : NULL;
    if (!g || is_finite(g)) continue;
    sentence s = {.at = 0};
    say(&s, "the gradient of %s is not finite, though the walk added finite "
            "contributions only: their sum overflowed, or it was so before: ",
        t_label(p));
    say_range(&s, g);
    fail(tape, w->name, &s);
  }
}
