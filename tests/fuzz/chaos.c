/* chaos.c - random calls, mostly wrong, on a tape that is rewound and walked
 * back in between: errors must be clean, stick, and leave a usable tape. */
#include "chaos.h"

#include <string.h>

/* GAP: headers start a little later after each rewind. */
enum { CALLS = 150, GAP = 128 };

/* ---- what is at hand ---- */

static void put(chaos *c, cg_tensor *x) {
  if (cg_tensor_numel(x) > 512) return;
  c->pool[c->n < POOL ? c->n++ : fuzz_pick(&c->rng, POOL)] = x;
}

/* Two f64 matrices that multiply, a vector of each float type, indices, and a
 * mask. */
static void make_leaves(chaos *c) {
  static const struct {
    cg_dtype dtype;
    int rank;
    int64_t shape[2];
  } kinds[CHAOS_LEAVES] = {{CG_F64, 2, {2, 3}}, {CG_F64, 2, {3, 2}},
                           {CG_F64, 1, {3}},    {CG_F32, 1, {3}},
                           {CG_I64, 1, {2}},    {CG_U8, 2, {2, 3}}};
  for (int i = 0; i < CHAOS_LEAVES; i++) {
    cg_tensor *x = cg_leaf_new(NULL, kinds[i].dtype, kinds[i].rank,
                               kinds[i].shape, NULL);
    if (!x) fuzz_fail("no memory for a leaf");
    c->leaf[i] = x;
    if (cg_leaf_set_requires_grad(x, true)) continue;
    cg_leaf_fill(x, 0.385 + i);
  }
}

/* ---- errors ---- */

/* Of one call that gave y. */
static void check_answer(const chaos *c, const cg_tensor *y) {
  const cg_error *e = cg_tape_error(c->tape);
  if (!e->status && !y) fuzz_fail("NULL without an error");
  if (!e->status) return;
  if (y) fuzz_fail("a result in spite of %s: %s", e->op, e->message);
  if (e->status >= CG_STATUS_COUNT || !*e->op || !*e->message)
    fuzz_fail("an error without words: %d \"%s\" \"%s\"", (int)e->status,
              e->op, e->message);
  for (const char *p = e->message; *p; p++)
    if ((unsigned char)*p < 0x20) fuzz_fail("a message of several lines");
}

/* Nothing works until the error is gone, and the first one stays. */
static void check_sticky(chaos *c) {
  cg_error first = *cg_tape_error(c->tape);
  cg_tape_stats before = cg_tape_get_stats(c->tape);
  for (int i = 0; i < 3; i++)
    if (chaos_call(c)) fuzz_fail("a call worked after an error");
  if (!cg_backward(c->tape, c->leaf[0]))
    fuzz_fail("a walk worked after an error");
  if (memcmp(&first, cg_tape_error(c->tape), sizeof first))
    fuzz_fail("the first error is gone");
  if (cg_tape_get_stats(c->tape).nodes != before.nodes)
    fuzz_fail("something was recorded after an error");
}

/* ---- a tape that must work ---- */

static void check_usable(chaos *c) {
  cg_mark mark = cg_tape_mark(c->tape);
  cg_tape_stats before = cg_tape_get_stats(c->tape);
  bool was = cg_tape_set_recording(c->tape, true);
  cg_leaf_fill(c->leaf[0], 0.25);
  cg_tensor *y = cg_sum_all(c->tape, cg_square(c->tape, c->leaf[0])), *g;
  cg_status status = cg_grad(c->tape, &y, 1, NULL, c->leaf, 1, &g, 0);
  if (status == CG_ERR_LIMIT) {
    cg_tape_reset(c->tape);
    return;
  }
  if (status || cg_tensor_item(y) != 0.375 || cg_tensor_get(g, 5) != 0.5)
    fuzz_fail("the tape is of no use: %s", cg_tape_error(c->tape)->message);
  cg_tape_set_recording(c->tape, was);
  if (cg_tape_rewind(c->tape, mark)) fuzz_fail("a fresh mark was refused");
  cg_tape_stats after = cg_tape_get_stats(c->tape);
  if (after.nodes != before.nodes || after.bytes_used > before.bytes_used + GAP)
    fuzz_fail("a rewind left %zu nodes for %zu, %zu bytes for %zu",
              after.nodes, before.nodes, after.bytes_used, before.bytes_used);
}

/* ---- other calls ---- */

/* Now and then something is wrong with the answer, too. */
static cg_tensor *chaotic_hook(cg_tape *tape, cg_tensor *x, cg_tensor *g,
                               void *context) {
  chaos *c = context;
  cg_tensor *inner;
  switch (fuzz_pick(&c->rng, 9)) {
    case 0: return chaos_tensor(c);
    case 1: return cg_neg(tape, g);
    case 2: cg_grad(tape, &x, 1, &g, c->leaf, 1, &inner, CG_ALLOW_UNUSED);
    /* fall through */
    case 3: cg_tape_rewind(tape, c->mark[fuzz_pick(&c->rng, MARKS)]);
    /* fall through */
    default: return NULL;
    case 4: cg_tape_replay(tape); return NULL;
  }
}

/* Not leaf 0, directly or through a view: check_usable derives by it. */
static void hook_some(chaos *c, cg_tensor *x) {
  cg_tensor *y = cg_mul_scalar(c->tape, x, 1);
  if (y) put(c, y);
  cg_hook(c->tape, y, chaotic_hook, c);
}

static void differentiate(chaos *c) {
  cg_tensor *y = chaos_tensor(c), *x = chaos_tensor(c), *result = NULL;
  cg_tensor *v = chaos_tensor(c);
  int options = fuzz_pick(&c->rng, 4);
  if (fuzz_pick(&c->rng, 2)) y = cg_sum_all(c->tape, y);
  switch (fuzz_pick(&c->rng, 6)) {
    case 0: cg_jvp(c->tape, &y, 1, &x, &v, 1, &result, options); break;
    case 1: cg_hvp(c->tape, y, &x, &v, 1, &result, options); break;
    case 2: cg_jacobian(c->tape, y, x, &result, options); break;
    case 3: cg_hessian(c->tape, y, x, &result, options); break;
    case 4: hook_some(c, x); break;
    default: cg_backward_into(c->tape, &y, NULL, 1, c->home);
  }
  if (result) put(c, result);
}

static void walk_back(chaos *c) {
  cg_tensor *out[] = {chaos_tensor(c), chaos_tensor(c)}, *g[3] = {NULL};
  cg_tensor *in[] = {chaos_tensor(c), c->leaf[0], chaos_tensor(c)};
  cg_tensor *seed[] = {NULL, chaos_tensor(c)};
  int n = 1 + fuzz_pick(&c->rng, 2), options = fuzz_pick(&c->rng, 4);
  bool seeded = fuzz_pick(&c->rng, 2);
  cg_tensor *const *order;
  size_t count;
  switch (fuzz_pick(&c->rng, 6)) {
    case 0: cg_backward(c->tape, out[0]); break;
    case 1: cg_backward_from(c->tape, out, seeded ? seed : NULL, n); break;
    case 2: cg_retain_grad(c->tape, out[0]); break;
    case 3: cg_tape_toposort(c->tape, out[0], &order, &count); break;
    case 4: cg_backward(c->tape, cg_sum_all(c->tape, out[0])); break;
    default:
      if (cg_grad(c->tape, out, n, seeded ? seed : NULL, in, 1 + n, g, options))
        break;
      for (int i = 0; i <= n; i++)
        if (g[i]) put(c, g[i]);
  }
}

static void rewind_some(chaos *c) {
  int k = fuzz_pick(&c->rng, MARKS);
  cg_tensor *kept[] = {chaos_tensor(c), chaos_tensor(c)};
  switch (fuzz_pick(&c->rng, 8)) {
    case 0: cg_tape_reset(c->tape); break;
    case 1: cg_tape_rewind(c->tape, c->mark[k]); break;
    case 2:
      if (cg_tape_rewind_keep(c->tape, c->mark[k], kept, 2)) {
        if (kept[0] || kept[1]) fuzz_fail("a failed rewind kept something");
        break;
      }
      put(c, kept[0]);
      put(c, kept[1]);
      break;
    default: c->mark[k] = cg_tape_mark(c->tape);
  }
}

static void disturb(chaos *c) {
  switch (fuzz_pick(&c->rng, 6)) {
    case 0: cg_leaf_fill(c->leaf[0], 0.5); break; /* modified since recorded */
    case 1: cg_scope_push_index(c->tape, "t", fuzz_pick(&c->rng, 9)); break;
    case 2: cg_scope_pop(c->tape); break;
    case 3: cg_tape_set_recording(c->tape, fuzz_pick(&c->rng, 4) > 0); break;
    case 4: cg_tape_replay(c->tape); break;
    default: put(c, cg_scalar(c->other, CG_F64, 0.7)); break; /* foreign */
  }
}

static void call(chaos *c) {
  cg_tensor *y;
  c->sane = fuzz_pick(&c->rng, 4) > 0;
  switch (fuzz_pick(&c->rng, 20)) {
    case 0: walk_back(c); break;
    case 3: differentiate(c); break;
    case 1: rewind_some(c); break;
    case 2: disturb(c); break;
    default:
      y = chaos_call(c);
      check_answer(c, y);
      if (y) put(c, y);
  }
}

static void recover(chaos *c) {
  if (fuzz_pick(&c->rng, 4) == 0) check_sticky(c);
  if (fuzz_pick(&c->rng, 8) == 0)
    cg_tape_reset(c->tape);
  else
    cg_tape_clear_error(c->tape);
  check_usable(c);
}

void chaos_run(uint64_t seed) {
  cg_tape_options options = {.byte_limit = CHAOS_LIMIT};
  chaos c = {.tape = cg_tape_new(&options), .other = cg_tape_new(&options),
             .home = cg_grads_new(NULL), .rng = cg_rng_seed(seed * 2385 + 1)};
  if (!c.tape || !c.other || !c.home) fuzz_fail("no memory for a tape");
  make_leaves(&c);
  for (int i = 0; i < MARKS; i++) c.mark[i] = cg_tape_mark(c.tape);
  for (int i = 0; i < CALLS; i++) {
    call(&c);
    if (cg_tape_status(c.tape)) recover(&c);
    if (cg_tape_get_stats(c.tape).bytes_held > CHAOS_LIMIT)
      fuzz_fail("the byte limit was crossed");
  }
  cg_tape_free(c.tape);
  cg_tape_free(c.other);
  cg_grads_free(c.home);
  for (int i = 0; i < CHAOS_LEAVES; i++) cg_leaf_free(c.leaf[i]);
}
